//! What the node itself demands of a task before it asks anybody: members, keys, paths, blind signing.

use super::Job;
use super::keygen::KeyGenPlan;
use super::keysign::{KeySignPlan, PlannedInput};
use crate::core::Core;
use countersign_payload::{Decoded, Input, Intent};
use countersign_protocol::{
    Announcement, Authenticated, KeyGen, KeyId, KeySign, NodeId, Operation, Refusal, Scheme, Task,
};
use countersign_store::{KeyRecord, KeyStatus};
use countersign_verify::{DeriveError, ExtendedPublicKey, taproot_output_key, taproot_tweak};

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
    let decoded = decode(core, announcement, keysign)?;
    if decoded.intent == Intent::Opaque && !core.config.allow_blind.contains(&keysign.key) {
        return refuse(
            "blind-signing",
            &format!(
                "a bare digest says nothing of what is signed; send the payload, or list {} under keys.allow_blind",
                keysign.key
            ),
        );
    }
    let (root, inputs) = derive(announcement, decoded.inputs)?;
    Ok(KeySignPlan {
        root,
        inputs,
        record: record.into(),
        signers: parties.to_vec(),
        kind: keysign.payload.kind,
        intent: decoded.intent,
    })
}

/// What the payload means. Nothing is asked of anybody about one that this node cannot read.
fn decode(core: &Core, key: &Announcement, keysign: &KeySign) -> Result<Decoded, Refusal> {
    let key = countersign_payload::Key {
        scheme: key.scheme,
        root_public_key: &key.root_public_key,
        chain_code: key.chain_code.as_bytes(),
    };
    countersign_payload::decode(&key, &keysign.path, &keysign.payload, &core.config.networks)
        .map_err(|error| refusal(error.code(), &printable(&error.to_string())))
}

/// The root as text, and the inputs with the keys that will sign them.
fn derive(key: &Announcement, inputs: Vec<Input>) -> Result<(String, Vec<PlannedInput>), Refusal> {
    let no_key = |error: DeriveError| refusal("path", &format!("no key can be derived: {error}"));
    let root = ExtendedPublicKey::root(key.scheme, &key.root_public_key, key.chain_code.as_bytes());
    let root = root.map_err(no_key)?;
    let inputs = inputs.into_iter().map(|input| plan_input(key.scheme, &root, input));
    let inputs = inputs.collect::<Result<_, _>>().map_err(no_key)?;
    Ok((root.to_string(), inputs))
}

fn plan_input(scheme: Scheme, root: &ExtendedPublicKey, input: Input) -> Result<PlannedInput, DeriveError> {
    let Input { path, signed_bytes } = input;
    let child = root.derive(path.steps())?.public_key().to_vec();
    let (public_key, tweak) = match scheme {
        Scheme::Taproot => (taproot_output_key(&child)?.to_vec(), Some(taproot_tweak(&child)?.to_vec())),
        Scheme::EcdsaSecp256k1 | Scheme::Ed25519 | Scheme::SchnorrSecp256k1 => (child.clone(), None),
    };
    Ok(PlannedInput { path, signed_bytes, child, public_key, tweak })
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

/// Words that may quote the requester, fit for a log and a journal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1000).collect()
}

/// A refusal by the node itself.
pub fn refusal(code: &str, reason: &str) -> Refusal {
    Refusal { code: code.into(), reason: reason.into(), plugin: None }
}

fn refuse<T>(code: &str, reason: &str) -> Result<T, Refusal> {
    Err(refusal(code, reason))
}
