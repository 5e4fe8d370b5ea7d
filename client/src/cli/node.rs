//! `countersign node`.

use clap::Subcommand;
use countersign_client::{Client, ClientError};
use serde_json::json;

use super::output::Output;

/// What to do about nodes.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// List the nodes that the coordinator admits, and which are on line.
    List,
}

/// Runs the command.
pub async fn execute(command: NodeCommand, client: &Client, output: &Output) -> Result<(), ClientError> {
    let NodeCommand::List = command;
    let nodes = client.nodes().await?;
    let row = |node: &countersign_client::api::NodeView| {
        let state = if node.online { "on line" } else { "off line" };
        format!("{}  {state:<8}  {}  {}", node.id, node.name, node.software.as_deref().unwrap_or(""))
    };
    output.result(&json!({"nodes": nodes}), &nodes.iter().map(row).collect::<Vec<_>>())
}
