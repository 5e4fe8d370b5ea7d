//! Looks after the files under the node's feet while nothing is written: a journal or a secret that
//! was unlinked or replaced takes writes as ever, and all of them are gone at the next start. What
//! is found is the store's trouble, which ends the node.

use std::sync::Arc;
use std::time::Duration;

use crate::core::Core;

/// How often it looks. Every commit looks too.
const EVERY: Duration = Duration::from_secs(1);

/// Looks until the node stops.
pub async fn follow(core: Arc<Core>) {
    while core
        .stopping
        .run_until_cancelled(tokio::time::sleep(EVERY))
        .await
        .is_some()
    {
        let looked = core.clone();
        // The daemon hears of it by itself; here it is looked for, and no more.
        let look =
            tokio::task::spawn_blocking(move || looked.journal.check().and(looked.vault.check()));
        if look.await.is_err() {
            return tracing::error!(
                "the thread that looks after the node's files died; report this"
            );
        }
    }
}
