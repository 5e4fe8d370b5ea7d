//! Nodes, as the coordinator sees them.

use countersign_protocol::node_status::NodeStatus;
use countersign_protocol::{NodeId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::Open;

/// A node that the coordinator admits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeView {
    /// The node's id.
    pub id: NodeId,
    /// Its name in the coordinator's configuration.
    pub name: String,
    /// True while it is connected.
    pub online: bool,
    /// Program and version, while online, as the node reports them.
    pub software: Option<String>,
    /// True while it is online and takes no new tasks, because its operator is about to stop it.
    #[serde(default)]
    pub draining: bool,
    /// Time of connection, while online.
    pub since: Option<UnixMillis>,
    /// Time of the last sign of life; absent if there was none since the coordinator started.
    #[serde(default)]
    pub last_seen: Option<UnixMillis>,
    /// What it last said of itself.
    #[serde(default)]
    pub reported: Option<Reported>,
}

/// A node's description of itself, as it arrived. The node's word: for display only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reported {
    /// The time of arrival, by the coordinator's clock.
    pub at: UnixMillis,
    /// The node's clock minus the coordinator's at arrival, in ms. Contains the time that the
    /// description travelled.
    pub skew_ms: i64,
    /// The description, with its texts bounded and printable.
    #[cfg_attr(feature = "openapi", schema(value_type = NodeStatus))]
    pub status: Open<NodeStatus>,
}

/// All admitted nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeList {
    /// In the order of their ids.
    pub nodes: Vec<NodeView>,
}
