//! The services that plugins get on behalf of this node: its own keys, the keys of its approvers,
//! HTTP, memory.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use countersign_host::{
    Anchor, CustodyError, Difference, HttpClient, HttpClientError, HttpOptions, HttpRequest,
    KeyError, KeyRing, LocalServices, Memory, Sending, Services, StateError, hs256, rs256,
};
use countersign_protocol::UnixMillis;
use countersign_store::{Journal, Snapshot};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::specs::DOCUMENT;
use crate::config::Policy;
use crate::own_keys::{CALLBACK_KEY, EVENT_KEY};
use crate::world::World;

/// Services backed by the node's store and journal. They are immutable: a plugin keeps the keys and
/// authorities that were recorded when it was loaded.
pub struct NodeServices {
    own: Arc<Own>,
    outside: Outside,
    journal: Journal,
    world: World,
}

/// The keys of the node itself.
struct Own {
    /// The callback key, and the event key if there is one.
    keys: KeyRing,
    /// The HMAC key of the digests of shared secrets.
    digests: Zeroizing<[u8; 32]>,
}

/// Keys and authorities of others from the policy's files, read whole or not at all.
struct Outside {
    /// Public keys and shared secrets of approvers.
    approvers: KeyRing,
    /// Trusts the configured authorities. A new client has no connections, so none outlives the
    /// trust under which it was made.
    http: HttpClient,
}

/// Reasons why the services cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub enum ServicesError {
    /// A file of `policy` cannot be read.
    #[error("cannot read {}: {source}; correct its path in the configuration", file.display())]
    Unreadable {
        file: PathBuf,
        source: std::io::Error,
    },
    /// Somebody else could have written a file of `policy`.
    #[error("{what} is not used: {source}")]
    Custody {
        /// The configuration's name of the file, such as `policy.secrets.hook`.
        what: String,
        source: CustodyError,
    },
    /// A public key cannot be used.
    #[error("policy.public_keys.{name} cannot be used: {source}; correct the file that it names")]
    PublicKey {
        name: String,
        source: rs256::KeyFormatError,
    },
    /// A shared secret cannot be used.
    #[error("policy.secrets.{name} cannot be used: {source}")]
    Secret {
        name: String,
        source: hs256::TooShort,
    },
    /// Others can read a secret.
    #[error("others may read the secret `{name}`; run `chmod 600 {}`, and change the secret if somebody did", file.display())]
    Exposed { name: String, file: PathBuf },
    /// The node's own key cannot be used.
    #[error("the callback key of the store cannot be used: {0}; restore the store from a backup")]
    CallbackKey(rs256::KeyFormatError),
    /// The node's event key cannot be used.
    #[error("the event key of the store cannot be used: {0}; restore the store from a backup")]
    EventKey(rs256::KeyFormatError),
    /// The HTTP client cannot be created.
    #[error(transparent)]
    Http(#[from] HttpClientError),
}

impl NodeServices {
    /// Reads the keys that the policy names. `callback_key` and `event_key` are PKCS#8 DER.
    pub fn new(
        policy: &Policy,
        callback_key: &[u8],
        event_key: Option<&[u8]>,
        journal: Journal,
        world: World,
    ) -> Result<Self, ServicesError> {
        let own = Arc::new(Own::new(callback_key, event_key)?);
        let outside = Outside::read(policy)?.with_digests(&own.digests)?;
        Ok(Self {
            own,
            outside,
            journal,
            world,
        })
    }

    /// Creates the services of the same node from the present files of keys and authorities.
    pub(super) fn renewed(&self, policy: &Policy) -> Result<Self, ServicesError> {
        let outside = Outside::read(policy)?.with_digests(&self.own.digests)?;
        Ok(Self {
            own: self.own.clone(),
            outside,
            journal: self.journal.clone(),
            world: self.world.clone(),
        })
    }

    fn keys(&self, key: &str) -> &KeyRing {
        match key {
            CALLBACK_KEY | EVENT_KEY => &self.own.keys,
            _ => &self.outside.approvers,
        }
    }
}

impl Own {
    fn new(callback_key: &[u8], event_key: Option<&[u8]>) -> Result<Self, ServicesError> {
        let mut keys = KeyRing::default();
        let callback =
            rs256::SigningKey::from_pkcs8(callback_key).map_err(ServicesError::CallbackKey)?;
        keys.insert_signing(CALLBACK_KEY, callback);
        if let Some(event_key) = event_key {
            let event =
                rs256::SigningKey::from_pkcs8(event_key).map_err(ServicesError::EventKey)?;
            keys.insert_signing(EVENT_KEY, event);
        }
        let digests = Sha256::new_with_prefix(b"countersign/1 key of digests of secrets")
            .chain_update(callback_key);
        Ok(Self {
            keys,
            digests: Zeroizing::new(digests.finalize().into()),
        })
    }
}

