//! The only thread that writes to the log file. All others queue their lines and go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use countersign_stdio::eprintln;

use crate::config::FileSettings;
use crate::rotate::{OpenError, RotatingFile};

/// Capacity of the queue in lines. Further lines are dropped.
const WAITING: usize = 16 * 1024;
/// Longest wait for the end of the queue.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between two reports of lines that were not written.
const QUIET: Duration = Duration::from_secs(60);

/// The queue of the thread. Clones share it.
#[derive(Clone)]
pub struct LogFile {
    queue: Option<SyncSender<Job>>,
    /// Lines that found the queue full.
    dropped: Arc<AtomicU64>,
}

enum Job {
    Line(Vec<u8>),
    /// Writes to another file from now on, or to none.
    Use(Option<RotatingFile>),
    /// The sender is dropped when everything before is written.
    Flush(SyncSender<()>),
}

impl LogFile {
    /// Opens the file and starts the thread. Without the thread, lines are dropped.
    pub fn open(settings: Option<&FileSettings>) -> Result<Self, OpenError> {
        let file = settings.map(RotatingFile::open).transpose()?;
        let (sender, jobs) = sync_channel(WAITING);
        let writer = std::thread::Builder::new().name("log".into());
        let dropped = Arc::<AtomicU64>::default();
        let lost = dropped.clone();
        let started = writer.spawn(move || Writer::new(file, lost).run(&jobs));
        Ok(Self {
            queue: started.ok().map(|_| sender),
            dropped,
        })
    }

    /// Opens the file again, or another one.
    pub fn reopen(&self, settings: Option<&FileSettings>) -> Result<(), OpenError> {
        let file = settings.map(RotatingFile::open).transpose()?;
        self.send(Job::Use(file));
        self.flush();
        Ok(())
    }

    /// Queues a line.
    pub fn line(&self, line: Vec<u8>) {
        if !self.send(Job::Line(line)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything is written, for a second at most.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(0);
        self.send(Job::Flush(done));
        let _ = wait.recv_timeout(PATIENCE);
    }

    /// If the queue is full, the job is dropped.
    fn send(&self, job: Job) -> bool {
        let queue = self.queue.as_ref();
        queue.is_none_or(|queue| queue.try_send(job).is_ok())
    }
}

struct Writer {
    file: Option<RotatingFile>,
    /// Lines that were not written since the last report.
    lost: Arc<AtomicU64>,
    reported: Option<Instant>,
}

impl Writer {
    fn new(file: Option<RotatingFile>, lost: Arc<AtomicU64>) -> Self {
        Self {
            file,
            lost,
            reported: None,
        }
    }

    fn run(mut self, jobs: &Receiver<Job>) {
        for job in jobs {
            match job {
                Job::Line(line) => self.write(&line),
                Job::Use(file) => self.file = file,
                Job::Flush(done) => drop(done),
            }
        }
    }

    fn write(&mut self, line: &[u8]) {
        let Some(file) = &mut self.file else {
            return;
        };
        let why = match file.write(line) {
            Ok(()) => "the disk is slow".to_owned(),
            Err(error) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                error.to_string()
            }
        };
        self.report(&why);
    }

    fn report(&mut self, why: &str) {
        if self.lost.load(Ordering::Relaxed) == 0
            || self.reported.is_some_and(|then| then.elapsed() < QUIET)
        {
            return;
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        eprintln!(
            "{lost} lines of the log file were not written ({why}); free space, and make its folder writable"
        );
        self.reported = Some(Instant::now());
    }
}
