//! The section `policy`, and the entries of plugins.

use countersign_protocol::{OperationKind, Scheme};

use super::*;
use crate::config::tests::{assert_bounds, parse, refusal};

fn policy(text: &str) -> Policy {
    match parse(&format!("policy: {text}\n")) {
        Ok(config) => config.policy,
        Err(error) => panic!("{error}"),
    }
}

fn refused(text: &str) -> String {
    refusal(&format!("policy: {text}\n"))
}

fn entry(text: &str) -> PluginEntry {
    let mut plugins = policy(&format!("{{plugins: [{text}]}}")).plugins;
    plugins.remove(0)
}

fn refused_entry(text: &str) -> String {
    refused(&format!("{{plugins: [{text}]}}"))
}

#[test]
fn an_absent_policy_has_the_documented_values_and_demands_custody() {
    let policy = parse("{}\n").unwrap().policy;
    assert_eq!(policy.deadline, Duration::from_secs(60));
    assert_eq!(policy.plugin_dir, Path::new("/base/plugins"));
    assert_eq!(policy.custody, Custody::Operator);
    assert_eq!((policy.ca_file, policy.allow_unguarded), (None, false));
}

#[test]
fn a_component_is_compiled_within_the_documented_limits() {
    let compile = policy("{}").compile;
    assert_eq!(compile.component_bytes, 32 << 20);
    assert_eq!((compile.cpu_seconds, compile.wall_seconds), (60, 120));
    assert_eq!(compile.memory_bytes, 2 << 30);
    let other = policy("{compile: {cpu_seconds: 7}}").compile;
    assert_eq!((other.cpu_seconds, other.wall_seconds), (7, 120));
}

#[test]
fn a_plugin_has_little_to_spend_unless_more_is_granted() {
    let grants = entry("{name: a}").grants;
    assert_eq!((grants.cpu_ms, grants.memory_bytes), (200, 32 << 20));
    assert_eq!((grants.state_bytes, grants.wall_ms), (0, None));
    assert!(grants.keys.is_empty() && grants.http.is_empty());
}

/// Authors try plugins out with the default policy; a node must not.
#[test]
fn the_policy_of_authors_reads_any_file_and_is_not_allowed_to_run_unguarded() {
    let policy = Policy::default();
    assert_eq!(policy.custody, Custody::Anyone);
    assert!(matches!(
        policy.check_guarded(),
        Err(ConfigError::Unguarded)
    ));
}

#[test]
fn plugins_answer_within_a_second_to_a_day() {
    assert_bounds("policy.deadline_seconds", 1, 86_400, |value| {
        format!("policy: {{deadline_seconds: {value}}}\n")
    });
}

#[test]
fn every_file_of_the_policy_is_sought_from_the_configuration_file() {
    let policy =
        policy("{public_keys: {a: a.pem}, secrets: {s: s.key}, ca_file: ca.pem, plugin_dir: wasm}");
    assert_eq!(policy.public_keys["a"], Path::new("/base/a.pem"));
    assert_eq!(policy.secrets["s"], Path::new("/base/s.key"));
    assert_eq!(policy.ca_file, Some("/base/ca.pem".into()));
    assert_eq!(policy.plugin_dir, Path::new("/base/wasm"));
}

#[test]
fn an_absolute_path_of_the_policy_stays_as_it_is() {
    let policy = policy("{public_keys: {a: /k/a.pem}, ca_file: /k/ca.pem, plugin_dir: /p}");
    assert_eq!(policy.public_keys["a"], Path::new("/k/a.pem"));
    assert_eq!(policy.ca_file, Some("/k/ca.pem".into()));
    assert_eq!(policy.plugin_dir, Path::new("/p"));
}

#[test]
fn the_files_of_an_entry_are_sought_from_the_configuration_file() {
    let entry = entry("{name: a, file: a.wasm, config_file: a.yaml}");
    assert_eq!(entry.component, Component::File("/base/a.wasm".into()));
    assert_eq!(entry.source, PluginConfig::File("/base/a.yaml".into()));
}

