//! What the host gives to plugins on behalf of this node: its callback key, the keys of its approvers, HTTP, memory.

use crate::config::Policy;
use crate::events::EVENT_KEY;
use arc_swap::ArcSwap;
use countersign_host::{
    Difference, HttpClient, HttpClientError, HttpOptions, HttpRequest, KeyError, KeyRing, LocalServices,
    Memory, Sending, Services, StateError, hs256, rs256,
};
use countersign_protocol::UnixMillis;
use countersign_store::{Journal, Snapshot};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The name under which plugins sign with the node's callback key.
pub const CALLBACK_KEY: &str = "callback";

/// Services backed by the node's store and journal.
pub struct NodeServices {
    /// The node's own keys: callback, and event if it has one.
    own: KeyRing,
    /// Public keys and shared secrets that the policy names; their files may change while the node runs.
    approvers: ArcSwap<KeyRing>,
    http: HttpClient,
    journal: Journal,
}

/// Why plugins cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServicesError {
    /// A file of `policy` cannot be read.
    #[error("cannot read {}: {source}; correct its path in the configuration", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A public key cannot be used.
    #[error("policy.public_keys.{name} cannot be used: {source}; correct the file that it names")]
    PublicKey {
        /// Which.
        name: String,
        /// Why.
        source: rs256::KeyFormatError,
    },
    /// A shared secret cannot be used.
    #[error("policy.secrets.{name} cannot be used: {source}")]
    Secret {
        /// Which.
        name: String,
        /// Why.
        source: hs256::TooShort,
    },
    /// Others can read a secret.
    #[error("others may read the secret `{name}`; run `chmod 600 {}`, and change the secret if somebody did", file.display())]
    Exposed {
        /// Which.
        name: String,
        /// Its file.
        file: PathBuf,
    },
    /// The node's own key cannot be used.
    #[error("the callback key of the store cannot be used: {0}; restore the store from a backup")]
    CallbackKey(rs256::KeyFormatError),
    /// The node's event key cannot be used.
    #[error("the event key of the store cannot be used: {0}; restore the store from a backup")]
    EventKey(rs256::KeyFormatError),
    /// No HTTP client.
    #[error(transparent)]
    Http(#[from] HttpClientError),
}

impl NodeServices {
    /// Reads the keys that the policy names.
    pub fn new(
        policy: &Policy,
        callback_key: &[u8],
        journal: Journal,
    ) -> Result<NodeServices, ServicesError> {
        let callback = rs256::SigningKey::from_pkcs8(callback_key).map_err(ServicesError::CallbackKey)?;
        let mut own = KeyRing::default();
        own.insert_signing(CALLBACK_KEY, callback);
        let approvers = ArcSwap::from_pointee(approvers(policy)?);
        Ok(NodeServices { own, approvers, http: http_client(policy)?, journal })
    }

    /// Reads the files of keys again. Gives back what was in force, for [`restore`](Self::restore).
    pub(super) fn renew(&self, policy: &Policy) -> Result<Arc<KeyRing>, ServicesError> {
        Ok(self.approvers.swap(Arc::new(approvers(policy)?)))
    }

    fn with_key<T>(&self, key: &str, use_it: impl FnOnce(&KeyRing) -> T) -> T {
        match key {
            CALLBACK_KEY | EVENT_KEY => use_it(&self.own),
            _ => use_it(&self.approvers.load()),
        }
    }

    /// Takes back a [`renew`](Self::renew).
    pub(super) fn restore(&self, before: Arc<KeyRing>) {
        self.approvers.store(before);
    }
}

impl NodeServices {
    /// Adds the key that signs what receivers are told.
    pub fn with_event_key(mut self, event_key: &[u8]) -> Result<NodeServices, ServicesError> {
        let key = rs256::SigningKey::from_pkcs8(event_key).map_err(ServicesError::EventKey)?;
        self.own.insert_signing(EVENT_KEY, key);
        Ok(self)
    }
}

/// Services without a store: what plugins are checked against before a node runs.
pub fn scratch(policy: &Policy) -> Result<LocalServices, ServicesError> {
    let mut keys = approvers(policy)?;
    let own = rs256::SigningKey::generate().map_err(ServicesError::CallbackKey)?;
    keys.insert_signing(CALLBACK_KEY, own);
    Ok(LocalServices::new(keys, http_client(policy)?))
}

