//! Errors in a configuration. Each message ends with the remedy.

use std::path::{Path, PathBuf};

use countersign_protocol::{OperationKind, RequesterId};
use countersign_vote::RelyingPartyError;

/// Reasons why a configuration is rejected.
#[allow(missing_docs, reason = "the fields are named for what they hold")]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file does not exist or may not be read.
    #[error("cannot read {}: {source}; name the file with --config", file.display())]
    Unreadable {
        file: PathBuf,
        source: std::io::Error,
    },
    /// Somebody else could have written the file.
    #[error(transparent)]
    Custody(#[from] countersign_host::CustodyError),
    /// The file is not text in UTF-8.
    #[error("the file is not UTF-8; write it as plain text")]
    NotText,
    /// The file is not YAML, has a value of the wrong type, or a duplicate or unknown key.
    #[error(transparent)]
    Yaml(#[from] countersign_strict::DocumentError),
    /// Any other error, with the file it was found in.
    #[error("{}: {error}", file.display())]
    InFile { file: PathBuf, error: Box<Self> },
    /// The last part of `db.path` is not the name of the secrets file.
    #[error("db.path is {}, but the file is always called secrets.redb.age; change the last part of the path", .0.display())]
    DbPath(PathBuf),
    /// A node that runs needs a coordinator.
    #[error(
        "there is no `coordinator`; write coordinator: {{ address: host:port, id: csc1… }} to name the one that the node dials"
    )]
    NoCoordinator,
    /// A node that runs needs a plugin, or explicit permission to do without.
    #[error(
        "no plugin is configured, so nothing would guard the key shares; add one under policy.plugins (`init --rules` does), or write policy.allow_unguarded: true"
    )]
    Unguarded,
    /// The section `passkeys` is rejected.
    #[error("passkeys: {0}")]
    Pages(#[from] RelyingPartyError),
    /// A listed passkey has no page that may ask it to sign.
    #[error(
        "requester {0} is a passkey, and no page may ask for its signature; add passkeys: {{ rp_id: DOMAIN, origins: [PAGE] }} with the domain and the pages of your organisation"
    )]
    NoPages(RequesterId),
    /// A listed passkey that can have signed nothing.
    #[error("requester {0} is not a point of P-256; ask its owner for the id again")]
    NoPoint(RequesterId),
    /// A name or an id is listed twice.
    #[error("`{name}` appears twice under {section}; remove one")]
    Duplicate { section: &'static str, name: String },
    /// A number lies outside its permitted range.
    #[error("{key} is {value}; choose {from} to {to}")]
    Range {
        key: &'static str,
        value: u64,
        from: u64,
        to: u64,
    },
    /// A key of the incumbent's file that would be misleading to ignore.
    #[error("{key} cannot be honoured here; {instead}")]
    Refused {
        key: &'static str,
        instead: &'static str,
    },
    /// The section is not a mapping, or its switch is neither true nor false.
    #[error("embedded_risk_control_rules.enable must be true or false; correct it")]
    RulesSwitch,
    /// A plugin has both a file and an installed component.
    #[error("plugin `{0}` has both `file` and `installed`; keep one of them")]
    TwoComponents(String),
    /// A shadow must refer to an existing entry that decides.
    #[error(
        "plugin `{plugin}` shadows `{shadowed}`, which is not an entry under policy.plugins that decides; name one there, or use `shadow: true`, which is compared with all entries together, those of a policy bundle too"
    )]
    Shadow { plugin: String, shadowed: String },
    /// A publisher's key is not an Ed25519 public key in hex.
    #[error(
        "policy.trusted_publishers.{name} is `{text}`; write the 64 hexadecimal digits that `plugin keygen` printed"
    )]
    Publisher { name: String, text: String },
    /// A bundle's publisher has no usable key.
    #[error(
        "the key of `{name}` under policy.bundles.publishers is `{text}`; write the 64 hexadecimal digits that `plugin keygen` printed"
    )]
    BundlePublisher { name: String, text: String },
    /// The name of the bundles to follow cannot be one.
    #[error("policy.bundles.name is `{0}`; use 1 to 64 of a-z, 0-9 and -")]
    BundleName(String),
    /// The wait is not a duration in the permitted range.
    #[error("policy.bundles.delay is `{0}`; write a duration from 1s to 8784h, such as 48h")]
    BundleDelay(String),
    /// A URL that bundles may be granted is malformed.
    #[error("policy.bundles.grants.http: {0}")]
    BundleUrl(#[source] countersign_host::PrefixError),
    /// The bundle in force cannot be used.
    #[error("policy.bundles: {0}")]
    Bundle(#[source] Box<crate::bundle::FolderError>),
    /// The text is not a duration of at least one second.
    #[error(
        "monitor_interval of plugin `{plugin}` is `{text}`; write a duration of at least 1s, such as 30s, 5m or 1h"
    )]
    Interval { plugin: String, text: String },
    /// A plugin has both an inline configuration and a file.
    #[error("plugin `{0}` has both `config` and `config_file`; keep one of them")]
    TwoConfigs(String),
    /// The text is not a SHA-256 digest.
    #[error(
        "the digest of plugin `{plugin}` is `{text}`; write sha256: and 64 hexadecimal digits, as sha256sum prints them"
    )]
    Digest { plugin: String, text: String },
    /// One of the node's own keys is granted to an entry that it is not meant for.
    #[error("{section} `{name}` is granted the key `{key}`, {purpose}; take it out of grants.keys")]
    ForeignKey {
        section: &'static str,
        name: String,
        key: &'static str,
        purpose: &'static str,
    },
    /// A key has the name of one of the node's own keys.
    #[error(
        "{section} has a key `{name}`, which is the name of the node's own key; choose another name"
    )]
    OwnKey {
        section: &'static str,
        name: &'static str,
    },
    /// The text is not the name of an event.
    #[error(
        "`{0}` is not an event; write request.<operation>.<what>, of {operations} and created, updated, succeeded, failed",
        operations = OperationKind::ALL.map(OperationKind::name).join(", ")
    )]
    EventType(String),
    /// The text does not name a network.
    #[error("chains: {0}")]
    Network(#[from] countersign_payload::UnknownNetwork),
    /// The section `metrics` is rejected.
    #[error(transparent)]
    Metrics(#[from] countersign_metrics::config::SettingsError),
    /// The section `log` is rejected.
    #[error(transparent)]
    Log(#[from] countersign_log::SettingsError),
}

impl ConfigError {
    pub(super) fn in_file(self, file: &Path) -> Self {
        Self::InFile {
            file: file.into(),
            error: Box::new(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::refusal;

    /// Operators read the last words.
    #[test]
    fn a_refusal_names_the_setting_and_ends_with_what_to_do() {
        for (text, setting, remedy) in [
            (
                "db: {path: x}",
                "db.path",
                "change the last part of the path",
            ),
            ("limits: {tasks: 0}", "limits.tasks", "choose 1 to 10000"),
            (
                "log: {std: {level: x}}",
                "log.std.level",
                "choose error, warn, info or debug",
            ),
            (
                "embedded_risk_control_rules: 1",
                "embedded_risk_control_rules.enable",
                "correct it",
            ),
            ("metrics: {instance: []}", "metrics.instance", "correct it"),
            (
                "metrics: {listen: x}",
                "metrics.listen",
                "write 127.0.0.1:PORT or [::1]:PORT",
            ),
            (
                "metrics: {name_prefix: '-'}",
                "metrics.name_prefix",
                "use letters, digits and _, and do not begin with a digit",
            ),
            (
                "metrics: {influxdb: {server_addr: x}}",
                "metrics.influxdb.server_addr",
                "http://HOST:PORT or https://HOST:PORT; correct it",
            ),
            (
                "policy: {public_keys: {event: e.pem}}",
                "policy.public_keys",
                "choose another name",
            ),
            (
                "events: {receivers: [{name: a, event_types: [x]}]}",
                "`x` is not an event",
                "created, updated, succeeded, failed",
            ),
        ] {
            let told = refusal(&format!("{text}\n"));
            assert!(told.contains(setting) && told.ends_with(remedy), "{told}");
        }
    }
}
