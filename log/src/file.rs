//! The only thread that writes to the log file. All others queue their lines and go on.

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
pub struct LogFile(Option<SyncSender<Job>>);

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
        let started = writer.spawn(move || Writer::new(file).run(&jobs));
        Ok(Self(started.ok().map(|_| sender)))
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
        self.send(Job::Line(line));
    }

    /// Waits until everything is written, for a second at most.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(0);
        self.send(Job::Flush(done));
        let _ = wait.recv_timeout(PATIENCE);
    }

    /// If the queue is full, the job is dropped.
    fn send(&self, job: Job) {
        if let Some(queue) = &self.0 {
            let _ = queue.try_send(job);
        }
    }
}

struct Writer {
    file: Option<RotatingFile>,
    /// Lines that were not written since the last report.
    lost: u64,
    reported: Option<Instant>,
}

impl Writer {
    fn new(file: Option<RotatingFile>) -> Self {
        Self {
            file,
            lost: 0,
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
        let Err(error) = file.write(line) else {
            return;
        };
        self.lost += 1;
        if self.reported.is_some_and(|then| then.elapsed() < QUIET) {
            return;
        }
        eprintln!(
            "{} lines of the log file were not written ({error}); free space, and make its folder writable",
            self.lost
        );
        self.lost = 0;
        self.reported = Some(Instant::now());
    }
}
