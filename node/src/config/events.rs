//! `events`: who is told what becomes of tasks; and `event`, the shorthand of the co-signer that
//! operators come from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use super::error::ConfigError;
use super::policy::{PluginEntry, refuse_key};
use super::raw::RawConfig;
use super::raw_policy::{RawGrants, RawPlugin, is_default};
use super::seconds;
use super::shorthand::Expanded;
use crate::events::{EVENT_KEY, Wanted};
use crate::risk::CALLBACK_KEY;

/// What a delivery takes besides its request: signing, waiting for the processor.
const SLACK_MS: u64 = 5_000;

/// `events`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawEvents {
    /// Receivers, each with a state of its own.
    pub receivers: Vec<RawReceiver>,
}

/// An entry of `events.receivers`
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawReceiver {
    /// The name that the component gives itself, or that name, a colon and a label.
    pub name: String,
    /// The component. Absent: the installed one.
    #[serde(skip_serializing_if = "is_default")]
    pub file: Option<PathBuf>,
    /// Name under which the component is installed. Absent: `name` up to the colon.
    #[serde(skip_serializing_if = "is_default")]
    pub installed: Option<String>,
    /// SHA-256 of the component, `sha256:<64 hex>`. Absent: any component at that place.
    #[serde(skip_serializing_if = "is_default")]
    pub digest: Option<String>,
    /// Its configuration.
    #[serde(skip_serializing_if = "is_default")]
    pub config: Option<serde_json::Value>,
    /// What it may do. The key `event` is the node's event key.
    #[serde(default, skip_serializing_if = "is_default")]
    pub grants: RawGrants,
    /// Which events it is sent, such as `request.keysign.succeeded`. Empty: none.
    #[serde(default)]
    pub event_types: Vec<String>,
    /// Further tries after the first; 0: for ever.
    #[serde(default = "sixty", skip_serializing_if = "is_sixty")]
    pub retry_times: u64,
    /// Pause between tries of the same event.
    #[serde(default = "sixty", skip_serializing_if = "is_sixty")]
    pub sleep_seconds: u64,
    /// How often it is pinged, such as `10s`, `5m` or `1h`. Empty: never.
    #[serde(default, skip_serializing_if = "is_default")]
    pub monitor_interval: String,
}

/// `event`: the shorthand.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawEvent {
    /// Receivers. Every key of the section may be written here too, for one of them.
    #[serde(deserialize_with = "empty_if_null")]
    pub server: Vec<RawEventServer>,
    /// Which events are sent. Empty: none.
    #[serde(deserialize_with = "empty_if_null")]
    pub event_types: Vec<String>,
    /// Life of a token.
    pub token_expire_minutes: u64,
    /// Further tries after the first; 0: for ever.
    pub retry_times: u64,
    /// Pause between tries.
    pub sleep_seconds: u64,
    /// Limit of one try, in seconds.
    pub request_timeout: u64,
    /// Refused: there are no proxies.
    #[serde(deserialize_with = "empty_if_null")]
    pub proxy: String,
    /// How often each server is pinged. Empty: never.
    #[serde(deserialize_with = "empty_if_null")]
    pub monitor_interval: String,
}

impl Default for RawEvent {
    fn default() -> Self {
        Self {
            server: Vec::new(),
            event_types: Vec::new(),
            token_expire_minutes: 2,
            retry_times: 60,
            sleep_seconds: 60,
            request_timeout: 10,
            proxy: String::new(),
            monitor_interval: String::new(),
        }
    }
}

/// An entry of `event.server`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawEventServer {
    /// Whole URL.
    pub url: String,
    /// Instead of `event.event_types`.
    pub event_types: Option<Vec<String>>,
    /// Instead of `event.token_expire_minutes`.
    pub token_expire_minutes: Option<u64>,
    /// Instead of `event.retry_times`.
    pub retry_times: Option<u64>,
    /// Instead of `event.sleep_seconds`.
    pub sleep_seconds: Option<u64>,
    /// Instead of `event.request_timeout`.
    pub request_timeout: Option<u64>,
    /// Refused: there are no proxies.
    pub proxy: Option<String>,
    /// Instead of `event.monitor_interval`.
    pub monitor_interval: Option<String>,
}

/// A receiver as it is meant.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceiverEntry {
    /// Component, configuration and grants, as of a plugin.
    pub plugin: PluginEntry,
    /// Which events it is sent.
    pub wanted: BTreeSet<Wanted>,
    /// Further tries after the first; `None`: for ever.
    pub retry_times: Option<u64>,
    /// Pause between tries of the same event.
    pub pause: Duration,
}

