//! `countersign node`.

use clap::Subcommand;
use countersign_client::api::NodeView;
use countersign_client::{Client, ClientError, Profile};
use serde_json::json;

use super::line::{Table, Tone};
use super::output::Output;

/// Subcommands for nodes.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// List the nodes that the coordinator admits, and which of them are online,
    /// as reported by the coordinator.
    ///
    /// The first column is your profile's name for the node. The coordinator's name for it is in
    /// the last one and is used for nothing.
    List,
}

pub async fn execute(
    command: NodeCommand,
    client: &Client,
    output: &Output,
) -> Result<(), ClientError> {
    let NodeCommand::List = command;
    let nodes = client.nodes().await?;
    let mut table = Table::new(&["name", "state", "software", "id", "coordinator's name"]);
    for node in &nodes {
        let state = if node.online {
            ("online".into(), Tone::Good)
        } else {
            ("offline".into(), Tone::Attention)
        };
        let software = node.software.clone().unwrap_or_else(|| "-".into());
        let id = (node.id.to_string(), Tone::Dim);
        table.row([
            own_name(client.profile(), node),
            state,
            (software, Tone::Plain),
            id,
            there(client.profile(), node),
        ]);
    }
    output.result(&json!({ "nodes": nodes }), &table.lines())
}

fn own_name(profile: &Profile, node: &NodeView) -> (String, Tone) {
    if profile.names_node(&node.id) {
        (profile.name_of(&node.id), Tone::Plain)
    } else {
        ("-".into(), Tone::Dim)
    }
}

/// A coordinator may use the profile's name of one node for another.
fn there(profile: &Profile, node: &NodeView) -> (String, Tone) {
    match profile.nodes.get(&node.name) {
        Some(known) if *known != node.id => {
            (format!("{} (NOT your {})", node.name, node.name), Tone::Bad)
        }
        Some(_) | None => (node.name.clone(), Tone::Dim),
    }
}
