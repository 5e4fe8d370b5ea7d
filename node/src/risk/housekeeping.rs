//! Removes machine code and replaced components that nothing refers to any more, by the rule in
//! `docs/plugins.md`. Touches nothing that the node did not put there, and nothing at all when it
//! cannot tell what is still needed.

use std::collections::BTreeSet;
use std::sync::Arc;

use countersign_host::{PluginStore, StoreError};
use countersign_store::ReadJournalError;

use crate::core::Core;

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

/// Removes what is not needed now. A failure costs room and nothing else.
pub async fn sweep(core: Arc<Core>) {
    let node = core.clone();
    let _alone = node.guard.changing.lock().await;
    let swept = tokio::task::spawn_blocking(move || sweep_now(&core)).await;
    match swept {
        Ok(Ok(removed)) if removed.is_empty() => {}
        Ok(Ok(removed)) => tracing::info!(?removed, "nothing refers to these files any more"),
        Ok(Err(error)) => tracing::warn!(%error, "replaced plugins are not removed"),
        Err(error) => tracing::warn!(%error, "replaced plugins are not removed; report this"),
    }
}

fn sweep_now(core: &Core) -> Result<Vec<String>, SweepError> {
    let store = PluginStore::new(&core.config.policy.plugin_dir);
    let needed = needed(core);
    let mut removed = Vec::new();
    // The journal is read only if there is something to be removed.
    if !store.unlisted()?.is_subset(&needed) {
        let recorded = core.journal.recorded_components()?;
        removed = store.sweep(
            &needed
                .iter()
                .copied()
                .chain(recorded.iter().map(|hash| hash.0))
                .collect(),
        )?;
    }
    let host = core.guard.host.as_ref().or_else(|| core.receivers.host());
    if let Some(host) = host {
        let at_hand = store.list()?.into_iter().flat_map(|manifest| {
            let newest: Vec<_> = manifest
                .releases()
                .take(2)
                .map(|release| release.digest)
                .collect();
            newest
        });
        removed.extend(host.sweep_cache(&needed.into_iter().chain(at_hand).collect())?);
    }
    Ok(removed)
}

/// What plugins are or were made of since the node started, what receivers are, and what the
/// configuration pins.
fn needed(core: &Core) -> BTreeSet<Digest> {
    let policy = &core.config.policy;
    let entries = policy.plugins.iter().chain(
        core.config
            .receivers
            .iter()
            .map(|receiver| &receiver.plugin),
    );
    let pinned = entries.filter_map(|entry| entry.digest);
    pinned
        .chain(core.guard.note())
        .chain(core.receivers.digests())
        .collect()
}
