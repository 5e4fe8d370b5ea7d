//! The one thread that writes the journal. Operations that queue up while it waits for the disk go
//! into its next commit, so that many tasks share one `fsync`.

use std::fs::File;
use std::io;
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use redb::{Database, Durability, Error};

use super::codec;
use super::copy;
use super::error::{ReadJournalError, WriteJournalError};
use super::index::{Change, Index};
use super::operation::Operation;
use super::pages::Pages;
use super::tables::Tables;
use super::written::{Done, Written};
use crate::contain::contain;
use crate::place::{MovedError, Place};
use crate::trouble::Trouble;

/// The most operations in one commit.
const MAX_BATCH: usize = 64;
/// The most operations that wait; callers beyond that wait to be let in.
const MAX_QUEUE: usize = 256;

struct Request {
    work: Work,
    reply: SyncSender<Done>,
}

enum Work {
    Write(Operation),
    /// Verify every page of the file between two commits.
    Verify,
}

/// The sending side. Dropping it lets the thread finish what is queued, and waits for it.
pub(super) struct Writer {
    requests: Option<SyncSender<Request>>,
    thread: Option<JoinHandle<()>>,
    counts: Arc<Counts>,
    place: Option<Place>,
}

#[derive(Default)]
struct Counts {
    commits: AtomicU64,
    /// Rows that were decoded for them.
    rows: AtomicU64,
    /// Operations that were sent and not yet answered.
    pending: AtomicUsize,
}

impl Writer {
    pub(super) fn start(thread: WriterThread) -> io::Result<Self> {
        let (requests, queue) = sync_channel(MAX_QUEUE);
        let counts = Arc::new(Counts::default());
        let place = thread.place.clone();
        let theirs = counts.clone();
        let thread = thread::Builder::new()
            .name("journal".into())
            .spawn(move || thread.serve(&queue, &theirs))?;
        Ok(Self {
            requests: Some(requests),
            thread: Some(thread),
            counts,
            place,
        })
    }

    /// Checks that the file is still at its place.
    pub(super) fn check_place(&self) -> Result<(), MovedError> {
        self.place.as_ref().map_or(Ok(()), Place::check)
    }

    /// Sends an operation, and waits until it is on the disk or has failed.
    pub(super) fn run(&self, operation: Operation) -> Done {
        self.send(Work::Write(operation))
    }

    /// Checks that every page of the file is as it was written, and holds the data that reads see.
    pub(super) fn verify_pages(&self) -> Result<(), ReadJournalError> {
        self.send(Work::Verify)
            .map(drop)
            .map_err(|error| match error {
                WriteJournalError::Read(error) => error,
                other => ReadJournalError::Page(other.to_string()),
            })
    }

    fn send(&self, work: Work) -> Done {
        let (reply, answer) = sync_channel(1);
        let requests = self.requests.as_ref().ok_or(WriteJournalError::Closed)?;
        requests
            .send(Request { work, reply })
            .map_err(|_| WriteJournalError::Closed)?;
        self.counts.pending.fetch_add(1, Ordering::SeqCst);
        // A thread that died by a panic drops the reply.
        let done = answer.recv().unwrap_or(Err(WriteJournalError::Closed));
        self.counts.pending.fetch_sub(1, Ordering::SeqCst);
        done
    }

    pub(super) fn commits(&self) -> u64 {
        self.counts.commits.load(Ordering::SeqCst)
    }

