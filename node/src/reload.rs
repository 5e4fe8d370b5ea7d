//! Reads the configuration file again when an operator asks a running node for it (SIGHUP). Puts
//! the sections in force that may change at run time, and names the others, so that no operator
//! assumes a change that has not happened.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use countersign_link::PeerKey;
use countersign_store::Journal;
use countersign_strict::Document;
use serde_json::{Map, Value};

use crate::config::{Config, ConfigError, LIVE_SECTIONS, LiveConfig};
use crate::off_thread::with_journal;
use crate::session::Router;
use crate::twins::Twins;
use crate::world::World;

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
    /// The text that the node started with, which counts for sections that need a restart.
    started: String,
    /// The text of which the live sections are in force.
    applied: Mutex<String>,
}

/// The difference between the file and what is in force.
#[derive(Debug)]
enum Finding {
    /// The file has the same content.
    Unchanged,
    /// Some sections have changed.
    Changed {
        config: Box<Config>,
        /// These can be put in force now.
        live: Vec<String>,
        /// These take effect at the next start.
        later: Vec<String>,
    },
    /// A node could not start with the file, for this reason.
    Bad(String),
}

impl Reload {
    pub fn new(
        live: Arc<LiveConfig>,
        router: Arc<Router>,
        twins: Arc<Twins>,
        journal: Journal,
        world: World,
        told: OnReload,
    ) -> Self {
        let text = live.now().source.text.clone();
        Self {
            live,
            router,
            twins,
            journal,
            world,
            told,
            applied: Mutex::new(text.clone()),
            started: text,
        }
    }

    /// Reads the file again, puts in force what it can, and logs the rest.
    pub async fn run(&self) {
        let file = self.live.now().source.file.clone();
        if file.as_os_str().is_empty() {
            return;
        }
        let started = self.started.clone();
        let applied = self.applied().clone();
        let path = file.clone();
        let looked = tokio::task::spawn_blocking(move || look(&path, &started, &applied)).await;
        let file = file.display().to_string();
        match looked.unwrap_or_else(|error| Finding::Bad(error.to_string())) {
            Finding::Unchanged => tracing::info!(
                file,
                "the configuration file is unchanged; plugins, keys and receivers are read again"
            ),
            Finding::Changed {
                config,
                live,
                later,
            } => {
                if !live.is_empty() {
                    self.apply(*config, &live).await;
                }
                if !later.is_empty() {
                    tracing::warn!(
                        file,
                        "the configuration file has changed, and these sections are in force only after a restart: {}; \
                         files that it named before are read again now",
                        later.join(", ")
                    );
                }
            }
            Finding::Bad(error) => tracing::warn!(
                file,
                "the configuration file has changed, but the node would not start with it: {error}; the previous one stays in force"
            ),
        }
    }

    /// Records the change, then puts it in force.
    async fn apply(&self, config: Config, sections: &[String]) {
        let text = format!(
            "the configuration was read again (sha256 {}), and these sections are in force: {}",
            hex::encode(config.digest()),
            sections.join(", ")
        );
        let now = self.world.now();
        let noted = text.clone();
        let recorded = with_journal(&self.journal, move |journal| {
            journal.policy(now, &noted, None)
        })
        .await;
        if let Err(error) = recorded {
            return tracing::error!(%error, "the configuration was not taken up, since that could not be recorded");
        }
        *self.applied() = config.source.text.clone();
        (self.told)(&config);
        self.router.set_names(config.roster.clone());
        self.twins.set_roster(config.roster.clone());
        let peers = config.roster.keys().map(|node| PeerKey(*node.as_bytes()));
        self.router.mesh().set_roster(peers);
        self.live.take(config);
        tracing::info!("{text}");
    }

