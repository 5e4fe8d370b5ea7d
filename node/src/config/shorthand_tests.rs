//! The shorthands for plugins.

use super::*;
use crate::config::tests::{parse, refusal};
use crate::config::{Config, PluginConfig, PluginEntry};

const SERVER: &str = "{service_address: 'https://a/check', pubkey_path: a.pem}";

fn config(text: &str) -> Config {
    parse(text).unwrap()
}

fn names(config: &Config) -> Vec<&str> {
    let plugins = config.policy.plugins.iter();
    plugins.map(|plugin| plugin.name.as_str()).collect()
}

fn document(entry: &PluginEntry) -> &Value {
    match &entry.source {
        PluginConfig::Inline(document) => document,
        other => panic!("{other:?}"),
    }
}

/// A callback with one server and these keys.
fn callback(keys: &str) -> Config {
    config(&format!("callback: {{cb_server_v2: [{SERVER}]{keys}}}\n"))
}

fn asked(config: &Config) -> &PluginEntry {
    let entry = config.policy.plugins.iter();
    entry
        .rev()
        .find(|plugin| plugin.name == "jwt-callback")
        .expect("it is there")
}

fn of_deadline(config: &Config) -> Option<&String> {
    let mut notes = config.notes.iter();
    notes.find(|note| note.contains("policy.deadline_seconds"))
}

#[test]
fn a_file_without_shorthands_has_no_expansion() {
    let config = config("policy: {plugins: [{name: mine}]}\n");
    assert_eq!(names(&config), ["mine"]);
    assert_eq!(config.expansion, None);
}

#[test]
fn rules_that_are_turned_on_may_remember_a_mebibyte() {
    let config = config("embedded_risk_control_rules: {enable: true}\n");
    let rules = &config.policy.plugins[0];
    assert_eq!(
        (rules.name.as_str(), rules.grants.state_bytes),
        ("rules", 1 << 20)
    );
    assert!(config.notes.is_empty(), "{:?}", config.notes);
}

#[test]
fn rules_without_a_switch_are_off_and_noted() {
    let config = config("embedded_risk_control_rules: {enable: }\n");
    assert!(config.policy.plugins.is_empty());
    assert_eq!(
        config.notes,
        [
            "embedded_risk_control_rules.enable is false: the embedded rules are not evaluated; write true to turn them on"
        ]
    );
}

#[test]
fn a_switch_that_is_neither_true_nor_false_is_refused() {
    for section in [
        "{enable: 1}",
        "{enable: 'true'}",
        "{enable: []}",
        "[]",
        "on",
    ] {
        let told = refusal(&format!("embedded_risk_control_rules: {section}\n"));
        assert_eq!(
            told,
            "embedded_risk_control_rules.enable must be true or false; correct it"
        );
    }
}

#[test]
fn a_key_without_a_value_is_left_out_at_any_depth_but_under_key_sign() {
    let tree = json!({
        "a": null,
        "b": [{ "c": null, "d": 1 }],
        "key_sign": { "e": null },
    });
    let expected = json!({ "b": [{ "d": 1 }], "key_sign": { "e": null } });
    assert_eq!(without_nulls(&tree), expected);
}

#[test]
fn a_callback_without_a_server_asks_nobody_and_is_noted() {
    let config = config("callback: {cb_server: , retry_times: 3}\n");
    assert!(config.policy.plugins.is_empty());
    assert_eq!(
        config.notes,
        [
            "callback lists no server, so no approval is requested; add one under callback.cb_server_v2"
        ]
    );
    assert_eq!(config.expansion, None);
}

#[test]
fn a_key_that_has_the_name_of_a_callback_servers_is_refused() {
    let told = refusal(&format!(
        "callback: {{cb_server_v2: [{SERVER}]}}\npolicy: {{public_keys: {{callback-v2-1: b.pem}}}}\n"
    ));
    assert_eq!(
        told,
        "`callback-v2-1` appears twice under policy.public_keys; remove one"
    );
}

/// An answer of one server must not verify under the key of another.
#[test]
fn every_server_is_verified_with_its_own_key() {
    let config = config(
        "callback: {cb_server: [{service_address: 'https://a/1', pubkey_path: a.pem}, \
         {service_address: 'https://b/1', pubkey_path: b.pem}], \
         cb_server_v2: [{service_address: 'https://c/2', pubkey_path: c.pem}]}\n",
    );
    let servers = document(asked(&config))["servers"].as_array().unwrap();
    let key = |server: &Value| config.policy.public_keys[server["key"].as_str().unwrap()].clone();
    let keys: Vec<_> = servers.iter().map(key).collect();
    let expected = ["a", "b", "c"].map(|name| Path::new("/base").join(format!("{name}.pem")));
    assert_eq!(keys, expected);
    let versions: Vec<_> = servers.iter().map(|server| &server["version"]).collect();
    assert_eq!(versions, ["v1", "v1", "v2"]);
}

