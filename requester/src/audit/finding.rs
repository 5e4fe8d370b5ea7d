//! What is found out about a bundle.

use std::fmt;

use countersign_audit::AuditKind;
use countersign_protocol::{CoordinatorId, Hash, KeyId, NodeId, RequesterId, TaskId, UnixMillis};
use countersign_verify::WrongResult;
use countersign_vote::CheckError;

use super::wallet::WrongWallet;
use crate::utc;

/// Everything that was found out about a bundle.
#[derive(Debug, Default)]
pub struct Report {
    /// By subject: the time, the profile, the coordinator, wallets, nodes, tasks.
    pub findings: Vec<Finding>,
}

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whom or what it is about.
    pub subject: Subject,
    /// The fact.
    pub fact: Fact,
}

/// The subject of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The time that is asked about.
    Time,
    /// What the auditor knows.
    Profile,
    /// The coordinator.
    Coordinator,
    /// A wallet.
    Wallet(KeyId),
    /// A node.
    Node(NodeId),
    /// A task.
    Task(TaskId),
}

/// What is proven, missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// It follows from keys that the profile names.
    Proven(Proven),
    /// Nobody can tell from this bundle.
    Missing(Missing),
    /// It contradicts what was signed.
    Wrong(Wrong),
}

/// What a bundle comes to as a whole, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Everything is proven.
    Proven,
    /// Nothing is wrong, and something is missing.
    Missing,
    /// Something is wrong.
    Wrong,
}

/// A part of a log that is an unbroken chain. Of two bundles, the later joins the earlier if it has
/// the entry with the earlier one's `hash`, or begins with it as its `previous`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Number of the first entry.
    pub first: u64,
    /// Number of the last entry.
    pub last: u64,
    /// Hash of the entry before the first; zeros at the beginning of the log.
    pub previous: Hash,
    /// Hash of the last entry.
    pub hash: Hash,
}

/// Where a copy of an order is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The coordinator tells it.
    Coordinator,
    /// It is in the record of a node.
    Node(NodeId),
}

/// A fact that is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the messages describe the variants")]
pub enum Proven {
    Chain {
        span: Span,
        at: UnixMillis,
    },
    EmptyLog {
        at: UnixMillis,
    },
    Entry {
        at: UnixMillis,
        kind: AuditKind,
        text: String,
    },
    Checkpoint {
        records: u64,
        before: UnixMillis,
    },
    Policies {
        number: usize,
    },
    Acts {
        span: Option<Span>,
        at: UnixMillis,
    },
    Wallet {
        generations: usize,
    },
    WalletOfBook {
        generations: usize,
    },
    Requester {
        requester: RequesterId,
    },
    Decision {
        node: NodeId,
        approved: bool,
        verdicts: usize,
    },
    Outcome {
        node: NodeId,
        outcome: String,
    },
    Vote {
        approver: String,
        approves: bool,
        at: UnixMillis,
    },
    LateVote {
        approver: String,
        approves: bool,
        at: UnixMillis,
    },
    Result {
        node: NodeId,
        signatures: usize,
    },
    Agreement {
        nodes: usize,
    },
}

