//! The services of a plugin on trial: the real keys of its approvers, a throw-away callback key,
//! memory that starts empty and is discarded, a clock that can be set, and no network unless the
//! operator asks for it.

use std::sync::{Mutex, PoisonError};

use countersign_host::{
    Anchor, HttpError, HttpRequest, KeyError, LocalServices, Memory, Sending, Services, StateError,
};

/// Services for one evaluation that signs nothing.
pub(super) struct Trial {
    local: LocalServices,
    /// Milliseconds by which the plugin's clock is ahead of the real one.
    ahead: i64,
    network: bool,
    requests: Mutex<Vec<HttpRequest>>,
}

impl Trial {
    /// Creates the services; `at` is the time on the plugin's clock, in milliseconds since 1970.
    pub(super) fn new(local: LocalServices, at: Option<u64>, network: bool) -> Self {
        let ahead = at.map_or(0, |at| at as i64 - local.now() as i64);
        Self {
            local,
            ahead,
            network,
            requests: Mutex::default(),
        }
    }

    /// Returns the requests that were sent, or would have been.
    pub(super) fn requests(&self) -> Vec<HttpRequest> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Services for Trial {
    fn now(&self) -> u64 {
        self.local.now().saturating_add_signed(self.ahead)
    }

    fn sign(&self, key: &str, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.local.sign(key, algorithm, data)
    }

    fn verify(
        &self,
        key: &str,
        algorithm: &str,
        data: &[u8],
        signature: &[u8],
    ) -> Result<bool, KeyError> {
        self.local.verify(key, algorithm, data, signature)
    }

    fn public_key(&self, key: &str) -> Result<Vec<u8>, KeyError> {
        self.local.public_key(key)
    }

    fn anchor(&self, key: &str) -> Option<Anchor> {
        self.local.anchor(key)
    }

    fn authorities(&self) -> Option<Anchor> {
        self.local.authorities()
    }

    fn send(&self, request: HttpRequest) -> Sending {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request.clone());
        if self.network {
            self.local.send(request)
        } else {
            let denied = HttpError::Denied(format!("{} in a trial without --network", request.url));
            Box::pin(async move { Err(denied) })
        }
    }

    fn memory(&self, plugin: &str) -> Result<Box<dyn Memory>, StateError> {
        self.local.memory(plugin)
    }
}
