//! Many random histories of a key, each of several resharings: committees that overlap or do not,
//! grow, shrink, and change their threshold.
//!
//! In every case the key stays, every subset of the last committee signs, and no share of an
//! earlier generation signs along with it.

use countersign_engine::{CommitteeIndex, SignParams, sign};
use rand::Rng;
use rand::rngs::OsRng;
use rand::seq::IteratorRandom;

use super::*;

/// 500 in total, over the schemes that sign in milliseconds.
const HISTORIES: [(Scheme, usize); 3] = [
    (Scheme::Ed25519, 200),
    (Scheme::SchnorrSecp256k1, 150),
    (Scheme::Taproot, 150),
];

#[test]
fn ed25519() {
    histories(HISTORIES[0]);
}

#[test]
fn schnorr() {
    histories(HISTORIES[1]);
}

#[test]
fn taproot() {
    histories(HISTORIES[2]);
}

fn histories((scheme, count): (Scheme, usize)) {
    let seed = rand::random();
    // Shown by the test runner when the test fails.
    println!("histories: seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let mixes: usize = (0..count).map(|_| history(scheme, &mut chance)).sum();
    assert!(mixes > 0, "shares of two generations met");
}

/// The nodes that hold a key, in order, with their shares.
struct Generation {
    nodes: Vec<u16>,
    threshold: u16,
    shares: Vec<Share>,
}

/// Returns the number of times that shares of two generations met.
fn history(scheme: Scheme, chance: &mut StdRng) -> usize {
    let (nodes, threshold) = committee(chance);
    let shares = generate(scheme, threshold, nodes.len() as u16, b"keygen");
    let mut generations = vec![Generation {
        nodes,
        threshold,
        shares,
    }];
    for _ in 0..chance.gen_range(1..=3) {
        let next = next(&generations[generations.len() - 1], chance);
        generations.push(next);
    }
    let last = generations.pop().expect("generations");
    let mixes = generations
        .iter()
        .filter(|before| does_not_mix(before, &last, chance))
        .count();
    // Root key and chain code were compared at every hop.
    signs_as(&generations[0].shares[0], last.shares);
    mixes
}

/// 2 to 7 of nine nodes, and a threshold.
fn committee(chance: &mut StdRng) -> (Vec<u16>, u16) {
    let size = chance.gen_range(2..=7);
    let mut nodes = (0..9).choose_multiple(chance, size);
    nodes.sort_unstable();
    (nodes, chance.gen_range(2..=size as u16))
}

/// A random committee takes over from a sufficient number of random members.
fn next(old: &Generation, chance: &mut StdRng) -> Generation {
    let (nodes, threshold) = committee(chance);
    let dealers = (0..old.shares.len()).choose_multiple(chance, old.threshold.into());
    let parties: Vec<Role> = (0..9)
        .filter_map(|node| {
            let held = old.nodes.iter().position(|member| *member == node);
            let deals = held
                .filter(|index| dealers.contains(index))
                .map(|index| CommitteeIndex(index as u16));
            let joins = nodes.contains(&node);
            (deals.is_some() || joins).then_some(Role { deals, joins })
        })
        .collect();
    let shares = reshared(&old.shares, &parties, threshold);
    assert_eq!(shares.len(), nodes.len());
    Generation {
        nodes,
        threshold,
        shares,
    }
}

/// Takes a random subset of the last committee, in which one signer uses its share of an earlier
/// generation. If the committees do not allow for it, that signer cannot even begin. Returns
/// true if it began.
fn does_not_mix(before: &Generation, last: &Generation, chance: &mut StdRng) -> bool {
    let members = 0..last.shares.len() as u16;
    let mut signers = members
        .map(CommitteeIndex)
        .choose_multiple(chance, last.threshold.into());
    signers.sort_unstable();
    let relapse = chance.gen_range(0..signers.len());
    let Some(old) = before.shares.get(usize::from(signers[relapse].0)) else {
        return false;
    };
    let mut engines = vec![];
    for (me, signer) in signers.iter().enumerate() {
        let share = if me == relapse {
            old
        } else {
            &last.shares[usize::from(signer.0)]
        };
        match signer_with(share, me, &signers) {
            Ok(engine) => engines.push(engine),
            Err(error) => {
                let fitting =
                    before.threshold == last.threshold && before.shares.len() >= last.shares.len();
                assert!(me == relapse && !fitting, "{error}");
                return false;
            }
        }
    }
    never_signs(engines);
    true
}

fn signer_with(
    share: &Share,
    me: usize,
    signers: &[CommitteeIndex],
) -> Result<Box<dyn Engine<Output = Signature>>, EngineError> {
    let me = PartyIndex(me as u16);
    sign(
        SignParams {
            session: b"mixed",
            me,
            signers,
            path: &[],
            script_root: None,
            message: message(),
        },
        share,
        None,
        OsRng,
    )
}
