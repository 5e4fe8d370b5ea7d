//! The incumbent's `embedded_risk_control_rules` tree, extended by `key_sign`. Unknown keys are
//! errors, so that a misspelt rule is not silently ignored.

use serde::Deserialize;

use crate::key_sign::KeySignRules;

/// Root of the tree.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Must be true; see `disabled` for the reason.
    #[serde(default)]
    pub enable: bool,
    /// Rules for KeyGen; without a list all are refused.
    #[serde(default)]
    pub key_gen: KeyGenRules,
    /// Rules for KeySign; without policies and deny list all are allowed unless `reject_all`.
    #[serde(default)]
    pub key_sign: KeySignRules,
    /// Rules for KeyReshare; without a list all are refused.
    #[serde(default)]
    pub key_reshare: KeyReshareRules,
    /// Rules for check-ups of key shares; all are allowed unless `reject_all`.
    #[serde(default)]
    pub key_share_sign: RejectAll,
}

/// A section with a switch and no list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RejectAll {
    /// Refuses every task of the kind.
    #[serde(default)]
    pub reject_all: bool,
}

/// Rules for KeyGen. Without a list no key can be created.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyGenRules {
    /// Refuses every KeyGen, even a listed one.
    #[serde(default)]
    pub reject_all: bool,
    /// A KeyGen must equal one of these.
    #[serde(default)]
    pub allow_list: Vec<KeyGenEntry>,
}

/// A permitted committee for new keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyGenEntry {
    /// The exact threshold; a higher one does not match.
    pub threshold: u16,
    /// The exact set of nodes, in any order. Without it, `nodes` says how many.
    pub node_ids: Option<Vec<String>>,
    /// As many nodes, whichever: the node takes part only in committees from its roster.
    pub nodes: Option<u16>,
}

/// Rules for KeyReshare. Without a list no key can be reshared.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyReshareRules {
    /// Refuses every KeyReshare, even a listed one.
    #[serde(default)]
    pub reject_all: bool,
    /// A KeyReshare must equal one of these.
    #[serde(default)]
    pub allow_list: Vec<KeyReshareEntry>,
}

/// One permitted move of one key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyReshareEntry {
    /// Root extended public key of the key.
    pub xpubkey: String,
    /// The exact threshold after the move.
    pub new_threshold: u16,
    /// The exact set of nodes after the move, in any order.
    pub new_node_ids: Vec<String>,
}

impl Config {
    /// Rejects entries that can never match.
    pub fn validate(&self) -> Result<(), String> {
        for (i, entry) in self.key_gen.allow_list.iter().enumerate() {
            entry.validate(&format!("key_gen.allow_list[{i}]"))?;
        }
        for (i, entry) in self.key_reshare.allow_list.iter().enumerate() {
            committee(
                &format!("key_reshare.allow_list[{i}]"),
                entry.new_threshold,
                &entry.new_node_ids,
            )?;
        }
        Ok(())
    }
}

impl KeyGenEntry {
    fn validate(&self, at: &str) -> Result<(), String> {
        match (&self.node_ids, self.nodes) {
            (Some(ids), None) => committee(at, self.threshold, ids),
            (None, Some(nodes)) => fits(at, self.threshold, nodes.into()),
            (Some(_), Some(_)) | (None, None) => Err(format!(
                "{at}: write either `node_ids`, the ids of the nodes, or `nodes`, their number"
            )),
        }
    }
}

fn committee(at: &str, threshold: u16, node_ids: &[String]) -> Result<(), String> {
    let mut ids: Vec<_> = node_ids.iter().collect();
    ids.sort();
    if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("{at}: the node id {} is repeated", pair[0]));
    }
    fits(at, threshold, node_ids.len())
}

fn fits(at: &str, threshold: u16, nodes: usize) -> Result<(), String> {
    if threshold == 0 || usize::from(threshold) > nodes {
        return Err(format!(
            "{at}: the threshold {threshold} does not fit {nodes} nodes"
        ));
    }
    Ok(())
}