/// All receivers, those of the shorthand first.
pub(super) fn expand(
    raw: &RawConfig,
    notes: &mut Vec<String>,
) -> Result<Expanded<RawEvents>, ConfigError> {
    let mut events = raw.events.clone();
    let entries = raw.event.as_ref().map(entries).transpose()?;
    if entries.as_ref().is_some_and(Vec::is_empty) {
        notes.push(
            "event lists no server, so nobody is told anything; add one under event.server".into(),
        );
    }
    let entries = entries.unwrap_or_default();
    if entries.iter().any(|entry| entry.event_types.is_empty()) {
        notes.push(
            "event: without event_types a server is told nothing; list them under event.event_types".into(),
        );
    }
    let expanded = !entries.is_empty();
    events.receivers.splice(..0, entries);
    Ok(Expanded {
        section: events,
        expanded,
    })
}

fn entries(event: &RawEvent) -> Result<Vec<RawReceiver>, ConfigError> {
    let proxied = event
        .server
        .iter()
        .any(|server| server.proxy.as_ref().is_some_and(|proxy| !proxy.is_empty()));
    if proxied || !event.proxy.is_empty() {
        let instead =
            "nodes use no proxies; remove the key and let the node reach the receiver directly";
        return Err(ConfigError::Refused {
            key: "event.proxy",
            instead,
        });
    }
    let servers = event.server.iter().enumerate();
    Ok(servers
        .map(|(index, server)| expand_server(event, index + 1, server))
        .collect())
}

fn expand_server(event: &RawEvent, number: usize, server: &RawEventServer) -> RawReceiver {
    let timeout = server.request_timeout.unwrap_or(event.request_timeout);
    let grants = RawGrants {
        keys: vec![EVENT_KEY.into()],
        http: vec![
            server
                .url
                .split(['?', '#'])
                .next()
                .unwrap_or_default()
                .into(),
        ],
        wall_ms: Some(timeout.saturating_mul(1000).saturating_add(SLACK_MS)),
        ..RawGrants::default()
    };
    RawReceiver {
        name: format!("jwt-events:{number}"),
        file: None,
        installed: None,
        digest: None,
        config: Some(json!({
            "url": server.url,
            "token_expire_minutes": server.token_expire_minutes.unwrap_or(event.token_expire_minutes),
            "request_timeout": timeout,
        })),
        grants,
        event_types: server
            .event_types
            .clone()
            .unwrap_or_else(|| event.event_types.clone()),
        retry_times: server.retry_times.unwrap_or(event.retry_times),
        sleep_seconds: server.sleep_seconds.unwrap_or(event.sleep_seconds),
        monitor_interval: server
            .monitor_interval
            .clone()
            .unwrap_or_else(|| event.monitor_interval.clone()),
    }
}

/// Receivers as they are meant.
pub(super) fn receivers(raw: RawEvents, base: &Path) -> Result<Vec<ReceiverEntry>, ConfigError> {
    let mut names = BTreeSet::new();
    if let Some(twice) = raw
        .receivers
        .iter()
        .find(|receiver| !names.insert(&receiver.name))
    {
        return Err(ConfigError::Duplicate {
            section: "events.receivers",
            name: twice.name.clone(),
        });
    }
    raw.receivers
        .into_iter()
        .map(|raw| receiver(raw, base))
        .collect()
}

fn receiver(raw: RawReceiver, base: &Path) -> Result<ReceiverEntry, ConfigError> {
    let wanted = raw.event_types.iter().map(|name| {
        name.parse()
            .map_err(|_| ConfigError::EventType(name.clone()))
    });
    let wanted = wanted.collect::<Result<_, _>>()?;
    // What a receiver could sign with it would pass for the node's question to an approval server.
    let of_callbacks = "which signs what approval servers are asked and nothing else";
    refuse_key(
        "receiver",
        &raw.name,
        &raw.grants,
        CALLBACK_KEY,
        of_callbacks,
    )?;
    let pause = seconds("events.receivers.sleep_seconds", raw.sleep_seconds)?;
    let plugin = RawPlugin {
        file: raw.file,
        installed: raw.installed,
        digest: raw.digest,
        config: raw.config,
        grants: raw.grants,
        monitor_interval: raw.monitor_interval,
        ..RawPlugin::named(&raw.name)
    };
    Ok(ReceiverEntry {
        plugin: PluginEntry::from_raw(plugin, base)?,
        wanted,
        retry_times: (raw.retry_times > 0).then_some(raw.retry_times),
        pause,
    })
}

/// A key whose value is left out stands for nothing, as in the files that are brought along.
fn empty_if_null<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

fn sixty() -> u64 {
    60
}

fn is_sixty(value: &u64) -> bool {
    *value == 60
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let proxy =
            expanded("server: [{ url: 'https://a.example', proxy: 'http://proxy:8080' }]\n");
        assert!(matches!(proxy, Err(ConfigError::Refused { .. })));
        let unknown = expanded(
            "server: [{ url: 'https://a.example' }]\nevent_types: [request.keysign.done]\n",
        );
        assert!(
            matches!(unknown, Err(ConfigError::EventType(name)) if name == "request.keysign.done")
        );
    }
}
