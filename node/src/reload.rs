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
use countersign_store::{Journal, WriteJournalError};
use countersign_strict::Document;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::oneshot;
use tokio::task::JoinError;

use crate::bundle::FolderError;
use crate::config::{Config, ConfigError, LIVE_SECTIONS, LiveConfig, Policy};
use crate::off_thread::with_journal;
use crate::session::Router;
use crate::twins::Twins;
use crate::world::World;

/// Shorthands for parts of `policy`.
const POLICY_SHORTHANDS: [&str; 2] = ["callback", "embedded_risk_control_rules"];

/// What waits for a restart and guards nothing. Everything else that waits does: a policy that a
/// running node cannot take up, the place of the shares, and the coordinator that is trusted to
/// agree.
const NO_GUARDS: [&str; 9] = [
    "check_up",
    "env",
    "event",
    "events",
    "journal",
    "limits.prime_sets",
    "limits.tasks",
    "metrics",
    "websocket",
];

/// Called with each configuration of which parts were put in force. For what lies outside the node,
/// such as its log.
pub type OnReload = Arc<dyn Fn(&Config) + Send + Sync>;

/// Asks for new contacts to be put in force; the sender takes the result.
pub type ContactsRequest = oneshot::Sender<Result<TakenUp, TakeUpError>>;

/// Reasons why nothing of the configuration file was put in force.
#[derive(Debug, thiserror::Error)]
pub enum TakeUpError {
    /// There is no file.
    #[error("the node's configuration did not come from a file; restart the node with one")]
    NoFile,
    /// A node could not start with the file.
    #[error("the node would not start with the configuration file: {0}")]
    Config(#[from] ConfigError),
    /// The policy bundle in force cannot be read.
    #[error("nothing was taken up, since the policy bundle in force cannot be used: {0}")]
    Bundle(#[from] FolderError),
    /// The thread that read the file has ended.
    #[error("the configuration file was not read ({0}); report this, and restart the node")]
    Thread(#[from] JoinError),
    /// The change could not be put on record.
    #[error("the configuration was not taken up, since that could not be recorded: {0}")]
    Record(#[from] WriteJournalError),
}

/// What follows the configuration.
pub struct Reload {
    pub live: Arc<LiveConfig>,
    pub router: Arc<Router>,
    pub twins: Arc<Twins>,
    pub journal: Journal,
    pub world: World,
    pub told: OnReload,
}

/// The guards of the shares at the time of a reload.
pub struct Guards {
    /// The policy in force.
    pub policy: Arc<Policy>,
    /// True if the files of plugins, keys and authorities are in force as they are on the disk.
    pub as_on_disk: bool,
}

/// Names of sections, after a node has read its configuration again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenUp {
    /// Sections that were put in force.
    pub live: Vec<String>,
    /// Sections that would permit more, and wait for the guards in the same file.
    pub held: Vec<String>,
}

/// The part of the file that is put in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// All that a running node can take up.
    All,
    /// `requesters` and `roster`.
    Contacts,
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
    /// What takes effect at the next start.
    later: Vec<String>,
    /// True if the guard could have taken up the policy of the file, and refused it.
    refused: bool,
}

impl Reload {
    /// Reads the file. Fails if a node could not start with it.
    pub async fn read(&self) -> Result<Config, TakeUpError> {
        let file = self.live.now().source.file.clone();
        if file.as_os_str().is_empty() {
            return Err(TakeUpError::NoFile);
        }
        let read = tokio::task::spawn_blocking(move || complete(&file)).await?;
        Ok(read?)
    }

    /// Puts in force what it can of a file that was just read, and logs the rest.
    pub async fn run(&self, read: Result<Config, TakeUpError>, guards: &Guards) {
        let present = self.live.now();
        let change = read.and_then(|new| Ok(compare(new, &present, guards, Extent::All)?));
        let file = present.source.file.display().to_string();
        match change {
            Ok(change) if change.is_empty() => tracing::info!(
                file,
                "the configuration file is unchanged; plugins, keys and receivers are read again"
            ),
            Ok(change) => self.take_up(change, &file).await,
            Err(error) => {
                tracing::warn!(file, "{error}; the previous configuration stays in force");
            }
        }
        self.tell().await;
    }

    /// Puts `requesters` and `roster` of the file in force, and no other edit that is in it.
    pub async fn take_contacts(&self, guards: &Guards) -> Result<TakenUp, TakeUpError> {
        let new = self.read().await?;
        let change = compare(new, &self.live.now(), guards, Extent::Contacts)?;
        let names = |sections: &[&str]| sections.iter().copied().map(String::from).collect();
        let taken = TakenUp {
            live: names(&change.live),
            held: names(&change.held),
        };
        if !change.live.is_empty() {
            self.apply(change).await?;
            self.tell().await;
        }
        Ok(taken)
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
                "the configuration file has changed, and this is in force only after a restart: {}; \
                 files that it named before are read again now",
                change.later.join(", ")
            );
        }
        if change.refused {
            tracing::warn!(
                file,
                "the policy in the file was refused, for the reason above, and the one before stays in force; correct it and send SIGHUP again"
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
        if !change.live.is_empty()
            && let Err(error) = self.apply(change).await
        {
            tracing::error!("{}", TakeUpError::Record(error));
        }
    }

    /// Records the change, then puts it in force.
    async fn apply(&self, change: Change) -> Result<(), WriteJournalError> {
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
        });
        recorded.await?;
        self.router.set_names(config.roster.clone());
        self.twins.set_roster(config.roster.clone());
        let peers = config.roster.keys().map(|node| PeerKey(*node.as_bytes()));
        self.router.mesh().set_roster(peers);
        self.live.take(config);
        tracing::info!("{text}");
        Ok(())
    }
}

