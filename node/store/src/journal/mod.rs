//! What the node did and must not do again: task register, plugin state, key records and audit log,
//! in `journal.redb`.
//!
//! Holds no secret. A write that returned is on the disk, in the file of that name; one that failed
//! left nothing behind, and the node must not sign then: the journal tells its [`Trouble`] and
//! takes nothing more. Writes of concurrent tasks share one commit (`writer`); reads see the last
//! commit and never wait. Every page is verified when the journal is opened (`pages`), and what the
//! database makes of a page that was damaged since is an error, never a panic.

mod audit;
mod change;
mod codec;
mod copy;
mod counted;
#[cfg(test)]
mod crash;
mod error;
mod generation;
mod handover;
mod index;
mod memory;
mod operation;
mod outbox;
mod pages;
mod peer;
mod quarantine;
mod recordings;
mod row;
#[cfg(any(test, feature = "testing"))]
mod silent;
mod snapshot;
mod started;
#[cfg(test)]
mod testing;
mod writer;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{File, TryLockError};
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_files::Holder;
pub use countersign_protocol::OperationKind;
use countersign_protocol::{
    Announcement, Committee, Hash, KeyId, NodeId, Outcome, StoredMark, TaskId, UnixMillis,
};
use redb::{Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable};

use crate::contain::contain;
use crate::files::{self, NotPrivate};
use crate::place::Place;
use crate::trouble::Trouble;
use audit::AUDIT;
pub use audit::{AuditEntry, AuditHead, AuditKind};
pub use change::TaskChange;
pub use counted::{Count, Counted, Teller};
pub use error::{AuditError, JournalOpenError, ReadJournalError, Refused, WriteJournalError};
pub use generation::Generation;
use handover::HANDOVERS;
pub use handover::{Handover, HandoverStage};
use index::{Index, Known};
pub use index::{KeyCounts, KnownKey};
use memory::STATE;
pub use operation::{Decided, StateWrite, Written};
use operation::{KEYS, META, ORDER, Operation, TASKS, Tables};
pub use outbox::{Delivery, MAX_OUTBOX, NewEvent};
use pages::Pages;
pub use peer::PeerMark;
pub use quarantine::{Attempt, Consequences, Quarantine, Stop};
use quarantine::{QUARANTINE, STOPS};
use recordings::DIFFERENCES;
pub use recordings::{Configuration, Difference, Evidence, Proof};
pub use row::{KeyRecord, KeyStatus, Row, State};
#[cfg(any(test, feature = "testing"))]
pub use silent::Silent;
pub use snapshot::Snapshot;
use writer::{Desk, Writer};

/// The journal's file.
pub const JOURNAL_FILE: &str = "journal.redb";
const STAGED_JOURNAL: &str = ".journal.redb.tmp";

/// The format that this program writes.
const FORMAT: u64 = 1;
/// Pages kept in memory, in bytes. The default of redb is 1 GiB.
const CACHE: usize = 16 * 1024 * 1024;

/// The open journal of one node. Clones share it; it closes with the last of them.
#[derive(Clone)]
pub struct Journal {
    writer: Arc<Writer>,
    database: Arc<Database>,
    /// What is known of all keys without reading their rows.
    index: Index,
    trouble: Arc<Trouble>,
    /// Alarms that others can cause again and again, as far as they are in the audit log since the
    /// journal was opened.
    alarmed: Arc<Mutex<HashSet<Hash>>>,
}

/// What the register knows of a task id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookUp {
    /// Nothing.
    New,
    /// These very bytes, and what became of them.
    Same(Box<Row>),
    /// The id, with other bytes: refuse and raise an alarm.
    Different,
}

impl Journal {
    /// Makes an empty journal in `dir`, which is made with mode 0700 if it is not there. All or
    /// nothing.
    pub fn create(dir: &Path) -> Result<Self, JournalOpenError> {
        let path = dir.join(JOURNAL_FILE);
        let staged = dir.join(STAGED_JOURNAL);
        if path.exists() {
            return Err(JournalOpenError::Exists { path });
        }
        files::private_dir(dir).map_err(|error| private(dir, error))?;
        let io = |error| JournalOpenError::Io {
            path: path.clone(),
            error,
        };
        let file = files::create_private(&staged).map_err(io)?;
        let synced = file.try_clone().map_err(io)?;
        Builder::new()
            .create_file(file)
            .map_err(redb::Error::from)
            .and_then(initialise)
            .map_err(|error| unopened(&path, error))?;
        synced
            .sync_all()
            .and_then(|()| files::publish(&staged, &path))
            .map_err(io)?;
        drop(synced);
        Self::open(dir)
    }

