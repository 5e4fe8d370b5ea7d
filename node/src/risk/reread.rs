//! Reports changes of the configuration file when an operator asks a running node to reload
//! (SIGHUP): which of them take effect only after a restart, so that no operator assumes a change
//! that has not happened.

use std::collections::BTreeSet;
use std::path::Path;

use countersign_strict::Document;
use serde_json::{Map, Value};

use crate::config::{Config, ConfigError, Source};

/// The difference between the file and the configuration that the node runs with.
#[derive(Debug, PartialEq, Eq)]
enum Finding {
    /// The file has the same content.
    Unchanged,
    /// These sections of the file have changed.
    Changed(Vec<String>),
    /// A node could not start with the file, for this reason.
    Bad(String),
}

/// Reads the file again, and logs which of its changes are not in force.
pub(super) async fn tell(source: &Source) {
    let source = source.clone();
    if source.file.as_os_str().is_empty() {
        return;
    }
    let file = source.file.display().to_string();
    let looked = tokio::task::spawn_blocking(move || look(&source.file, &source.text)).await;
    match looked.unwrap_or_else(|error| Finding::Bad(error.to_string())) {
        Finding::Unchanged => {
            tracing::info!(
                file,
                "the configuration file is unchanged; plugins, keys and receivers are read again"
            );
        }
        Finding::Changed(sections) => tracing::warn!(
            file,
            "the configuration file has changed, and these sections are in force only after a restart: {}; files that \
             it named before are read again now",
            sections.join(", ")
        ),
        Finding::Bad(error) => tracing::warn!(
            file,
            "the configuration file has changed, but the node would not start with it: {error}; the previous one stays in force"
        ),
    }
}

fn look(file: &Path, before: &str) -> Finding {
    match Config::load(file).and_then(|config| config.check_complete().map(drop).map(|()| config)) {
        Ok(config) if config.source.text == before => Finding::Unchanged,
        Ok(config) => match changed(before, &config.source.text) {
            Ok(sections) if sections.is_empty() => Finding::Unchanged,
            Ok(sections) => Finding::Changed(sections),
            Err(error) => Finding::Bad(error.to_string()),
        },
        Err(error) => Finding::Bad(error.to_string()),
    }
}

/// Returns the names of the sections that differ.
fn changed(before: &str, now: &str) -> Result<Vec<String>, ConfigError> {
    let sections =
        |text| Ok::<_, ConfigError>(Document::parse(text)?.read::<Option<Map<String, Value>>>()?);
    let before = sections(before)?.unwrap_or_default();
    let now = sections(now)?.unwrap_or_default();
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    Ok(names
        .into_iter()
        .filter(|name| before.get(*name) != now.get(*name))
        .cloned()
        .collect())
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
        assert!(matches!(look(&file, ""), Finding::Bad(text) if text.contains("line 1")));
        std::fs::write(&file, "policy: {allow_unguarded: true}\n").unwrap();
        assert!(matches!(look(&file, ""), Finding::Bad(text) if text.contains("coordinator")));
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
            assert_eq!(look(&file, &text), Finding::Unchanged);
        }
    }

    #[test]
    fn a_changed_file_is_told_by_its_sections_in_the_order_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node.yaml");
        std::fs::write(&file, complete("limits: {tasks: 3}\n")).unwrap();
        let found = look(&file, &complete("check_up: {hours: 5}\n"));
        let sections = ["check_up", "limits"].map(String::from).to_vec();
        assert_eq!(found, Finding::Changed(sections));
    }

    #[test]
    fn a_file_that_is_gone_is_told_and_not_taken_for_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node.yaml");
        assert!(matches!(look(&file, ""), Finding::Bad(text) if text.contains("node.yaml")));
    }
}
