//! The bundle that a node gets while it is stopped: its first one, or the one that it has lost.

use std::path::Path;

use countersign_protocol::UnixMillis;
use countersign_store::Journal;

use super::file::Bundle;
use super::folder::{BundleFolder, FolderError};
use super::life::{TakeError, read_published};
use super::schedule::Schedule;
use super::status::{BundleStatus, replaced};
use super::trial::Trial;
use crate::config::Config;

/// Puts a bundle in force at a node that is stopped and has none. That is the operator's own act,
/// as an edit of `policy.plugins` would be, so the bundle does not wait, whatever it guards. If the
/// node has had one, it must be the same or a later one. The bundle in force itself is stored
/// again, in case its files are damaged.
///
/// `config` is without the entries of a bundle, and `journal` is the node's.
pub async fn take_first(
    config: &Config,
    journal: &Journal,
    file: &Path,
    now: UnixMillis,
) -> Result<BundleStatus, TakeError> {
    let settings = config.policy.bundles.as_ref();
    let settings = settings.ok_or(TakeError::NotFollowed)?;
    let folder = BundleFolder::of(&config.dir);
    let before = folder.schedule()?;
    let published = read_published(file.into(), settings)?;
    let bundle = published.bundle();
    let hash = bundle.hash();
    let schedule = match &before.present {
        Some(_) if before.has_in_force(&hash) => before.clone(),
        Some(_) => return Err(TakeError::Stopped),
        None => {
            let noted = journal.bundle_mark().map_err(FolderError::from)?;
            let signers = published.signers();
            Schedule::first(hash, bundle.manifest(), signers, noted, now)?
        }
    };
    folder.admits(&config.policy, bundle)?;
    folder.store(bundle)?;
    if before.present.is_none() {
        let placed = put_in_force(config, journal, &folder, bundle, &schedule, now).await;
        if placed.is_err() {
            // What is left of it only costs disk space.
            drop(folder.sweep(&before));
        }
        placed?;
    }
    let replaced = replaced(&folder, &schedule, &config.policy)?;
    Ok(BundleStatus::new(settings, schedule, replaced, now))
}

/// Loads the stored bundle as the node will, and puts it in force, on record.
async fn put_in_force(
    config: &Config,
    journal: &Journal,
    folder: &BundleFolder,
    bundle: &Bundle,
    schedule: &Schedule,
    now: UnixMillis,
) -> Result<(), TakeError> {
    let hash = bundle.hash();
    let trial = Trial::prepare(folder, config.policy.clone(), None, &hash, now)?;
    trial.load_all().await?;
    if let Some(present) = &schedule.present {
        let text = format!(
            "policy bundle {} ({hash}): taken while the node is stopped, signed by {}; takes effect as the first one",
            present.version,
            present.signers.join(", ")
        );
        journal.policy(now, &text, None)?;
    }
    folder.keep(schedule)?;
    // Last: a node that knows of a bundle does not start without it.
    if let Some(mark) = schedule.mark() {
        journal.bundled(mark)?;
    }
    Ok(())
}