    pub(super) fn rows_read(&self) -> u64 {
        self.counts.rows.load(Ordering::SeqCst)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.requests = None;
        // Everybody who waited for the thread has learnt of its panic already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The thread's state. However the thread ends, `trouble` hears that nobody writes any more.
pub(super) struct WriterThread {
    pub(super) database: Arc<Database>,
    pub(super) index: Index,
    /// The journal's file; absent in tests that use a disk in memory.
    pub(super) file: Option<File>,
    pub(super) place: Option<Place>,
    pub(super) trouble: Arc<Trouble>,
}

impl WriterThread {
    fn serve(self, queue: &Receiver<Request>, counts: &Counts) {
        while let Ok(first) = queue.recv() {
            let batch = iter::once(first).chain(queue.try_iter()).take(MAX_BATCH);
            let mut operations = Vec::new();
            let mut replies = Vec::new();
            let mut verify = Vec::new();
            for Request { work, reply } in batch {
                match work {
                    Work::Write(operation) => {
                        operations.push(operation);
                        replies.push(reply);
                    }
                    Work::Verify => verify.push(reply),
                }
            }
            self.answer_all(operations, replies, counts);
            for reply in verify {
                // The caller may have stopped waiting.
                let _ = reply.send(self.verify().map(|()| Written::Already));
            }
        }
    }

    fn answer_all(
        &self,
        operations: Vec<Operation>,
        replies: Vec<SyncSender<Done>>,
        counts: &Counts,
    ) {
        if operations.is_empty() {
            return;
        }
        let answers = self.write(operations, counts).unwrap_or_else(|error| {
            iter::repeat_with(|| Err(error.for_another()))
                .take(replies.len())
                .collect()
        });
        counts.rows.store(codec::decoded(), Ordering::SeqCst);
        for (reply, answer) in replies.into_iter().zip(answers) {
            // The caller may have stopped waiting; the write stays.
            let _ = reply.send(answer);
        }
    }

    /// Compares the file, as a program that opened it now would find it, with the database that
    /// this one works with.
    fn verify(&self) -> Result<(), WriteJournalError> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let compared = contain(|| {
            let pages = Pages::of(file).map_err(Error::Io)?;
            copy::same(&pages.verify()?, &self.database)
        });
        let damage = match compared {
            Ok(Ok(true)) => return Ok(()),
            Ok(Ok(false)) => "the file does not hold what was written".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic.to_string(),
        };
        Err(ReadJournalError::Page(damage).into())
    }

    /// Writes a batch. A failure ends the journal, unless it concerns one record that was read:
    /// after a failed write nobody knows the state of the disk.
    fn write(
        &self,
        operations: Vec<Operation>,
        counts: &Counts,
    ) -> Result<Vec<Done>, WriteJournalError> {
        if let Some(why) = self.trouble.why() {
            return Err(WriteJournalError::Ended(why.into()));
        }
        let written = self.write_in_place(operations, counts);
        if let Err(error) = &written
            && ends_the_journal(error)
        {
            self.trouble.raise(error.to_string());
        }
        written
    }

    /// Writes a batch into a file that is at its place before and after.
    fn write_in_place(
        &self,
        operations: Vec<Operation>,
        counts: &Counts,
    ) -> Result<Vec<Done>, WriteJournalError> {
        self.check_place()?;
        let (answers, changes) = contain(|| write(&self.database, operations))
            .unwrap_or_else(|panic| Err(ReadJournalError::Page(panic.to_string()).into()))?;
        self.index.follow(&changes);
        counts.commits.fetch_add(1, Ordering::SeqCst);
        self.check_place()?;
        Ok(answers)
    }

    fn check_place(&self) -> Result<(), WriteJournalError> {
        let check = self.place.as_ref().map_or(Ok(()), Place::check);
        check.map_err(|moved| WriteJournalError::Moved(moved.to_string()))
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        self.trouble.raise(WriteJournalError::Closed.to_string());
    }
}

fn ends_the_journal(error: &WriteJournalError) -> bool {
    match error {
        WriteJournalError::Refused(_) => false,
        WriteJournalError::Read(error) => match error {
            // These concern one record; the others are intact.
            ReadJournalError::NewerFormat { .. }
            | ReadJournalError::Damaged { .. }
            | ReadJournalError::Recording { .. }
            | ReadJournalError::Order { .. }
            | ReadJournalError::Configuration { .. } => false,
            ReadJournalError::Page(_) | ReadJournalError::Database(_) => true,
        },
        WriteJournalError::Failed(_)
        | WriteJournalError::Moved(_)
        | WriteJournalError::Ended(_)
        | WriteJournalError::Closed => true,
    }
}

/// Applies all operations in one transaction. A refusal concerns only its own operation; a failing
/// disk or a damaged record fails all.
fn write(
    database: &Database,
    operations: Vec<Operation>,
) -> Result<(Vec<Done>, Vec<Change>), WriteJournalError> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    let mut tables = Tables::open(&transaction)?;
    let mut answers = Vec::with_capacity(operations.len());
    for operation in operations {
        match tables.apply(operation) {
            answer @ (Ok(_) | Err(WriteJournalError::Refused(_))) => answers.push(answer),
            Err(error) => return Err(error),
        }
    }
    let changes = tables.into_changes();
    transaction.commit()?;
    Ok((answers, changes))
}

#[cfg(test)]
impl Writer {
    pub(super) fn pending(&self) -> usize {
        self.counts.pending.load(Ordering::SeqCst)
    }
}
