//! What a component's imports do. Each checks grant and budget, then asks
//! [`Services`](crate::Services); a refusal of a grant is an error that the guest sees, an
//! exhausted budget ends the call.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::task::JoinSet;

use crate::bindings::countersign::policy::{clock, config, http, keys, logging, state, types};
use crate::call::{Call, Stop};
use crate::evaluation::{Level, LogLine, StateWrite};
use crate::grants::KeyUsage;
use crate::services::{HttpError, HttpRequest, HttpResponse, KeyError, Memory, StateError};
use crate::text::{self, printable};
use crate::trace::Asked;

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

/// Headers that belong to the client: a plugin that sets them could make two parties read two
/// different requests.
const RESERVED: [&str; 8] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

impl types::Host for Call {}

impl config::Host for Call {
    fn document(&mut self) -> wasmtime::Result<String> {
        Ok(self.context.document.to_string())
    }

    fn revision(&mut self) -> wasmtime::Result<Vec<u8>> {
        Ok(self.context.revision.to_vec())
    }
}

impl clock::Host for Call {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock.read())
    }

    /// The call's own deadline cuts this off.
    async fn sleep(&mut self, milliseconds: u64) -> wasmtime::Result<()> {
        let asked = Asked::new("clock.sleep", milliseconds.to_string(), &[]);
        if self.heard::<()>(&asked)?.is_none() {
            tokio::time::sleep(Duration::from_millis(milliseconds.min(NAP))).await;
            self.tape.note(asked, &());
        }
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
        let fields = fields
            .iter()
            .take(FIELDS)
            .map(|(name, value)| (cut(name), cut(value)))
            .collect();
        let line = LogLine {
            level: level.into(),
            message: cut(&message),
            fields,
        };
        tracing::debug!(plugin = self.context.name, level = ?line.level, fields = ?line.fields, "{}", line.message);
        self.logs.push(line);
        Ok(())
    }
}

impl From<logging::Level> for Level {
    fn from(level: logging::Level) -> Self {
        match level {
            logging::Level::Trace => Self::Trace,
            logging::Level::Debug => Self::Debug,
            logging::Level::Info => Self::Info,
            logging::Level::Warn => Self::Warn,
            logging::Level::Error => Self::Error,
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
        spend(
            &mut self.spent.key_operations,
            KEY_OPERATIONS,
            "key operations",
        )?;
        let asked = Asked::new("keys.sign", key.as_str(), &[algorithm.as_bytes(), &data]);
        self.answer(asked, |call| call.sign_granted(&key, &algorithm, &data))
    }

    fn verify(
        &mut self,
        key: String,
        algorithm: String,
        data: Vec<u8>,
        signature: Vec<u8>,
    ) -> wasmtime::Result<Result<bool, keys::Error>> {
        spend(
            &mut self.spent.key_operations,
            KEY_OPERATIONS,
            "key operations",
        )?;
        let asked = Asked::new(
            "keys.verify",
            key.as_str(),
            &[algorithm.as_bytes(), &data, &signature],
        );
        self.answer(asked, |call| {
            call.key_grant(&key, |usage| {
                matches!(usage, KeyUsage::Verify | KeyUsage::Mac)
            })?;
            Ok(call
                .context
                .services
                .verify(&key, &algorithm, &data, &signature)?)
        })
    }

    fn public_key(&mut self, key: String) -> wasmtime::Result<Result<Vec<u8>, keys::Error>> {
        spend(
            &mut self.spent.key_operations,
            KEY_OPERATIONS,
            "key operations",
        )?;
        self.answer(Asked::new("keys.public-key", key.as_str(), &[]), |call| {
            call.key_grant(&key, |usage| usage != KeyUsage::Mac)?;
            Ok(call.context.services.public_key(&key)?)
        })
    }
}

impl Call {
    fn sign_granted(
        &self,
        key: &str,
        algorithm: &str,
        data: &[u8],
    ) -> Result<Vec<u8>, keys::Error> {
        let usage = self.key_grant(key, |usage| usage != KeyUsage::Verify)?;
        if usage == KeyUsage::Mac && algorithm != "HS256" {
            return Err(keys::Error::UnsupportedAlgorithm(
                "a shared secret signs HS256 only".into(),
            ));
        }
        if usage == KeyUsage::SignJwt && !is_jwt(data, algorithm) {
            let reason = "this key signs JWTs of the same algorithm only";
            return Err(keys::Error::UnsupportedAlgorithm(reason.into()));
        }
        Ok(self.context.services.sign(key, algorithm, data)?)
    }

