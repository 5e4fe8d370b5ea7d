//! The commands of `countersign requester`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use countersign_cli_kit::joining::{self, JoinError};
use countersign_cli_kit::six_words;
use countersign_client::{ClientError, RequesterKey};
use countersign_link::Identity;
use countersign_protocol::contact::{Contact, Role, is_name};
use countersign_protocol::invitation::Token;
use countersign_protocol::{CoordinatorId, RequesterId};
use serde_json::{Value, json};

use super::in_runtime;
use super::line::Line;
use super::new_profile::NewProfile;
use super::output::Output;

/// Most nodes whose words are computed, which takes a sixth of a second each.
const WORDS_SHOWN: usize = 50;

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
    /// --requester`). It may then read and order by signed requests, without an API key, as far as
    /// the invitation goes. Prints what belongs into the profile, or writes it. The key is kept in
    /// any case: if the answer is lost, run the command again with the same token.
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

/// The knowledge of a requester that has been registered.
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
        joined.map_err(|error| usage(not_told(&error)))
    };
    let mut nodes = in_runtime(joined)?;
    nodes.retain(|contact| is_name(contact.name()) && contact.role() == Role::Node);
    output.note(format!(
        "Registered as `{}`. Tell your six words to the operators of the nodes, over a channel on which they recognise you:",
        token.invitation.name
    ));
    output.note(format!("  {}", words(&key.id())));
    Ok(Joined {
        requester: key.id(),
        coordinator: token.invitation.coordinator,
        nodes,
    })
}

/// Shows what belongs into a profile.
fn show(joined: &Joined, file: &Path, output: &Output) -> Result<(), ClientError> {
    output.note("The coordinator proposes the nodes below: compare their words with their operators before you copy them into the profile.");
    let own = words(&joined.requester);
    let proposed = Proposed::of(&joined.nodes);
    let without = proposed.nodes.len().saturating_sub(WORDS_SHOWN);
    if without > 0 {
        output.note(format!(
            "{without} nodes are shown without their words; compare their ids as a whole."
        ));
    }
    let value = json!({
        "requester": joined.requester,
        "words": own,
        "file": file,
        "coordinator": joined.coordinator,
        "nodes": proposed.json(),
    });
    let mut lines: Vec<Line> = vec![
        format!("# {}", joined.requester).into(),
        format!("# words of this requester: {own}").into(),
        format!("coordinator_id: {}", joined.coordinator).into(),
        "nodes:".to_owned().into(),
    ];
    lines.extend(proposed.lines());
    output.result(&value, &lines)
}

/// Reads the token of the command line, or of standard input.
fn read(argument: &str) -> Result<Token, ClientError> {
    let token = joining::read_token(argument, Role::Requester);
    token.map_err(|error| ClientError::Usage(error.to_string()))
}

/// The state of the registration after this error.
fn not_told(error: &JoinError) -> String {
    if error.may_be_registered() {
        format!(
            "the key is kept, and may be registered: run the command again with the same token to be told; {error}"
        )
    } else {
        format!("not registered, and the key is kept: {error}")
    }
}

/// The nodes that the coordinator proposes, the first of them with their words.
struct Proposed {
    nodes: Vec<(Contact, Option<String>)>,
}

impl Proposed {
    fn of(contacts: &[Contact]) -> Self {
        let is_shown = |contact: &Contact| is_name(contact.name()) && contact.role() == Role::Node;
        let nodes = contacts.iter().filter(|node| is_shown(node)).enumerate();
        let nodes = nodes.map(|(place, node)| {
            let words = (place < WORDS_SHOWN).then(|| six_words("node", node.key()));
            (node.clone(), words)
        });
        Self {
            nodes: nodes.collect(),
        }
    }

    fn json(&self) -> Vec<Value> {
        let nodes = self.nodes.iter();
        nodes
            .map(|(node, words)| json!({"name": node.name(), "id": node.id(), "words": words}))
            .collect()
    }

    fn lines(&self) -> impl Iterator<Item = Line> {
        self.nodes.iter().map(|(node, words)| {
            let name = json!(node.name());
            let words = words.as_ref();
            let words = words.map_or_else(String::new, |words| format!("  # {words}"));
            format!("  {name}: {}{words}", node.id()).into()
        })
    }
}

pub fn words(id: &RequesterId) -> String {
    six_words("requester", id.as_bytes())
}

pub fn node_words(contact: &Contact) -> String {
    six_words("node", contact.key())
}

#[cfg(test)]
mod tests {
    use countersign_protocol::NodeId;

    use super::*;

    #[test]
    fn the_words_of_the_first_nodes_are_computed_and_no_others() {
        let key = Identity::from_seed(&[7; 32]).unwrap().public().0;
        let id = NodeId::from_bytes(key).unwrap();
        let node = |number: usize| Contact::Node {
            name: format!("n{number}"),
            id,
        };
        let hidden = Contact::Node {
            name: "x\u{1b}".into(),
            id,
        };
        let contacts: Vec<Contact> = [hidden]
            .into_iter()
            .chain((0..WORDS_SHOWN + 900).map(node))
            .collect();
        let proposed = Proposed::of(&contacts);
        let with_words = proposed.nodes.iter().filter(|(_, words)| words.is_some());
        assert_eq!(with_words.count(), WORDS_SHOWN);
        assert_eq!(proposed.json().len(), WORDS_SHOWN + 900);
        let lines = proposed.lines().count();
        assert_eq!(lines, WORDS_SHOWN + 900);
        assert_eq!(proposed.json()[WORDS_SHOWN]["words"], Value::Null);
    }

    #[test]
    fn whoever_may_be_registered_is_told_how_to_know() {
        let lost = not_told(&JoinError::Version);
        assert!(
            lost.contains("may be registered: run the command again"),
            "{lost}"
        );
        let refused = not_told(&JoinError::NotLetIn);
        assert!(refused.starts_with("not registered"), "{refused}");
    }
}
