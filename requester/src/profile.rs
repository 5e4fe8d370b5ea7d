//! The profile as text: the coordinator, the files with the keys, and the names of nodes and
//! requesters. One YAML document, of which JSON is a part.
//!
//! `nodes` and `trusted_requesters` are what a wallet is compared with when it is seen for the
//! first time, so they must not come from a coordinator: take each id from the operator or
//! requester that it belongs to, through another channel.

use std::collections::BTreeMap;
use std::path::PathBuf;

use countersign_payload::{Networks, UnknownNetwork};
use countersign_protocol::{ApproverId, CoordinatorId, NodeId, RequesterId};
use countersign_strict::is_this_machine;
use serde::de::{DeserializeSeed, Deserializer};
use serde::{Deserialize, Serialize};

use crate::known::Known;
use crate::names::{Text, name_in, names, people};
use crate::webhook::WebhookKey;

/// A requester's settings; relative paths start at the directory of its file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// URL of the coordinator's API, such as `http://127.0.0.1:7480`.
    #[serde(deserialize_with = "http_url")]
    pub coordinator: String,
    /// The coordinator's id, from its operator: signed requests name it. Without an `api_key_file`
    /// it is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordinator_id: Option<CoordinatorId>,
    /// Certificates in PEM: the coordinator's own or its issuer's, and no others are believed.
    /// Absent: those that this machine believes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coordinator_ca: Option<PathBuf>,
    /// File with the API key, mode 0600. Absent: requests are signed by the requester's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// File with the requester's key, mode 0600. Reading works without it, given an API key.
    pub requester_key_file: Option<PathBuf>,
    /// File with the key of an approver, mode 0600, for voting on tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver_key_file: Option<PathBuf>,
    /// File of the wallet book; created when needed.
    #[serde(default = "default_book")]
    pub wallet_book: PathBuf,
    /// The requester's own names for nodes. A wallet is believed at first sight only if each of its
    /// members is one of them.
    #[serde(default, deserialize_with = "names")]
    pub nodes: BTreeMap<String, NodeId>,
    /// Names of other requesters whose wallets this one uses. Your own key needs no entry.
    #[serde(default, deserialize_with = "names")]
    pub trusted_requesters: BTreeMap<String, RequesterId>,
    /// People who vote, each with the ids of her keys, from herself. Only votes of these keys count
    /// then. Absent: who has which key is the coordinator's word.
    #[serde(
        default,
        deserialize_with = "people",
        skip_serializing_if = "Option::is_none"
    )]
    pub approvers: Option<BTreeMap<String, Vec<ApproverId>>>,
    /// Keys (`whpk_…`) of the coordinator's webhooks, from its operator. Absent: they are fetched
    /// from the coordinator.
    #[serde(default, deserialize_with = "webhook_keys")]
    pub webhook_keys: Vec<String>,
    /// Networks of chains whose transactions do not name theirs.
    #[serde(default)]
    pub chains: Chains,
    /// The pages that may collect votes of passkeys, as the nodes have them in quorum.yaml. Absent:
    /// such votes are shown, and not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passkeys: Option<Passkeys>,
}

/// Pages that may collect votes of passkeys, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passkeys {
    /// The domain to which the passkeys are bound.
    pub rp_id: String,
    /// The origins of the pages themselves.
    pub origins: Vec<String>,
}

/// The networks of the wallets' coins. Absent: the main networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Chains {
    /// `mainnet`, `testnet`, `testnet4`, `signet`, `regtest`, or a CAIP-2 id.
    #[serde(deserialize_with = "bitcoin_network")]
    pub bitcoin: String,
    /// `mainnet`, `devnet`, `testnet`, or a CAIP-2 id.
    #[serde(deserialize_with = "solana_network")]
    pub solana: String,
}

impl Default for Chains {
    fn default() -> Self {
        Self {
            bitcoin: "mainnet".into(),
            solana: "mainnet".into(),
        }
    }
}

impl Chains {
    /// The networks that these names stand for.
    pub fn networks(&self) -> Result<Networks, UnknownNetwork> {
        Networks::named(&self.bitcoin, &self.solana)
    }
}

impl Profile {
    /// Reads the text of a profile. An error names the line.
    pub fn parse(text: &str) -> Result<Self, countersign_strict::DocumentError> {
        countersign_strict::yaml(text)
    }

    /// Those whom this profile names, and its own requester.
    pub fn known(&self, own: Option<RequesterId>) -> Known<'_> {
        Known {
            nodes: &self.nodes,
            trusted_requesters: &self.trusted_requesters,
            own,
        }
    }

    /// The profile's name for a node, or its id.
    pub fn name_of(&self, node: &NodeId) -> String {
        name_in(&self.nodes, node).map_or_else(|| node.to_string(), str::to_owned)
    }

    /// The profile's name for a node, or the beginning and the end of its id. For display
    /// only, never for comparing.
    pub fn short_name(&self, node: &NodeId) -> String {
        match name_in(&self.nodes, node) {
            Some(name) => name.into(),
            None => {
                let id = node.to_string();
                format!("{}…{}", &id[..12], &id[id.len() - 4..])
            }
        }
    }

    /// Replaces ids in a text from elsewhere by the profile's names.
    pub fn with_names(&self, text: &str) -> String {
        self.nodes.iter().fold(text.to_owned(), |text, (name, id)| {
            text.replace(&id.to_string(), name)
        })
    }

    /// True if the node has a name in the profile.
    pub fn names_node(&self, node: &NodeId) -> bool {
        name_in(&self.nodes, node).is_some()
    }

    /// The profile's name for a trusted requester, apart from your own.
    pub fn requester_name(&self, requester: &RequesterId) -> Option<&str> {
        name_in(&self.trusted_requesters, requester)
    }
}

