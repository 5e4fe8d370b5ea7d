//! The commands of `countersign approver`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use countersign_client::{ClientError, Profile, VoteError, VotingKey};
use serde_json::json;

use super::output::Output;

/// Subcommands for approver keys.
#[derive(Debug, Subcommand)]
pub enum ApproverCommand {
    /// Make a key to vote with in a new file of mode 600, and print its id (csv1…) for the
    /// operators of the nodes and of the coordinator.
    New {
        /// The file; never overwritten.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Print a key's id.
    Show {
        /// The file of the key; default: `approver_key_file` of the profile.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
}

pub fn execute(
    command: ApproverCommand,
    profile: impl FnOnce() -> Result<PathBuf, ClientError>,
    output: &Output,
) -> Result<(), ClientError> {
    match command {
        ApproverCommand::New { out } => {
            let key = VotingKey::create(&out)?;
            output.note("To vote, name the file under `approver_key_file` in your profile. Give this id to the operators of the nodes, who list it under `approvers` in quorum.yaml, and to the operator of the coordinator, over a channel on which they recognise you:");
            show(&key, &out, output)
        }
        ApproverCommand::Show { key: Some(file) } => show(&VotingKey::load(&file)?, &file, output),
        ApproverCommand::Show { key: None } => {
            let profile = Profile::load(&profile()?)?;
            let file = profile.approver_key_file.as_deref();
            let file = file.ok_or(VoteError::NoKey)?;
            show(&VotingKey::load(file)?, file, output)
        }
    }
}

fn show(key: &VotingKey, file: &Path, output: &Output) -> Result<(), ClientError> {
    let id = key.id();
    output.result(
        &json!({"approver": id, "file": file}),
        &[id.to_string().into()],
    )
}
