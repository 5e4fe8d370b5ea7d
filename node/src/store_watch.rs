//! Watches the node's files while nothing is written: a journal or a secret that was unlinked or
//! replaced still accepts writes, but all of them are lost at the next start. Findings are reported
//! as trouble of the store, which ends the node.

use std::sync::Arc;
use std::time::Duration;

use countersign_store::Journal;
use tokio_util::sync::CancellationToken;

use crate::off_thread::off_thread;
use crate::vault::Vault;

/// Interval between checks. Every commit checks too.
const EVERY: Duration = Duration::from_secs(1);

pub async fn follow(journal: Journal, vault: Arc<Vault>, stopping: CancellationToken) {
    while stopping
        .run_until_cancelled(tokio::time::sleep(EVERY))
        .await
        .is_some()
    {
        let journal = journal.clone();
        let vault = vault.clone();
        // The daemon is notified of trouble separately, so the result is not needed here.
        drop(off_thread(move || journal.check().and(vault.check())).await);
    }
}