    fn key_grant(
        &self,
        key: &str,
        usage: impl Fn(KeyUsage) -> bool,
    ) -> Result<KeyUsage, keys::Error> {
        let granted = self.context.grants.key(key, usage).map(|grant| grant.usage);
        granted.ok_or_else(|| keys::Error::UnknownKey(printable(key, 128)))
    }
}

/// Whether `data` is the signing input of a JWT (RFC 7515 section 5.1) whose header names
/// `algorithm`. So a grant to sign JWTs is not a grant to sign anything.
fn is_jwt(data: &[u8], algorithm: &str) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let Some((header, claims)) = text.split_once('.') else {
        return false;
    };
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
            KeyError::Unknown(key) => Self::UnknownKey(key),
            KeyError::Algorithm(algorithm) => Self::UnsupportedAlgorithm(algorithm),
            KeyError::Internal(text) => Self::Internal(text),
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
        let asked = asked_of(&requests);
        for _ in &requests {
            spend(&mut self.spent.requests, REQUESTS, "HTTP requests")?;
        }
        if let Some(answers) = self.heard(&asked)? {
            return Ok(answers);
        }
        let mut answers = Vec::with_capacity(requests.len());
        // On tasks of their own: polled here they would run, TLS handshake and all, on the guest's
        // small stack. The set aborts what is under way when the call is dropped.
        let mut exchanges = JoinSet::new();
        for (at, request) in requests.into_iter().enumerate() {
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
        self.tape.note(asked, &answers);
        Ok(answers)
    }
}

fn asked_of(requests: &[http::Request]) -> Asked {
    let first = requests.first().map_or("", |request| request.url.as_str());
    let mut rest: Vec<&[u8]> = Vec::new();
    for request in requests {
        rest.extend([
            request.method.as_bytes(),
            request.url.as_bytes(),
            request.body.as_slice(),
        ]);
        rest.extend(
            request
                .headers
                .iter()
                .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]),
        );
    }
    Asked::new("http.send", printable(first, 256), &rest)
}

/// The answer of an exchange that never gave one.
fn cut_off() -> Result<http::Response, http::Error> {
    Err(http::Error::Protocol("the exchange was cut off".into()))
}

impl Call {
    fn granted(&self, request: http::Request) -> Result<HttpRequest, HttpError> {
        let url =
            url::Url::parse(&request.url).map_err(|error| HttpError::Invalid(error.to_string()))?;
        if !self
            .context
            .grants
            .http
            .iter()
            .any(|prefix| prefix.covers(&url))
        {
            return Err(HttpError::Denied(printable(&request.url, 256)));
        }
        let reserved = |name: &str| {
            RESERVED
                .iter()
                .any(|reserved| name.eq_ignore_ascii_case(reserved))
        };
        if let Some((name, _)) = request.headers.iter().find(|(name, _)| reserved(name)) {
            return Err(HttpError::Denied(format!("the header {name}")));
        }
        Ok(HttpRequest {
            method: request.method,
            url,
            headers: request.headers,
            body: request.body,
            timeout: request
                .timeout_ms
                .map(|ms| Duration::from_millis(ms.into())),
        })
    }
}

impl From<HttpResponse> for http::Response {
    fn from(response: HttpResponse) -> Self {
        Self {
            status: response.status,
            headers: response.headers,
            body: response.body,
        }
    }
}

impl From<HttpError> for http::Error {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Denied(text) => Self::Denied(text),
            HttpError::Invalid(text) => Self::Invalid(text),
            HttpError::Timeout => Self::Timeout,
            HttpError::Connect(text) => Self::Connect(text),
            HttpError::Tls(text) => Self::Tls(text),
            HttpError::TooLarge(limit) => Self::TooLarge(limit),
            HttpError::Protocol(text) => Self::Protocol(text),
        }
    }
}