/// A fact that cannot be known from the bundle. Each message ends with what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages describe the variants")]
pub enum Missing {
    #[error(
        "nobody signs the time that the bundle names, and whoever made it may have chosen one in which nothing is missing; give yours by --from and --to"
    )]
    Time,
    #[error("there is no log of this node; ask its operator for `countersign-node audit export`")]
    Log,
    #[error(
        "the profile names no node, so nothing tells whose logs have to be here; write `nodes` as their operators told you"
    )]
    Nodes,
    #[error(
        "the node tells of its log from {} on only; have it exported from an earlier time", utc(*.from)
    )]
    Begin { from: UnixMillis },
    #[error(
        "the log begins with entry {first}, within the time, so earlier ones may be missing; collect again from an earlier time"
    )]
    ActsBegin { first: u64 },
    #[error(
        "the log is told until {} only; have it exported again after the end of the time", utc(*.at)
    )]
    End { at: UnixMillis },
    #[error(
        "entry {entry} about task {task} vouches for a record that is not in the file; have it exported again"
    )]
    Record { task: TaskId, entry: u64 },
    #[error(
        "the record of task {task} was deleted for its age, which the log proves; keep records longer by `journal.retention_days`, or export more often"
    )]
    Deleted { task: TaskId },
    #[error(
        "the record of task {task} was deleted, and no signed checkpoint says so; ask the operator to export again an hour from now"
    )]
    DeletedUnsigned { task: TaskId },
    #[error(
        "entry {entry} says that records were deleted, and no signed checkpoint says so; export again later"
    )]
    Checkpoint { entry: u64 },
    #[error(
        "the text of configuration {digest} is not in the file; have it exported with texts if you need them"
    )]
    Policy { digest: Hash },
    #[error("the requester's signature is in no file; ask the requester for the signed task")]
    OrderSignature,
    #[error(
        "the order is signed by the passkey {requester}, which cannot be verified without `passkeys` in the profile; write there the domain and the pages of the organisation that ordered"
    )]
    OrderPages { requester: RequesterId },
    #[error(
        "requester {requester} is neither you nor under `trusted_requesters` in the profile; add it if its owner told you the id"
    )]
    Requester { requester: RequesterId },
    #[error(
        "node {node} cannot tell which votes it was given: it keeps no recording of its decision any more, or made none; export within its time of retention"
    )]
    Votes { node: NodeId },
    #[error(
        "people had to vote on it, and no vote is here; collect again, with the files of all nodes"
    )]
    NoVotes,
    #[error(
        "node {node} has a result on record and node {other} has none, so one of them did not see the end; ask both operators"
    )]
    Split { node: NodeId, other: NodeId },
    #[error(
        "a vote by passkey cannot be verified without `passkeys` in the profile; write there what quorum.yaml has"
    )]
    Passkey,
    #[error(
        "a genuine vote of key {approver} cannot be told to be anybody's; list the keys under `approvers` in the profile"
    )]
    Approver { approver: String },
    #[error(
        "node {node} does not have the vote of key {approver} that the coordinator tells; ask both operators"
    )]
    VoteAtNode { node: NodeId, approver: String },
    #[error("node {node} took part and has no record of the task; ask its operator")]
    AtNode { node: NodeId },
    #[error(
        "node {node} was asked, and there is no log of it that verifies; ask its operator for one"
    )]
    LogOf { node: NodeId },
    #[error("node {node} has no outcome on record yet; export again once the task has ended")]
    Outcome { node: NodeId },
    #[error("its wallet {wallet} is not believed, so results cannot be verified; see the wallet")]
    Wallet { wallet: KeyId },
    #[error(
        "it is not believed: {reasons}; add the ids to the profile if their owners told you them"
    )]
    Belief { reasons: String },
    #[error("nothing of it is in the bundle; collect again with the coordinator")]
    Coordinator,
    #[error(
        "its tasks were collected from {} to {} only; collect the whole time", utc(*.from), utc(*.to)
    )]
    Collected { from: UnixMillis, to: UnixMillis },
    #[error("task {task} was submitted, and nothing of it is in the bundle; collect again")]
    Task { task: String },
    #[error(
        "the profile does not name it, so its signature proves nothing; write `coordinator_id` as its operator told it"
    )]
    CoordinatorId,
    #[error(
        "{number} acts are not behind the beginning of the chain of acts, so nothing vouches for them; keep other records of them"
    )]
    Unlinked { number: usize },
    #[error("it has not signed the end of its log; update it")]
    ActsHead,
    #[error("the coordinator has no record of the task; ask its operator")]
    AtCoordinator,
}

