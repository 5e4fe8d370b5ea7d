//! Removes machine code and replaced components that nothing refers to any more, by the rule in
//! `docs/plugins.md`. Only files that the node itself stored are removed, and none at all if it
//! cannot tell which are still needed.

use std::collections::BTreeSet;
use std::sync::Arc;

use countersign_host::{PluginStore, StoreError};
use countersign_store::{Journal, ReadJournalError};

use super::Guard;
use crate::config::Config;
use crate::events::Receivers;
use crate::off_thread::off_thread;

type Digest = [u8; 32];

/// Reasons why nothing was removed.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Journal(#[from] ReadJournalError),
    #[error("cannot use the folder of compiled plugins: {0}; correct its owner or mode")]
    Cache(#[from] std::io::Error),
}

/// The users of plugin files, past and present.
#[derive(Clone)]
pub struct Housekeeping {
    /// Names the pinned components, the folders and the receivers.
    pub config: Arc<Config>,
    /// Holds the plugins that are or have been in force.
    pub guard: Arc<Guard>,
    /// Holds the event receivers that are in force.
    pub receivers: Arc<Receivers>,
    /// Names the components that recordings need.
    pub journal: Journal,
}

impl Housekeeping {
    /// Removes the files that are not needed now. A failure only costs disk space.
    pub async fn sweep(&self) {
        let _alone = self.guard.changing.lock().await;
        let all = self.clone();
        match off_thread(move || all.sweep_now()).await {
            Ok(removed) if removed.is_empty() => {}
            Ok(removed) => tracing::info!(?removed, "nothing refers to these files any more"),
            Err(error) => tracing::warn!(%error, "replaced plugins could not be removed"),
        }
    }

    fn sweep_now(&self) -> Result<Vec<String>, SweepError> {
        let store = PluginStore::new(&self.config.policy.plugin_dir);
        let needed = self.needed();
        let mut removed = Vec::new();
        // The journal is read only if there is something to remove.
        if !store.unlisted()?.is_subset(&needed) {
            let recorded = self.journal.recorded_components()?;
            let recorded = recorded.iter().map(|hash| hash.0);
            removed = store.sweep(&needed.iter().copied().chain(recorded).collect())?;
        }
        let host = self.guard.host.as_ref().or_else(|| self.receivers.host());
        if let Some(host) = host {
            let at_hand = store.list()?.into_iter().flat_map(|manifest| {
                let newest = manifest.releases().take(2).map(|release| release.digest);
                newest.collect::<Vec<_>>()
            });
            removed.extend(host.sweep_cache(&needed.into_iter().chain(at_hand).collect())?);
        }
        Ok(removed)
    }

    /// Returns the digests of all components that plugins have used since the node started, that
    /// receivers use, and that the configuration pins.
    fn needed(&self) -> BTreeSet<Digest> {
        let receivers = self.config.receivers.iter();
        let policy = self.guard.policy();
        let entries = policy.plugins.iter();
        let pinned = entries
            .chain(receivers.map(|receiver| &receiver.plugin))
            .filter_map(|entry| entry.digest);
        pinned
            .chain(self.guard.note())
            .chain(self.receivers.digests())
            .collect()
    }
}

#[cfg(test)]
#[path = "housekeeping_tests.rs"]
mod tests;