#[test]
fn a_grant_is_the_address_without_query_and_fragment_once() {
    let config = config(
        "callback: {cb_server: [{service_address: 'https://a/c?x=1', pubkey_path: a.pem}, \
         {service_address: 'https://a/c#y', pubkey_path: a.pem}]}\n",
    );
    assert_eq!(asked(&config).grants.http, ["https://a/c"]);
}

#[test]
fn all_settings_of_a_callback_reach_the_plugin() {
    let config = callback(
        ", token_expire_minutes: 7, retry_times: 1, sleep_seconds: 8, request_timeout: 9, monitor_interval: 5m",
    );
    let document = document(asked(&config));
    for (setting, value) in [
        ("token_expire_minutes", 7),
        ("retry_times", 1),
        ("sleep_seconds", 8),
        ("request_timeout", 9),
    ] {
        assert_eq!(document[setting], value, "{setting}");
    }
    let interval = asked(&config).monitor_interval;
    assert_eq!(interval.map(|every| every.as_secs()), Some(300));
}

#[test]
fn attempts_that_just_fit_the_deadline_are_not_noted() {
    let fits = callback(", retry_times: 1, request_timeout: 25, sleep_seconds: 10");
    assert_eq!(of_deadline(&fits), None, "25 + 10 + 25");
    let exceeds = callback(", retry_times: 1, request_timeout: 25, sleep_seconds: 11");
    let note = of_deadline(&exceeds).unwrap();
    assert!(note.contains("take 61 s"), "{note}");
    assert!(
        note.ends_with("raise policy.deadline_seconds to 61, or lower callback.retry_times"),
        "{note}"
    );
}

#[test]
fn a_callback_without_retries_takes_one_attempt() {
    let once = callback(", retry_times: 0, request_timeout: 60, sleep_seconds: 1000");
    assert_eq!(of_deadline(&once), None);
    assert_eq!(asked(&once).grants.wall_ms, Some(65_000));
}

#[test]
fn numbers_beyond_measure_are_noted_and_do_not_wrap() {
    let most = u64::MAX;
    let endless = callback(&format!(
        ", retry_times: {most}, request_timeout: {most}, sleep_seconds: {most}"
    ));
    assert_eq!(asked(&endless).grants.wall_ms, Some(most));
    let in_millis = most / 1_000 + 1;
    let long = callback(&format!(", retry_times: 0, request_timeout: {in_millis}"));
    assert_eq!(asked(&long).grants.wall_ms, Some(most));
    assert!(of_deadline(&endless).is_some());
}

#[test]
fn a_key_file_that_is_not_there_is_noted_and_one_that_is_there_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("callback: {{cb_server_v2: [{SERVER}]}}\n");
    let notes = || Config::parse(&text, dir.path()).unwrap().notes;
    let missing = dir.path().join("a.pem");
    let expected = format!(
        "callback: there is no file {}; pubkey_path is relative to the folder of the configuration file",
        missing.display()
    );
    assert_eq!(notes(), [expected]);
    std::fs::write(&missing, "").unwrap();
    assert!(notes().is_empty());
}

#[test]
fn a_shadow_and_rules_that_are_off_do_not_guard_check_ups() {
    let with = |rest: &str| config(&format!("callback: {{cb_server_v2: [{SERVER}]}}\n{rest}\n"));
    for rest in [
        "policy: {plugins: [{name: mine, shadow: true}]}",
        "policy: {plugins: [{name: mine, scope: {operations: [keysign]}}]}",
        "embedded_risk_control_rules: {enable: false}",
    ] {
        let config = with(rest);
        assert_eq!(names(&config)[0], "rules:check-ups", "{rest}");
    }
}

#[test]
fn a_plugin_for_check_ups_alone_makes_another_one_superfluous() {
    let config = config(&format!(
        "callback: {{cb_server_v2: [{SERVER}]}}\npolicy: {{plugins: [{{name: mine, scope: {{operations: [keysharesign]}}}}]}}\n"
    ));
    assert_eq!(names(&config), ["jwt-callback", "mine"]);
}

#[test]
fn the_printed_expansion_shows_only_sections_that_a_shorthand_contributed_to() {
    let rules =
        config("embedded_risk_control_rules: {enable: true}\nevents: {receivers: [{name: a}]}\n");
    let printed = rules.expansion.unwrap();
    assert!(
        printed.starts_with("policy:\n") && !printed.contains("events:"),
        "{printed}"
    );
}
