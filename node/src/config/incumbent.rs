//! Sections in files of the incumbent, the co-signer that operators used before. Those with a
//! meaning here are expanded into plugin entries (`shorthand`); the others are named in a warning,
//! or refused if ignoring them would mislead.

use super::error::ConfigError;
use super::raw::RawConfig;
use super::raw_callback::RawCallback;

/// Returns a note on each key that has no effect here.
pub(super) fn review(raw: &RawConfig) -> Result<Vec<String>, ConfigError> {
    refuse(raw)?;
    let mut notes = Vec::new();
    let mut ignore = |there: bool, key: &str, instead: &str| {
        if there {
            notes.push(format!("{key} is ignored: {instead}"));
        }
    };
    ignore(
        raw.env.is_some(),
        "env",
        "there are no environments; coordinator.address and coordinator.id name the coordinator that the node dials",
    );
    Ok(notes)
}

fn refuse(raw: &RawConfig) -> Result<(), ConfigError> {
    let says = |section: &Option<serde_json::Value>, key: &str| {
        section
            .as_ref()
            .is_some_and(|section| section[key].as_str().is_some_and(|text| !text.is_empty()))
    };
    let callback = |get: fn(&RawCallback) -> &Option<serde_json::Value>| {
        raw.callback
            .as_ref()
            .is_some_and(|callback| get(callback).is_some())
    };
    let refused = |key, instead| Err(ConfigError::Refused { key, instead });
    if says(&raw.websocket, "url") {
        return refused(
            "websocket.url",
            "write coordinator.address and coordinator.id, which a node dials over QUIC",
        );
    }
    if callback(|callback| &callback.policy) || callback(|callback| &callback.check_policy) {
        let instead =
            "write the entry under policy.plugins instead of `callback` and give it a `scope`";
        return refused("callback.policy", instead);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{parse, refusal};

    fn notes(text: &str) -> Vec<String> {
        parse(text).unwrap().notes
    }

    #[test]
    fn a_file_without_foreign_sections_has_no_notes() {
        assert!(notes("{}\n").is_empty());
    }

    #[test]
    fn an_environment_is_ignored_with_a_note() {
        let told = notes("env: production\n");
        assert!(
            told.len() == 1 && told[0].starts_with("env is ignored: "),
            "{told:?}"
        );
        assert!(told[0].contains("coordinator.address"), "{told:?}");
    }

    #[test]
    fn its_log_file_is_written_here_too() {
        let config = parse(
            "log: {file: {enable: true, level: warn, filename: logs/a.log, maxsize: 5, max_backups: 3}}\n",
        )
        .unwrap();
        assert!(config.notes.is_empty());
        let file = config.log.file.unwrap();
        assert_eq!(file.path, std::path::Path::new("/base/logs/a.log"));
        assert_eq!((file.limit, file.backups), (5 << 20, 3));
        assert_eq!(file.output.level, tracing::Level::WARN);
    }

    #[test]
    fn a_relay_is_refused_with_what_takes_its_place() {
        let told = refusal("websocket: {url: 'wss://relay.example/'}\n");
        assert_eq!(
            told,
            "websocket.url cannot be honoured here; write coordinator.address and coordinator.id, which a node dials over QUIC"
        );
    }

    #[test]
    fn a_websocket_section_that_names_no_relay_is_accepted() {
        for nothing in ["", "{}", "{url: }", "{url: ''}"] {
            assert!(notes(&format!("websocket: {nothing}\n")).is_empty());
        }
    }

    /// Ignoring one would leave out a check that the operator relied on.
    #[test]
    fn policies_of_callbacks_are_refused_and_never_ignored() {
        for key in ["policy", "check_policy"] {
            for value in ["{}", "false", "any"] {
                let told = refusal(&format!("callback: {{{key}: {value}}}\n"));
                assert_eq!(
                    told,
                    "callback.policy cannot be honoured here; write the entry under policy.plugins instead of `callback` and give it a `scope`"
                );
            }
        }
    }
}
