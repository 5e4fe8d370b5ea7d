//! Safe primes made once, so that tests need not search for them. Nothing outside this crate can link them.

use anyhow::Context;
use countersign_engine::SafePrime;
use std::path::Path;

/// The four fixture primes of a party.
pub fn primes(party: usize) -> anyhow::Result<Vec<SafePrime>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/primes/safe-primes.json");
    let all: Vec<String> = serde_json::from_slice(&std::fs::read(file)?)?;
    let mine = all.get(party * 4..party * 4 + 4).context("there are fixture primes for nine parties")?;
    mine.iter().map(|prime| Ok(SafePrime::from_bytes(&hex::decode(prime)?)?)).collect()
}
