//! The configuration: `RawConfig` is the file as the operator writes it, [`Config`]
//! is the validated form.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use countersign_files::{Custody, CustodyError};
use countersign_metrics::Settings;
use countersign_metrics::config::{RawSettings, SettingsError};
use countersign_protocol::contact::Role;
use countersign_protocol::{NodeId, RequesterId};
use countersign_strict::DocumentError;
use countersign_vote::is_usable;
use serde::Deserialize;

use crate::api_key::{ApiKey, KeyError, check_key};
use crate::approvers::{Approvers, ApproversError, RawApprover, RawPasskeys};
use crate::invitation::JoinedError;
use crate::registry::RegistryConfig;
use crate::signed_request::WINDOW;
use crate::task::flow::Timings;
use crate::tls::TlsFiles;
use crate::webhook::Reachable;

/// Size limit in bytes.
const LARGEST: u64 = 4 << 20;
/// The configuration of a new coordinator: every key with a comment. Those that must be set have a
/// value.
pub const EXAMPLE: &str = include_str!("example.yaml");
/// Name of the identity file in the data directory.
pub const IDENTITY_FILE: &str = "identity.key";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    /// UDP address where nodes connect.
    #[serde(default = "default_quic")]
    listen_quic: SocketAddr,
    /// The address under which nodes reach `listen_quic`, for invitations.
    public_quic: Option<String>,
    /// TCP address of the HTTP API; without `tls`, one of this machine's own.
    #[serde(default = "default_http")]
    listen_http: SocketAddr,
    /// Certificate of the HTTP API. Absent: plain HTTP.
    tls: Option<RawTls>,
    /// Directory of the identity and the database, relative to the configuration file.
    data: PathBuf,
    #[serde(default)]
    nodes: Vec<RawNode>,
    #[serde(default)]
    api_keys: Vec<ApiKey>,
    /// Requesters whose tasks are accepted; absent: any with a valid signature. Nodes have their
    /// own list in any case.
    requesters: Option<Vec<RequesterId>>,
    /// Networks that webhooks may reach beside the public one: `private`, `loopback`.
    #[serde(default)]
    webhook_networks: Reachable,
    /// People whose votes are collected.
    #[serde(default)]
    approvers: Vec<RawApprover>,
    /// Pages that may ask passkeys for votes and orders.
    passkeys: Option<RawPasskeys>,
    #[serde(default)]
    limits: RawLimits,
    /// Metrics, and the listener that serves them.
    #[serde(default)]
    metrics: RawSettings,
    /// The log: standard error and a file.
    #[serde(default)]
    log: countersign_log::RawLog,
}

/// Files in PEM, relative to the configuration file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTls {
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNode {
    name: String,
    id: NodeId,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLimits {
    open_tasks: usize,
    decision_seconds: u64,
    /// Longest silence of a node during a KeyGen or KeyReshare.
    keygen_seconds: u64,
    /// Time for each signature of a task.
    keysign_seconds: u64,
    /// Time for which a signed request is accepted.
    request_seconds: u64,
    /// Time for which a person's approval of a task counts.
    approval_hours: u64,
}

impl Default for RawLimits {
    fn default() -> Self {
        Self {
            open_tasks: 1000,
            decision_seconds: 60,
            keygen_seconds: 300,
            keysign_seconds: 60,
            request_seconds: WINDOW / 1000,
            approval_hours: 24,
        }
    }
}

/// The validated configuration: paths resolved, ranges checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// UDP address where nodes connect.
    pub listen_quic: SocketAddr,
    /// The address under which nodes reach `listen_quic`, as `host:port`, for invitations.
    pub public_quic: Option<String>,
    /// TCP address of the HTTP API.
    pub listen_http: SocketAddr,
    /// Certificate and key of the HTTP API. `None`: plain HTTP on this machine.
    pub tls: Option<TlsFiles>,
    /// Directory of the identity and the database.
    pub data: PathBuf,
    /// Keys accepted by the API.
    pub api_keys: Vec<ApiKey>,
    /// Time for which a signed request is accepted, in milliseconds.
    pub request_window: u64,
    /// Nodes, requesters and limits, without those who joined; replaced at a reload.
    pub rules: RegistryConfig,
    /// Metrics, and the listener that serves them.
    pub metrics: Settings,
    /// Outputs of the log, with their levels and formats.
    pub log: countersign_log::Settings,
}

