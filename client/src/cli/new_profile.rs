//! `requester join --new-profile`: a profile with the nodes whose words a person has compared.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use countersign_client::ClientError;
use countersign_protocol::contact::Contact;
use countersign_requester::profile::Profile;
use serde_json::json;

use super::confirm;
use super::output::Output;
use super::requester::{Joined, node_words, words};

/// Name of the key's file, beside the profile.
const KEY: &str = "requester.key";

/// A profile that is to be written.
pub struct NewProfile {
    path: PathBuf,
    /// The file of the requester's key.
    pub key: PathBuf,
    /// The key's file as the profile names it.
    named: PathBuf,
    coordinator: String,
}

impl NewProfile {
    /// Fails if there is a profile, if it could not be written, or if there is nobody to ask.
    pub fn at(
        path: PathBuf,
        key: Option<PathBuf>,
        coordinator: String,
    ) -> Result<Self, ClientError> {
        if path.exists() {
            return Err(ClientError::Usage(format!(
                "{} is there already; leave out --new-profile, and add the lines that are printed then",
                path.display()
            )));
        }
        if !confirm::can_ask() {
            return Err(ClientError::Usage(
                "there is no terminal to compare words on; leave out --new-profile".into(),
            ));
        }
        let folder = folder(&path);
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder);
        made.map_err(|error| unwritten(&folder, &error))?;
        let (key, named) = match key {
            None => (folder.join(KEY), KEY.into()),
            Some(key) => {
                let whole = std::path::absolute(&key).map_err(|error| unwritten(&key, &error))?;
                (whole.clone(), whole)
            }
        };
        Ok(Self {
            path,
            key,
            named,
            coordinator,
        })
    }

    /// Asks for each node, and writes the profile with those that are confirmed.
    pub fn write(&self, joined: &Joined, output: &Output) -> Result<(), ClientError> {
        let mut nodes = Vec::new();
        for contact in &joined.nodes {
            if is_confirmed(contact)? {
                nodes.push(contact);
            } else {
                output.note(format!("`{}` was left out.", contact.name()));
            }
        }
        let text = self.text(joined, &nodes);
        Profile::parse(&text).map_err(|error| {
            ClientError::Usage(format!(
                "the profile would be refused: {error}; nothing was written"
            ))
        })?;
        countersign_files::create(&self.path, text.as_bytes())
            .map_err(|error| unwritten(&self.path, &error))?;
        let names: Vec<&str> = nodes.iter().map(|contact| contact.name()).collect();
        let value = json!({
            "requester": joined.requester,
            "words": words(&joined.requester),
            "file": self.key,
            "coordinator": joined.coordinator,
            "profile": self.path,
            "nodes": names,
        });
        let line = format!("Wrote {}, with {} nodes", self.path.display(), names.len());
        output.result(&value, &[line.into()])
    }

    fn text(&self, joined: &Joined, nodes: &[&Contact]) -> String {
        let mut text = format!(
            "# Written by `countersign requester join`.\ncoordinator: {}\ncoordinator_id: {}\nrequester_key_file: {}\nwallet_book: wallets.json\n",
            json!(self.coordinator),
            joined.coordinator,
            json!(self.named),
        );
        text.push_str("# Their words were compared with their operators.\nnodes:\n");
        for node in nodes {
            text.push_str(&format!("  {}: {}\n", json!(node.name()), node.id()));
        }
        text
    }
}

/// Waits for `yes` on the terminal. Anything else is a no.
fn is_confirmed(contact: &Contact) -> Result<bool, ClientError> {
    let question = format!(
        "node `{}`\n  id     {}\n  words  {}\nAsk its operator for the words, over a channel that the coordinator cannot forge. Are they the same? Type yes: ",
        contact.name(),
        contact.id(),
        node_words(contact)
    );
    confirm::ask(&question, "yes")
}

fn folder(file: &Path) -> PathBuf {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).into()
}

fn unwritten(path: &Path, error: &std::io::Error) -> ClientError {
    ClientError::File {
        path: path.into(),
        reason: error.to_string(),
        advice: "check the folder's owner and the disk",
    }
}

#[cfg(test)]
mod tests {
    use countersign_protocol::{CoordinatorId, NodeId, RequesterId};

    use super::*;

    fn key(seed: u8) -> [u8; 32] {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        key.verifying_key().to_bytes()
    }

    #[test]
    fn the_profile_names_the_nodes_that_were_confirmed_and_is_one() {
        let new = NewProfile {
            path: "/desk/config.yaml".into(),
            key: "/desk/requester.key".into(),
            named: KEY.into(),
            coordinator: "http://127.0.0.1:7480".into(),
        };
        let node = |seed, name: &str| Contact::Node {
            name: name.into(),
            id: NodeId::from_bytes(key(seed)).unwrap(),
        };
        let bob = node(3, "bob: {}");
        let joined = Joined {
            requester: RequesterId::from_bytes(key(1)).unwrap(),
            coordinator: CoordinatorId::from_bytes(key(2)).unwrap(),
            nodes: vec![node(4, "carol"), bob.clone()],
        };
        let profile = Profile::parse(&new.text(&joined, &[&bob])).unwrap();
        assert_eq!(profile.coordinator_id, Some(joined.coordinator));
        assert_eq!(profile.nodes.len(), 1);
        assert_eq!(
            profile.nodes["bob: {}"],
            NodeId::from_bytes(key(3)).unwrap()
        );
        assert!(Profile::parse(&new.text(&joined, &[])).is_ok());
    }

    #[test]
    fn a_profile_that_is_there_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.yaml");
        std::fs::write(&path, "mine").unwrap();
        let refused = NewProfile::at(path.clone(), None, String::new());
        assert!(refused.is_err_and(|error| error.to_string().contains("is there already")));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }
}
