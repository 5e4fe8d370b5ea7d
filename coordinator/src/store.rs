//! The coordinator's database: tasks and wallets, with all their generations, in one redb file. The
//! only module that sees redb.
//!
//! Rows are a version byte and JSON. Writes are deferred: [`Store::put_task`] makes a row visible
//! at once, a writer thread commits many rows together, and [`Store::durable`] waits for it.
//! Nothing here is secret, and nothing here makes decisions.

mod events;
mod index;
mod operators;
mod webhooks;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countersign_files::Holder;
use countersign_protocol::{Hash, IdError, KeyDescriptor, KeyId, TaskId};
use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::Serialize;
use tokio::sync::watch;

use crate::task::record::{Subject, TaskRecord};
use events::EVENTS;
pub use events::{EventFilter, Feed, FeedError, NewEvent};
use index::INDEX;
pub use index::{Entry, Page, TaskFilter};
pub use operators::{Act, KeyChange};
pub use webhooks::WebhookRow;

const ROW_VERSION: u8 = 1;
/// Page cache in bytes.
const CACHE: usize = 32 * 1024 * 1024;
/// Time for which a row waits to share a commit with others, unless somebody waits for it.
const LINGER: Duration = Duration::from_millis(100);
const TASKS: TableDefinition<[u8; 16], &[u8]> = TableDefinition::new("tasks");
const ORDER: TableDefinition<u64, [u8; 16]> = TableDefinition::new("order");
/// Ids of open tasks.
const OPEN: TableDefinition<[u8; 16], ()> = TableDefinition::new("open");
/// Key id to row of the newest generation.
const WALLETS: TableDefinition<[u8; 16], &[u8]> = TableDefinition::new("wallets");
/// Key id and generation number to row; includes every generation, except those stored before this
/// table existed and not reshared since.
const GENERATIONS: TableDefinition<[u8; 20], &[u8]> = TableDefinition::new("generations");

/// Why the store does not work.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the file open.
    #[error(
        "another coordinator runs on this data directory{0}; stop it first, or give this one a directory of its own"
    )]
    InUse(Holder),
    /// The database returned an error.
    #[error(
        "the database does not answer ({0}); check the disk under the data directory, then restart"
    )]
    Database(String),
    /// A row is of a later version, or damaged.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error(
        "a row of `{table}` cannot be read ({reason}); restore a backup, or run the version that wrote it"
    )]
    Row { table: &'static str, reason: String },
}

/// Tasks and wallets. Dropping it commits what is pending.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    writer: Option<std::thread::JoinHandle<()>>,
}

/// A point in the order of writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

#[derive(Debug)]
struct Shared {
    db: Database,
    state: Mutex<Pending>,
    wake: Condvar,
    committed: watch::Sender<u64>,
    tally: index::Tally,
}

#[derive(Debug, Default)]
struct Pending {
    batch: Batch,
    committing: Arc<Batch>,
    writes: u64,
    /// Place of the newest event in the feed.
    last_event: u64,
    /// Place of the newest entry of the audit log.
    last_audit: u64,
    /// Its hash; absent before the first of the chain.
    last_act: Option<Hash>,
    urgent: bool,
    stop: bool,
    broken: Option<StoreError>,
    /// Writes until the store breaks.
    #[cfg(test)]
    left: Option<u64>,
}

#[derive(Debug, Default)]
struct Batch {
    tasks: BTreeMap<[u8; 16], TaskRow>,
    wallets: BTreeMap<[u8; 16], Vec<u8>>,
    events: BTreeMap<u64, Vec<u8>>,
    hooks: webhooks::Changes,
    operators: operators::Changes,
    /// `None` if there is no such generation any more.
    generations: BTreeMap<[u8; 20], Option<Vec<u8>>>,
}

#[derive(Debug)]
struct TaskRow {
    sequence: u64,
    open: bool,
    index: index::Row,
    row: Vec<u8>,
}

