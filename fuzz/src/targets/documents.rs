//! YAML and JSON written by people, and the node's configuration file.

use std::path::Path;

use countersign_node::config::Config;
use countersign_protocol::{Hash, KeyId};
use serde_json::Value;

use super::people;

/// A document has one meaning or is refused.
pub(super) fn run(input: &[u8]) -> bool {
    if let Ok(value) = countersign_strict::json::<Value>(input) {
        let elsewhere: Value =
            serde_json::from_slice(input).expect("what is read strictly is read by everybody");
        assert_eq!(value, elsewhere, "two readers of JSON read two documents");
    }
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    let Ok(value) = countersign_strict::yaml::<Value>(text) else {
        return false;
    };
    let written = serde_json::to_string(&value).expect("plain data");
    let again = countersign_strict::yaml::<Value>(&written).expect("JSON is YAML");
    assert_eq!(value, again, "written as JSON it means something else");
    if let Ok(elsewhere) = serde_norway::from_str::<Value>(text) {
        assert_eq!(value, elsewhere, "two readers of YAML read two documents");
    }
    true
}

/// The configuration of a node. Reads nothing but the text.
pub(super) fn node_config(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    let base = Path::new("/nonexistent");
    match Config::parse(text, base) {
        Ok(config) => {
            assert!(config.dir.starts_with(base) || config.dir.is_absolute());
            assert_eq!(config.source.text, text);
            let again = Config::parse(text, base).expect("what was read is read");
            assert_eq!(again.digest(), config.digest());
            // A shorthand stands for sections that the file can also have.
            if let Some(expansion) = &config.expansion {
                countersign_strict::yaml::<Value>(expansion)
                    .expect("what is shown to people can be read");
            }
            let _ = config.check_complete();
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        include_str!("../../../docs/rules.yaml"),
        "a: [1, -2, 3.5, 0x10, 0o7, true, null, ~, \"x\\u00e9\", 'it''s', yes]\nb: {c: |\n  two\n  lines\n}\n",
        "- &a {x: 1}\n- *a\n",
        "? complex\n: value\n",
        "%YAML 1.2\n---\n!!str 12\n...\n",
        r#"{"a": [1, 18446744073709551616, 1e400, -0.0], "b": {"a": "\ud83d\ude00"}, "a": 2}"#,
        "text: >-\n  folded\n\n  twice\nnumber: 007\ntime: 12:30:45\ndate: 2026-01-01\n",
    ];
    let files = [
        &include_bytes!("../../../payload/fixtures/eip712-extra_top_level.json")[..],
        include_bytes!("../../../recover/tests/fixtures/ed25519-v1-0.json"),
    ];
    texts
        .into_iter()
        .map(str::as_bytes)
        .chain(files)
        .map(<[u8]>::to_vec)
        .collect()
}

pub(super) fn node_config_seeds() -> Vec<Vec<u8>> {
    let people = people::nodes()
        .into_iter()
        .zip(["bank", "auditor", "self"])
        .map(|(id, name)| format!("  - {{name: {name}, id: {id}}}\n"));
    let whole = include_str!("node.yaml")
        .replace("REQUESTER", &people::requester().to_string())
        .replace("COORDINATOR", &people::coordinator().to_string())
        .replace("KEY", &KeyId::of_task(&Hash([6; 32])).to_string())
        .replace("ROSTER\n", &people.collect::<String>());
    let init = countersign_node::config::EXAMPLE;
    let texts = [
        &whole,
        init,
        include_str!("brought.yaml"),
        "policy: {allow_unguarded: true}\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}
