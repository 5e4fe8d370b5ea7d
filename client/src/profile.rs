//! The profile: which coordinator, which keys, and what the requester calls the nodes. One YAML file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use countersign_protocol::NodeId;
use serde::Deserialize;

use crate::error::ClientError;

/// What a requester works with; relative paths start at the file's directory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// URL of the coordinator's API, such as `http://127.0.0.1:7480`.
    pub coordinator: String,
    /// File with the API key, mode 0600.
    pub api_key_file: PathBuf,
    /// File with the requester's key, mode 0600. Reading needs none.
    pub requester_key_file: Option<PathBuf>,
    /// The wallet book.
    #[serde(default = "default_book")]
    pub wallet_book: PathBuf,
    /// The requester's own names for nodes. A coordinator's names are not used to choose who holds a key.
    #[serde(default)]
    pub nodes: BTreeMap<String, NodeId>,
    /// Networks of chains whose transactions do not name theirs.
    #[serde(default)]
    pub chains: Chains,
}

/// `chains`: where the wallets hold their coins. Absent: the main networks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Chains {
    /// `mainnet`, `testnet`, `testnet4`, `signet`, `regtest`, or a CAIP-2 id.
    pub bitcoin: String,
    /// `mainnet`, `devnet`, `testnet`, or a CAIP-2 id.
    pub solana: String,
}

impl Default for Chains {
    fn default() -> Chains {
        Chains { bitcoin: "mainnet".into(), solana: "mainnet".into() }
    }
}

impl Profile {
    /// Reads a profile.
    pub fn load(path: &Path) -> Result<Profile, ClientError> {
        let file = |reason, advice| ClientError::File { path: path.into(), reason, advice };
        let text = std::fs::read_to_string(path)
            .map_err(|error| file(error.to_string(), "write a profile as `countersign --help` shows"))?;
        let mut profile: Profile = serde_norway::from_str(&text)
            .map_err(|error| file(error.to_string(), "correct the profile as `countersign --help` shows"))?;
        let base = path.parent().unwrap_or(Path::new("."));
        profile.api_key_file = base.join(profile.api_key_file);
        profile.requester_key_file = profile.requester_key_file.map(|key| base.join(key));
        profile.wallet_book = base.join(profile.wallet_book);
        Ok(profile)
    }

    /// `countersign/config.yaml` in the user's configuration directory.
    pub fn default_path() -> Option<PathBuf> {
        let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let config = config.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")));
        Some(config?.join("countersign").join("config.yaml"))
    }

    /// The node with this id, or of this name in the profile.
    pub fn node(&self, text: &str) -> Result<NodeId, ClientError> {
        if let Some(node) = self.nodes.get(text) {
            return Ok(*node);
        }
        if !text.starts_with("csn1") {
            let message = format!(
                "`{text}` is no node id and no name under `nodes` in the profile; write the id (csn1…), or add the \
                 name there with the id that the node's operator gave you"
            );
            return Err(ClientError::Usage(message));
        }
        text.parse().map_err(|error| ClientError::Usage(format!("{error}")))
    }

    /// The profile's name for a node, or its id.
    pub fn name_of(&self, node: &NodeId) -> String {
        let named = self.nodes.iter().find(|(_, id)| *id == node);
        named.map_or_else(|| node.to_string(), |(name, _)| name.clone())
    }
}

fn default_book() -> PathBuf {
    "wallets.json".into()
}
