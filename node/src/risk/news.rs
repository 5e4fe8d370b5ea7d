//! Reports to operators on changes of plugins, rules and keys: in full for the audit log, with
//! shortened digests for logs.

use std::collections::BTreeSet;

use countersign_host::{Anchor, Chain, InForce, Plugin};
use countersign_protocol::Hash;
use countersign_store::Configuration;

use crate::config::Config;

/// Number of hex digits of a digest in a log.
const SHORT: usize = 12;

/// A report that is available in two lengths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct News(String);

impl News {
    /// Reports the chain and the configuration in force when the node starts.
    pub(super) fn at_start(config: &Config, chain: &Chain) -> Self {
        let keys: Vec<_> = in_force(chain)
            .all_anchors()
            .into_iter()
            .map(named)
            .collect();
        let plugins: Vec<_> = chain.plugins().into_iter().map(describe).collect();
        Self(format!(
            "chain {} is in force at the start; {}{}; configuration sha256:{}",
            hex::encode(chain.revision()),
            if keys.is_empty() {
                String::new()
            } else {
                keys.join("; ") + "; "
            },
            plugins.join("; "),
            hex::encode(config.digest()),
        ))
    }

    /// Reports the differences between two chains; `None` if there are none.
    pub(super) fn of_change(old: &Chain, new: &Chain) -> Option<Self> {
        if old.revision() == new.revision() {
            return None;
        }
        let mut parts = vec![format!(
            "chain {} becomes {}",
            hex::encode(old.revision()),
            hex::encode(new.revision())
        )];
        // These come first, since a line of the audit log has a bounded length.
        parts.extend(changed_anchors(&in_force(old), &in_force(new)));
        let before: BTreeSet<String> = old.plugins().into_iter().map(describe).collect();
        let changed = new
            .plugins()
            .into_iter()
            .map(describe)
            .filter(|plugin| !before.contains(plugin));
        let changed: Vec<String> = changed.collect();
        if !changed.is_empty() {
            parts.push(format!("now in force: {}", changed.join("; ")));
        }
        Some(Self(parts.join("; ")))
    }

    /// Returns the full report, for the audit log.
    pub(super) fn long(&self) -> &str {
        &self.0
    }

    /// Returns the report with shortened digests, for logs.
    pub(super) fn short(&self) -> String {
        shortened(&self.0)
    }
}

/// Returns the chain's description, to be kept with its decisions.
pub(super) fn described(chain: &Chain) -> Configuration {
    Configuration {
        digest: Hash(chain.revision()),
        document: chain.document().clone(),
    }
}

fn in_force(chain: &Chain) -> InForce {
    InForce::parse(chain.document()).unwrap_or_else(|| unreachable!("a chain describes itself"))
}

fn describe(plugin: &Plugin) -> String {
    let digest = hex::encode(plugin.digest());
    let config = hex::encode(plugin.revision());
    format!(
        "{} {} sha256:{digest} with config {config}",
        plugin.name(),
        plugin.info().version
    )
}

fn named(anchor: &Anchor) -> String {
    format!(
        "{} {}: {}",
        anchor.kind.name(),
        anchor.name,
        anchor.digest()
    )
}

/// Lists the keys and authorities that differ: `public key approver: A -> B`.
fn changed_anchors(old: &InForce, new: &InForce) -> Vec<String> {
    let old = old.all_anchors();
    let new = new.all_anchors();
    let same = |one: &Anchor, other: &Anchor| (one.kind, &one.name) == (other.kind, &other.name);
    let find = |list: &[&Anchor], anchor: &Anchor| {
        list.iter()
            .find(|other| same(other, anchor))
            .map_or("none".into(), |other| other.digest())
    };
    let gone = old
        .iter()
        .filter(|anchor| !new.iter().any(|other| same(anchor, other)));
    let new_list = &new;
    let old_list = &old;
    new.iter()
        .chain(gone)
        .map(|anchor| (anchor, find(old_list, anchor), find(new_list, anchor)))
        .filter(|(_, before, after)| before != after)
        .map(|(anchor, before, after)| {
            format!(
                "{} {}: {before} -> {after}",
                anchor.kind.name(),
                anchor.name
            )
        })
        .collect()
}

/// Shortens every run of 64 hex digits, which is taken for a digest.
fn shortened(text: &str) -> String {
    let digits = |rest: &str| rest.bytes().take_while(u8::is_ascii_hexdigit).count();
    let mut short = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let run = digits(rest);
        let (kept, gone) = if run == 64 {
            (SHORT, 64)
        } else {
            (run.max(first.len_utf8()), run.max(first.len_utf8()))
        };
        short.push_str(&rest[..kept]);
        rest = &rest[gone..];
    }
    short
}

#[cfg(test)]
mod tests {
    use countersign_host::{AnchorKind, EntryInForce, PluginInForce};

    use super::*;

    fn in_force(anchors: &[(&str, u8)]) -> InForce {
        let anchor = |(name, digest): &(&str, u8)| Anchor {
            kind: AnchorKind::PublicKey,
            name: (*name).into(),
            sha256: Some([*digest; 32]),
        };
        let plugin = PluginInForce {
            anchors: anchors.iter().map(anchor).collect(),
            ..PluginInForce::default()
        };
        let (operations, keys, schemes) = Default::default();
        let entry = EntryInForce {
            name: "jwt-callback".into(),
            operations,
            keys,
            schemes,
            shadow: None,
            plugin: Some(plugin),
        };
        InForce {
            format: 3,
            entries: vec![entry],
        }
    }

    #[test]
    fn each_key_that_changed_is_named_with_both_digests() {
        let old = in_force(&[("a", 1), ("b", 2), ("c", 3)]);
        let new = in_force(&[("a", 1), ("b", 9), ("d", 4)]);
        let digest = |byte: u8| hex::encode([byte; 32]);
        let expected = [
            format!("public key b: {} -> {}", digest(2), digest(9)),
            format!("public key d: none -> {}", digest(4)),
            format!("public key c: {} -> none", digest(3)),
        ];
        assert_eq!(changed_anchors(&old, &new), expected);
        assert!(changed_anchors(&old, &old).is_empty());
    }

    #[test]
    fn logs_have_short_digests() {
        let digest = "ab".repeat(32);
        assert_eq!(
            shortened(&format!("chain {digest} becomes {digest}; ü")),
            "chain abababababab becomes abababababab; ü"
        );
        assert_eq!(
            shortened("cafe 0123456789abcdef0"),
            "cafe 0123456789abcdef0"
        );
    }
}
