//! The profile: the coordinator, the keys, and the names of nodes and requesters. One YAML file.
//!
//! `nodes` and `trusted_requesters` are what a wallet is compared with when it is seen for the
//! first time, so they must not come from a coordinator: take each id from the operator or
//! requester that it belongs to, through another channel.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use countersign_files::{Custody, CustodyError};
use countersign_payload::{Networks, UnknownNetwork};
use countersign_protocol::text::is_hidden;
use countersign_protocol::{NodeId, RequesterId};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use crate::error::ClientError;

/// Size limit in bytes; more than the largest wallet book.
const LARGEST: u64 = 1 << 30;

/// A requester's settings; relative paths start at the file's directory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// URL of the coordinator's API, such as `http://127.0.0.1:7480`.
    #[serde(deserialize_with = "http_url")]
    pub coordinator: String,
    /// Certificates in PEM: the coordinator's own or its issuer's, and no others are believed.
    /// Absent: those that this machine believes.
    pub coordinator_ca: Option<PathBuf>,
    /// File with the API key, mode 0600. Absent: requests are signed by the requester's key.
    pub api_key_file: Option<PathBuf>,
    /// File with the requester's key, mode 0600. Reading works without it, given an API key.
    pub requester_key_file: Option<PathBuf>,
    /// File of the wallet book; created when needed.
    #[serde(default = "default_book")]
    pub wallet_book: PathBuf,
    /// The requester's own names for nodes. A wallet is believed at first sight only if each of its
    /// members is one of them.
    #[serde(default, deserialize_with = "names")]
    pub nodes: BTreeMap<String, NodeId>,
    /// Names of other requesters whose wallets this one uses. Your own key needs no entry.
    #[serde(default, deserialize_with = "names")]
    pub trusted_requesters: BTreeMap<String, RequesterId>,
    /// Networks of chains whose transactions do not name theirs.
    #[serde(default)]
    pub chains: Chains,
    /// Path of the file, for messages.
    #[serde(skip)]
    path: PathBuf,
}

/// The networks of the wallets' coins. Absent: the main networks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Chains {
    /// `mainnet`, `testnet`, `testnet4`, `signet`, `regtest`, or a CAIP-2 id.
    #[serde(deserialize_with = "bitcoin_network")]
    pub bitcoin: String,
    /// `mainnet`, `devnet`, `testnet`, or a CAIP-2 id.
    #[serde(deserialize_with = "solana_network")]
    pub solana: String,
}

impl Default for Chains {
    fn default() -> Self {
        Self {
            bitcoin: "mainnet".into(),
            solana: "mainnet".into(),
        }
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
        let mut profile: Self = countersign_strict::yaml(&text).map_err(|error| {
            file(
                error.to_string(),
                "correct the profile as `countersign --help` shows",
            )
        })?;
        let base = path.parent().unwrap_or(Path::new("."));
        profile.coordinator_ca = profile.coordinator_ca.map(|ca| base.join(ca));
        profile.api_key_file = profile.api_key_file.map(|key| base.join(key));
        profile.requester_key_file = profile.requester_key_file.map(|key| base.join(key));
        profile.wallet_book = base.join(profile.wallet_book);
        profile.path = path.into();
        Ok(profile)
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

    /// The profile's name for a node, or its id.
    pub fn name_of(&self, node: &NodeId) -> String {
        name_in(&self.nodes, node).map_or_else(|| node.to_string(), str::to_owned)
    }

    /// The profile's name for a node, or the beginning and the end of its id. For display
    /// only, never for comparing.
    pub fn short_name(&self, node: &NodeId) -> String {
        match name_in(&self.nodes, node) {
            Some(name) => name.into(),
            None => {
                let id = node.to_string();
                format!("{}…{}", &id[..12], &id[id.len() - 4..])
            }
        }
    }

    /// A node with its whole id, and whether the profile knows it.
    pub fn describe_node(&self, node: &NodeId) -> String {
        match name_in(&self.nodes, node) {
            Some(name) => format!("{name} ({node})"),
            None => format!("{node} (NOT under `nodes`)"),
        }
    }

    /// A requester with its whole id, and whether this client trusts it.
    pub fn describe_requester(&self, own: Option<RequesterId>, requester: &RequesterId) -> String {
        match self.requester_name(requester) {
            _ if Some(*requester) == own => format!("you ({requester})"),
            Some(name) => format!("{name} ({requester})"),
            None => format!("{requester} (NOT under `trusted_requesters`)"),
        }
    }

    /// Replaces ids in a text from elsewhere by the profile's names.
    pub fn with_names(&self, text: &str) -> String {
        self.nodes.iter().fold(text.to_owned(), |text, (name, id)| {
            text.replace(&id.to_string(), name)
        })
    }

    /// True if traffic to the coordinator can be read and changed on the way.
    pub fn is_open_to_others(&self) -> bool {
        let url = reqwest::Url::parse(&self.coordinator);
        url.is_ok_and(|url| url.scheme() == "http" && !url.host_str().is_some_and(is_this_machine))
    }

    /// True if the node has a name in the profile.
    pub fn names_node(&self, node: &NodeId) -> bool {
        name_in(&self.nodes, node).is_some()
    }

    /// The profile's name for a trusted requester, apart from your own.
    pub fn requester_name(&self, requester: &RequesterId) -> Option<&str> {
        name_in(&self.trusted_requesters, requester)
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

fn name_in<'a, Id: PartialEq>(names: &'a BTreeMap<String, Id>, id: &Id) -> Option<&'a str> {
    names
        .iter()
        .find(|(_, known)| *known == id)
        .map(|(name, _)| name.as_str())
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

fn default_book() -> PathBuf {
    "wallets.json".into()
}

/// A coordinator that is not an `http` or `https` URL.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an http or https URL")]
struct UrlError(String);

fn http_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let is_url = |text: &str| {
        if text.starts_with("http://") || text.starts_with("https://") {
            Ok(text.to_owned())
        } else {
            Err(UrlError(text.to_owned()))
        }
    };
    Text::new(is_url).deserialize(deserializer)
}

fn bitcoin_network<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    network(|name| Networks::named(name, &Chains::default().solana)).deserialize(deserializer)
}

