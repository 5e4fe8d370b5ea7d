//! The one thread that writes to standard error. Everybody else hands it what is to be written, in
//! order, and goes on.

use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

/// What waits to be written; more is dropped.
const WAITING: usize = 16 * 1024;
/// How long the first words that nobody reads are waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often words look whether there is room for them.
const LOOK: Duration = Duration::from_millis(1);

/// Absent if there can be no thread.
static WRITER: LazyLock<Option<SyncSender<Job>>> = LazyLock::new(|| {
    let (sender, jobs) = sync_channel(WAITING);
    let writer = std::thread::Builder::new().name("stderr".into());
    writer.spawn(move || write(&jobs)).ok().map(|_| sender)
});
/// Whether standard error takes nothing at the moment.
static STUCK: AtomicBool = AtomicBool::new(false);

/// Something to be written, and whom to tell that it was, by dropping it.
type Job = (Vec<u8>, Option<SyncSender<()>>);

fn write(jobs: &Receiver<Job>) {
    for (text, written) in jobs {
        // Nowhere is left to say that it failed.
        let _ = io::stderr().write_all(&text);
        STUCK.store(false, Ordering::Relaxed);
        drop(written);
    }
}

/// Hands words over, and waits until they are written: what follows on standard output follows them
/// on the terminal.
pub(super) fn tell(text: Vec<u8>) {
    let Some(writer) = &*WRITER else {
        let _ = io::stderr().write_all(&text);
        return;
    };
    let (written, wait) = sync_channel(0);
    if hand_over(writer, (text, Some(written))) {
        wait_for(&wait);
    }
}

/// Whether the writer took the job. A log that is written faster than it is read leaves no room for
/// a while; words are worth waiting for.
fn hand_over(writer: &SyncSender<Job>, mut job: Job) -> bool {
    let end = Instant::now() + PATIENCE;
    loop {
        match writer.try_send(job) {
            Ok(()) => return true,
            Err(TrySendError::Disconnected(_)) => return false,
            Err(TrySendError::Full(back)) => job = back,
        }
        if STUCK.load(Ordering::Relaxed) {
            return false;
        }
        if Instant::now() > end {
            STUCK.store(true, Ordering::Relaxed);
            return false;
        }
        std::thread::sleep(LOOK);
    }
}

fn wait_for(written: &Receiver<()>) {
    if io::stderr().is_terminal() {
        // Whoever stops a terminal is there, and reads on.
        let _ = written.recv();
    } else if !STUCK.load(Ordering::Relaxed)
        && matches!(
            written.recv_timeout(PATIENCE),
            Err(RecvTimeoutError::Timeout)
        )
    {
        STUCK.store(true, Ordering::Relaxed);
    }
}

/// Where a log subscriber writes. Lines that cannot be written are lost, and nobody waits.
#[derive(Debug, Clone, Copy)]
pub struct Lines(());

/// What still waits to be written is, when this is dropped, for a second at most.
#[derive(Debug)]
#[must_use = "keep it until the program ends"]
pub struct Rest(());

/// Where a log subscriber writes, and what to keep until the end of the program.
pub fn log_lines() -> (Lines, Rest) {
    (Lines(()), Rest(()))
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &*WRITER {
            // A full line loses this one.
            Some(writer) => drop(writer.try_send((bytes.to_vec(), None))),
            None => drop(io::stderr().write_all(bytes)),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        tell(Vec::new());
    }
}
