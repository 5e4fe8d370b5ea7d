//! Writes safe primes for tests: `cargo run --release -p countersign-engine --example
//! fixture_primes -- COUNT`.
//!
//! Prints a JSON list of hexadecimal strings. Primes in a public repository protect nothing: never
//! use them for a wallet.
#![expect(clippy::disallowed_methods, reason = "a program, not the engine")]

use std::time::Instant;

use countersign_engine::primes::generate_safe_prime;
use rand::rngs::OsRng;

fn main() {
    let count = std::env::args()
        .nth(1)
        .and_then(|count| count.parse().ok())
        .unwrap_or(36);
    let start = Instant::now();
    let mut primes = Vec::new();
    for _ in 0..count {
        let prime = generate_safe_prime(&mut OsRng, &mut || true).expect("not cancelled");
        primes.push(hex::encode(&*prime.to_bytes()));
    }
    println!(
        "{}",
        serde_json::to_string_pretty(&primes).expect("strings encode")
    );
    eprintln!("{count} primes in {:.1?}", start.elapsed());
}
