//! [`Services`] without a node, for tests and for trying plugins out.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::capability::http_client::HttpClient;
use crate::capability::key_ring::KeyRing;
use crate::contract::anchor::Anchor;
use crate::contract::evaluation::Evaluation;
use crate::contract::services::{HttpRequest, KeyError, Memory, Sending, Services, StateError};

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
    pub fn commit(&self, evaluation: &Evaluation) {
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
