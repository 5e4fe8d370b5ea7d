//! Tasks, the orders of requesters, as JSON text. The requester signs a labelled hash of the
//! exact bytes ([`SignedTask::signed_message`], `docs/task-api.md`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::approver::ApproverKey;
use crate::code::RefusalCode;
use crate::committee::{Committee, CommitteeError, Threshold};
use crate::hash::Hash;
use crate::id::{KeyId, NodeId, TaskId};
use crate::operation_kind::OperationKind;
use crate::order_proof::{NotBelieved, OrderProof, Passkeys};
use crate::path::DerivationPath;
use crate::payload::{Payload, PayloadError};
use crate::requester::RequesterId;
use crate::reshare::KeyReshare;
use crate::scheme::Scheme;
use crate::text::{is_hidden, is_plain, of_parser};
use crate::vote::Vote;

/// Milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

/// A request with one outcome per node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// The version of the task format, 1.
    pub version: u16,
    /// Chosen at random by the requester; the same id never means anything else.
    pub id: TaskId,
    /// The time at which the requester made it.
    pub created: UnixMillis,
    /// Nothing is approved or started after this time.
    pub not_after: UnixMillis,
    /// The requester, whose key signs the task.
    pub requester: RequesterId,
    /// A remark of the requester for people and plugins; nobody verifies it. At most 256 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The requester's statements about the business behind the task, by name, for plugins; nobody
    /// verifies them. At most [`Task::MAX_CLAIMS`]. Names: lower-case letters, digits and `-`, at
    /// most 64 bytes. Values: at most [`Task::MAX_CLAIM_BYTES`] each and [`Task::MAX_CLAIMS_BYTES`]
    /// together, without control characters except line feed and tab.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "distinct_claims"
    )]
    pub claims: BTreeMap<String, String>,
    /// Approvals to collect before the nodes are asked. Absent: they are asked at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collect: Option<Collect>,
    /// The operation that is ordered.
    pub operation: Operation,
}

/// Approvals by people that a coordinator collects before it offers a task to nodes. How many are
/// enough is for each node to decide, from the votes themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collect {
    /// The number of people who have to approve, 1 to [`Collect::MAX_VOTES`].
    pub votes: u16,
    /// The task expires if they have not approved by then. Not after the task's `not_after`, and at
    /// most [`Task::MAX_LIFE_MS`] before it.
    pub until: UnixMillis,
}

/// An operation that a task orders. Operations are appended, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Makes a new key.
    KeyGen(KeyGen),
    /// Signs with a key.
    KeySign(KeySign),
    /// Hands a key over to another committee, or deals new shares of it to the same.
    KeyReshare(Box<KeyReshare>),
    /// Lets holders prove that their shares are intact.
    KeyShareSign(KeyShareSign),
}

impl Operation {
    /// True if the task may be as large as one with a PSBT: its payload may be larger than most.
    fn may_be_large(&self) -> bool {
        match self {
            Self::KeySign(sign) => Payload::max_bytes(sign.payload.kind) > Payload::MAX_BYTES,
            Self::KeyGen(_) | Self::KeyReshare(_) | Self::KeyShareSign(_) => false,
        }
    }
}

/// Makes a new key. All members take part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyGen {
    /// A name for people, at most 64 bytes.
    pub name: String,
    /// The scheme that the key is for. One key serves one scheme.
    pub scheme: Scheme,
    /// The future holders of the key.
    pub committee: Committee,
    /// The number of members that must sign.
    pub threshold: Threshold,
}

/// Signs with a key, or with a child of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySign {
    /// The key, by the id of its KeyGen.
    pub key: KeyId,
    /// The child that signs; `m` is the root key itself.
    pub path: DerivationPath,
    /// The content to be signed.
    pub payload: Payload,
    /// The signers. Absent: the coordinator chooses among the members online.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signers: Option<Vec<NodeId>>,
}

/// Lets holders prove that their shares are intact, each independently. Nothing is signed, and
/// nothing can be spent with the proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyShareSign {
    /// The key, by the id of its KeyGen.
    pub key: KeyId,
    /// The nodes that are to prove their shares.
    pub nodes: Vec<NodeId>,
}

impl Operation {
    /// The operation's name in texts and logs.
    pub fn name(&self) -> &'static str {
        OperationKind::from(self).title()
    }
}

