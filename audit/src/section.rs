//! The sections of a bundle.

use countersign_protocol::{
    CoordinatorId, KeyDescriptor, KeyId, NodeId, OrderProof, Outcome, SignedTask, UnixMillis, Vote,
};
use serde::{Deserialize, Serialize};

use crate::act::{Act, ActsHead};
use crate::entry::{AuditEntry, AuditHead};
use crate::head::{Checkpoint, SignedHead};
use crate::line::{BundleError, Line, Lines, Opening, line, lines_of};
use crate::record::{Deleted, Policy, Record};

/// What one node exports of a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLog {
    /// The node.
    pub node: NodeId,
    /// The time, from its beginning up to its end, which is not part of it. The head repeats it.
    pub time: (UnixMillis, UnixMillis),
    /// The entries of the time, with the one before and the one behind it, and all up to the last
    /// one about a task of the time. Without a gap.
    pub entries: Vec<AuditEntry>,
    /// The records of the tasks that the entries of the time are about, in the order of their ids.
    pub records: Vec<Record>,
    /// What is left of those that were deleted, in the order of their ids.
    pub deleted: Vec<Deleted>,
    /// The configurations that decided, in the order of their digests.
    pub policies: Vec<Policy>,
    /// What the node has stated about its deletions, the oldest first.
    pub checkpoints: Vec<Checkpoint>,
    /// The end of the entries, signed.
    pub head: SignedHead,
}

/// What a coordinator tells of a time. Nothing of it is believed for its own sake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoordinatorLog {
    /// The coordinator.
    pub coordinator: CoordinatorId,
    /// The acts from the first one of the time on, up to the end of the log.
    pub acts: Vec<Act>,
    /// The tasks that it accepted in the time, in the order of the hashes of their bytes.
    pub tasks: Vec<TaskTold>,
    /// The end of the acts, signed; absent if the coordinator is an earlier program.
    pub head: Option<ActsHead>,
}

/// A task with its votes as a coordinator tells them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskTold {
    /// The exact text that the requester signed.
    pub task: String,
    /// The requester's signature over it.
    pub signature: OrderProof,
    /// Time of acceptance.
    pub submitted: UnixMillis,
    /// `completed`, `rejected` and so on.
    pub state: String,
    /// The nodes that were asked.
    pub parties: Vec<NodeId>,
    /// The votes of people.
    pub votes: Vec<Vote>,
    /// The signatures, or the new generation of a wallet.
    pub result: Option<Outcome>,
}

/// A wallet with what proves it: the order that created it, and all generations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wallet {
    /// The wallet's id.
    pub wallet: KeyId,
    /// The order that created it; absent if the coordinator does not have it.
    pub order: Option<WalletOrder>,
    /// Its generations, the oldest first.
    pub generations: Vec<KeyDescriptor>,
}

/// An order as text, with its requester's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WalletOrder {
    /// The exact text.
    pub task: String,
    /// The requester's signature over it.
    pub signature: OrderProof,
}

impl TaskTold {
    /// The order as it travels.
    pub fn order(&self) -> SignedTask {
        order(&self.task, &self.signature)
    }
}

impl WalletOrder {
    /// The order as it travels.
    pub fn order(&self) -> SignedTask {
        order(&self.task, &self.signature)
    }
}

fn order(task: &str, signature: &OrderProof) -> SignedTask {
    SignedTask {
        bytes: task.as_bytes().to_vec(),
        signature: signature.clone(),
    }
}

/// Why entries are not the part of the log for which the head stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The entry with this number does not follow from the one before, or was changed.
    Entry(u64),
    /// The entries do not begin or end where the head says.
    Head,
}

impl NodeLog {
    /// Checks that each entry follows from the one before, and that they begin and end as the head
    /// says. No signature is verified.
    pub fn check_chain(&self) -> Result<(), Broken> {
        let head = &self.head;
        let mut so_far = match self.entries.first() {
            None => AuditHead::EMPTY,
            Some(first) if first.seq == 0 => AuditHead::EMPTY,
            Some(first) => AuditHead {
                entries: first.seq,
                hash: first.previous,
            },
        };
        // A head of no entries stands for a log without any.
        let begins = match self.entries.first() {
            None => (head.first, head.log) == (0, 0),
            Some(first) => head.first == first.seq,
        };
        for entry in &self.entries {
            if !entry.follows(so_far) {
                return Err(Broken::Entry(entry.seq));
            }
            so_far = entry.head();
        }
        let ends = (head.entries, head.hash) == (so_far.entries, so_far.hash);
        if begins && ends && head.entries <= head.log {
            Ok(())
        } else {
            Err(Broken::Head)
        }
    }

