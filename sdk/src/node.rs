//! The implementation of [`Host`] inside a component: every method calls one import.

use std::time::Duration;

use crate::bindings::countersign::policy::{clock, config, http, keys, logging, state};
use crate::{Host, HttpError, KeyError, Level, Request, Response, StateError};

/// The longest sleep that the interface can express. The node ends the component long before.
const LONGEST_SLEEP_MS: u128 = u64::MAX as u128;

/// The node that runs this component.
pub(crate) struct Node;

impl Host for Node {
    fn document(&self) -> String {
        config::document()
    }

    fn revision(&self) -> Vec<u8> {
        config::revision()
    }

    fn now(&self) -> u64 {
        clock::now()
    }

    fn sleep(&self, duration: Duration) {
        clock::sleep(duration.as_millis().min(LONGEST_SLEEP_MS) as u64);
    }

    /// Uses WASI's generator, which the node backs by its own, so that the component's memory keeps
    /// no state of a generator.
    fn random(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the node has randomness");
        bytes
    }

    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        logging::log(level, message, &fields);
    }

    fn sign(&self, key: &str, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, KeyError> {
        keys::sign(key, algorithm, data)
    }

    fn verify(
        &self,
        key: &str,
        algorithm: &str,
        data: &[u8],
        signature: &[u8],
    ) -> Result<bool, KeyError> {
        keys::verify(key, algorithm, data, signature)
    }

    fn public_key(&self, key: &str) -> Result<Vec<u8>, KeyError> {
        keys::public_key(key)
    }

    fn send(&self, request: &Request) -> Result<Response, HttpError> {
        http::send(request)
    }

    fn send_all(&self, requests: &[Request]) -> Vec<Result<Response, HttpError>> {
        http::send_all(requests)
    }

    fn state_get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        state::get(key)
    }

    fn state_set(&self, key: &str, value: &[u8], ttl: Option<Duration>) -> Result<(), StateError> {
        state::set(key, value, ttl.map(|ttl| ttl.as_secs()))
    }

    fn state_delete(&self, key: &str) -> Result<(), StateError> {
        state::delete(key)
    }

    fn state_keys(&self, prefix: &str, limit: u32) -> Result<Vec<String>, StateError> {
        state::list_keys(prefix, limit)
    }

    fn state_entries(
        &self,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        state::list_entries(prefix, limit)
    }
}
