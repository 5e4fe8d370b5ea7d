//! `/v1/nodes`: the admitted nodes, and which of them are online.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use countersign_api::{NodeList, NodeView};
use countersign_protocol::NodeId;

use super::App;

/// List nodes
///
/// Every admitted node, in the order of their ids.
#[utoipa::path(
    get,
    path = "/nodes",
    operation_id = "listNodes",
    tag = "nodes",
    responses((status = 200, description = "The nodes.", body = NodeList))
)]
pub async fn list(State(app): State<Arc<App>>) -> Json<NodeList> {
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
    Json(NodeList { nodes })
}