impl Change {
    fn is_empty(&self) -> bool {
        self.live.is_empty() && self.held.is_empty() && self.later.is_empty() && !self.refused
    }
}

fn complete(file: &Path) -> Result<Config, ConfigError> {
    let config = Config::load(file)?;
    config.check_complete()?;
    Ok(config)
}

fn compare(
    new: Config,
    present: &Config,
    guards: &Guards,
    extent: Extent,
) -> Result<Change, ConfigError> {
    let later = waiting(&new, present, &guards.policy)?;
    let refused = new.policy != *guards.policy && new.policy.can_follow(&guards.policy);
    let wanted = match extent {
        Extent::All => Config {
            policy: Policy::clone(&guards.policy),
            ..new
        },
        Extent::Contacts => new.contacts_alone(present),
    };
    let waits = |section: &String| !NO_GUARDS.contains(&section.as_str());
    let same_guards = !refused && !later.iter().any(waits);
    let (config, held) = if guards.as_on_disk && same_guards {
        (wanted, Vec::new())
    } else {
        let within = wanted.clone().within(present);
        let held = wanted.live_sections_unlike(&within);
        (within, held)
    };
    Ok(Change {
        live: config.live_sections_unlike(present),
        config,
        held,
        later,
        refused,
    })
}

/// Returns what takes effect at the next start only.
fn waiting(new: &Config, present: &Config, policy: &Policy) -> Result<Vec<String>, ConfigError> {
    let mut waiting = changed(&present.source.text, &new.source.text)?;
    waiting.retain(|section| {
        let section = section.as_str();
        !LIVE_SECTIONS.contains(&section) && !POLICY_SHORTHANDS.contains(&section)
    });
    let parts = [
        ("limits.prime_sets", new.prime_sets != present.prime_sets),
        ("limits.tasks", new.tasks != present.tasks),
        ("policy", !new.policy.can_follow(policy)),
    ];
    let parts = parts.into_iter().filter(|(_, differs)| *differs);
    waiting.extend(parts.map(|(part, _)| part.to_owned()));
    waiting.sort_unstable();
    Ok(waiting)
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