    /// Opens the journal in `dir`, after a crash too.
    pub fn open(dir: &Path) -> Result<Self, JournalOpenError> {
        let path = dir.join(JOURNAL_FILE);
        if !path.exists() {
            return Err(JournalOpenError::Missing { path });
        }
        files::check_private(dir).map_err(|error| private(dir, error))?;
        let io = |error| JournalOpenError::Io {
            path: path.clone(),
            error,
        };
        let file = countersign_files::open_writable(&path).map_err(io)?;
        files::check_private(&path).map_err(|error| private(&path, error))?;
        let known = file.metadata().map_err(io)?;
        // The database would make itself a new one of an empty file.
        if known.len() == 0 {
            return Err(damaged(&path, "it is empty"));
        }
        let place = Place::of(&path, &known);
        let kept = file.try_clone().map_err(io)?;
        let database = contain(|| open_file(&path, file))
            .unwrap_or_else(|panic| Err(damaged(&path, panic)))?;
        Self::start(database, Some((kept, place))).map_err(io)
    }

    fn start(database: Database, file: Option<(File, Place)>) -> io::Result<Self> {
        let database = Arc::new(database);
        let trouble = Arc::new(Trouble::default());
        let index = Index::default();
        let (file, place) = file.unzip();
        let theirs = database.clone();
        let known = index.clone();
        let desk = Desk {
            database: theirs,
            index: known,
            file,
            place,
            trouble: trouble.clone(),
        };
        let writer = Arc::new(Writer::start(desk)?);
        let alarmed = Arc::default();
        Ok(Self {
            writer,
            database,
            index,
            trouble,
            alarmed,
        })
    }

    /// What ended this journal, if anything did: it is written no more.
    pub fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// Whether the journal can still be used: it can be read, and is the file at its place. An
    /// error is the [`Trouble`] of the journal from here on.
    pub fn check(&self) -> Result<(), String> {
        if let Err(error) = self.audit_entries() {
            self.trouble.raise(error.to_string());
        }
        if let Err(moved) = self.writer.check_place() {
            self.trouble.raise(moved.to_string());
        }
        self.trouble.why().map_or(Ok(()), |why| Err(why.to_owned()))
    }

    /// Reads. A page that was damaged since the journal was opened is an error, and the end of this
    /// journal.
    fn look<T, E: From<ReadJournalError>>(
        &self,
        read: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        guarded(&self.trouble, read)
    }

    /// What is known of a task: to be asked before anything is decided.
    pub fn look_up(&self, task: &TaskId, hash: &Hash) -> Result<LookUp, ReadJournalError> {
        Ok(match self.row(task)? {
            None => LookUp::New,
            Some(row) if row.hash == *hash => LookUp::Same(Box::new(row)),
            Some(_) => LookUp::Different,
        })
    }

