//! Blocking work that is kept off the network's threads.

use std::io;
use std::panic::resume_unwind;
use std::thread;

use countersign_protocol::UnixMillis;
use countersign_store::Journal;
use tokio::task::{JoinError, spawn_blocking};

use crate::priority::lower_priority;

/// Runs `work` on a thread that may block. A panic in it resumes in the caller.
pub async fn off_thread<T, F>(work: F) -> T
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    match spawn_blocking(work)
        .await
        .map_err(JoinError::try_into_panic)
    {
        Ok(done) => done,
        Err(Ok(panic)) => resume_unwind(panic),
        // Cancelled: the runtime is shutting down, and nobody will poll this again.
        Err(Err(_)) => std::future::pending().await,
    }
}

/// Runs long work that nobody waits for on a thread of its own, at low priority. A panic in it
/// resumes in the caller. Fails if there can be no more threads.
pub async fn in_background<T, F>(work: F) -> io::Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let low = move || {
        lower_priority();
        work()
    };
    off_thread(move || -> io::Result<T> {
        let thread = thread::Builder::new()
            .name("background".into())
            .spawn(low)?;
        match thread.join() {
            Ok(done) => Ok(done),
            Err(panic) => resume_unwind(panic),
        }
    })
    .await
}

/// Uses the journal off the network's threads.
pub async fn with_journal<T, F>(journal: &Journal, work: F) -> T
where
    T: Send + 'static,
    F: FnOnce(&Journal) -> T + Send + 'static,
{
    let journal = journal.clone();
    off_thread(move || work(&journal)).await
}

/// Records an alarm that has already been logged. A failure to record it is logged too.
pub async fn record_alarm(journal: &Journal, now: UnixMillis, text: String) {
    let recorded = with_journal(journal, move |journal| journal.alarm(now, None, &text));
    if let Err(error) = recorded.await {
        tracing::error!(%error, "the alarm was not recorded");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::gossip::tests::{alarms, empty_journal};

    #[tokio::test]
    async fn the_network_goes_on_while_the_work_blocks() {
        let (go, wait) = std::sync::mpsc::sync_channel(0);
        let work = off_thread(move || wait.recv().unwrap());
        let network = off_thread(move || go.send(7).unwrap());
        assert_eq!(tokio::join!(work, network).0, 7);
    }

    #[tokio::test]
    async fn background_work_has_a_thread_of_its_own() {
        let name = || thread::current().name().map(str::to_owned);
        let done = in_background(name).await.unwrap();
        assert_eq!(done.as_deref(), Some("background"));
        let panics = tokio::spawn(in_background::<(), _>(|| resume_unwind(Box::new("broken"))));
        assert!(panics.await.unwrap_err().is_panic());
    }

    /// Else a task would go on as if the work were done, or wait for ever.
    #[tokio::test]
    async fn a_panic_in_the_work_is_a_panic_of_the_caller() {
        let work = || std::panic::resume_unwind(Box::new("broken"));
        let caller = tokio::spawn(off_thread::<(), _>(work));
        let panic = caller.await.unwrap_err().into_panic();
        assert_eq!(panic.downcast_ref(), Some(&"broken"));
    }

    #[tokio::test]
    async fn an_alarm_is_on_record_when_it_was_raised() {
        let (_dir, journal) = empty_journal();
        record_alarm(&journal, UnixMillis(7), "a peer is behind".into()).await;
        assert_eq!(alarms(&journal), ["a peer is behind"]);
        assert_eq!(journal.audit(0, 1).unwrap()[0].time, UnixMillis(7));
    }
}
