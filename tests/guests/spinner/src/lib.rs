//! A guest that computes without end and asks for nothing: neither state nor keys nor network, so
//! that it holds no turn while it computes.

use std::hint::black_box;

use countersign_sdk::{Failure, Host, Plugin, Task, Verdict, approve, export_plugin};
use serde::Deserialize;

/// There is nothing to configure.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// The plugin `spinner`.
pub struct Spinner;

impl Plugin for Spinner {
    type Config = Config;

    const NAME: &'static str = "spinner";
    const DESCRIPTION: &'static str = "Computes without end.";

    fn evaluate(_config: &Config, _task: &Task, _host: &impl Host) -> Result<Verdict, Failure> {
        let mut i = 0_u64;
        while black_box(true) {
            i = black_box(i.wrapping_add(1));
        }
        approve()
    }
}

export_plugin!(Spinner);