    /// Writes what becomes of a task, and the events that tell of it, in one commit; no event if
    /// the change is refused or changes nothing. Only after this returned may anything of it leave
    /// the node.
    pub fn commit(
        &self,
        now: UnixMillis,
        change: TaskChange,
        events: Vec<NewEvent>,
    ) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::Change {
            now,
            change: Box::new(change),
            events,
        })
    }

    /// Keeps what a shadow would have decided. Not part of the audit log: it decided nothing.
    pub fn differ(&self, difference: Difference) -> Result<(), WriteJournalError> {
        self.writer
            .run(Operation::Differ(Box::new(difference)))
            .map(drop)
    }

    /// Adds a line to the audit log that an operator must see.
    pub fn alarm(
        &self,
        now: UnixMillis,
        task: Option<TaskId>,
        text: &str,
    ) -> Result<(), WriteJournalError> {
        self.writer
            .run(Operation::Alarm {
                now,
                task,
                text: text.into(),
            })
            .map(drop)
    }

    /// The same, unless this journal has had the very same text since it was opened: for what
    /// others can cause as often as they like.
    pub fn alarm_once(&self, now: UnixMillis, text: &str) -> Result<(), WriteJournalError> {
        let alarm = Hash::of("countersign/1 alarm", text.as_bytes());
        if self.alarmed().contains(&alarm) {
            return Ok(());
        }
        self.alarm(now, None, text)?;
        self.alarmed().insert(alarm);
        Ok(())
    }

    fn alarmed(&self) -> MutexGuard<'_, HashSet<Hash>> {
        self.alarmed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line to the audit log about what decides, and keeps the document that describes all
    /// of it.
    pub fn policy(
        &self,
        now: UnixMillis,
        text: &str,
        chain: Option<Configuration>,
    ) -> Result<(), WriteJournalError> {
        self.writer
            .run(Operation::Policy {
                now,
                text: text.into(),
                chain,
            })
            .map(drop)
    }

    /// Writes the public record of a key, over the old one if there is one.
    pub fn put_key(&self, record: KeyRecord) -> Result<(), WriteJournalError> {
        self.writer
            .run(Operation::PutKey(Box::new(record)))
            .map(drop)
    }

    /// Removes the public record of a key that came to nothing.
    pub fn delete_key(&self, key: KeyId) -> Result<(), WriteJournalError> {
        self.writer.run(Operation::DeleteKey(key)).map(drop)
    }

    /// Remembers how far a peer has come. A mark that is known never falls.
    pub fn raise_peer(&self, peer: NodeId, mark: PeerMark) -> Result<(), WriteJournalError> {
        self.writer.run(Operation::RaisePeer(peer, mark)).map(drop)
    }

    /// The most that a peer ever said of how far it has come.
    pub fn peer(&self, peer: &NodeId) -> Result<Option<PeerMark>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(peer::PEERS)? else {
                return Ok(None);
            };
            table
                .get(peer.as_bytes())?
                .map(|mark| peer::read(mark.value()))
                .transpose()
        })
    }

    /// How many entries the audit log has.
    pub fn audit_entries(&self) -> Result<u64, ReadJournalError> {
        self.look(|| {
            let table = self.database.begin_read()?.open_table(AUDIT)?;
            Ok(table.last()?.map_or(0, |(seq, _)| seq.value() + 1))
        })
    }

    /// Notes that the journal was restored from a backup and may lack tasks that the node has
    /// decided on: from here on those made before `time` are refused.
    pub fn restored(&self, time: UnixMillis) -> Result<(), WriteJournalError> {
        self.writer.run(Operation::NotBefore(time)).map(drop)
    }

    /// When the journal was last restored from a backup.
    pub fn restored_at(&self) -> Result<Option<UnixMillis>, ReadJournalError> {
        self.moment(operation::RESTORED)
    }

    /// When a share was destroyed for the first time since the storage key was renewed; `None`:
    /// none was.
    pub fn rekey_due(&self) -> Result<Option<UnixMillis>, ReadJournalError> {
        self.moment(operation::DESTROYED)
    }

    fn moment(&self, which: u8) -> Result<Option<UnixMillis>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(operation::MOMENTS)? else {
                return Ok(None);
            };
            Ok(table.get(which)?.map(|time| UnixMillis(time.value())))
        })
    }

    /// Records that another process with this node's identity was proven.
    pub fn twin(&self, now: UnixMillis) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::Twin(now))
    }

    /// When another process with this node's identity was proven, if the operator has not decided
    /// since.
    pub fn twin_since(&self) -> Result<Option<UnixMillis>, ReadJournalError> {
        self.moment(operation::TWIN)
    }

    /// The operator has decided that this process goes on; [`Written::Already`] if no twin was
    /// known.
    pub fn lift_twin(&self, now: UnixMillis) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::LiftTwin(now))
    }

    /// Notes that the storage key was renewed.
    pub fn rekeyed(&self, now: UnixMillis) -> Result<(), WriteJournalError> {
        self.writer.run(Operation::Rekeyed(now)).map(drop)
    }

    /// Keeps a peer away from a key, with an alarm in the audit log. One that is kept away already
    /// stays so for its first reason.
    pub fn quarantine(&self, new: Quarantine) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::Quarantine(Box::new(new)))
    }

    /// Ends a quarantine; [`Written::Already`] if there is none.
    pub fn lift(
        &self,
        now: UnixMillis,
        key: KeyId,
        peer: NodeId,
    ) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::Lift { now, key, peer })
    }

    /// Lifts all that stops a key; [`Written::Already`] if nothing does.
    pub fn start_again(&self, now: UnixMillis, key: KeyId) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::StartAgain { now, key })
    }

    /// Records that what this node will hold after a reshare is stored. From here on only
    /// [`commit`](Self::commit) of how the reshare ended, or of the reshared key, ends
    /// the task.
    pub fn open_handover(&self, handover: Handover) -> Result<(), WriteJournalError> {
        self.writer
            .run(Operation::OpenHandover(Box::new(handover)))
            .map(drop)
    }

    /// Keeps a generation of a key that the key has come to already. The caller has verified it.
    pub fn keep_generation(&self, announcement: Announcement) -> Result<(), WriteJournalError> {
        self.writer
            .run(Operation::KeepGeneration(Box::new(announcement)))
            .map(drop)
    }

    /// Records members' marks that they have a generation in force. The caller has verified them.
    pub fn in_force(
        &self,
        key: KeyId,
        generation: u32,
        marks: Vec<StoredMark>,
    ) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::InForce {
            key,
            generation,
            marks,
        })
    }

    /// Records that these nodes know all that they need of a generation.
    pub fn heard(
        &self,
        key: KeyId,
        generation: u32,
        nodes: Vec<NodeId>,
    ) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::Heard {
            key,
            generation,
            nodes,
        })
    }

    /// Records that the share which this node kept of a key that has moved on is of no use to
    /// anybody any more.
    pub fn release(&self, key: KeyId) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::Release(key))
    }

    /// Records that a key moved on to this generation without this node.
    pub fn replace(
        &self,
        now: UnixMillis,
        announcement: Announcement,
    ) -> Result<(), WriteJournalError> {
        self.writer
            .run(Operation::Replace {
                now,
                announcement: Box::new(announcement),
            })
            .map(drop)
    }

    /// Records that the shares which this generation made useless are gone from the store.
    pub fn destroyed(
        &self,
        now: UnixMillis,
        announcement: Announcement,
    ) -> Result<(), WriteJournalError> {
        self.writer
            .run(Operation::Destroyed {
                now,
                announcement: Box::new(announcement),
            })
            .map(drop)
    }

    /// Records that a signer told of a task in which this node takes no part, and what plugins
    /// counted of it.
    /// [`Written::Already`]: it had said so, and there is nothing new.
    pub fn count(&self, now: UnixMillis, new: Count) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::Count {
            now,
            new: Box::new(new),
        })
    }

    /// Records that nothing came of a task at a signer that had told of it. When all have said so,
    /// what plugins counted is taken back, but for entries that were written again since; else
    /// [`Written::Already`].
    pub fn uncount(
        &self,
        now: UnixMillis,
        task: Hash,
        teller: NodeId,
    ) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::Uncount { now, task, teller })
    }

    /// A task that others sign, by its hash.
    pub fn counted(&self, task: &Hash) -> Result<Option<Counted>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(counted::COUNTED)? else {
                return Ok(None);
            };
            table
                .get(task.as_bytes())?
                .map(|row| read("counted", row.value()))
                .transpose()
        })
    }

    /// How many tasks of others each signer was the first to tell of, as far as more may be heard
    /// of them.
    pub fn counted_by_teller(&self) -> Result<HashMap<NodeId, usize>, ReadJournalError> {
        self.look(|| {
            let mut counts = HashMap::new();
            let Some(table) = self.later_table(counted::COUNTED)? else {
                return Ok(counts);
            };
            for entry in table.iter()? {
                let row: Counted = read("counted", entry?.1.value())?;
                if let Some(first) = row.tellers.first() {
                    *counts.entry(first.node).or_default() += 1;
                }
            }
            Ok(counts)
        })
    }

    /// Removes plugin state that has expired, and tasks of others of which nothing more is to be
    /// heard. Reads do not see it in any case.
    pub fn forget_expired(&self, now: UnixMillis) -> Result<(), WriteJournalError> {
        self.writer.run(Operation::ForgetExpired { now }).map(drop)
    }

    /// The row of a task.
    pub fn row(&self, task: &TaskId) -> Result<Option<Row>, ReadJournalError> {
        self.look(|| {
            let table = self.database.begin_read()?.open_table(TASKS)?;
            table
                .get(&task.0)?
                .map(|row| read("tasks", row.value()))
                .transpose()
        })
    }

    /// The tasks recorded last, newest first.
    pub fn recent(&self, limit: usize) -> Result<Vec<Row>, ReadJournalError> {
        self.look(|| {
            let transaction = self.database.begin_read()?;
            let order = transaction.open_table(ORDER)?;
            let tasks = transaction.open_table(TASKS)?;
            let mut rows = Vec::new();
            for entry in order.iter()?.rev().take(limit) {
                let task = entry?.1;
                let row = tasks
                    .get(task.value())?
                    .ok_or(ReadJournalError::Damaged { table: "tasks" })?;
                rows.push(read("tasks", row.value())?);
            }
            Ok(rows)
        })
    }

    /// The approved tasks without outcome.
    pub fn unfinished(&self) -> Result<Vec<TaskId>, ReadJournalError> {
        self.look(|| {
            let table = self
                .database
                .begin_read()?
                .open_table(operation::UNFINISHED)?;
            table
                .iter()?
                .map(|entry| Ok(TaskId(*entry?.0.value())))
                .collect()
        })
    }

    /// What a plugin last wrote under `key`, unless it has expired.
    pub fn state_get(
        &self,
        plugin: &str,
        key: &str,
        now: UnixMillis,
    ) -> Result<Option<Vec<u8>>, ReadJournalError> {
        self.snapshot(now)?.get(plugin, key)
    }

    /// Keys and values of a plugin whose keys begin with `prefix`, in byte order, at most `limit`.
    pub fn state_list(
        &self,
        plugin: &str,
        prefix: &str,
        limit: usize,
        now: UnixMillis,
    ) -> Result<Vec<(String, Vec<u8>)>, ReadJournalError> {
        self.snapshot(now)?.list(plugin, prefix, limit)
    }

    /// The plugins' state as it is at `now`, whatever is written afterwards.
    pub fn snapshot(&self, now: UnixMillis) -> Result<Snapshot, ReadJournalError> {
        self.look(|| {
            Ok(Snapshot::new(
                self.database.begin_read()?.open_table(STATE)?,
                now,
                self.trouble.clone(),
            ))
        })
    }

    /// What shadows would have decided otherwise, newest first.
    pub fn differences(&self, limit: usize) -> Result<Vec<Difference>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(DIFFERENCES)? else {
                return Ok(Vec::new());
            };
            table
                .iter()?
                .rev()
                .take(limit)
                .map(|entry| read("differences", entry?.1.value()))
                .collect()
        })
    }

    /// A table that journals of the first programs lack until something is written.
    fn later_table<K: redb::Key + 'static, V: redb::Value + 'static>(
        &self,
        table: redb::TableDefinition<K, V>,
    ) -> Result<Option<redb::ReadOnlyTable<K, V>>, ReadJournalError> {
        match self.database.begin_read()?.open_table(table) {
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            table => Ok(Some(table?)),
        }
    }

    /// The public record of a key.
    pub fn key(&self, key: &KeyId) -> Result<Option<KeyRecord>, ReadJournalError> {
        self.look(|| {
            let table = self.database.begin_read()?.open_table(KEYS)?;
            table
                .get(key.as_bytes())?
                .map(|record| read("keys", record.value()))
                .transpose()
        })
    }

    /// All key records, by id.
    pub fn keys(&self) -> Result<Vec<KeyRecord>, ReadJournalError> {
        self.look(|| {
            let table = self.database.begin_read()?.open_table(KEYS)?;
            table
                .iter()?
                .map(|entry| read("keys", entry?.1.value()))
                .collect()
        })
    }

    /// Key records by id, those after `after`, at most `most`.
    pub fn keys_after(
        &self,
        after: Option<KeyId>,
        most: usize,
    ) -> Result<Vec<KeyRecord>, ReadJournalError> {
        self.look(|| {
            let table = self.database.begin_read()?.open_table(KEYS)?;
            let from = after
                .as_ref()
                .map_or(Bound::Unbounded, |key| Bound::Excluded(key.as_bytes()));
            let rows = table
                .range::<&[u8; 16]>((from, Bound::Unbounded))?
                .take(most);
            rows.map(|entry| read("keys", entry?.1.value())).collect()
        })
    }

    /// What is known of every key without reading its row, by id.
    pub fn known_keys(&self) -> Result<Vec<(KeyId, KnownKey)>, ReadJournalError> {
        self.ask(|known| {
            known
                .keys()
                .iter()
                .map(|(key, known)| (*key, known.clone()))
                .collect()
        })
    }

    /// How many keys there are.
    pub fn key_counts(&self) -> Result<KeyCounts, ReadJournalError> {
        self.ask(Known::counts)
    }

    /// The keys that wait for their members' confirmation, each with the task that makes it.
    pub fn pending_keys(&self) -> Result<Vec<(KeyId, TaskId)>, ReadJournalError> {
        self.ask(Known::pending)
    }

    /// The active keys that all of these nodes hold, each with its generation, by id.
    pub fn shared_keys(&self, nodes: &[NodeId]) -> Result<Vec<(KeyId, u32)>, ReadJournalError> {
        self.ask(|known| known.shared(nodes))
    }

    /// The auxiliary information of a committee's newest active key that has some.
    pub fn newest_aux(&self, committee: &Committee) -> Result<Option<Hash>, ReadJournalError> {
        self.ask(|known| known.newest_aux(committee))
    }

    /// The auxiliary information that active keys use.
    pub fn auxes_in_use(&self) -> Result<BTreeSet<Hash>, ReadJournalError> {
        self.ask(Known::auxes)
    }

    /// The reshares of a key for which this node has stored, by task.
    pub fn handovers_of(&self, key: &KeyId) -> Result<Vec<Handover>, ReadJournalError> {
        self.read_handovers(self.ask(|known| known.reshares_of(key))?)
    }

    /// Records, before a share is used for it, that a reshare of the key begins now. Those from
    /// before `since` are forgotten.
    pub fn start_reshare(
        &self,
        key: KeyId,
        task: TaskId,
        at: UnixMillis,
        since: UnixMillis,
    ) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::StartReshare {
            key,
            task,
            at,
            since,
        })
    }

    /// The reshares of a key that this node has started, and when, as far as they are still known.
    pub fn started_reshares(
        &self,
        key: &KeyId,
    ) -> Result<Vec<(TaskId, UnixMillis)>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(started::STARTED)? else {
                return Ok(Vec::new());
            };
            started::read(&table, key)
        })
    }

    /// The reshares that stand so at this node, by task.
    pub fn handovers_at(&self, stage: HandoverStage) -> Result<Vec<Handover>, ReadJournalError> {
        self.read_handovers(self.ask(|known| known.reshares_at(stage))?)
    }

    fn read_handovers(&self, tasks: Vec<TaskId>) -> Result<Vec<Handover>, ReadJournalError> {
        let missing = || ReadJournalError::Damaged { table: "handovers" };
        tasks
            .iter()
            .map(|task| self.handover(task)?.ok_or_else(missing))
            .collect()
    }

    fn ask<T>(&self, question: impl FnOnce(&Known) -> T) -> Result<T, ReadJournalError> {
        self.index
            .ask(|| Ok((self.keys()?, self.handovers()?)), question)
    }

    /// Rows that this thread has decoded so far, of any journal, and those that this journal's
    /// writer has: what an event costs, for tests.
    pub fn rows_read(&self) -> u64 {
        codec::decoded() + self.writer.rows_read()
    }

    /// A generation of a key with all marks, as far as this node was there or was told.
    pub fn generation(
        &self,
        key: &KeyId,
        number: u32,
    ) -> Result<Option<Generation>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(generation::GENERATIONS)? else {
                return Ok(None);
            };
            let place = generation::place(key, number);
            table
                .get(&place)?
                .map(|known| read("generations", known.value()))
                .transpose()
        })
    }

    /// Generations of which somebody whom they concern has not said yet that it knows.
    pub fn unheard(&self) -> Result<Vec<(KeyId, u32)>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(generation::UNHEARD)? else {
                return Ok(Vec::new());
            };
            table
                .iter()?
                .map(|entry| generation::split(entry?.0.value()))
                .collect()
        })
    }

    /// What is known of a reshare for which this node has stored.
    pub fn handover(&self, task: &TaskId) -> Result<Option<Handover>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(HANDOVERS)? else {
                return Ok(None);
            };
            table
                .get(&task.0)?
                .map(|handover| read("handovers", handover.value()))
                .transpose()
        })
    }

    /// All reshares for which this node has stored, by task.
    pub fn handovers(&self) -> Result<Vec<Handover>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(HANDOVERS)? else {
                return Ok(Vec::new());
            };
            table
                .iter()?
                .map(|entry| read("handovers", entry?.1.value()))
                .collect()
        })
    }

    /// Which peers are kept away from which keys.
    pub fn quarantines(&self) -> Result<Vec<Quarantine>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(QUARANTINE)? else {
                return Ok(Vec::new());
            };
            quarantine::read_all(&table, "quarantine")
        })
    }

    /// Which keys sign no more, with certain signers or at all.
    pub fn stops(&self) -> Result<Vec<Stop>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(STOPS)? else {
                return Ok(Vec::new());
            };
            quarantine::read_all(&table, "stops")
        })
    }

    /// Writes a copy of the journal as it is now, to a new file that only the owner may open.
    pub fn copy_to(&self, path: &Path) -> Result<(), JournalOpenError> {
        contain(|| copy::copy(&self.database, path)).unwrap_or_else(|panic| {
            let error = ReadJournalError::Page(panic).to_string();
            self.trouble.raise(error.clone());
            Err(JournalOpenError::Io {
                path: path.into(),
                error: io::Error::other(error),
            })
        })
    }

    /// Entries of the audit log from `from` on, at most `limit`.
    pub fn audit(&self, from: u64, limit: usize) -> Result<Vec<AuditEntry>, ReadJournalError> {
        self.look(|| {
            let table = self.database.begin_read()?.open_table(AUDIT)?;
            table
                .range(from..)?
                .take(limit)
                .map(|entry| read("audit", entry?.1.value()))
                .collect()
        })
    }

    /// Reads the whole audit log, every task's row and what proves the decisions, and checks that
    /// each entry follows from the one before, that the last entry about a task vouches for its
    /// row, and the row for its recording and for the key that it made. Before that every page of
    /// the file is verified; writes wait meanwhile.
    pub fn verify_audit(&self) -> Result<AuditHead, AuditError> {
        self.look(|| {
            self.writer.verify_pages()?;
            let transaction = self.database.begin_read()?;
            let mut head = AuditHead::EMPTY;
            let mut vouched = HashMap::new();
            for entry in transaction.open_table(AUDIT)?.iter()? {
                let (seq, entry) = entry?;
                let broken = AuditError::Broken { at: head.entries };
                let Ok(entry) = codec::decode::<AuditEntry>(entry.value()) else {
                    return Err(broken);
                };
                if seq.value() != head.entries || !entry.follows(head) {
                    return Err(broken);
                }
                head = entry.head();
                if let (Some(task), Some(record)) = (entry.task, entry.record) {
                    vouched.insert(task, (entry.seq, record));
                }
            }
            check_rows(&transaction, vouched)?;
            check_keys(&transaction)?;
            recordings::verify(&transaction)?;
            Ok(head)
        })
    }

    /// How many commits the journal has made since it was opened. Several writes can share one.
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal")
            .field("commits", &self.commits())
            .finish_non_exhaustive()
    }
}

