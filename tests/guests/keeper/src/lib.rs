//! A guest that keeps something in memory from `check` on, and says by its code whether a
//! call still finds it.

use std::cell::Cell;
use std::collections::HashMap;

use countersign_sdk::{Failure, Host, Plugin, Task, Verdict, export_plugin, reject};
use serde::Deserialize;

/// The behaviour of `check` before it keeps something.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Deed of `check`.
    pub check: Deed,
    /// Makes the document large.
    #[serde(default)]
    pub padding: String,
}

/// Something that `check` asks for.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// Nothing; it uses a hash table.
    Nothing,
    /// Randomness.
    Random,
    /// The node's clock.
    Time,
    /// The clock of WASI.
    WasiTime,
    /// The plugin's durable memory.
    State,
    /// Standard output.
    Print,
}

thread_local! {
    static KEPT: Cell<u32> = const { Cell::new(0) };
}

/// The plugin `keeper`.
pub struct Keeper;

impl Plugin for Keeper {
    type Config = Config;

    const NAME: &'static str = "keeper";
    const DESCRIPTION: &'static str =
        "Rejects everything and says how often this memory was asked.";

    fn check(config: &Config, host: &impl Host) -> Result<(), Failure> {
        act(config.check, host)?;
        let table = HashMap::from([(config.padding.len(), 1)]);
        KEPT.set(table.len() as u32);
        Ok(())
    }

    fn evaluate(_config: &Config, _task: &Task, _host: &impl Host) -> Result<Verdict, Failure> {
        let kept = KEPT.replace(KEPT.get() + 1);
        reject(
            format!("kept-{kept}"),
            "the number of calls that this memory remembers",
        )
    }
}

export_plugin!(Keeper);

fn act(deed: Deed, host: &impl Host) -> Result<(), Failure> {
    match deed {
        Deed::Nothing => Ok(()),
        Deed::Random => random(),
        Deed::Time => (host.now() > 0)
            .then_some(())
            .ok_or(Failure::Internal("no time".into())),
        Deed::WasiTime => {
            std::hint::black_box(std::time::SystemTime::now());
            Ok(())
        }
        Deed::State => host.state_get("key").map(drop).map_err(Into::into),
        Deed::Print => {
            println!("hello");
            Ok(())
        }
    }
}

/// Provided by the C library, which every component of this target carries.
#[cfg(target_family = "wasm")]
fn random() -> Result<(), Failure> {
    unsafe extern "C" {
        fn getentropy(buffer: *mut u8, length: usize) -> i32;
    }
    let mut bytes = [0_u8; 16];
    // SAFETY: the buffer has the given length.
    let result = unsafe { getentropy(bytes.as_mut_ptr(), bytes.len()) };
    std::hint::black_box(bytes);
    (result == 0)
        .then_some(())
        .ok_or(Failure::Internal("no randomness".into()))
}

#[cfg(not(target_family = "wasm"))]
fn random() -> Result<(), Failure> {
    Ok(())
}
