//! The profile in its file, with the paths that it names.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use countersign_files::{Custody, CustodyError};
use countersign_protocol::{NodeId, RequesterId};
use countersign_requester::profile::Profile as Text;

use crate::error::ClientError;

/// Size limit in bytes; more than the largest wallet book.
const LARGEST: u64 = 1 << 30;

/// A requester's settings as written, with absolute paths, and the place of their file.
#[derive(Debug, Clone)]
pub struct Profile {
    text: Text,
    /// Path of the file, for messages.
    path: PathBuf,
}

impl Deref for Profile {
    type Target = Text;

    fn deref(&self) -> &Text {
        &self.text
    }
}

impl Profile {
    /// Reads a profile. One that others can write is refused, since it says who is trusted.
    pub fn load(path: &Path) -> Result<Self, ClientError> {
        let file = |reason, advice| ClientError::File {
            path: path.into(),
            reason,
            advice,
        };
        let text = read_own(path).map_err(|error| {
            file(
                error.to_string(),
                "write a profile as `countersign --help` shows, for you alone",
            )
        })?;
        let mut text = Text::parse(&text).map_err(|error| {
            file(
                error.to_string(),
                "correct the profile as `countersign --help` shows",
            )
        })?;
        let base = path.parent().unwrap_or(Path::new("."));
        text.coordinator_ca = text.coordinator_ca.map(|ca| base.join(ca));
        text.api_key_file = text.api_key_file.map(|key| base.join(key));
        text.requester_key_file = text.requester_key_file.map(|key| base.join(key));
        text.approver_key_file = text.approver_key_file.map(|key| base.join(key));
        text.wallet_book = base.join(text.wallet_book);
        let path = path.into();
        Ok(Self { text, path })
    }

    /// `countersign/config.yaml` in the user's configuration directory.
    pub fn default_path() -> Option<PathBuf> {
        let config = std::env::var_os("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        let config =
            config.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")));
        Some(config?.join("countersign").join("config.yaml"))
    }

    /// Path of the file that it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Finds the node with this id, or of this name in the profile.
    pub fn node(&self, text: &str) -> Result<NodeId, ClientError> {
        if let Some(node) = self.nodes.get(text) {
            return Ok(*node);
        }
        if !text.starts_with("csn1") {
            let message = format!(
                "`{text}` is neither a node id nor a name under `nodes` in {}; write the id (csn1…), or add the name there \
                 with the id that the node's operator gave you",
                self.path.display()
            );
            return Err(ClientError::Usage(message));
        }
        text.parse()
            .map_err(|error| ClientError::Usage(format!("{error}")))
    }

    /// A node with its whole id, and whether the profile knows it.
    pub fn describe_node(&self, node: &NodeId) -> String {
        self.known(None).describe_node(node)
    }

    /// A requester with its whole id, and whether this client trusts it.
    pub fn describe_requester(&self, own: Option<RequesterId>, requester: &RequesterId) -> String {
        self.known(own).describe_requester(requester)
    }
}

/// Why a file that decides whom to trust was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Custody(#[from] CustodyError),
    #[error("it is not UTF-8 text")]
    NotText,
}

/// Reads a file that decides whom to trust: nobody but its owner may be able to write it.
pub(crate) fn read_own(path: &Path) -> Result<String, ReadError> {
    let bytes = Custody::Operator.read(path, LARGEST)?;
    String::from_utf8(bytes).map_err(|_| ReadError::NotText)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn id(seed: u8) -> NodeId {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]).verifying_key();
        NodeId::from_bytes(key.to_bytes()).unwrap()
    }

    fn load(rest: &str) -> Result<Profile, ClientError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("profile.yaml");
        std::fs::write(
            &path,
            format!("coordinator: http://127.0.0.1:1\napi_key_file: api.key\n{rest}"),
        )
        .unwrap();
        Profile::load(&path)
    }

    #[test]
    fn names_lead_to_ids_and_back() {
        let profile = load(&format!("nodes:\n  alice: {}\n  bob: {}\n", id(1), id(2))).unwrap();
        assert_eq!(profile.node("alice").unwrap(), id(1));
        assert_eq!(profile.name_of(&id(2)), "bob");
        assert_eq!(profile.name_of(&id(3)), id(3).to_string());
        assert_eq!(profile.short_name(&id(1)), "alice");
        assert_eq!(profile.short_name(&id(3)).chars().count(), 17);
        assert_eq!(
            profile.with_names(&format!("{} waits for {}", id(1), id(3))),
            format!("alice waits for {}", id(3))
        );
        assert!(load("nodes:\n").unwrap().nodes.is_empty());
        let unknown = profile.node("carol").unwrap_err().to_string();
        assert!(unknown.contains("profile.yaml"), "{unknown}");
    }

    #[test]
    fn a_mistake_is_told_with_file_and_line() {
        let one = id(1);
        let two = id(2);
        for (rest, line, words) in [
            (
                format!("nodes:\n  alice: {one}\n  alice: {two}\n"),
                "line 5",
                "twice",
            ),
            (
                format!("nodes:\n  alice: {one}\n  bob: {one}\n"),
                "line 5",
                "same id",
            ),
            (
                format!("nodes:\n  {one}: {two}\n"),
                "line 4",
                "cannot be a name",
            ),
            (
                "nodes:\n  alice: csn1nonsense\n".into(),
                "line 4",
                "is not a node id",
            ),
            (
                format!("trusted_requesters:\n  bob: {one}\n"),
                "line 4",
                "csr1",
            ),
            (
                "chains: { bitcoin: mainnnet }\n".into(),
                "line 3",
                "mainnnet",
            ),
            ("wallet_bok: x\n".into(), "line 3", "wallet_bok"),
            (
                "wallet_book: x\nwallet_book: y\n".into(),
                "line 4",
                "`wallet_book` appears twice",
            ),
        ] {
            let error = load(&rest).unwrap_err().to_string();
            for part in ["profile.yaml", line, words] {
                assert!(error.contains(part), "`{part}` is missing in: {error}");
            }
        }
        let error = Profile::load(Path::new("/nowhere/at/all.yaml"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("/nowhere/at/all.yaml"), "{error}");
    }

    #[test]
    fn a_profile_that_others_can_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("profile.yaml");
        std::fs::write(
            &path,
            "coordinator: http://127.0.0.1:1\napi_key_file: api.key\n",
        )
        .unwrap();
        Profile::load(&path).unwrap();
        let refused = || {
            Profile::load(&path)
                .unwrap_err()
                .to_string()
                .contains("chmod go-w")
        };
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for mode in [0o666, 0o664] {
            set(&path, mode);
            assert!(refused(), "{mode:o}");
        }
        set(&path, 0o600);
        set(dir.path(), 0o770);
        assert!(refused(), "the folder");
    }
}
