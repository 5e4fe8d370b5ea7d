//! Set-ups of pairs: what this node must remember of each one so that its peer learns no more of
//! the secrets in it than a few bits.
//!
//! A set-up is the oblivious transfer that two signers make once and use in all their signatures.
//! The checks of each run tell the peer whether they passed, so a peer that cheats learns about one
//! bit of this node's secret in each run, if runs go on after a check that failed. These records
//! end that: the first failed check burns the set-up, and an end that nobody recorded counts
//! against it.

use countersign_protocol::{Hash, NodeId, TaskId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::codec::Stored;

/// The number of ends without a record that a set-up can have. A run without one may have failed a
/// check.
pub const MAX_UNRECORDED: u64 = 4;
/// The number of runs after which a set-up must be made anew.
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
    /// The task in which the check failed. Absent if the operator restored the journal, since the
    /// copy may be older than a failed check.
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

/// What is known of the checks of a task's runs when they are over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RunsEnd {
    /// No check failed, and none was under way: the engine itself said how the runs ended, or it
    /// was dropped while it waited for messages.
    Clean,
    /// Checks failed. All other set-ups of the runs are as clean as before.
    Failed(Vec<Burn>),
    /// Nobody said, for instance since the engine was dropped while it computed. Each run counts as
    /// an end without a record.
    #[default]
    Unknown,
}

/// The reason why a set-up must not be used. Only a new one helps, with a new digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unfit {
    /// A check failed with this peer.
    #[error("is burnt, since a check failed")]
    Burnt,
    /// Too many runs ended without a record.
    #[error("has too many runs of which nobody recorded the end")]
    TooManyUnrecorded,
    /// The runs would exceed the number of which the secrets are safe.
    #[error("has been used in too many runs")]
    WornOut,
    /// The journal does not know it, so nobody knows what happened to it.
    #[error("is not in this journal")]
    Unknown,
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

    /// Checks that this many more runs may begin.
    pub fn check(&self, runs: u64) -> Result<(), Unfit> {
        if self.burnt.is_some() {
            return Err(Unfit::Burnt);
        }
        if self.unrecorded >= MAX_UNRECORDED {
            return Err(Unfit::TooManyUnrecorded);
        }
        if self.runs.saturating_add(runs) > MAX_RUNS {
            return Err(Unfit::WornOut);
        }
        Ok(())
    }
}
