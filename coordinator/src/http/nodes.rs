//! `/v1/nodes`: the admitted nodes, and which of them are online.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use countersign_api::{NodeList, NodeView, RequesterList};
use countersign_protocol::NodeId;

use super::App;

/// List nodes
///
/// Every admitted node, in the order of their ids, with its versions, plugins and clock as it tells
/// of them.
#[utoipa::path(
    get,
    path = "/nodes",
    operation_id = "listNodes",
    tag = "nodes",
    responses((status = 200, description = "The nodes.", body = NodeList))
)]
pub async fn list(State(app): State<Arc<App>>) -> Json<NodeList> {
    let mut seen = app.registry.nodes();
    let view = |(id, name): (&NodeId, &String)| {
        let seen = seen.remove(id);
        let online = seen.as_ref().filter(|seen| seen.online);
        NodeView {
            id: *id,
            name: name.clone(),
            online: online.is_some(),
            draining: online.is_some_and(|seen| seen.draining),
            software: online.map(|seen| seen.software.clone()),
            since: online.map(|seen| seen.since),
            last_seen: seen.as_ref().map(|seen| seen.last_seen),
            reported: seen.and_then(|seen| seen.status),
        }
    };
    let nodes = app.registry.rules().nodes.iter().map(view).collect();
    Json(NodeList { nodes })
}

/// List requesters
///
/// Whose tasks the coordinator accepts. Nodes have their own lists in any case.
#[utoipa::path(
    get,
    path = "/requesters",
    operation_id = "listRequesters",
    tag = "nodes",
    responses((status = 200, description = "The requesters.", body = RequesterList))
)]
pub async fn requesters(State(app): State<Arc<App>>) -> Json<RequesterList> {
    let listed = app.registry.rules().requesters.clone();
    Json(RequesterList {
        any: listed.is_none(),
        requesters: listed.unwrap_or_default(),
    })
}
