//! What the node itself demands of a task before it asks anybody: members, keys, paths, blind
//! signing.

use std::sync::Arc;

use countersign_payload::{Decoded, Input, Intent};
use countersign_protocol::text::printable;
use countersign_protocol::{
    Announcement, Authenticated, Committee, KeyGen, KeyId, KeyReshare, KeyShareSign, KeySign,
    NodeId, Operation, PayloadKind, Refusal, RefusalCode, Scheme,
};
use countersign_store::{KeyRecord, KeyStatus, ReadJournalError};
use countersign_verify::{DeriveError, ExtendedPublicKey};

use super::check_up::CheckUpPlan;
use super::keygen::KeyGenPlan;
use super::keysign::{KeySignPlan, PlannedInput};
use super::reshare::KeyResharePlan;
use super::succession::{self, Hindrance, Step};
use super::{Job, handover, quarantine, reshare};
use crate::config::Config;
use crate::core::Core;
use crate::risk::PartOf;

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

/// The same for every operation.
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

impl Plan {
    /// [`Job::question`].
    pub fn question(&self) -> countersign_host::Operation {
        of_each!(self, plan => plan.question())
    }

    /// [`Job::facts`].
    pub fn facts(&self) -> Vec<countersign_host::Statement> {
        of_each!(self, plan => plan.facts())
    }

    /// [`Job::parties`].
    pub fn parties(&self) -> &[NodeId] {
        of_each!(self, plan => plan.parties())
    }

    /// [`Job::makes_aux_for`].
    pub fn makes_aux_for(&self, me: &NodeId) -> Option<&Committee> {
        of_each!(self, plan => plan.makes_aux_for(me))
    }

