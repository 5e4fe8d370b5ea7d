//! `events`, the receivers of events about tasks; and `event`, the shorthand
//! of the incumbent co-signer.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::duration::seconds;
use super::error::ConfigError;
use super::expanded::Expanded;
use super::policy::{PluginEntry, refuse_key};
use super::raw::RawConfig;
use super::raw_events::{RawEvent, RawEventServer, RawEvents, RawReceiver};
use super::raw_policy::{RawGrants, RawPlugin};
use crate::events::Wanted;
use crate::own_keys::{CALLBACK_KEY, EVENT_KEY};

/// Time that a delivery takes besides its request: signing, and waiting for the processor.
const SLACK_MS: u64 = 5_000;

/// A configured receiver of events.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceiverEntry {
    /// The component with its configuration and grants, as for a plugin.
    pub plugin: PluginEntry,
    /// The types of events that it receives.
    pub wanted: BTreeSet<Wanted>,
    /// Number of retries after the first attempt; unlimited if absent.
    pub retry_times: Option<u64>,
    /// Delay between two attempts to deliver an event.
    pub pause: Duration,
}

/// Returns all receivers, those of the shorthand first.
pub(super) fn expand(
    raw: &RawConfig,
    notes: &mut Vec<String>,
) -> Result<Expanded<RawEvents>, ConfigError> {
    let mut events = raw.events.clone();
    let entries = raw.event.as_ref().map(entries).transpose()?;
    if entries.as_ref().is_some_and(Vec::is_empty) {
        notes.push(
            "event lists no server, so no events are sent; add one under event.server".into(),
        );
    }
    let entries = entries.unwrap_or_default();
    if entries.iter().any(|entry| entry.event_types.is_empty()) {
        notes.push(
            "event: without event_types no events are sent to a server; list them under event.event_types".into(),
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
            "nodes do not use proxies; remove the key and let the node reach the receiver directly";
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

/// Converts and checks the entries of `events.receivers`.
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
    // Anything a receiver signed with it would pass for the node's question to an approval server.
    let of_callbacks = "which only signs requests to approval servers";
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

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