#[test]
fn an_entry_without_configuration_has_an_empty_one() {
    let empty = PluginConfig::Inline(serde_json::json!({}));
    assert_eq!(entry("{name: a}").source, empty);
    let given = PluginConfig::Inline(serde_json::json!({ "max": 3 }));
    assert_eq!(entry("{name: a, config: {max: 3}}").source, given);
}

#[test]
fn an_entry_with_two_configurations_is_refused_by_name() {
    let told = refused_entry("{name: a, config: {}, config_file: a.yaml}");
    assert_eq!(
        told,
        "plugin `a` has both `config` and `config_file`; keep one of them"
    );
}

#[test]
fn an_entry_with_two_components_is_refused_by_name() {
    let told = refused_entry("{name: a, file: a.wasm, installed: b}");
    assert_eq!(
        told,
        "plugin `a` has both `file` and `installed`; keep one of them"
    );
}

#[test]
fn a_label_follows_the_first_colon_of_a_name() {
    let component = entry("{name: 'rules:night:1'}").component;
    assert_eq!(component, Component::Installed("rules".into()));
}

#[test]
fn one_component_may_have_several_entries_under_different_labels() {
    let both = policy("{plugins: [{name: 'rules:a'}, {name: 'rules:b'}]}");
    let names: Vec<_> = both.plugins.iter().map(|entry| &entry.name).collect();
    assert_eq!(names, ["rules:a", "rules:b"]);
}

#[test]
fn two_entries_of_one_name_are_refused() {
    let told = refused("{plugins: [{name: rules}, {name: rules, installed: other}]}");
    assert_eq!(
        told,
        "`rules` appears twice under policy.plugins; remove one"
    );
}

/// A grant names a key without its kind.
#[test]
fn a_public_key_and_a_secret_of_one_name_are_refused() {
    let told = refused("{public_keys: {a: a.pem}, secrets: {a: a.key}}");
    assert_eq!(
        told,
        "`a` appears twice under policy.public_keys and policy.secrets; remove one"
    );
}

#[test]
fn the_callback_key_may_be_granted_to_a_plugin_and_the_event_key_never() {
    assert_eq!(
        entry("{name: a, grants: {keys: [callback]}}").grants.keys,
        ["callback"]
    );
    let told = refused_entry("{name: a, shadow: true, grants: {keys: [event]}}");
    assert!(
        told.starts_with("plugin `a` is granted the key `event`, which only signs events"),
        "{told}"
    );
    assert!(told.ends_with("take it out of grants.keys"), "{told}");
}

#[test]
fn a_digest_is_the_64_digits_of_sha256() {
    let digest = |hex: &str| format!("{{name: a, digest: 'sha256:{hex}'}}");
    let pinned = entry(&digest(&"0f".repeat(32))).digest;
    assert_eq!(pinned, Some([0x0f; 32]));
    assert_eq!(entry("{name: a}").digest, None);
}

#[test]
fn a_digest_that_is_not_whole_is_refused_and_never_ignored() {
    let short = format!("sha256:{}", "0".repeat(62));
    let odd = format!("sha256:{}", "0".repeat(63));
    let long = format!("sha256:{}", "0".repeat(66));
    let letter = format!("sha256:{}g", "0".repeat(63));
    let bare = "0".repeat(64);
    let other = format!("sha512:{bare}");
    for text in [&short, &odd, &long, &letter, &bare, &other, ""] {
        let told = refused_entry(&format!("{{name: a, digest: '{text}'}}"));
        let expected = format!(
            "the digest of plugin `a` is `{text}`; write sha256: and 64 hexadecimal digits, as sha256sum prints them"
        );
        assert_eq!(told, expected);
    }
}

#[test]
fn a_publisher_is_trusted_under_its_key() {
    let policy = policy(&format!(
        "{{trusted_publishers: {{acme: '{}'}}}}",
        "ab".repeat(32)
    ));
    assert_eq!(policy.trusted_publishers["acme"], [0xab; 32]);
}

#[test]
fn a_publishers_key_that_is_not_whole_is_refused_by_name() {
    for text in ["ab".repeat(31), "ab".repeat(33), "xy".repeat(32)] {
        let told = refused(&format!("{{trusted_publishers: {{acme: '{text}'}}}}"));
        let expected = format!(
            "policy.trusted_publishers.acme is `{text}`; write the 64 hexadecimal digits that `plugin keygen` printed"
        );
        assert_eq!(told, expected);
    }
}

