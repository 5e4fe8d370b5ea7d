//! The commands of `countersign requester`.

use std::path::PathBuf;

use clap::Subcommand;
use countersign_client::{ClientError, RequesterKey};
use serde_json::json;

use super::output::Output;

/// Subcommands for requester keys.
#[derive(Debug, Subcommand)]
pub enum RequesterCommand {
    /// Make a key in a new file of mode 600, and print its id (csr1…) for the
    /// operators of the nodes.
    New {
        /// The file; never overwritten.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

pub fn execute(command: RequesterCommand, output: &Output) -> Result<(), ClientError> {
    let RequesterCommand::New { out } = command;
    let id = RequesterKey::create(&out)?.id();
    output.note("Give this id to the operators of the nodes, who list it under `requesters`, and to those who use your wallets, who list it under `trusted_requesters`:");
    output.result(
        &json!({"requester": id, "file": out}),
        &[id.to_string().into()],
    )
}