/// The reason a task is not accepted. Each has a stable [code](TaskError::code).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// Over [`SignedTask::MAX_BYTES`], or [`SignedTask::MAX_PSBT_BYTES`] with a PSBT.
    #[error(
        "the task has {0} bytes, at most {max} are allowed, and {psbt} with a PSBT; shorten the payload",
        max = SignedTask::MAX_BYTES,
        psbt = SignedTask::MAX_PSBT_BYTES
    )]
    TooLarge(usize),
    /// Not the JSON of a task, with the parser's message.
    #[error("the task cannot be read ({0}); correct the named field")]
    Malformed(String),
    /// An unknown version of the task format.
    #[error(
        "the task has format version {0}, this program knows 1; update the older of the two programs"
    )]
    Version(u16),
    /// The requester is not listed in the configuration.
    #[error(
        "requester {0} is not listed here; add it under `requesters` in the configuration if it may order tasks"
    )]
    UnknownRequester(RequesterId),
    /// The signature does not match bytes and requester.
    #[error(
        "the signature does not match the task; sign exactly the bytes that are sent, with the key of `requester`"
    )]
    BadSignature,
    /// The requester is a passkey, and no pages are pinned here.
    #[error(
        "requester {0} is a passkey, and no page may ask for its signature here; add the section `passkeys` to the configuration, with the pages of your organisation"
    )]
    NoPasskeys(RequesterId),
    /// The assertion does not prove the task, with the reason.
    #[error("the passkey's signature does not prove the task: {0}")]
    Passkey(String),
    /// The assertion is of another page or domain than those that are pinned here, with the reason.
    /// Others may pin it.
    #[error("the passkey's signature does not prove the task: {0}")]
    ForeignPage(String),
    /// Made this many seconds in the future.
    #[error("the task was made {0} s in the future; set the clocks right")]
    FromTheFuture(u64),
    /// Past its `not_after` by this many seconds.
    #[error("the task expired {0} s ago; make a new one")]
    Expired(u64),
    /// A lifetime that is too long or not positive.
    #[error(
        "the task may live at most {max} s, or {collecting} s if it collects votes, and must end after it begins; choose an earlier not_after",
        max = Task::MAX_LIFE_MS / 1000,
        collecting = Task::MAX_COLLECTING_LIFE_MS / 1000
    )]
    Lifetime,
    /// A number of votes or a time limit for them that cannot be.
    #[error(
        "`collect` asks for 1 to {max} votes, until a time after `created`, not after `not_after` and at most a day before it; correct it",
        max = Collect::MAX_VOTES
    )]
    Collect,
    /// A text that is too long, or has characters that display as something else.
    #[error("`{0}` is too long, or has control, directional or invisible characters; correct it")]
    Text(&'static str),
    /// Claims that are too many, too long, or badly named.
    #[error(
        "the claims are not valid ({0}); give at most {max} claims, named by lower-case letters, digits and `-`, with texts of at most {bytes} bytes each and {total} together",
        max = Task::MAX_CLAIMS,
        bytes = Task::MAX_CLAIM_BYTES,
        total = Task::MAX_CLAIMS_BYTES
    )]
    Claims(&'static str),
    /// Threshold and committee do not match.
    #[error(transparent)]
    Committee(#[from] CommitteeError),
    /// A payload that cannot be signed.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// Signers listed twice, or too many.
    #[error(
        "the list of signers names a node twice or does not have 2 to 9 entries; list each signer once"
    )]
    Signers,
    /// A reshare of a key whose descriptor its members have not acknowledged.
    #[error("the key descriptor in the task is not valid ({0}); take it from the wallet")]
    From(&'static str),
    /// Not exactly as many dealers, all of them members, as the key needs.
    #[error(
        "the dealers must be exactly {0} different members of the present committee; correct the list"
    )]
    Dealers(u16),
    /// Nodes of a check-up that are listed twice, too many or none.
    #[error(
        "the list of nodes names one twice or does not have 1 to 9 entries; list each node once"
    )]
    Nodes,
}

impl TaskError {
    /// The stable code on the wire and in decision records.
    pub fn code(&self) -> &'static RefusalCode {
        match self {
            Self::TooLarge(_) => &RefusalCode::TaskTooLarge,
            Self::Malformed(_) => &RefusalCode::TaskMalformed,
            Self::Version(_) => &RefusalCode::TaskVersion,
            Self::UnknownRequester(_) => &RefusalCode::RequesterUnknown,
            Self::BadSignature => &RefusalCode::RequesterSignature,
            Self::NoPasskeys(_) | Self::Passkey(_) | Self::ForeignPage(_) => {
                &RefusalCode::RequesterPasskey
            }
            Self::FromTheFuture(_) => &RefusalCode::TaskFromTheFuture,
            Self::Expired(_) => &RefusalCode::TaskExpired,
            Self::Lifetime => &RefusalCode::TaskLifetime,
            Self::Collect => &RefusalCode::TaskCollect,
            Self::Text(_) => &RefusalCode::TaskText,
            Self::Claims(_) => &RefusalCode::TaskClaims,
            Self::Committee(_) => &RefusalCode::TaskCommittee,
            Self::Payload(_) => &RefusalCode::TaskPayload,
            Self::Signers => &RefusalCode::TaskSigners,
            Self::From(_) => &RefusalCode::TaskFrom,
            Self::Dealers(_) => &RefusalCode::TaskDealers,
            Self::Nodes => &RefusalCode::TaskNodes,
        }
    }
}

impl Task {
    /// The tolerated lead of the requester's clock over the reader's.
    pub const MAX_SKEW_MS: u64 = 30_000;
    /// The longest time between `created` and `not_after` of a task that collects no votes.
    pub const MAX_LIFE_MS: u64 = 24 * 3600 * 1000;
    /// The longest time between `created` and `not_after` of a task that collects votes. A node's
    /// operator may allow less.
    pub const MAX_COLLECTING_LIFE_MS: u64 = 7 * Self::MAX_LIFE_MS;
    /// The maximum number of claims.
    pub const MAX_CLAIMS: usize = 16;
    /// The maximum size of one claim, in bytes.
    pub const MAX_CLAIM_BYTES: usize = 16 * 1024;
    /// The maximum size of all claims together, without their names, in bytes.
    pub const MAX_CLAIMS_BYTES: usize = 32 * 1024;

