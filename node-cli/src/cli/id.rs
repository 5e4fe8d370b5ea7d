//! `id`: prints the node's id, with the six words by which people compare it.

use anyhow::Context;
use countersign_cli_kit::{Output, six_words};
use countersign_node::config::Config;
use countersign_node::public;
use countersign_protocol::NodeId;
use serde_json::json;

use super::Args;

#[derive(Debug, clap::Args)]
pub struct Id {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Id {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let id = own_id(&Config::load(&args.config)?)?;
        let words = words(&id);
        let value = json!({"kind": "node", "id": id, "words": words});
        Ok(Output::new(self.json).result(&value, || format!("{id}\n{words}\n"))?)
    }
}

/// The id of the node with this configuration.
pub(super) fn own_id(config: &Config) -> anyhow::Result<NodeId> {
    let missing = || {
        format!(
            "{} cannot be read; run `countersign-node init` first",
            config.dir.join(public::FILE).display()
        )
    };
    Ok(public::read(&config.dir).with_context(missing)?.node)
}

/// The six words of a node's id.
pub(super) fn words(id: &NodeId) -> String {
    six_words("node", id.as_bytes())
}