impl Outside {
    fn read(policy: &Policy) -> Result<Self, ServicesError> {
        Ok(Self {
            approvers: approvers(policy)?,
            http: http_client(policy)?,
        })
    }

    fn with_digests(self, key: &[u8; 32]) -> Result<Self, ServicesError> {
        let key = hs256::Secret::new(key).map_err(|source| ServicesError::Secret {
            name: "of digests".into(),
            source,
        })?;
        Ok(Self {
            approvers: self.approvers.with_digest_key(key),
            ..self
        })
    }
}

/// Creates services without a store, to check plugins and receivers before a node runs.
/// Throw-away keys replace the node's own.
pub fn scratch(policy: &Policy) -> Result<LocalServices, ServicesError> {
    let Outside {
        approvers: mut keys,
        http,
    } = Outside::read(policy)?;
    for own in [CALLBACK_KEY, EVENT_KEY] {
        keys.insert_signing(
            own,
            rs256::SigningKey::generate().map_err(ServicesError::CallbackKey)?,
        );
    }
    Ok(LocalServices::new(keys, http))
}

fn approvers(policy: &Policy) -> Result<KeyRing, ServicesError> {
    let mut keys = KeyRing::default();
    for (name, file) in &policy.public_keys {
        let key = rs256::VerifyingKey::from_pem(&read(
            policy,
            &format!("policy.public_keys.{name}"),
            file,
        )?);
        keys.insert_verifying(
            name.clone(),
            key.map_err(|source| ServicesError::PublicKey {
                name: name.clone(),
                source,
            })?,
        );
    }
    for (name, file) in &policy.secrets {
        check_private(name, file)?;
        let bytes = Zeroizing::new(read(policy, &format!("policy.secrets.{name}"), file)?);
        let secret = hs256::Secret::new(bytes.trim_ascii_end());
        keys.insert_secret(
            name.clone(),
            secret.map_err(|source| ServicesError::Secret {
                name: name.clone(),
                source,
            })?,
        );
    }
    Ok(keys)
}

fn check_private(name: &str, file: &Path) -> Result<(), ServicesError> {
    let metadata = std::fs::metadata(file).map_err(|source| ServicesError::Unreadable {
        file: file.into(),
        source,
    })?;
    match metadata.mode() & 0o077 {
        0 => Ok(()),
        _ => Err(ServicesError::Exposed {
            name: name.into(),
            file: file.into(),
        }),
    }
}

fn http_client(policy: &Policy) -> Result<HttpClient, ServicesError> {
    let extra_ca_pem = policy
        .ca_file
        .as_deref()
        .map(|file| read(policy, "policy.ca_file", file))
        .transpose()?;
    Ok(HttpClient::new(&HttpOptions {
        extra_ca_pem,
        ..HttpOptions::default()
    })?)
}

#[deny(clippy::missing_trait_methods)]
impl Services for NodeServices {
    fn now(&self) -> u64 {
        self.world.now().0
    }

    fn sign(&self, key: &str, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.keys(key).sign(key, algorithm, data)
    }

    fn verify(
        &self,
        key: &str,
        algorithm: &str,
        data: &[u8],
        signature: &[u8],
    ) -> Result<bool, KeyError> {
        self.keys(key).verify(key, algorithm, data, signature)
    }

    fn public_key(&self, key: &str) -> Result<Vec<u8>, KeyError> {
        self.keys(key).public_key(key)
    }

    fn anchor(&self, key: &str) -> Option<Anchor> {
        self.keys(key).anchor(key)
    }

    fn authorities(&self) -> Option<Anchor> {
        self.outside.http.authorities()
    }

    fn send(&self, request: HttpRequest) -> Sending {
        let client = self.outside.http.clone();
        Box::pin(async move { client.send(request).await })
    }

    fn memory(&self, plugin: &str) -> Result<Box<dyn Memory>, StateError> {
        let snapshot = self
            .journal
            .snapshot(UnixMillis(self.now()))
            .map_err(internal)?;
        Ok(Box::new(PluginMemory {
            snapshot,
            plugin: plugin.into(),
        }))
    }

