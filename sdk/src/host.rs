//! The node's services for plugins. One trait, so that the same plugin runs in a node and in
//! a native unit test.

use std::time::Duration;

use crate::bindings::countersign::policy::{clock, config, http, keys, logging, state};
use crate::{HttpError, KeyError, Level, Request, Response, StateError};

/// The longest sleep that the interface can express. The node ends the component long before.
const LONGEST_SLEEP_MS: u128 = u64::MAX as u128;

/// The node, as seen by a plugin. In tests [`MockHost`](crate::testing::MockHost) takes its place.
///
/// Take it as `&impl Host`, not `&dyn Host`: a trait object makes the component import everything.
///
/// Every method but [`random`](Self::random) has a body that calls the import, which exists only
/// inside a component. Elsewhere that body panics.
pub trait Host {
    /// Returns the plugin's configuration as JSON.
    fn document(&self) -> String {
        config::document()
    }

    /// Returns the SHA-256 of [`document`](Self::document), 32 bytes.
    fn revision(&self) -> Vec<u8> {
        config::revision()
    }

    /// Returns the current time in milliseconds since 1970.
    fn now(&self) -> u64 {
        clock::now()
    }

    /// Pauses. This does not extend the task's deadline.
    fn sleep(&self, duration: Duration) {
        clock::sleep(duration.as_millis().min(LONGEST_SLEEP_MS) as u64);
    }

    /// Returns 32 unpredictable bytes, different in every call, for nonces and ids.
    fn random(&self) -> [u8; 32];

    /// Writes one line to the node's log.
    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        logging::log(level, message, &fields);
    }

    /// Signs with a private key that the node holds; `algorithm` is a JWA name such as `RS256`.
    fn sign(&self, key: &str, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, KeyError> {
        keys::sign(key, algorithm, data)
    }

    /// Verifies with a public key that the node holds.
    fn verify(
        &self,
        key: &str,
        algorithm: &str,
        data: &[u8],
        signature: &[u8],
    ) -> Result<bool, KeyError> {
        keys::verify(key, algorithm, data, signature)
    }

    /// Returns the public half of a key as DER SubjectPublicKeyInfo.
    fn public_key(&self, key: &str) -> Result<Vec<u8>, KeyError> {
        keys::public_key(key)
    }

    /// Sends one HTTP request and reads the whole response.
    fn send(&self, request: &Request) -> Result<Response, HttpError> {
        http::send(request)
    }

    /// Sends all requests at once and waits for all; answers are in the order of the requests.
    fn send_all(&self, requests: &[Request]) -> Vec<Result<Response, HttpError>> {
        http::send_all(requests)
    }

    /// Reads an entry of the plugin's memory.
    fn state_get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        state::get(key)
    }

    /// Writes an entry; it becomes durable if the node approves the task.
    fn state_set(&self, key: &str, value: &[u8], ttl: Option<Duration>) -> Result<(), StateError> {
        state::set(key, value, ttl.map(|ttl| ttl.as_secs()))
    }

    /// Removes an entry; durable under the same condition.
    fn state_delete(&self, key: &str) -> Result<(), StateError> {
        state::delete(key)
    }

    /// Returns at most `limit` keys that begin with `prefix`, in byte order.
    fn state_keys(&self, prefix: &str, limit: u32) -> Result<Vec<String>, StateError> {
        state::list_keys(prefix, limit)
    }

    /// Like [`state_keys`](Self::state_keys), with the values.
    fn state_entries(
        &self,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        state::list_entries(prefix, limit)
    }
}

/// Implements methods of [`Host`] with those of the field `$to`, for hosts of tests: all but the
/// group that the host implements itself. A method of a new interface is added to the first group.
///
/// An implementation of [`Host`] that has to be complete says
/// `#[deny(clippy::missing_trait_methods)]`, and so leads here.
#[doc(hidden)]
#[macro_export]
macro_rules! forward_host {
    ($to:ident except keys) => {
        $crate::forward_host!(@others $to);
        $crate::forward_host!(@state $to);
    };
    ($to:ident except state) => {
        $crate::forward_host!(@others $to);
        $crate::forward_host!(@keys $to);
    };
    (@others $to:ident) => {
        $crate::forward_host! { @each $to
            document() -> String;
            revision() -> Vec<u8>;
            now() -> u64;
            sleep(duration: std::time::Duration) -> ();
            random() -> [u8; 32];
            log(level: $crate::Level, message: &str, fields: &[(&str, &str)]) -> ();
            send(request: &$crate::Request) -> Result<$crate::Response, $crate::HttpError>;
            send_all(requests: &[$crate::Request])
                -> Vec<Result<$crate::Response, $crate::HttpError>>;
        }
    };
    (@keys $to:ident) => {
        $crate::forward_host! { @each $to
            sign(key: &str, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, $crate::KeyError>;
            verify(key: &str, algorithm: &str, data: &[u8], signature: &[u8])
                -> Result<bool, $crate::KeyError>;
            public_key(key: &str) -> Result<Vec<u8>, $crate::KeyError>;
        }
    };
    (@state $to:ident) => {
        $crate::forward_host! { @each $to
            state_get(key: &str) -> Result<Option<Vec<u8>>, $crate::StateError>;
            state_set(key: &str, value: &[u8], ttl: Option<std::time::Duration>)
                -> Result<(), $crate::StateError>;
            state_delete(key: &str) -> Result<(), $crate::StateError>;
            state_keys(prefix: &str, limit: u32) -> Result<Vec<String>, $crate::StateError>;
            state_entries(prefix: &str, limit: u32)
                -> Result<Vec<(String, Vec<u8>)>, $crate::StateError>;
        }
    };
    (@each $to:ident $($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($argument: $type),*) -> $answer {
            self.$to.$name($($argument),*)
        })*
    };
}
