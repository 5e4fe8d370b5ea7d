//! Expands shorthands: `embedded_risk_control_rules` and `callback` become plugin entries, `event`
//! becomes receivers, all in front of the others. Nothing downstream knows about shorthands, and
//! `config check` shows their expansion.

use std::path::Path;

use countersign_protocol::OperationKind;
use serde_json::{Value, json};

use super::error::ConfigError;
use super::events;
use super::expanded::Expanded;
use super::raw::RawConfig;
use super::raw_callback::{RawCallback, RawCallbackServer};
use super::raw_events::RawEvents;
use super::raw_policy::{RawGrants, RawPlugin, RawPolicy, RawScope};
use crate::own_keys::CALLBACK_KEY;

/// Size in bytes of the embedded rules' durable state, for limits over time.
const RULES_STATE: u64 = 1 << 20;
/// Time that a callback takes besides its attempts: signing, verifying, waiting for the processor.
const CALLBACK_SLACK_MS: u64 = 5_000;

/// The sections with all shorthands expanded, and notes for the operator.
pub(super) struct Expansion {
    pub policy: Expanded<RawPolicy>,
    pub events: Expanded<RawEvents>,
    /// Notes of one sentence each.
    pub notes: Vec<String>,
}

impl Expansion {
    /// Returns the sections that contain expanded shorthands, as YAML; `None` if there are none.
    pub fn to_yaml(&self) -> Option<String> {
        #[derive(serde::Serialize)]
        struct Sections<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            policy: Option<&'a RawPolicy>,
            #[serde(skip_serializing_if = "Option::is_none")]
            events: Option<&'a RawEvents>,
        }
        let policy = self.policy.expanded.then_some(&self.policy.section);
        let events = self.events.expanded.then_some(&self.events.section);
        let sections = Sections { policy, events };
        (policy.is_some() || events.is_some()).then(|| {
            serde_norway::to_string(&sections).unwrap_or_else(|error| format!("# {error}\n"))
        })
    }
}

/// Expands the shorthands of `raw`. Relative paths start at the folder `base`.
pub(super) fn expand(raw: &RawConfig, base: &Path) -> Result<Expansion, ConfigError> {
    let mut policy = raw.policy.clone();
    let mut notes = Vec::new();
    let mut entries = Vec::new();
    if let Some(tree) = &raw.embedded_risk_control_rules {
        entries.extend(rules(tree, &mut notes)?);
    }
    if let Some(callback) = &raw.callback {
        let asked = callback_entry(callback, &mut policy, &mut notes, base)?;
        let guarded = |plugins: &[RawPlugin]| plugins.iter().any(guards_check_ups);
        if asked.is_some() && !guarded(&entries) && !guarded(&policy.plugins) {
            entries.push(check_ups());
        }
        entries.extend(asked);
    }
    let expanded = !entries.is_empty();
    policy.plugins.splice(..0, entries);
    let policy = Expanded {
        section: policy,
        expanded,
    };
    Ok(Expansion {
        policy,
        events: events::expand(raw, &mut notes)?,
        notes,
    })
}

fn rules(tree: &Value, notes: &mut Vec<String>) -> Result<Option<RawPlugin>, ConfigError> {
    let enabled = match &tree["enable"] {
        Value::Bool(enabled) => *enabled,
        Value::Null if tree.is_object() => false,
        _ => return Err(ConfigError::RulesSwitch),
    };
    if !enabled {
        notes.push(
            "embedded_risk_control_rules.enable is false: the embedded rules are not evaluated; write true to turn them on"
                .into(),
        );
        return Ok(None);
    }
    let grants = RawGrants {
        state_bytes: RULES_STATE,
        ..RawGrants::default()
    };
    Ok(Some(RawPlugin {
        config: Some(without_nulls(tree)),
        grants,
        ..RawPlugin::named("rules")
    }))
}

/// Returns a plugin that allows check-ups. Check-ups of key shares are none of the callback
/// servers' business, and the incumbent, for which such a file was written, allows them unless
/// a rule forbids it.
fn check_ups() -> RawPlugin {
    let scope = RawScope {
        operations: vec![OperationKind::KeyShareSign],
        ..RawScope::default()
    };
    let grants = RawGrants {
        state_bytes: RULES_STATE,
        ..RawGrants::default()
    };
    RawPlugin {
        config: Some(json!({ "enable": true })),
        scope,
        grants,
        ..RawPlugin::named("rules:check-ups")
    }
}

