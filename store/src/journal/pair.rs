//! Set-ups of pairs: what this node must remember of each one so that its peer learns no more of
//! the secrets in it than a few bits.
//!
//! A set-up is the oblivious transfer that two signers make once and use in all their signatures.
//! The checks of each run tell the peer whether they passed, so a peer that cheats learns about one
//! bit of this node's secret in each run, if runs go on after a check that failed. These records
//! end that: the first failed check burns the set-up, an end that nobody recorded counts against
//! it, and few runs are under way at once, since those that are may all fail before the first is
//! recorded.

use std::num::NonZeroU64;

use countersign_protocol::{Hash, NodeId, TaskId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::codec::Stored;

/// The number of ends without a record that a set-up can have. A run without one may have failed a
/// check.
pub const MAX_UNRECORDED: u64 = 4;
/// The number of runs that a set-up can have under way, in all tasks together and with those whose
/// end nobody recorded: a full batch of 16, and [`MAX_UNRECORDED`].
pub const MAX_OPEN: u64 = 20;
/// The number of runs after which a set-up must be made anew. An operator can choose fewer.
pub const MAX_RUNS: u64 = 1_000_000;

/// The set-up of this node with one peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The digest of the committee's set-up, which names it.
    pub setup: Hash,
    /// The peer at the other end.
    pub peer: NodeId,
    /// The number of runs that were begun with it, those of a batch one by one.
    pub runs: u64,
    /// The number of them of which no end was recorded.
    pub unrecorded: u64,
    /// The reason why it is never used again. Nothing takes this back.
    pub burnt: Option<Burnt>,
}

impl Stored for Pair {}

/// The reason why a set-up is burnt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Burnt {
    /// The task in which the check failed. Absent if this journal may not know of one that failed:
    /// the operator restored it, or another process had the identity of this node.
    pub task: Option<TaskId>,
    /// The time at which it was burnt.
    pub since: UnixMillis,
    /// An account of the reason for people.
    pub text: String,
}

/// A check that failed: the set-up with this peer is to be burnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burn {
    /// The digest of the committee's set-up.
    pub setup: Hash,
    /// The peer whose message failed the check.
    pub peer: NodeId,
    /// The task of the run.
    pub task: TaskId,
    /// The time of the failure.
    pub since: UnixMillis,
    /// An account of the failure for people.
    pub text: String,
}

/// Runs of one task with one set-up and some of its peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runs {
    /// The digest of the committee's set-up.
    pub setup: Hash,
    /// The peers, each once, and at least one.
    pub peers: Vec<NodeId>,
    /// The number of runs with each of them: 1, or those of a batch.
    pub runs: NonZeroU64,
}

/// What is known of the checks of runs that are over. It speaks of the runs that it names, and of
/// no others: a task can have more under way. The end of the task ends those as well, and each
/// counts as an end without a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunsEnd {
    /// The checks that failed. One that belongs to no run of the task that is under way burns too,
    /// and no run of the task is then believed to be clean.
    pub burns: Vec<Burn>,
    /// Runs in which no check with these peers failed, and none was under way: the engine itself
    /// said how they ended, or it was dropped while it waited for messages.
    pub clean: Vec<Runs>,
    /// Runs of which nobody knows, for instance since the engine was dropped while it computed.
    /// Each counts as an end without a record.
    pub unknown: Vec<Runs>,
}

/// The reason why runs must not begin with a set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unfit {
    /// A check failed with this peer, or this journal may have forgotten one. Only a new set-up
    /// helps, with a new digest.
    #[error("is burnt, since a check failed")]
    Burnt,
    /// Too many runs ended without a record. Only a new set-up helps.
    #[error("has too many runs of which nobody recorded the end")]
    TooManyUnrecorded,
    /// The runs would exceed the number that the operator allows, or [`MAX_RUNS`]. Only a new
    /// set-up helps.
    #[error("has been used in too many runs")]
    WornOut,
    /// The journal does not know it, so nobody knows what happened to it. Only a new set-up helps.
    #[error("is not in this journal")]
    Unknown,
    /// Too many runs are under way with it. Temporary: it can be used when some of them have ended.
    #[error("has as many runs under way as it can have; try again when some have ended")]
    Busy,
    /// More runs at once than the set-up could have if none were under way. Fewer can begin.
    #[error("cannot have so many runs at once; order fewer signatures in a task")]
    TooManyAtOnce,
}

impl Pair {
    pub(super) fn new(setup: Hash, peer: NodeId) -> Self {
        Self {
            setup,
            peer,
            runs: 0,
            unrecorded: 0,
            burnt: None,
        }
    }

    /// Checks that this many more runs may begin beside those that are under way in any task.
    /// `most` is the number of runs that the operator allows.
    pub(super) fn check(&self, under_way: u64, runs: NonZeroU64, most: u64) -> Result<(), Unfit> {
        if self.burnt.is_some() {
            return Err(Unfit::Burnt);
        }
        if self.unrecorded >= MAX_UNRECORDED {
            return Err(Unfit::TooManyUnrecorded);
        }
        if self.runs.saturating_add(runs.get()) > most.min(MAX_RUNS) {
            return Err(Unfit::WornOut);
        }
        let alone = self.unrecorded.saturating_add(runs.get());
        if alone > MAX_OPEN {
            return Err(Unfit::TooManyAtOnce);
        }
        if alone.saturating_add(under_way) > MAX_OPEN {
            return Err(Unfit::Busy);
        }
        Ok(())
    }
}