    /// [`Job::bystanders`].
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

/// Resolves what the task is about, or says why this node takes no part.
pub fn admit(core: &Core, task: &Authenticated, parties: &[NodeId]) -> Result<Plan, Refusal> {
    match &task.operation {
        Operation::KeyGen(keygen) => admit_keygen(core, task, keygen, parties).map(Plan::KeyGen),
        Operation::KeySign(keysign) => admit_keysign(core, keysign, parties).map(Plan::KeySign),
        Operation::KeyReshare(reshare) => {
            admit_reshare(core, task, reshare, parties).map(Plan::KeyReshare)
        }
        Operation::KeyShareSign(check_up) => {
            admit_check_up(core, task, check_up, parties).map(Plan::CheckUp)
        }
    }
}

fn admit_keygen(
    core: &Core,
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
    all_known(core, parties)?;
    quarantine::check_new(&core.journal, parties)?;
    Ok(KeyGenPlan::new(
        task.id,
        KeyId::of_task(&task.hash()),
        keygen.clone(),
        core.aux_of(&keygen.committee),
    ))
}

fn admit_keysign(
    core: &Core,
    keysign: &KeySign,
    parties: &[NodeId],
) -> Result<KeySignPlan, Refusal> {
    let record = find_key(core, keysign.key)?;
    let announcement = &record.announcement;
    check_signers(keysign, &record, parties)?;
    all_known(core, parties)?;
    quarantine::check(&core.journal, keysign.key, parties)?;
    let decoded = read(core, announcement, keysign)?;
    check_blind(&core.config, keysign, &decoded.intent)?;
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

/// A signature in which this node takes no part.
pub struct Foreign {
    /// With which key.
    pub key: KeyId,
    /// What plugins are told.
    pub operation: countersign_host::Operation,
    /// What they are told besides.
    pub facts: Vec<countersign_host::Statement>,
}

/// What others sign with a key that this node holds, as far as it can be read here. What this node
/// would refuse to sign, or cannot read because its configuration knows other networks, was
/// approved all the same: it is shown as something of which nothing is known.
pub fn admit_foreign(
    core: &Core,
    keysign: &KeySign,
    signers: &[NodeId],
) -> Result<Foreign, Refusal> {
    let record = find_key(core, keysign.key)?;
    check_signers(keysign, &record, signers)?;
    let announcement = &record.announcement;
    let whole = read(core, announcement, keysign)
        .and_then(|decoded| Ok((derive(announcement, decoded.inputs)?, decoded.intent)));
    let ((root, inputs), intent) = match whole {
        Ok(whole) => whole,
        Err(_) => (
            (root(announcement)?.to_string(), Vec::new()),
            Intent::Opaque,
        ),
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

/// What the payload means here.
fn read(core: &Core, key: &Announcement, keysign: &KeySign) -> Result<Decoded, Refusal> {
    let mut decoded = decode(core, key, keysign)?;
    if signs_binary(&core.config, keysign) {
        decoded.intent = Intent::Message(keysign.payload.bytes.clone());
    }
    Ok(decoded)
}

fn signs_binary(config: &Config, keysign: &KeySign) -> bool {
    is_binary(keysign) && config.allow_binary.contains(&keysign.key)
}

/// What nobody can read is signed with the keys alone that the operator lists for that.
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

/// A message that is no text. 32 bytes may be a digest, and are none of these.
fn is_binary(keysign: &KeySign) -> bool {
    let payload = &keysign.payload;
    payload.kind == PayloadKind::Message && payload.bytes.len() != 32 && payload.is_blind()
}

/// Said to the requester. That operators can let a key sign such things is for their manual.
fn blind(keysign: &KeySign) -> &'static str {
    if is_binary(keysign) {
        "the message is no text, so nobody can tell what is signed; send what it stands for under its own kind of payload"
    } else {
        "a bare digest says nothing of what is signed; send what it is the digest of"
    }
}

/// Whoever holds a share compares the present generation with its own record. Whoever holds none
/// believes the marks of all present members, and the roster.
fn admit_reshare(
    core: &Core,
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
    all_known(core, parties)?;
    quarantine::check(&core.journal, reshare.from.key, parties)?;
    check_steps(core, task, reshare)?;
    check_generation(core, reshare)?;
    let joins = reshare.committee.index_of(&core.me).is_some();
    let aux = if joins {
        core.aux_of(&reshare.committee)
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
fn check_steps(core: &Core, task: &Authenticated, reshare: &KeyReshare) -> Result<(), Refusal> {
    let key = reshare.from.key;
    let unreadable = |error: ReadJournalError| refusal(RefusalCode::Journal, &error.to_string());
    let known = handover::steps(&core.journal, key).map_err(unreadable)?;
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
    let started = handover::started_at(&core.journal, key).map_err(unreadable)?;
    match core
        .config
        .reshares
        .next_allowed(core.now(), started.into_values())
    {
        Some(at) => refuse(
            RefusalCode::ReshareRate,
            &reshare::too_often(key, &core.config.reshares, at),
        ),
        None => Ok(()),
    }
}

fn check_generation(core: &Core, reshare: &KeyReshare) -> Result<(), Refusal> {
    let mine = core
        .journal
        .key(&reshare.from.key)
        .map_err(|error| refusal(RefusalCode::Journal, &error.to_string()))?;
    check_from(&core.me, mine.as_ref(), &reshare.from, |nodes| {
        on_roster(core, nodes)
    })
}

/// What this node holds, or last heard, of the key must be what is handed over. Where nothing of
/// its own speaks for the key, every holder must be somebody that it knows: marks of others prove
/// nothing but that they signed.
fn check_from(
    me: &NodeId,
    mine: Option<&KeyRecord>,
    from: &Announcement,
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
    // Whoever gave its share up need not know how the key went on; it joins like a stranger.
    let passed = match mine.status {
        KeyStatus::Released | KeyStatus::Leaving => mine.announcement.generation < from.generation,
        KeyStatus::Pending | KeyStatus::Active => false,
    };
    if passed && mine.announcement.is_same_key(from) {
        return known(from.committee.members());
    }
    if mine.announcement.digest() != from.digest() {
        return refuse(
            RefusalCode::GenerationMismatch,
            &format!(
                "this node has generation {} of {} on record and not the one that is to be handed over; take the newest from the wallet",
                mine.announcement.generation, from.key
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
    core: &Core,
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
    if !parties.contains(&core.me) {
        return not_a_party();
    }
    let record = find_key(core, check_up.key)?;
    let root = root(&record.announcement)?.to_string();
    Ok(CheckUpPlan {
        record: record.into(),
        me: [core.me],
        task: task.hash(),
        root,
    })
}

/// What the payload means. Nothing is asked of anybody about one that this node cannot read.
fn decode(core: &Core, key: &Announcement, keysign: &KeySign) -> Result<Decoded, Refusal> {
    countersign_payload::decode(
        &key.into(),
        &keysign.path,
        &keysign.payload,
        &core.config.networks,
    )
    .map_err(|error| refusal(error.code().clone(), &printable(&error.to_string(), 1000)))
}

/// The root as text, and the inputs with the keys that will sign them.
fn derive(key: &Announcement, inputs: Vec<Input>) -> Result<(String, Vec<PlannedInput>), Refusal> {
    let root = root(key)?;
    let inputs = inputs
        .into_iter()
        .map(|input| plan_input(key.scheme, &root, input));
    let inputs = inputs.collect::<Result<_, _>>().map_err(no_key)?;
    Ok((root.to_string(), inputs))
}

fn root(key: &Announcement) -> Result<ExtendedPublicKey, Refusal> {
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

fn find_key(core: &Core, key: KeyId) -> Result<KeyRecord, Refusal> {
    let record = core
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
    let announcement = &record.announcement;
    let ascending = parties.windows(2).all(|pair| pair[0] < pair[1]);
    let members = parties
        .iter()
        .all(|party| announcement.committee.index_of(party).is_some());
    if !ascending || !members || parties.len() != usize::from(announcement.threshold.get()) {
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
fn all_known(core: &Core, parties: &[NodeId]) -> Result<(), Refusal> {
    if !parties.contains(&core.me) {
        return not_a_party();
    }
    on_roster(core, parties)
}

fn on_roster(core: &Core, nodes: &[NodeId]) -> Result<(), Refusal> {
    let known = |node: &&NodeId| **node == core.me || core.config.roster.contains_key(node);
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

/// A refusal by the node itself.
pub fn refusal(code: RefusalCode, reason: &str) -> Refusal {
    Refusal {
        code,
        reason: reason.into(),
        plugin: None,
    }
}

fn refuse<T>(code: RefusalCode, reason: &str) -> Result<T, Refusal> {
    Err(refusal(code, reason))
}

#[cfg(test)]
mod tests {
    use countersign_protocol::{
        Committee, Hash, Payload, SessionId, TaskId, Threshold, UnixMillis,
    };

    use super::*;

    fn node(seed: u8) -> NodeId {
        let identity = countersign_link::Identity::from_seed(&[seed; 32]).unwrap();
        NodeId::from_bytes(identity.public().0).unwrap()
    }

    fn generation(number: u32, members: &[u8]) -> Announcement {
        Announcement {
            key: KeyId::from_bytes([2; 16]).unwrap(),
            task: TaskId([1; 16]),
            session: SessionId([3; 32]),
            name: "treasury".into(),
            scheme: Scheme::Ed25519,
            committee: Committee::new(members.iter().map(|seed| node(*seed)).collect()).unwrap(),
            threshold: Threshold::try_from(2).unwrap(),
            generation: number,
            root_public_key: vec![4; 32],
            chain_code: Hash([5; 32]),
            public_shares: Hash([6; 32]),
            aux: None,
            parties: Vec::new(),
            stored: Vec::new(),
        }
    }

    /// Node 1, whose roster is 2, 3 and 4.
    fn code(mine: Option<(KeyStatus, u32)>, from: &Announcement) -> Option<String> {
        let record = mine.map(|(status, number)| KeyRecord {
            announcement: generation(number, &[1, 2]),
            status,
            created: UnixMillis(0),
        });
        let roster = [2, 3, 4].map(node);
        let known = |nodes: &[NodeId]| {
            if nodes.iter().all(|node| roster.contains(node)) {
                Ok(())
            } else {
                refuse(RefusalCode::PeerUnknown, "x")
            }
        };
        check_from(&node(1), record.as_ref(), from, known)
            .err()
            .map(|refusal| refusal.code.to_string())
    }

    /// A key of invented holders, beside one or two that the node knows, carries all their marks.
    #[test]
    fn who_knows_nothing_of_a_key_believes_only_holders_that_it_knows() {
        assert_eq!(code(None, &generation(0, &[2, 3])), None);
        assert_eq!(
            code(None, &generation(0, &[2, 3, 9])).as_deref(),
            Some("peer-unknown")
        );
        assert_eq!(
            code(None, &generation(0, &[1, 2])).as_deref(),
            Some("key-unknown")
        );
        for given_up in [KeyStatus::Released, KeyStatus::Leaving] {
            assert_eq!(code(Some((given_up, 1)), &generation(2, &[3, 4])), None);
            let invented = generation(2, &[3, 9]);
            assert_eq!(
                code(Some((given_up, 1)), &invented).as_deref(),
                Some("peer-unknown")
            );
        }
    }

    #[test]
    fn who_holds_a_share_hands_on_what_it_has_on_record_and_nothing_else() {
        let present = generation(1, &[1, 2]);
        assert_eq!(code(Some((KeyStatus::Active, 1)), &present), None);
        assert_eq!(
            code(Some((KeyStatus::Pending, 1)), &present).as_deref(),
            Some("key-pending")
        );
        for other in [
            generation(2, &[1, 2]),
            generation(0, &[1, 2]),
            generation(1, &[1, 3]),
        ] {
            let refused = code(Some((KeyStatus::Active, 1)), &other);
            assert_eq!(refused.as_deref(), Some("generation-mismatch"));
        }
    }

    #[test]
    fn what_nobody_can_read_needs_a_key_that_is_listed_for_it() {
        let [blind, binary, other] = [1, 2, 3].map(|byte| KeyId::from_bytes([byte; 16]).unwrap());
        let text = format!(
            "coordinator: {{ address: '127.0.0.1:1', id: {} }}\nkeys: {{ allow_blind: [{blind}], allow_binary: [{binary}] }}\n\
             policy: {{ allow_unguarded: true }}\n",
            countersign_protocol::CoordinatorId::from_bytes(*node(1).as_bytes()).unwrap()
        );
        let config = Config::parse(&text, std::path::Path::new("/")).unwrap();
        let code = |key, kind, bytes: &[u8]| {
            let payload = Payload {
                kind,
                bytes: bytes.to_vec(),
                digests: Vec::new(),
            };
            let keysign = KeySign {
                key,
                path: "m".parse().unwrap(),
                payload,
                signers: None,
            };
            let opaque = keysign.payload.is_blind() && !signs_binary(&config, &keysign);
            let intent = if opaque {
                Intent::Opaque
            } else {
                Intent::Message(bytes.to_vec())
            };
            check_blind(&config, &keysign, &intent)
                .err()
                .map(|refusal| refusal.code.to_string())
        };
        let refused = Some("blind-signing".to_owned());
        let message = PayloadKind::Message;
        let digest = PayloadKind::Digest;
        for key in [blind, binary, other] {
            assert_eq!(code(key, message, b"pay"), None, "a text");
        }
        for (kind, bytes, with_binary) in [
            (message, &[0xff; 31][..], None),
            (message, &[0xff; 32], refused.clone()),
            (digest, &[0xff; 32], refused.clone()),
        ] {
            assert_eq!(code(blind, kind, bytes), None);
            assert_eq!(
                code(binary, kind, bytes),
                with_binary,
                "{kind:?} of {} bytes",
                bytes.len()
            );
            assert_eq!(code(other, kind, bytes), refused);
        }
    }
}
