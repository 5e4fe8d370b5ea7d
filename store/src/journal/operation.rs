//! Operations: the writes that the journal accepts, and their dispatch to the tables.
//!
//! Each operation checks before its first write, so that a refused one leaves nothing behind in the
//! transaction that it shares with others. Any other error discards the whole transaction. One
//! exception: the end of a task burns the set-ups whose checks failed, also if its outcome is
//! refused.

use countersign_audit::Checkpoint;
use countersign_protocol::{Hash, KeyDescriptor, KeyId, NodeId, SignedAck, TaskId, UnixMillis};

use super::audit::AuditKind;
use super::bundled::BundleMark;
use super::change::TaskChange;
use super::counted::Count;
use super::outbox::{NewEvent, Tried};
use super::pair::{Burn, Runs, RunsEnd};
use super::peer::PeerMark;
use super::prepared::PreparedReshare;
use super::quarantine::Quarantine;
use super::recordings::{Configuration, Difference};
use super::row::KeyRecord;
use super::tables::Tables;
use super::written::{Done, Written};

/// Why a restored journal burns all set-ups: a check may have failed since the copy was made.
const RESTORED: &str = "the journal was restored from a backup";
/// Why a twin burns all set-ups: this journal does not know what failed in the other one's runs.
const TWIN: &str = "another process ran with the identity of this node";

/// One write to the journal.
pub(super) enum Operation {
    Change {
        now: UnixMillis,
        change: Box<TaskChange>,
        events: Vec<NewEvent>,
    },
    Differ(Box<Difference>),
    Alarm {
        now: UnixMillis,
        task: Option<TaskId>,
        text: String,
    },
    Policy {
        now: UnixMillis,
        text: String,
        chain: Option<Configuration>,
    },
    PutKey(Box<KeyRecord>),
    DeleteKey(KeyId),
    Restored(UnixMillis),
    /// Notes when an operator last did this.
    Note {
        which: u8,
        now: UnixMillis,
    },
    /// Notes the policy bundle in force.
    Bundled(BundleMark),
    RaisePeer(NodeId, PeerMark),
    Quarantine(Box<Quarantine>),
    Lift {
        now: UnixMillis,
        key: KeyId,
        peer: NodeId,
    },
    StartAgain {
        now: UnixMillis,
        key: KeyId,
    },
    /// Enters the set-up of this node with its peers that a task has made.
    EnterSetup {
        task: TaskId,
        setup: Hash,
        peers: Vec<NodeId>,
    },
    /// Counts runs, and notes that they are under way.
    BeginRuns {
        task: TaskId,
        new: Runs,
        most: u64,
    },
    /// Ends runs of a task that goes on.
    EndRuns {
        task: TaskId,
        end: RunsEnd,
    },
    Burn(Vec<Burn>),
    /// Counts runs that are under way as ends without a record.
    CountUnrecorded,
    /// Records that a reshare begins, and forgets those of the key from before `since`.
    StartReshare {
        key: KeyId,
        task: TaskId,
        at: UnixMillis,
        since: UnixMillis,
    },
    PrepareReshare(Box<PreparedReshare>),
    Replace {
        now: UnixMillis,
        descriptor: Box<KeyDescriptor>,
    },
    InForce {
        key: KeyId,
        generation: u32,
        acks: Vec<SignedAck>,
    },
    Heard {
        key: KeyId,
        generation: u32,
        nodes: Vec<NodeId>,
    },
    Release(KeyId),
    KeepGeneration(Box<KeyDescriptor>),
    Destroyed {
        now: UnixMillis,
        descriptor: Box<KeyDescriptor>,
    },
    Rekeyed(UnixMillis),
    Twin(UnixMillis),
    LiftTwin(UnixMillis),
    ForgetExpired {
        now: UnixMillis,
    },
    /// Deletes recordings and records from before a time, beginning at a position.
    Prune {
        now: UnixMillis,
        before: UnixMillis,
        from: u64,
    },
    /// Keeps what this node has signed about its deletions.
    Checkpoint(Box<Checkpoint>),
    Count {
        now: UnixMillis,
        new: Box<Count>,
    },
    Uncount {
        now: UnixMillis,
        task: Hash,
        teller: NodeId,
    },
    Post(Vec<NewEvent>),
    Tried {
        position: u64,
        what: Tried,
    },
}