/// Why a configuration is rejected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file is missing or unreadable.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error(
        "the configuration {path} cannot be read ({reason}); run `countersign-coordinator init`, or correct --config"
    )]
    Unreadable { path: PathBuf, reason: String },
    /// The file could have been written by somebody else.
    #[error(transparent)]
    Custody(CustodyError),
    /// The file is not YAML, has a wrong type, or has a duplicate or unknown key.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// Any other error, with the file in which it occurred.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error("{}: {error}", path.display())]
    InFile { path: PathBuf, error: Box<Self> },
    /// The API would be reachable without TLS.
    #[error(
        "`listen_http` is {0}, which other machines may reach, but there is no `tls`; add `tls: {{certificate: FILE, key: FILE}}`, or listen on 127.0.0.1"
    )]
    Plain(SocketAddr),
    /// The section `metrics` is rejected.
    #[error(transparent)]
    Metrics(#[from] SettingsError),
    /// The section `log` is rejected.
    #[error(transparent)]
    Log(#[from] countersign_log::SettingsError),
    /// An API key may do nothing, or everything for a part.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error("API key `{name}`: {error}")]
    ApiKey { name: String, error: KeyError },
    /// The list of approvers is rejected.
    #[error(transparent)]
    Approvers(#[from] ApproversError),
    /// A requester's key can have made no signature.
    #[error("requesters: {0} is not a point of P-256; ask its owner for the id again")]
    NoPoint(RequesterId),
    /// No page may ask for a requester's signature.
    #[error(
        "requesters: {0} is a passkey, and no page may ask for its signature; add the section `passkeys`"
    )]
    NoPages(RequesterId),
    /// Two entries exclude each other.
    #[error("{0} is listed twice; list it once")]
    Duplicate(String),
    /// A number is out of range.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error("`limits.{key}` is {value}, allowed are {min} to {max}; choose a number in that range")]
    Range {
        key: &'static str,
        value: u64,
        min: u64,
        max: u64,
    },
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |reason| ConfigError::Unreadable {
            path: path.into(),
            reason,
        };
        let bytes = Custody::Operator
            .read(path, LARGEST)
            .map_err(|error| match error {
                CustodyError::Io(error) => unreadable(error.to_string()),
                kept => ConfigError::Custody(kept),
            })?;
        let text =
            String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8 text".into()))?;
        let parsed = Self::parse(&text, path.parent().unwrap_or(Path::new(".")));
        let checked = parsed.and_then(|config| {
            config.metrics.check_password(path)?;
            Ok(config)
        });
        checked.map_err(|error| ConfigError::InFile {
            path: path.into(),
            error: error.into(),
        })
    }

    /// Parses a text; relative paths start at `base`.
    pub fn parse(text: &str, base: &Path) -> Result<Self, ConfigError> {
        let raw: RawConfig = countersign_strict::yaml(text)?;
        let nodes = named_nodes(raw.nodes)?;
        distinct(
            raw.api_keys
                .iter()
                .map(|key| format!("API key `{}`", key.name)),
        )?;
        distinct(
            raw.api_keys
                .iter()
                .map(|key| format!("the API key with {}", key.credential)),
        )?;
        for key in &raw.api_keys {
            check_key(key).map_err(|error| ConfigError::ApiKey {
                name: key.name.clone(),
                error,
            })?;
        }
        distinct(
            raw.requesters
                .iter()
                .flatten()
                .map(|requester| format!("requester {requester}")),
        )?;
        check_passkeys(raw.requesters.iter().flatten(), raw.passkeys.is_some())?;
        let rules = RegistryConfig {
            nodes,
            requesters: raw.requesters,
            named_requesters: BTreeMap::new(),
            timings: timings(&raw.limits)?,
            open_tasks: in_range("open_tasks", raw.limits.open_tasks as u64, 1, 1000)? as usize,
            webhook_networks: raw.webhook_networks,
            approvers: Approvers::new(
                raw.approvers,
                raw.passkeys,
                in_range("approval_hours", raw.limits.approval_hours, 1, 168)? * 3_600_000,
            )?,
        };
        if raw.tls.is_none() && !raw.listen_http.ip().to_canonical().is_loopback() {
            return Err(ConfigError::Plain(raw.listen_http));
        }
        Ok(Self {
            listen_quic: raw.listen_quic,
            public_quic: raw.public_quic,
            listen_http: raw.listen_http,
            tls: raw.tls.map(|tls| TlsFiles {
                certificate: base.join(tls.certificate),
                key: base.join(tls.key),
            }),
            data: base.join(raw.data),
            api_keys: raw.api_keys,
            request_window: 1000 * in_range("request_seconds", raw.limits.request_seconds, 5, 300)?,
            rules,
            metrics: Settings::from_raw(raw.metrics, base)?,
            log: raw.log.settings(base, "countersign-coordinator")?,
        })
    }

    /// Checks that those who joined fit the configuration's own lists.
    pub fn check_joined(&self) -> Result<(), JoinedError> {
        crate::invitation::merged(self).map(drop)
    }

    /// True if a node, or the owner of an API key, has this name, by the configuration or because
    /// it joined.
    pub fn knows(&self, role: Role, name: &str) -> Result<bool, JoinedError> {
        let (rules, keys) = crate::invitation::merged(self)?;
        Ok(match role {
            Role::Node => rules.nodes.values().any(|known| known == name),
            Role::Requester => keys.iter().any(|key| key.name == name),
        })
    }

    /// Path of the identity file.
    pub fn identity_file(&self) -> PathBuf {
        self.data.join(IDENTITY_FILE)
    }

    /// Path of the database file.
    pub fn database_file(&self) -> PathBuf {
        self.data.join("coordinator.redb")
    }
}

