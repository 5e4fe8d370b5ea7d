//! Writes auxiliary information for tests: `cargo run -p countersign-engine --example fixture_aux -- PRIMES DIRECTORY`.
//!
//! One committee of three and one of five; minutes of CPU. Use it for tests only, as its primes are public.

#[path = "../tests/it/driver.rs"]
mod driver;

use std::path::Path;

use countersign_engine::{AuxParams, PartyIndex, Primes, SafePrime, aux_info};
use rand::rngs::OsRng;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [primes, directory] = &arguments[..] else { panic!("usage: fixture_aux PRIMES DIRECTORY") };
    let primes = std::fs::read_to_string(primes).expect("a file of primes");
    let primes: Vec<String> = serde_json::from_str(&primes).expect("a list");
    for parties in [3, 5] {
        for aux in run(parties, &primes) {
            let name = format!("{parties}-{}.cbor", aux.index());
            std::fs::write(Path::new(directory).join(name), &*aux.to_bytes()).expect("a writable directory");
        }
    }
}

fn run(parties: u16, primes: &[String]) -> Vec<countersign_engine::Aux> {
    let decode =
        |hex: &String| SafePrime::from_bytes(&hex::decode(hex).expect("hexadecimal")).expect("a prime");
    let sets = primes.chunks_exact(4).map(|set| [0, 1, 2, 3].map(|i| decode(&set[i])));
    let sets = sets.map(|set| Primes::new(set).expect("distinct"));
    let engines = (0..parties).zip(sets).map(|(me, primes)| {
        let params = AuxParams { session: b"fixture", me: PartyIndex(me), parties };
        aux_info(params, primes, OsRng).expect("valid parameters")
    });
    let outcomes = driver::run_altered(engines.collect(), |packet| {
        let driver::Packet { from, to, kind, number, body } = packet;
        eprintln!("{kind:?} message {number} from {from} to {to}: {} bytes", body.len());
    });
    outcomes.into_iter().map(|outcome| outcome.expect("no party waits").expect("no party fails")).collect()
}
