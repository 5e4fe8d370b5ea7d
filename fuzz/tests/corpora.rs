//! Runs every target on its seeds, on its kept inputs, and on deterministic alterations of both.

use countersign_fuzz::{Corpus, TARGETS, Target};
use countersign_protocol::PayloadKind;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// One test for each target, by its name.
macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let target = TARGETS.iter().find(|target| target.name == stringify!($name));
            replay(target.expect("the target is in the table"));
        })*

        #[test]
        fn no_target_is_left_out() {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

tests! {
    frames
    control_from_nodes
    control_to_nodes
    descriptors
    tasks
    audits
    payload_message
    payload_digest
    payload_digests
    payload_evm
    payload_eip191
    payload_eip712
    typed_data
    payload_eip7702
    payload_psbt
    payload_bitcoin_message
    payload_solana
    payload_forms
    documents
    node_config
    rules
    quorum
    votes
    bundles
    jwt_answers
    fireblocks_answers
    webhook_answers
    recovery_files
    texts
    journal_files
    journal_rows
    secrets_files
    sessions
    engine_bodies
    engine_runs
    engine_ecdsa
    derivation
}

#[test]
fn every_kind_of_payload_has_a_target() {
    for kind in PayloadKind::ALL {
        let of_kind = TARGETS.iter().filter(|target| target.kind == Some(kind));
        assert_eq!(of_kind.count(), 1, "{kind}");
    }
}

/// A seed of one section that is refused hides the others from the fuzzer.
#[test]
fn every_seed_of_the_configuration_is_read() {
    let target = TARGETS.iter().find(|target| target.name == "node_config");
    let target = target.expect("the target is in the table");
    for seed in (target.seeds)() {
        assert!(
            on_input(target, &seed),
            "{}",
            String::from_utf8_lossy(&seed)
        );
    }
}

fn replay(target: &Target) {
    // Capturing a backtrace for a panic that the code under test turns into an error takes memory.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    let corpus = Corpus::kept(target)
        .unwrap_or_else(|error| panic!("{error}"))
        .with_seeds(target);
    let inputs = corpus.inputs();
    assert!(!inputs.is_empty(), "a target begins with a seed");
    let read = inputs
        .iter()
        .filter(|input| on_input(target, input))
        .count();
    assert!(
        read > 0,
        "an input that is refused like all others shows nothing"
    );
    // Many inputs have few alterations each, so that no target takes long.
    let each = (target.alterations / inputs.len()).max(1);
    let mut chance = StdRng::seed_from_u64(1);
    for number in 0..target.alterations {
        let input = altered(inputs[number / each % inputs.len()], &inputs, &mut chance);
        on_input(target, &input[..input.len().min(target.max_bytes)]);
    }
}

/// Reports a failing input in a form that can be added to the corpus.
fn on_input(target: &Target, input: &[u8]) -> bool {
    let run = std::panic::AssertUnwindSafe(|| target.try_input(input));
    std::panic::catch_unwind(run).unwrap_or_else(|_| {
        let hex = hex::encode(input);
        panic!(
            "{} fails on this input; mend it, and keep it in corpus/{0}.txt:\n{hex}",
            target.name
        )
    })
}

/// One to four changes: a bit, a byte, a cut, a repetition, a piece of another input.
fn altered(input: &[u8], all: &[&[u8]], chance: &mut StdRng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..chance.gen_range(1..=4) {
        let at = chance.gen_range(0..=bytes.len());
        match chance.gen_range(0..6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << chance.gen_range(0..8),
            1 if at < bytes.len() => bytes[at] = chance.r#gen(),
            2 => bytes.truncate(at),
            3 => bytes.insert(at, chance.r#gen()),
            4 if at < bytes.len() => drop(bytes.remove(at)),
            _ => {
                let other = all[chance.gen_range(0..all.len())];
                let from = chance.gen_range(0..=other.len());
                let to = (from + chance.gen_range(0..32)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
        }
    }
    bytes
}
