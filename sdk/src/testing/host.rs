//! A node for unit tests: its clock moves when it is told to, its servers are closures, and it
//! remembers what the plugin did.

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

/// A line that the plugin logged: level, message and fields.
#[derive(Debug, Clone, PartialEq)]
pub struct MockLine {
    /// How important it is.
    pub level: Level,
    /// The message.
    pub message: String,
    /// Names and values.
    pub fields: Vec<(String, String)>,
}

/// A node for unit tests: its clock moves only by [`Host::sleep`] and [`advance`](Self::advance),
/// its servers are closures, and it remembers what the plugin did.
///
/// As a [`Host`] it makes every write of state durable at once. What a node does, one decision
/// after the other, is [`decide`](Self::decide); what happens when two are made at the same time,
/// [`call`](Self::call).
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
    /// What the clock shows at first, in milliseconds since 1970.
    pub const NOW: u64 = 1_800_000_000_000;

    /// Gives the plugin a configuration.
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

    /// Lets [`Host::send_all`] give no more than the first `most` answers, as no node should.
    pub fn with_answers(mut self, most: usize) -> Self {
        self.answers = Some(most);
        self
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.borrow().clone()
    }

    /// The log lines so far, without their fields.
    pub fn lines(&self) -> Vec<(Level, String)> {
        self.lines
            .borrow()
            .iter()
            .map(|line| (line.level, line.message.clone()))
            .collect()
    }

    /// The log lines so far.
    pub fn logged(&self) -> Vec<MockLine> {
        self.lines.borrow().clone()
    }

    /// Lets time pass.
    pub fn advance(&self, duration: Duration) {
        self.advanced.set(self.advanced.get() + duration);
    }

    /// Bounds the plugin's memory, keys and values together. Without this there is no bound.
    pub fn with_state_bytes(self, quota: u64) -> Self {
        self.state.borrow_mut().quota = Some(quota);
        self
    }

    /// Asks `P` as a node does: what it wrote becomes durable if it approves, and is forgotten if
    /// it does not.
    pub fn decide<P: Plugin>(&self, config: &P::Config, task: &Task) -> Result<Verdict, Failure> {
        let call = self.call();
        let answer = P::evaluate(config, task, &call);
        if let Ok(Verdict::Approve) = answer {
            call.commit().expect("no other decision is under way");
        }
        answer
    }

    /// Tells `P` of a task that others signed, as a node does: what it wrote becomes durable if it
    /// succeeds.
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

    /// Takes back what an approved task had reserved, because nothing was signed.
    pub fn release(&self, reservation: Reservation) {
        self.state.borrow_mut().release(reservation);
    }

    /// How long the plugin slept in all.
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

/// What a name stands for.
enum Granted<'a> {
    Pair,
    Secret(&'a [u8]),
}

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

    /// Not random at all: 32 times the number of the call, from 1.
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