impl state::Host for Call {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, state::Error>> {
        spend(
            &mut self.spent.state_operations,
            STATE_OPERATIONS,
            "state operations",
        )?;
        self.answer(Asked::new("state.get", key.as_str(), &[]), |call| {
            Ok(call.visible(&key)?)
        })
    }

    fn set(
        &mut self,
        key: String,
        value: Vec<u8>,
        ttl_seconds: Option<u64>,
    ) -> wasmtime::Result<Result<(), state::Error>> {
        spend(
            &mut self.spent.state_operations,
            STATE_OPERATIONS,
            "state operations",
        )?;
        let ttl = ttl_seconds
            .map_or(u64::MAX, |seconds| seconds)
            .to_be_bytes();
        let asked = Asked::new("state.set", key.as_str(), &[&value, &ttl]);
        self.write(
            asked,
            StateWrite {
                key,
                value: Some(value),
                ttl_seconds,
            },
        )
    }

    fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), state::Error>> {
        spend(
            &mut self.spent.state_operations,
            STATE_OPERATIONS,
            "state operations",
        )?;
        let asked = Asked::new("state.delete", key.as_str(), &[]);
        self.write(
            asked,
            StateWrite {
                key,
                value: None,
                ttl_seconds: None,
            },
        )
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
        spend(
            &mut self.spent.state_operations,
            STATE_OPERATIONS,
            "state operations",
        )?;
        let asked = Asked::new("state.list", prefix.as_str(), &[&limit.to_be_bytes()]);
        let limit = (limit as usize).min(STATE_LIST);
        self.answer(asked, |call| Ok(call.visible_entries(&prefix, limit)?))
    }
}

impl Call {
    /// Stages a write. What a recording allowed is staged without asking again.
    fn write(
        &mut self,
        asked: Asked,
        write: StateWrite,
    ) -> wasmtime::Result<Result<(), state::Error>> {
        if let Some(answer) = self.heard::<Result<(), state::Error>>(&asked)? {
            if answer.is_ok() {
                self.staged.insert(write.key.clone(), write);
            }
            return Ok(answer);
        }
        self.answer(asked, |call| Ok(call.stage(write)?))
    }

    /// The plugin's memory as it was when it was first looked at: all that one call reads is of one
    /// moment.
    fn memory(&mut self) -> Result<&dyn Memory, StateError> {
        if self.memory.is_none() {
            self.memory = Some(self.context.services.memory(&self.context.memory_of)?);
        }
        self.memory
            .as_deref()
            .ok_or_else(|| StateError::Internal("it is gone".into()))
    }

    /// The value that this call sees: its own write, else the committed entry.
    fn visible(&mut self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        match self.staged.get(key) {
            Some(write) => Ok(write.value.clone()),
            None => self.memory()?.get(key),
        }
    }

    fn visible_entries(
        &mut self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        let most = limit + self.staged.len();
        let mut entries: BTreeMap<String, Vec<u8>> =
            self.memory()?.entries(prefix, most)?.into_iter().collect();
        for (key, write) in self
            .staged
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
        {
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
            return Err(StateError::Denied(format!(
                "keys have {STATE_KEY} bytes, values {STATE_VALUE}"
            )));
        }
        let size = |value: &Option<Vec<u8>>| {
            value
                .as_ref()
                .map_or(0, |value| (write.key.len() + value.len()) as i64)
        };
        let bytes = self.staged_bytes + size(&write.value) - size(&self.visible(&write.key)?);
        let committed = match self.memory_bytes {
            Some(bytes) => bytes,
            None => self.memory()?.used()?,
        };
        self.memory_bytes = Some(committed);
        let quota = self.context.grants.state_bytes;
        if write.value.is_some() && i128::from(committed) + i128::from(bytes) > i128::from(quota) {
            return Err(StateError::Denied(format!(
                "the quota of {quota} bytes is used up"
            )));
        }
        self.staged_bytes = bytes;
        self.staged.insert(write.key.clone(), write);
        Ok(())
    }
}

impl From<StateError> for state::Error {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Denied(text) => Self::Denied(text),
            StateError::Internal(text) => Self::Internal(text),
        }
    }
}

fn spend(spent: &mut u32, limit: u32, what: &'static str) -> Result<(), Stop> {
    *spent = spent.saturating_add(1);
    if *spent > limit {
        Err(Stop::Budget(what))
    } else {
        Ok(())
    }
}