/// A contradiction. Each message ends with what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages describe the variants")]
pub enum Wrong {
    #[error(
        "the profile does not name this node; leave its file out, or add the id if its operator told you it"
    )]
    Stranger,
    #[error("the head of the log is not signed by this node; get the file from its operator")]
    HeadSignature,
    #[error(
        "the signed head is not that of the last entry: entries were changed, added or taken away; get the file from the operator"
    )]
    Head,
    #[error(
        "entry {at} does not follow from the one before, or was changed; get the file from the operator"
    )]
    Chain { at: u64 },
    #[error(
        "the record of task {task} is not the one that entry {entry} vouches for; get the file from the operator"
    )]
    Record { task: TaskId, entry: u64 },
    #[error(
        "no entry of the time vouches for the record of task {task}; get the file from the operator"
    )]
    Unlogged { task: TaskId },
    #[error(
        "the node has not signed the record of task {task}, what is beside it, or what is left of it; get the file from the operator"
    )]
    RecordSignature { task: TaskId },
    #[error(
        "the record of task {task} cannot be read; verify with a program of the node's version"
    )]
    Row { task: TaskId },
    #[error("the record of task {task} is about other bytes; ask the operator")]
    OtherBytes { task: TaskId },
    #[error(
        "the record of task {task} is older or newer than its deletion allows; ask the operator"
    )]
    NotOld { task: TaskId },
    #[error(
        "node {node} says that its record was deleted for its age, and no node deletes those of new keys and generations; ask its operator"
    )]
    NotDeletable { node: NodeId },
    #[error("a checkpoint is not signed by this node; get the file from the operator")]
    CheckpointSignature,
    #[error(
        "a checkpoint is of another log: entry {at} has another hash, or tells of another deletion; ask the operator"
    )]
    Checkpoint { at: u64 },
    #[error("the text of configuration {digest} has another hash; get the file from the operator")]
    Policy { digest: Hash },
    #[error(
        "the signature that {from} tells is not that of requester {requester}; do not rely on it, and ask whoever tells it"
    )]
    Unsigned {
        from: Source,
        requester: RequesterId,
    },
    #[error("{from} has other bytes under this id, which nobody signed; ask its operator")]
    OtherOrder { from: Source },
    #[error("the order cannot be read ({0}); do not rely on it")]
    Order(String),
    #[error("the order has another id, {task}; ask the operators who have it under this one")]
    OtherId { task: TaskId },
    #[error("node {node} has another kind of task on record than was ordered; ask its operator")]
    Kind { node: NodeId },
    #[error("node {node} approved it for other nodes than were ordered; ask its operator")]
    Parties { node: NodeId },
    #[error("node {node} carried it out although it approved it after its end, which was {}; ask its operator", utc(*.end))]
    Late { node: NodeId, end: UnixMillis },
    #[error("two signed orders have this id; ask the requester, and believe neither")]
    TwoOrders,
    #[error("node {node} approved although plugin `{plugin}` refused; ask its operator")]
    Verdict { node: NodeId, plugin: String },
    #[error("a vote of key {approver} is not genuine: {reason}")]
    Vote {
        approver: String,
        reason: CheckError,
    },
    #[error("the result of node {node} is not what was ordered: {reason}; do not use it")]
    Result { node: NodeId, reason: WrongResult },
    #[error("the payload cannot be decoded, so node {node} cannot have signed it; do not use it")]
    Payload { node: NodeId },
    #[error(
        "nodes {one} and {other} have different results on record; do not use either, and ask both operators"
    )]
    Disagreement { one: NodeId, other: NodeId },
    #[error(
        "the coordinator tells a result that is not what was ordered; do not use it, believe the nodes, and ask its operator"
    )]
    ToldResult,
    #[error(
        "the coordinator tells a genuine result that no node has on record; what was signed is signed, so ask all operators"
    )]
    Unrecorded,
    #[error("{0}; do not use the wallet")]
    Wallet(WrongWallet),
    #[error(
        "the bundle is of coordinator {0}, not the one in the profile; collect from the right one"
    )]
    CoordinatorId(CoordinatorId),
    #[error(
        "the end of its log is not signed by it, or is not that of the last act; collect again"
    )]
    ActsHead,
    #[error(
        "act {number} does not follow from the one before, or was changed; collect again, and ask its operator"
    )]
    Act { number: u64 },
}

impl Report {
    /// The worst of all findings. An empty report proves nothing.
    pub fn standing(&self) -> Standing {
        let all = self.findings.iter().map(|one| one.fact.standing());
        all.max().unwrap_or(Standing::Missing)
    }

    /// The findings about one subject.
    pub fn about(&self, subject: Subject) -> impl Iterator<Item = &Fact> {
        let about = self
            .findings
            .iter()
            .filter(move |one| one.subject == subject);
        about.map(|one| &one.fact)
    }

    pub(super) fn proven(&mut self, subject: Subject, proven: Proven) {
        self.add(subject, Fact::Proven(proven));
    }

