//! `/v1/nodes`: the admitted nodes, and which of them are online.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use countersign_protocol::{NodeId, UnixMillis};
use serde::Serialize;

use super::App;

#[derive(Debug, Serialize)]
pub struct NodeView {
    id: NodeId,
    name: String,
    online: bool,
    /// Program and version, while online.
    software: Option<String>,
    /// Time of connection, while online.
    since: Option<UnixMillis>,
}

#[derive(Debug, Serialize)]
pub struct Listing {
    nodes: Vec<NodeView>,
}

/// `GET`: every admitted node.
pub async fn list(State(app): State<Arc<App>>) -> Json<Listing> {
    let mut online = app.registry.online();
    let view = |(id, name): (&NodeId, &String)| {
        let presence = online.remove(id);
        let since = presence.as_ref().map(|presence| presence.since);
        let software = presence.map(|presence| presence.software);
        NodeView {
            id: *id,
            name: name.clone(),
            online: since.is_some(),
            software,
            since,
        }
    };
    let nodes = app.registry.rules().nodes.iter().map(view).collect();
    Json(Listing { nodes })
}
