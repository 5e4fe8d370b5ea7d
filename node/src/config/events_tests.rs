//! Receivers of events, and the shorthand for them.

use super::*;
use crate::config::tests::{assert_bounds, refusal};

fn expanded(text: &str) -> Result<Vec<ReceiverEntry>, ConfigError> {
    let section = RawEvents {
        receivers: entries(&countersign_strict::yaml(text).unwrap())?,
    };
    receivers(section, Path::new("."))
}

#[test]
fn the_shorthand_becomes_a_receiver_for_each_server() {
    let entries = expanded(
        "server:\n  - url: https://a.example/v2/event\n  - { url: 'https://b.example/e?x=1', retry_times: 0, \
         sleep_seconds: 5, request_timeout: 3, event_types: [request.keygen.failed], monitor_interval: 5m }\n\
         event_types: [request.keysign.created, request.keysign.succeeded]\n",
    )
    .unwrap();
    let names: Vec<_> = entries
        .iter()
        .map(|entry| entry.plugin.name.as_str())
        .collect();
    assert_eq!(names, ["jwt-events:1", "jwt-events:2"]);
    assert_eq!(
        (entries[0].retry_times, entries[0].pause),
        (Some(60), Duration::from_secs(60))
    );
    assert_eq!(entries[0].wanted.len(), 2);
    assert_eq!(
        (entries[1].retry_times, entries[1].pause),
        (None, Duration::from_secs(5))
    );
    assert_eq!(entries[1].wanted.len(), 1);
    assert_eq!(entries[1].plugin.grants.http, ["https://b.example/e"]);
    assert_eq!(entries[1].plugin.grants.keys, ["event"]);
    assert_eq!(entries[1].plugin.grants.wall_ms, Some(8_000));
    assert_eq!(
        entries[1].plugin.monitor_interval,
        Some(Duration::from_secs(300))
    );
}

#[test]
fn without_types_nothing_is_sent() {
    let entries =
        expanded("server: [{ url: 'https://a.example' }]\nevent_types:\nproxy:\n").unwrap();
    assert!(entries[0].wanted.is_empty());
    assert!(expanded("server:\n").unwrap().is_empty());
}

#[test]
fn a_proxy_and_unknown_types_are_refused() {
    let proxy = expanded("server: [{ url: 'https://a.example' }]\nproxy: http://proxy:8080\n");
    assert!(matches!(
        proxy,
        Err(ConfigError::Refused {
            key: "event.proxy",
            ..
        })
    ));
    let proxy = expanded("server: [{ url: 'https://a.example', proxy: 'http://proxy:8080' }]\n");
    assert!(matches!(proxy, Err(ConfigError::Refused { .. })));
    let unknown =
        expanded("server: [{ url: 'https://a.example' }]\nevent_types: [request.keysign.done]\n");
    assert!(matches!(unknown, Err(ConfigError::EventType(name)) if name == "request.keysign.done"));
}

