//! What the node itself demands of a task before it asks anybody: members, keys, paths, blind signing.

use super::check_up::CheckUpPlan;
use super::keygen::KeyGenPlan;
use super::keysign::{KeySignPlan, PlannedInput};
use super::reshare::KeyResharePlan;
use super::{Job, quarantine};
use crate::core::Core;
use countersign_payload::{Decoded, Input, Intent};
use countersign_protocol::text::escaped;
use countersign_protocol::{
    Announcement, Authenticated, KeyGen, KeyId, KeyReshare, KeyShareSign, KeySign, NodeId, Operation,
    PayloadKind, Refusal, Scheme, Task,
};
use countersign_store::{Handover, HandoverStage, KeyRecord, KeyStatus};
use countersign_verify::{DeriveError, ExtendedPublicKey};
use std::sync::Arc;

/// An admitted task.
pub enum Plan {
    /// Make a key.
    KeyGen(KeyGenPlan),
    /// Use a key.
    KeySign(KeySignPlan),
    /// Hand a key over.
    KeyReshare(KeyResharePlan),
    /// Prove that this node's share is intact.
    CheckUp(CheckUpPlan),
}

impl Plan {
    /// What plugins are asked, and receivers told.
    pub fn question(&self) -> countersign_host::Operation {
        match self {
            Plan::KeyGen(plan) => plan.question(),
            Plan::KeySign(plan) => plan.question(),
            Plan::KeyReshare(plan) => plan.question(),
            Plan::CheckUp(plan) => plan.question(),
        }
    }

    /// What is told of it besides.
    pub fn facts(&self) -> Vec<countersign_host::Statement> {
        match self {
            Plan::KeyGen(plan) => plan.facts(),
            Plan::KeySign(plan) => plan.facts(),
            Plan::KeyReshare(plan) => plan.facts(),
            Plan::CheckUp(plan) => plan.facts(),
        }
    }
}