fn read<T: codec::Stored>(table: &'static str, bytes: &[u8]) -> Result<T, ReadJournalError> {
    codec::decode(bytes).map_err(|error| ReadJournalError::record(table, error))
}

/// Every row must be the one that the last entry about it vouches for, and no vouched row may be
/// missing.
fn check_rows(
    transaction: &ReadTransaction,
    mut vouched: HashMap<TaskId, (u64, Hash)>,
) -> Result<(), AuditError> {
    for entry in transaction.open_table(TASKS)?.iter()? {
        let (task, bytes) = entry?;
        let task = TaskId(*task.value());
        match vouched.remove(&task) {
            None => return Err(AuditError::Unlogged { task }),
            Some((_, record)) if record == operation::record_hash(bytes.value()) => {}
            Some((at, _)) => return Err(AuditError::Record { at, task }),
        }
    }
    match vouched.into_iter().min_by_key(|(_, (at, _))| *at) {
        Some((task, (at, _))) => Err(AuditError::Record { at, task }),
        None => Ok(()),
    }
}

fn guarded<T, E: From<ReadJournalError>>(
    trouble: &Trouble,
    read: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    contain(read).unwrap_or_else(|panic| {
        let error = ReadJournalError::Page(panic);
        trouble.raise(error.to_string());
        Err(error.into())
    })
}

