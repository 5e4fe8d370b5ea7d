//! The node's own checks of a task, before it asks anybody: members, keys, paths, blind signing.

use std::sync::Arc;

use countersign_payload::{Decoded, Input, Intent};
use countersign_protocol::text::printable;
use countersign_protocol::{
    Authenticated, Committee, KeyDescriptor, KeyGen, KeyId, KeyReshare, KeyShareSign, KeySign,
    NodeId, Operation, PayloadKind, Refusal, RefusalCode, Scheme, TaskError,
};
use countersign_store::{Journal, KeyRecord, KeyStatus, ReadJournalError};
use countersign_verify::{DeriveError, ExtendedPublicKey};

use super::check_up::CheckUpPlan;
use super::keygen::KeyGenPlan;
use super::keysign::{KeySignPlan, PlannedInput};
use super::refusal::refusal;
use super::reshare::KeyResharePlan;
use super::succession::{self, Hindrance, Step};
use super::{Job, aux, history, quarantine, reshare};
use crate::config::{Config, LiveConfig};
use crate::risk::PartOf;
use crate::world::World;

/// A task that passed the node's own checks, resolved against its records.
#[derive(Clone)]
#[allow(missing_docs, reason = "the variants are named for the operations")]
pub enum Plan {
    KeyGen(KeyGenPlan),
    KeySign(KeySignPlan),
    KeyReshare(KeyResharePlan),
    /// Proves that this node's share is intact.
    CheckUp(CheckUpPlan),
}

/// Evaluates the same expression for every operation.
macro_rules! of_each {
    ($plan:expr, $inner:ident => $result:expr) => {
        match $plan {
            Plan::KeyGen($inner) => $result,
            Plan::KeySign($inner) => $result,
            Plan::KeyReshare($inner) => $result,
            Plan::CheckUp($inner) => $result,
        }
    };
}

#[allow(
    missing_docs,
    reason = "the methods are those of the same names in `Job`"
)]
impl Plan {
    pub fn question(&self) -> countersign_host::Operation {
        of_each!(self, plan => plan.question())
    }

    pub fn facts(&self) -> Vec<countersign_host::Statement> {
        of_each!(self, plan => plan.facts())
    }

    pub fn parties(&self) -> &[NodeId] {
        of_each!(self, plan => plan.parties())
    }

    pub fn makes_aux_for(&self, me: &NodeId) -> Option<&Committee> {
        of_each!(self, plan => plan.makes_aux_for(me))
    }

    pub fn bystanders(&self) -> Vec<NodeId> {
        of_each!(self, plan => plan.bystanders())
    }
}

macro_rules! parts {
    ($($variant:ident($part:ty),)*) => {
        $(impl PartOf<Plan> for $part {
            fn part_of(whole: Plan) -> Option<Self> {
                match whole {
                    Plan::$variant(part) => Some(part),
                    _ => None,
                }
            }
        })*
    };
}

parts! {
    KeyGen(KeyGenPlan),
    KeySign(KeySignPlan),
    KeyReshare(KeyResharePlan),
    CheckUp(CheckUpPlan),
}

/// Performs the node's own checks of tasks.
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct AdmissionControl {
    pub me: NodeId,
    pub world: World,
    pub journal: Journal,
    /// The roster, requesters, networks, and the keys for blind signing.
    pub config: Arc<LiveConfig>,
}

/// The node's records with one configuration: no decision is made partly by the old file and partly
/// by the new one.
#[derive(Clone, Copy)]
struct Basis<'a> {
    me: NodeId,
    world: &'a World,
    journal: &'a Journal,
    config: &'a Config,
}

impl AdmissionControl {
    /// The configuration in force, by which orders are authenticated. Ask again for the next order.
    pub fn rules(&self) -> Arc<Config> {
        self.config.now()
    }

    /// Resolves the task against this node's records, or says why it takes no part.
    pub fn admit(&self, task: &Authenticated, parties: &[NodeId]) -> Result<Plan, Refusal> {
        let config = self.config.now();
        let node = self.under(&config);
        check_requester(&config, task)?;
        check_life(&config, task)?;
        match &task.operation {
            Operation::KeyGen(keygen) => {
                admit_keygen(node, task, keygen, parties).map(Plan::KeyGen)
            }
            Operation::KeySign(keysign) => admit_keysign(node, keysign, parties).map(Plan::KeySign),
            Operation::KeyReshare(reshare) => {
                admit_reshare(node, task, reshare, parties).map(Plan::KeyReshare)
            }
            Operation::KeyShareSign(check_up) => {
                admit_check_up(node, task, check_up, parties).map(Plan::CheckUp)
            }
        }
    }