    /// Serialises the task as JSON. The requester signs exactly these bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self)
            .unwrap_or_else(|error| unreachable!("a task is plain data: {error}"))
    }

    /// The time from `created` to `not_after`, in ms; 0 if it is not positive.
    pub fn life(&self) -> u64 {
        self.not_after.0.saturating_sub(self.created.0)
    }

    /// The time for which people or nodes are waited for, in ms: until the end of the votes, if it
    /// collects some, and until its own end if not.
    pub fn patience(&self) -> u64 {
        let end = self.collect.map_or(self.not_after, |collect| collect.until);
        end.0.saturating_sub(self.created.0)
    }

    /// Performs all checks that need neither the time nor the list of requesters.
    fn check(&self) -> Result<(), TaskError> {
        if self.version != 1 {
            return Err(TaskError::Version(self.version));
        }
        let longest = match &self.collect {
            Some(collect) => {
                collect.check(self.created, self.not_after)?;
                Self::MAX_COLLECTING_LIFE_MS
            }
            None => Self::MAX_LIFE_MS,
        };
        if !(1..=longest).contains(&self.life()) {
            return Err(TaskError::Lifetime);
        }
        check_text("note", self.note.as_deref().unwrap_or_default(), 256)?;
        check_claims(&self.claims)?;
        match &self.operation {
            Operation::KeyGen(keygen) => keygen.check(),
            Operation::KeySign(keysign) => keysign.check(),
            Operation::KeyReshare(reshare) => reshare.check(),
            Operation::KeyShareSign(check_up) => check_up.check(),
        }
    }

    /// Checks that apply to new orders only, so that old ones stay readable: texts must not contain
    /// characters that display as something else.
    fn check_words(&self) -> Result<(), TaskError> {
        let name = match &self.operation {
            Operation::KeyGen(keygen) => keygen.name.as_str(),
            Operation::KeySign(_) | Operation::KeyReshare(_) | Operation::KeyShareSign(_) => "",
        };
        for (what, text) in [
            ("note", self.note.as_deref().unwrap_or_default()),
            ("name", name),
        ] {
            if !is_plain(text) {
                return Err(TaskError::Text(what));
            }
        }
        let hides = |text: &String| text.chars().any(|c| is_hidden(c) && c != '\n' && c != '\t');
        if self.claims.values().any(hides) {
            Err(TaskError::Claims("a hidden character"))
        } else if self.claims.contains_key(Vote::CLAIM) {
            // Plugins find the votes of people under this name.
            Err(TaskError::Claims("`votes`, which is reserved"))
        } else {
            Ok(())
        }
    }

    fn check_window(&self, now: UnixMillis) -> Result<(), TaskError> {
        if self.created.0 > now.0.saturating_add(Self::MAX_SKEW_MS) {
            return Err(TaskError::FromTheFuture((self.created.0 - now.0) / 1000));
        }
        match now.0.checked_sub(self.not_after.0) {
            Some(late) => Err(TaskError::Expired(late / 1000)),
            None => Ok(()),
        }
    }
}

impl Collect {
    /// The maximum number of people: an approval and a rejection of each can be carried.
    pub const MAX_VOTES: usize = Vote::MAX_OF_TASK / 2;

    fn check(&self, created: UnixMillis, not_after: UnixMillis) -> Result<(), TaskError> {
        let votes = (1..=Self::MAX_VOTES).contains(&usize::from(self.votes));
        let rest = not_after.0.checked_sub(self.until.0);
        let ends = rest.is_some_and(|rest| rest <= Task::MAX_LIFE_MS);
        if votes && self.until > created && ends {
            Ok(())
        } else {
            Err(TaskError::Collect)
        }
    }
}

impl KeyGen {
    fn check(&self) -> Result<(), TaskError> {
        check_text("name", &self.name, 64)?;
        Ok(self.committee.threshold(self.threshold)?)
    }
}

impl KeySign {
    fn check(&self) -> Result<(), TaskError> {
        self.payload.check()?;
        let Some(signers) = &self.signers else {
            return Ok(());
        };
        Committee::new(signers.clone())
            .map(drop)
            .map_err(|_| TaskError::Signers)
    }
}

impl KeyShareSign {
    fn check(&self) -> Result<(), TaskError> {
        let fits =
            (1..=*Committee::SIZES.end()).contains(&self.nodes.len()) && distinct(&self.nodes);
        if fits { Ok(()) } else { Err(TaskError::Nodes) }
    }
}

pub(crate) fn distinct(nodes: &[NodeId]) -> bool {
    nodes.iter().collect::<BTreeSet<_>>().len() == nodes.len()
}

pub(crate) fn check_text(what: &'static str, text: &str, max: usize) -> Result<(), TaskError> {
    if text.len() > max || text.chars().any(char::is_control) {
        Err(TaskError::Text(what))
    } else {
        Ok(())
    }
}