fn approvers(policy: &Policy) -> Result<KeyRing, ServicesError> {
    let mut keys = KeyRing::default();
    for (name, file) in &policy.public_keys {
        let key = rs256::VerifyingKey::from_pem(&read(file)?);
        keys.insert_verifying(
            name.clone(),
            key.map_err(|source| ServicesError::PublicKey { name: name.clone(), source })?,
        );
    }
    for (name, file) in &policy.secrets {
        check_private(name, file)?;
        let bytes = Zeroizing::new(read(file)?);
        let secret = hs256::Secret::new(bytes.trim_ascii_end());
        keys.insert_secret(
            name.clone(),
            secret.map_err(|source| ServicesError::Secret { name: name.clone(), source })?,
        );
    }
    Ok(keys)
}

fn check_private(name: &str, file: &Path) -> Result<(), ServicesError> {
    let metadata =
        std::fs::metadata(file).map_err(|source| ServicesError::Unreadable { file: file.into(), source })?;
    match metadata.mode() & 0o077 {
        0 => Ok(()),
        _ => Err(ServicesError::Exposed { name: name.into(), file: file.into() }),
    }
}

fn http_client(policy: &Policy) -> Result<HttpClient, ServicesError> {
    let extra_ca_pem = policy.ca_file.as_deref().map(read).transpose()?;
    Ok(HttpClient::new(&HttpOptions { extra_ca_pem, ..HttpOptions::default() })?)
}

impl Services for NodeServices {
    fn now(&self) -> u64 {
        crate::core::now().0
    }

    fn sign(&self, key: &str, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.with_key(key, |keys| keys.sign(key, algorithm, data))
    }

    fn verify(&self, key: &str, algorithm: &str, data: &[u8], signature: &[u8]) -> Result<bool, KeyError> {
        self.with_key(key, |keys| keys.verify(key, algorithm, data, signature))
    }

    fn public_key(&self, key: &str) -> Result<Vec<u8>, KeyError> {
        self.with_key(key, |keys| keys.public_key(key))
    }

    fn send(&self, request: HttpRequest) -> Sending {
        let client = self.http.clone();
        Box::pin(async move { client.send(request).await })
    }

    fn memory(&self, plugin: &str) -> Result<Box<dyn Memory>, StateError> {
        let snapshot = self.journal.snapshot(UnixMillis(self.now())).map_err(internal)?;
        Ok(Box::new(PluginMemory { snapshot, plugin: plugin.into() }))
    }

    fn differs(&self, difference: Difference) {
        let Ok(task) = difference.task.parse() else { return };
        let (plugin, refusal) = (&difference.evaluation.plugin, difference.evaluation.verdict.refusal());
        let record = countersign_store::Difference {
            at: UnixMillis(self.now()),
            task,
            shadow: plugin.clone(),
            against: difference.against,
            decided: difference.decided,
            would_have: refusal.map(|(code, _)| code.to_owned()),
            reason: refusal.map(|(_, reason)| reason.to_owned()).unwrap_or_default(),
        };
        tracing::info!(%task, shadow = plugin, decided = ?record.decided, would_have = ?record.would_have, "a shadow would have decided otherwise");
        let journal = self.journal.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = journal.differ(record) {
                tracing::error!(%error, "what a shadow would have decided was not recorded");
            }
        });
    }
}

/// What one plugin remembers.
struct PluginMemory {
    snapshot: Snapshot,
    plugin: String,
}

impl Memory for PluginMemory {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.snapshot.get(&self.plugin, key).map_err(internal)
    }

    fn entries(&self, prefix: &str, limit: usize) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        self.snapshot.list(&self.plugin, prefix, limit).map_err(internal)
    }

    fn used(&self) -> Result<u64, StateError> {
        let all = self.snapshot.list(&self.plugin, "", usize::MAX).map_err(internal)?;
        Ok(all.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum())
    }
}

fn internal(error: impl std::fmt::Display) -> StateError {
    StateError::Internal(error.to_string())
}

fn read(file: &Path) -> Result<Vec<u8>, ServicesError> {
    std::fs::read(file).map_err(|source| ServicesError::Unreadable { file: file.into(), source })
}