    /// Checks an admitted task once more against the configuration in force: its operator may have
    /// changed it while plugins were asked, or while the task waited for the other parties.
    pub fn permits(&self, task: &Authenticated, plan: &Plan) -> Result<(), Refusal> {
        let config = self.config.now();
        let node = self.under(&config);
        check_requester(&config, task)?;
        check_life(&config, task)?;
        on_roster(node, plan.parties())?;
        match (plan, &task.operation) {
            (Plan::KeySign(plan), Operation::KeySign(keysign)) => {
                check_reading(node, keysign, plan)
            }
            (Plan::KeyReshare(_), Operation::KeyReshare(reshare)) => {
                check_generation(node, reshare)
            }
            (Plan::KeyGen(_) | Plan::CheckUp(_), _) => Ok(()),
            (Plan::KeySign(_) | Plan::KeyReshare(_), _) => refuse(
                RefusalCode::Bug,
                "the task was planned as another operation; report this",
            ),
        }
    }

    fn under<'a>(&'a self, config: &'a Config) -> Basis<'a> {
        Basis {
            me: self.me,
            world: &self.world,
            journal: &self.journal,
            config,
        }
    }
}

/// The requester is listed, and a passkey's page is pinned, by this configuration too. What an
/// Ed25519 key has signed depends on none.
fn check_requester(config: &Config, task: &Authenticated) -> Result<(), Refusal> {
    let requester = &task.requester;
    let checked = if !config.requesters.contains_key(requester) {
        Err(TaskError::UnknownRequester(*requester))
    } else if requester.is_passkey() {
        task.signed().prove(requester, config.passkeys())
    } else {
        Ok(())
    };
    checked.or_else(|error| refuse(error.code().clone(), &error.to_string()))
}

fn check_life(config: &Config, task: &Authenticated) -> Result<(), Refusal> {
    let hours = config.task_hours;
    if task.patience() <= hours * 3_600_000 {
        return Ok(());
    }
    let reason = format!(
        "the task waits for longer than {hours} hours, the limit of this node; order it for a shorter time, or have limits.task_hours raised"
    );
    refuse(RefusalCode::TaskLifetime, &reason)
}

/// The payload must still read as the plugins were shown it, and may still be signed.
fn check_reading(
    node: Basis<'_>,
    keysign: &KeySign,
    approved: &KeySignPlan,
) -> Result<(), Refusal> {
    let decoded = read(node, &approved.record.descriptor, keysign)?;
    check_blind(node.config, keysign, &decoded.intent)?;
    let inputs = approved.inputs.iter().map(|planned| &planned.input);
    if decoded.intent == approved.intent && decoded.inputs.iter().eq(inputs) {
        return Ok(());
    }
    refuse(
        RefusalCode::PayloadNetwork,
        "the networks of this node's configuration were changed after the task was admitted, and the payload reads differently now; order it again as a new task",
    )
}

fn admit_keygen(
    node: Basis<'_>,
    task: &Authenticated,
    keygen: &KeyGen,
    parties: &[NodeId],
) -> Result<KeyGenPlan, Refusal> {
    if parties != keygen.committee.members() {
        return refuse(
            RefusalCode::PartiesMismatch,
            "the coordinator named other parties than the task; ask its operator why",
        );
    }
    all_known(node, parties)?;
    quarantine::check_new(node.journal, parties)?;
    Ok(KeyGenPlan::new(
        task.id,
        KeyId::of_task(&task.hash()),
        keygen.clone(),
        aux::known(node.journal, &keygen.committee),
    ))
}

fn admit_keysign(
    node: Basis<'_>,
    keysign: &KeySign,
    parties: &[NodeId],
) -> Result<KeySignPlan, Refusal> {
    let record = find_key(node, keysign.key)?;
    let descriptor = &record.descriptor;
    check_signers(keysign, &record, parties)?;
    all_known(node, parties)?;
    quarantine::check(node.journal, keysign.key, parties)?;
    let decoded = read(node, descriptor, keysign)?;
    check_blind(node.config, keysign, &decoded.intent)?;
    let (root, inputs) = derive(descriptor, decoded.inputs)?;
    Ok(KeySignPlan {
        root,
        inputs,
        record: record.into(),
        signers: parties.to_vec(),
        kind: keysign.payload.kind,
        intent: decoded.intent,
    })
}