    /// Reads the file of one node.
    pub fn read(file: &[u8]) -> Result<Self, BundleError> {
        let mut lines = Lines::of(file)?;
        let log = match lines.take()? {
            Line::Node(opening) => Self::read_after(opening, &mut lines)?,
            _ => return Err(lines.unexpected("the beginning of a node's log")),
        };
        lines.end()?;
        Ok(log)
    }

    /// The file of one node. The same content always has the same bytes.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes);
        bytes
    }

    pub(crate) fn write_to(&self, bytes: &mut Vec<u8>) {
        line(bytes, &Line::Node(Opening::of(self.node, self.time)));
        self.entries
            .iter()
            .for_each(|one| line(bytes, &Line::Entry(one.clone())));
        self.records
            .iter()
            .for_each(|one| line(bytes, &Line::Record(one.clone())));
        self.deleted
            .iter()
            .for_each(|one| line(bytes, &Line::Deleted(*one)));
        self.policies
            .iter()
            .for_each(|one| line(bytes, &Line::Policy(one.clone())));
        self.checkpoints
            .iter()
            .for_each(|one| line(bytes, &Line::Checkpoint(*one)));
        line(bytes, &Line::Head(self.head));
    }

    pub(crate) fn read_after(
        opening: Opening<NodeId>,
        lines: &mut Lines<'_>,
    ) -> Result<Self, BundleError> {
        let time = lines.check(opening.time())?;
        let entries = lines_of!(lines, Entry)?;
        let records = lines_of!(lines, Record)?;
        let deleted = lines_of!(lines, Deleted)?;
        let policies = lines_of!(lines, Policy)?;
        let checkpoints = lines_of!(lines, Checkpoint)?;
        lines.in_order(records.iter().map(|one: &Record| one.task))?;
        lines.in_order(deleted.iter().map(|one: &Deleted| one.task))?;
        lines.in_order(policies.iter().map(|one: &Policy| one.digest))?;
        lines.in_order(checkpoints.iter().map(|one: &Checkpoint| one.entries))?;
        match lines.take()? {
            Line::Head(head) => Ok(Self {
                node: opening.of,
                time,
                entries,
                records,
                deleted,
                policies,
                checkpoints,
                head,
            }),
            _ => Err(lines.unexpected("the signed head of the node's log")),
        }
    }
}

impl CoordinatorLog {
    pub(crate) fn write_to(&self, time: (UnixMillis, UnixMillis), bytes: &mut Vec<u8>) {
        line(
            bytes,
            &Line::Coordinator(Opening::of(self.coordinator, time)),
        );
        self.acts
            .iter()
            .for_each(|one| line(bytes, &Line::Act(one.clone())));
        self.tasks
            .iter()
            .for_each(|one| line(bytes, &Line::Task(Box::new(one.clone()))));
        if let Some(head) = self.head {
            line(bytes, &Line::Acts(head));
        }
    }

    pub(crate) fn read_after(
        opening: Opening<CoordinatorId>,
        time: (UnixMillis, UnixMillis),
        lines: &mut Lines<'_>,
    ) -> Result<Self, BundleError> {
        if lines.check(opening.time())? != time {
            return Err(lines.unexpected("a log of the time of the bundle"));
        }
        let acts = lines_of!(lines, Act)?;
        let tasks = lines_of!(lines, Task)?.into_iter();
        let tasks: Vec<TaskTold> = tasks.map(|one| *one).collect();
        let mut heads = lines_of!(lines, Acts)?;
        let head = heads.pop();
        if !heads.is_empty() {
            return Err(lines.unexpected("one head of the coordinator's log"));
        }
        lines.in_order(
            tasks
                .iter()
                .map(|one| SignedTask::hash_of(one.task.as_bytes())),
        )?;
        Ok(Self {
            coordinator: opening.of,
            acts,
            tasks,
            head,
        })
    }
}