impl Store {
    /// Opens or creates the file.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let db = open_database(path).map_err(|error| match error {
            StoreError::InUse(_) => StoreError::InUse(Holder::of(path)),
            error @ (StoreError::Database(_) | StoreError::Row { .. }) => error,
        })?;
        create_tables(&db)?;
        index::complete(&db)?;
        let pending = Pending {
            last_event: events::last(&db)?,
            last_audit: operators::last_audit(&db)?,
            last_act: operators::last_act(&db)?,
            ..Pending::default()
        };
        let shared = Arc::new(Shared {
            tally: index::Tally::of(&db)?,
            db,
            state: Mutex::new(pending),
            wake: Condvar::new(),
            committed: watch::Sender::new(0),
        });
        let writer = std::thread::Builder::new().name("store".into()).spawn({
            let shared = shared.clone();
            move || shared.write_until_stopped()
        });
        let writer = writer.map_err(|error| StoreError::Database(error.to_string()))?;
        Ok(Self {
            shared,
            writer: Some(writer),
        })
    }

    /// Makes a task visible, and durable soon together with these events; at once if somebody waits
    /// for its ticket. Anything lost in a crash in between is reported again: nodes answer a
    /// repeated offer with their decision and outcome.
    pub fn put_task(
        &self,
        id: TaskId,
        subject: &Subject,
        record: &TaskRecord,
        events: Vec<NewEvent>,
    ) -> Result<Ticket, StoreError> {
        self.put_audited_task(id, subject, record, events, None)
    }

    /// Does the same for a task that somebody submitted. Its entry in the audit log is durable with
    /// it.
    pub fn put_audited_task(
        &self,
        id: TaskId,
        subject: &Subject,
        record: &TaskRecord,
        events: Vec<NewEvent>,
        act: Option<Act<'_>>,
    ) -> Result<Ticket, StoreError> {
        let row = TaskRow {
            sequence: record.sequence,
            open: record.is_open(),
            index: index::encode(id, record, subject),
            row: to_row(record),
        };
        let mut pending = self.shared.lock();
        pending.check()?;
        pending.batch.tasks.insert(id.0, row);
        pending.append(events);
        act.into_iter().for_each(|act| pending.log(act));
        Ok(self.shared.written(pending))
    }

    /// Makes a generation of a wallet visible, and durable soon. Returns true if it is the newest:
    /// an older one never replaces a newer one. The event is kept only for the
    /// newest. For one caller at a time.
    pub fn put_wallet(
        &self,
        wallet: &KeyDescriptor,
        event: Option<NewEvent>,
    ) -> Result<bool, StoreError> {
        let known = self.wallet(wallet.key)?;
        if self
            .generation(wallet.key, wallet.generation)?
            .is_some_and(|same| same.digest() != wallet.digest())
        {
            tracing::error!(wallet = %wallet.key, generation = wallet.generation, task = %wallet.task,
                "there are two generations of one number; the first stays, ask the operators of its nodes");
            return Ok(false);
        }
        let newest = known
            .as_ref()
            .is_none_or(|known| known.generation < wallet.generation);
        let mut pending = self.shared.lock();
        pending.check()?;
        // Wallets of earlier versions have their row only in the first table.
        for generation in known.iter().chain([wallet]) {
            pending.batch.generations.insert(
                generation_key(generation.key, generation.generation),
                Some(to_row(generation)),
            );
        }
        if newest {
            pending
                .batch
                .wallets
                .insert(*wallet.key.as_bytes(), to_row(wallet));
            pending.append(event.into_iter().collect());
        }
        self.shared.written(pending);
        Ok(newest)
    }

    /// Replaces the known generations of a wallet from the first of these on, up to number `known`.
    /// For one caller at a time.
    pub fn replace_generations(
        &self,
        chain: &[KeyDescriptor],
        known: u32,
        event: NewEvent,
    ) -> Result<(), StoreError> {
        let Some(newest) = chain.last() else {
            return Ok(());
        };
        let mut pending = self.shared.lock();
        pending.check()?;
        for generation in chain {
            let place = generation_key(generation.key, generation.generation);
            pending
                .batch
                .generations
                .insert(place, Some(to_row(generation)));
        }
        for number in newest.generation.saturating_add(1)..=known {
            pending
                .batch
                .generations
                .insert(generation_key(newest.key, number), None);
        }
        pending
            .batch
            .wallets
            .insert(*newest.key.as_bytes(), to_row(newest));
        pending.append(vec![event]);
        self.shared.written(pending);
        Ok(())
    }

    /// Waits until everything up to the ticket is on disk.
    pub async fn durable(&self, ticket: Ticket) -> Result<(), StoreError> {
        let mut committed = self.shared.committed.subscribe();
        self.shared.lock().urgent = true;
        self.shared.wake.notify_one();
        // The sender lives as long as `self`; it reports a broken store as "all written" and
        // `check` tells them apart.
        if committed.wait_for(|done| *done >= ticket.0).await.is_err() {
            return Err(StoreError::Database("the writer is gone".into()));
        }
        self.check()
    }

    /// Waits until the shown state of this task is on disk. Returns at once if it is.
    pub async fn task_durable(&self, id: TaskId) -> Result<(), StoreError> {
        let pending = self
            .shared
            .lock()
            .find(|batch| batch.tasks.contains_key(&id.0).then_some(()))
            .is_some();
        if pending {
            self.durable(self.now()).await
        } else {
            self.check()
        }
    }

    /// Returns an error if the store no longer writes.
    pub fn check(&self) -> Result<(), StoreError> {
        self.shared.lock().check()
    }

    /// Lets nothing be written from now on, as after an error of the disk.
    #[cfg(test)]
    pub(crate) fn break_off(&self) {
        self.shared.lock().broken = Some(full());
    }

    /// Does the same after so many more writes.
    #[cfg(test)]
    pub(crate) fn break_off_after(&self, writes: u64) {
        self.shared.lock().left = Some(writes);
    }

    /// Returns a task, durable or not.
    pub fn task(&self, id: TaskId) -> Result<Option<TaskRecord>, StoreError> {
        let found = self
            .shared
            .lock()
            .find(|batch| batch.tasks.get(&id.0).map(|row| row.row.clone()));
        match found {
            Some(row) => from_row("tasks", &row).map(Some),
            None => self.shared.read(TASKS, "tasks", id.0),
        }
    }

    /// Returns the newest generation of a wallet.
    pub fn wallet(&self, id: KeyId) -> Result<Option<KeyDescriptor>, StoreError> {
        let found = self
            .shared
            .lock()
            .find(|batch| batch.wallets.get(id.as_bytes()).cloned());
        match found {
            Some(row) => from_row("wallets", &row).map(Some),
            None => self.shared.read(WALLETS, "wallets", *id.as_bytes()),
        }
    }

    /// Returns one generation of a wallet.
    pub fn generation(&self, id: KeyId, number: u32) -> Result<Option<KeyDescriptor>, StoreError> {
        let key = generation_key(id, number);
        let found = self
            .shared
            .lock()
            .find(|batch| batch.generations.get(&key).cloned());
        let known = match found {
            Some(row) => row.map(|row| from_row("generations", &row)).transpose()?,
            None => self.shared.read(GENERATIONS, "generations", key)?,
        };
        match known {
            Some(known) => Ok(Some(known)),
            None => Ok(self
                .wallet(id)?
                .filter(|newest| newest.generation == number)),
        }
    }

    /// Returns at most `limit` generations of a wallet, from this number on, in order.
    pub fn generations(
        &self,
        id: KeyId,
        from: u32,
        limit: usize,
    ) -> Result<Vec<KeyDescriptor>, StoreError> {
        let Some(newest) = self.wallet(id)? else {
            return Ok(Vec::new());
        };
        let numbers = (from..=newest.generation).take(limit);
        numbers
            .filter_map(|number| self.generation(id, number).transpose())
            .collect()
    }

    /// Returns the durable wallets that were reshared, each with its newest generation.
    pub fn moved(&self) -> Result<HashMap<KeyId, u32>, StoreError> {
        let generations = self.shared.db.begin_read()?.open_table(GENERATIONS)?;
        let mut moved = HashMap::new();
        for entry in generations.iter()? {
            let (id, number) = split_generation_key(entry?.0.value())?;
            if number > 0 {
                moved.insert(id, number);
            }
        }
        Ok(moved)
    }

    /// Returns the ids of all durable wallets.
    pub fn wallet_ids(&self) -> Result<HashSet<KeyId>, StoreError> {
        let wallets = self.shared.db.begin_read()?.open_table(WALLETS)?;
        let unreadable = |error: IdError| StoreError::Row {
            table: "wallets",
            reason: error.to_string(),
        };
        wallets
            .iter()?
            .map(|entry| KeyId::from_bytes(entry?.0.value()).map_err(unreadable))
            .collect()
    }

    /// Returns at most `limit` durable wallets, by id; with `after` only those with a greater id.
    pub fn wallets(
        &self,
        after: Option<KeyId>,
        limit: usize,
    ) -> Result<Vec<KeyDescriptor>, StoreError> {
        let read = self.shared.db.begin_read()?;
        let wallets = read.open_table(WALLETS)?;
        let start = after.map_or(Bound::Unbounded, |after| Bound::Excluded(*after.as_bytes()));
        wallets
            .range::<[u8; 16]>((start, Bound::Unbounded))?
            .take(limit)
            .map(|entry| from_row("wallets", entry?.1.value()))
            .collect()
    }

    /// Returns the durable tasks that are still open.
    pub fn unfinished(&self) -> Result<Vec<TaskRecord>, StoreError> {
        let read = self.shared.db.begin_read()?;
        let open = read.open_table(OPEN)?;
        let tasks = read.open_table(TASKS)?;
        let mut found = Vec::new();
        for entry in open.iter()? {
            if let Some(row) = tasks.get(entry?.0.value())? {
                found.push(from_row("tasks", row.value())?);
            }
        }
        Ok(found)
    }

    /// Returns the sequence number of the newest durable task, or 0.
    pub fn last_sequence(&self) -> Result<u64, StoreError> {
        let order = self.shared.db.begin_read()?.open_table(ORDER)?;
        Ok(order.last()?.map_or(0, |(sequence, _)| sequence.value()))
    }

    fn change(&self, change: impl FnOnce(&mut Pending)) -> Result<(), StoreError> {
        let mut pending = self.shared.lock();
        pending.check()?;
        change(&mut pending);
        self.shared.written(pending);
        Ok(())
    }

    /// Returns a ticket for everything written so far.
    pub fn now(&self) -> Ticket {
        Ticket(self.shared.lock().writes)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.wake.notify_one();
        if self
            .writer
            .take()
            .is_some_and(|writer| writer.join().is_err())
        {
            tracing::error!("the store's writer panicked; the last changes may be lost");
        }
    }
}