fn default_book() -> PathBuf {
    "wallets.json".into()
}

/// Why a text is not the URL of a coordinator.
#[derive(Debug, thiserror::Error)]
enum UrlError {
    #[error("`{0}` is not an https URL; write https:// and the coordinator's name")]
    Form(String),
    #[error(
        "`{0}` has no TLS, so keys and orders could be read in transit; write https, or http for a coordinator on this machine"
    )]
    Open(String),
}

fn http_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let is_url = |text: &str| match text.split_once("://") {
        Some(("https", _)) => Ok(text.to_owned()),
        Some(("http", rest)) if is_this_machine(host(rest)) => Ok(text.to_owned()),
        Some(("http", _)) => Err(UrlError::Open(text.to_owned())),
        Some(_) | None => Err(UrlError::Form(text.to_owned())),
    };
    Text::new(is_url).deserialize(deserializer)
}

/// The host of a URL, from what follows its scheme. Anything unusual is no host of this machine.
fn host(rest: &str) -> &str {
    let end = rest.find(['/', '?', '#', '\\']);
    let authority = end.map_or(rest, |end| &rest[..end]);
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => authority,
    }
}

fn webhook_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let keys = Vec::<String>::deserialize(deserializer)?;
    for key in &keys {
        WebhookKey::parse(key).map_err(serde::de::Error::custom)?;
    }
    Ok(keys)
}

fn bitcoin_network<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    network(|name| Networks::named(name, &Chains::default().solana)).deserialize(deserializer)
}

fn solana_network<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    network(|name| Networks::named(&Chains::default().bitcoin, name)).deserialize(deserializer)
}

/// Reads the name of a network and keeps it as written.
fn network(
    named: impl FnOnce(&str) -> Result<Networks, UnknownNetwork>,
) -> Text<impl FnOnce(&str) -> Result<String, UnknownNetwork>, String, UnknownNetwork> {
    Text::new(|name: &str| named(name).map(|_| name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(coordinator: &str) -> serde_json::Result<Profile> {
        serde_json::from_value(serde_json::json!({"coordinator": coordinator}))
    }

    #[test]
    fn a_key_has_one_owner_in_the_list_of_approvers() {
        let id = |seed| crate::VotingKey::from_seed(&[seed; 32]).unwrap().id();
        let profile = |approvers: String| {
            Profile::parse(&format!(
                "coordinator: http://127.0.0.1:1\napprovers:\n{approvers}"
            ))
        };
        let read = profile(format!(
            "  ann: [{}, {}]\n  ben: [{}]\n",
            id(1),
            id(2),
            id(3)
        ));
        let listed = read.unwrap().approvers.unwrap();
        assert_eq!(listed["ann"], [id(1), id(2)]);
        assert_eq!(listed["ben"], [id(3)]);
        let nobody = profile(String::new()).unwrap().approvers;
        assert_eq!(nobody, Some(BTreeMap::new()), "nobody counts");
        for (twice, part) in [
            (
                format!("  ann: [{}]\n  ben: [{}]\n", id(1), id(1)),
                "one owner",
            ),
            (format!("  ann: [{}, {}]\n", id(1), id(1)), "one owner"),
            (format!("  ann: [{}]\n  ann: [{}]\n", id(1), id(2)), "twice"),
            (format!("  {}: [{}]\n", id(1), id(2)), "cannot be a name"),
            ("  ann: [csv1nonsense]\n".into(), "csv1"),
        ] {
            let error = profile(twice).unwrap_err().to_string();
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn orders_and_keys_travel_in_the_open_on_this_machine_alone() {
        for url in [
            "https://coordinator.example:7480",
            "http://127.0.0.1:7480",
            "http://localhost:7480/",
            "http://[::1]:7480",
            "http://[::ffff:127.0.0.1]",
        ] {
            let read = read(url).unwrap();
            assert_eq!(read.coordinator, url);
        }
        for url in [
            "http://coordinator.example:7480",
            "http://10.0.0.1",
            "http://0.0.0.0:7480",
            "http://[fd00::1]:1",
            "http://127.0.0.1:1@evil.example",
            "http://127.0.0.1@evil.example",
            "http://localhost.evil.example",
            "http://evil.example/127.0.0.1",
            "http://evil.example\\@127.0.0.1",
        ] {
            let error = read(url).unwrap_err().to_string();
            assert!(error.contains("has no TLS"), "{url}: {error}");
        }
        for url in [
            "coordinator:7480",
            "ftp://127.0.0.1",
            "HTTP://evil.example",
            "",
        ] {
            assert!(
                read(url).unwrap_err().to_string().contains("https"),
                "{url}"
            );
        }
    }
}
