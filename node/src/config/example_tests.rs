//! The example is a configuration as it is, and as its comments say it can be filled in.

use std::path::Path;

use countersign_log::RawLog;
use countersign_protocol::{CoordinatorId, KeyId, NodeId, RequesterId};

use super::raw::{RawChains, RawCheckUp, RawJournal, RawLimits, RawPreflight};
use super::raw_callback::RawCallback;
use super::raw_events::{RawEvent, RawEvents, RawReceiver};
use super::raw_policy::{RawCompile, RawGrants, RawPolicy};
use super::*;

/// A valid point of the curve.
const POINT: [u8; 32] = [
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
    0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];

/// The example with these lines in force.
fn with(settings: &[&str]) -> String {
    let filled = |line: &str| match line.strip_prefix('#') {
        Some(setting) if settings.iter().any(|wanted| setting.trim() == *wanted) => {
            setting.to_owned()
        }
        _ => line.to_owned(),
    };
    let text: Vec<String> = EXAMPLE.lines().map(filled).collect();
    text.join("\n")
        .replace(
            "csc1...",
            &CoordinatorId::from_bytes(POINT).unwrap().to_string(),
        )
        .replace(
            "csr1...",
            &RequesterId::from_bytes(POINT).unwrap().to_string(),
        )
        .replace("csn1...", &NodeId::from_bytes(POINT).unwrap().to_string())
}

#[test]
fn the_example_lacks_only_what_the_operator_has_to_decide() {
    let config = Config::parse(EXAMPLE, Path::new("/base")).unwrap();
    assert_eq!(config.dir, Path::new("/base/db"));
    assert!(matches!(
        config.check_complete(),
        Err(ConfigError::Unguarded)
    ));
}

#[test]
fn the_example_is_complete_once_its_first_sections_are_filled_in() {
    let filled = with(&[
        "coordinator:",
        "address: coordinator.example.com:7443",
        "id: csc1...",
        "- name: treasury",
        "id: csr1...",
        "- name: bank",
        "id: csn1...",
        "- name: rules",
        "config_file: rules.yaml",
    ]);
    let config = Config::parse(&filled, Path::new("/base")).unwrap();
    config.check_complete().unwrap();
    assert_eq!(
        (
            config.requesters.len(),
            config.roster.len(),
            config.policy.plugins.len()
        ),
        (1, 1, 1)
    );
}

/// The section under `key`, an indented key, with all its settings in force.
fn section<T: serde::de::DeserializeOwned>(key: &str) -> T {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let text: Vec<&str> = EXAMPLE
        .lines()
        .map(|line| line.strip_prefix('#').unwrap_or(line))
        .skip_while(|line| *line != format!("{key}:"))
        .skip(1)
        .take_while(|line| indent(line) > indent(key))
        .collect();
    let id = KeyId::from_bytes([1; 16]).unwrap().to_string();
    let text = text.join("\n").replace("csk1...", &id);
    countersign_strict::yaml(&text).unwrap_or_else(|error| panic!("{key}: {error}"))
}

#[test]
fn the_values_of_the_example_are_the_defaults() {
    let same = |example: &dyn std::fmt::Debug, default: &dyn std::fmt::Debug| {
        assert_eq!(format!("{example:?}"), format!("{default:?}"));
    };
    same(
        &section::<RawPreflight>("preflight"),
        &RawPreflight::default(),
    );
    same(&section::<RawChains>("chains"), &RawChains::default());
    same(&section::<RawLimits>("limits"), &RawLimits::default());
    same(&section::<RawCheckUp>("check_up"), &RawCheckUp::default());
    same(&section::<RawJournal>("journal"), &RawJournal::default());
    let mut log = section::<RawLog>("log");
    let path = log.file.filename.take();
    assert_eq!(path, Some("logs/countersign-node.log".into()));
    assert_eq!(log, RawLog::default());
    same(&section::<RawCompile>("  compile"), &RawCompile::default());
    let policy = section::<RawPolicy>("policy");
    let usual = RawPolicy::default();
    same(&policy.allow_unguarded, &usual.allow_unguarded);
    same(&policy.deadline_seconds, &usual.deadline_seconds);
    same(&policy.plugin_dir, &usual.plugin_dir);
    let bundles = policy.bundles.as_ref().expect("the example has them");
    let fewest = "{name: a, publishers: [], needed: 1}";
    let usual_bundles: RawBundles = countersign_strict::yaml(fewest).unwrap();
    same(&bundles.delay, &usual_bundles.delay);
    same(&bundles.backtest_days, &usual_bundles.backtest_days);
    let [plugin] = &policy.plugins[..] else {
        panic!("an entry shows every key");
    };
    same(&plugin.shadow, &false);
    same(&plugin.monitor_interval, &String::new());
    same(&plugin.installed.as_ref(), &Some(&plugin.name));
    let limits = RawGrants {
        keys: Vec::new(),
        http: Vec::new(),
        wall_ms: None,
        ..plugin.grants.clone()
    };
    same(&limits, &RawGrants::default());
    let wall_ms = Some(usual.deadline_seconds * 1000);
    same(&plugin.grants.wall_ms, &wall_ms);
}

#[test]
fn the_values_of_the_examples_receivers_and_shorthands_are_the_defaults() {
    let same = |example: &dyn std::fmt::Debug, default: &dyn std::fmt::Debug| {
        assert_eq!(format!("{example:?}"), format!("{default:?}"));
    };
    let receivers = section::<RawEvents>("events").receivers;
    let [receiver] = &receivers[..] else {
        panic!("an entry shows every key");
    };
    let usual: RawReceiver = countersign_strict::yaml("name: a").unwrap();
    same(&receiver.retry_times, &usual.retry_times);
    same(&receiver.sleep_seconds, &usual.sleep_seconds);
    same(&receiver.monitor_interval, &usual.monitor_interval);
    let callback = RawCallback {
        cb_server: Vec::new(),
        cb_server_v2: Vec::new(),
        ..section("callback")
    };
    same(&callback, &RawCallback::default());
    let event: RawEvent = section("event");
    let usual = RawEvent::default();
    let server = event.server[0].clone();
    same(
        &server.token_expire_minutes,
        &Some(usual.token_expire_minutes),
    );
    same(&server.retry_times, &Some(usual.retry_times));
    same(&server.sleep_seconds, &Some(usual.sleep_seconds));
    same(&server.request_timeout, &Some(usual.request_timeout));
    same(&server.monitor_interval, &Some(&usual.monitor_interval));
    same(&server.proxy, &Some(&usual.proxy));
    let event = RawEvent {
        server: Vec::new(),
        ..event
    };
    same(&event, &usual);
}
