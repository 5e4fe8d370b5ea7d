//! Proofs of true and of false statements, and the reason the library's own proof does not suffice.
#![cfg(test)]

use cggmp24::key_refresh::Msg;
use sha2::Sha256;

use super::*;
use crate::{AuxParams, PartyIndex, SafePrime, Step, aux_info};

const ID: [u8; 32] = [7; 32];

/// N^ of a fixture's party, with parameters made the way the library makes them.
struct Made {
    modulus: Integer,
    s: Integer,
    t: Integer,
    witness: Witness,
}

fn made(party: usize) -> Made {
    let list = include_str!("../../../tests/fixtures/primes/safe-primes.json");
    let list: Vec<String> = serde_json::from_str(list).unwrap();
    let prime = |index: usize| {
        let record = hex::decode(&list[4 * party + index]).unwrap();
        let digits: ByteBuf = ciborium::from_reader(&record[1..record.len() - 32]).unwrap();
        Integer::from_bytes_msf(&digits)
    };
    let p = prime(2);
    let q = prime(3);
    let modulus = &p * &q;
    let phi = (&p - 1u8) * (&q - 1u8);
    let mut rng = rand::rngs::OsRng;
    let t = Integer::sample_in_mult_group_of(&mut rng, &modulus)
        .square()
        .modulo(&modulus);
    let lambda = Integer::random_below(phi.clone() >> 2, &mut rng);
    let s = t.pow_mod_ref(&lambda, &modulus).unwrap();
    Made {
        modulus,
        s,
        t,
        witness: Witness { lambda, phi },
    }
}

impl Made {
    fn statement(&self) -> Statement<'_> {
        Statement {
            id: &ID,
            prover: 1,
            modulus: &self.modulus,
            s: &self.s,
            t: &self.t,
        }
    }
}

#[test]
fn what_is_true_is_shown_and_nothing_else() {
    let [made, other] = [0, 1].map(made);
    let proof = made
        .statement()
        .prove(&made.witness, &mut rand::rngs::OsRng)
        .unwrap();
    assert!(made.statement().is_shown_by(&proof));

    // The best that a cheat can do without luck: it knows λ, and s is that power with the other
    // sign, which no power of t has.
    let negative = &made.modulus - &made.s;
    let false_statement = || Statement {
        s: &negative,
        ..made.statement()
    };
    let tried = false_statement()
        .prove(&made.witness, &mut rand::rngs::OsRng)
        .unwrap();
    assert!(!false_statement().is_shown_by(&tried) && !false_statement().is_shown_by(&proof));

    let one = Integer::one();
    let zero = Integer::zero();
    for (name, statement) in [
        (
            "another run",
            Statement {
                id: &[8; 32],
                ..made.statement()
            },
        ),
        (
            "another prover",
            Statement {
                prover: 2,
                ..made.statement()
            },
        ),
        (
            "another modulus",
            Statement {
                modulus: &other.modulus,
                ..made.statement()
            },
        ),
        (
            "another pair",
            Statement {
                s: &other.s,
                t: &other.t,
                ..made.statement()
            },
        ),
        (
            "the pair turned round",
            Statement {
                s: &made.t,
                t: &made.s,
                ..made.statement()
            },
        ),
        (
            "t of order one",
            Statement {
                t: &one,
                ..made.statement()
            },
        ),
        (
            "no unit",
            Statement {
                s: &zero,
                ..made.statement()
            },
        ),
        (
            "s beyond the modulus",
            Statement {
                s: &(&made.s + &made.modulus),
                ..made.statement()
            },
        ),
    ] {
        assert!(!statement.is_shown_by(&proof), "{name}");
    }
}

