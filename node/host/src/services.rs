//! The joint between the host and the node: everything outside that a plugin can reach goes through
//! [`Services`]. Grants are checked before any of these is called.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use crate::http::HttpClient;
use crate::shadow::Difference;
use crate::{Anchor, AnchorKind, hs256, rs256};

/// An HTTP exchange under way. It runs on its own task and is dropped when the plugin's time is up.
pub type Sending = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send>>;

/// What the node does for its plugins. The synchronous methods must return within about a
/// millisecond: they run on the executor.
pub trait Services: Send + Sync + 'static {
    /// Milliseconds since 1970.
    fn now(&self) -> u64;

    /// Signs `data` with the private key `key`; `algorithm` is a JWA name.
    fn sign(&self, key: &str, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, KeyError>;

    /// Whether `signature` over `data` verifies under the public half of `key`.
    fn verify(
        &self,
        key: &str,
        algorithm: &str,
        data: &[u8],
        signature: &[u8],
    ) -> Result<bool, KeyError>;

    /// Public half of `key`, DER SubjectPublicKeyInfo.
    fn public_key(&self, key: &str) -> Result<Vec<u8>, KeyError>;

    /// What stands for `key` in the record of what decides; `None` if there is no such key.
    fn anchor(&self, key: &str) -> Option<Anchor>;

    /// The authorities that [`send`](Self::send) believes besides those of the operating system.
    fn authorities(&self) -> Option<Anchor>;

    /// Sends a request that a grant covers.
    fn send(&self, request: HttpRequest) -> Sending;

    /// The committed memory of `plugin`, as it is now and stays in this view.
    fn memory(&self, plugin: &str) -> Result<Box<dyn Memory>, StateError>;

    /// Takes note that a plugin which decides nothing would have decided otherwise.
    fn differs(&self, difference: Difference) {
        tracing::info!(?difference, "a shadow would have decided otherwise");
    }
}

/// What a plugin remembers, at one moment.
pub trait Memory: Send + 'static {
    /// Reads an entry.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError>;

    /// Entries whose keys begin with `prefix`, in byte order, at most `limit`.
    fn entries(&self, prefix: &str, limit: usize) -> Result<Vec<(String, Vec<u8>)>, StateError>;

    /// Bytes of all keys and values.
    fn used(&self) -> Result<u64, StateError>;
}

/// A request whose URL a grant covers and whose headers are not reserved.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// Method.
    pub method: String,
    /// Absolute URL, `http` or `https`.
    pub url: url::Url,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// What the plugin asks for; the client has its own limit.
    pub timeout: Option<Duration>,
}

/// A whole response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// Status code.
    pub status: u16,
    /// Names and values; values that are not text are left out.
    pub headers: Vec<(String, String)>,
    /// Body, within the client's limit.
    pub body: Vec<u8>,
}

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum HttpError {
    #[error("no grant covers {0}")]
    Denied(String),
    #[error("malformed request: {0}")]
    Invalid(String),
    #[error("no answer in time")]
    Timeout,
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("TLS failed: {0}")]
    Tls(String),
    #[error("the answer exceeds {0} bytes")]
    TooLarge(u64),
    #[error("broken answer: {0}")]
    Protocol(String),
}

/// Why a key did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum KeyError {
    #[error("no key `{0}`")]
    Unknown(String),
    #[error("the algorithm `{0}` does not fit the key")]
    Algorithm(String),
    #[error("key operation failed: {0}")]
    Internal(String),
}

/// Why the plugin's memory did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum StateError {
    #[error("{0}")]
    Denied(String),
    #[error("cannot read the plugin's memory: {0}")]
    Internal(String),
}

/// Keys by name, in memory: RSA for `RS256`, shared secrets for `HS256`. A key works with its own
/// algorithm only.
#[derive(Debug, Default)]
pub struct KeyRing {
    signing: HashMap<String, rs256::SigningKey>,
    verifying: HashMap<String, rs256::VerifyingKey>,
    secrets: HashMap<String, hs256::Secret>,
    /// Under which digests of secrets are made; none without it.
    digests: Option<hs256::Secret>,
}

impl KeyRing {
    /// Adds a key pair, e.g. under `callback`.
    pub fn insert_signing(&mut self, name: impl Into<String>, key: rs256::SigningKey) {
        let name = name.into();
        self.verifying.insert(name.clone(), key.verifying_key());
        self.signing.insert(name, key);
    }

    /// Adds a public key, e.g. of a callback server.
    pub fn insert_verifying(&mut self, name: impl Into<String>, key: rs256::VerifyingKey) {
        self.verifying.insert(name.into(), key);
    }

    /// Adds a secret shared with a server, e.g. of a webhook.
    pub fn insert_secret(&mut self, name: impl Into<String>, secret: hs256::Secret) {
        self.secrets.insert(name.into(), secret);
    }

    /// Makes digests of secrets under `key`, which nobody else knows.
    pub fn with_digest_key(self, key: hs256::Secret) -> Self {
        Self {
            digests: Some(key),
            ..self
        }
    }

    /// See [`Services::anchor`].
    pub fn anchor(&self, key: &str) -> Option<Anchor> {
        let anchor = |kind, sha256| {
            Some(Anchor {
                kind,
                name: key.into(),
                sha256,
            })
        };
        if let Some(secret) = self.secrets.get(key) {
            let digest = self.digests.as_ref().map(|digests| secret.digest(digests));
            return anchor(AnchorKind::Secret, digest);
        }
        let spki = self.verifying.get(key)?.spki_der();
        anchor(AnchorKind::PublicKey, Some(Sha256::digest(spki).into()))
    }

