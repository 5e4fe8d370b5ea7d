//! `embedded_risk_control_rules` and `callback` stand for plugin entries, `event` for receivers;
//! here they become these entries, in front of the others. Nothing downstream knows shorthands, and
//! `config check` shows what they stand for.

use std::path::Path;

use countersign_protocol::OperationKind;
use serde_json::{Value, json};

use super::error::ConfigError;
use super::events::{self, RawEvents};
use super::incumbent::{RawCallback, RawCallbackServer};
use super::raw::RawConfig;
use super::raw_policy::{RawGrants, RawPlugin, RawPolicy, RawScope};
use crate::risk::CALLBACK_KEY;

/// Durable state of the embedded rules, for limits over time.
const RULES_STATE: u64 = 1 << 20;
/// What a callback's call takes besides its tries: signing, verifying, waiting for the processor.
const CALLBACK_SLACK_MS: u64 = 5_000;

/// Sections with all shorthands written out, and what an operator must know of them.
pub(super) struct Expansion {
    /// Risk control.
    pub policy: Expanded<RawPolicy>,
    /// Receivers.
    pub events: Expanded<RawEvents>,
    /// Sentences for people.
    pub notes: Vec<String>,
}

/// A section that the operator could write instead.
pub(super) struct Expanded<S> {
    /// What it says.
    pub section: S,
    /// True if there was a shorthand that stands for something.
    pub expanded: bool,
}

impl Expansion {
    /// The sections that shorthands went into, as YAML; nothing if the file has no shorthand.
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

/// Writes out the shorthands of `raw`. `base` is the folder in which relative paths start.
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
            "embedded_risk_control_rules.enable is false: the embedded rules are not asked; write true to turn them on"
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

/// Check-ups of key shares are not the callback servers' business, and the co-signer that such a
/// file was written for allows them unless a rule says no. So does this.
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

/// A key without a value is a key that is not there. Not so below `key_sign`: a rule of a policy
/// with nothing behind it is a mistake, which the plugin refuses.
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
            "callback lists no server, so no callback is asked; add one under callback.cb_server_v2".into(),
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
    // Of the servers in the field some refuse a check-up, some never answer, and one answers
    // another request.
    let operations = vec![
        OperationKind::KeyGen,
        OperationKind::KeySign,
        OperationKind::KeyReshare,
    ];
    Ok(Some(RawPlugin {
        config: Some(config),
        scope: RawScope {
            operations,
            ..RawScope::default()
        },
        monitor_interval: callback.monitor_interval.clone(),
        grants,
        ..RawPlugin::named("jwt-callback")
    }))
}

/// How long all tries of a server that never answers take.
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
            "callback: {} tries of a server that does not answer take {needed} s, but policy.deadline_seconds is \
             {deadline}: the task is refused then, after {fitting} whole tries; raise policy.deadline_seconds to {needed}, or \
             lower callback.retry_times",
            callback.retry_times.saturating_add(1)
        )
    })
}

fn missing_key(server: &RawCallbackServer, base: &Path) -> Option<String> {
    let path = base.join(&server.pubkey_path);
    (!path.exists()).then(|| {
        format!(
            "callback: there is no file {}; pubkey_path starts at the folder of the configuration file",
            path.display()
        )
    })
}

/// A grant is a prefix of URLs and has no query.
fn without_query(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().into()
}
