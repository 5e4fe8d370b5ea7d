//! Writes auxiliary information for tests:
//! `cargo run -p countersign-engine --example fixture_aux -- PRIMES DIRECTORY`.
//!
//! One committee of three and one of five; takes minutes of CPU. Only for tests, as
//! its primes are public.
#![expect(clippy::disallowed_methods, reason = "a program, not the engine")]

use std::path::Path;

use countersign_engine::{
    Aux, AuxParams, Engine, MessageKind, PartyIndex, Primes, Recipient, SafePrime, Step, aux_info,
};
use rand::rngs::OsRng;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [primes, directory] = &arguments[..] else {
        panic!("usage: fixture_aux PRIMES DIRECTORY")
    };
    let primes = std::fs::read_to_string(primes).expect("a file of primes");
    let primes: Vec<String> = serde_json::from_str(&primes).expect("a list");
    for parties in [3, 5] {
        for aux in run(engines(parties, &primes)) {
            let name = format!("{parties}-{}.cbor", aux.index());
            std::fs::write(Path::new(directory).join(name), &*aux.to_bytes())
                .expect("a writable directory");
        }
    }
}

fn engines(parties: u16, primes: &[String]) -> Vec<Box<dyn Engine<Output = Aux>>> {
    let decode = |hex: &String| {
        SafePrime::from_bytes(&hex::decode(hex).expect("hexadecimal")).expect("a prime")
    };
    let sets = primes
        .chunks_exact(4)
        .map(|set| [0, 1, 2, 3].map(|i| decode(&set[i])));
    let sets = sets.map(|set| Primes::new(set).expect("distinct"));
    let engine = |(me, primes)| {
        let params = AuxParams {
            session: b"fixture",
            me: PartyIndex(me),
            parties,
        };
        aux_info(params, primes, OsRng).expect("valid parameters")
    };
    (0..parties).zip(sets).map(engine).collect()
}

/// Steps each party as far as it can go, in turn, and delivers at once.
fn run(mut engines: Vec<Box<dyn Engine<Output = Aux>>>) -> Vec<Aux> {
    let parties = engines.len();
    let mut done: Vec<_> = engines.iter().map(|_| None).collect();
    while done.iter().any(Option::is_none) {
        for me in 0..parties {
            while done[me].is_none() {
                match engines[me].step().expect("all parties are honest") {
                    Step::NeedMessage => break,
                    Step::Done(aux) => done[me] = Some(aux),
                    Step::Send(message) => deliver(&mut engines, me, message.to, &message.body),
                }
            }
        }
    }
    done.into_iter().flatten().collect()
}

fn deliver(engines: &mut [Box<dyn Engine<Output = Aux>>], from: usize, to: Recipient, body: &[u8]) {
    let sender = PartyIndex(from as u16);
    match to {
        Recipient::One(to) => engines[usize::from(to.0)].receive(sender, MessageKind::Direct, body),
        Recipient::All => {
            let mut others = engines.iter_mut().enumerate().filter(|(to, _)| *to != from);
            others.try_for_each(|(_, other)| other.receive(sender, MessageKind::Broadcast, body))
        }
    }
    .expect("honest messages are accepted");
}
