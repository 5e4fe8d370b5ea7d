//! The configuration file as written: YAML in which every key is documented and
//! unknown keys are refused.
//!
//! A setting that the incumbent's file has too keeps its name and its place.

use std::path::PathBuf;

use countersign_metrics::config::RawSettings;
use countersign_protocol::{CoordinatorId, KeyId, NodeId, RequesterId};
use serde::Deserialize;

use super::raw_callback::RawCallback;
use super::raw_events::{RawEvent, RawEvents};
use super::raw_policy::RawPolicy;

/// The whole configuration file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// Location of the secrets and the journal.
    #[serde(default)]
    pub db: RawDb,
    /// The coordinator that the node dials.
    pub coordinator: Option<RawCoordinator>,
    /// Requesters whose tasks the node considers.
    #[serde(default)]
    pub requesters: Vec<RawRequester>,
    /// The pages that may ask requesters' passkeys to sign.
    pub passkeys: Option<RawPasskeys>,
    /// Answers to requesters that ask before they order.
    #[serde(default)]
    pub preflight: RawPreflight,
    /// The other nodes that this node works with.
    #[serde(default)]
    pub roster: Vec<RawPeer>,
    /// Risk control: plugins that decide before a share is used.
    #[serde(default)]
    pub policy: RawPolicy,
    /// Keys for which exceptions are made.
    #[serde(default)]
    pub keys: RawKeys,
    /// Networks of chains whose transactions do not name theirs.
    #[serde(default)]
    pub chains: RawChains,
    /// Deadlines, and limits on numbers.
    #[serde(default)]
    pub limits: RawLimits,
    /// Scheduled check-ups of the shares.
    #[serde(default)]
    pub check_up: RawCheckUp,
    /// Retention of tasks that are over.
    #[serde(default)]
    pub journal: RawJournal,
    /// The log: standard error and a file.
    #[serde(default)]
    pub log: countersign_log::RawLog,
    /// Receivers of events about tasks.
    #[serde(default)]
    pub events: RawEvents,
    /// Shorthand for receivers with the component `jwt-events`.
    pub event: Option<RawEvent>,
    /// Shorthand for a `jwt-callback` plugin.
    pub callback: Option<RawCallback>,
    /// Shorthand for a `rules` plugin; the tree is the plugin's configuration.
    pub embedded_risk_control_rules: Option<serde_json::Value>,
    /// Ignored; tolerated because the incumbent's files have it.
    pub env: Option<serde_json::Value>,
    /// Metrics, and the listener that serves them.
    pub metrics: Option<RawSettings>,
    /// Refused if it names a relay.
    pub websocket: Option<serde_json::Value>,
}

/// The section `db` of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawDb {
    /// The secrets file, always named `secrets.redb.age`; the journal and the identity lie
    /// beside it. Default: `db/secrets.redb.age`.
    pub path: PathBuf,
    /// File with the passphrase, mode 600. If absent, the passphrase is asked for.
    pub key_file: Option<PathBuf>,
    /// Additional age recipients that can read the secrets, such as an offline recovery key.
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

/// The section `coordinator` of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawCoordinator {
    /// Address as `host:port` (UDP).
    pub address: String,
    /// Expected identity. The node does not talk to any other.
    pub id: CoordinatorId,
}

/// An entry of the list `requesters`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRequester {
    /// Name shown to people and plugins.
    pub name: String,
    /// The requester's id, which is its public key: Ed25519, or a passkey's.
    pub id: RequesterId,
    /// Answers its preflights: how the node would decide on a task that is not ordered yet.
    /// Default: `preflight.allow`.
    pub preflight: Option<bool>,
}

/// The section `passkeys` of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPasskeys {
    /// The domain to which the passkeys are bound.
    pub rp_id: String,
    /// The pages themselves, as browsers write their origins.
    pub origins: Vec<String>,
}

/// The section `preflight` of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawPreflight {
    /// Answers preflights of requesters whose entry does not say otherwise. Default: true.
    pub allow: bool,
    /// Preflights that each requester may ask for in a minute; further ones are refused.
    /// Default: 120.
    pub per_minute: usize,
}

impl Default for RawPreflight {
    fn default() -> Self {
        Self {
            allow: true,
            per_minute: 120,
        }
    }
}

/// An entry of the list `roster`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPeer {
    /// Name shown to people and plugins.
    pub name: String,
    /// The node's id, which is its public key.
    pub id: NodeId,
}

/// The section `keys` of the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawKeys {
    /// Keys that may sign a bare digest, which the node cannot understand.
    pub allow_blind: Vec<KeyId>,
    /// Keys that may sign messages that are not text, which plugins then see as messages. Messages
    /// of 32 bytes are excluded: these are digests.
    pub allow_binary: Vec<KeyId>,
}

/// The section `chains` of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawChains {
    /// Network of this node's bitcoin keys: `mainnet`, `testnet`, `testnet4`, `signet`, `regtest`,
    /// or a CAIP-2 id. Default: `mainnet`.
    pub bitcoin: String,
    /// Network of its Solana keys: `mainnet`, `devnet`, `testnet`, or a
    /// CAIP-2 id. Default: `mainnet`.
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

/// The section `check_up` of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawCheckUp {
    /// Hours between two check-ups of every share; 0 turns them off. Default: 24.
    pub hours: u64,
}

impl Default for RawCheckUp {
    fn default() -> Self {
        Self { hours: 24 }
    }
}

/// The section `journal` of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawJournal {
    /// Days for which records of signatures and check-ups, and recordings of decisions, are kept;
    /// 0 keeps them for ever. Default: 90.
    pub retention_days: u64,
}

impl Default for RawJournal {
    fn default() -> Self {
        Self { retention_days: 90 }
    }
}

/// The section `limits` of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLimits {
    /// Seconds until every party is ready. Default: 5.
    pub ready_seconds: u64,
    /// Seconds for one FROST signature. Default: 5.
    pub frost_seconds: u64,
    /// Seconds for one CGGMP24 signature, which computes for half a second per party. Default: 60.
    pub ecdsa_seconds: u64,
    /// Seconds for generating a key. Default: 10.
    pub keygen_seconds: u64,
    /// Seconds for generating auxiliary information for a new committee, which computes for ten
    /// seconds per party. They count from the moment at which the turn of all members has come; no
    /// other limit applies to it (see `docs/limits.md`). Default: 900.
    pub aux_seconds: u64,
    /// Seconds until every party has stored its share. Default: 10.
    pub storing_seconds: u64,
    /// Maximum number of concurrent tasks; further ones are refused. Default: 256.
    pub tasks: usize,
    /// Reshares of one key that are started within 24 hours, whatever becomes of them; further ones
    /// are refused. Default: 6.
    pub reshares: usize,
    /// Prime sets kept ready; each serves one new ECDSA committee. Default: 1.
    pub prime_sets: usize,
    /// Hours for which a task may wait from its making on, for people's votes if it collects some,
    /// 1 to 168. Only tasks that collect votes wait longer than 24. Default: 24.
    pub task_hours: usize,
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
            task_hours: 24,
        }
    }
}