fn default_quic() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 7443))
}

fn default_http() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7480))
}

fn named_nodes(nodes: Vec<RawNode>) -> Result<BTreeMap<NodeId, String>, ConfigError> {
    distinct(
        nodes
            .iter()
            .map(|node| format!("node name `{}`", node.name)),
    )?;
    distinct(nodes.iter().map(|node| format!("node id {}", node.id)))?;
    Ok(nodes.into_iter().map(|node| (node.id, node.name)).collect())
}

fn distinct(names: impl Iterator<Item = String>) -> Result<(), ConfigError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.clone()) {
            return Err(ConfigError::Duplicate(name));
        }
    }
    Ok(())
}

/// Checks the keys of the listed requesters. Without `pages`, none of them is a passkey.
fn check_passkeys<'a>(
    mut requesters: impl Iterator<Item = &'a RequesterId>,
    pages: bool,
) -> Result<(), ConfigError> {
    requesters.try_for_each(|requester| {
        if !is_usable(requester.key()) {
            Err(ConfigError::NoPoint(*requester))
        } else if requester.is_passkey() && !pages {
            Err(ConfigError::NoPages(*requester))
        } else {
            Ok(())
        }
    })
}

fn timings(limits: &RawLimits) -> Result<Timings, ConfigError> {
    let millis =
        |key, seconds| Ok::<u64, ConfigError>(in_range(key, seconds, 1, 24 * 3600)? * 1000);
    Ok(Timings {
        decision: millis("decision_seconds", limits.decision_seconds)?,
        keygen: millis("keygen_seconds", limits.keygen_seconds)?,
        keysign: millis("keysign_seconds", limits.keysign_seconds)?,
        ..Timings::default()
    })
}

