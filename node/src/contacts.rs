//! Files of contacts: what the coordinator proposes, and what operators exchange. Nothing of it
//! counts before the operator has confirmed it.

use std::path::{Path, PathBuf};

use countersign_protocol::contact::{Contact, MAX_CONTACTS, Role, is_name};
use countersign_protocol::{IdError, NodeId};
use countersign_strict::DocumentError;
use serde::{Deserialize, Serialize};

/// Name of the file of the coordinator's proposals, in the node's folder.
pub const PROPOSALS: &str = "proposals.yaml";
/// First lines of that file.
const HEADING: &str = "# Nodes and requesters that the coordinator proposes. This file has no effect: `countersign-node roster confirm`\n\
                       # adds entries to the configuration, once you have compared their six words with their owners.\n";
/// Size limit in bytes.
const LARGEST: u64 = 1 << 20;

/// Why a file of contacts cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub enum ContactsError {
    /// There is no such file, or it cannot be read.
    #[error("{} cannot be read ({error}); check the name and the permissions", path.display())]
    Io {
        path: PathBuf,
        error: std::io::Error,
    },
    /// The file is not one of contacts.
    #[error("{}: {error}", path.display())]
    Document { path: PathBuf, error: DocumentError },
    /// An id in the file is not one.
    #[error("{}: {error}", path.display())]
    Id { path: PathBuf, error: IdError },
    /// A name in the file cannot be one.
    #[error("{}: `{name}` cannot be a name; ask whoever made the file for another", path.display())]
    Name { path: PathBuf, name: String },
    /// There are too many entries.
    #[error("{} has more than {MAX_CONTACTS} entries; divide it", .0.display())]
    TooMany(PathBuf),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    contacts: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    kind: Role,
    name: String,
    id: String,
}

/// Reads a file of contacts.
pub fn read(path: &Path) -> Result<Vec<Contact>, ContactsError> {
    let text =
        countersign_files::read_to_string(path, LARGEST).map_err(|error| ContactsError::Io {
            path: path.into(),
            error,
        })?;
    let file: File = countersign_strict::yaml(&text).map_err(|error| ContactsError::Document {
        path: path.into(),
        error,
    })?;
    if file.contacts.len() > MAX_CONTACTS {
        return Err(ContactsError::TooMany(path.into()));
    }
    let contact = |Entry { kind, name, id }: Entry| {
        if !is_name(&name) {
            return Err(ContactsError::Name {
                path: path.into(),
                name: name.escape_default().to_string(),
            });
        }
        let contact = match kind {
            Role::Node => id.parse().map(|id| Contact::Node { name, id }),
            Role::Requester => id.parse().map(|id| Contact::Requester { name, id }),
        };
        contact.map_err(|error| ContactsError::Id {
            path: path.into(),
            error,
        })
    };
    file.contacts.into_iter().map(contact).collect()
}

/// The text of a file of contacts, below `heading`, which consists of comments.
pub fn text(heading: &str, contacts: &[Contact]) -> String {
    let mut text = format!("{heading}contacts:\n");
    for contact in contacts {
        let entry = serde_json::json!({
            "kind": contact.role(),
            "name": contact.name(),
            "id": contact.id(),
        });
        text.push_str(&format!("  - {entry}\n"));
    }
    text
}

/// Keeps what the coordinator proposes to the node `me` whose folder is `dir`. Returns those that
/// were not proposed before.
pub fn propose(
    dir: &Path,
    me: &NodeId,
    mut contacts: Vec<Contact>,
) -> std::io::Result<Vec<Contact>> {
    contacts.truncate(MAX_CONTACTS);
    // A name that hides something is left out; its owner can still be added by hand.
    contacts.retain(|contact| is_name(contact.name()) && contact.key() != me.as_bytes());
    let file = dir.join(PROPOSALS);
    // A file that is missing or damaged is written anew, and everything in it is news.
    let before = read(&file);
    let was_proposed =
        |contact: &Contact| matches!(&before, Ok(before) if before.contains(contact));
    if !matches!(&before, Ok(before) if *before == contacts) {
        countersign_files::replace(&file, text(HEADING, &contacts).as_bytes())?;
    }
    contacts.retain(|contact| !was_proposed(contact));
    Ok(contacts)
}

#[cfg(test)]
mod tests {
    use countersign_protocol::RequesterId;

    use super::*;
    use crate::specimen::node;

    fn contact(seed: u8, name: &str) -> Contact {
        Contact::Node {
            name: name.into(),
            id: node(seed),
        }
    }

    #[test]
    fn proposals_are_kept_without_this_node_and_without_names_that_hide_something() {
        let dir = tempfile::tempdir().unwrap();
        let desk = Contact::Requester {
            name: "desk".into(),
            id: RequesterId::from_bytes(*node(4).as_bytes()).unwrap(),
        };
        let sent = vec![
            contact(1, "me"),
            contact(2, "bob"),
            contact(3, "x\u{1b}[2J"),
            contact(3, "csn1bob"),
            desk.clone(),
        ];
        let news = propose(dir.path(), &node(1), sent.clone()).unwrap();
        assert_eq!(news, [contact(2, "bob"), desk.clone()]);
        let kept = read(&dir.path().join(PROPOSALS)).unwrap();
        assert_eq!(kept, news);
        assert_eq!(propose(dir.path(), &node(1), sent).unwrap(), []);
        let other = propose(dir.path(), &node(1), vec![contact(3, "bob"), desk]).unwrap();
        assert_eq!(other, [contact(3, "bob")], "another id is news");
    }

    #[test]
    fn a_file_that_is_not_one_of_contacts_is_refused_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peers.yaml");
        assert!(matches!(read(&path), Err(ContactsError::Io { .. })));
        let id = node(2);
        for text in [
            format!("contacts: [{{kind: requester, name: bob, id: {id}}}]"),
            "contacts: [{kind: node, name: bob, id: csn1x}]".into(),
            format!("contacts: [{{kind: coordinator, name: bob, id: {id}}}]"),
            format!("contacts: [{{kind: node, name: ' bob', id: {id}}}]"),
            format!("contacts: [{{kind: node, name: bob, id: {id}, trusted: true}}]"),
            format!("roster: [{{name: bob, id: {id}}}]"),
        ] {
            std::fs::write(&path, &text).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("peers.yaml"), "{error}");
        }
        let many = vec![contact(2, "bob"); MAX_CONTACTS + 1];
        std::fs::write(&path, self::text("", &many)).unwrap();
        assert!(matches!(read(&path), Err(ContactsError::TooMany(_))));
    }
}
