//! What can be wrong with a configuration. Each text ends with what to do.

use std::path::{Path, PathBuf};

/// Why a configuration is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No such file, or no right to read it.
    #[error("cannot read {}: {source}; name the file with --config", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Somebody else could have written it.
    #[error(transparent)]
    Custody(#[from] countersign_host::CustodyError),
    /// Not text.
    #[error("the file is not UTF-8; write it as plain text")]
    NotText,
    /// Not YAML, a wrong type, a key that stands twice or that there is not.
    #[error(transparent)]
    Yaml(#[from] countersign_strict::DocumentError),
    /// Anything below, with the file it is in.
    #[error("{}: {error}", file.display())]
    InFile {
        /// Which file.
        file: PathBuf,
        /// What.
        error: Box<Self>,
    },
    /// `db.path` names another file.
    #[error("db.path is {}, but the file is always called secrets.redb.age; change the last part of the path", .0.display())]
    DbPath(PathBuf),
    /// Nobody to dial.
    #[error(
        "there is no `coordinator`; write coordinator: {{ address: host:port, id: csc1… }} to say whom the node dials"
    )]
    NoCoordinator,
    /// No plugin.
    #[error(
        "no plugin is configured, so nothing would guard the key shares; add one under policy.plugins, or write policy.allow_unguarded: true"
    )]
    Unguarded,
    /// Listed twice.
    #[error("`{name}` stands twice under {section}; remove one")]
    Duplicate {
        /// Where.
        section: &'static str,
        /// What.
        name: String,
    },
    /// A number out of range.
    #[error("{key} is {value}; choose {from} to {to}")]
    Range {
        /// Which key.
        key: &'static str,
        /// What it says.
        value: u64,
        /// Least.
        from: u64,
        /// Most.
        to: u64,
    },
    /// A key that would mislead.
    #[error("{key} cannot be honoured here; {instead}")]
    Refused {
        /// Which key.
        key: &'static str,
        /// What to write.
        instead: &'static str,
    },
    /// No tree, or a switch that is neither on nor off.
    #[error("embedded_risk_control_rules.enable must be true or false; correct it")]
    RulesSwitch,
    /// A file and an installed component.
    #[error("plugin `{0}` has file and installed; keep one of them")]
    TwoComponents(String),
    /// A shadow of nothing.
    #[error(
        "plugin `{plugin}` shadows `{shadowed}`, which is no entry that decides; name one under policy.plugins"
    )]
    Shadow {
        /// The shadow.
        plugin: String,
        /// What it names.
        shadowed: String,
    },
    /// Not a public key.
    #[error(
        "policy.trusted_publishers.{name} is `{text}`; write the 64 hexadecimal digits that `plugin keygen` printed"
    )]
    Publisher {
        /// Which publisher.
        name: String,
        /// What it says.
        text: String,
    },
    /// Not a duration.
    #[error(
        "monitor_interval of plugin `{plugin}` is `{text}`; write a duration of at least 1s, such as 30s, 5m or 1h"
    )]
    Interval {
        /// Which plugin.
        plugin: String,
        /// What it says.
        text: String,
    },
    /// Inline and file.
    #[error("plugin `{0}` has config and config_file; keep one of them")]
    TwoConfigs(String),
    /// Not a digest.
    #[error(
        "the digest of plugin `{plugin}` is `{text}`; write sha256: and 64 hexadecimal digits, as sha256sum prints them"
    )]
    Digest {
        /// Which plugin.
        plugin: String,
        /// What it says.
        text: String,
    },
    /// A key of the node for another purpose.
    #[error("{section} `{name}` is granted the key `{key}`, {purpose}; take it out of grants.keys")]
    ForeignKey {
        /// What kind of entry.
        section: &'static str,
        /// Which.
        name: String,
        /// Which key.
        key: &'static str,
        /// What the key is for.
        purpose: &'static str,
    },
    /// A name that the node uses itself.
    #[error(
        "{section} has a key `{name}`, which is the name of the node's own key; choose another name"
    )]
    OwnKey {
        /// Where.
        section: &'static str,
        /// Which.
        name: &'static str,
    },
    /// Not the name of an event.
    #[error(
        "`{0}` is no event; write request.<operation>.<what>, of keygen, keysign, keyreshare, keysharesign and created, updated, succeeded, failed"
    )]
    EventType(String),
    /// Not a network.
    #[error("chains: {0}")]
    Network(#[from] countersign_payload::UnknownNetwork),
    /// No address.
    #[error("metrics.listen is `{0}`; write 127.0.0.1:PORT or [::1]:PORT")]
    Listen(String),
    /// An address that others reach.
    #[error(
        "metrics.listen is `{0}`, which other machines may reach, and nothing asks who looks; write 127.0.0.1:PORT or [::1]:PORT, and let a program on this machine pass it on"
    )]
    NotLoopback(String),
    /// Neither text nor number.
    #[error("metrics.instance must be a text or a number; correct it")]
    MetricsInstance,
    /// Nothing that a metric's name can begin with.
    #[error("metrics.name_prefix is `{0}`; use letters, digits and _, and no digit in front")]
    MetricsPrefix(String),
    /// Nowhere that metrics could be pushed to.
    #[error("metrics.influxdb.{key} {what}")]
    Influx {
        /// Which key.
        key: &'static str,
        /// What is wrong with it, and what to do.
        what: &'static str,
    },
    /// A password that others can read.
    #[error(
        "metrics.influxdb.password stands in {file}, which others may read; write it into a file of mode 600 and name that with password_file, or run `chmod 600 {file}`",
        file = file.display()
    )]
    PasswordExposed {
        /// The configuration.
        file: PathBuf,
    },
    /// Not a level.
    #[error("log.std.level is `{0}`; choose error, warn, info or debug")]
    LogLevel(String),
}

impl ConfigError {
    pub(super) fn in_file(self, file: &Path) -> Self {
        Self::InFile {
            file: file.into(),
            error: Box::new(self),
        }
    }
}
