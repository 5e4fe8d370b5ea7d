//! The headers of a request to a coordinator that is signed by the requester's key, as
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

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signature, SigningKey};

    use super::*;

    fn sent(coordinator: &SigningKey) -> Sent<'static> {
        Sent {
            coordinator: CoordinatorId::from_bytes(coordinator.verifying_key().to_bytes()).unwrap(),
            method: "GET",
            path: "/v1/tasks",
            query: "limit=5&cursor=a%2Cb",
            body: b"",
            time: UnixMillis(1_764_453_908_123),
            nonce: "0123456789abcdef",
        }
    }

    #[test]
    fn the_headers_are_signed_by_the_requester_they_name() {
        let coordinator = [7; 32];
        let requester = [8; 32];
        let sent = sent(&SigningKey::from_bytes(&coordinator));
        let key = RequesterKey::from_seed(&requester).unwrap();
        let headers = sent.headers(&key).unwrap();
        let [id, time, nonce, body, signature] = headers.map(|(_, value)| value);
        assert_eq!(id, key.id().to_string());
        let text = format!(
            "countersign/2 http request\n{}\nGET\n/v1/tasks\nlimit=5&cursor=a%2Cb\n{body}\n{time}\n{nonce}",
            sent.coordinator
        );
        let signature = Signature::from_slice(&hex::decode(signature).unwrap()).unwrap();
        let public = SigningKey::from_bytes(&requester).verifying_key();
        public.verify_strict(text.as_bytes(), &signature).unwrap();
    }

    #[test]
    fn a_part_that_is_no_line_is_not_signed() {
        let key = RequesterKey::from_seed(&[8; 32]).unwrap();
        let good = sent(&SigningKey::from_bytes(&[7; 32]));
        for (wrong, error) in [
            (
                Sent {
                    method: "GET\n",
                    ..good
                },
                NotSignable::Line,
            ),
            (
                Sent {
                    path: "/a\n/b",
                    ..good
                },
                NotSignable::Line,
            ),
            (
                Sent {
                    path: "/\u{fc}",
                    ..good
                },
                NotSignable::Line,
            ),
            (
                Sent {
                    query: "a b",
                    ..good
                },
                NotSignable::Line,
            ),
            (
                Sent {
                    nonce: "short",
                    ..good
                },
                NotSignable::Nonce,
            ),
        ] {
            assert_eq!(wrong.headers(&key), Err(error));
        }
    }
}
