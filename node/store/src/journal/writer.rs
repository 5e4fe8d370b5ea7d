//! The one thread that writes the journal. What has queued up while it waited for the disk goes
//! into its next commit, so that many tasks share one `fsync`.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use redb::{Database, Durability};

use super::codec;
use super::error::{ReadJournalError, WriteJournalError};
use super::index::{Change, Index};
use super::operation::{Operation, Tables, Written};
use super::pages::Pages;
use crate::contain::contain;
use crate::place::{MovedError, Place};
use crate::trouble::Trouble;

/// The most operations in one commit.
const MAX_BATCH: usize = 64;
/// The most operations that wait; callers beyond that wait to be let in.
const MAX_QUEUE: usize = 256;

type Done = Result<Written, WriteJournalError>;

struct Request {
    work: Work,
    reply: SyncSender<Done>,
}

enum Work {
    Write(Operation),
    /// Between two commits: verify every page of the file.
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
    /// Rows that were read for them.
    rows: AtomicU64,
    /// Operations that were handed over and not yet answered.
    pending: AtomicUsize,
}

impl Writer {
    pub(super) fn start(desk: Desk) -> io::Result<Self> {
        let (requests, queue) = sync_channel(MAX_QUEUE);
        let counts = Arc::new(Counts::default());
        let place = desk.place.clone();
        let theirs = counts.clone();
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || desk.serve(&queue, &theirs))?;
        Ok(Self {
            requests: Some(requests),
            thread: Some(thread),
            counts,
            place,
        })
    }

    /// Whether the file is still at its place.
    pub(super) fn check_place(&self) -> Result<(), MovedError> {
        self.place.as_ref().map_or(Ok(()), Place::check)
    }

    /// Hands an operation over and waits until it is on the disk, or is not.
    pub(super) fn run(&self, operation: Operation) -> Done {
        self.hand_over(Work::Write(operation))
    }

    /// Whether every page of the file is the one that was written, and holds what reads see.
    pub(super) fn verify_pages(&self) -> Result<(), ReadJournalError> {
        self.hand_over(Work::Verify)
            .map(drop)
            .map_err(|error| match error {
                WriteJournalError::Read(error) => error,
                other => ReadJournalError::Page(other.to_string()),
            })
    }

    fn hand_over(&self, work: Work) -> Done {
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

    #[cfg(test)]
    pub(super) fn pending(&self) -> usize {
        self.counts.pending.load(Ordering::SeqCst)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.requests = None;
        // A panic of the thread was already told to everyone who waited for it.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// What the thread has. However it ends, `trouble` hears that nobody writes any more.
pub(super) struct Desk {
    pub(super) database: Arc<Database>,
    pub(super) index: Index,
    /// The file, if there is one.
    pub(super) file: Option<File>,
    /// Its place.
    pub(super) place: Option<Place>,
    pub(super) trouble: Arc<Trouble>,
}

impl Desk {
    fn serve(self, queue: &Receiver<Request>, counts: &Counts) {
        while let Ok(first) = queue.recv() {
            let batch = std::iter::once(first)
                .chain(queue.try_iter())
                .take(MAX_BATCH);
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
                // Nobody waits any longer.
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
            std::iter::repeat_with(|| Err(error.for_another()))
                .take(replies.len())
                .collect()
        });
        counts.rows.store(codec::decoded(), Ordering::SeqCst);
        for (reply, answer) in replies.into_iter().zip(answers) {
            // Nobody waits any longer; what was written stays true.
            let _ = reply.send(answer);
        }
    }

    /// What is on the disk, as a program would find it that opened it now, against what this one
    /// works with.
    fn verify(&self) -> Result<(), WriteJournalError> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let compared = contain(|| {
            let pages = Pages::of(file).map_err(redb::Error::Io)?;
            super::copy::same(&pages.verify()?, &self.database)
        });
        let damage = match compared {
            Ok(Ok(true)) => return Ok(()),
            Ok(Ok(false)) => "the file does not hold what was written".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic,
        };
        Err(ReadJournalError::Page(damage).into())
    }

    /// What fails ends the journal, unless it is a record that was read: after a failed write
    /// nobody knows what the disk holds.
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

    /// Writes into a file that is at its place before and after.
    fn write_in_place(
        &self,
        operations: Vec<Operation>,
        counts: &Counts,
    ) -> Result<Vec<Done>, WriteJournalError> {
        self.check_place()?;
        let (answers, changes) = contain(|| write(&self.database, operations))
            .unwrap_or_else(|panic| Err(ReadJournalError::Page(panic).into()))?;
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

impl Drop for Desk {
    fn drop(&mut self) {
        self.trouble.raise(WriteJournalError::Closed.to_string());
    }
}

fn ends_the_journal(error: &WriteJournalError) -> bool {
    match error {
        WriteJournalError::Refused(_) => false,
        WriteJournalError::Read(error) => match error {
            // Of one record; the others are what they were.
            ReadJournalError::NewerFormat { .. }
            | ReadJournalError::Damaged { .. }
            | ReadJournalError::Recording { .. }
            | ReadJournalError::Configuration { .. } => false,
            ReadJournalError::Page(_) | ReadJournalError::Database(_) => true,
        },
        WriteJournalError::Failed(_)
        | WriteJournalError::Moved(_)
        | WriteJournalError::Ended(_)
        | WriteJournalError::Closed => true,
    }
}

/// One transaction for all. An operation that is refused answers for itself; a failing disk or a
/// damaged record fails all.
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
    let changes = tables.changes();
    transaction.commit()?;
    Ok((answers, changes))
}