fn check_claims(claims: &BTreeMap<String, String>) -> Result<(), TaskError> {
    let named = |name: &str| {
        (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    let plain = |text: &str| {
        !text
            .chars()
            .any(|c| c.is_control() && c != '\n' && c != '\t')
    };
    let facts = [
        ("too many", claims.len() <= Task::MAX_CLAIMS),
        ("a name", claims.keys().all(|name| named(name))),
        (
            "a control character",
            claims.values().all(|text| plain(text)),
        ),
        (
            "a long text",
            claims
                .values()
                .all(|text| text.len() <= Task::MAX_CLAIM_BYTES),
        ),
        (
            "long together",
            claims.values().map(String::len).sum::<usize>() <= Task::MAX_CLAIMS_BYTES,
        ),
    ];
    match facts.iter().find(|(_, fits)| !fits) {
        Some((wrong, _)) => Err(TaskError::Claims(wrong)),
        None => Ok(()),
    }
}

/// Deserialises claims and rejects duplicate names, of which readers could believe different ones.
fn distinct_claims<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    struct Claims;
    impl<'de> serde::de::Visitor<'de> for Claims {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a map of names to texts")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> Result<Self::Value, A::Error> {
            let mut claims = BTreeMap::new();
            while let Some((name, text)) = map.next_entry::<String, String>()? {
                if claims.contains_key(&name) {
                    return Err(serde::de::Error::custom(format_args!(
                        "duplicate claim `{name}`"
                    )));
                }
                claims.insert(name, text);
            }
            Ok(claims)
        }
    }
    deserializer.deserialize_map(Claims)
}

/// A task as it travels: its exact bytes and the requester's signature over them. Not yet trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedTask {
    /// The JSON text of a [`Task`].
    pub bytes: Vec<u8>,
    /// Over [`SignedTask::signed_message`], by the key of [`Task::requester`].
    pub signature: OrderProof,
}

impl SignedTask {
    /// The maximum size of most tasks, in bytes.
    pub const MAX_BYTES: usize = 256 * 1024;
    /// The maximum size of a task that signs a PSBT, which it contains in hexadecimal.
    pub const MAX_PSBT_BYTES: usize = 2 * Payload::MAX_PSBT_BYTES + Self::MAX_BYTES;

    /// The message that a requester signs for these task bytes: a labelled hash, so that no other
    /// signature of the key fits. For a passkey it is the challenge.
    pub fn signed_message(bytes: &[u8]) -> [u8; 32] {
        Hash::of("countersign/1 task signature", bytes).0
    }

    /// Hash of exactly these bytes.
    pub fn hash(&self) -> Hash {
        Self::hash_of(&self.bytes)
    }

    /// The [hash](Self::hash) of the task with these bytes.
    pub fn hash_of(bytes: &[u8]) -> Hash {
        Hash::of("countersign/1 task", bytes)
    }

    /// Parses the task within its bounds. The result is an unproven claim; only
    /// [`Claimed::authenticate`] proves the requester.
    pub fn parse(&self) -> Result<Task, TaskError> {
        let length = self.bytes.len();
        if length > Self::MAX_PSBT_BYTES {
            return Err(TaskError::TooLarge(length));
        }
        let task: Task = countersign_strict::json(&self.bytes)
            .map_err(|error| TaskError::Malformed(of_parser(&error)))?;
        if length > Self::MAX_BYTES && !task.operation.may_be_large() {
            return Err(TaskError::TooLarge(length));
        }
        task.check()?;
        Ok(task)
    }

    /// Parses the task once, and keeps its exact bytes.
    pub fn claim(self) -> Result<Claimed, TaskError> {
        Ok(Claimed {
            task: self.parse()?,
            hash: self.hash(),
            signed: self,
        })
    }

    /// Checks that `requester` signed these bytes, and judges nothing else of them. Passkeys are
    /// believed only with `passkeys`, the pages that may ask for their signatures.
    pub fn prove(
        &self,
        requester: &RequesterId,
        passkeys: Option<&dyn Passkeys>,
    ) -> Result<(), TaskError> {
        let message = Self::signed_message(&self.bytes);
        match (requester.key(), &self.signature) {
            (ApproverKey::Ed25519(_), OrderProof::Ed25519(signature)) => requester
                .verify(&message, signature)
                .then_some(())
                .ok_or(TaskError::BadSignature),
            (ApproverKey::Passkey(key), OrderProof::Passkey(assertion)) => passkeys
                .ok_or(TaskError::NoPasskeys(*requester))?
                .check(assertion.get(), key, &message)
                .map_err(|reason| match reason {
                    NotBelieved::Elsewhere(why) => TaskError::ForeignPage(why),
                    NotBelieved::False(why) => TaskError::Passkey(why),
                }),
            (ApproverKey::Ed25519(_), OrderProof::Passkey(_))
            | (ApproverKey::Passkey(_), OrderProof::Ed25519(_)) => Err(TaskError::BadSignature),
        }
    }

    /// The first version of the frames that carries it: a passkey's order came with the second.
    pub(crate) fn since(&self) -> u16 {
        match &self.signature {
            OrderProof::Ed25519(_) => 1,
            OrderProof::Passkey(_) => 2,
        }
    }

    /// Parses the task as in [`claim`](Self::claim), then calls [`Claimed::authenticate`].
    pub fn authenticate(
        &self,
        listed: impl Fn(&RequesterId) -> bool,
        passkeys: Option<&dyn Passkeys>,
        now: UnixMillis,
    ) -> Result<Authenticated, TaskError> {
        Arc::new(self.clone().claim()?).authenticate(listed, passkeys, now)
    }
}

