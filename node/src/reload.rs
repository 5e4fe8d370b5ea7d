//! Reads the configuration file again when an operator asks a running node for it (SIGHUP). Puts
//! the sections in force that may change at run time, and names the others, so that no operator
//! assumes a change that has not happened.
//!
//! A new permission may be meant for the new guards that the same file names. While those wait for
//! a restart, nothing is put in force that permits more; what permits less is.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use countersign_link::PeerKey;
use countersign_store::Journal;
use countersign_strict::Document;
use serde_json::{Map, Value};

use crate::config::{Config, ConfigError, LIVE_SECTIONS, LiveConfig};
use crate::off_thread::with_journal;
use crate::session::Router;
use crate::twins::Twins;
use crate::world::World;

/// Sections that guard nothing. All others that need a restart do: the policy, also by its
/// shorthands, the limits, the place of the shares, and the coordinator that is trusted to agree.
const NO_GUARDS: [&str; 7] = [
    "check_up",
    "env",
    "event",
    "events",
    "journal",
    "metrics",
    "websocket",
];

/// Called with each configuration of which parts were put in force. For what lies outside the node,
/// such as its log.
pub type OnReload = Arc<dyn Fn(&Config) + Send + Sync>;

/// What follows the configuration.
pub struct Reload {
    pub live: Arc<LiveConfig>,
    pub router: Arc<Router>,
    pub twins: Arc<Twins>,
    pub journal: Journal,
    pub world: World,
    pub told: OnReload,
}

/// The difference between the file and what is in force.
#[derive(Debug)]
enum Finding {
    /// The file has the same content.
    Unchanged,
    /// Some sections have changed.
    Changed(Box<Change>),
    /// A node could not start with the file, for this reason.
    Bad(String),
}

/// A change of the file.
#[derive(Debug)]
struct Change {
    /// The part that can be put in force now.
    config: Config,
    /// The sections of it that are not in force yet.
    live: Vec<&'static str>,
    /// Sections that would permit more than the guards in force were made for.
    held: Vec<&'static str>,
    /// Sections that take effect at the next start.
    later: Vec<String>,
}

impl Reload {
    /// Reads the file again, puts in force what it can, and logs the rest. `guarded`: the files of
    /// plugins, keys and authorities are in force as they are on the disk.
    pub async fn run(&self, guarded: bool) {
        let present = self.live.now();
        let file = present.source.file.clone();
        if file.as_os_str().is_empty() {
            return;
        }
        let path = file.clone();
        let looked = tokio::task::spawn_blocking(move || look(&path, &present, guarded)).await;
        let file = file.display().to_string();
        match looked.unwrap_or_else(|error| Finding::Bad(error.to_string())) {
            Finding::Unchanged => tracing::info!(
                file,
                "the configuration file is unchanged; plugins, keys and receivers are read again"
            ),
            Finding::Changed(change) => self.take_up(*change, &file).await,
            Finding::Bad(error) => tracing::warn!(
                file,
                "the configuration file has changed, but the node would not start with it: {error}; the previous one stays in force"
            ),
        }
        self.tell().await;
    }

    /// Tells what lies outside the node at every request, changed or not: a log file that was
    /// renamed has to be opened again.
    async fn tell(&self) {
        let told = self.told.clone();
        let config = self.live.now();
        let done = tokio::task::spawn_blocking(move || told(&config)).await;
        if let Err(error) = done {
            tracing::error!(%error, "the log and names in it did not follow the configuration");
        }
    }

    async fn take_up(&self, change: Change, file: &str) {
        if !change.later.is_empty() {
            tracing::warn!(
                file,
                "the configuration file has changed, and these sections are in force only after a restart: {}; \
                 files that it named before are read again now",
                change.later.join(", ")
            );
        }
        if !change.held.is_empty() {
            tracing::warn!(
                file,
                "these sections permit more, and that is not in force, since what guards it is not in force either: {}; \
                 restart the node, or correct the plugins' files and send SIGHUP again",
                change.held.join(", ")
            );
        }
        if !change.live.is_empty() {
            self.apply(change).await;
        }
    }

    /// Records the change, then puts it in force.
    async fn apply(&self, change: Change) {
        let Change {
            config, live, held, ..
        } = change;
        let mut text = format!(
            "the configuration was read again (sha256 {}), and these sections are in force: {}",
            hex::encode(config.digest()),
            live.join(", ")
        );
        if !held.is_empty() {
            let but = format!("; not what permits more in: {}", held.join(", "));
            text.push_str(&but);
        }
        let now = self.world.now();
        let noted = text.clone();
        let recorded = with_journal(&self.journal, move |journal| {
            journal.policy(now, &noted, None)
        })
        .await;
        if let Err(error) = recorded {
            return tracing::error!(%error, "the configuration was not taken up, since that could not be recorded");
        }
        self.router.set_names(config.roster.clone());
        self.twins.set_roster(config.roster.clone());
        let peers = config.roster.keys().map(|node| PeerKey(*node.as_bytes()));
        self.router.mesh().set_roster(peers);
        self.live.take(config);
        tracing::info!("{text}");
    }
}

fn look(file: &Path, present: &Config, guarded: bool) -> Finding {
    let complete = Config::load(file).and_then(|config| {
        config.check_complete()?;
        Ok(config)
    });
    let compared = complete.and_then(|config| compare(config, present, guarded));
    match compared {
        Ok(Change {
            live, held, later, ..
        }) if live.is_empty() && held.is_empty() && later.is_empty() => Finding::Unchanged,
        Ok(change) => Finding::Changed(change.into()),
        Err(error) => Finding::Bad(error.to_string()),
    }
}

fn compare(new: Config, present: &Config, guarded: bool) -> Result<Change, ConfigError> {
    let mut later = changed(&present.source.text, &new.source.text)?;
    later.retain(|section| !LIVE_SECTIONS.contains(&section.as_str()));
    let same_guards = later
        .iter()
        .all(|section| NO_GUARDS.contains(&section.as_str()));
    let (config, held) = if guarded && same_guards {
        (new, Vec::new())
    } else {
        let within = new.clone().within(present);
        let held = new.live_sections_unlike(&within);
        (within, held)
    };
    Ok(Change {
        live: config.live_sections_unlike(present),
        config,
        held,
        later,
    })
}

/// Returns the names of the sections that differ.
fn changed(before: &str, now: &str) -> Result<Vec<String>, ConfigError> {
    let before = sections(before)?;
    let now = sections(now)?;
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    Ok(names
        .into_iter()
        .filter(|name| before.get(*name) != now.get(*name))
        .cloned()
        .collect())
}

/// The sections of a file. An empty one, or one of comments alone, has none.
fn sections(text: &str) -> Result<Map<String, Value>, ConfigError> {
    match Document::parse(text)?.read::<Option<Map<String, Value>>>()? {
        Some(sections) => Ok(sections),
        None => Ok(Map::new()),
    }
}

#[cfg(test)]
#[path = "reload_tests.rs"]
mod tests;
