//! The state of a node's bundles, for its operator.

use countersign_protocol::UnixMillis;
use countersign_store::Journal;
use serde::{Deserialize, Serialize};

use super::folder::{BundleFolder, FolderError};
use super::life::TakeError;
use super::schedule::{Schedule, millis};
use crate::config::{Bundles, Config, Policy};

/// The state of a node's bundles, for its operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleStatus {
    /// Name of the policy that the node follows.
    pub name: String,
    /// Those whose signatures count.
    pub publishers: Vec<String>,
    /// Number of them who must have signed.
    pub needed: usize,
    /// Milliseconds for which a bundle waits that may loosen the policy.
    pub delay_ms: u64,
    /// What is in force, was before, and waits.
    pub schedule: Schedule,
    /// True if the bundle that waits is being judged.
    pub judging: bool,
    /// True if the running node decides by the bundle in force; `None` if no node is running.
    pub taken_up: Option<bool>,
    /// Entries of the bundle in force in whose place the operator's own stand.
    pub replaced: Vec<String>,
    /// The time by the node's clock.
    pub now: UnixMillis,
}

impl BundleStatus {
    /// The state of the node that is not running and has this configuration and journal.
    pub fn at_rest(config: &Config, journal: &Journal, now: UnixMillis) -> Result<Self, TakeError> {
        let settings = config.policy.bundles.as_ref();
        let settings = settings.ok_or(TakeError::NotFollowed)?;
        let folder = BundleFolder::of(&config.dir);
        let schedule = folder.expected(journal)?;
        let replaced = replaced(&folder, &schedule, &config.policy)?;
        Ok(Self::new(settings, schedule, replaced, now))
    }

    pub(super) fn new(
        settings: &Bundles,
        schedule: Schedule,
        replaced: Vec<String>,
        now: UnixMillis,
    ) -> Self {
        let publishers = settings.publishers.iter();
        Self {
            name: settings.name.clone(),
            publishers: publishers.map(|one| one.name().to_owned()).collect(),
            needed: settings.needed,
            delay_ms: millis(settings.delay),
            schedule,
            judging: false,
            taken_up: None,
            replaced,
            now,
        }
    }
}

/// Entries of the bundle in force in whose place the operator's own stand.
pub(super) fn replaced(
    folder: &BundleFolder,
    schedule: &Schedule,
    policy: &Policy,
) -> Result<Vec<String>, FolderError> {
    let Some(present) = &schedule.present else {
        return Ok(Vec::new());
    };
    let own = |name: &String| {
        let mut plugins = policy.plugins.iter();
        plugins.any(|entry| entry.name == *name && !policy.from_bundle.contains(name))
    };
    let entries = folder.manifest(&present.bundle)?.entries.into_iter();
    Ok(entries.map(|entry| entry.name).filter(own).collect())
}