/// A signature in which this node takes no part, as its plugins are told of it.
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct Foreign {
    pub key: KeyId,
    pub operation: countersign_host::Operation,
    /// Facts that have no field in the operation.
    pub facts: Vec<countersign_host::Statement>,
}

/// Describes a signature by others with a key that this node holds, as far as it can be read here.
/// A payload that this node would refuse to sign, or cannot read because its configuration knows
/// other networks, was approved all the same: it is described as opaque.
pub fn admit_foreign(
    node: &AdmissionControl,
    keysign: &KeySign,
    signers: &[NodeId],
) -> Result<Foreign, Refusal> {
    let config = node.config.now();
    let node = node.under(&config);
    let record = find_key(node, keysign.key)?;
    check_signers(keysign, &record, signers)?;
    let descriptor = &record.descriptor;
    let whole = read(node, descriptor, keysign)
        .and_then(|decoded| Ok((derive(descriptor, decoded.inputs)?, decoded.intent)));
    let ((root, inputs), intent) = match whole {
        Ok(whole) => whole,
        Err(_) => ((root(descriptor)?.to_string(), Vec::new()), Intent::Opaque),
    };
    let signers = signers.to_vec();
    let kind = keysign.payload.kind;
    let plan = KeySignPlan {
        root,
        inputs,
        record: record.into(),
        signers,
        kind,
        intent,
    };
    Ok(Foreign {
        key: keysign.key,
        operation: plan.question(),
        facts: plan.facts(),
    })
}

/// Decodes the payload under this node's rules.
fn read(node: Basis<'_>, key: &KeyDescriptor, keysign: &KeySign) -> Result<Decoded, Refusal> {
    let mut decoded = decode(node, key, keysign)?;
    if signs_binary(node.config, keysign) {
        decoded.intent = Intent::Message(keysign.payload.bytes.clone());
    }
    Ok(decoded)
}

fn signs_binary(config: &Config, keysign: &KeySign) -> bool {
    is_binary(keysign) && config.allow_binary.contains(&keysign.key)
}

/// An unreadable payload is signed only with keys that the operator lists for blind signing.
fn check_blind(config: &Config, keysign: &KeySign, intent: &Intent) -> Result<(), Refusal> {
    match intent {
        Intent::Opaque if !config.allow_blind.contains(&keysign.key) => {
            Err(refusal(RefusalCode::BlindSigning, blind(keysign)))
        }
        Intent::Opaque | Intent::Message(_) | Intent::Transaction(_) | Intent::TypedData(_) => {
            Ok(())
        }
    }
}

/// True of a message that is not text. 32 bytes may be a digest, and do not count as one.
fn is_binary(keysign: &KeySign) -> bool {
    let payload = &keysign.payload;
    payload.kind == PayloadKind::Message && payload.bytes.len() != 32 && payload.is_blind()
}

/// The reason for the requester. Only the operators' manual says that a key can be allowed
/// to sign such payloads.
fn blind(keysign: &KeySign) -> &'static str {
    if is_binary(keysign) {
        "the message is not text, so nobody can tell what is signed; send what it stands for under its own kind of payload"
    } else {
        "a bare digest says nothing of what is signed; send what it is the digest of"
    }
}

/// A holder of a share compares the present generation with its own record. A node without one
/// relies on the acknowledgements of all present members, and on its roster.
fn admit_reshare(
    node: Basis<'_>,
    task: &Authenticated,
    reshare: &KeyReshare,
    parties: &[NodeId],
) -> Result<KeyResharePlan, Refusal> {
    let dealers = reshare.dealers_among(parties).ok_or_else(|| {
        refusal(
            RefusalCode::PartiesMismatch,
            "the coordinator named other parties than the task needs; ask its operator why",
        )
    })?;
    all_known(node, parties)?;
    quarantine::check(node.journal, reshare.from.key, parties)?;
    check_steps(node, task, reshare)?;
    check_generation(node, reshare)?;
    let joins = reshare.committee.index_of(&node.me).is_some();
    let aux = if joins {
        aux::known(node.journal, &reshare.committee)
    } else {
        None
    };
    let root = root(&reshare.from)?.to_string();
    let reshare = Arc::new(reshare.clone());
    let parties = parties.to_vec();
    Ok(KeyResharePlan {
        task: task.id,
        created: task.created,
        reshare,
        dealers,
        parties,
        aux,
        root,
    })
}