#[test]
fn each_part_of_a_proof_counts() {
    let made = made(0);
    let proof = made
        .statement()
        .prove(&made.witness, &mut rand::rngs::OsRng)
        .unwrap();
    let shown = |alter: &dyn Fn(&mut Proof)| {
        let mut altered = proof.clone();
        alter(&mut altered);
        made.statement().is_shown_by(&altered)
    };
    for index in [0, 127] {
        assert!(
            !shown(&|proof| proof.responses[index][383] ^= 1),
            "response {index}"
        );
        assert!(
            !shown(&|proof| proof.challenge[index / 8] ^= 1 << (index % 8)),
            "bit {index}"
        );
    }
    assert!(!shown(&|proof| drop(proof.responses.pop())));
    assert!(!shown(&|proof| proof
        .responses
        .push(proof.responses[0].clone())));
    assert!(!shown(&|proof| proof.challenge.truncate(15)));
    assert!(!shown(&|proof| proof.responses[5].insert(0, 0)));
    // The same response with the modulus added to it, where that fits into its bytes.
    let larger = |response: &ByteBuf| fixed(&(Integer::from_bytes_msf(response) + &made.modulus));
    let fitting = proof
        .responses
        .iter()
        .enumerate()
        .find_map(|(index, response)| Some((index, larger(response)?)));
    let (index, larger) = fitting.expect("of 128 responses one is small");
    assert!(!shown(
        &|proof| proof.responses[index] = ByteBuf::from(larger.clone())
    ));
}

/// A challenge bit that is always zero does not count.
#[test]
fn all_bits_of_the_challenge_vary() {
    let made = made(0);
    let mut seen = [[false; 2]; BITS];
    for attempt in 0..64u8 {
        let statement = Statement {
            id: &[attempt; 32],
            ..made.statement()
        };
        let challenge = statement.challenge(&vec![Integer::one(); BITS]).unwrap();
        bits(&challenge)
            .enumerate()
            .for_each(|(index, bit)| seen[index][usize::from(bit)] = true);
    }
    assert!(seen.iter().all(|seen| *seen == [true, true]));
}

/// The reason for this proof. If this test fails, the library has changed: review it
/// again, and update SECURITY.md.
#[test]
fn the_library_draws_thirty_two_bits_of_its_challenge() {
    for party in 0..2 {
        let said = round_two(party);
        let zero = |index: usize| {
            let power = said
                .t
                .pow_mod_ref(&said.params_proof.zs[index], &said.hat_N);
            power.as_ref() == Some(&said.params_proof.commitment[index])
        };
        assert!((32..BITS).all(zero), "the last 96 bits are zero");
        assert!(!(0..32).all(zero), "a chance of 2^-32");
    }
}

/// An honest party's round 2 as the library makes it.
fn round_two(party: usize) -> cggmp24::key_refresh::msg::MsgRound2<Level> {
    let primes = || {
        let list = include_str!("../../../tests/fixtures/primes/safe-primes.json");
        let list: Vec<String> = serde_json::from_str(list).unwrap();
        let prime =
            |index: usize| SafePrime::from_bytes(&hex::decode(&list[index]).unwrap()).unwrap();
        crate::Primes::new([0, 1, 2, 3].map(|index| prime(4 * party + index))).unwrap()
    };
    let params = |me| AuxParams {
        session: b"weak",
        me: PartyIndex(me),
        parties: 2,
    };
    let mut engines = [0, 1].map(|me| aux_info(params(me), primes(), rand::rngs::OsRng).unwrap());
    let mut said = |index: usize, heard: &[u8]| {
        if !heard.is_empty() {
            let from = PartyIndex(1 - index as u16);
            engines[index]
                .receive(from, crate::MessageKind::Broadcast, heard)
                .unwrap();
        }
        match engines[index].step().unwrap() {
            Step::Send(message) => {
                assert!(matches!(engines[index].step().unwrap(), Step::NeedMessage));
                message.body.to_vec()
            }
            step => panic!("{step:?}"),
        }
    };
    let one = said(0, &[]);
    let other = said(1, &[]);
    let echo = (said(0, &other), said(1, &one)).1;
    let body = said(0, &echo);
    let value: ciborium::Value = ciborium::from_reader(&body[..]).unwrap();
    let round = &value.as_map().unwrap()[0].1.as_map().unwrap()[0].1;
    let mut bare = vec![];
    let message = ciborium::Value::Map(vec![("Round2".into(), round.clone())]);
    ciborium::into_writer(&message, &mut bare).unwrap();
    match ciborium::from_reader(&bare[..]).unwrap() {
        Msg::<Sha256, Level>::Round2(said) => said,
        _ => panic!("round 2"),
    }
}
