//! `policy` as written. Serializable, so that `config check` can show the expansion of shorthands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use countersign_host::RawGrants;
use countersign_host::Scope;
use countersign_protocol::{KeyId, OperationKind, Scheme, operation_kind};
use serde::{Deserialize, Serialize};

use super::raw_bundles::RawBundles;

/// Default of `policy.deadline_seconds` in seconds.
const USUAL_DEADLINE: u64 = 60;
/// Default of `policy.plugin_dir`, relative to the file.
const USUAL_PLUGIN_DIR: &str = "plugins";

/// The section `policy` of the file.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawPolicy {
    /// Take part although no plugin is configured. Logged at every task.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_unguarded: bool,
    /// Seconds within which every plugin must have answered. Default: 60.
    #[serde(skip_serializing_if = "is_usual_deadline")]
    pub deadline_seconds: u64,
    /// PEM files of public keys that plugins may verify with, by name.
    #[serde(skip_serializing_if = "is_default")]
    pub public_keys: BTreeMap<String, PathBuf>,
    /// Files of secrets (mode 600) that plugins may use for HMAC without seeing them, by name.
    #[serde(skip_serializing_if = "is_default")]
    pub secrets: BTreeMap<String, PathBuf>,
    /// CA certificates (PEM) that plugins' https requests trust. Default: those of the system.
    #[serde(skip_serializing_if = "is_default")]
    pub ca_file: Option<PathBuf>,
    /// Folder in which `countersign-node plugin install` keeps components. Default: `plugins`.
    #[serde(skip_serializing_if = "is_usual_plugin_dir")]
    pub plugin_dir: PathBuf,
    /// Ed25519 public keys (64 hexadecimal digits) of publishers, by name. If any are given, only
    /// components that one of them signed are loaded.
    #[serde(skip_serializing_if = "is_default")]
    pub trusted_publishers: BTreeMap<String, String>,
    /// Limits on compiling a component.
    #[serde(skip_serializing_if = "is_default")]
    pub compile: RawCompile,
    /// Entries that several publishers sign together, besides the operator's own.
    #[serde(skip_serializing_if = "is_default")]
    pub bundles: Option<RawBundles>,
    /// Plugins, asked in this order; those without http first, then the others all at once.
    #[serde(skip_serializing_if = "is_default")]
    pub plugins: Vec<RawPlugin>,
}

impl Default for RawPolicy {
    fn default() -> Self {
        Self {
            allow_unguarded: false,
            deadline_seconds: USUAL_DEADLINE,
            public_keys: BTreeMap::new(),
            secrets: BTreeMap::new(),
            ca_file: None,
            plugin_dir: USUAL_PLUGIN_DIR.into(),
            trusted_publishers: BTreeMap::new(),
            compile: RawCompile::default(),
            bundles: None,
            plugins: Vec::new(),
        }
    }
}

/// `policy.compile`: limits on compiling one component, in a process of its own.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawCompile {
    /// Maximum size of a component's file. Default: 32 MiB.
    pub component_bytes: u64,
    /// Processor time of all threads together. Default: 60.
    pub cpu_seconds: u64,
    /// Elapsed time by the clock. Default: 120.
    pub wall_seconds: u64,
    /// Memory of the compiling process. Default: 2 GiB.
    pub memory_bytes: u64,
}

impl Default for RawCompile {
    fn default() -> Self {
        Self {
            component_bytes: 32 << 20,
            cpu_seconds: 60,
            wall_seconds: 120,
            memory_bytes: 2 << 30,
        }
    }
}

/// An entry of the list `policy.plugins`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawPlugin {
    /// The name that the component gives itself, or that name, a colon and a label.
    pub name: String,
    /// Path of the component. If absent, the installed one is used.
    #[serde(skip_serializing_if = "is_default")]
    pub file: Option<PathBuf>,
    /// Name under which the component is installed. Default: `name` up to the colon.
    #[serde(skip_serializing_if = "is_default")]
    pub installed: Option<String>,
    /// SHA-256 of the component, `sha256:<64 hex>`. If absent, any component at
    /// that place is accepted.
    #[serde(skip_serializing_if = "is_default")]
    pub digest: Option<String>,
    /// Configuration of the component, in its own format.
    #[serde(skip_serializing_if = "is_default")]
    pub config: Option<serde_json::Value>,
    /// Its configuration in a YAML or JSON file of its own, which may change while the node runs.
    #[serde(skip_serializing_if = "is_default")]
    pub config_file: Option<PathBuf>,
    /// Tasks that it guards. If absent, it guards all.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scope: RawScope,
    /// Makes it a shadow: it decides nothing, and its answers are compared with the verdict of
    /// all entries that decide.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shadow: bool,
    /// Makes it a shadow of the entry of this name: it decides nothing, sees that entry's state,
    /// and is compared with that entry.
    #[serde(skip_serializing_if = "is_default")]
    pub shadows: Option<String>,
    /// Interval between probes of its dependencies, such as `30s` or `5m`. Absent or
    /// empty turns them off.
    #[serde(default, skip_serializing_if = "is_default")]
    pub monitor_interval: String,
    /// Permissions and limits of the plugin.
    #[serde(default, skip_serializing_if = "is_default")]
    pub grants: RawGrants,
}

