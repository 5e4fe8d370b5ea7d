//! Requests that are signed by a requester's key instead of carrying a bearer secret.
//!
//! A request is accepted once, and only for a short time after it was signed. Requests are
//! remembered for as long as they would be accepted; the memory of each requester is bounded, and
//! beyond it the requester is refused. A new process remembers nothing, so it refuses every request
//! that an earlier one may have accepted.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, Method, Uri};
use countersign_protocol::request::HttpRequest;
use countersign_protocol::{CoordinatorId, RequesterId, UnixMillis};
use sha2::{Digest, Sha256};

/// The headers of a signed request.
pub const REQUESTER: &str = "countersign-requester";
const TIME: &str = "countersign-time";
const NONCE: &str = "countersign-nonce";
const BODY: &str = "countersign-content-sha256";
const SIGNATURE: &str = "countersign-signature";
/// The headers of the same in Cobo's WaaS 2.0.
const BIZ_KEY: &str = "biz-api-key";
const BIZ_NONCE: &str = "biz-api-nonce";
const BIZ_SIGNATURE: &str = "biz-api-signature";

/// Milliseconds that a requester's clock may be ahead of ours.
pub const AHEAD: u64 = 5_000;
/// Milliseconds for which a request is accepted, unless configured.
pub const WINDOW: u64 = 30_000;
/// Requests of one requester that are remembered.
const REMEMBERED: usize = 16_384;

/// Why a signed request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages describe the variants")]
#[non_exhaustive]
pub enum RequestError {
    #[error(
        "the header `{0}` of the signed request is missing, appears twice or is malformed; sign the request as the page `api-authentication` says"
    )]
    Header(&'static str),
    #[error("the request proves its sender in two ways; send either an API key or one signature")]
    Ambiguous,
    #[error(
        "the path or the query has a `|`, which this signature leaves ambiguous; encode it as %7C"
    )]
    Separator,
    #[error(
        "the request was signed {0} ms ago by this coordinator's clock, which is too long; set the clock, then sign it again"
    )]
    Old(u64),
    #[error(
        "the request is dated {0} ms ahead of this coordinator's clock, which is too far; set the clock, then sign it again"
    )]
    Ahead(u64),
    #[error(
        "this coordinator has just started, and refuses what an earlier run may have seen; sign the request again in {} seconds",
        AHEAD / 1000
    )]
    Started,
    #[error(
        "the request is not signed by a listed requester for this coordinator; check key, coordinator and signature, or list the requester under `api_keys` in the coordinator's configuration"
    )]
    Unauthorised,
    #[error("this request was made before; sign each one with a nonce of its own")]
    Repeated,
    #[error("too many signed requests of this requester in a short time; wait, then sign it again")]
    Full,
    #[error("the body is not the signed one; sign the bytes that are sent")]
    Body,
}

/// A request's claim to be signed, unproven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The alleged requester.
    pub requester: RequesterId,
    /// The alleged time of signing.
    pub time: UnixMillis,
    form: Form,
    signature: [u8; 64],
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// The signature is over the body's hash, so it is verified before the body is read.
    Own { nonce: String, body: [u8; 32] },
    /// The signature is over the body itself.
    Biz,
}

/// A request of which the signature is the requester's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    requester: RequesterId,
    time: UnixMillis,
    /// The beginning of the hash of what was signed.
    digest: [u8; 16],
}

impl Claim {
    /// Reads the headers. `None` if the request does not claim to be signed.
    pub fn read(headers: &HeaderMap) -> Result<Option<Self>, RequestError> {
        let own = [REQUESTER, TIME, NONCE, BODY, SIGNATURE]
            .iter()
            .any(|name| headers.contains_key(*name));
        let biz = [BIZ_KEY, BIZ_NONCE, BIZ_SIGNATURE]
            .iter()
            .any(|name| headers.contains_key(*name));
        let bearer = headers.contains_key(axum::http::header::AUTHORIZATION);
        match (own, biz) {
            (false, false) => Ok(None),
            (true, true) => Err(RequestError::Ambiguous),
            _ if bearer => Err(RequestError::Ambiguous),
            (true, false) => Self::own(headers).map(Some),
            (false, true) => Self::biz(headers).map(Some),
        }
    }

    fn own(headers: &HeaderMap) -> Result<Self, RequestError> {
        let requester = one(headers, REQUESTER)?
            .parse()
            .map_err(|_| RequestError::Header(REQUESTER))?;
        let nonce = one(headers, NONCE)?;
        if !HttpRequest::is_nonce(nonce) {
            return Err(RequestError::Header(NONCE));
        }
        let body = if headers.contains_key(BODY) {
            bytes(headers, BODY)?
        } else {
            HttpRequest::EMPTY_SHA256
        };
        Ok(Self {
            requester,
            time: millis(headers, TIME)?,
            form: Form::Own {
                nonce: nonce.to_owned(),
                body,
            },
            signature: bytes(headers, SIGNATURE)?,
        })
    }

    fn biz(headers: &HeaderMap) -> Result<Self, RequestError> {
        let requester = RequesterId::from_bytes(bytes(headers, BIZ_KEY)?)
            .map_err(|_| RequestError::Header(BIZ_KEY))?;
        Ok(Self {
            requester,
            time: millis(headers, BIZ_NONCE)?,
            form: Form::Biz,
            signature: bytes(headers, BIZ_SIGNATURE)?,
        })
    }

