//! What the node itself demands of a task before it asks anybody: members, keys, paths, blind signing.

use super::Job;
use super::keygen::KeyGenPlan;
use super::keysign::{Derived, KeySignPlan};
use crate::core::Core;
use countersign_protocol::{
    Announcement, Authenticated, KeyGen, KeyId, KeySign, NodeId, Operation, Refusal, Task,
};
use countersign_store::{KeyRecord, KeyStatus};
use countersign_verify::DeriveError;

/// An admitted task.
pub enum Plan {
    /// Make a key.
    KeyGen(KeyGenPlan),
    /// Use a key.
    KeySign(KeySignPlan),
}

impl Plan {
    /// What plugins are asked, and receivers told.
    pub fn question(&self) -> countersign_host::Operation {
        match self {
            Plan::KeyGen(plan) => plan.question(),
            Plan::KeySign(plan) => plan.question(),
        }
    }
}

/// Resolves what the task is about, or says why this node takes no part.
pub fn admit(core: &Core, task: &Authenticated<Task>, parties: &[NodeId]) -> Result<Plan, Refusal> {
    match &task.operation {
        Operation::KeyGen(keygen) => admit_keygen(core, task, keygen, parties).map(Plan::KeyGen),
        Operation::KeySign(keysign) => admit_keysign(core, keysign, parties).map(Plan::KeySign),
    }
}

fn admit_keygen(
    core: &Core,
    task: &Authenticated<Task>,
    keygen: &KeyGen,
    parties: &[NodeId],
) -> Result<KeyGenPlan, Refusal> {
    if parties != keygen.committee.members() {
        return refuse(
            "parties-mismatch",
            "the coordinator named other parties than the task; ask its operator why",
        );
    }
    all_known(core, parties)?;
    Ok(KeyGenPlan::new(task.id, KeyId::of_task(&task.hash()), keygen.clone(), core.aux_of(&keygen.committee)))
}

fn admit_keysign(core: &Core, keysign: &KeySign, parties: &[NodeId]) -> Result<KeySignPlan, Refusal> {
    let record = find_key(core, keysign.key)?;
    let announcement = &record.announcement;
    check_signers(keysign, &record, parties)?;
    all_known(core, parties)?;
    if keysign.payload.is_blind() && !core.config.allow_blind.contains(&keysign.key) {
        return refuse(
            "blind-signing",
            &format!(
                "a bare digest says nothing of what is signed; send the payload, or list {} under keys.allow_blind",
                keysign.key
            ),
        );
    }
    match derive(announcement, keysign) {
        Ok(derived) => Ok(KeySignPlan::new(record, keysign.clone(), parties.to_vec(), derived)),
        Err(error) => refuse("path", &format!("no key can be derived along {}: {error}", keysign.path)),
    }
}

fn derive(key: &Announcement, keysign: &KeySign) -> Result<Derived, DeriveError> {
    let (root, chain_code) = (&key.root_public_key, key.chain_code.as_bytes());
    let (child, _) = countersign_verify::derive_public(key.scheme, root, chain_code, keysign.path.steps())?;
    Ok(Derived { child, root: countersign_verify::extended_public_key(key.scheme, root, chain_code)? })
}

fn find_key(core: &Core, key: KeyId) -> Result<KeyRecord, Refusal> {
    match core.journal.key(&key) {
        Ok(Some(record)) if record.status == KeyStatus::Active => Ok(record),
        Ok(Some(_)) => refuse(
            "key-pending",
            "not every member has confirmed this key; connect all of them to the coordinator",
        ),
        Ok(None) => {
            refuse("key-unknown", &format!("this node holds no share of {key}; choose another signer"))
        }
        Err(error) => refuse("journal", &error.to_string()),
    }
}

/// Exactly t distinct members, as the requester asked, this node among them.
fn check_signers(keysign: &KeySign, record: &KeyRecord, parties: &[NodeId]) -> Result<(), Refusal> {
    let announcement = &record.announcement;
    let ascending = parties.windows(2).all(|pair| pair[0] < pair[1]);
    let members = parties.iter().all(|party| announcement.committee.index_of(party).is_some());
    if !ascending || !members || parties.len() != usize::from(announcement.threshold.get()) {
        return refuse(
            "signers",
            "the signers are not exactly as many members as the key needs; choose others",
        );
    }
    let asked = keysign.signers.clone().map(|mut signers| {
        signers.sort_unstable();
        signers
    });
    match asked {
        Some(asked) if asked != parties => refuse(
            "parties-mismatch",
            "the coordinator named other signers than the task; ask its operator why",
        ),
        _ => Ok(()),
    }
}

/// Peers come from this node's own roster, never from the coordinator's word.
fn all_known(core: &Core, parties: &[NodeId]) -> Result<(), Refusal> {
    if !parties.contains(&core.me) {
        return refuse(
            "not-a-party",
            "this node is not among the parties; ask the coordinator's operator why it was asked",
        );
    }
    let known = |party: &&NodeId| **party == core.me || core.config.roster.contains_key(party);
    match parties.iter().find(|party| !known(party)) {
        Some(stranger) => refuse(
            "peer-unknown",
            &format!("{stranger} is not on this node's roster; add it if it should be"),
        ),
        None => Ok(()),
    }
}

/// A refusal by the node itself.
pub fn refusal(code: &str, reason: &str) -> Refusal {
    Refusal { code: code.into(), reason: reason.into(), plugin: None }
}

fn refuse<T>(code: &str, reason: &str) -> Result<T, Refusal> {
    Err(refusal(code, reason))
}