fn in_range(key: &'static str, value: u64, min: u64, max: u64) -> Result<u64, ConfigError> {
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(ConfigError::Range {
            key,
            value,
            min,
            max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("/base"))
    }

    #[test]
    fn a_configuration_that_others_can_write_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("coordinator.yaml");
        std::fs::write(&path, EXAMPLE).unwrap();
        let set = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        set(0o640);
        Config::load(&path).unwrap();
        set(0o660);
        let error = Config::load(&path).unwrap_err();
        assert!(matches!(error, ConfigError::Custody(_)), "{error}");
        assert!(error.to_string().contains("chmod go-w"), "{error}");
    }

    #[test]
    fn the_example_is_a_configuration() {
        let config = parse(EXAMPLE).unwrap();
        assert_eq!(config.listen_quic, default_quic());
        assert_eq!(config.listen_http, default_http());
        assert_eq!(
            config.database_file(),
            Path::new("/base/./coordinator.redb")
        );
        assert_eq!(config.rules.timings, Timings::default());
    }

    #[test]
    fn the_limits_of_the_example_are_the_defaults() {
        let (_, section) = EXAMPLE.split_once("\n#limits:\n").unwrap();
        let (section, _) = section.split_once("\n\n").unwrap();
        let text: Vec<&str> = section
            .lines()
            .map(|line| line.strip_prefix('#').unwrap_or(line))
            .collect();
        let limits: RawLimits = countersign_strict::yaml(&text.join("\n")).unwrap();
        assert_eq!(format!("{limits:?}"), format!("{:?}", RawLimits::default()));
        let keys = section.lines().filter(|line| line.starts_with("#  "));
        assert_eq!(keys.count(), 6, "all of them are shown");
    }

    #[test]
    fn a_passkey_orders_and_signs_no_requests_and_has_a_page() {
        // The generator of P-256, and x = 7, to which no point of the curve belongs.
        let passkey = "csr1qd43050juykyy3lchnnw2caygre8wqmasyk7kvaq7jsnj3wcnrpfvyxdqhw";
        let no_point = "csr1qgqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqwgl76j0";
        let pages = "passkeys: {rp_id: a.example, origins: ['https://a.example']}\n";
        let listed = |id: &str| format!("data: .\nrequesters: [{id}]\n");
        assert!(parse(&format!("{pages}{}", listed(passkey))).is_ok());
        let key = format!(
            "data: .\n{pages}api_keys: [{{name: ann, requester: {passkey}, scopes: [read]}}]\n"
        );
        for (text, part) in [
            (listed(passkey), "add the section `passkeys`"),
            (format!("{pages}{}", listed(no_point)), "not a point"),
            (key, "signs tasks and no requests"),
        ] {
            let refused = parse(&text).unwrap_err().to_string();
            assert!(refused.contains(part), "{part}: {refused}");
        }
    }

    #[test]
    fn the_api_is_not_reachable_without_tls() {
        for address in [
            "0.0.0.0:7480",
            "10.0.0.1:7480",
            "'[::]:7480'",
            "'[fd00::1]:1'",
        ] {
            let text = format!("data: .\nlisten_http: {address}\n");
            let error = parse(&text).unwrap_err();
            assert!(matches!(error, ConfigError::Plain(_)), "{error}");
            assert!(
                error
                    .to_string()
                    .contains("add `tls: {certificate: FILE, key: FILE}`"),
                "{error}"
            );
            let config = parse(&format!(
                "{text}tls: {{certificate: chain.pem, key: key.pem}}\n"
            ))
            .unwrap();
            let files = config.tls.unwrap();
            assert_eq!(files.certificate, Path::new("/base/chain.pem"));
            assert_eq!(files.key, Path::new("/base/key.pem"));
        }
        for address in ["127.0.0.2:7480", "'[::1]:7480'", "'[::ffff:127.0.0.1]:1'"] {
            assert!(parse(&format!("data: .\nlisten_http: {address}\n")).is_ok());
        }
        assert!(
            parse("data: .\ntls: {certificate: chain.pem}\n").is_err(),
            "no key"
        );
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_nearest_key() {
        let error = parse("data: .\nlimits:\n  open_task: 3\n")
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "line 3, column 3: there is no key `open_task` here; did you mean `open_tasks`?"
        );
        let error = parse("data: .\nlisten_htp: 127.0.0.1:1\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("line 2") && error.contains("`listen_http`"),
            "{error}"
        );
        let error = parse("data: .\nzzz: 1\n").unwrap_err().to_string();
        assert!(error.contains("the keys here are listen_quic"), "{error}");
    }

    #[test]
    fn what_excludes_itself_is_refused() {
        let key = |name: &str, digit: &str| {
            format!(
                "  - {{name: {name}, sha256: {}, scopes: [read]}}\n",
                digit.repeat(64)
            )
        };
        let keys = |one: String, other: String| parse(&format!("data: .\napi_keys:\n{one}{other}"));
        assert!(matches!(
            keys(key("a", "0"), key("a", "1")),
            Err(ConfigError::Duplicate(_))
        ));
        assert!(
            matches!(
                keys(key("a", "0"), key("b", "0")),
                Err(ConfigError::Duplicate(_))
            ),
            "one key, two names"
        );
        assert!(keys(key("a", "0"), key("b", "1")).is_ok());
        let requester = RequesterId::from_bytes(
            ed25519_dalek::SigningKey::from_bytes(&[1; 32])
                .verifying_key()
                .to_bytes(),
        )
        .unwrap();
        let signer = |name: &str, rest: &str| {
            format!("  - {{name: {name}, requester: {requester}, {rest}scopes: [read]}}\n")
        };
        assert!(keys(key("a", "0"), signer("b", "")).is_ok());
        assert!(
            matches!(
                keys(signer("a", ""), signer("b", "")),
                Err(ConfigError::Duplicate(_))
            ),
            "one requester, two names"
        );
        let two_proofs = format!("sha256: {}, ", "0".repeat(64));
        for wrong in [
            signer("b", &two_proofs),
            "  - {name: b, scopes: [read]}\n".into(),
        ] {
            let error = keys(key("a", "0"), wrong).unwrap_err().to_string();
            assert!(
                error.contains("line 4") && error.contains("either `sha256` or `requester`"),
                "{error}"
            );
        }
        assert!(matches!(
            parse("data: .\nlimits: {open_tasks: 0}\n"),
            Err(ConfigError::Range { .. })
        ));
        assert!(matches!(
            parse("data: .\nnodes: [{name: a, id: nonsense}]\n"),
            Err(ConfigError::Document(_))
        ));
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_with_its_line() {
        for text in [
            "data: .\napi_keys: []\napi_keys: []\n",
            "data: .\nlimits:\n  {open_tasks: 1, open_tasks: 2}\n",
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(
                error.starts_with("line 3, ") && error.contains("appears twice"),
                "{error}"
            );
        }
    }

    #[test]
    fn metrics_are_shown_to_this_machine_alone_and_only_if_asked_for() {
        let metrics = |text: &str| parse(&format!("data: .\n{text}")).map(|read| read.metrics);
        assert_eq!(metrics("").unwrap(), Settings::default());
        let listen = metrics("metrics: {listen: '127.0.0.1:9465'}\n")
            .unwrap()
            .listen;
        assert_eq!(listen, Some("127.0.0.1:9465".parse().unwrap()));
        let told = metrics("metrics: {listen: '0.0.0.0:9465'}\n")
            .unwrap_err()
            .to_string();
        assert!(told.contains("other machines may reach"), "{told}");
        let influx = "metrics: {influxdb: {server_addr: 'http://h:1', database: d}}\n";
        assert!(metrics(influx).unwrap().influx.is_some());
    }

    #[test]
    fn a_password_in_a_file_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("coordinator.yaml");
        let influx = "{server_addr: 'http://localhost:1', database: d, username: u, password: p}";
        std::fs::write(&path, format!("data: .\nmetrics: {{influxdb: {influx}}}\n")).unwrap();
        let set = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        set(0o640);
        let told = Config::load(&path).unwrap_err().to_string();
        assert!(told.contains("chmod 600"), "{told}");
        set(0o600);
        Config::load(&path).unwrap();
    }

    #[test]
    fn a_key_that_may_do_nothing_or_everything_for_a_part_is_refused() {
        let key = |rest: &str| {
            let hash = "11".repeat(32);
            let entry = format!("{{name: desk, sha256: \"{hash}\", {rest}}}");
            parse(&format!("data: .\napi_keys: [{entry}]\n"))
        };
        let wallet = countersign_protocol::KeyId::from_bytes([1; 16]).unwrap();
        assert!(key(&format!("scopes: [read], wallets: [{wallet}]")).is_ok());
        for rest in [
            "scopes: []".to_owned(),
            "scopes: [read], wallets: []".into(),
            format!("scopes: [admin], wallets: [{wallet}]"),
        ] {
            let error = key(&rest).unwrap_err().to_string();
            assert!(error.contains("API key `desk`"), "{rest}: {error}");
        }
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let text = format!("data: .\napi_keys: [{{name: desk, sha256: {empty}, scopes: [read]}}]");
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains("empty text"), "{error}");
    }

    #[test]
    fn webhooks_reach_the_networks_that_are_named_and_no_others() {
        let reach = |text: &str| {
            parse(&format!("data: .\n{text}")).map(|config| config.rules.webhook_networks)
        };
        assert_eq!(reach("").unwrap(), Reachable::default());
        assert_eq!(
            reach("webhook_networks: []\n").unwrap(),
            Reachable::default()
        );
        let both = Reachable {
            private: true,
            loopback: true,
        };
        assert_eq!(
            reach("webhook_networks: [loopback, private]\n").unwrap(),
            both
        );
        assert!(reach("webhook_networks: [all]\n").is_err());
    }
}
