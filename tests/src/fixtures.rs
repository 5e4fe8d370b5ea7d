//! Safe primes made once, so that tests need not search for them. Nothing outside this
//! crate can link them.

use std::path::Path;

use anyhow::Context;
use countersign_engine::SafePrime;

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