impl RawPlugin {
    /// True for a shadow, which decides nothing.
    pub(super) fn is_shadow(&self) -> bool {
        self.shadow || self.shadows.is_some()
    }

    /// Returns an entry for the installed component of that name, without configuration or grants.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            file: None,
            installed: None,
            digest: None,
            scope: RawScope::default(),
            shadow: false,
            shadows: None,
            config: None,
            config_file: None,
            monitor_interval: String::new(),
            grants: RawGrants::default(),
        }
    }
}

/// `policy.plugins[].scope`: a task must match every list that is not empty.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawScope {
    /// Operations by their [names](OperationKind::name), such as `keygen`.
    #[serde(with = "operation_kind::names", skip_serializing_if = "is_default")]
    pub operations: Vec<OperationKind>,
    /// Keys by id. An operation without a key, such as a key generation, does not match.
    #[serde(skip_serializing_if = "is_default")]
    pub keys: Vec<KeyId>,
    /// Signature schemes, such as `ed25519`.
    #[serde(skip_serializing_if = "is_default")]
    pub schemes: Vec<Scheme>,
}

impl RawScope {
    /// The scope in the host's terms.
    pub fn resolved(&self) -> Scope {
        Scope {
            operations: self.operations.clone(),
            keys: self.keys.iter().map(ToString::to_string).collect(),
            schemes: self.schemes.iter().map(ToString::to_string).collect(),
        }
    }
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn is_usual_deadline(value: &u64) -> bool {
    *value == USUAL_DEADLINE
}

fn is_usual_plugin_dir(value: &Path) -> bool {
    value.as_os_str() == USUAL_PLUGIN_DIR
}

#[cfg(test)]
mod tests {
    use countersign_protocol::Scheme;
    use serde_json::json;

    use super::super::raw_bundles::RawPublisher;
    use super::*;

    /// Every setting of an entry, none as usual.
    fn unusual() -> RawPlugin {
        RawPlugin {
            name: "a".into(),
            file: Some("a.wasm".into()),
            installed: Some("b".into()),
            digest: Some("sha256:00".into()),
            config: Some(json!({ "c": 1 })),
            config_file: Some("c.yaml".into()),
            scope: RawScope {
                operations: vec![OperationKind::KeyShareSign],
                keys: vec![KeyId::from_bytes([1; 16]).unwrap()],
                schemes: vec![Scheme::Ed25519],
            },
            shadow: true,
            shadows: Some("d".into()),
            monitor_interval: "5m".into(),
            grants: RawGrants {
                keys: vec!["callback".into()],
                http: vec!["https://e/".into()],
                cpu_ms: 2,
                wall_ms: Some(3),
                memory_bytes: 4,
                ..RawGrants::trial()
            },
        }
    }

    #[test]
    fn the_printed_entry_leaves_out_what_is_usual() {
        let printed = serde_norway::to_string(&RawPlugin::named("rules")).unwrap();
        assert_eq!(printed, "name: rules\n");
        let printed = serde_norway::to_string(&RawPolicy::default()).unwrap();
        assert_eq!(printed, "{}\n");
    }

    #[test]
    fn every_setting_of_an_entry_that_is_not_usual_is_printed() {
        let printed = serde_norway::to_string(&unusual()).unwrap();
        let again: RawPlugin = countersign_strict::yaml(&printed).unwrap();
        assert_eq!(again, unusual(), "{printed}");
    }

    #[test]
    fn every_setting_of_the_policy_that_is_not_usual_is_printed() {
        let policy = RawPolicy {
            allow_unguarded: true,
            deadline_seconds: 61,
            public_keys: [("k".into(), "k.pem".into())].into(),
            secrets: [("s".into(), "s.key".into())].into(),
            ca_file: Some("ca.pem".into()),
            plugin_dir: "wasm".into(),
            trusted_publishers: [("p".into(), "00".into())].into(),
            compile: RawCompile {
                cpu_seconds: 61,
                ..RawCompile::default()
            },
            bundles: Some(RawBundles {
                name: "treasury".into(),
                publishers: vec![RawPublisher {
                    name: "p".into(),
                    key: "00".into(),
                }],
                needed: 1,
                delay: "49h".into(),
                backtest_days: 31,
                grants: RawGrants::trial(),
            }),
            plugins: vec![RawPlugin::named("rules")],
        };
        let printed = serde_norway::to_string(&policy).unwrap();
        let again: RawPolicy = countersign_strict::yaml(&printed).unwrap();
        assert_eq!(again, policy, "{printed}");
    }

    #[test]
    fn an_entry_is_a_shadow_in_either_notation() {
        let decides = RawPlugin::named("a");
        let of_all = RawPlugin {
            shadow: true,
            ..RawPlugin::named("a")
        };
        let of_one = RawPlugin {
            shadows: Some("b".into()),
            ..RawPlugin::named("a")
        };
        let shadows = [decides, of_all, of_one].map(|entry| entry.is_shadow());
        assert_eq!(shadows, [false, true, true]);
    }
}