fn solana_network<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    network(|name| Networks::named(&Chains::default().bitcoin, name)).deserialize(deserializer)
}

/// Reads the name of a network and keeps it as written.
fn network(
    named: impl FnOnce(&str) -> Result<Networks, UnknownNetwork>,
) -> Text<impl FnOnce(&str) -> Result<String, UnknownNetwork>, String, UnknownNetwork> {
    Text::new(|name: &str| named(name).map(|_| name.to_owned()))
}

/// Reads names with ids: each name once, each id once. The last of two equal names would win
/// silently, and two names for one id are a slip of the clipboard that makes one node count as two.
fn names<'de, D, Id>(deserializer: D) -> Result<BTreeMap<String, Id>, D::Error>
where
    D: Deserializer<'de>,
    Id: FromStr<Err: Display> + PartialEq + Display,
{
    struct Names<Id>(PhantomData<Id>);
    impl<'de, Id: FromStr<Err: Display> + PartialEq + Display> Visitor<'de> for Names<Id> {
        type Value = BTreeMap<String, Id>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("names, each with an id")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut names: BTreeMap<String, Id> = BTreeMap::new();
            while let Some(name) = map.next_key_seed(Text::new(|name| new_name(&names, name)))? {
                let id = map.next_value_seed(Text::new(|id| new_id(&names, &name, id)))?;
                names.insert(name, id);
            }
            Ok(names)
        }
    }
    deserializer.deserialize_map(Names(PhantomData))
}

/// Why a name cannot be given to another id.
#[derive(Debug, thiserror::Error)]
enum NameError {
    #[error("`{0}` cannot be a name; use letters and digits, and nothing that begins like an id")]
    Unsuitable(String),
    #[error("the name `{0}` appears twice")]
    Twice(String),
}

/// Accepts a name that is not there yet and does not pass for an id.
fn new_name<Id>(names: &BTreeMap<String, Id>, name: &str) -> Result<String, NameError> {
    let like_an_id = ["csn1", "csr1", "csk1", "csc1"]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    if name.is_empty() || like_an_id || name.chars().any(|c| is_hidden(c) || c == ',') {
        return Err(NameError::Unsuitable(name.into()));
    }
    if names.contains_key(name) {
        Err(NameError::Twice(name.into()))
    } else {
        Ok(name.into())
    }
}

/// Why an id cannot be given a name. `E` is the error of the id's parser.
#[derive(Debug, thiserror::Error)]
enum NewIdError<E> {
    #[error("{0}")]
    Unreadable(E),
    #[error("`{other}` and `{name}` have the same id, {id}")]
    Named {
        other: String,
        name: String,
        id: String,
    },
}

/// Accepts an id that has no name yet.
fn new_id<Id>(
    names: &BTreeMap<String, Id>,
    name: &str,
    text: &str,
) -> Result<Id, NewIdError<Id::Err>>
where
    Id: FromStr<Err: Display> + PartialEq + Display,
{
    let id: Id = text.parse().map_err(NewIdError::Unreadable)?;
    match name_in(names, &id) {
        Some(other) => Err(NewIdError::Named {
            other: other.into(),
            name: name.into(),
            id: id.to_string(),
        }),
        None => Ok(id),
    }
}

/// A text that a function reads. serde adds the line of the text to its error.
struct Text<F, T, E>(F, PhantomData<(T, E)>);

impl<F: FnOnce(&str) -> Result<T, E>, T, E> Text<F, T, E> {
    fn new(read: F) -> Self {
        Self(read, PhantomData)
    }
}

impl<'de, F, T, E> DeserializeSeed<'de> for Text<F, T, E>
where
    F: FnOnce(&str) -> Result<T, E>,
    E: Display,
{
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<F: FnOnce(&str) -> Result<T, E>, T, E: Display> Visitor<'_> for Text<F, T, E> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<D: serde::de::Error>(self, text: &str) -> Result<T, D> {
        (self.0)(text).map_err(D::custom)
    }
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
    fn who_listens_on_the_way_is_known_from_the_address() {
        let open = |coordinator: &str| {
            let profile = Profile {
                coordinator: coordinator.into(),
                ..load("").unwrap()
            };
            profile.is_open_to_others()
        };
        assert!(
            open("http://coordinator.example:7480")
                && open("http://10.0.0.1")
                && open("http://[fd00::1]:1")
        );
        assert!(
            !open("http://127.0.0.1:1")
                && !open("http://[::1]:1")
                && !open("http://localhost:7480")
        );
        assert!(!open("https://coordinator.example"));
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
