//! Native unit tests for plugins: a scripted [`MockHost`] and ready-made tasks. Never part of a component: nothing
//! there refers to it. Its RS256 signatures protect nothing; its HS256 codes are genuine.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::{
    Destination, Host, HttpError, Input, Intent, Key, KeyError, Keygen, Level, Operation, Principal, Request,
    Response, Signing, StateError, Task, Transaction,
};

type Server = Box<dyn Fn(&MockHost, &Request) -> Result<Response, HttpError>>;

/// A node for unit tests: its clock moves only by [`Host::sleep`], its servers are closures, and it remembers what the
/// plugin did.
#[derive(Default)]
pub struct MockHost {
    document: String,
    keys: BTreeSet<String>,
    secrets: BTreeMap<String, Vec<u8>>,
    slept: Cell<Duration>,
    server: Option<Server>,
    requests: RefCell<Vec<Request>>,
    lines: RefCell<Vec<(Level, String)>>,
    state: RefCell<BTreeMap<String, Vec<u8>>>,
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
        server: impl Fn(&MockHost, &Request) -> Result<Response, HttpError> + 'static,
    ) -> Self {
        self.server = Some(Box::new(server));
        self
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.borrow().clone()
    }

    /// The log lines so far.
    pub fn lines(&self) -> Vec<(Level, String)> {
        self.lines.borrow().clone()
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
        vec![0; 32]
    }

    fn now(&self) -> u64 {
        Self::NOW + self.slept.get().as_millis() as u64
    }

    fn sleep(&self, duration: Duration) {
        self.slept.set(self.slept.get() + duration);
    }

    fn log(&self, level: Level, message: &str, _fields: &[(&str, &str)]) {
        self.lines.borrow_mut().push((level, message.into()));
    }

    fn sign(&self, key: &str, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, KeyError> {
        match self.granted(key, algorithm)? {
            Granted::Pair => Ok([key.as_bytes(), b"|", data].concat()),
            Granted::Secret(secret) => {
                let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
                mac.update(data);
                Ok(mac.finalize().into_bytes().to_vec())
            }
        }
    }

    fn verify(&self, key: &str, algorithm: &str, data: &[u8], signature: &[u8]) -> Result<bool, KeyError> {
        Ok(self.sign(key, algorithm, data)? == signature)
    }

    fn public_key(&self, key: &str) -> Result<Vec<u8>, KeyError> {
        self.granted(key, "RS256")?;
        Ok(key.as_bytes().to_vec())
    }

    fn send(&self, request: &Request) -> Result<Response, HttpError> {
        self.requests.borrow_mut().push(request.clone());
        let server = self.server.as_ref().ok_or_else(|| HttpError::Denied(request.url.clone()))?;
        server(self, request)
    }

    fn send_all(&self, requests: &[Request]) -> Vec<Result<Response, HttpError>> {
        requests.iter().map(|request| self.send(request)).collect()
    }

    fn state_get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.state.borrow().get(key).cloned())
    }

    fn state_set(&self, key: &str, value: &[u8], _ttl: Option<Duration>) -> Result<(), StateError> {
        self.state.borrow_mut().insert(key.into(), value.into());
        Ok(())
    }

    fn state_delete(&self, key: &str) -> Result<(), StateError> {
        self.state.borrow_mut().remove(key);
        Ok(())
    }

    fn state_keys(&self, prefix: &str, limit: u32) -> Result<Vec<String>, StateError> {
        let state = self.state.borrow();
        Ok(state.keys().filter(|key| key.starts_with(prefix)).take(limit as usize).cloned().collect())
    }

    fn state_entries(&self, prefix: &str, limit: u32) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        let state = self.state.borrow();
        let found = state.iter().filter(|(key, _)| key.starts_with(prefix)).take(limit as usize);
        Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

/// A task that asks for `operation`, received [now](MockHost::NOW), to be answered within two minutes.
pub fn task(operation: Operation) -> Task {
    Task {
        id: "task-1".into(),
        attempt: 1,
        received_at: MockHost::NOW,
        deadline: MockHost::NOW + 120_000,
        requester: Principal { id: "requester-key".into(), name: "treasury".into() },
        coordinator: Principal { id: "coordinator-key".into(), name: "main".into() },
        node: "csn1self".into(),
        operation,
        extra: Vec::new(),
        raw: b"{}".to_vec(),
    }
}

/// A 2-of-3 ECDSA key.
pub fn key() -> Key {
    Key {
        id: "key-1".into(),
        scheme: "ecdsa-secp256k1".into(),
        curve: "secp256k1".into(),
        root_public_key: "xpub-1".into(),
        threshold: 2,
        members: ["csn1a", "csn1b", "csn1c"].map(String::from).to_vec(),
    }
}

/// A task to create an ECDSA key.
pub fn keygen(threshold: u16, members: &[&str]) -> Task {
    task(Operation::Keygen(Keygen {
        scheme: "ecdsa-secp256k1".into(),
        curve: "secp256k1".into(),
        threshold,
        members: members.iter().map(|id| id.to_string()).collect(),
    }))
}

/// A task to sign for `intent` with [`key`] at `m/44/60/0/0/0`.
pub fn signing(intent: Intent) -> Task {
    task(Operation::Sign(Signing {
        key: key(),
        signers: ["csn1a", "csn1b"].map(String::from).to_vec(),
        inputs: vec![Input {
            path: "m/44/60/0/0/0".into(),
            public_key: vec![2; 33],
            digest: vec![0xAB; 32],
            tweak: None,
        }],
        payload: "evm-transaction".into(),
        blind: false,
        intent,
    }))
}

/// A task to sign a verified transfer of the chain's native asset.
pub fn transfer(chain: &str, address: &str, amount: &str) -> Task {
    let destination = Destination {
        address: address.into(),
        asset: String::new(),
        amount: amount.into(),
        memo: None,
        change: false,
    };
    signing(Intent::Transaction(Transaction {
        chain: chain.into(),
        sources: vec!["0xsource".into()],
        destinations: vec![destination],
        calls: Vec::new(),
        grants: Vec::new(),
        fee: None,
        unsigned: Vec::new(),
    }))
}