/// The receivers of a whole file.
fn configured(text: &str) -> Vec<ReceiverEntry> {
    match crate::config::tests::parse(text) {
        Ok(config) => config.receivers,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn two_receivers_of_one_name_are_refused() {
    let told = refusal("events: {receivers: [{name: a}, {name: a, file: b.wasm}]}\n");
    assert_eq!(told, "`a` appears twice under events.receivers; remove one");
}

#[test]
fn a_receiver_with_the_name_that_a_shorthand_takes_is_refused() {
    let told = refusal(
        "event: {server: [{url: 'https://a/'}]}\nevents: {receivers: [{name: 'jwt-events:1'}]}\n",
    );
    assert!(told.starts_with("`jwt-events:1` appears twice"), "{told}");
}

#[test]
fn receivers_of_the_shorthand_stand_in_front() {
    let receivers =
        configured("event: {server: [{url: 'https://a/'}]}\nevents: {receivers: [{name: mine}]}\n");
    let names: Vec<_> = receivers.iter().map(|entry| &entry.plugin.name).collect();
    assert_eq!(names, ["jwt-events:1", "mine"]);
}

#[test]
fn the_event_key_may_be_granted_to_a_receiver_and_the_callback_key_never() {
    let granted = configured("events: {receivers: [{name: a, grants: {keys: [event]}}]}\n");
    assert_eq!(granted[0].plugin.grants.keys, ["event"]);
    let told = refusal("events: {receivers: [{name: a, grants: {keys: [event, callback]}}]}\n");
    assert!(
        told.starts_with("receiver `a` is granted the key `callback`, which only signs"),
        "{told}"
    );
}

#[test]
fn attempts_to_deliver_are_a_second_to_a_day_apart() {
    assert_bounds("events.receivers.sleep_seconds", 1, 86_400, |value| {
        format!("events: {{receivers: [{{name: a, sleep_seconds: {value}}}]}}\n")
    });
}

#[test]
fn zero_retries_mean_without_limit() {
    let receivers = configured(
        "events: {receivers: [{name: a, retry_times: 0}, {name: b, retry_times: 1}, {name: c}]}\n",
    );
    let retries: Vec<_> = receivers.iter().map(|entry| entry.retry_times).collect();
    assert_eq!(retries, [None, Some(1), Some(60)]);
}

#[test]
fn the_component_of_a_receiver_is_sought_from_the_configuration_file() {
    let receivers = configured("events: {receivers: [{name: a, file: a.wasm}]}\n");
    let expected = crate::config::Component::File("/base/a.wasm".into());
    assert_eq!(receivers[0].plugin.component, expected);
}

#[test]
fn a_receiver_guards_nothing_and_is_never_a_shadow() {
    for key in [
        "scope: {}",
        "shadow: true",
        "shadows: a",
        "config_file: c.yaml",
    ] {
        let told = refusal(&format!("events: {{receivers: [{{name: a, {key}}}]}}\n"));
        assert!(told.contains("there is no key"), "{told}");
    }
}

#[test]
fn a_shorthand_without_a_server_is_noted_with_what_to_add() {
    let config = crate::config::tests::parse("event: {server: }\n").unwrap();
    assert_eq!(
        config.notes,
        ["event lists no server, so no events are sent; add one under event.server"]
    );
    assert_eq!(config.expansion, None);
}

#[test]
fn a_server_with_types_of_its_own_needs_none_of_the_shorthand() {
    let server = "{url: 'https://a/', event_types: [request.keygen.failed]}";
    let config = crate::config::tests::parse(&format!("event: {{server: [{server}]}}\n")).unwrap();
    assert!(config.notes.is_empty(), "{:?}", config.notes);
}

#[test]
fn a_server_inherits_what_it_does_not_override() {
    let receivers = expanded(
        "server: [{url: 'https://a/'}, {url: 'https://b/', token_expire_minutes: 9, request_timeout: 8}]\n\
         token_expire_minutes: 3\nrequest_timeout: 4\n",
    )
    .unwrap();
    let config = |receiver: &ReceiverEntry| match &receiver.plugin.source {
        crate::config::PluginConfig::Inline(config) => config.clone(),
        other => panic!("{other:?}"),
    };
    let first = json!({ "url": "https://a/", "token_expire_minutes": 3, "request_timeout": 4 });
    let second = json!({ "url": "https://b/", "token_expire_minutes": 9, "request_timeout": 8 });
    assert_eq!([&receivers[0], &receivers[1]].map(config), [first, second]);
}

#[test]
fn a_delivery_has_time_for_its_request_however_long_that_is() {
    let receivers = expanded(&format!(
        "server: [{{url: 'https://a/'}}]\nrequest_timeout: {}\n",
        u64::MAX
    ))
    .unwrap();
    assert_eq!(receivers[0].plugin.grants.wall_ms, Some(u64::MAX));
}

#[test]
fn a_grant_covers_the_url_without_query_and_fragment() {
    let receivers =
        expanded("server: [{url: 'https://a/e#x'}, {url: 'https://b/e?x=1#y'}]\n").unwrap();
    let http: Vec<_> = receivers
        .iter()
        .flat_map(|receiver| &receiver.plugin.grants.http)
        .collect();
    assert_eq!(http, ["https://a/e", "https://b/e"]);
}
