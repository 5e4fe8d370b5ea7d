//! `policy` as it is written. Serializable, so that `config check` can show what shorthands stand
//! for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use countersign_protocol::{KeyId, OperationKind, Scheme, operation_kind};
use serde::{Deserialize, Serialize};

/// `policy.deadline_seconds` if the file does not say.
const USUAL_DEADLINE: u64 = 60;
/// `policy.plugin_dir` if the file does not say.
const USUAL_PLUGIN_DIR: &str = "plugins";
/// `grants.cpu_ms` if the file does not say.
const USUAL_CPU: u64 = 200;
/// `grants.memory_bytes` if the file does not say.
const USUAL_MEMORY: u64 = 32 << 20;

/// `policy`
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawPolicy {
    /// Take part although no plugin is configured. Logged at every task.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_unguarded: bool,
    /// Every plugin must have answered by then.
    #[serde(skip_serializing_if = "is_usual_deadline")]
    pub deadline_seconds: u64,
    /// Public keys (PEM) that plugins may verify with, by name.
    #[serde(skip_serializing_if = "is_default")]
    pub public_keys: BTreeMap<String, PathBuf>,
    /// Files of secrets (mode 600) that plugins may use for HMAC without seeing them, by name.
    #[serde(skip_serializing_if = "is_default")]
    pub secrets: BTreeMap<String, PathBuf>,
    /// CA certificates (PEM) that plugins' https requests trust. Absent: the system's.
    #[serde(skip_serializing_if = "is_default")]
    pub ca_file: Option<PathBuf>,
    /// Where `countersign-node plugin install` keeps components.
    #[serde(skip_serializing_if = "is_usual_plugin_dir")]
    pub plugin_dir: PathBuf,
    /// Ed25519 public keys (64 hexadecimal digits) of publishers, by name. Not empty: only
    /// components that one of them signed are loaded.
    #[serde(skip_serializing_if = "is_default")]
    pub trusted_publishers: BTreeMap<String, String>,
    /// What compiling a component may take.
    #[serde(skip_serializing_if = "is_default")]
    pub compile: RawCompile,
    /// Asked in this order; those without http first, the others all at once.
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
            plugins: Vec::new(),
        }
    }
}

/// `policy.compile`: what compiling one component may take, in a process of its own.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawCompile {
    /// Size of a component's file.
    pub component_bytes: u64,
    /// Processor time of all threads together.
    pub cpu_seconds: u64,
    /// Time by the clock.
    pub wall_seconds: u64,
    /// Memory.
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

/// An entry of `policy.plugins`
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawPlugin {
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
    /// Its configuration in a YAML or JSON file of its own, which may change while the node runs.
    #[serde(skip_serializing_if = "is_default")]
    pub config_file: Option<PathBuf>,
    /// Which tasks it guards. Absent: all.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scope: RawScope,
    /// True: it decides nothing, and its answers are compared with those of all that decide.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shadow: bool,
    /// Name of another entry: it decides nothing, sees that entry's state, and is compared with
    /// that entry.
    #[serde(skip_serializing_if = "is_default")]
    pub shadows: Option<String>,
    /// How often it is asked whether what it needs is in reach, such as `30s` or `5m`. Absent or
    /// empty: never.
    #[serde(default, skip_serializing_if = "is_default")]
    pub monitor_interval: String,
    /// What it may do.
    #[serde(default, skip_serializing_if = "is_default")]
    pub grants: RawGrants,
}

impl RawPlugin {
    /// True if it decides nothing.
    pub(super) fn is_shadow(&self) -> bool {
        self.shadow || self.shadows.is_some()
    }

    /// The installed component of that name, without configuration or grants.
    pub(super) fn named(name: &str) -> Self {
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

/// `policy.plugins[].scope`: a task must fit every list that is not empty.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawScope {
    /// `keygen`, `keysign`, `keyreshare`, `keysharesign`.
    #[serde(with = "operation_kind::names", skip_serializing_if = "is_default")]
    pub operations: Vec<OperationKind>,
    /// Keys by id. An operation without a key, such as a key generation, does not fit.
    #[serde(skip_serializing_if = "is_default")]
    pub keys: Vec<KeyId>,
    /// Schemes, such as `ed25519`.
    #[serde(skip_serializing_if = "is_default")]
    pub schemes: Vec<Scheme>,
}

/// `policy.plugins[].grants`
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawGrants {
    /// Keys it may use: `callback` (the node's own), or a name of `policy.public_keys` or
    /// `policy.secrets`.
    #[serde(skip_serializing_if = "is_default")]
    pub keys: Vec<String>,
    /// URL prefixes it may send requests to.
    #[serde(skip_serializing_if = "is_default")]
    pub http: Vec<String>,
    /// Durable state, in bytes.
    #[serde(skip_serializing_if = "is_default")]
    pub state_bytes: u64,
    /// CPU time per call.
    #[serde(skip_serializing_if = "is_usual_cpu")]
    pub cpu_ms: u64,
    /// Time by the clock per call. Absent: `policy.deadline_seconds`.
    #[serde(skip_serializing_if = "is_default")]
    pub wall_ms: Option<u64>,
    /// Memory per call.
    #[serde(skip_serializing_if = "is_usual_memory")]
    pub memory_bytes: u64,
}

impl Default for RawGrants {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            http: Vec::new(),
            state_bytes: 0,
            cpu_ms: USUAL_CPU,
            wall_ms: None,
            memory_bytes: USUAL_MEMORY,
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

fn is_usual_cpu(value: &u64) -> bool {
    *value == USUAL_CPU
}

fn is_usual_memory(value: &u64) -> bool {
    *value == USUAL_MEMORY
}
