//! Files made once: safe primes, so that tests need not search for them, and the folders of earlier
//! releases. Nothing outside this crate can link them.

use std::path::Path;
use std::process::Command;

use anyhow::Context;
use countersign_engine::SafePrime;
use tempfile::TempDir;

use crate::process;

/// Four fixture primes: those of set `number`, 0 to 23.
pub fn primes(number: usize) -> anyhow::Result<Vec<SafePrime>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/primes/safe-primes.json");
    let all: Vec<String> = serde_json::from_slice(&std::fs::read(file)?)?;
    let mine = all
        .get(number * 4..number * 4 + 4)
        .context("there are 24 sets of fixture primes")?;
    mine.iter()
        .map(|prime| Ok(SafePrime::from_bytes(&hex::decode(prime)?)?))
        .collect()
}

/// A copy of what the programs of an earlier release left behind.
pub fn folder(version: &str) -> anyhow::Result<TempDir> {
    let dir = tempfile::Builder::new().prefix("countersign-").tempdir()?;
    let packed = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(version)
        .join("folder.tar.xz");
    let mut unpack = Command::new("tar");
    unpack.args(["--no-same-owner", "-xJf"]).arg(&packed);
    process::expect_success(unpack.arg("-C").arg(dir.path()))?;
    Ok(dir)
}