fn guards_check_ups(plugin: &RawPlugin) -> bool {
    let operations = &plugin.scope.operations;
    !plugin.is_shadow()
        && (operations.is_empty() || operations.contains(&OperationKind::KeyShareSign))
}

/// Removes keys without a value, which count as absent. Values under `key_sign` are kept as they
/// are: an empty rule of a policy is a mistake, which the plugin refuses.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(_, value)| !value.is_null());
            let inner = |key: &str, value| {
                if key == "key_sign" {
                    Value::clone(value)
                } else {
                    without_nulls(value)
                }
            };
            Value::Object(
                kept.map(|(key, value)| (key.clone(), inner(key, value)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

fn callback_entry(
    callback: &RawCallback,
    policy: &mut RawPolicy,
    notes: &mut Vec<String>,
    base: &Path,
) -> Result<Option<RawPlugin>, ConfigError> {
    let mut servers = Vec::new();
    let mut grants = RawGrants {
        keys: vec![CALLBACK_KEY.into()],
        ..RawGrants::default()
    };
    for (version, list) in [("v1", &callback.cb_server), ("v2", &callback.cb_server_v2)] {
        for (index, server) in list.iter().enumerate() {
            let key = format!("callback-{version}-{}", index + 1);
            if policy
                .public_keys
                .insert(key.clone(), server.pubkey_path.clone())
                .is_some()
            {
                return Err(ConfigError::Duplicate {
                    section: "policy.public_keys",
                    name: key,
                });
            }
            notes.extend(missing_key(server, base));
            servers.push(json!({ "url": server.service_address, "key": key, "version": version }));
            grants.keys.push(key);
            grants.http.push(without_query(&server.service_address));
        }
    }
    if servers.is_empty() {
        notes.push(
            "callback lists no server, so no approval is requested; add one under callback.cb_server_v2".into(),
        );
        return Ok(None);
    }
    grants.http.dedup();
    grants.wall_ms = Some(
        schedule_seconds(callback)
            .saturating_mul(1000)
            .saturating_add(CALLBACK_SLACK_MS),
    );
    notes.extend(too_slow(callback, policy.deadline_seconds));
    let config = json!({
        "servers": servers,
        "token_expire_minutes": callback.token_expire_minutes,
        "retry_times": callback.retry_times,
        "sleep_seconds": callback.sleep_seconds,
        "request_timeout": callback.request_timeout,
    });
    let operations = OperationKind::ALL.into_iter().filter(asks_callback);
    Ok(Some(RawPlugin {
        config: Some(config),
        scope: RawScope {
            operations: operations.collect(),
            ..RawScope::default()
        },
        monitor_interval: callback.monitor_interval.clone(),
        grants,
        ..RawPlugin::named("jwt-callback")
    }))
}

/// True if callback servers are asked about operations of this kind.
fn asks_callback(kind: &OperationKind) -> bool {
    match kind {
        OperationKind::KeyGen | OperationKind::KeySign | OperationKind::KeyReshare => true,
        // Some of the servers in the field refuse a check-up, some never answer, and one
        // answers a different request.
        OperationKind::KeyShareSign => false,
    }
}

/// Returns the seconds that all attempts take with a server that never answers.
fn schedule_seconds(callback: &RawCallback) -> u64 {
    let retries = callback.retry_times;
    let tries = retries.saturating_add(1);
    let pauses = retries;
    tries
        .saturating_mul(callback.request_timeout)
        .saturating_add(pauses.saturating_mul(callback.sleep_seconds))
}

fn too_slow(callback: &RawCallback, deadline: u64) -> Option<String> {
    let needed = schedule_seconds(callback);
    let round = callback
        .request_timeout
        .saturating_add(callback.sleep_seconds)
        .max(1);
    let fitting = deadline.saturating_add(callback.sleep_seconds) / round;
    (needed > deadline).then(|| {
        format!(
            "callback: {} attempts with a server that does not answer take {needed} s, but policy.deadline_seconds is \
             {deadline}: the task is refused then, after {fitting} whole attempts; raise policy.deadline_seconds to {needed}, or \
             lower callback.retry_times",
            callback.retry_times.saturating_add(1)
        )
    })
}

fn missing_key(server: &RawCallbackServer, base: &Path) -> Option<String> {
    let path = base.join(&server.pubkey_path);
    (!path.exists()).then(|| {
        format!(
            "callback: there is no file {}; pubkey_path is relative to the folder of the configuration file",
            path.display()
        )
    })
}

/// Removes the query: a grant is a prefix of URLs and has none.
fn without_query(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().into()
}

#[cfg(test)]
#[path = "shorthand_tests.rs"]
mod tests;
