//! What can be written into the journal. Each operation judges before its first write, so that a
//! refused one leaves nothing behind in the transaction that it shares with others; any other error
//! takes the whole transaction with it.

use countersign_protocol::text::printable;
use countersign_protocol::{
    Announcement, Failure, FailureCode, Hash, KeyId, NodeId, OperationKind, Outcome, PluginVerdict,
    Refusal, StoredMark, TaskId, UnixMillis,
};
use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};

use super::audit::{AUDIT, AuditEntry, AuditHead, AuditKind};
use super::change::TaskChange;
use super::codec;
use super::counted::{Count, Uses};
use super::error::{ReadJournalError, Refused, WriteJournalError};
use super::generation::Generations;
use super::handover::{Handover, Handovers};
use super::index::Change;
use super::memory::Memory;
use super::outbox::{NewEvent, OUTBOX, Outbox, Tried};
use super::peer::{PeerMark, Peers};
use super::quarantine::{Consequences, Quarantine, Quarantines, Stop};
use super::recordings::{Configuration, Difference, Evidence, Recordings};
use super::row::{KeyRecord, KeyStatus, Row, State};
use super::started::Started;

pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// Task id to [`Row`].
pub(super) const TASKS: TableDefinition<Id, Bytes> = TableDefinition::new("tasks");
/// Position in time to task id.
pub(super) const ORDER: TableDefinition<u64, Id> = TableDefinition::new("order");
/// Approved tasks without outcome.
pub(super) const UNFINISHED: TableDefinition<Id, ()> = TableDefinition::new("unfinished");
/// Key id to [`KeyRecord`].
pub(super) const KEYS: TableDefinition<Id, Bytes> = TableDefinition::new("keys");
/// Moments to be remembered, in milliseconds since 1970: [`RESTORED`] and [`DESTROYED`].
pub(super) const MOMENTS: TableDefinition<u8, u64> = TableDefinition::new("moments");
/// When the journal was restored from a backup.
pub(super) const RESTORED: u8 = 0;
/// When a share was destroyed for the first time since the storage key was renewed.
pub(super) const DESTROYED: u8 = 1;
/// When another process with this node's identity was proven; until the operator has decided.
pub(super) const TWIN: u8 = 2;
/// The longest name of a plugin or of its state, in bytes.
const MAX_STATE_KEY: usize = 1024;
/// The largest value of a plugin's state, in bytes. Hosts allow less.
const MAX_STATE_VALUE: usize = 1024 * 1024;
/// The longest text in the audit log, in bytes.
pub(super) const MAX_TEXT: usize = 1024;

type Bytes = &'static [u8];
type Id = &'static [u8; 16];

/// A task on which the node has decided, as it enters the register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Which task.
    pub task: TaskId,
    /// Hash of the exact bytes that the requester signed.
    pub hash: Hash,
    /// What it orders.
    pub kind: OperationKind,
    /// When the node first saw it.
    pub received_at: UnixMillis,
    /// What each plugin that was asked said.
    pub verdicts: Vec<PluginVerdict>,
    /// Who is to take part, in the order of their ids.
    pub parties: Vec<NodeId>,
    /// The bytes that the requester signed.
    pub bytes: Vec<u8>,
    /// What proves the decision.
    pub evidence: Evidence,
}

/// What a plugin staged while it judged a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateWrite {
    /// Whose state.
    pub plugin: String,
    /// Under which name.
    pub key: String,
    /// The new value; absent: delete.
    pub value: Option<Vec<u8>>,
    /// From when on it is as if deleted.
    pub expires: Option<UnixMillis>,
}

/// What a successful write did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It is on the disk.
    Now,
    /// The very same was on the disk before.
    Already,
    /// These tasks were ended.
    Aborted(Vec<TaskId>),
}

/// What becomes of the state that plugins wrote for a task, now that it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reservations {
    Keep,
    Release,
}

