//! The node's services for plugins. One trait, so that the same plugin runs in a node and in
//! a native unit test.

use std::time::Duration;

use crate::{HttpError, KeyError, Level, Request, Response, StateError};

/// The node, as seen by a plugin. In tests [`MockHost`](crate::testing::MockHost) takes its place.
///
/// Take it as `&impl Host`, not `&dyn Host`: a trait object makes the component import everything.
pub trait Host {
    /// Returns the plugin's configuration as JSON.
    fn document(&self) -> String;

    /// Returns the SHA-256 of [`document`](Self::document), 32 bytes.
    fn revision(&self) -> Vec<u8>;

    /// Returns the current time in milliseconds since 1970.
    fn now(&self) -> u64;

    /// Pauses. This does not extend the task's deadline.
    fn sleep(&self, duration: Duration);

    /// Returns 32 unpredictable bytes, different in every call, for nonces and ids.
    fn random(&self) -> [u8; 32];

    /// Writes one line to the node's log.
    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]);

    /// Signs with a private key that the node holds; `algorithm` is a JWA name such as `RS256`.
    fn sign(&self, key: &str, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, KeyError>;

    /// Verifies with a public key that the node holds.
    fn verify(
        &self,
        key: &str,
        algorithm: &str,
        data: &[u8],
        signature: &[u8],
    ) -> Result<bool, KeyError>;

    /// Returns the public half of a key as DER SubjectPublicKeyInfo.
    fn public_key(&self, key: &str) -> Result<Vec<u8>, KeyError>;

    /// Sends one HTTP request and reads the whole response.
    fn send(&self, request: &Request) -> Result<Response, HttpError>;

    /// Sends all requests at once and waits for all; answers are in the order of the requests.
    fn send_all(&self, requests: &[Request]) -> Vec<Result<Response, HttpError>>;

    /// Reads an entry of the plugin's memory.
    fn state_get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError>;

    /// Writes an entry; it becomes durable if the node approves the task.
    fn state_set(&self, key: &str, value: &[u8], ttl: Option<Duration>) -> Result<(), StateError>;

    /// Removes an entry; durable under the same condition.
    fn state_delete(&self, key: &str) -> Result<(), StateError>;

    /// Returns at most `limit` keys that begin with `prefix`, in byte order.
    fn state_keys(&self, prefix: &str, limit: u32) -> Result<Vec<String>, StateError>;

    /// Like [`state_keys`](Self::state_keys), with the values.
    fn state_entries(&self, prefix: &str, limit: u32)
    -> Result<Vec<(String, Vec<u8>)>, StateError>;
}