impl Tables<'_> {
    pub(super) fn apply(&mut self, operation: Operation) -> Done {
        match operation {
            Operation::Change {
                now,
                change,
                events,
            } => {
                let written = self.change(now, *change)?;
                self.outbox.tell(&written, events)?;
                Ok(written)
            }
            Operation::Differ(difference) => self.recordings.differ(&difference),
            Operation::Alarm { now, task, text } => {
                self.register.log(now, AuditKind::Alarm, task, &text)
            }
            Operation::Policy { now, text, chain } => {
                chain
                    .iter()
                    .try_for_each(|chain| self.recordings.keep_configuration(chain))?;
                self.register.log(now, AuditKind::Policy, None, &text)
            }
            Operation::PutKey(record) => self.keys.put(&record),
            Operation::DeleteKey(key) => self.keys.delete(key),
            Operation::Note { which, now } => self.moments.note(which, now),
            Operation::Bundled(mark) => self.bundled.note(&mark),
            Operation::Restored(time) => {
                self.pairs.burn_all(&mut self.register, time, RESTORED)?;
                self.moments.restored(&mut self.register, time)
            }
            Operation::RaisePeer(peer, mark) => {
                self.peers.raise(&peer, mark)?;
                Ok(Written::Now)
            }
            Operation::Quarantine(new) => self.quarantines.put(&mut self.register, &new),
            Operation::Lift { now, key, peer } => {
                self.quarantines.lift(&mut self.register, now, key, peer)
            }
            Operation::StartAgain { now, key } => {
                self.quarantines.start_again(&mut self.register, now, key)
            }
            Operation::EnterSetup { task, setup, peers } => self.enter_setup(task, &setup, &peers),
            Operation::BeginRuns { task, new, most } => {
                self.pairs.begin(&self.register, task, &new, most)
            }
            Operation::EndRuns { task, end } => {
                self.end_runs(&task, &end)?;
                Ok(Written::Now)
            }
            Operation::Burn(burns) => self.burn(&burns),
            Operation::CountUnrecorded => self.pairs.opened(),
            Operation::StartReshare {
                key,
                task,
                at,
                since,
            } => self.started.start(&key, &task, at, since),
            Operation::PrepareReshare(prepared) => {
                self.prepared.prepare(&mut self.register, *prepared)
            }
            Operation::Replace { now, descriptor } => {
                self.keys.replace(&mut self.register, now, *descriptor)
            }
            Operation::InForce {
                key,
                generation,
                acks,
            } => self.keys.generations.in_force(key, generation, acks),
            Operation::Heard {
                key,
                generation,
                nodes,
            } => self.keys.generations.heard(key, generation, &nodes),
            Operation::Release(key) => self.keys.release(key),
            Operation::KeepGeneration(descriptor) => {
                self.keys.generations.keep(&descriptor, &[])?;
                Ok(Written::Now)
            }
            Operation::Twin(now) => {
                self.pairs.burn_all(&mut self.register, now, TWIN)?;
                self.moments.twin(&mut self.register, now)
            }
            Operation::LiftTwin(now) => self.moments.lift_twin(&mut self.register, now),
            Operation::Rekeyed(now) => self.moments.rekeyed(&mut self.register, now),
            Operation::Destroyed { now, descriptor } => {
                self.moments.destroyed(&mut self.register, now, &descriptor)
            }
            Operation::ForgetExpired { now } => {
                self.memory.forget_expired(now)?;
                self.uses.forget(now)?;
                Ok(Written::Now)
            }
            Operation::Prune { now, before, from } => self.prune(now, before, from),
            Operation::Checkpoint(checkpoint) => self.checkpoints.keep(&checkpoint),
            Operation::Count { now, new } => {
                self.uses
                    .count(&mut self.memory, &mut self.register, now, *new)
            }
            Operation::Uncount { now, task, teller } => {
                self.uses
                    .uncount(&mut self.memory, &mut self.register, now, &task, &teller)
            }
            Operation::Post(events) => {
                events
                    .into_iter()
                    .try_for_each(|event| self.outbox.post(event))?;
                Ok(Written::Now)
            }
            Operation::Tried { position, what } => self.outbox.tried(position, what),
        }
    }
}
