//! What a component's imports do. Each checks grant and budget, then asks [`Services`](crate::Services); a refusal of a
//! grant is an error that the guest sees, an exhausted budget ends the call.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::task::JoinSet;

use crate::bindings::countersign::policy::{clock, config, http, keys, logging, state, types};
use crate::call::{Call, Stop};
use crate::evaluation::{Level, LogLine, StateWrite};
use crate::grants::KeyUsage;
use crate::services::{HttpError, HttpRequest, HttpResponse, KeyError, StateError};
use crate::text::{self, printable};

/// Lines that are kept, and lines after which the call is stopped.
const KEPT_LINES: u32 = 100;
const LINES: u32 = 1000;
const FIELDS: usize = 16;
/// Enough for the incumbent's sixty retries.
const KEY_OPERATIONS: u32 = 1024;
const REQUESTS: u32 = 256;
const STATE_OPERATIONS: u32 = 10_000;
const STATE_KEY: usize = 256;
const STATE_VALUE: usize = 64 << 10;
const STATE_LIST: usize = 1000;
/// The longest single pause; a deadline comes sooner.
const NAP: u64 = 24 * 3600 * 1000;

/// Headers that belong to the client: a plugin that sets them could make two parties read two different requests.
const RESERVED: [&str; 8] =
    ["host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect"];

impl types::Host for Call {}

impl config::Host for Call {
    fn document(&mut self) -> wasmtime::Result<String> {
        Ok(self.context.document.clone())
    }

    fn revision(&mut self) -> wasmtime::Result<Vec<u8>> {
        Ok(self.context.revision.to_vec())
    }
}

impl clock::Host for Call {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.context.services.now())
    }

    /// The call's own deadline cuts this off.
    async fn sleep(&mut self, milliseconds: u64) -> wasmtime::Result<()> {
        tokio::time::sleep(Duration::from_millis(milliseconds.min(NAP))).await;
        Ok(())
    }
}

impl logging::Host for Call {
    fn log(
        &mut self,
        level: logging::Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        spend(&mut self.spent.lines, LINES, "log lines")?;
        if self.spent.lines > KEPT_LINES {
            return Ok(());
        }
        let cut = |text: &str| printable(text, text::LINE);
        let fields = fields.iter().take(FIELDS).map(|(name, value)| (cut(name), cut(value))).collect();
        let line = LogLine { level: level.into(), message: cut(&message), fields };
        tracing::debug!(plugin = self.context.name, level = ?line.level, fields = ?line.fields, "{}", line.message);
        self.logs.push(line);
        Ok(())
    }
}

impl From<logging::Level> for Level {
    fn from(level: logging::Level) -> Self {
        match level {
            logging::Level::Trace => Level::Trace,
            logging::Level::Debug => Level::Debug,
            logging::Level::Info => Level::Info,
            logging::Level::Warn => Level::Warn,
            logging::Level::Error => Level::Error,
        }
    }
}

impl keys::Host for Call {
    fn sign(
        &mut self,
        key: String,
        algorithm: String,
        data: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, keys::Error>> {
        self.key_operation(&key, |usage| usage == KeyUsage::SignJwt)?.map_or_else(
            |denied| Ok(Err(denied)),
            |()| {
                if !is_jwt(&data, &algorithm) {
                    let reason = "this key signs JWTs of the same algorithm only";
                    return Ok(Err(keys::Error::UnsupportedAlgorithm(reason.into())));
                }
                Ok(self.context.services.sign(&key, &algorithm, &data).map_err(Into::into))
            },
        )
    }

    fn verify(
        &mut self,
        key: String,
        algorithm: String,
        data: Vec<u8>,
        signature: Vec<u8>,
    ) -> wasmtime::Result<Result<bool, keys::Error>> {
        let granted = self.key_operation(&key, |usage| usage == KeyUsage::Verify)?;
        let services = &self.context.services;
        Ok(granted.and_then(|()| services.verify(&key, &algorithm, &data, &signature).map_err(Into::into)))
    }

    fn public_key(&mut self, key: String) -> wasmtime::Result<Result<Vec<u8>, keys::Error>> {
        let granted = self.key_operation(&key, |_| true)?;
        Ok(granted.and_then(|()| self.context.services.public_key(&key).map_err(Into::into)))
    }
}

impl Call {
    fn key_operation(
        &mut self,
        key: &str,
        usage: impl Fn(KeyUsage) -> bool,
    ) -> wasmtime::Result<Result<(), keys::Error>> {
        spend(&mut self.spent.key_operations, KEY_OPERATIONS, "key operations")?;
        let granted = self.context.grants.key(key, usage).is_some();
        Ok(if granted { Ok(()) } else { Err(keys::Error::UnknownKey(printable(key, 128))) })
    }
}

/// Whether `data` is the signing input of a JWT (RFC 7515 section 5.1) whose header names `algorithm`. So a grant to
/// sign JWTs is not a grant to sign anything.
fn is_jwt(data: &[u8], algorithm: &str) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Some((header, claims)) = text.split_once('.') else { return false };
    let object = |part: &str| -> Option<serde_json::Map<String, serde_json::Value>> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
    };
    let names_algorithm =
        object(header).is_some_and(|header| header.get("alg").is_some_and(|alg| alg == algorithm));
    names_algorithm && object(claims).is_some()
}

