//! A mock node for unit tests of plugins.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::state::{MockCall, Reservation, Store};
use crate::{
    Failure, Host, HttpError, KeyError, Level, Plugin, Request, Response, StateError, Task, Verdict,
};

type Server = Box<dyn Fn(&MockHost, &Request) -> Result<Response, HttpError>>;

/// A line logged by the plugin.
#[allow(missing_docs, reason = "the fields are named for what they hold")]
#[derive(Debug, Clone, PartialEq)]
pub struct MockLine {
    pub level: Level,
    pub message: String,
    pub fields: Vec<(String, String)>,
}

/// A node for unit tests: its clock moves only by [`Host::sleep`] and [`advance`](Self::advance),
/// its servers are closures, and it records the plugin's actions. As a [`Host`] it makes every
/// write of state durable at once. [`decide`](Self::decide) makes decisions one after the other, as
/// a node does; [`call`](Self::call) makes concurrent ones.
#[derive(Default)]
pub struct MockHost {
    document: String,
    keys: BTreeSet<String>,
    secrets: BTreeMap<String, Vec<u8>>,
    slept: Cell<Duration>,
    advanced: Cell<Duration>,
    drawn: Cell<u8>,
    server: Option<Server>,
    answers: Option<usize>,
    requests: RefCell<Vec<Request>>,
    lines: RefCell<Vec<MockLine>>,
    state: RefCell<Store>,
}

impl MockHost {
    /// The clock's initial time, in milliseconds since 1970.
    pub const NOW: u64 = 1_800_000_000_000;

    /// Sets the plugin's configuration, as JSON.
    pub fn with_config(mut self, document: impl Into<String>) -> Self {
        self.document = document.into();
        self
    }

    /// Grants a key for every use.
    pub fn with_key(mut self, name: impl Into<String>) -> Self {
        self.keys.insert(name.into());
        self
    }

    /// Grants a shared secret for HS256.
    pub fn with_secret(mut self, name: impl Into<String>, secret: impl Into<Vec<u8>>) -> Self {
        self.secrets.insert(name.into(), secret.into());
        self
    }

    /// Answers HTTP requests. Without a server every request is denied.
    pub fn with_server(
        mut self,
        server: impl Fn(&Self, &Request) -> Result<Response, HttpError> + 'static,
    ) -> Self {
        self.server = Some(Box::new(server));
        self
    }

    /// Truncates the answers of [`Host::send_all`] to the first `most`, as no node should.
    pub fn with_answers(mut self, most: usize) -> Self {
        self.answers = Some(most);
        self
    }

    /// Returns the requests sent so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.borrow().clone()
    }

    /// Returns the lines logged so far, without their fields.
    pub fn lines(&self) -> Vec<(Level, String)> {
        self.lines
            .borrow()
            .iter()
            .map(|line| (line.level, line.message.clone()))
            .collect()
    }

    /// Returns the lines logged so far, with their fields.
    pub fn logged(&self) -> Vec<MockLine> {
        self.lines.borrow().clone()
    }

    /// Advances the clock by `duration`.
    pub fn advance(&self, duration: Duration) {
        self.advanced.set(self.advanced.get() + duration);
    }

    /// Limits the bytes of the plugin's memory, keys and values together. Unlimited by default.
    pub fn with_state_bytes(self, quota: u64) -> Self {
        self.state.borrow_mut().quota = Some(quota);
        self
    }

    /// Asks `P` as a node does: its writes become durable if it approves, else they are dropped.
    pub fn decide<P: Plugin>(&self, config: &P::Config, task: &Task) -> Result<Verdict, Failure> {
        let call = self.call();
        let answer = P::evaluate(config, task, &call);
        if let Ok(Verdict::Approve) = answer {
            call.commit().expect("no other decision is under way");
        }
        answer
    }

    /// Reports a task that others signed to `P` as a node does: its writes are kept on success.
    pub fn observe<P: Plugin>(&self, config: &P::Config, task: &Task) -> Result<(), Failure> {
        let call = self.call();
        let counted = P::observe(config, task, &call);
        if counted.is_ok() {
            call.commit().expect("no other decision is under way");
        }
        counted
    }

    /// Begins a decision whose writes nobody else sees until [`MockCall::commit`].
    pub fn call(&self) -> MockCall<'_> {
        MockCall::new(self, &self.state)
    }

    /// Takes back the reservations of an approved task, because nothing was signed.
    pub fn release(&self, reservation: Reservation) {
        self.state.borrow_mut().release(reservation);
    }

    /// Returns the total time that the plugin has slept.
    pub fn slept(&self) -> Duration {
        self.slept.get()
    }

    fn granted(&self, key: &str, algorithm: &str) -> Result<Granted<'_>, KeyError> {
        match (self.secrets.get(key), self.keys.contains(key), algorithm) {
            (Some(secret), _, "HS256") => Ok(Granted::Secret(secret)),
            (None, true, "RS256") => Ok(Granted::Pair),
            (None, false, _) => Err(KeyError::UnknownKey(key.into())),
            _ => Err(KeyError::UnsupportedAlgorithm(algorithm.into())),
        }
    }
}