/// One write.
pub(super) enum Operation {
    /// A change of a task, and events that tell of it.
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
    NotBefore(UnixMillis),
    RaisePeer(NodeId, PeerMark),
    Quarantine(Box<Quarantine>),
    Lift {
        now: UnixMillis,
        key: KeyId,
        peer: NodeId,
    },
    /// Lift whatever stops the key.
    StartAgain {
        now: UnixMillis,
        key: KeyId,
    },
    /// A reshare of the key begins; those from before `since` need not be known any more.
    StartReshare {
        key: KeyId,
        task: TaskId,
        at: UnixMillis,
        since: UnixMillis,
    },
    OpenHandover(Box<Handover>),
    Replace {
        now: UnixMillis,
        announcement: Box<Announcement>,
    },
    InForce {
        key: KeyId,
        generation: u32,
        marks: Vec<StoredMark>,
    },
    Heard {
        key: KeyId,
        generation: u32,
        nodes: Vec<NodeId>,
    },
    Release(KeyId),
    KeepGeneration(Box<Announcement>),
    Destroyed {
        now: UnixMillis,
        announcement: Box<Announcement>,
    },
    Rekeyed(UnixMillis),
    Twin(UnixMillis),
    LiftTwin(UnixMillis),
    ForgetExpired {
        now: UnixMillis,
    },
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

/// The open tables of one write transaction.
pub(super) struct Tables<'t> {
    moments: Table<'t, u8, u64>,
    peers: Peers<'t>,
    tasks: Table<'t, Id, Bytes>,
    order: Table<'t, u64, Id>,
    unfinished: Table<'t, Id, ()>,
    state: Memory<'t>,
    uses: Uses<'t>,
    recordings: Recordings<'t>,
    audit: Table<'t, u64, Bytes>,
    keys: Table<'t, Id, Bytes>,
    pub(super) handovers: Handovers<'t>,
    pub(super) generations: Generations<'t>,
    started: Started<'t>,
    quarantines: Quarantines<'t>,
    outbox: Outbox<'t>,
    /// What the index has to follow once all of it is committed.
    pub(super) changes: Vec<Change>,
}