/// Resolves what the task is about, or says why this node takes no part.
pub fn admit(core: &Core, task: &Authenticated<Task>, parties: &[NodeId]) -> Result<Plan, Refusal> {
    match &task.operation {
        Operation::KeyGen(keygen) => admit_keygen(core, task, keygen, parties).map(Plan::KeyGen),
        Operation::KeySign(keysign) => admit_keysign(core, keysign, parties).map(Plan::KeySign),
        Operation::KeyReshare(reshare) => admit_reshare(core, task, reshare, parties).map(Plan::KeyReshare),
        Operation::KeyShareSign(check_up) => admit_check_up(core, task, check_up, parties).map(Plan::CheckUp),
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
    quarantine::check(&core.journal, keysign.key, parties)?;
    let mut decoded = decode(core, announcement, keysign)?;
    if is_binary(keysign) && core.config.allow_binary.contains(&keysign.key) {
        decoded.intent = Intent::Message(keysign.payload.bytes.clone());
    }
    if decoded.intent == Intent::Opaque && !core.config.allow_blind.contains(&keysign.key) {
        return Err(refusal("blind-signing", &blind(keysign)));
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

/// A message that is no text. 32 bytes may be a digest, and are none of these.
fn is_binary(keysign: &KeySign) -> bool {
    let payload = &keysign.payload;
    payload.kind == PayloadKind::Message && payload.bytes.len() != 32 && payload.is_blind()
}

fn blind(keysign: &KeySign) -> String {
    let key = keysign.key;
    match is_binary(keysign) {
        true => format!(
            "the message is no text, so nobody can tell what is signed; if it is no transaction, list {key} under \
             keys.allow_binary, and have a plugin judge it"
        ),
        false => format!(
            "a bare digest says nothing of what is signed; send the payload, or list {key} under keys.allow_blind"
        ),
    }
}

/// Whoever holds a share compares the present generation with its own record. Whoever holds none believes the marks of all
/// present members, and the roster.
fn admit_reshare(
    core: &Core,
    task: &Authenticated<Task>,
    reshare: &KeyReshare,
    parties: &[NodeId],
) -> Result<KeyResharePlan, Refusal> {
    let dealers = reshare.dealers_among(parties).ok_or_else(|| {
        refusal(
            "parties-mismatch",
            "the coordinator named other parties than the task needs; ask its operator why",
        )
    })?;
    all_known(core, parties)?;
    quarantine::check(&core.journal, reshare.from.key, parties)?;
    check_settled(core, reshare.from.key)?;
    check_generation(core, reshare)?;
    let joins = reshare.committee.index_of(&core.me).is_some();
    let aux = if joins { core.aux_of(&reshare.committee) } else { None };
    let root = root(&reshare.from)?.to_string();
    let (reshare, parties) = (Arc::new(reshare.clone()), parties.to_vec());
    Ok(KeyResharePlan { task: task.id, reshare, dealers, parties, aux, root })
}

fn check_settled(core: &Core, key: KeyId) -> Result<(), Refusal> {
    let open = core.journal.handovers().map_err(|error| refusal("journal", &error.to_string()))?;
    let of_key = |known: &&Handover| known.announcement.key == key && known.stage == HandoverStage::Open;
    match open.iter().find(of_key) {
        Some(known) => refuse(
            "reshare-unsettled",
            &format!(
                "the reshare of task {} is not settled at this node; connect all its parties to the coordinator",
                known.task
            ),
        ),
        None => Ok(()),
    }
}

/// What this node holds, or last heard, of the key must be what is handed over.
fn check_generation(core: &Core, reshare: &KeyReshare) -> Result<(), Refusal> {
    let from = &reshare.from;
    let mismatch = |mine: &KeyRecord| {
        refuse(
            "generation-mismatch",
            &format!(
                "this node has generation {} of {} on record and not the one that is to be handed over; take the newest from the wallet",
                mine.announcement.generation, from.key
            ),
        )
    };
    match core.journal.key(&from.key) {
        // Whoever gave its share up need not know how the key went on; it joins like a stranger.
        Ok(Some(mine))
            if mine.status == KeyStatus::Released
                && mine.announcement.is_same_key(from)
                && mine.announcement.generation < from.generation =>
        {
            Ok(())
        }
        Ok(Some(mine)) if mine.announcement.digest() != from.digest() => mismatch(&mine),
        Ok(Some(mine)) if mine.status == KeyStatus::Pending => refuse(
            "key-pending",
            "not every member has confirmed this key; connect all of them to the coordinator",
        ),
        Ok(Some(_)) => Ok(()),
        Ok(None) if from.committee.index_of(&core.me).is_none() => Ok(()),
        Ok(None) => refuse(
            "key-unknown",
            &format!(
                "this node is a member of {} and holds no share of it; restore its store from a backup",
                from.key
            ),
        ),
        Err(error) => refuse("journal", &error.to_string()),
    }
}

fn admit_check_up(
    core: &Core,
    task: &Authenticated<Task>,
    check_up: &KeyShareSign,
    parties: &[NodeId],
) -> Result<CheckUpPlan, Refusal> {
    let mut ordered = check_up.nodes.clone();
    ordered.sort_unstable();
    if parties != ordered {
        return refuse(
            "parties-mismatch",
            "the coordinator named other parties than the task; ask its operator why",
        );
    }
    if !parties.contains(&core.me) {
        return not_a_party();
    }
    let record = find_key(core, check_up.key)?;
    let root = root(&record.announcement)?.to_string();
    Ok(CheckUpPlan { record: record.into(), me: [core.me], task: task.hash(), root })
}

/// What the payload means. Nothing is asked of anybody about one that this node cannot read.
fn decode(core: &Core, key: &Announcement, keysign: &KeySign) -> Result<Decoded, Refusal> {
    countersign_payload::decode(&key.into(), &keysign.path, &keysign.payload, &core.config.networks)
        .map_err(|error| refusal(error.code(), &printable(&error.to_string())))
}

/// The root as text, and the inputs with the keys that will sign them.
fn derive(key: &Announcement, inputs: Vec<Input>) -> Result<(String, Vec<PlannedInput>), Refusal> {
    let root = root(key)?;
    let inputs = inputs.into_iter().map(|input| plan_input(key.scheme, &root, input));
    let inputs = inputs.collect::<Result<_, _>>().map_err(no_key)?;
    Ok((root.to_string(), inputs))
}

fn root(key: &Announcement) -> Result<ExtendedPublicKey, Refusal> {
    let root = ExtendedPublicKey::root(key.scheme, &key.root_public_key, key.chain_code.as_bytes());
    root.map_err(no_key)
}

fn no_key(error: DeriveError) -> Refusal {
    refusal("path", &format!("no key can be derived: {error}"))
}

fn plan_input(scheme: Scheme, root: &ExtendedPublicKey, input: Input) -> Result<PlannedInput, DeriveError> {
    let child = root.derive(input.path.steps())?.public_key().to_vec();
    let key = input.child_key(scheme, &child);
    let (public_key, tweak) = (key.verification_key()?, key.tweak()?);
    Ok(PlannedInput { input, child, public_key, tweak })
}

fn find_key(core: &Core, key: KeyId) -> Result<KeyRecord, Refusal> {
    match core.journal.key(&key) {
        Ok(Some(record)) if record.status == KeyStatus::Active => Ok(record),
        Ok(Some(record)) if record.status == KeyStatus::Released => refuse(
            "key-released",
            &format!("this node has handed {key} over to others; choose another signer"),
        ),
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
        return not_a_party();
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

fn not_a_party<T>() -> Result<T, Refusal> {
    refuse(
        "not-a-party",
        "this node is not among the parties; ask the coordinator's operator why it was asked",
    )
}

/// Words that may quote the requester, fit for a log and a journal.
fn printable(text: &str) -> String {
    escaped(text).chars().take(1000).collect()
}

/// A refusal by the node itself.
pub fn refusal(code: &str, reason: &str) -> Refusal {
    Refusal { code: code.into(), reason: reason.into(), plugin: None }
}

fn refuse<T>(code: &str, reason: &str) -> Result<T, Refusal> {
    Err(refusal(code, reason))
}
