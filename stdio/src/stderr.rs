//! The only thread that writes to standard error. All others queue their output and go on.

use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

/// Capacity of the queue in jobs. Further jobs are dropped.
const WAITING: usize = 16 * 1024;
/// Maximum time to wait for a message to be read. Once it has passed, later ones do not wait.
const PATIENCE: Duration = Duration::from_secs(1);
/// Interval at which a waiting message checks for room in the queue.
const LOOK: Duration = Duration::from_millis(1);

/// The queue of the writing thread; absent if that could not be started.
static WRITER: LazyLock<Option<SyncSender<Job>>> = LazyLock::new(|| {
    let (sender, jobs) = sync_channel(WAITING);
    let writer = std::thread::Builder::new().name("stderr".into());
    writer.spawn(move || write(&jobs)).ok().map(|_| sender)
});
/// True while standard error takes no output.
static STUCK: AtomicBool = AtomicBool::new(false);

/// Output, and a sender that is dropped once the output is written.
type Job = (Vec<u8>, Option<SyncSender<()>>);

fn write(jobs: &Receiver<Job>) {
    for (text, written) in jobs {
        // A failure cannot be reported anywhere.
        let _ = io::stderr().write_all(&text);
        STUCK.store(false, Ordering::Relaxed);
        drop(written);
    }
}

/// Queues a message, and waits until it is written, so that later standard output follows
/// it on the terminal.
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

/// Returns true if the writer took the job. A log that is written faster than it is read may fill
/// the queue for a while; a message waits for room.
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
        // The terminal was stopped by a user, who will let it continue.
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

/// The writer for a log subscriber. Lines that cannot be written at once are dropped.
#[derive(Debug, Clone, Copy)]
pub struct Lines(());

/// Flushes the remaining output when dropped, for a second at most.
#[derive(Debug)]
#[must_use = "keep it until the program ends"]
pub struct Rest(());

/// Returns the writer for a log subscriber, and a guard to keep until the end of the program.
pub fn log_lines() -> (Lines, Rest) {
    (Lines(()), Rest(()))
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &*WRITER {
            // If the queue is full, this line is dropped.
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
