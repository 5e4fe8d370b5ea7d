//! The commands of `countersign requester`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use countersign_cli_kit::{joining, six_words};
use countersign_client::{ClientError, RequesterKey};
use countersign_link::Identity;
use countersign_protocol::contact::{Contact, Role, is_name};
use countersign_protocol::invitation::Token;
use countersign_protocol::{CoordinatorId, RequesterId};
use serde_json::json;

use super::in_runtime;
use super::line::Line;
use super::new_profile::NewProfile;
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
    /// what belongs into the profile, or writes it. If it fails, the key is kept, and you can run
    /// it again.
    Join {
        /// The token (csi1...). `-` reads it from standard input, so that no other user of this
        /// machine can see it.
        token: String,
        /// The file of the key; made if it does not exist. Default, with --new-profile:
        /// requester.key beside the profile.
        #[arg(long, value_name = "FILE", required_unless_present = "new_profile")]
        key: Option<PathBuf>,
        /// Write the profile, which must not exist yet. Asks on the terminal, for each node that
        /// the coordinator proposes, whether its words are those that its operator told you, and
        /// names only those nodes.
        #[arg(long)]
        new_profile: bool,
        /// The coordinator's HTTP API, for the new profile.
        #[arg(
            long,
            value_name = "URL",
            requires = "new_profile",
            default_value = "http://127.0.0.1:7480"
        )]
        coordinator: String,
    },
}

pub fn execute(
    command: RequesterCommand,
    profile: impl FnOnce() -> Result<PathBuf, ClientError>,
    output: &Output,
) -> Result<(), ClientError> {
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
        RequesterCommand::Join {
            token,
            key,
            new_profile: true,
            coordinator,
        } => {
            let profile = NewProfile::at(profile()?, key, coordinator)?;
            let token = read(&token)?;
            let joined = join(&token, &profile.key, output)?;
            profile.write(&joined, output)
        }
        RequesterCommand::Join { token, key, .. } => {
            let missing = || ClientError::Usage("name the file of the key with --key".into());
            let file = key.ok_or_else(missing)?;
            let joined = join(&read(&token)?, &file, output)?;
            show(&joined, &file, output)
        }
    }
}

/// What a requester knows once it is registered.
pub struct Joined {
    pub requester: RequesterId,
    pub coordinator: CoordinatorId,
    /// Proposed by the coordinator, so to be compared.
    pub nodes: Vec<Contact>,
}

fn join(token: &Token, file: &Path, output: &Output) -> Result<Joined, ClientError> {
    let usage = |error: String| ClientError::Usage(error);
    let key = if file.exists() {
        RequesterKey::load(file)?
    } else {
        RequesterKey::create(file)?
    };
    let identity = Identity::from_seed(&key.expose_seed());
    let identity = Arc::new(identity.map_err(|error| usage(error.to_string()))?);
    let joined = async {
        let joined = joining::join(&identity, token).await;
        joined.map_err(|error| {
            usage(format!(
                "not registered; the key is kept, and you can run the command again: {error}"
            ))
        })
    };
    let mut contacts = in_runtime(joined)?;
    contacts.retain(|contact| is_name(contact.name()) && contact.role() == Role::Node);
    output.note(format!(
        "Registered as `{}`. Tell your six words to the operators of the nodes, over a channel on which they recognise you:",
        token.invitation.name
    ));
    output.note(format!("  {}", words(&key.id())));
    Ok(Joined {
        requester: key.id(),
        coordinator: token.invitation.coordinator,
        nodes: contacts,
    })
}

/// Shows what belongs into a profile.
fn show(joined: &Joined, file: &Path, output: &Output) -> Result<(), ClientError> {
    output.note("The coordinator proposes the nodes below: compare their words with their operators before you copy them into the profile.");
    let own = words(&joined.requester);
    let nodes = joined.nodes.iter().map(
        |contact| json!({"name": contact.name(), "id": contact.id(), "words": node_words(contact)}),
    );
    let value = json!({
        "requester": joined.requester,
        "words": own,
        "file": file,
        "coordinator": joined.coordinator,
        "nodes": nodes.collect::<Vec<_>>(),
    });
    let mut lines: Vec<Line> = vec![
        format!("# {}", joined.requester).into(),
        format!("# words of this requester: {own}").into(),
        format!("coordinator_id: {}", joined.coordinator).into(),
        "nodes:".to_owned().into(),
    ];
    lines.extend(joined.nodes.iter().map(|contact| {
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
        if std::io::stdin().is_terminal() {
            eprint!("Paste the token: ");
        }
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

pub fn words(id: &RequesterId) -> String {
    six_words("requester", id.as_bytes())
}

pub fn node_words(contact: &Contact) -> String {
    six_words("node", contact.key())
}
