//! The headers of a request to a coordinator that is signed by the requester's key.
//!
//! `docs/api-authentication.md` describes them.

use countersign_protocol::request::HttpRequest;
use countersign_protocol::{CoordinatorId, UnixMillis};
use sha2::{Digest, Sha256};

use crate::requester_key::RequesterKey;

/// A request as it is sent.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// The coordinator that it is for.
    pub coordinator: CoordinatorId,
    /// The method in capitals.
    pub method: &'a str,
    /// The path, percent-encoding included.
    pub path: &'a str,
    /// The query without the question mark; empty if there is none.
    pub query: &'a str,
    /// The body; empty if there is none.
    pub body: &'a [u8],
    /// The time of signing.
    pub time: UnixMillis,
    /// 16 to 64 of `A`–`Z`, `a`–`z`, `0`–`9`, `-` and `_`, never used before.
    pub nonce: &'a str,
}

/// A request that cannot be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSignable {
    /// The nonce has another form.
    #[error("a nonce has 16 to 64 of A-Z, a-z, 0-9, - and _; give 32 random hexadecimal digits")]
    Nonce,
    /// A part is no line of visible ASCII, so one could be taken for another.
    #[error("a method, path or query has characters that no request line has; percent-encode them")]
    Line,
}

impl Sent<'_> {
    /// The five headers, their names in lower case.
    pub fn headers(&self, key: &RequesterKey) -> Result<[(&'static str, String); 5], NotSignable> {
        if !HttpRequest::is_nonce(self.nonce) {
            return Err(NotSignable::Nonce);
        }
        let mut parts = [self.method, self.path, self.query].into_iter();
        if !parts.all(|part| part.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(NotSignable::Line);
        }
        let signed = HttpRequest {
            coordinator: self.coordinator,
            method: self.method,
            path: self.path,
            query: self.query,
            body_sha256: Sha256::digest(self.body).into(),
            time: self.time,
            nonce: self.nonce,
        };
        Ok([
            ("countersign-requester", key.id().to_string()),
            ("countersign-time", self.time.0.to_string()),
            ("countersign-nonce", self.nonce.to_owned()),
            (
                "countersign-content-sha256",
                hex::encode(signed.body_sha256),
            ),
            (
                "countersign-signature",
                hex::encode(key.sign_request(&signed)),
            ),
        ])
    }
}