impl From<KeyError> for keys::Error {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Unknown(key) => keys::Error::UnknownKey(key),
            KeyError::Algorithm(algorithm) => keys::Error::UnsupportedAlgorithm(algorithm),
            KeyError::Internal(text) => keys::Error::Internal(text),
        }
    }
}

impl http::Host for Call {
    async fn send(
        &mut self,
        request: http::Request,
    ) -> wasmtime::Result<Result<http::Response, http::Error>> {
        let mut answers = self.send_all(vec![request]).await?;
        Ok(answers.pop().unwrap_or_else(cut_off))
    }

    async fn send_all(
        &mut self,
        requests: Vec<http::Request>,
    ) -> wasmtime::Result<Vec<Result<http::Response, http::Error>>> {
        let mut answers = Vec::with_capacity(requests.len());
        // On tasks of their own: polled here they would run, TLS handshake and all, on the guest's small stack. The set
        // aborts what is under way when the call is dropped.
        let mut exchanges = JoinSet::new();
        for (at, request) in requests.into_iter().enumerate() {
            spend(&mut self.spent.requests, REQUESTS, "HTTP requests")?;
            answers.push(cut_off());
            match self.granted(request) {
                Ok(request) => {
                    let sending = self.context.services.send(request);
                    exchanges.spawn(async move { (at, sending.await) });
                }
                Err(error) => answers[at] = Err(error.into()),
            }
        }
        while let Some(done) = exchanges.join_next().await {
            if let Ok((at, answer)) = done {
                answers[at] = answer.map(Into::into).map_err(Into::into);
            }
        }
        Ok(answers)
    }
}

/// The answer of an exchange that never gave one.
fn cut_off() -> Result<http::Response, http::Error> {
    Err(http::Error::Protocol("the exchange was cut off".into()))
}

impl Call {
    fn granted(&self, request: http::Request) -> Result<HttpRequest, HttpError> {
        let url = url::Url::parse(&request.url).map_err(|error| HttpError::Invalid(error.to_string()))?;
        if !self.context.grants.http.iter().any(|prefix| prefix.covers(&url)) {
            return Err(HttpError::Denied(printable(&request.url, 256)));
        }
        let reserved = |name: &str| RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved));
        if let Some((name, _)) = request.headers.iter().find(|(name, _)| reserved(name)) {
            return Err(HttpError::Denied(format!("the header {name}")));
        }
        Ok(HttpRequest {
            method: request.method,
            url,
            headers: request.headers,
            body: request.body,
            timeout: request.timeout_ms.map(|ms| Duration::from_millis(ms.into())),
        })
    }
}

impl From<HttpResponse> for http::Response {
    fn from(response: HttpResponse) -> Self {
        http::Response { status: response.status, headers: response.headers, body: response.body }
    }
}

