//! Blocking work that is kept off the network's threads.

use countersign_protocol::UnixMillis;
use countersign_store::Journal;
use tokio::task::{JoinError, spawn_blocking};

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
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // Cancelled: the runtime is shutting down, and nobody will poll this again.
        Err(Err(_)) => std::future::pending().await,
    }
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
