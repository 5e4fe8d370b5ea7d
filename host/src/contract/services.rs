//! The boundary between the host and the node: everything outside that a plugin can reach goes
//! through [`Services`]. Grants are checked before any of these is called.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::contract::anchor::Anchor;
use crate::contract::evaluation::Difference;

/// An HTTP exchange under way. It runs on its own task and is dropped when the plugin's time is up.
pub type Sending = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send>>;

/// Services of the node for its plugins. The synchronous methods must return within about a
/// millisecond: they run on the executor.
///
/// A service that gives answers has a default that refuses, so that only a host that has the
/// service implements it. [`anchor`](Self::anchor) and [`authorities`](Self::authorities) have
/// none: an implementation that forgets them would decide by keys that no record names.
pub trait Services: Send + Sync + 'static {
    /// The time in milliseconds since 1970.
    fn now(&self) -> u64;

    /// Signs `data` with the private key `key`; `algorithm` is a JWA name.
    fn sign(&self, key: &str, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, KeyError> {
        let _ = (algorithm, data);
        Err(KeyError::Unknown(key.into()))
    }

    /// Verifies `signature` over `data` under the public half of `key`.
    fn verify(
        &self,
        key: &str,
        algorithm: &str,
        data: &[u8],
        signature: &[u8],
    ) -> Result<bool, KeyError> {
        let _ = (algorithm, data, signature);
        Err(KeyError::Unknown(key.into()))
    }

    /// Public half of `key`, DER SubjectPublicKeyInfo.
    fn public_key(&self, key: &str) -> Result<Vec<u8>, KeyError> {
        Err(KeyError::Unknown(key.into()))
    }

    /// The digest that stands for `key` in records; `None` if there is no such key.
    fn anchor(&self, key: &str) -> Option<Anchor>;

    /// The authorities that [`send`](Self::send) believes besides those of the operating system.
    fn authorities(&self) -> Option<Anchor>;

    /// Sends a request that a grant covers.
    fn send(&self, request: HttpRequest) -> Sending {
        let denied = HttpError::Denied(format!("{}: this host sends nothing", request.url));
        Box::pin(async move { Err(denied) })
    }

    /// The committed memory of `plugin`, as it is now and stays in this view.
    fn memory(&self, plugin: &str) -> Result<Box<dyn Memory>, StateError> {
        Err(StateError::Denied(format!(
            "this host keeps nothing for {plugin}"
        )))
    }

    /// Reports that a shadow would have decided differently.
    fn differs(&self, difference: Difference) {
        tracing::info!(
            ?difference,
            "a shadow plugin would have decided differently"
        );
    }
}

/// The memory of a plugin at one moment.
pub trait Memory: Send + 'static {
    /// Reads the value of one entry.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError>;

    /// Entries whose keys begin with `prefix`, in byte order, at most `limit`.
    fn entries(&self, prefix: &str, limit: usize) -> Result<Vec<(String, Vec<u8>)>, StateError>;

    /// Bytes of all keys and values.
    fn used(&self) -> Result<u64, StateError>;
}

/// A request whose URL a grant covers and whose headers are not reserved.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// HTTP method, e.g. `POST`.
    pub method: String,
    /// Absolute URL, `http` or `https`.
    pub url: url::Url,
    /// Names and values, in order.
    pub headers: Vec<(String, String)>,
    /// Body of the request; may be empty.
    pub body: Vec<u8>,
    /// Limit that the plugin asks for; the client has its own.
    pub timeout: Option<Duration>,
}

/// A response that was read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// HTTP status code, e.g. 200.
    pub status: u16,
    /// Names and values; values that are not text are left out.
    pub headers: Vec<(String, String)>,
    /// Body, within the client's limit.
    pub body: Vec<u8>,
}

/// The reason for which there is no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each variant explains it")]
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

/// The reason for which a key operation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each variant explains it")]
pub enum KeyError {
    #[error("no key `{0}`")]
    Unknown(String),
    #[error("the algorithm `{0}` does not fit the key")]
    Algorithm(String),
    #[error("key operation failed: {0}")]
    Internal(String),
}

/// The reason for which the plugin's memory refused an operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each variant explains it")]
pub enum StateError {
    #[error("{0}")]
    Denied(String),
    #[error("cannot read the plugin's memory: {0}")]
    Internal(String),
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