/// A parsed task of unproven origin, with the exact bytes that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    signed: SignedTask,
    hash: Hash,
    task: Task,
}

impl Claimed {
    /// The task, as claimed.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// The exact bytes, and the signature over them.
    pub fn signed(&self) -> &SignedTask {
        &self.signed
    }

    /// Hash of the task's exact bytes.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Checks requester, [signature](SignedTask::prove) and time window; the only way to an
    /// [`Authenticated`] task.
    pub fn authenticate(
        self: &Arc<Self>,
        listed: impl Fn(&RequesterId) -> bool,
        passkeys: Option<&dyn Passkeys>,
        now: UnixMillis,
    ) -> Result<Authenticated, TaskError> {
        let task = &self.task;
        task.check_words()?;
        if !listed(&task.requester) {
            return Err(TaskError::UnknownRequester(task.requester));
        }
        self.signed.prove(&task.requester, passkeys)?;
        task.check_window(now)?;
        Ok(Authenticated(self.clone()))
    }
}

/// A task whose requester is proven. Made only by [`Claimed::authenticate`]. Clones share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated(Arc<Claimed>);

impl Authenticated {
    /// Hash of the exact bytes that were signed.
    pub fn hash(&self) -> Hash {
        self.0.hash
    }

    /// The exact bytes, and the signature over them.
    pub fn signed(&self) -> &SignedTask {
        &self.0.signed
    }
}

