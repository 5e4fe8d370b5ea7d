//! Removes machine code and replaced components that nothing refers to any more, by the rule in
//! `docs/plugins.md`. Touches nothing that the node did not put there, and nothing at all when it
//! cannot tell what is still needed.

use std::collections::BTreeSet;
use std::sync::Arc;

use countersign_host::{PluginStore, StoreError};
use countersign_store::{Journal, ReadJournalError};

use super::Guard;
use crate::config::Config;
use crate::events::Receivers;
use crate::off_thread::off_thread;

type Digest = [u8; 32];

/// Why nothing was removed.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Journal(#[from] ReadJournalError),
    #[error("cannot use the folder of compiled plugins: {0}; correct its owner or mode")]
    Cache(#[from] std::io::Error),
}

/// What is in use, and what was.
#[derive(Clone)]
pub struct Housekeeping {
    /// Pins, folders and receivers.
    pub config: Arc<Config>,
    /// Plugins.
    pub guard: Arc<Guard>,
    /// Receivers of events.
    pub receivers: Arc<Receivers>,
    /// Names the components that recordings need.
    pub journal: Journal,
}

impl Housekeeping {
    /// Removes what is not needed now. A failure costs room and nothing else.
    pub async fn sweep(&self) {
        let _alone = self.guard.changing.lock().await;
        let all = self.clone();
        match off_thread(move || all.sweep_now()).await {
            Ok(removed) if removed.is_empty() => {}
            Ok(removed) => tracing::info!(?removed, "nothing refers to these files any more"),
            Err(error) => tracing::warn!(%error, "replaced plugins are not removed"),
        }
    }

    fn sweep_now(&self) -> Result<Vec<String>, SweepError> {
        let store = PluginStore::new(&self.config.policy.plugin_dir);
        let needed = self.needed();
        let mut removed = Vec::new();
        // The journal is read only if there is something to be removed.
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

    /// The digests of all components that plugins were made of since the node started, that
    /// receivers are made of, and that the configuration pins.
    fn needed(&self) -> BTreeSet<Digest> {
        let receivers = self.config.receivers.iter();
        let entries = self.config.policy.plugins.iter();
        let pinned = entries
            .chain(receivers.map(|receiver| &receiver.plugin))
            .filter_map(|entry| entry.digest);
        pinned
            .chain(self.guard.note())
            .chain(self.receivers.digests())
            .collect()
    }
}
