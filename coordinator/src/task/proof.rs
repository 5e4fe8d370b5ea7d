//! When the result that a node reports is believed: never on its word.
//!
//! Every signature that the payload asks for must be there and verify under the child key derived
//! here from the wallet's root key; a new key, or a new generation of one, must be what the task
//! ordered and carry the marks of all parties; a check-up must prove its share. Libraries that sign
//! nothing do the checking.

use countersign_payload::{Input, Networks, decode};
use countersign_protocol::{
    Announcement, Hash, KeyGen, KeyId, KeyReshare, KeySign, NodeId, Operation, Outcome, Signed,
    Task,
};
use countersign_verify::verify_intact;

use super::record::Proof;

/// What was ordered, and of whom.
pub struct Order<'a> {
    /// The task.
    pub task: &'a Task,
    /// The hash of its exact bytes.
    pub hash: Hash,
    /// The wallet that it uses.
    pub wallet: Option<&'a Announcement>,
    /// Who takes part, in the order of their ids.
    pub parties: &'a [NodeId],
}

/// The proof in an outcome, or nothing if the outcome alone proves no result. An error says what is
/// wrong with the claim.
pub fn check(order: &Order<'_>, from: &NodeId, outcome: &Outcome) -> Result<Option<Proof>, String> {
    let wallet = || order.wallet.ok_or("the wallet is not known here");
    match (&order.task.operation, outcome) {
        (_, Outcome::Refused(_) | Outcome::Failed(_)) => Ok(None),
        (Operation::KeyGen(keygen), Outcome::Created(announcement)) => {
            check_created(order, keygen, announcement)?;
            Ok(Some(Proof::Created(Box::new(announcement.clone()))))
        }
        (Operation::KeySign(keysign), Outcome::Signed(signed)) => {
            check_signed(keysign, wallet()?, signed)?;
            Ok(Some(Proof::Signed(signed.clone())))
        }
        (Operation::KeyReshare(reshare), Outcome::Reshared(announcement)) => {
            check_reshared(order, reshare, announcement)?;
            Ok(Some(Proof::Reshared(Box::new(announcement.clone()))))
        }
        (Operation::KeyShareSign(_), Outcome::Intact(intact)) if intact.node == *from => {
            verify_intact(wallet()?, order.hash, intact).map_err(|error| error.to_string())?;
            Ok(None)
        }
        (Operation::KeyShareSign(_), Outcome::Intact(_)) => {
            Err("the proof of another node's share".into())
        }
        (operation, Outcome::Created(_)) => Err(format!("a new key for a {}", operation.name())),
        (operation, Outcome::Signed(_)) => Err(format!("a signature for a {}", operation.name())),
        (operation, Outcome::Reshared(_)) => {
            Err(format!("another generation for a {}", operation.name()))
        }
        (operation, Outcome::Intact(_)) => Err(format!("a check-up for a {}", operation.name())),
    }
}

/// The text of a wallet's root key: `xpub…` or `cpub…`.
pub fn extended_public_key(wallet: &Announcement) -> Result<String, String> {
    countersign_verify::extended_public_key(
        wallet.scheme,
        &wallet.root_public_key,
        wallet.chain_code.as_bytes(),
    )
    .map_err(|error| error.to_string())
}

fn check_created(order: &Order<'_>, keygen: &KeyGen, made: &Announcement) -> Result<(), String> {
    check_facts(&[
        ("key id", made.key == KeyId::of_task(&order.hash)),
        ("task", made.task == order.task.id),
        ("name", made.name == keygen.name),
        ("scheme", made.scheme == keygen.scheme),
        ("committee", made.committee == keygen.committee),
        ("threshold", made.threshold == keygen.threshold),
        ("generation", made.generation == 0),
        (
            "auxiliary information",
            made.aux.is_some() == keygen.scheme.needs_aux(),
        ),
    ])?;
    extended_public_key(made)?;
    if made.is_complete() {
        Ok(())
    } else {
        Err("not every holder's mark is there and verifies".into())
    }
}

/// Everything that a task says of the generation that it makes; nothing of marks.
pub fn check_next(
    task: &Task,
    reshare: &KeyReshare,
    parties: &[NodeId],
    made: &Announcement,
) -> Result<(), String> {
    check_facts(&[
        // Programs before the list of parties had none to show; whose marks count is known here in
        // any case.
        (
            "list of parties",
            made.parties().is_none_or(|listed| listed == parties),
        ),
        (
            "root key, chain code or name",
            made.is_same_key(&reshare.from),
        ),
        ("task", made.task == task.id),
        ("committee", made.committee == reshare.committee),
        ("threshold", made.threshold == reshare.threshold),
        ("generation", made.generation == reshare.generation()),
        (
            "auxiliary information",
            made.aux.is_some() == made.scheme.needs_aux(),
        ),
    ])
}

fn check_reshared(
    order: &Order<'_>,
    reshare: &KeyReshare,
    made: &Announcement,
) -> Result<(), String> {
    check_next(order.task, reshare, order.parties, made)?;
    let marked = made.stored.iter().map(|mark| &mark.node).eq(order.parties);
    if marked && made.succeeds(&reshare.from) {
        Ok(())
    } else {
        Err("not exactly the parties' marks are there and verify".into())
    }
}

fn check_facts(facts: &[(&str, bool)]) -> Result<(), String> {
    match facts.iter().find(|(_, fits)| !fits) {
        Some((fact, _)) => Err(format!("the {fact} is not the one that was ordered")),
        None => Ok(()),
    }
}

/// Every signature that was ordered, in order, each over the bytes that the payload itself gives.
fn check_signed(keysign: &KeySign, wallet: &Announcement, signed: &Signed) -> Result<(), String> {
    let inputs = inputs(keysign, wallet)?;
    countersign_payload::check_signed(&wallet.into(), &inputs, signed)
        .map_err(|error| error.to_string())
}

/// The signatures that a KeySign orders. The networks matter only to what they mean, which is not
/// judged here.
pub fn inputs(keysign: &KeySign, wallet: &Announcement) -> Result<Vec<Input>, String> {
    let decoded = decode(
        &wallet.into(),
        &keysign.path,
        &keysign.payload,
        &Networks::default(),
    );
    Ok(decoded.map_err(|error| error.to_string())?.inputs)
}