/// Opens the database in a file that nobody else has open, if all of it is what was written.
fn open_file(path: &Path, file: File) -> Result<Database, JournalOpenError> {
    let io = |error| JournalOpenError::Io {
        path: path.into(),
        error,
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(locked(path)),
        Err(TryLockError::Error(error)) => return Err(io(error)),
    }
    drop(
        Pages::of(&file)
            .map_err(io)?
            .verify()
            .map_err(|error| unopened(path, error))?,
    );
    let database = Builder::new().set_cache_size(CACHE).create_file(file);
    let database = database.map_err(|error| unopened(path, error.into()))?;
    match format(&database).map_err(|error| unopened(path, error))? {
        Some(version) if version > FORMAT => Err(JournalOpenError::NewerFormat {
            path: path.into(),
            version,
        }),
        Some(_) => Ok(database),
        None => Err(damaged(path, "it is no journal")),
    }
}

fn locked(path: &Path) -> JournalOpenError {
    JournalOpenError::Locked {
        path: path.into(),
        holder: Holder::of(path),
    }
}

fn damaged(path: &Path, what: impl Into<String>) -> JournalOpenError {
    JournalOpenError::Damaged {
        path: path.into(),
        what: what.into(),
    }
}

/// Every key's record must be readable, and the announcement be the one that its task, if its row
/// is here, ended with.
fn check_keys(transaction: &ReadTransaction) -> Result<(), AuditError> {
    let tasks = transaction.open_table(TASKS)?;
    for entry in transaction.open_table(KEYS)?.iter()? {
        let (place, record) = entry?;
        let record: KeyRecord = read("keys", record.value())?;
        let key = record.key();
        let announcement = &record.announcement;
        if key.as_bytes() != place.value() {
            return Err(AuditError::Key { key });
        }
        let Some(row) = tasks.get(&announcement.task.0)? else {
            continue;
        };
        let row: Row = read("tasks", row.value())?;
        let State::Ended { outcome, .. } = row.state else {
            continue;
        };
        let (Outcome::Created(made) | Outcome::Reshared(made)) = *outcome else {
            continue;
        };
        if made.digest() != announcement.digest() {
            return Err(AuditError::Key { key });
        }
    }
    Ok(())
}

