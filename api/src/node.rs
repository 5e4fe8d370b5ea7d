//! Nodes, as the coordinator sees them.

use countersign_protocol::{NodeId, UnixMillis};
use serde::{Deserialize, Serialize};

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
    /// Time of connection, while online.
    pub since: Option<UnixMillis>,
}

/// All admitted nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeList {
    /// In the order of their ids.
    pub nodes: Vec<NodeView>,
}