    fn differs(&self, difference: Difference) {
        let Ok(task) = difference.task.parse() else {
            return;
        };
        let plugin = &difference.evaluation.plugin;
        let refusal = difference.evaluation.verdict.refusal();
        let record = countersign_store::Difference {
            at: UnixMillis(self.now()),
            task,
            shadow: plugin.clone(),
            against: difference.against,
            decided: difference.decided,
            would_have: refusal.map(|(code, _)| code.to_owned()),
            reason: refusal
                .map(|(_, reason)| reason.to_owned())
                .unwrap_or_default(),
        };
        tracing::info!(%task, shadow = plugin, decided = ?record.decided, would_have = ?record.would_have, "a shadow plugin would have decided differently");
        let journal = self.journal.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = journal.differ(record) {
                tracing::error!(%error, "the different decision of a shadow was not recorded");
            }
        });
    }
}

/// The memory of one plugin.
struct PluginMemory {
    snapshot: Snapshot,
    plugin: String,
}

impl Memory for PluginMemory {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.snapshot.get(&self.plugin, key).map_err(internal)
    }

    fn entries(&self, prefix: &str, limit: usize) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        self.snapshot
            .list(&self.plugin, prefix, limit)
            .map_err(internal)
    }

    fn used(&self) -> Result<u64, StateError> {
        let all = self
            .snapshot
            .list(&self.plugin, "", usize::MAX)
            .map_err(internal)?;
        Ok(all
            .iter()
            .map(|(key, value)| (key.len() + value.len()) as u64)
            .sum())
    }
}

fn internal(error: impl std::fmt::Display) -> StateError {
    StateError::Internal(error.to_string())
}