    fn applied(&self) -> std::sync::MutexGuard<'_, String> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn look(file: &Path, started: &str, applied: &str) -> Finding {
    let complete = Config::load(file).and_then(|config| {
        config.check_complete()?;
        Ok(config)
    });
    let compared = complete.and_then(|config| {
        let is_live = |section: &String| LIVE_SECTIONS.contains(&section.as_str());
        let mut live = changed(applied, &config.source.text)?;
        live.retain(is_live);
        let mut later = changed(started, &config.source.text)?;
        later.retain(|section| !is_live(section));
        Ok((config, live, later))
    });
    match compared {
        Ok((_, live, later)) if live.is_empty() && later.is_empty() => Finding::Unchanged,
        Ok((config, live, later)) => Finding::Changed {
            config: config.into(),
            live,
            later,
        },
        Err(error) => Finding::Bad(error.to_string()),
    }
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
mod tests {
    use super::*;

    #[test]
    fn sections_that_differ_are_named() {
        let before = "db: {path: a}\nroster: []\n";
        assert_eq!(
            changed(before, "# new comment\nroster: []\ndb:\n  path: a\n").unwrap(),
            Vec::<String>::new()
        );
        assert_eq!(
            changed(before, "db: {path: b}\nrequesters: []\n").unwrap(),
            ["db", "requesters", "roster"]
        );
        assert!(changed(before, "db: {}\ndb: {}\n").is_err());
    }

    #[test]
    fn a_file_that_no_node_could_start_with_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node.yaml");
        std::fs::write(&file, "policy: {alow: 1}\n").unwrap();
        let bad = look(&file, "", "");
        assert!(matches!(bad, Finding::Bad(text) if text.contains("line 1")));
        std::fs::write(&file, "policy: {allow_unguarded: true}\n").unwrap();
        let bad = look(&file, "", "");
        assert!(matches!(bad, Finding::Bad(text) if text.contains("coordinator")));
    }

    /// A configuration that a node could start with.
    fn complete(rest: &str) -> String {
        use countersign_protocol::CoordinatorId;
        let id = CoordinatorId::from_bytes(*crate::specimen::node(5).as_bytes()).unwrap();
        format!(
            "coordinator: {{address: 'localhost:7443', id: {id}}}\npolicy: {{allow_unguarded: true}}\n{rest}"
        )
    }

    #[test]
    fn a_file_that_says_the_same_in_other_words_is_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node.yaml");
        let text = complete("");
        for now in [text.clone(), format!("# a comment\n{text}")] {
            std::fs::write(&file, now).unwrap();
            assert!(matches!(look(&file, &text, &text), Finding::Unchanged));
        }
    }

    #[test]
    fn a_changed_file_is_told_by_its_sections_in_the_order_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node.yaml");
        std::fs::write(&file, complete("limits: {tasks: 3}\n")).unwrap();
        let before = complete("check_up: {hours: 5}\n");
        assert_eq!(
            sections(look(&file, &before, &before)),
            ["", "check_up, limits"]
        );
    }

    fn sections(found: Finding) -> [String; 2] {
        match found {
            Finding::Changed { live, later, .. } => [live.join(", "), later.join(", ")],
            other => panic!("{other:?}"),
        }
    }

    /// What was put in force is no news at the next request; what waits for a restart is.
    #[test]
    fn sections_that_may_change_are_told_from_those_that_need_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node.yaml");
        let started = complete("");
        let now = complete("limits: {tasks: 3}\nlog: {std: {level: debug}}\nroster: []\n");
        std::fs::write(&file, &now).unwrap();
        let found = sections(look(&file, &started, &started));
        assert_eq!(found, ["log, roster", "limits"]);
        assert_eq!(sections(look(&file, &started, &now)), ["", "limits"]);
        std::fs::write(&file, &started).unwrap();
        let back = sections(look(&file, &started, &now));
        assert_eq!(back, ["log, roster", ""]);
    }

    #[test]
    fn a_file_that_is_gone_is_told_and_not_taken_for_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node.yaml");
        let bad = look(&file, "", "");
        assert!(matches!(bad, Finding::Bad(text) if text.contains("node.yaml")));
    }
}