/// One reshare of a key at a time, in the order in which they were ordered, and not too often.
fn check_steps(node: Basis<'_>, task: &Authenticated, reshare: &KeyReshare) -> Result<(), Refusal> {
    let key = reshare.from.key;
    let unreadable = |error: ReadJournalError| refusal(RefusalCode::Journal, &error.to_string());
    let known = history::steps(node.journal, key).map_err(unreadable)?;
    let step = Step {
        generation: reshare.generation(),
        created: task.created,
        task: task.id,
    };
    match succession::may_store(&step, &known) {
        Err(hindrance @ Hindrance::Unsettled(_)) => {
            return refuse(RefusalCode::ReshareUnsettled, &hindrance.to_string());
        }
        Err(hindrance @ Hindrance::Later(_)) => {
            return refuse(RefusalCode::ReshareOrder, &hindrance.to_string());
        }
        Ok(()) => {}
    }
    let started = history::started_at(node.journal, key).map_err(unreadable)?;
    let rate = node.config.reshares;
    match rate.next_allowed(node.world.now(), started.into_values()) {
        Some(at) => refuse(
            RefusalCode::ReshareRate,
            &reshare::too_often(key, &rate, at),
        ),
        None => Ok(()),
    }
}

fn check_generation(node: Basis<'_>, reshare: &KeyReshare) -> Result<(), Refusal> {
    let mine = node
        .journal
        .key(&reshare.from.key)
        .map_err(|error| refusal(RefusalCode::Journal, &error.to_string()))?;
    check_from(&node.me, mine.as_ref(), &reshare.from, |nodes| {
        on_roster(node, nodes)
    })
}

/// The generation that is reshared must be the one that this node holds or last heard of.
/// Without a record of its own, it must know every holder: acknowledgements of strangers prove
/// only that they signed.
fn check_from(
    me: &NodeId,
    mine: Option<&KeyRecord>,
    from: &KeyDescriptor,
    known: impl Fn(&[NodeId]) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let Some(mine) = mine else {
        return match from.committee.index_of(me) {
            None => known(from.committee.members()),
            Some(_) => refuse(
                RefusalCode::KeyUnknown,
                &format!(
                    "this node is a member of {} and holds no share of it; restore its store from a backup",
                    from.key
                ),
            ),
        };
    };
    // A node that gave its share up need not know the later generations; it joins like a stranger.
    let passed = match mine.status {
        KeyStatus::Released | KeyStatus::Leaving => mine.descriptor.generation < from.generation,
        KeyStatus::Pending | KeyStatus::Active => false,
    };
    if passed && mine.descriptor.is_same_key(from) {
        return known(from.committee.members());
    }
    if mine.descriptor.digest() != from.digest() {
        return refuse(
            RefusalCode::GenerationMismatch,
            &format!(
                "this node has generation {} of {} on record and not the one that is to be reshared; take the newest from the wallet",
                mine.descriptor.generation, from.key
            ),
        );
    }
    match mine.status {
        KeyStatus::Pending => refuse(
            RefusalCode::KeyPending,
            "not every member has confirmed this key; connect all of them to the coordinator",
        ),
        KeyStatus::Active | KeyStatus::Leaving | KeyStatus::Released => Ok(()),
    }
}

fn admit_check_up(
    node: Basis<'_>,
    task: &Authenticated,
    check_up: &KeyShareSign,
    parties: &[NodeId],
) -> Result<CheckUpPlan, Refusal> {
    let mut ordered = check_up.nodes.clone();
    ordered.sort_unstable();
    if parties != ordered {
        return refuse(
            RefusalCode::PartiesMismatch,
            "the coordinator named other parties than the task; ask its operator why",
        );
    }
    if !parties.contains(&node.me) {
        return not_a_party();
    }
    let record = find_key(node, check_up.key)?;
    let root = root(&record.descriptor)?.to_string();
    Ok(CheckUpPlan {
        record: record.into(),
        me: [node.me],
        task: task.hash(),
        root,
    })
}