impl std::ops::Deref for Authenticated {
    type Target = Task;
    fn deref(&self) -> &Task {
        &self.0.task
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;

    fn requester() -> SigningKey {
        SigningKey::from_bytes(&[9; 32])
    }

    fn task() -> Task {
        Task {
            version: 1,
            id: TaskId([1; 16]),
            created: UnixMillis(1_000_000),
            not_after: UnixMillis(1_060_000),
            requester: RequesterId::from_bytes(requester().verifying_key().to_bytes()).unwrap(),
            note: None,
            claims: BTreeMap::new(),
            collect: None,
            operation: Operation::KeySign(KeySign {
                key: KeyId::from_bytes([3; 16]).unwrap(),
                path: "m/0/1".parse().unwrap(),
                payload: Payload::new(crate::PayloadKind::Message, b"pay".to_vec()),
                signers: None,
            }),
        }
    }

    fn signed(bytes: Vec<u8>) -> SignedTask {
        let signature = requester()
            .sign(&SignedTask::signed_message(&bytes))
            .to_bytes()
            .into();
        SignedTask { bytes, signature }
    }

    const NOW: UnixMillis = UnixMillis(1_010_000);

    /// The test vector of `docs/task-api.md`, made with another library.
    #[test]
    fn a_task_that_others_signed_is_authentic() {
        let text = concat!(
            r#"{"version":1,"id":"01010101010101010101010101010101","created":1000000,"not_after":1060000,"#,
            r#""requester":"csr1af9xcclzn3fq40h42pa3xtk9lx25wa4wh6l8hyjzrm4xj9zx6gkq0e9urw","#,
            r#""operation":{"key-sign":{"key":"csk1qvpsxqcrqvpsxqcrqvpsxqcrqvptzmel","path":"m/0/1","#,
            r#""payload":{"kind":"message","bytes":"706179"}}}}"#
        );
        let digest = "ecb8276f956f4ce0f9b5d63d28ca73ed1053b824d63cb69bfb81502e47165968";
        let signature = "075fac071f3e1c080fc6777efca3aea665175a05d8ef3595f2144b6702d161ec\
                         2a8636bdada6d3030c72cace1e03b9665f2fbe962d0eae39f0446413dd91150c";
        let hash = "4db64a9b1f35d6ed1b577716af314c7d675e0e3039a9e118c92331bfb10e5c14";
        assert_eq!(
            hex::encode(SignedTask::signed_message(text.as_bytes())),
            digest
        );
        let mut task = SignedTask {
            bytes: text.into(),
            signature: [0; 64].into(),
        };
        assert_eq!(
            task.authenticate(|_| true, None, NOW),
            Err(TaskError::BadSignature)
        );
        let mut genuine = [0; 64];
        hex::decode_to_slice(signature, &mut genuine).unwrap();
        task.signature = genuine.into();
        assert_eq!(
            task.authenticate(|_| true, None, NOW)
                .unwrap()
                .hash()
                .to_string(),
            hash
        );
    }

    /// Stands for pages on which one assertion was made for one key and challenge.
    struct Pages {
        key: [u8; 33],
        challenge: [u8; 32],
    }

    impl Passkeys for Pages {
        fn check(
            &self,
            assertion: &crate::Assertion,
            key: &[u8; 33],
            challenge: &[u8; 32],
        ) -> Result<(), NotBelieved> {
            let made = crate::Assertion {
                client_data: vec![1; 43],
                authenticator_data: vec![2; 37],
                signature: vec![3; 8],
            };
            if (*key, *challenge) == (self.key, self.challenge) && *assertion == made {
                Ok(())
            } else {
                Err(NotBelieved::False("it is another one; sign again".into()))
            }
        }
    }

    fn by_passkey(client_data: u8) -> OrderProof {
        let assertion = crate::Assertion {
            client_data: vec![client_data; 43],
            authenticator_data: vec![2; 37],
            signature: vec![3; 8],
        };
        crate::OrderAssertion::new(assertion).unwrap().into()
    }

    /// `countersign-vote` tests what pages believe.
    #[test]
    fn a_passkey_orders_only_by_an_assertion_that_the_pinned_pages_believe() {
        let mut key = [0x11; 33];
        key[0] = 2;
        let passkey = RequesterId::new(ApproverKey::Passkey(key)).unwrap();
        let order = |requester, signature| {
            let bytes = Task {
                requester,
                ..task()
            }
            .to_bytes();
            SignedTask { bytes, signature }
        };
        let good = order(passkey, by_passkey(1));
        let challenge = SignedTask::signed_message(&good.bytes);
        let pages = Pages { key, challenge };
        let judged = |order: &SignedTask, pages: Option<&dyn Passkeys>| {
            order
                .authenticate(|_| true, pages, NOW)
                .map(|task| task.requester)
        };
        assert_eq!(judged(&good, Some(&pages)), Ok(passkey));
        assert_eq!(judged(&good, None), Err(TaskError::NoPasskeys(passkey)));
        let refused = judged(&order(passkey, by_passkey(9)), Some(&pages)).unwrap_err();
        assert_eq!(refused.code(), "requester-passkey");
        assert!(refused.to_string().ends_with("; sign again"), "{refused}");
        let mut altered = good.clone();
        altered.bytes.push(b' ');
        let refused = judged(&altered, Some(&pages)).unwrap_err();
        assert_eq!(refused.code(), "requester-passkey");
        let key_of_another_kind = order(task().requester, by_passkey(1));
        let signature_of_another_kind = order(passkey, [7; 64].into());
        for order in [key_of_another_kind, signature_of_another_kind] {
            for pages in [Some(&pages as &dyn Passkeys), None] {
                assert_eq!(judged(&order, pages), Err(TaskError::BadSignature));
            }
        }
        let unlisted = good.authenticate(|_| false, Some(&pages), NOW);
        assert_eq!(unlisted, Err(TaskError::UnknownRequester(passkey)));
    }

    #[test]
    fn the_wire_form_of_a_signed_task_is_that_of_the_first_release() {
        let order = SignedTask {
            bytes: b"{}".to_vec(),
            signature: [7; 64].into(),
        };
        let wire = format!("027b7d40{}", "07".repeat(64));
        assert_eq!(hex::encode(crate::encode(&order)), wire);
        let order = SignedTask {
            signature: by_passkey(1),
            ..order
        };
        let [one, two, three] = ["01".repeat(43), "02".repeat(37), "03".repeat(8)];
        let wire = format!("027b7d5e02002b{one}0025{two}08{three}");
        assert_eq!(hex::encode(crate::encode(&order)), wire);
        assert_eq!(crate::decode(&crate::encode(&order)), Ok(order));
    }

    #[test]
    fn the_text_of_a_task_is_frozen() {
        let expected = concat!(
            r#"{"version":1,"id":"01010101010101010101010101010101","created":1000000,"not_after":1060000,"#,
            r#""requester":"csr1l5tjgwz65rr4ke8m0rxkqtapmxglm6lhdvfutrkhqt4vsd0f7cvqpw6j5l","#,
            r#""operation":{"key-sign":{"key":"csk1qvpsxqcrqvpsxqcrqvpsxqcrqvptzmel","path":"m/0/1","#,
            r#""payload":{"kind":"message","bytes":"706179"}}}}"#
        );
        let text = String::from_utf8(task().to_bytes()).unwrap();
        assert_eq!(text, expected);
        assert_eq!(signed(expected.into()).parse().unwrap(), task());
    }

    #[test]
    fn a_listed_requester_is_believed() {
        let authenticated = signed(task().to_bytes())
            .authenticate(|_| true, None, NOW)
            .unwrap();
        assert_eq!(*authenticated, task());
    }

    #[test]
    fn what_is_wrong_with_a_task_is_told_in_one_short_line_whatever_it_has() {
        let name = format!(r"\n\u001b[2J\u202e{}", "x".repeat(10_000));
        for bytes in [
            format!(r#"{{"{name}":1,"{name}":2}}"#),
            format!(r#"{{"version":1,"id":"{name}"}}"#),
        ] {
            let refused = signed(bytes.into()).parse().unwrap_err();
            assert_eq!(refused.code(), "task-malformed");
            let told = refused.to_string();
            assert!(is_plain(&told) && told.len() < 1000, "{told}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_own_code() {
        let code =
            |signed: SignedTask, now| signed.authenticate(|_| true, None, now).unwrap_err().code();
        let good = signed(task().to_bytes());
        assert_eq!(
            good.authenticate(|_| false, None, NOW).unwrap_err().code(),
            "requester-unknown"
        );
        let mut other = good.clone();
        other.bytes = String::from_utf8(other.bytes)
            .unwrap()
            .replace("706179", "706178")
            .into();
        assert_eq!(code(other, NOW), "requester-signature");
        assert_eq!(code(good.clone(), UnixMillis(1_060_000)), "task-expired");
        assert_eq!(
            code(good.clone(), UnixMillis(900_000)),
            "task-from-the-future"
        );
        assert_eq!(
            code(signed(vec![b' '; SignedTask::MAX_PSBT_BYTES + 1]), NOW),
            "task-too-large"
        );
        let padded = |kind, length| {
            let payload = Payload::new(kind, b"pay".to_vec());
            let sign = KeySign {
                key: KeyId::from_bytes([3; 16]).unwrap(),
                path: "m".parse().unwrap(),
                payload,
                signers: None,
            };
            let mut bytes = Task {
                operation: Operation::KeySign(sign),
                ..task()
            }
            .to_bytes();
            bytes.resize(length, b' ');
            signed(bytes)
                .authenticate(|_| true, None, NOW)
                .map_err(|error| error.code().as_str())
        };
        use crate::PayloadKind::{Message, Psbt};
        // The largest payload of each kind fits, twice as long in hexadecimal.
        for kind in crate::PayloadKind::ALL {
            let longest = padded(kind, 2 * Payload::max_bytes(kind) + 2048);
            assert_ne!(longest, Err("task-too-large"), "{kind}");
        }
        assert!(padded(Message, SignedTask::MAX_BYTES).is_ok());
        assert_eq!(
            padded(Message, SignedTask::MAX_BYTES + 1),
            Err("task-too-large")
        );
        assert!(padded(Psbt, SignedTask::MAX_PSBT_BYTES).is_ok());
        assert_eq!(
            padded(Psbt, SignedTask::MAX_PSBT_BYTES + 1),
            Err("task-too-large")
        );
        let text = String::from_utf8(task().to_bytes()).unwrap();
        for (from, to, expected) in [
            ("\"version\":1", "\"version\":2", "task-version"),
            ("\"id\"", "\"idd\"", "task-malformed"),
            (
                "{\"version\":1",
                "{\"version\":1,\"version\":1",
                "task-malformed",
            ),
            ("1060000", "999999", "task-lifetime"),
            ("1060000", "99999999999", "task-lifetime"),
            (
                "\"message\",\"bytes\":\"706179\"",
                "\"digest\",\"bytes\":\"706179\"",
                "task-payload",
            ),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            assert_eq!(code(signed(changed.into()), NOW), expected, "{to}");
        }
    }

    #[test]
    fn words_that_show_something_else_than_they_are_are_refused_in_new_orders_and_readable_in_old_ones()
     {
        for hidden in [
            "pay\u{202e}",
            "pa\u{200b}y",
            "\u{2066}pay\u{2069}",
            "pay\u{e0041}",
        ] {
            let note = Task {
                note: Some(hidden.into()),
                ..task()
            };
            let claim = Task {
                claims: [("reference".to_string(), hidden.to_string())].into(),
                ..task()
            };
            for (order, code) in [(note, "task-text"), (claim, "task-claims")] {
                let order = signed(order.to_bytes());
                assert_eq!(
                    order.authenticate(|_| true, None, NOW).unwrap_err().code(),
                    code,
                    "{hidden:?}"
                );
                assert!(order.parse().is_ok());
            }
        }
        let lines = Task {
            claims: [("a".to_string(), "x\n\ty".to_string())].into(),
            ..task()
        };
        assert!(
            signed(lines.to_bytes())
                .authenticate(|_| true, None, NOW)
                .is_ok()
        );
    }

    #[test]
    fn reshares_and_check_ups_that_cannot_be_carried_out_are_invalid() {
        let node = |seed: u8| {
            NodeId::from_bytes(
                SigningKey::from_bytes(&[seed; 32])
                    .verifying_key()
                    .to_bytes(),
            )
            .unwrap()
        };
        let code = |operation: Operation| {
            signed(
                Task {
                    operation,
                    ..task()
                }
                .to_bytes(),
            )
            .parse()
            .map(drop)
            .map_err(|error| error.code().as_str())
        };
        let check_up = |nodes: &[u8]| {
            let nodes = nodes.iter().map(|seed| node(*seed)).collect();
            code(Operation::KeyShareSign(KeyShareSign {
                key: KeyId::from_bytes([2; 16]).unwrap(),
                nodes,
            }))
        };
        assert_eq!(check_up(&[1]), Ok(()));
        assert_eq!(check_up(&[]), Err("task-nodes"));
        assert_eq!(check_up(&[1, 1]), Err("task-nodes"));
        assert_eq!(
            check_up(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
            Err("task-nodes")
        );
        let reshare = crate::generation_tests::reshare;
        let ordered = |reshare: KeyReshare| code(Operation::KeyReshare(Box::new(reshare)));
        assert_eq!(ordered(reshare(&[4, 5], None)), Ok(()));
        assert_eq!(ordered(reshare(&[4, 5], Some(&[1, 3]))), Ok(()));
        for dealers in [&[1, 1][..], &[1], &[1, 2, 3], &[1, 4]] {
            assert_eq!(
                ordered(reshare(&[4, 5], Some(dealers))),
                Err("task-dealers"),
                "{dealers:?}"
            );
        }
        let mut unacked = reshare(&[4, 5], None);
        unacked.from.acks.pop();
        assert_eq!(ordered(unacked), Err("task-from"));
        let mut last = reshare(&[4, 5], None);
        last.from.generation = u32::MAX;
        assert_eq!(ordered(last), Err("task-from"));
        let high = KeyReshare {
            threshold: Threshold::try_from(3).unwrap(),
            ..reshare(&[4, 5], None)
        };
        assert_eq!(ordered(high), Err("task-committee"));
        let text = String::from_utf8(
            Task {
                operation: Operation::KeyReshare(Box::new(reshare(&[4, 5], None))),
                ..task()
            }
            .to_bytes(),
        );
        for (from, to) in [
            ("\"threshold\":2}}", "\"threshold\":1}}"),
            ("\"committee\":[", "\"committee\":[],\"x\":["),
        ] {
            let changed = text.clone().unwrap().replace(from, to);
            assert_ne!(changed, *text.as_ref().unwrap(), "{from}");
            assert_eq!(
                signed(changed.into()).parse().unwrap_err().code(),
                "task-malformed",
                "{to}"
            );
        }
    }

    fn collecting(votes: u16, until: u64, not_after: u64) -> Result<Task, TaskError> {
        let collect = Some(Collect {
            votes,
            until: UnixMillis(until),
        });
        let order = Task {
            collect,
            not_after: UnixMillis(not_after),
            ..task()
        };
        signed(order.to_bytes()).parse()
    }

    #[test]
    fn a_task_collects_votes_within_its_life() {
        let created = 1_000_000;
        let end = 1_060_000;
        let most = Collect::MAX_VOTES as u16;
        for (votes, until) in [(1, end), (most, created + 1)] {
            let collect = collecting(votes, until, end).unwrap().collect.unwrap();
            assert_eq!((collect.votes, collect.until.0), (votes, until));
        }
        for (votes, until) in [(0, end), (most + 1, end), (1, created), (1, end + 1)] {
            let refused = collecting(votes, until, end).unwrap_err();
            assert_eq!(refused.code(), "task-collect", "{votes}, {until}");
        }
    }

    #[test]
    fn only_a_task_that_collects_votes_lives_for_a_week() {
        let created = 1_000_000;
        let week = created + Task::MAX_COLLECTING_LIFE_MS;
        assert_eq!(collecting(1, week, week).unwrap().life(), week - created);
        assert_eq!(collecting(1, week, week + 1), Err(TaskError::Lifetime));
        let day = created + Task::MAX_LIFE_MS;
        assert_eq!(collecting(1, created + 1, day + 2), Err(TaskError::Collect));
        assert_eq!(collecting(1, created + 1, day + 1).unwrap().patience(), 1);
        for (not_after, fits) in [(day, true), (day + 1, false)] {
            let order = Task {
                not_after: UnixMillis(not_after),
                ..task()
            };
            assert_eq!(
                signed(order.to_bytes()).parse().is_ok(),
                fits,
                "{not_after}"
            );
        }
    }

    #[test]
    fn a_task_without_collect_has_the_bytes_that_it_always_had() {
        let text = String::from_utf8(task().to_bytes()).unwrap();
        assert!(!text.contains("collect"), "{text}");
    }

    /// Plugins look for votes under this name; a new order does not use it.
    #[test]
    fn the_claim_for_votes_is_reserved() {
        let claims = [(Vote::CLAIM.to_string(), "[]".to_string())].into();
        let order = signed(Task { claims, ..task() }.to_bytes());
        let refused = order.authenticate(|_| true, None, UnixMillis(1_000_000));
        assert_eq!(refused.unwrap_err().code(), "task-claims");
    }

    #[test]
    fn claims_are_read_within_their_bounds_and_each_name_once() {
        let claimed = |claims: &[(&str, &str)]| {
            let claims = claims
                .iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect();
            signed(Task { claims, ..task() }.to_bytes())
                .parse()
                .map(|task| task.claims.len())
        };
        assert_eq!(claimed(&[]), Ok(0));
        assert_eq!(
            claimed(&[("reference", "invoice 7"), ("extra-info", "{\n\t\"a\": 1}")]),
            Ok(2)
        );
        let most = "x".repeat(Task::MAX_CLAIM_BYTES);
        let too_long = "x".repeat(Task::MAX_CLAIM_BYTES + 1);
        assert_eq!(claimed(&[("a", &most), ("b", &most)]), Ok(2));
        let names: Vec<String> = (0..=Task::MAX_CLAIMS)
            .map(|number| number.to_string())
            .collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        assert_eq!(claimed(&many[1..]), Ok(Task::MAX_CLAIMS));
        for wrong in [
            &many[..],
            &[("", "x")],
            &[("Reference", "x")],
            &[("a_b", "x")],
            &[(&"a".repeat(65), "x")],
            &[("a", "\u{1b}[31m")],
            &[("a", &too_long)],
            &[("a", &most), ("b", &most), ("c", "x")],
        ] {
            assert_eq!(claimed(wrong).unwrap_err().code(), "task-claims");
        }
        let once = String::from_utf8(
            Task {
                claims: [("a".into(), "1".into())].into(),
                ..task()
            }
            .to_bytes(),
        );
        let twice = once
            .unwrap()
            .replace(r#"{"a":"1"}"#, r#"{"a":"1","a":"2"}"#);
        assert_eq!(
            signed(twice.into()).parse().unwrap_err().code(),
            "task-malformed"
        );
    }
}