fn read(policy: &Policy, what: &str, file: &Path) -> Result<Vec<u8>, ServicesError> {
    policy
        .custody
        .read(file, DOCUMENT)
        .map_err(|error| match error {
            CustodyError::Io(source) => ServicesError::Unreadable {
                file: file.into(),
                source,
            },
            source => ServicesError::Custody {
                what: what.into(),
                source,
            },
        })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    use base64::Engine;
    use countersign_host::{HttpError, HttpResponse};
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    use super::*;

    /// `openssl s_server` on loopback, with a certificate of an authority that vouches for nobody
    /// else.
    struct Server {
        process: Child,
        address: String,
        authority: String,
    }

    impl Server {
        fn start(dir: &Path, name: &str) -> Self {
            let mut authority = CertificateParams::default();
            authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let authority =
                CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
            let key = KeyPair::generate().unwrap();
            let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
            let leaf = leaf.signed_by(&key, &authority).unwrap();
            let file = dir.join(name);
            let both = pem("CERTIFICATE", leaf.der()) + &pem("PRIVATE KEY", &key.serialize_der());
            std::fs::write(&file, both).unwrap();
            let mut command = Command::new("openssl");
            command
                .args(["s_server", "-www", "-accept", "127.0.0.1:0", "-cert"])
                .arg(file);
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null());
            let mut process = command.spawn().unwrap();
            let lines = BufReader::new(process.stdout.take().unwrap()).lines();
            let mut addresses =
                lines.filter_map(|line| line.unwrap().strip_prefix("ACCEPT ").map(str::to_owned));
            let address = addresses.next().expect("it says where it listens");
            Self {
                process,
                address,
                authority: pem("CERTIFICATE", authority.der()),
            }
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            self.process.kill().unwrap();
            self.process.wait().unwrap();
        }
    }

    fn pem(label: &str, der: &[u8]) -> String {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    }

    async fn get(services: &NodeServices, server: &Server) -> Result<HttpResponse, HttpError> {
        let url = format!("https://{}/", server.address).parse().unwrap();
        let headers = Vec::new();
        let body = Vec::new();
        services
            .send(HttpRequest {
                method: "GET".into(),
                url,
                headers,
                body,
                timeout: None,
            })
            .await
    }

    #[tokio::test]
    async fn changed_authorities_count_for_the_next_request_and_unreadable_ones_never() {
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        let dir = tempfile::Builder::new()
            .permissions(private)
            .tempdir()
            .unwrap();
        let first = Server::start(dir.path(), "first.pem");
        let second = Server::start(dir.path(), "second.pem");
        let file = dir.path().join("ca.pem");
        std::fs::write(&file, &first.authority).unwrap();
        let policy = Policy {
            ca_file: Some(file.clone()),
            ..Policy::default()
        };
        let callback = rs256::SigningKey::generate().unwrap().to_pkcs8().unwrap();
        let journal = Journal::create(dir.path()).unwrap();
        let services =
            NodeServices::new(&policy, &callback, None, journal, World::system()).unwrap();
        assert_eq!(get(&services, &first).await.unwrap().status, 200);
        assert!(matches!(
            get(&services, &second).await,
            Err(HttpError::Tls(_))
        ));

        std::fs::write(&file, &second.authority).unwrap();
        let renewed = services.renewed(&policy).unwrap();
        assert_ne!(renewed.authorities(), services.authorities());
        assert_eq!(get(&renewed, &second).await.unwrap().status, 200);
        assert!(
            matches!(get(&renewed, &first).await, Err(HttpError::Tls(_))),
            "no longer believed"
        );
        assert_eq!(
            get(&services, &first).await.unwrap().status,
            200,
            "who was given the old ones keeps them"
        );

        std::fs::write(&file, "no certificate").unwrap();
        let error = services
            .renewed(&policy)
            .err()
            .expect("it is none")
            .to_string();
        assert!(
            error.contains("the extra CA file") && error.contains("export the authority"),
            "{error}"
        );
    }

    #[test]
    fn what_stands_for_a_secret_in_records_can_be_made_by_its_node_alone() {
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        let dir = tempfile::Builder::new()
            .permissions(private)
            .tempdir()
            .unwrap();
        let file = dir.path().join("secret");
        let write = |text: &str| {
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))
                .unwrap();
        };
        write(&"a".repeat(64));
        let policy = Policy {
            secrets: [("hook".to_owned(), file.clone())].into(),
            ..Policy::default()
        };
        let journal = Journal::create(dir.path()).unwrap();
        let node = || {
            let callback = rs256::SigningKey::generate().unwrap().to_pkcs8().unwrap();
            NodeServices::new(&policy, &callback, None, journal.clone(), World::system()).unwrap()
        };
        let digest = |services: &NodeServices| services.anchor("hook").unwrap().sha256.unwrap();
        let one = node();
        let other = node();
        assert_eq!(digest(&one), digest(&one.renewed(&policy).unwrap()));
        assert_ne!(digest(&one), digest(&other));
        write(&"b".repeat(64));
        assert_ne!(digest(&one), digest(&one.renewed(&policy).unwrap()));
        assert_eq!(
            scratch(&policy).unwrap().anchor("hook").unwrap().sha256,
            None,
            "no node, no key"
        );
    }

    /// A folder, and a policy with this secret in it.
    fn secret(text: &str, mode: u32) -> (tempfile::TempDir, Policy) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        std::fs::write(&file, text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(&file, mode).unwrap();
        let policy = Policy {
            secrets: [("hook".to_owned(), file)].into(),
            ..Policy::default()
        };
        (dir, policy)
    }

    fn refused(policy: &Policy) -> String {
        Outside::read(policy).err().expect("refused").to_string()
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused_with_the_command_that_mends_it() {
        for mode in [0o640, 0o604, 0o610] {
            let (_dir, policy) = secret(&"a".repeat(64), mode);
            let text = refused(&policy);
            assert!(
                text.contains("`hook`") && text.contains("run `chmod 600 "),
                "{mode:o}: {text}"
            );
        }
        let (_dir, policy) = secret(&"a".repeat(64), 0o400);
        assert!(Outside::read(&policy).is_ok());
    }

    #[test]
    fn a_secret_is_measured_without_the_end_of_its_line() {
        let (_dir, policy) = secret(&format!("{}\n", "a".repeat(32)), 0o600);
        assert!(Outside::read(&policy).is_ok());
        let (_dir, policy) = secret(&format!("{}\n", "a".repeat(31)), 0o600);
        let text = refused(&policy);
        assert!(
            text.starts_with("policy.secrets.hook cannot be used") && text.contains("32 bytes"),
            "{text}"
        );
    }

    #[test]
    fn a_key_or_an_authority_that_is_not_there_is_refused_with_its_path() {
        let missing = |name: &str| Path::new("/nowhere").join(name);
        let with_key = Policy {
            public_keys: [("approver".to_owned(), missing("key.pem"))].into(),
            ..Policy::default()
        };
        let with_secret = Policy {
            secrets: [("hook".to_owned(), missing("secret"))].into(),
            ..Policy::default()
        };
        let with_authorities = Policy {
            ca_file: Some(missing("ca.pem")),
            ..Policy::default()
        };
        for (policy, file) in [
            (with_key, "/nowhere/key.pem"),
            (with_secret, "/nowhere/secret"),
            (with_authorities, "/nowhere/ca.pem"),
        ] {
            let text = refused(&policy);
            assert!(text.contains(file), "{text}");
            assert!(
                text.ends_with("correct its path in the configuration"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_file_that_holds_no_public_key_is_refused_by_the_name_of_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key.pem");
        std::fs::write(&file, "no key").unwrap();
        let policy = Policy {
            public_keys: [("approver".to_owned(), file)].into(),
            ..Policy::default()
        };
        let text = refused(&policy);
        assert!(
            text.contains("policy.public_keys.approver cannot be used"),
            "{text}"
        );
        assert!(text.ends_with("correct the file that it names"), "{text}");
    }

    #[test]
    fn a_key_that_others_can_write_is_refused_by_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key.pem");
        std::fs::write(&file, "any").unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(&file, open).unwrap();
        let policy = Policy {
            public_keys: [("approver".to_owned(), file)].into(),
            custody: countersign_host::Custody::Operator,
            ..Policy::default()
        };
        let text = refused(&policy);
        assert!(
            text.starts_with("policy.public_keys.approver is not used"),
            "{text}"
        );
    }

    #[test]
    fn a_store_with_a_damaged_callback_or_event_key_says_which_and_names_the_backup() {
        let good = rs256::SigningKey::generate().unwrap().to_pkcs8().unwrap();
        let refused = |callback: &[u8], event| {
            let own = Own::new(callback, event);
            own.err().expect("refused").to_string()
        };
        let callback = refused(b"damaged", None);
        let event = refused(&good, Some(b"damaged"));
        assert!(
            callback.starts_with("the callback key of the store"),
            "{callback}"
        );
        assert!(event.starts_with("the event key of the store"), "{event}");
        for text in [callback, event] {
            assert!(text.ends_with("restore the store from a backup"), "{text}");
        }
    }

    #[test]
    fn a_public_key_named_like_one_of_the_nodes_own_does_not_take_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key.pem");
        let foreign = rs256::SigningKey::generate().unwrap();
        std::fs::write(&file, foreign.verifying_key().to_pem()).unwrap();
        let policy = Policy {
            public_keys: ["callback", "event", "approver"]
                .map(|name| (name.to_owned(), file.clone()))
                .into(),
            ..Policy::default()
        };
        let (_journal_dir, journal) = crate::specimen::journal();
        let services = crate::specimen::services(&policy, &journal, &World::system());
        let foreign = foreign.verifying_key();
        assert_ne!(services.public_key("callback").unwrap(), foreign.spki_der());
        assert_eq!(services.public_key("approver").unwrap(), foreign.spki_der());
        assert!(
            matches!(services.public_key("event"), Err(KeyError::Unknown(_))),
            "a node without an event key has none"
        );
        assert!(matches!(
            services.sign("approver", "RS256", b"x"),
            Err(KeyError::Unknown(_))
        ));
    }

    #[test]
    fn each_plugin_remembers_its_own_entries_as_they_were_at_one_moment() {
        let (_dir, journal) = crate::specimen::journal();
        let services = crate::specimen::services(&Policy::default(), &journal, &World::system());
        remember(&journal, 1, "rules", "spent", b"7");
        remember(&journal, 2, "other", "spent", b"99");
        let memory = services.memory("rules").unwrap();
        remember(&journal, 3, "rules", "later", b"1");
        assert_eq!(memory.get("spent").unwrap().as_deref(), Some(&b"7"[..]));
        assert_eq!(memory.get("later").unwrap(), None);
        let entries = memory.entries("", 10).unwrap();
        assert_eq!(entries, [("spent".to_owned(), b"7".to_vec())]);
    }

    #[test]
    fn a_quota_is_used_up_by_keys_and_values_together() {
        let (_dir, journal) = crate::specimen::journal();
        let services = crate::specimen::services(&Policy::default(), &journal, &World::system());
        let used = |plugin: &str| services.memory(plugin).unwrap().used().unwrap();
        assert_eq!(used("rules"), 0);
        remember(&journal, 1, "rules", "spent", b"1234");
        remember(&journal, 2, "rules", "b", b"");
        remember(&journal, 3, "other", "spent", b"1234");
        assert_eq!(used("rules"), 5 + 4 + 1);
    }

    /// Writes an entry with the approval of a task.
    fn remember(journal: &Journal, task: u8, plugin: &str, key: &str, value: &[u8]) {
        use countersign_protocol::{Hash, TaskId};
        use countersign_store::Silent;
        let decided = countersign_store::Decided {
            task: TaskId([task; 16]),
            hash: Hash([task; 32]),
            kind: countersign_store::OperationKind::KeySign,
            received_at: UnixMillis(1),
            verdicts: Vec::new(),
            parties: Vec::new(),
            bytes: Vec::new(),
            evidence: countersign_store::Evidence::default(),
        };
        let write = countersign_store::StateWrite {
            plugin: plugin.into(),
            key: key.into(),
            value: Some(value.to_vec()),
            expires: None,
        };
        journal
            .approve(UnixMillis(1), decided, vec![write])
            .unwrap();
    }
}
