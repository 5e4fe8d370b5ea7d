//! A node's description of itself, for the coordinator's lists and screens. It is the node's word:
//! nobody verifies it, and nothing is decided by it.

use serde::{Deserialize, Serialize};

use crate::hash::Hash;
use crate::task::UnixMillis;

/// The maximum number of plugins in a [`NodeStatus`].
pub const MAX_PLUGINS: usize = 32;
/// The maximum number of entries in each list of [`Guards`].
pub const MAX_GUARDED: usize = 32;
/// The maximum number of policy bundles in a [`NodeStatus`].
pub const MAX_BUNDLES: usize = 8;

/// A node's description of itself at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeStatus {
    /// Program and version.
    pub software: String,
    /// The node's clock when it wrote this.
    pub clock: UnixMillis,
    /// The signature schemes that it knows, by name. Names of later versions may be among them.
    pub schemes: Vec<String>,
    /// Its plugin entries in the order of its configuration; at most [`MAX_PLUGINS`].
    pub plugins: Vec<PluginStatus>,
    /// Entries beyond the limit, which are left out of `plugins`.
    pub more_plugins: u32,
    /// The policy bundles that are in force at it or wait; at most [`MAX_BUNDLES`]. Empty if it
    /// follows none, or is of an earlier version.
    #[serde(default)]
    pub bundles: Vec<BundleStatus>,
}

/// A policy bundle at a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BundleStatus {
    /// Name of the policy that the node follows.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// The hash that its publishers have signed.
    pub digest: Hash,
    /// Whether the node decides by it.
    pub state: BundleState,
    /// The time at which it takes effect if the node runs until then, by the node's clock. Absent
    /// if it is in force. It may be earlier: what tightens does not wait.
    pub until: Option<UnixMillis>,
    /// Number of the node's publishers who have signed it.
    pub signed: u32,
    /// Number of them who must have.
    pub needed: u32,
}

/// Whether a node decides by a policy bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum BundleState {
    /// The node decides by it.
    InForce,
    /// It is to take effect later, or could not be put in force yet.
    Waiting,
}

/// A [`NodeStatus`] in the frame of version 1, which ends before the bundles. Readers of that
/// version refuse what follows.
pub(crate) mod without_bundles {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{NodeStatus, PluginStatus, UnixMillis};

    pub fn serialize<S: Serializer>(status: &NodeStatus, to: S) -> Result<S::Ok, S::Error> {
        let NodeStatus {
            software,
            clock,
            schemes,
            plugins,
            more_plugins,
            bundles: _,
        } = status;
        (software, clock, schemes, plugins, more_plugins).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Box<NodeStatus>, D::Error> {
        type Fields = (String, UnixMillis, Vec<String>, Vec<PluginStatus>, u32);
        let (software, clock, schemes, plugins, more_plugins) = Fields::deserialize(from)?;
        Ok(Box::new(NodeStatus {
            software,
            clock,
            schemes,
            plugins,
            more_plugins,
            bundles: Vec::new(),
        }))
    }
}

/// One plugin entry of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PluginStatus {
    /// The entry's name in the node's configuration.
    pub name: String,
    /// The part that it plays in decisions.
    pub state: PluginState,
    /// The version by which the component describes itself; absent if it is broken, as are the
    /// next two.
    pub version: Option<String>,
    /// SHA-256 of the component.
    pub digest: Option<Hash>,
    /// SHA-256 of its configuration.
    pub config: Option<Hash>,
    /// True if it may ask somebody outside the node. A preflight does not ask it.
    pub remote: bool,
    /// The tasks that it guards.
    pub guards: Guards,
}

/// The part that a plugin entry plays in decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PluginState {
    /// It decides on what it guards.
    InForce,
    /// It decides nothing, and is compared with those that do.
    Shadow,
    /// It was not loaded, and what it guards is refused.
    Broken,
}

/// The tasks that a plugin guards. An empty list means all; a task must fit all three.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Guards {
    /// Kinds of operation by name, such as `keysign`.
    pub operations: Vec<String>,
    /// Key ids; at most [`MAX_GUARDED`].
    pub keys: Vec<String>,
    /// Keys beyond the limit, which are left out of `keys`.
    pub more_keys: u32,
    /// Signature schemes by name.
    pub schemes: Vec<String>,
}
