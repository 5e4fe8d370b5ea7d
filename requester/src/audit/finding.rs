//! What is found out about a bundle.

use std::fmt;

use countersign_protocol::{CoordinatorId, Hash, KeyId, NodeId, RequesterId, TaskId, UnixMillis};
use countersign_verify::WrongResult;
use countersign_vote::CheckError;

use super::wallet::WrongWallet;

/// Everything that was found out about a bundle.
#[derive(Debug, Default)]
pub struct Report {
    /// By subject: the coordinator, wallets, nodes, tasks.
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

/// A fact that is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the messages describe the variants")]
pub enum Proven {
    Chain {
        first: u64,
        last: u64,
        at: UnixMillis,
    },
    EmptyLog {
        at: UnixMillis,
    },
    Checkpoint {
        records: u64,
        before: UnixMillis,
    },
    Policies {
        number: usize,
    },
    Acts {
        number: usize,
        at: UnixMillis,
    },
    Wallet {
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
    Vote {
        approver: String,
        approves: bool,
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
    #[error("there is no log of this node; ask its operator for `countersign-node audit export`")]
    Log,
    #[error(
        "the log begins with entry {first}, within the time, so earlier ones may be missing; have it exported from an earlier time"
    )]
    Begin { first: u64 },
    #[error(
        "the log ends before the time does, as signed at {}; have it exported again after the end", .at.0
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
        "the votes that node {node} was given are not on record there any more; export within its time of retention"
    )]
    Votes { node: NodeId },
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
    #[error("node {node} was asked, and there is no log of it; ask its operator for one")]
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
        "the profile does not name it, so its signature proves nothing; write `coordinator_id` as its operator told it"
    )]
    CoordinatorId,
    #[error(
        "{number} acts are from before the chain of acts, so nothing vouches for them; keep other records of them"
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
        "the node has not signed what is beside the record of task {task}; get the file from the operator"
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
    #[error("a checkpoint is not signed by this node; get the file from the operator")]
    CheckpointSignature,
    #[error("a checkpoint is of another log: entry {at} has another hash; ask the operator")]
    Checkpoint { at: u64 },
    #[error("the text of configuration {digest} has another hash; get the file from the operator")]
    Policy { digest: Hash },
    #[error("the task is not signed by its requester {requester}; do not rely on it")]
    Requester { requester: RequesterId },
    #[error("the order cannot be read ({0}); do not rely on it")]
    Order(String),
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
    #[error("the coordinator tells another result than the nodes; believe the nodes")]
    ToldResult,
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

    pub(super) fn missing(&mut self, subject: Subject, missing: Missing) {
        self.add(subject, Fact::Missing(missing));
    }

    pub(super) fn wrong(&mut self, subject: Subject, wrong: Wrong) {
        self.add(subject, Fact::Wrong(wrong));
    }

    fn add(&mut self, subject: Subject, fact: Fact) {
        self.findings.push(Finding { subject, fact });
    }
}

impl Fact {
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

impl fmt::Display for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain { first, last, at } => write!(
                f,
                "entries {first} to {last} are an unbroken chain that the node signed at {}",
                at.0
            ),
            Self::EmptyLog { at } => {
                write!(f, "the log was empty when the node signed it at {}", at.0)
            }
            Self::Checkpoint { records, before } => write!(
                f,
                "the node states that it deleted {records} records so far, all from before {}",
                before.0
            ),
            Self::Policies { number } => {
                write!(f, "{number} configurations have the digests that decided")
            }
            Self::Acts { number, at } => write!(
                f,
                "{number} acts are an unbroken chain that the coordinator signed at {}",
                at.0
            ),
            Self::Wallet { generations } => write!(
                f,
                "{generations} generations lead from an order of a trusted requester to nodes of the profile"
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
            Self::Vote { approver, approves } => {
                let voted = if *approves { "approved" } else { "rejected" };
                write!(f, "{approver} {voted} it by a genuine vote")
            }
            Self::Result { node, signatures } => write!(
                f,
                "the result of {node} is what was ordered ({signatures} signatures verified)"
            ),
            Self::Agreement { nodes } => write!(f, "{nodes} nodes have the same result"),
        }
    }
}
