//! The program that libFuzzer is linked into. `COUNTERSIGN_FUZZ` names the target; arguments are
//! libFuzzer's own. Seeds and kept inputs are first written into the folder
//! `COUNTERSIGN_FUZZ_CORPUS`, if it is set.
//!
//! `fuzz/run.sh` builds it with coverage (`fuzz/instrument.sh`) and runs it. It is not built
//! without the feature `libfuzzer`.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use countersign_fuzz::{Corpus, TARGETS, Target};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("COUNTERSIGN_FUZZ").unwrap_or_default();
    TARGETS
        .iter()
        .find(|target| target.name == name)
        .unwrap_or_else(|| {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            panic!(
                "COUNTERSIGN_FUZZ=`{name}` is not a target; name one of {}",
                names.join(" ")
            )
        })
});

libfuzzer_sys::fuzz_target!(init: unpack(), |input: &[u8]| {
    if input.len() <= TARGET.max_bytes {
        TARGET.try_input(input);
    }
});

fn unpack() {
    // libfuzzer-sys ends the process at every panic, but one that the code under test catches and
    // turns into an error is not a finding.
    let _ = std::panic::take_hook();
    let Some(folder) = std::env::var_os("COUNTERSIGN_FUZZ_CORPUS") else {
        return;
    };
    let kept = Corpus::kept(&TARGET).unwrap_or_else(|error| panic!("{error}"));
    kept.with_seeds(&TARGET)
        .unpack(Path::new(&folder))
        .unwrap_or_else(|error| panic!("{error}"));
}
