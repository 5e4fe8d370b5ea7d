//! The commands of `countersign requester`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use countersign_cli_kit::{joining, six_words};
use countersign_client::{ClientError, RequesterKey};
use countersign_link::Identity;
use countersign_protocol::RequesterId;
use countersign_protocol::contact::{Contact, Role, is_name};
use countersign_protocol::invitation::Token;
use serde_json::json;

use super::in_runtime;
use super::line::Line;
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
    /// Print a key's id, with the six words by which people compare it.
    Id {
        /// The file of the key.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Register a key at the coordinator that made this token (`countersign-coordinator invite
    /// --requester`). It may then read and order by signed requests, without an API key. Prints
    /// what belongs into the profile. If it fails, the key is kept, and you can run it again.
    Join {
        /// The token (csi1...). `-` reads it from standard input, so that no other user of this
        /// machine can see it.
        token: String,
        /// The file of the key; made if it does not exist.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
}

pub fn execute(command: RequesterCommand, output: &Output) -> Result<(), ClientError> {
    match command {
        RequesterCommand::New { out } => {
            let id = RequesterKey::create(&out)?.id();
            output.note("Give this id to the operators of the nodes, who list it under `requesters`, and to those who use your wallets, who list it under `trusted_requesters`:");
            output.result(
                &json!({"requester": id, "file": out}),
                &[id.to_string().into()],
            )
        }
        RequesterCommand::Id { key } => {
            let id = RequesterKey::load(&key)?.id();
            let words = words(&id);
            output.result(
                &json!({"kind": "requester", "id": id, "words": words}),
                &[id.to_string().into(), words.into()],
            )
        }
        RequesterCommand::Join { token, key } => join(&token, &key, output),
    }
}

fn join(token: &str, file: &Path, output: &Output) -> Result<(), ClientError> {
    let usage = |error: String| ClientError::Usage(error);
    let token = read(token)?;
    let key = if file.exists() {
        RequesterKey::load(file)?
    } else {
        RequesterKey::create(file)?
    };
    let identity = Identity::from_seed(&key.expose_seed());
    let identity = Arc::new(identity.map_err(|error| usage(error.to_string()))?);
    let joined = async {
        let joined = joining::join(&identity, &token).await;
        joined.map_err(|error| {
            usage(format!(
                "not registered; the key is kept, and you can run the command again: {error}"
            ))
        })
    };
    let mut contacts = in_runtime(joined)?;
    contacts.retain(|contact| is_name(contact.name()) && contact.role() == Role::Node);
    let id = key.id();
    let coordinator = token.invitation.coordinator;
    let own = words(&id);
    output.note(format!(
        "Registered as `{}`. Tell your six words to the operators of the nodes, over a channel on which they recognise you. The coordinator proposes the nodes below: compare their words with their operators before you copy them into the profile.",
        token.invitation.name
    ));
    let nodes = contacts.iter().map(
        |contact| json!({"name": contact.name(), "id": contact.id(), "words": node_words(contact)}),
    );
    let value = json!({
        "requester": id,
        "words": own,
        "file": file,
        "coordinator": coordinator,
        "nodes": nodes.collect::<Vec<_>>(),
    });
    let mut lines: Vec<Line> = vec![
        format!("# {id}").into(),
        format!("# words of this requester: {own}").into(),
        format!("coordinator_id: {coordinator}").into(),
        "nodes:".to_owned().into(),
    ];
    lines.extend(contacts.iter().map(|contact| {
        let name = json!(contact.name());
        Line::from(format!(
            "  {name}: {}  # {}",
            contact.id(),
            node_words(contact)
        ))
    }));
    output.result(&value, &lines)
}

/// Reads the token of the command line, or of standard input.
fn read(argument: &str) -> Result<Token, ClientError> {
    let mut text = argument.to_owned();
    if argument == "-" {
        text.clear();
        std::io::stdin().read_line(&mut text).map_err(|error| {
            ClientError::Usage(format!(
                "the token cannot be read from standard input ({error}); write it there"
            ))
        })?;
    }
    let token: Token = text
        .parse()
        .map_err(|error| ClientError::Usage(format!("{error}")))?;
    match token.invitation.role {
        Role::Requester => Ok(token),
        Role::Node => Err(ClientError::Usage(
            "this invitation is for a node; use it with `countersign-node init --join`, or ask for one for a requester".into(),
        )),
    }
}

fn words(id: &RequesterId) -> String {
    six_words("requester", id.as_bytes())
}

fn node_words(contact: &Contact) -> String {
    six_words("node", contact.key())
}