impl Shared {
    /// No code panics while holding the lock.
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn written(&self, mut pending: MutexGuard<'_, Pending>) -> Ticket {
        pending.writes += 1;
        #[cfg(test)]
        pending.count_down();
        self.wake.notify_one();
        Ticket(pending.writes)
    }

    fn read<T: serde::de::DeserializeOwned, const N: usize>(
        &self,
        table: TableDefinition<'static, [u8; N], &'static [u8]>,
        name: &'static str,
        key: [u8; N],
    ) -> Result<Option<T>, StoreError> {
        let table = self.db.begin_read()?.open_table(table)?;
        table
            .get(key)?
            .map(|row| from_row(name, row.value()))
            .transpose()
    }

    fn write_until_stopped(&self) {
        while let Some((batch, writes)) = self.next_batch() {
            let result = self.commit(&batch);
            let mut pending = self.lock();
            pending.committing = Arc::default();
            if let Err(error) = result {
                tracing::error!(%error, "the store is broken");
                pending.broken = Some(error);
            }
            drop(pending);
            self.committed.send_replace(writes);
        }
    }

    /// Waits for an urgent row, or for a while to batch rows; `None` after the last
    /// batch before a stop.
    fn next_batch(&self) -> Option<(Arc<Batch>, u64)> {
        let mut pending = self.lock();
        while pending.batch.is_empty() && !pending.urgent && !pending.stop {
            pending = self
                .wake
                .wait(pending)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let idle = |pending: &mut Pending| !pending.urgent && !pending.stop;
        let waited = self.wake.wait_timeout_while(pending, LINGER, idle);
        let (mut pending, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if pending.stop && pending.batch.is_empty() {
            return None;
        }
        pending.urgent = false;
        pending.committing = Arc::new(std::mem::take(&mut pending.batch));
        Some((pending.committing.clone(), pending.writes))
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let write = self.db.begin_write()?;
        let mut indexed = Vec::new();
        {
            let mut tasks = write.open_table(TASKS)?;
            let mut order = write.open_table(ORDER)?;
            let mut index = write.open_table(INDEX)?;
            let mut open = write.open_table(OPEN)?;
            let mut wallets = write.open_table(WALLETS)?;
            let mut generations = write.open_table(GENERATIONS)?;
            for (id, task) in &batch.tasks {
                tasks.insert(id, task.row.as_slice())?;
                order.insert(task.sequence, id)?;
                let before = index.insert(task.sequence, task.index)?;
                indexed.push((before.map(|row| row.value()), task.index));
                if task.open {
                    open.insert(id, ())?
                } else {
                    open.remove(id)?
                };
            }
            events::commit(&mut write.open_table(EVENTS)?, batch)?;
            webhooks::commit(&write, &batch.hooks)?;
            operators::commit(&write, &batch.operators)?;
            for (id, row) in &batch.wallets {
                wallets.insert(id, row.as_slice())?;
            }
            for (key, row) in &batch.generations {
                match row {
                    Some(row) => generations.insert(key, row.as_slice())?,
                    None => generations.remove(key)?,
                };
            }
        }
        write.commit()?;
        self.tally.moved(&indexed);
        Ok(())
    }
}

impl Pending {
    fn check(&self) -> Result<(), StoreError> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    #[cfg(test)]
    fn count_down(&mut self) {
        self.left = self.left.map(|left| left - 1);
        if self.left == Some(0) {
            self.broken = Some(full());
        }
    }

    /// Finds the newest version that is not yet committed, or just being committed.
    fn find<T>(&self, get: impl Fn(&Batch) -> Option<T>) -> Option<T> {
        get(&self.batch).or_else(|| get(&self.committing))
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.tasks.is_empty()
            && self.wallets.is_empty()
            && self.generations.is_empty()
            && self.events.is_empty()
            && self.hooks.is_empty()
            && self.operators.is_empty()
    }
}

/// The error of a full disk.
#[cfg(test)]
fn full() -> StoreError {
    StoreError::Database("the disk is full".into())
}

/// A new file gets its name only when complete: redb's own creation is not atomic.
fn open_database(path: &Path) -> Result<Database, StoreError> {
    if !path.exists() {
        let fresh = path.with_extension("redb.new");
        let io =
            |error: std::io::Error| StoreError::Database(format!("{}: {error}", fresh.display()));
        if fresh.exists() {
            std::fs::remove_file(&fresh).map_err(io)?;
        }
        drop(Database::builder().create(&fresh)?);
        std::fs::rename(&fresh, path).map_err(io)?;
    }
    sound(Database::builder().set_cache_size(CACHE), path)
}

/// Verifies the checksum of every page before anything is believed. redb verifies when it repairs a
/// file, not when it reads one, and may panic in the middle of a task on a damaged page.
fn sound(builder: &Builder, path: &Path) -> Result<Database, StoreError> {
    let damaged = |what| Err(StoreError::Database(format!("{}: {what}", path.display())));
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let mut database = builder.open(path)?;
        // Opening has repaired the file after a crash; anything left to repair
        // was altered from outside.
        if database.check_integrity()? {
            Ok(database)
        } else {
            damaged("its last commit is altered")
        }
    }));
    // redb asserts invariants of files that it wrote; only an altered file breaks them.
    opened.unwrap_or_else(|_| damaged("its pages contradict each other"))
}