pub(super) type Done = Result<Written, WriteJournalError>;

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Tables {
            moments: transaction.open_table(MOMENTS)?,
            peers: Peers::open(transaction)?,
            tasks: transaction.open_table(TASKS)?,
            order: transaction.open_table(ORDER)?,
            unfinished: transaction.open_table(UNFINISHED)?,
            state: Memory::open(transaction)?,
            uses: Uses::open(transaction)?,
            recordings: Recordings::open(transaction)?,
            audit: transaction.open_table(AUDIT)?,
            keys: transaction.open_table(KEYS)?,
            handovers: Handovers::open(transaction)?,
            generations: Generations::open(transaction)?,
            started: Started::open(transaction)?,
            quarantines: Quarantines::open(transaction)?,
            outbox: Outbox::new(transaction.open_table(OUTBOX)?),
            changes: Vec::new(),
        })
    }

    /// What was changed of keys and reshares. Closes the tables.
    pub(super) fn changes(self) -> Vec<Change> {
        self.changes
    }

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
                self.log(now, AuditKind::Alarm, task, &text, None)
            }
            Operation::Policy { now, text, chain } => {
                chain
                    .iter()
                    .try_for_each(|chain| self.recordings.keep_configuration(chain))?;
                self.log(now, AuditKind::Policy, None, &text, None)
            }
            Operation::PutKey(record) => self.put_key(&record),
            Operation::DeleteKey(key) => self.delete_key(key),
            Operation::NotBefore(time) => self.not_before(time),
            Operation::RaisePeer(peer, mark) => {
                self.peers.raise(&peer, mark)?;
                Ok(Written::Now)
            }
            Operation::Quarantine(new) => self.quarantine(&new),
            Operation::Lift { now, key, peer } => self.lift(now, key, peer),
            Operation::StartAgain { now, key } => self.start_again(now, key),
            Operation::StartReshare {
                key,
                task,
                at,
                since,
            } => self.started.start(&key, &task, at, since),
            Operation::OpenHandover(handover) => self.open_handover(&handover),
            Operation::Replace { now, announcement } => self.replace(now, *announcement),
            Operation::InForce {
                key,
                generation,
                marks,
            } => self.in_force(key, generation, marks),
            Operation::Heard {
                key,
                generation,
                nodes,
            } => self.heard(key, generation, &nodes),
            Operation::Release(key) => self.release(key),
            Operation::KeepGeneration(announcement) => {
                self.keep_generation(&announcement, &[])?;
                Ok(Written::Now)
            }
            Operation::Twin(now) => {
                if self.moments.get(TWIN)?.is_some() {
                    return Ok(Written::Already);
                }
                self.moments.insert(TWIN, now.0)?;
                let text = "another process runs with the identity of this node, which takes part in nothing until its operator decides";
                self.log(now, AuditKind::Alarm, None, text, None)
            }
            Operation::LiftTwin(now) => {
                if self.moments.remove(TWIN)?.is_none() {
                    return Ok(Written::Already);
                }
                let text = "the operator has decided that this process is the original, and the other one is ended";
                self.log(now, AuditKind::Alarm, None, text, None)
            }
            Operation::Rekeyed(now) => {
                self.moments.remove(DESTROYED)?;
                self.log(
                    now,
                    AuditKind::Destroyed,
                    None,
                    "the storage key of before",
                    None,
                )
            }
            Operation::Destroyed { now, announcement } => {
                if self.moments.get(DESTROYED)?.is_none() {
                    self.moments.insert(DESTROYED, now.0)?;
                }
                let text = format!(
                    "shares of {} up to generation {}",
                    announcement.key, announcement.generation
                );
                self.log(
                    now,
                    AuditKind::Destroyed,
                    Some(announcement.task),
                    &text,
                    self.record_of(&announcement.task)?,
                )
            }
            Operation::ForgetExpired { now } => self.forget_expired(now),
            Operation::Count { now, new } => self.count(now, *new),
            Operation::Uncount { now, task, teller } => self.uncount(now, task, teller),
            Operation::Post(events) => {
                events
                    .into_iter()
                    .try_for_each(|event| self.outbox.post(event))?;
                Ok(Written::Now)
            }
            Operation::Tried { position, what } => self.outbox.tried(position, what),
        }
    }

    fn change(&mut self, now: UnixMillis, change: TaskChange) -> Done {
        match change {
            TaskChange::Approve { row, state } => self.approve(now, *row, state),
            TaskChange::Refuse { row, refusal } => self.refuse(now, *row, refusal),
            TaskChange::End {
                task,
                outcome,
                used,
                consequences,
            } => {
                let reservations = if used {
                    Reservations::Keep
                } else {
                    Reservations::Release
                };
                let written = self.end(now, task, *outcome, reservations)?;
                if written == Written::Now {
                    self.judge(&consequences)?;
                }
                Ok(written)
            }
            TaskChange::Judge(consequences) => self.judge(&consequences),
            TaskChange::AbortUnfinished { settling } => self.abort_unfinished(now, &settling),
            TaskChange::CloseReshare {
                task,
                stage,
                failure,
            } => self.close_handover(now, task, stage, failure),
            TaskChange::Revive { task, announcement } => self.revive(now, task, *announcement),
            TaskChange::Activate(record) => self.put_key(&record),
        }
    }

    fn approve(&mut self, now: UnixMillis, task: Decided, state: Vec<StateWrite>) -> Done {
        self.check_new(&task)?;
        state.iter().try_for_each(StateWrite::check)?;
        self.state.reserve(task.task, state)?;
        self.recordings.keep(task.task, &task.evidence)?;
        self.unfinished.insert(&task.task.0, ())?;
        let text = format!("{} with {} parties", task.kind.title(), task.parties.len());
        self.enter(
            now,
            AuditKind::Approved,
            task.into_row(State::Approved),
            &text,
        )
    }

    fn refuse(&mut self, now: UnixMillis, task: Decided, refusal: Refusal) -> Done {
        self.check_new(&task)?;
        self.recordings.keep(task.task, &task.evidence)?;
        let outcome = Outcome::Refused(refusal);
        let text = describe(&outcome);
        let row = task.into_row(State::Ended {
            outcome: outcome.into(),
            at: now,
        });
        self.enter(now, AuditKind::Refused, row, &text)
    }

    fn end(
        &mut self,
        now: UnixMillis,
        task: TaskId,
        outcome: Outcome,
        reservations: Reservations,
    ) -> Done {
        let row = self.row(&task)?.ok_or(Refused::Unknown(task))?;
        match &row.state {
            State::Approved => {}
            State::Ended { outcome: old, .. } if **old == outcome => return Ok(Written::Already),
            State::Ended { .. } => return Err(Refused::OtherOutcome(task).into()),
        }
        match &outcome {
            Outcome::Created(announcement) => self.activate(now, announcement)?,
            Outcome::Reshared(announcement) => self.switch(now, task, announcement)?,
            Outcome::Signed(_) | Outcome::Refused(_) | Outcome::Failed(_) | Outcome::Intact(_) => {
                if self.handovers.is_open(&task)? {
                    return Err(Refused::HandoverOpen(task).into());
                }
            }
        }
        self.put_end(now, row, outcome, reservations)
    }

    pub(super) fn put_end(
        &mut self,
        now: UnixMillis,
        mut row: Row,
        outcome: Outcome,
        reservations: Reservations,
    ) -> Done {
        let task = row.task;
        let text = describe(&outcome);
        row.state = State::Ended {
            outcome: outcome.into(),
            at: now,
        };
        self.unfinished.remove(&task.0)?;
        self.state.settle(task, reservations)?;
        self.put_row(now, AuditKind::Ended, &row, &text)
    }

    fn abort_unfinished(&mut self, now: UnixMillis, settling: &[TaskId]) -> Done {
        let mut tasks = self.unfinished()?;
        tasks.retain(|task| !settling.contains(task));
        for task in &tasks {
            match self.end(
                now,
                *task,
                Outcome::Failed(aborted_by_restart()),
                Reservations::Keep,
            ) {
                // Some are written already, so this is no refusal of the kind that leaves nothing
                // behind.
                Err(WriteJournalError::Refused(_)) => {
                    return Err(ReadJournalError::Damaged {
                        table: "unfinished",
                    }
                    .into());
                }
                done => done?,
            };
        }
        Ok(Written::Aborted(tasks))
    }

    pub(super) fn put_key(&mut self, record: &KeyRecord) -> Done {
        if record.status == KeyStatus::Active && record.announcement.generation == 0 {
            self.keep_generation(&record.announcement, &[])?;
        }
        self.keys
            .insert(record.key().as_bytes(), codec::encode(record).as_slice())?;
        self.changes.push(Change::Key(Box::new(record.clone())));
        Ok(Written::Now)
    }

    fn delete_key(&mut self, key: KeyId) -> Done {
        let removed = self.keys.remove(key.as_bytes())?.is_some();
        self.changes.push(Change::NoKey(key));
        Ok(if removed {
            Written::Now
        } else {
            Written::Already
        })
    }

    fn not_before(&mut self, time: UnixMillis) -> Done {
        self.moments.insert(RESTORED, time.0)?;
        self.log(
            time,
            AuditKind::Alarm,
            None,
            "restored from a backup; earlier tasks are refused",
            None,
        )
    }

    fn quarantine(&mut self, new: &Quarantine) -> Done {
        if !self.quarantines.put(new)? {
            return Ok(Written::Already);
        }
        let text = format!(
            "quarantined {} for {}: {} ({})",
            new.peer, new.key, new.text, new.code
        );
        self.log(
            new.since,
            AuditKind::Alarm,
            Some(new.task),
            &text,
            self.record_of(&new.task)?,
        )
    }

    fn judge(&mut self, consequences: &Consequences) -> Done {
        let Consequences {
            quarantines,
            stops,
            attempt,
        } = consequences;
        for new in quarantines {
            self.quarantine(new)?;
        }
        let spent = attempt
            .iter()
            .map(|attempt| self.quarantines.attempt(attempt));
        let spent = spent.collect::<Result<Vec<_>, _>>()?;
        for new in spent.iter().flatten().chain(stops) {
            self.stop(new)?;
        }
        Ok(Written::Now)
    }

    fn stop(&mut self, new: &Stop) -> Done {
        if !self.quarantines.stop(new)? {
            return Ok(Written::Already);
        }
        let text = format!("stopped {}: {} ({})", new.key, new.text, new.code);
        self.log(
            new.since,
            AuditKind::Alarm,
            Some(new.task),
            &text,
            self.record_of(&new.task)?,
        )
    }

    fn start_again(&mut self, now: UnixMillis, key: KeyId) -> Done {
        if !self.quarantines.start_again(&key)? {
            return Ok(Written::Already);
        }
        let text = format!("the operator lifted what stopped {key}");
        self.log(now, AuditKind::Alarm, None, &text, None)
    }

    fn lift(&mut self, now: UnixMillis, key: KeyId, peer: NodeId) -> Done {
        if !self.quarantines.lift(&key, &peer)? {
            return Ok(Written::Already);
        }
        let text = format!("the operator lifted the quarantine of {peer} for {key}");
        self.log(now, AuditKind::Alarm, None, &text, None)
    }

    pub(super) fn created(&self, key: KeyId) -> Result<Option<UnixMillis>, WriteJournalError> {
        Ok(self.key(&key)?.map(|record| record.created))
    }

    pub(super) fn key(&self, key: &KeyId) -> Result<Option<KeyRecord>, WriteJournalError> {
        let read =
            |bytes: &[u8]| codec::decode(bytes).map_err(|e| ReadJournalError::record("keys", e));
        Ok(self
            .keys
            .get(key.as_bytes())?
            .map(|known| read(known.value()))
            .transpose()?)
    }

    /// What vouches for a task's row as it is: a line about a task must not leave it without.
    pub(super) fn record_of(&self, task: &TaskId) -> Result<Option<Hash>, WriteJournalError> {
        Ok(self.tasks.get(&task.0)?.map(|row| record_hash(row.value())))
    }

    fn forget_expired(&mut self, now: UnixMillis) -> Done {
        self.state.forget_expired(now)?;
        self.uses.forget(now)?;
        Ok(Written::Now)
    }

    fn count(&mut self, now: UnixMillis, new: Count) -> Done {
        new.state.iter().try_for_each(StateWrite::check)?;
        let task = new.task;
        let text = format!("{} approved a use of {}{}", new.teller, new.key, new.text);
        if !self.uses.count(&mut self.state, new)? {
            return Ok(Written::Already);
        }
        self.log(
            now,
            AuditKind::Counted,
            Some(task),
            &text,
            self.record_of(&task)?,
        )
    }

    fn uncount(&mut self, now: UnixMillis, hash: Hash, teller: NodeId) -> Done {
        let Some(row) = self.uses.uncount(&mut self.state, &hash, &teller)? else {
            return Ok(Written::Already);
        };
        let text = format!("counts no more: nothing came of the use of {}", row.key);
        self.log(
            now,
            AuditKind::Counted,
            Some(row.task),
            &text,
            self.record_of(&row.task)?,
        )
    }

    /// The approved tasks without outcome.
    pub(super) fn unfinished(&self) -> Result<Vec<TaskId>, WriteJournalError> {
        self.unfinished
            .iter()?
            .map(|entry| Ok(TaskId(*entry?.0.value())))
            .collect()
    }

    fn check_new(&self, task: &Decided) -> Result<(), WriteJournalError> {
        match self.row(&task.task)? {
            None => Ok(()),
            Some(row) if row.hash == task.hash => Err(Refused::Known(task.task).into()),
            Some(_) => Err(Refused::OtherContent(task.task).into()),
        }
    }

    pub(super) fn row(&self, task: &TaskId) -> Result<Option<Row>, WriteJournalError> {
        let row = self.tasks.get(&task.0)?;
        let read =
            |bytes: &[u8]| codec::decode(bytes).map_err(|e| ReadJournalError::record("tasks", e));
        Ok(row.map(|row| read(row.value())).transpose()?)
    }

    /// Adds a row that was not there.
    fn enter(&mut self, now: UnixMillis, kind: AuditKind, row: Row, text: &str) -> Done {
        let position = self.order.last()?.map_or(0, |(last, _)| last.value() + 1);
        self.order.insert(position, &row.task.0)?;
        self.put_row(now, kind, &row, text)
    }

    fn put_row(&mut self, now: UnixMillis, kind: AuditKind, row: &Row, text: &str) -> Done {
        let bytes = codec::encode(row);
        self.tasks.insert(&row.task.0, bytes.as_slice())?;
        self.log(now, kind, Some(row.task), text, Some(record_hash(&bytes)))
    }

    pub(super) fn log(
        &mut self,
        now: UnixMillis,
        kind: AuditKind,
        task: Option<TaskId>,
        text: &str,
        record: Option<Hash>,
    ) -> Done {
        let entry = self
            .head()?
            .append(now, kind, task, printable(text, MAX_TEXT), record);
        self.audit
            .insert(entry.seq, codec::encode(&entry).as_slice())?;
        Ok(Written::Now)
    }

    fn head(&self) -> Result<AuditHead, WriteJournalError> {
        let Some((_, last)) = self.audit.last()? else {
            return Ok(AuditHead::EMPTY);
        };
        let entry: Result<AuditEntry, _> = codec::decode(last.value());
        Ok(entry
            .map_err(|error| ReadJournalError::record("audit", error))?
            .head())
    }

    /// A created key is in use from the moment that the outcome is on record.
    fn activate(
        &mut self,
        now: UnixMillis,
        announcement: &Announcement,
    ) -> Result<(), WriteJournalError> {
        let created = self.created(announcement.key)?.unwrap_or(now);
        let record = KeyRecord {
            announcement: announcement.clone(),
            status: KeyStatus::Active,
            created,
        };
        self.put_key(&record).map(drop)
    }
}