    /// The hash that the body must have. `None` if the body itself is signed, and must be read
    /// before anything is proven.
    pub fn body_sha256(&self) -> Option<[u8; 32]> {
        match &self.form {
            Form::Own { body, .. } => Some(*body),
            Form::Biz => None,
        }
    }

    /// Verifies the signature over the request to this coordinator, which `Biz-Api-*` does not
    /// name. `body` counts only if it is signed itself.
    pub fn verify(
        &self,
        coordinator: &CoordinatorId,
        method: &Method,
        uri: &Uri,
        body: &[u8],
    ) -> Result<Signed, RequestError> {
        let path = uri.path();
        let query = uri.query().unwrap_or_default();
        let message = match &self.form {
            Form::Own { nonce, body } => HttpRequest {
                coordinator: *coordinator,
                method: method.as_str(),
                path,
                query,
                body_sha256: *body,
                time: self.time,
                nonce,
            }
            .signed_message(),
            Form::Biz if path.contains('|') || query.contains('|') => {
                return Err(RequestError::Separator);
            }
            Form::Biz => {
                let head = format!("{method}|{path}|{}|{query}|", self.time.0);
                let once = Sha256::new_with_prefix(head).chain_update(body).finalize();
                Sha256::digest(once).to_vec()
            }
        };
        if !self.requester.verify(&message, &self.signature) {
            return Err(RequestError::Unauthorised);
        }
        let hash: [u8; 32] = Sha256::digest(&message).into();
        let mut digest = [0; 16];
        digest.copy_from_slice(&hash[..16]);
        Ok(Signed {
            requester: self.requester,
            time: self.time,
            digest,
        })
    }
}

/// The one value of a header.
fn one<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, RequestError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().map_err(|_| RequestError::Header(name)),
        _ => Err(RequestError::Header(name)),
    }
}

/// Hexadecimal digits, two for each byte.
fn bytes<const N: usize>(headers: &HeaderMap, name: &'static str) -> Result<[u8; N], RequestError> {
    let mut bytes = [0; N];
    hex::decode_to_slice(one(headers, name)?, &mut bytes)
        .map_err(|_| RequestError::Header(name))?;
    Ok(bytes)
}

/// Milliseconds since 1970 in decimal digits. Only one text stands for each number.
fn millis(headers: &HeaderMap, name: &'static str) -> Result<UnixMillis, RequestError> {
    let text = one(headers, name)?;
    let number: u64 = text.parse().map_err(|_| RequestError::Header(name))?;
    if number.to_string() == text {
        Ok(UnixMillis(number))
    } else {
        Err(RequestError::Header(name))
    }
}

/// The requests that were accepted.
#[derive(Debug)]
pub struct Accepted {
    window: AtomicU64,
    memory: Mutex<Memory>,
}

#[derive(Debug)]
struct Memory {
    /// Nothing that was signed until then is accepted, since it may be forgotten.
    forgotten: u64,
    of: HashMap<RequesterId, BTreeSet<(u64, [u8; 16])>>,
}

impl Accepted {
    /// A process that starts now. An earlier one may have accepted what is dated a little ahead.
    pub fn since(start: UnixMillis) -> Self {
        Self {
            window: AtomicU64::new(WINDOW),
            memory: Mutex::new(Memory {
                forgotten: start.0.saturating_add(AHEAD),
                of: HashMap::new(),
            }),
        }
    }

    /// Sets the time for which a request is accepted, in milliseconds.
    pub fn set_window(&self, millis: u64) {
        self.window.store(millis, Ordering::Relaxed);
    }

    /// Checks the time alone, before anything costs effort.
    pub fn check_time(&self, time: UnixMillis, now: UnixMillis) -> Result<(), RequestError> {
        let age = now.0.saturating_sub(time.0);
        let ahead = time.0.saturating_sub(now.0);
        if age > self.window.load(Ordering::Relaxed) {
            return Err(RequestError::Old(age));
        }
        if ahead > AHEAD {
            return Err(RequestError::Ahead(ahead));
        }
        Ok(())
    }

    /// Accepts a request, once.
    pub fn accept(&self, signed: &Signed, now: UnixMillis) -> Result<(), RequestError> {
        self.check_time(signed.time, now)?;
        let window = self.window.load(Ordering::Relaxed);
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.forget(now.0.saturating_sub(window));
        if signed.time.0 <= memory.forgotten {
            return Err(RequestError::Started);
        }
        let seen = memory.of.entry(signed.requester).or_default();
        let request = (signed.time.0, signed.digest);
        if seen.contains(&request) {
            return Err(RequestError::Repeated);
        }
        if seen.len() >= REMEMBERED {
            return Err(RequestError::Full);
        }
        seen.insert(request);
        Ok(())
    }
}

impl Memory {
    /// Forgets requests that were signed before this time. The clock may go back; what is forgotten
    /// stays refused.
    fn forget(&mut self, before: u64) {
        let until = before.saturating_sub(1);
        if until <= self.forgotten {
            return;
        }
        self.forgotten = until;
        self.of.retain(|_, seen| {
            *seen = seen.split_off(&(before, [0; 16]));
            !seen.is_empty()
        });
    }
}

#[cfg(test)]
#[path = "signed_request_tests.rs"]
mod tests;