fn create_tables(db: &Database) -> Result<(), StoreError> {
    let write = db.begin_write()?;
    write.open_table(TASKS)?;
    write.open_table(ORDER)?;
    write.open_table(INDEX)?;
    write.open_table(EVENTS)?;
    webhooks::create(&write)?;
    operators::create(&write)?;
    write.open_table(OPEN)?;
    write.open_table(WALLETS)?;
    write.open_table(GENERATIONS)?;
    Ok(write.commit()?)
}

/// Orders by wallet, then by number.
fn generation_key(id: KeyId, number: u32) -> [u8; 20] {
    let mut key = [0; 20];
    key[..16].copy_from_slice(id.as_bytes());
    key[16..].copy_from_slice(&number.to_be_bytes());
    key
}

fn split_generation_key(key: [u8; 20]) -> Result<(KeyId, u32), StoreError> {
    let mut id = [0; 16];
    let mut number = [0; 4];
    id.copy_from_slice(&key[..16]);
    number.copy_from_slice(&key[16..]);
    let unreadable = |error| StoreError::Row {
        table: "generations",
        reason: format!("{error}"),
    };
    Ok((
        KeyId::from_bytes(id).map_err(unreadable)?,
        u32::from_be_bytes(number),
    ))
}

fn to_row<T: Serialize>(value: &T) -> Vec<u8> {
    let mut row = vec![ROW_VERSION];
    serde_json::to_writer(&mut row, value)
        .unwrap_or_else(|error| unreachable!("rows are plain data in memory: {error}"));
    row
}

fn from_row<T: serde::de::DeserializeOwned>(
    table: &'static str,
    row: &[u8],
) -> Result<T, StoreError> {
    let broken = |reason: String| StoreError::Row { table, reason };
    match row.split_first() {
        Some((&ROW_VERSION, json)) => {
            serde_json::from_slice(json).map_err(|error| broken(error.to_string()))
        }
        Some((version, _)) => Err(broken(format!(
            "it has version {version}, this program knows 1"
        ))),
        None => Err(broken("it is empty".into())),
    }
}

/// redb has an error type for each step; all of them mean that the disk or the file is bad.
macro_rules! database_errors {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for StoreError {
            fn from(error: redb::$error) -> StoreError {
                StoreError::Database(error.to_string())
            }
        }
    )*};
}
database_errors!(TransactionError, TableError, StorageError, CommitError);

impl From<redb::DatabaseError> for StoreError {
    fn from(error: redb::DatabaseError) -> Self {
        match error {
            redb::DatabaseError::DatabaseAlreadyOpen => Self::InUse(Holder::UNKNOWN),
            other => Self::Database(other.to_string()),
        }
    }
}