impl Decided {
    fn into_row(self, state: State) -> Row {
        let Self {
            task,
            hash,
            kind,
            received_at,
            verdicts,
            parties,
            bytes,
            evidence,
        } = self;
        let recording = evidence.vouch();
        let chain = evidence.chain;
        Row {
            task,
            hash,
            kind,
            received_at,
            state,
            verdicts,
            parties,
            bytes,
            recording,
            chain,
        }
    }
}

impl StateWrite {
    fn check(&self) -> Result<(), Refused> {
        let value = self.value.as_ref().map_or(0, Vec::len);
        if self.plugin.len().max(self.key.len()) > MAX_STATE_KEY || value > MAX_STATE_VALUE {
            return Err(Refused::StateTooLarge {
                plugin: printable(&self.plugin, MAX_TEXT),
            });
        }
        Ok(())
    }
}

/// What an audit entry says of a row, over the bytes as they are stored.
pub(super) fn record_hash(row: &[u8]) -> Hash {
    Hash::of("countersign/1 journal row", row)
}

fn aborted_by_restart() -> Failure {
    Failure::new(
        FailureCode::AbortedByRestart,
        "the node was restarted before the task ended; order it again as a new task",
    )
}

fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Created(announcement) => format!("created {}", announcement.key),
        Outcome::Signed(signed) => format!("signed in session {}", signed.session),
        Outcome::Reshared(announcement) => {
            format!(
                "reshared {}, generation {}",
                announcement.key, announcement.generation
            )
        }
        Outcome::Intact(intact) => format!("share of {} is intact", intact.key),
        Outcome::Refused(refusal) => {
            let by = refusal.plugin.as_deref().unwrap_or("the node");
            format!("refused by {by} with {}: {}", refusal.code, refusal.reason)
        }
        Outcome::Failed(failure) => format!("failed with {}: {}", failure.code, failure.text),
    }
}