impl From<HttpError> for http::Error {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Denied(text) => http::Error::Denied(text),
            HttpError::Invalid(text) => http::Error::Invalid(text),
            HttpError::Timeout => http::Error::Timeout,
            HttpError::Connect(text) => http::Error::Connect(text),
            HttpError::Tls(text) => http::Error::Tls(text),
            HttpError::TooLarge(limit) => http::Error::TooLarge(limit),
            HttpError::Protocol(text) => http::Error::Protocol(text),
        }
    }
}

impl state::Host for Call {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, state::Error>> {
        spend(&mut self.spent.state_operations, STATE_OPERATIONS, "state operations")?;
        Ok(self.visible(&key).map_err(Into::into))
    }

    fn set(
        &mut self,
        key: String,
        value: Vec<u8>,
        ttl_seconds: Option<u64>,
    ) -> wasmtime::Result<Result<(), state::Error>> {
        spend(&mut self.spent.state_operations, STATE_OPERATIONS, "state operations")?;
        Ok(self.stage(StateWrite { key, value: Some(value), ttl_seconds }).map_err(Into::into))
    }

    fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), state::Error>> {
        spend(&mut self.spent.state_operations, STATE_OPERATIONS, "state operations")?;
        Ok(self.stage(StateWrite { key, value: None, ttl_seconds: None }).map_err(Into::into))
    }

    fn list_keys(
        &mut self,
        prefix: String,
        limit: u32,
    ) -> wasmtime::Result<Result<Vec<String>, state::Error>> {
        let entries = self.list_entries(prefix, limit)?;
        Ok(entries.map(|entries| entries.into_iter().map(|(key, _)| key).collect()))
    }

    fn list_entries(
        &mut self,
        prefix: String,
        limit: u32,
    ) -> wasmtime::Result<Result<Vec<(String, Vec<u8>)>, state::Error>> {
        spend(&mut self.spent.state_operations, STATE_OPERATIONS, "state operations")?;
        Ok(self.visible_entries(&prefix, (limit as usize).min(STATE_LIST)).map_err(Into::into))
    }
}

impl Call {
    /// The value that this call sees: its own write, else the committed entry.
    fn visible(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        match self.staged.get(key) {
            Some(write) => Ok(write.value.clone()),
            None => self.context.services.state_get(&self.context.name, key),
        }
    }

    fn visible_entries(&self, prefix: &str, limit: usize) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        let committed =
            self.context.services.state_entries(&self.context.name, prefix, limit + self.staged.len())?;
        let mut entries: BTreeMap<String, Vec<u8>> = committed.into_iter().collect();
        for (key, write) in self.staged.iter().filter(|(key, _)| key.starts_with(prefix)) {
            match &write.value {
                Some(value) => entries.insert(key.clone(), value.clone()),
                None => entries.remove(key),
            };
        }
        Ok(entries.into_iter().take(limit).collect())
    }

    fn stage(&mut self, write: StateWrite) -> Result<(), StateError> {
        let value_len = write.value.as_ref().map_or(0, Vec::len);
        if write.key.len() > STATE_KEY || value_len > STATE_VALUE {
            return Err(StateError::Denied(format!("keys have {STATE_KEY} bytes, values {STATE_VALUE}")));
        }
        let size = |value: &Option<Vec<u8>>| {
            value.as_ref().map_or(0, |value| (write.key.len() + value.len()) as i64)
        };
        let bytes = self.staged_bytes + size(&write.value) - size(&self.visible(&write.key)?);
        let committed = self.context.services.state_used(&self.context.name)?;
        let quota = self.context.grants.state_bytes;
        if write.value.is_some() && i128::from(committed) + i128::from(bytes) > i128::from(quota) {
            return Err(StateError::Denied(format!("the quota of {quota} bytes is used up")));
        }
        self.staged_bytes = bytes;
        self.staged.insert(write.key.clone(), write);
        Ok(())
    }
}

impl From<StateError> for state::Error {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Denied(text) => state::Error::Denied(text),
            StateError::Internal(text) => state::Error::Internal(text),
        }
    }
}

fn spend(spent: &mut u32, limit: u32, what: &'static str) -> Result<(), Stop> {
    *spent = spent.saturating_add(1);
    if *spent > limit { Err(Stop::Budget(what)) } else { Ok(()) }
}
