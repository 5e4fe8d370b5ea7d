//! Who joined by invitation: `nodes.yaml` and `requesters.yaml` in the data directory, beside the
//! lists of the configuration. The coordinator adds entries; operators may remove them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use countersign_files::{Custody, CustodyError};
use countersign_protocol::contact::Contact;
use countersign_protocol::invitation::InvitationId;
use countersign_protocol::{NodeId, RequesterId, UnixMillis};
use countersign_strict::DocumentError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Rights;
use crate::api_key::{ApiKey, Credential, Scope};
use crate::config::Config;
use crate::registry::{NamedRequester, RegistryConfig};
use crate::store::StoreError;

/// Size limit of a file in bytes.
const LARGEST: u64 = 4 << 20;
const NODES: &str = "nodes.yaml";
const REQUESTERS: &str = "requesters.yaml";

/// Why the lists cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub enum JoinedError {
    /// Others can write the file, or it cannot be read.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The file is not what the coordinator wrote.
    #[error("{}: {error}", path.display())]
    Document { path: PathBuf, error: DocumentError },
    /// The file is not text.
    #[error("{} is not UTF-8 text; restore it from a backup", .0.display())]
    NotText(PathBuf),
    /// An entry excludes another.
    #[error("{what} in {} is listed already, there or in the configuration; remove one entry", path.display())]
    Duplicate { path: PathBuf, what: String },
    /// The keys that were made through the API cannot be compared with.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file cannot be written.
    #[error("{} cannot be written ({error}); check the disk and the permissions", path.display())]
    Write { path: PathBuf, error: io::Error },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File<E> {
    #[serde(default = "Vec::new")]
    joined: Vec<E>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    name: String,
    id: NodeId,
    /// The invitation that it came with.
    invitation: InvitationId,
    /// When it came.
    at: UnixMillis,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Requester {
    name: String,
    id: RequesterId,
    /// The invitation that it came with.
    invitation: InvitationId,
    /// When it came.
    at: UnixMillis,
    /// The usual ones if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rights: Option<Rights>,
}

/// Adds a guest to its list; durable when this returns. Only requesters have rights.
pub(super) fn add(
    data: &Path,
    guest: &Contact,
    rights: Option<Rights>,
    invitation: InvitationId,
    at: UnixMillis,
) -> Result<(), JoinedError> {
    match guest.clone() {
        Contact::Node { name, id } => append(
            &data.join(NODES),
            Node {
                name,
                id,
                invitation,
                at,
            },
        ),
        Contact::Requester { name, id } => append(
            &data.join(REQUESTERS),
            Requester {
                name,
                id,
                invitation,
                at,
                rights,
            },
        ),
    }
}

/// The nodes, requesters and API keys of the configuration together with those who joined.
pub(crate) fn merged(config: &Config) -> Result<(RegistryConfig, Vec<ApiKey>), JoinedError> {
    merged_of(config, |_| Ok(true))
}

/// Does the same, and leaves out the keys that are not accepted.
pub(super) fn merged_of(
    config: &Config,
    mut accepts: impl FnMut(&ApiKey) -> Result<bool, StoreError>,
) -> Result<(RegistryConfig, Vec<ApiKey>), JoinedError> {
    let mut rules = config.rules.clone();
    let mut listed = config.api_keys.clone();
    let mut keys = Vec::new();
    for key in &listed {
        if accepts(key)? {
            keys.push(key.clone());
        }
    }
    let path = config.data.join(NODES);
    let mut names: BTreeSet<String> = rules.nodes.values().cloned().collect();
    for Node { name, id, .. } in entries(&path)? {
        let is_new = names.insert(name.clone()) && !rules.nodes.contains_key(&id);
        refuse_unless(is_new, &path, || format!("the node `{name}` ({id})"))?;
        rules.nodes.insert(id, name);
    }
    let path = config.data.join(REQUESTERS);
    for entry in entries(&path)? {
        let Requester {
            name, id, rights, ..
        } = entry;
        // An invitation that names none gives the usual ones: to read and to order.
        let rights = rights.unwrap_or_default();
        let credential = Credential::Requester(id);
        let is_new = listed
            .iter()
            .all(|key| key.name != name && key.credential != credential);
        refuse_unless(is_new, &path, || format!("the requester `{name}` ({id})"))?;
        let key = ApiKey {
            name,
            credential,
            scopes: rights.scopes().to_vec(),
            wallets: rights.wallets().map(<[_]>::to_vec),
            expires: None,
        };
        listed.push(key.clone());
        if !accepts(&key)? {
            continue;
        }
        if let Some(accepted) = &mut rules.requesters
            && key.scopes.contains(&Scope::Create)
            && !accepted.contains(&id)
        {
            accepted.push(id);
        }
        keys.push(key);
    }
    rules.named_requesters = proposed(&rules, &keys);
    Ok((rules, keys))
}

/// The requesters that nodes' operators are told of. Whoever may not order here is left out: the
/// words would be right, and an operator who confirms them would let it order.
fn proposed(rules: &RegistryConfig, keys: &[ApiKey]) -> BTreeMap<RequesterId, NamedRequester> {
    let accepted = rules.requesters.as_ref();
    let is_accepted = |id: &RequesterId| accepted.is_none_or(|accepted| accepted.contains(id));
    let named = keys.iter().filter_map(|key| match key.credential {
        Credential::Requester(id) if key.scopes.contains(&Scope::Create) && is_accepted(&id) => {
            let named = NamedRequester {
                name: key.name.clone(),
                until: key.expires,
            };
            Some((id, named))
        }
        Credential::Requester(_) | Credential::Secret(_) => None,
    });
    named.collect()
}

fn refuse_unless(
    fits: bool,
    path: &Path,
    what: impl FnOnce() -> String,
) -> Result<(), JoinedError> {
    if fits {
        return Ok(());
    }
    Err(JoinedError::Duplicate {
        path: path.into(),
        what: what(),
    })
}

fn entries<E: DeserializeOwned>(path: &Path) -> Result<Vec<E>, JoinedError> {
    let bytes = match Custody::Operator.read(path, LARGEST) {
        Ok(bytes) => bytes,
        Err(CustodyError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error.into()),
    };
    let text = String::from_utf8(bytes).map_err(|_| JoinedError::NotText(path.into()))?;
    let file: File<E> = countersign_strict::yaml(&text).map_err(|error| JoinedError::Document {
        path: path.into(),
        error,
    })?;
    Ok(file.joined)
}

fn append<E: DeserializeOwned + Serialize>(path: &Path, entry: E) -> Result<(), JoinedError> {
    let mut all: Vec<E> = entries(path)?;
    all.push(entry);
    let write = |error: io::Error| JoinedError::Write {
        path: path.into(),
        error,
    };
    let mut text = String::from(
        "# Who joined by invitation. The coordinator adds to this file. To turn somebody away, delete the line\n\
         # and send the coordinator SIGHUP.\njoined:\n",
    );
    for entry in &all {
        let line = serde_json::to_string(entry).map_err(|error| write(error.into()))?;
        text.push_str(&format!("  - {line}\n"));
    }
    countersign_files::replace(path, text.as_bytes()).map_err(write)
}
