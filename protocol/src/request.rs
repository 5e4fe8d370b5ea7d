//! A request over HTTP that is signed by a requester's key, so that no bearer secret need exist.
//!
//! The signature is Ed25519 (RFC 8032) over a text of eight lines. It can be taken for no signature
//! of a task, which is over 32 bytes. `docs/api-authentication.md` describes the headers.

use crate::id::CoordinatorId;
use crate::task::UnixMillis;

/// The first line, which belongs to this purpose alone.
const LABEL: &str = "countersign/2 http request";

/// What is signed of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpRequest<'a> {
    /// The coordinator that it is for, so that no other can be asked the same.
    pub coordinator: CoordinatorId,
    /// The method in capitals, such as `POST`.
    pub method: &'a str,
    /// The path as sent, percent-encoding included, such as `/v1/tasks`.
    pub path: &'a str,
    /// The query as sent, without the question mark; empty if there is none.
    pub query: &'a str,
    /// SHA-256 of the body; of no bytes if there is none.
    pub body_sha256: [u8; 32],
    /// The time of signing.
    pub time: UnixMillis,
    /// A text that the requester uses once: 16 to 64 of `A`–`Z`, `a`–`z`, `0`–`9`, `-` and `_`.
    pub nonce: &'a str,
}

impl HttpRequest<'_> {
    /// SHA-256 of no bytes.
    pub const EMPTY_SHA256: [u8; 32] = [
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
        0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
        0xb8, 0x55,
    ];

    /// The signed bytes: eight lines, separated by line feeds. No field can contain one.
    pub fn signed_message(&self) -> Vec<u8> {
        let Self {
            coordinator,
            method,
            path,
            query,
            body_sha256,
            time,
            nonce,
        } = self;
        let body = hex::encode(body_sha256);
        let lines = [
            LABEL,
            &coordinator.to_string(),
            method,
            path,
            query,
            &body,
            &time.0.to_string(),
            nonce,
        ];
        lines.join("\n").into_bytes()
    }

    /// True if a text can be a nonce.
    pub fn is_nonce(text: &str) -> bool {
        (16..=64).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn every_field_is_signed_in_a_line_of_its_own() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let coordinator = CoordinatorId::from_bytes(key.verifying_key().to_bytes()).unwrap();
        let request = HttpRequest {
            coordinator,
            method: "GET",
            path: "/v1/tasks",
            query: "limit=5",
            body_sha256: Sha256::digest(b"").into(),
            time: UnixMillis(1_764_453_908_123),
            nonce: "0123456789abcdef",
        };
        assert_eq!(request.body_sha256, HttpRequest::EMPTY_SHA256);
        let text = String::from_utf8(request.signed_message()).unwrap();
        assert_eq!(
            text,
            format!(
                "countersign/2 http request\n{coordinator}\nGET\n/v1/tasks\nlimit=5\n\
                 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n1764453908123\n0123456789abcdef"
            )
        );
    }

    #[test]
    fn a_nonce_is_a_line_without_surprises() {
        assert!(HttpRequest::is_nonce("0123456789abcdef"));
        assert!(HttpRequest::is_nonce(
            "7f3e0c52-9d5b-4a51-8a53-ff0f6c1f2b11"
        ));
        for wrong in [
            "0123456789abcde",
            &"a".repeat(65),
            "0123456789abcde\n",
            "0123456789abcdeé",
        ] {
            assert!(!HttpRequest::is_nonce(wrong), "{wrong:?}");
        }
    }
}
