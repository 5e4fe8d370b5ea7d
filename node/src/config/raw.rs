//! The configuration as it is written: YAML, every key documented, unknown keys refused.
//!
//! Where the incumbent's file has a key for the same thing, ours has the same name at the same
//! place.

use std::path::PathBuf;

use countersign_protocol::{CoordinatorId, KeyId, NodeId, RequesterId};
use serde::Deserialize;

use super::events::{RawEvent, RawEvents};
use super::incumbent::RawCallback;
use super::metrics::RawMetrics;
use super::raw_policy::RawPolicy;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// Secrets and journal.
    #[serde(default)]
    pub db: RawDb,
    /// Whom the node dials.
    pub coordinator: Option<RawCoordinator>,
    /// Whose tasks the node considers.
    #[serde(default)]
    pub requesters: Vec<RawRequester>,
    /// The other nodes it works with.
    #[serde(default)]
    pub roster: Vec<RawPeer>,
    /// What is asked before a share is used.
    #[serde(default)]
    pub policy: RawPolicy,
    /// Keys with exceptions.
    #[serde(default)]
    pub keys: RawKeys,
    /// Networks of chains whose transactions do not name theirs.
    #[serde(default)]
    pub chains: RawChains,
    /// Deadlines.
    #[serde(default)]
    pub limits: RawLimits,
    /// Check-ups of the shares by the calendar.
    #[serde(default)]
    pub check_up: RawCheckUp,
    /// Logging.
    #[serde(default)]
    pub log: RawLog,
    /// Who is told what becomes of tasks.
    #[serde(default)]
    pub events: RawEvents,
    /// Shorthand of `jwt-events` receivers.
    pub event: Option<RawEvent>,
    /// Shorthand of a `jwt-callback` plugin.
    pub callback: Option<RawCallback>,
    /// Shorthand of a `rules` plugin; the tree is the plugin's configuration.
    pub embedded_risk_control_rules: Option<serde_json::Value>,
    /// Means nothing here; tolerated in a file that is brought along.
    pub env: Option<serde_json::Value>,
    /// Where the node lets itself be looked at.
    pub metrics: Option<RawMetrics>,
    /// Refused if it names a relay.
    pub websocket: Option<serde_json::Value>,
}

/// `db`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawDb {
    /// The secrets file; the journal and the identity lie beside it. Its name is always
    /// `secrets.redb.age`.
    pub path: PathBuf,
    /// File with the passphrase, mode 600. Absent: the passphrase is asked for.
    pub key_file: Option<PathBuf>,
    /// age recipients that can read the secrets as well, such as an offline recovery key.
    pub recipients: Vec<String>,
}

impl Default for RawDb {
    fn default() -> Self {
        Self {
            path: "db/secrets.redb.age".into(),
            key_file: None,
            recipients: Vec::new(),
        }
    }
}

/// `coordinator`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawCoordinator {
    /// `host:port` (UDP).
    pub address: String,
    /// Its identity. Another one is not talked to.
    pub id: CoordinatorId,
}

/// An entry of `requesters`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRequester {
    /// For people and plugins.
    pub name: String,
    /// Its key.
    pub id: RequesterId,
}

/// An entry of `roster`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPeer {
    /// For people and plugins.
    pub name: String,
    /// Its key.
    pub id: NodeId,
}

/// `keys`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawKeys {
    /// Keys that may sign a bare digest, which the node cannot understand.
    pub allow_blind: Vec<KeyId>,
    /// Keys that may sign messages that are no text, which plugins then see as messages. Not 32
    /// bytes: those are digests.
    pub allow_binary: Vec<KeyId>,
}

/// `chains`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawChains {
    /// Where this node's keys hold bitcoin: `mainnet`, `testnet`, `testnet4`, `signet`, `regtest`,
    /// or a CAIP-2 id.
    pub bitcoin: String,
    /// Where they hold SOL: `mainnet`, `devnet`, `testnet`, or a CAIP-2 id.
    pub solana: String,
}

impl Default for RawChains {
    fn default() -> Self {
        Self {
            bitcoin: "mainnet".into(),
            solana: "mainnet".into(),
        }
    }
}

/// `check_up`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawCheckUp {
    /// How often every share proves itself; 0 turns it off.
    pub hours: u64,
}

impl Default for RawCheckUp {
    fn default() -> Self {
        Self { hours: 24 }
    }
}

/// `limits`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLimits {
    /// Until every party is ready.
    pub ready_seconds: u64,
    /// One signature by FROST.
    pub frost_seconds: u64,
    /// One signature by CGGMP24, which computes for half a second per party.
    pub ecdsa_seconds: u64,
    /// Making a key.
    pub keygen_seconds: u64,
    /// Making auxiliary information for a new committee, which computes for ten seconds per party:
    /// from the moment at which the turn of all its members has come. It is the one limit of that;
    /// see `docs/limits.md`.
    pub aux_seconds: u64,
    /// Until every party has stored.
    pub storing_seconds: u64,
    /// Tasks at a time; further ones are refused.
    pub tasks: usize,
    /// Reshares of one key that are started within 24 hours, whatever becomes of them; further ones
    /// are refused.
    pub reshares: usize,
    /// Prime sets kept ready; each serves one new ECDSA committee.
    pub prime_sets: usize,
}

impl Default for RawLimits {
    fn default() -> Self {
        Self {
            ready_seconds: 5,
            frost_seconds: 5,
            ecdsa_seconds: 60,
            keygen_seconds: 10,
            aux_seconds: 900,
            storing_seconds: 10,
            tasks: 256,
            reshares: 6,
            prime_sets: 1,
        }
    }
}

/// `log`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLog {
    /// The terminal.
    pub std: RawLogStd,
    /// Means nothing here; tolerated in a file that is brought along.
    pub file: Option<serde_json::Value>,
}

/// `log.std`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLogStd {
    /// On or off.
    pub enable: bool,
    /// `error`, `warn`, `info` or `debug`.
    pub level: String,
}

impl Default for RawLogStd {
    fn default() -> Self {
        Self {
            enable: true,
            level: "info".into(),
        }
    }
}