/// Decodes the payload. Nobody is asked about one that this node cannot decode.
fn decode(node: Basis<'_>, key: &KeyDescriptor, keysign: &KeySign) -> Result<Decoded, Refusal> {
    countersign_payload::decode(
        &key.into(),
        &keysign.path,
        &keysign.payload,
        &node.config.networks,
    )
    .map_err(|error| refusal(error.code().clone(), &printable(&error.to_string(), 1000)))
}

/// The root as text, and the inputs with the keys that will sign them.
fn derive(key: &KeyDescriptor, inputs: Vec<Input>) -> Result<(String, Vec<PlannedInput>), Refusal> {
    let root = root(key)?;
    let inputs = inputs
        .into_iter()
        .map(|input| plan_input(key.scheme, &root, input));
    let inputs = inputs.collect::<Result<_, _>>().map_err(no_key)?;
    Ok((root.to_string(), inputs))
}

fn root(key: &KeyDescriptor) -> Result<ExtendedPublicKey, Refusal> {
    let root = ExtendedPublicKey::root(key.scheme, &key.root_public_key, key.chain_code.as_bytes());
    root.map_err(no_key)
}

fn no_key(error: DeriveError) -> Refusal {
    refusal(
        RefusalCode::Path,
        &format!("no key can be derived: {error}"),
    )
}

fn plan_input(
    scheme: Scheme,
    root: &ExtendedPublicKey,
    input: Input,
) -> Result<PlannedInput, DeriveError> {
    let child = root.derive(input.path.steps())?.public_key().to_vec();
    let key = input.child_key(scheme, &child);
    let public_key = key.verification_key()?;
    let tweak = key.tweak()?;
    Ok(PlannedInput {
        input,
        public_key,
        tweak,
    })
}

fn find_key(node: Basis<'_>, key: KeyId) -> Result<KeyRecord, Refusal> {
    let record = node
        .journal
        .key(&key)
        .map_err(|error| refusal(RefusalCode::Journal, &error.to_string()))?;
    let Some(record) = record else {
        return refuse(
            RefusalCode::KeyUnknown,
            &format!("this node holds no share of {key}; choose another signer"),
        );
    };
    match record.status {
        KeyStatus::Active => Ok(record),
        KeyStatus::Pending => refuse(
            RefusalCode::KeyPending,
            "not every member has confirmed this key; connect all of them to the coordinator",
        ),
        KeyStatus::Released | KeyStatus::Leaving => refuse(
            RefusalCode::KeyReleased,
            &format!("this node has handed {key} over to others; choose another signer"),
        ),
    }
}

/// Exactly t distinct members, as the requester asked, this node among them.
fn check_signers(keysign: &KeySign, record: &KeyRecord, parties: &[NodeId]) -> Result<(), Refusal> {
    let descriptor = &record.descriptor;
    let ascending = parties.windows(2).all(|pair| pair[0] < pair[1]);
    let members = parties
        .iter()
        .all(|party| descriptor.committee.index_of(party).is_some());
    if !ascending || !members || parties.len() != usize::from(descriptor.threshold.get()) {
        return refuse(
            RefusalCode::Signers,
            "the signers are not exactly as many members as the key needs; choose others",
        );
    }
    let asked = keysign.signers.clone().map(|mut signers| {
        signers.sort_unstable();
        signers
    });
    match asked {
        Some(asked) if asked != parties => refuse(
            RefusalCode::PartiesMismatch,
            "the coordinator named other signers than the task; ask its operator why",
        ),
        _ => Ok(()),
    }
}

/// Peers come from this node's own roster, never from the coordinator's word.
fn all_known(node: Basis<'_>, parties: &[NodeId]) -> Result<(), Refusal> {
    if !parties.contains(&node.me) {
        return not_a_party();
    }
    on_roster(node, parties)
}

fn on_roster(node: Basis<'_>, nodes: &[NodeId]) -> Result<(), Refusal> {
    let known = |peer: &&NodeId| **peer == node.me || node.config.roster.contains_key(peer);
    match nodes.iter().find(|party| !known(party)) {
        Some(stranger) => refuse(
            RefusalCode::PeerUnknown,
            &format!("{stranger} is not on this node's roster; add it if it should be"),
        ),
        None => Ok(()),
    }
}

fn not_a_party<T>() -> Result<T, Refusal> {
    refuse(
        RefusalCode::NotAParty,
        "this node is not among the parties; ask the coordinator's operator why it was asked",
    )
}

fn refuse<T>(code: RefusalCode, reason: &str) -> Result<T, Refusal> {
    Err(refusal(code, reason))
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
