//! What the journal remembers, and its bytes: a version, then postcard. Fields and variants are appended, never changed.

use countersign_protocol::{
    Announcement, Hash, KeyId, NodeId, Operation, Outcome, PluginVerdict, TaskId, UnixMillis,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// In front of every stored value.
pub(super) const VERSION: u8 = 1;

/// One task at this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Which task.
    pub task: TaskId,
    /// Hash of the exact bytes that the requester signed.
    pub hash: Hash,
    /// What it orders.
    pub kind: TaskKind,
    /// When the node first saw it.
    pub received_at: UnixMillis,
    /// Where it stands.
    pub state: State,
    /// What each plugin that was asked said.
    pub verdicts: Vec<PluginVerdict>,
    /// Who is to take part, in the order of their ids.
    pub parties: Vec<NodeId>,
    /// The bytes that the requester signed.
    pub bytes: Vec<u8>,
}

/// What a task orders, as the journal names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TaskKind {
    /// Make a new key.
    KeyGen,
    /// Use a key.
    KeySign,
}

/// Where a task stands at this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Approved, and not ended yet.
    Approved,
    /// Over. There is no way back.
    Ended {
        /// How.
        outcome: Box<Outcome>,
        /// When.
        at: UnixMillis,
    },
}

/// The public side of a key that this node holds a share of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The key. Its marks may still be incomplete while the key is pending.
    pub announcement: Announcement,
    /// Whether it may be used.
    pub status: KeyStatus,
    /// When the node stored it.
    pub created: UnixMillis,
}

/// Whether a key may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyStatus {
    /// Stored here, not yet confirmed by all members.
    Pending,
    /// Confirmed by all members.
    Active,
}

/// A plugin's state under one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StateValue {
    pub(super) value: Vec<u8>,
    pub(super) expires: Option<UnixMillis>,
}

/// An entry that a task changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reservation {
    pub(super) plugin: String,
    pub(super) key: String,
    pub(super) before: Option<StateValue>,
}

impl From<&Operation> for TaskKind {
    fn from(operation: &Operation) -> TaskKind {
        match operation {
            Operation::KeyGen(_) => TaskKind::KeyGen,
            Operation::KeySign(_) => TaskKind::KeySign,
        }
    }
}

impl TaskKind {
    /// The name in texts and logs.
    pub fn name(self) -> &'static str {
        match self {
            TaskKind::KeyGen => "KeyGen",
            TaskKind::KeySign => "KeySign",
        }
    }
}

impl KeyRecord {
    /// Which key it is.
    pub fn key(&self) -> KeyId {
        self.announcement.key
    }
}

impl StateValue {
    pub(super) fn is_alive(&self, now: UnixMillis) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

/// Bytes that this program cannot read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    Newer(u8),
    Malformed,
}

pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend(postcard::to_stdvec(value).unwrap_or_else(|error| unreachable!("plain data: {error}")));
    bytes
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => match postcard::take_from_bytes(rest) {
            Ok((value, [])) => Ok(value),
            _ => Err(Unreadable::Malformed),
        },
        Some((&version, _)) if version > VERSION => Err(Unreadable::Newer(version)),
        _ => Err(Unreadable::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::super::audit::{AuditHead, AuditKind};
    use super::super::outbox::Delivery;
    use super::*;
    use countersign_protocol::{
        Cause, Committee, Failure, InputSignature, Refusal, Scheme, SessionId, Signed, StoredMark, Threshold,
    };

    fn node(seed: u8) -> NodeId {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        NodeId::from_bytes(key.verifying_key().to_bytes()).unwrap()
    }

    fn row(state: State) -> Row {
        let verdict = PluginVerdict {
            plugin: "rules".into(),
            version: "1.0.0".into(),
            digest: Hash([1; 32]),
            config: Hash([2; 32]),
            approved: true,
            code: String::new(),
            reason: String::new(),
            micros: 300,
        };
        Row {
            task: TaskId([3; 16]),
            hash: Hash([4; 32]),
            kind: TaskKind::KeySign,
            received_at: UnixMillis(1_000),
            state,
            verdicts: vec![verdict],
            parties: vec![node(1)],
            bytes: b"{}".to_vec(),
        }
    }

    fn ended(outcome: Outcome) -> Row {
        row(State::Ended { outcome: outcome.into(), at: UnixMillis(2_000) })
    }

    fn announcement() -> Announcement {
        Announcement {
            key: KeyId::from_bytes([5; 16]).unwrap(),
            task: TaskId([3; 16]),
            session: SessionId([6; 32]),
            name: "n".into(),
            scheme: Scheme::Taproot,
            committee: Committee::new(vec![node(1), node(2)]).unwrap(),
            threshold: Threshold::try_from(2).unwrap(),
            generation: 1,
            root_public_key: vec![7; 33],
            chain_code: Hash([8; 32]),
            public_shares: Hash([9; 32]),
            aux: Some(Hash([10; 32])),
            stored: vec![StoredMark { node: node(1), signature: vec![11; 64] }],
        }
    }

    /// One value of each kind that is stored, by name.
    fn samples() -> Vec<(&'static str, Vec<u8>)> {
        let refusal = Refusal { code: "c".into(), reason: "r".into(), plugin: Some("p".into()) };
        let failure =
            Failure { cause: Cause::Bug, code: "c".into(), text: "t".into(), culprits: vec![node(2)] };
        let signed = Signed {
            session: SessionId([6; 32]),
            signatures: vec![InputSignature {
                path: "m/0/7".parse().unwrap(),
                public_key: vec![1, 2],
                signed_bytes: vec![3, 4],
                signature: vec![5, 6],
                recovery_id: Some(1),
            }],
        };
        let key =
            KeyRecord { announcement: announcement(), status: KeyStatus::Active, created: UnixMillis(3_000) };
        let state = StateValue { value: vec![1, 2, 3], expires: Some(UnixMillis(4_000)) };
        let head = AuditHead { entries: 7, hash: Hash([12; 32]) };
        let record = Some(Hash([13; 32]));
        let entry =
            head.append(UnixMillis(5_000), AuditKind::Ended, Some(TaskId([3; 16])), "t".into(), record);
        let delivery = Delivery {
            receiver: "r".into(),
            body: vec![1, 2],
            tries: 3,
            next: UnixMillis(6_000),
            given_up: Some("w".into()),
        };
        vec![
            ("approved", encode(&row(State::Approved))),
            ("created", encode(&ended(Outcome::Created(announcement())))),
            ("signed", encode(&ended(Outcome::Signed(signed)))),
            ("refused", encode(&ended(Outcome::Refused(refusal)))),
            ("failed", encode(&ended(Outcome::Failed(failure)))),
            ("key", encode(&key)),
            ("state", encode(&state)),
            ("audit", encode(&entry)),
            ("delivery", encode(&delivery)),
        ]
    }

    #[test]
    fn the_bytes_of_every_record_are_frozen() {
        let found: String =
            samples().iter().map(|(name, bytes)| format!("{name} {}\n", hex::encode(bytes))).collect();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1/records.txt");
        if std::env::var("BLESS").is_ok_and(|format| format == "v1") {
            std::fs::write(path, &found).unwrap();
        }
        assert_eq!(found, std::fs::read_to_string(path).unwrap());
    }

    #[test]
    fn only_exactly_one_record_of_a_known_version_is_read() {
        let mut bytes = encode(&row(State::Approved));
        assert_eq!(decode::<Row>(&bytes).unwrap(), row(State::Approved));
        assert_eq!(decode::<Row>(&bytes[..bytes.len() - 1]), Err(Unreadable::Malformed));
        bytes.push(0);
        assert_eq!(decode::<Row>(&bytes), Err(Unreadable::Malformed));
        bytes[0] = 2;
        assert_eq!(decode::<Row>(&bytes), Err(Unreadable::Newer(2)));
        assert_eq!(decode::<Row>(&[]), Err(Unreadable::Malformed));
    }
}
