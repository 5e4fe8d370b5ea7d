//! Notices changed components and rule files, and swaps them in while the node runs.
//!
//! A change counts when the bytes differ and have been still for one look. What is new is validated beside what is in
//! force; if it is bad, what is in force stays, and that is said loudly and written into the audit log.

use super::{Guard, specs};
use crate::config::{PluginConfig, Policy};
use crate::core::Core;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// What the watched files look like: one hash for each.
type Sight = Vec<[u8; 32]>;

/// Runs until the node stops.
pub async fn watch(core: Arc<Core>) {
    let mut in_force = look(&core.guard.policy).await;
    let mut before = in_force.clone();
    while core.stopping.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
        let now = look(&core.guard.policy).await;
        if now == before && now != in_force {
            core.guard.reload(&core).await;
            in_force.clone_from(&now);
        }
        before = now;
    }
}

async fn look(policy: &Policy) -> Sight {
    let mut files = Vec::new();
    for plugin in &policy.plugins {
        files.push(plugin.file.clone());
        if let PluginConfig::File(file) = &plugin.source {
            files.push(file.clone());
        }
    }
    let looked = tokio::task::spawn_blocking(move || files.iter().map(|file| sight(file)).collect());
    looked.await.unwrap_or_default()
}

/// A file that cannot be read looks different from every file that can.
fn sight(file: &Path) -> [u8; 32] {
    std::fs::read(file).map_or([0; 32], |bytes| Sha256::digest(bytes).into())
}

impl Guard {
    /// Loads what is on disk now, and swaps it in if it is good.
    async fn reload(&self, core: &Core) {
        let Some(pipeline) = &self.pipeline else { return };
        let result = match specs::read(&self.policy) {
            Ok(specs) => pipeline.reload(specs).await.map(drop).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let text = match result {
            Ok(()) => String::from("plugins reloaded"),
            Err(error) => format!("changed plugins were refused and the old ones stay in force: {error}"),
        };
        tracing::warn!("{text}");
        let now = core.now();
        if let Err(error) = core.journal(move |journal| journal.alarm(now, None, &text)).await {
            tracing::error!(%error, "the journal cannot be written");
        }
    }
}