    /// See [`Services::sign`].
    pub fn sign(&self, key: &str, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, KeyError> {
        if let Some(secret) = self.secrets.get(key) {
            return only("HS256", algorithm).map(|()| secret.sign(data));
        }
        let found = self
            .signing
            .get(key)
            .ok_or_else(|| KeyError::Unknown(key.into()))?;
        only("RS256", algorithm)?;
        found
            .sign(data)
            .map_err(|error| KeyError::Internal(error.to_string()))
    }

    /// See [`Services::verify`].
    pub fn verify(
        &self,
        key: &str,
        algorithm: &str,
        data: &[u8],
        signature: &[u8],
    ) -> Result<bool, KeyError> {
        if let Some(secret) = self.secrets.get(key) {
            return only("HS256", algorithm).map(|()| secret.verify(data, signature));
        }
        let found = self
            .verifying
            .get(key)
            .ok_or_else(|| KeyError::Unknown(key.into()))?;
        only("RS256", algorithm)?;
        Ok(found.verify(data, signature))
    }

    /// See [`Services::public_key`].
    pub fn public_key(&self, key: &str) -> Result<Vec<u8>, KeyError> {
        let found = self
            .verifying
            .get(key)
            .ok_or_else(|| KeyError::Unknown(key.into()))?;
        Ok(found.spki_der().to_vec())
    }
}

fn only(fits: &str, algorithm: &str) -> Result<(), KeyError> {
    if algorithm == fits {
        Ok(())
    } else {
        Err(KeyError::Algorithm(algorithm.into()))
    }
}

/// [`Services`] that need no node: a key ring, an HTTP client, the system's clock, and memory that
/// ends with the process. For tests and for trying plugins out.
#[derive(Debug)]
pub struct LocalServices {
    keys: KeyRing,
    http: HttpClient,
    state: Mutex<BTreeMap<(String, String), Vec<u8>>>,
}

impl LocalServices {
    /// Services over these keys and this client.
    pub fn new(keys: KeyRing, http: HttpClient) -> Self {
        Self {
            keys,
            http,
            state: Mutex::default(),
        }
    }

    /// Makes an approved evaluation's writes visible. Entries do not expire here.
    pub fn commit(&self, evaluation: &crate::Evaluation) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for write in &evaluation.writes {
            let key = (evaluation.plugin.clone(), write.key.clone());
            match &write.value {
                Some(value) => state.insert(key, value.clone()),
                None => state.remove(&key),
            };
        }
    }
}

impl Services for LocalServices {
    fn now(&self) -> u64 {
        // A clock before 1970 makes every deadline and token expire: it fails closed.
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(u64::MAX, |since| since.as_millis() as u64)
    }

    fn sign(&self, key: &str, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.keys.sign(key, algorithm, data)
    }

    fn verify(
        &self,
        key: &str,
        algorithm: &str,
        data: &[u8],
        signature: &[u8],
    ) -> Result<bool, KeyError> {
        self.keys.verify(key, algorithm, data, signature)
    }

    fn public_key(&self, key: &str) -> Result<Vec<u8>, KeyError> {
        self.keys.public_key(key)
    }

    fn anchor(&self, key: &str) -> Option<Anchor> {
        self.keys.anchor(key)
    }

    fn authorities(&self) -> Option<Anchor> {
        self.http.authorities()
    }

    fn send(&self, request: HttpRequest) -> Sending {
        let client = self.http.clone();
        Box::pin(async move { client.send(request).await })
    }

    fn memory(&self, plugin: &str) -> Result<Box<dyn Memory>, StateError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let own = state.iter().filter(|((owner, _), _)| owner == plugin);
        Ok(Box::new(
            own.map(|((_, key), value)| (key.clone(), value.clone()))
                .collect::<BTreeMap<_, _>>(),
        ))
    }
}

impl Memory for BTreeMap<String, Vec<u8>> {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(Self::get(self, key).cloned())
    }

    fn entries(&self, prefix: &str, limit: usize) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        let matching = self
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix));
        Ok(matching
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn used(&self) -> Result<u64, StateError> {
        Ok(self
            .iter()
            .map(|(key, value)| (key.len() + value.len()) as u64)
            .sum())
    }
}

/// [`Services`] that have nothing: for replays, where all answers are on record.
pub(crate) struct Nothing;

impl Services for Nothing {
    fn now(&self) -> u64 {
        0
    }

    fn sign(&self, key: &str, _algorithm: &str, _data: &[u8]) -> Result<Vec<u8>, KeyError> {
        Err(KeyError::Unknown(key.into()))
    }

    fn verify(&self, key: &str, _: &str, _: &[u8], _: &[u8]) -> Result<bool, KeyError> {
        Err(KeyError::Unknown(key.into()))
    }

    fn public_key(&self, key: &str) -> Result<Vec<u8>, KeyError> {
        Err(KeyError::Unknown(key.into()))
    }

    fn anchor(&self, _key: &str) -> Option<Anchor> {
        None
    }

    fn authorities(&self) -> Option<Anchor> {
        None
    }

    fn send(&self, _request: HttpRequest) -> Sending {
        Box::pin(async { Err(HttpError::Connect("there is no network in a replay".into())) })
    }

    fn memory(&self, _plugin: &str) -> Result<Box<dyn Memory>, StateError> {
        Ok(Box::new(BTreeMap::new()))
    }
}
