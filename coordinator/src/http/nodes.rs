//! `/v1/nodes`: the admitted nodes, and which of them are online.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use countersign_api::{NodeList, NodeView, Open, Reported, RequesterList};
use countersign_protocol::NodeId;
use countersign_protocol::node_status::{Guards, PluginStatus};

use super::App;
use crate::api_key::Caller;

/// List nodes
///
/// Every admitted node, in the order of their ids, with its versions, plugins and clock as it tells
/// of them. An API key that is limited to wallets is told of no plugin that guards others alone.
#[utoipa::path(
    get,
    path = "/nodes",
    operation_id = "listNodes",
    tag = "nodes",
    responses((status = 200, description = "The nodes.", body = NodeList))
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Json<NodeList> {
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
            reported: seen
                .and_then(|seen| seen.status)
                .and_then(|told| caller.sees_told(told)),
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

impl Caller {
    /// A node's description of itself as this caller may see it: without the ids and the number of
    /// wallets that it may not know of.
    fn sees_told(&self, told: Reported) -> Option<Reported> {
        if self.wallets.is_none() {
            return Some(told);
        }
        let mut status = told.status.into_known()?;
        status.plugins.retain_mut(|plugin| self.sees_plugin(plugin));
        Some(Reported {
            status: Open::Known(status),
            ..told
        })
    }

    /// A list of keys that is empty means all, so a plugin of which no key may be seen is left out.
    fn sees_plugin(&self, plugin: &mut PluginStatus) -> bool {
        let Guards {
            keys, more_keys, ..
        } = &mut plugin.guards;
        let guards_all = keys.is_empty() && *more_keys == 0;
        keys.retain(|key| key.parse().is_ok_and(|key| self.sees(&key)));
        *more_keys = 0;
        guards_all || !keys.is_empty()
    }
}