#[test]
fn dependencies_are_probed_once_a_second_at_most_and_never_if_not_wanted() {
    let every = |text: &str| entry(&format!("{{name: a, monitor_interval: '{text}'}}"));
    let interval = |text: &str| every(text).monitor_interval;
    assert_eq!(interval(""), None);
    assert_eq!(interval("1s"), Some(Duration::from_secs(1)));
    assert_eq!(interval("1000ms"), Some(Duration::from_secs(1)));
}

#[test]
fn an_interval_below_a_second_is_refused_by_name() {
    for text in ["999ms", "0", "0.999s", "-1s", "1"] {
        let told = refused_entry(&format!("{{name: a, monitor_interval: '{text}'}}"));
        let expected = format!(
            "monitor_interval of plugin `a` is `{text}`; write a duration of at least 1s, such as 30s, 5m or 1h"
        );
        assert_eq!(told, expected);
    }
}

#[test]
fn a_plugin_answers_within_the_policys_deadline_unless_it_has_its_own() {
    let policy =
        policy("{deadline_seconds: 7, plugins: [{name: a}, {name: b, grants: {wall_ms: 9}}]}");
    let limits = policy.plugins.iter().map(|entry| policy.wall_ms(entry));
    assert_eq!(limits.collect::<Vec<_>>(), [7_000, 9]);
}

#[test]
fn a_scope_lists_operations_keys_and_schemes() {
    let key = countersign_protocol::KeyId::from_bytes([1; 16]).unwrap();
    let entry = entry(&format!(
        "{{name: a, scope: {{operations: [keygen, keysharesign], keys: [{key}], schemes: [ed25519]}}}}"
    ));
    let operations = vec![OperationKind::KeyGen, OperationKind::KeyShareSign];
    let keys = vec![key];
    let schemes = vec![Scheme::Ed25519];
    let expected = RawScope {
        operations,
        keys,
        schemes,
    };
    assert_eq!(entry.scope, expected);
}

/// A scope that was misread would leave tasks unguarded.
#[test]
fn a_scope_with_an_unknown_name_is_refused() {
    for scope in [
        "{operations: [sign]}",
        "{operations: [KeySign]}",
        "{schemes: [ed448]}",
        "{keys: [k]}",
    ] {
        let told = refused_entry(&format!("{{name: a, scope: {scope}}}"));
        assert!(told.starts_with("line 1, column "), "{told}");
    }
}

#[test]
fn a_shadow_of_itself_is_refused() {
    let told = refused_entry("{name: a, shadows: a}");
    assert_eq!(
        told,
        "plugin `a` shadows `a`, which is not an entry under policy.plugins that decides; name one there, or use `shadow: true`, which is compared with all entries together, those of a policy bundle too"
    );
}

#[test]
fn a_shadow_of_a_shadow_is_refused() {
    for first in ["{name: b, shadow: true}", "{name: b, shadows: rules}"] {
        let told = refused(&format!(
            "{{plugins: [{{name: rules}}, {first}, {{name: c, shadows: b}}]}}"
        ));
        assert!(told.starts_with("plugin `c` shadows `b`"), "{told}");
    }
}

#[test]
fn a_shadow_that_names_an_entry_is_compared_with_that_entry_only() {
    let policy = policy("{plugins: [{name: rules}, {name: b, shadow: true, shadows: rules}]}");
    assert_eq!(
        policy.plugins[1].shadow,
        Some(Shadow::Entry("rules".into()))
    );
}

#[test]
fn shadows_alone_guard_nothing() {
    let shadows = policy("{plugins: [{name: a, shadow: true}]}");
    let error = shadows.check_guarded().unwrap_err().to_string();
    assert!(
        error.ends_with("(`init --rules` does), or write policy.allow_unguarded: true"),
        "{error}"
    );
    let allowed = policy("{allow_unguarded: true, plugins: [{name: a, shadow: true}]}");
    assert!(allowed.check_guarded().is_ok());
}