/// The key that is granted under a name.
enum Granted<'a> {
    Pair,
    Secret(&'a [u8]),
}

#[deny(clippy::missing_trait_methods)]
impl Host for MockHost {
    fn document(&self) -> String {
        self.document.clone()
    }

    fn revision(&self) -> Vec<u8> {
        Sha256::digest(&self.document).to_vec()
    }

    fn now(&self) -> u64 {
        Self::NOW + (self.slept.get() + self.advanced.get()).as_millis() as u64
    }

    fn sleep(&self, duration: Duration) {
        self.slept.set(self.slept.get() + duration);
    }

    /// Returns deterministic bytes: the number of the call, counted from 1, 32 times.
    fn random(&self) -> [u8; 32] {
        self.drawn.set(self.drawn.get().wrapping_add(1));
        [self.drawn.get(); 32]
    }

    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        let fields = fields
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        self.lines.borrow_mut().push(MockLine {
            level,
            message: message.into(),
            fields,
        });
    }

    fn sign(&self, key: &str, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, KeyError> {
        match self.granted(key, algorithm)? {
            Granted::Pair => Ok([key.as_bytes(), b"|", data].concat()),
            Granted::Secret(secret) => {
                let mut mac =
                    Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
                mac.update(data);
                Ok(mac.finalize().into_bytes().to_vec())
            }
        }
    }

    fn verify(
        &self,
        key: &str,
        algorithm: &str,
        data: &[u8],
        signature: &[u8],
    ) -> Result<bool, KeyError> {
        Ok(self.sign(key, algorithm, data)? == signature)
    }

    fn public_key(&self, key: &str) -> Result<Vec<u8>, KeyError> {
        self.granted(key, "RS256")?;
        Ok(key.as_bytes().to_vec())
    }

    fn send(&self, request: &Request) -> Result<Response, HttpError> {
        self.requests.borrow_mut().push(request.clone());
        let server = self
            .server
            .as_ref()
            .ok_or_else(|| HttpError::Denied(request.url.clone()))?;
        server(self, request)
    }

    fn send_all(&self, requests: &[Request]) -> Vec<Result<Response, HttpError>> {
        let most = self.answers.unwrap_or(requests.len());
        requests
            .iter()
            .map(|request| self.send(request))
            .take(most)
            .collect()
    }

    fn state_get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.call().state_get(key)
    }

    fn state_set(&self, key: &str, value: &[u8], ttl: Option<Duration>) -> Result<(), StateError> {
        let call = self.call();
        call.state_set(key, value, ttl)?;
        call.commit()
            .map(drop)
            .map_err(|_| StateError::Internal("another decision is under way".into()))
    }

    fn state_delete(&self, key: &str) -> Result<(), StateError> {
        let call = self.call();
        call.state_delete(key)?;
        call.commit()
            .map(drop)
            .map_err(|_| StateError::Internal("another decision is under way".into()))
    }

    fn state_keys(&self, prefix: &str, limit: u32) -> Result<Vec<String>, StateError> {
        self.call().state_keys(prefix, limit)
    }

    fn state_entries(
        &self,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        self.call().state_entries(prefix, limit)
    }
}