/// Makes all tables, so that no read meets a missing one, and closes the database.
fn initialise(database: Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    drop(Tables::open(&transaction)?);
    transaction.open_table(META)?.insert("format", FORMAT)?;
    Ok(transaction.commit()?)
}

fn format(database: &Database) -> Result<Option<u64>, redb::Error> {
    match database.begin_read()?.open_table(META) {
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        table => Ok(table?.get("format")?.map(|version| version.value())),
    }
}

fn unopened(path: &Path, error: redb::Error) -> JournalOpenError {
    if matches!(error, redb::Error::DatabaseAlreadyOpen) {
        return locked(path);
    }
    let path = path.into();
    match error {
        redb::Error::UpgradeRequired(version) => JournalOpenError::NewerFormat {
            path,
            version: version.into(),
        },
        redb::Error::Io(error) if error.kind() != io::ErrorKind::InvalidData => {
            JournalOpenError::Io { path, error }
        }
        other => JournalOpenError::Damaged {
            path,
            what: other.to_string(),
        },
    }
}

fn private(path: &Path, error: NotPrivate) -> JournalOpenError {
    match error {
        NotPrivate::Io(error) => JournalOpenError::Io {
            path: path.into(),
            error,
        },
        NotPrivate::Mode(path, mode) => JournalOpenError::Exposed { path, mode },
    }
}