    /// Notes that the auditor left the time, or an end of it, to the bundle.
    #[must_use]
    pub fn of_the_bundles_time(mut self) -> Self {
        let fact = Fact::Missing(Missing::Time);
        let subject = Subject::Time;
        self.findings.insert(0, Finding { subject, fact });
        self
    }

    pub(super) fn missing(&mut self, subject: Subject, missing: Missing) {
        self.add(subject, Fact::Missing(missing));
    }

    pub(super) fn wrong(&mut self, subject: Subject, wrong: Wrong) {
        self.add(subject, Fact::Wrong(wrong));
    }

    pub(super) fn add(&mut self, subject: Subject, fact: Fact) {
        self.findings.push(Finding { subject, fact });
    }
}

impl Fact {
    /// The part of a log that it proves, if it does.
    pub fn span(&self) -> Option<&Span> {
        match self {
            Self::Proven(Proven::Chain { span, .. }) => Some(span),
            Self::Proven(Proven::Acts { span, .. }) => span.as_ref(),
            Self::Proven(_) | Self::Missing(_) | Self::Wrong(_) => None,
        }
    }

    /// What it means for the whole.
    pub fn standing(&self) -> Standing {
        match self {
            Self::Proven(_) => Standing::Proven,
            Self::Missing(_) => Standing::Missing,
            Self::Wrong(_) => Standing::Wrong,
        }
    }
}

impl Standing {
    /// The word for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Missing => "missing",
            Self::Wrong => "wrong",
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proven(proven) => proven.fmt(f),
            Self::Missing(missing) => missing.fmt(f),
            Self::Wrong(wrong) => wrong.fmt(f),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coordinator => f.write_str("the coordinator"),
            Self::Node(node) => write!(f, "node {node}"),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            first,
            last,
            previous,
            hash,
        } = self;
        write!(
            f,
            "{first} (behind hash {previous}) to {last} (hash {hash})"
        )
    }
}

impl fmt::Display for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain { span, at } => write!(
                f,
                "entries {span} are an unbroken chain that the node signed at {}",
                utc(*at)
            ),
            Self::EmptyLog { at } => {
                let at = utc(*at);
                write!(f, "the log was empty when the node signed it at {at}")
            }
            Self::Entry { at, kind, text } => {
                write!(f, "{}, {}: {text}", utc(*at), kind.name())
            }
            Self::Checkpoint { records, before } => write!(
                f,
                "the node states that it deleted {records} records so far, all from before {}",
                utc(*before)
            ),
            Self::Policies { number } => {
                write!(f, "{number} configurations have the digests that decided")
            }
            Self::Acts { span, at } => {
                let at = utc(*at);
                match span {
                    None => write!(f, "there was no act when the coordinator signed at {at}"),
                    Some(span) => write!(
                        f,
                        "acts {span} are an unbroken chain that the coordinator signed at {at}"
                    ),
                }
            }
            Self::Wallet { generations } => write!(
                f,
                "{generations} generations lead from an order of a trusted requester to nodes of the profile"
            ),
            Self::WalletOfBook { generations } => write!(
                f,
                "{generations} generations belong together, and the wallet book believes the wallet"
            ),
            Self::Requester { requester } => write!(f, "ordered and signed by {requester}"),
            Self::Decision {
                node,
                approved,
                verdicts,
            } => {
                let decided = if *approved { "approved" } else { "refused" };
                write!(
                    f,
                    "{node} {decided} it, with {verdicts} verdicts of plugins"
                )
            }
            Self::Outcome { node, outcome } => {
                write!(f, "it ended at {node}: {outcome}")
            }
            Self::Vote {
                approver,
                approves,
                at,
            } => {
                let at = utc(*at);
                let voted = voted(*approves);
                write!(f, "{approver} {voted} it by a genuine vote of {at}")
            }
            Self::LateVote {
                approver,
                approves,
                at,
            } => {
                let at = utc(*at);
                let voted = voted(*approves);
                write!(
                    f,
                    "{approver} {voted} it by a genuine vote of {at}, which no node of the bundle was given"
                )
            }
            Self::Result { node, signatures } => write!(
                f,
                "the result of {node} is what was ordered ({signatures} signatures verified)"
            ),
            Self::Agreement { nodes } => write!(f, "{nodes} nodes have the same result"),
        }
    }
}

fn voted(approves: bool) -> &'static str {
    if approves { "approved" } else { "rejected" }
}
