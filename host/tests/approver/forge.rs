//! Keys, and tokens of every kind: sound ones and forged ones, written as text so that nothing is
//! normalised.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RsaEncoding;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use countersign_host::rs256::SigningKey;
use serde_json::{Value, json};

use crate::world::Received;

/// The header of every sound token.
pub const RS256: &str = r#"{"alg":"RS256","typ":"JWT"}"#;

/// The node's callback key.
pub fn node_key() -> SigningKey {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    key(&KEY)
}

/// The server's key, which the node pins.
pub fn server_key() -> SigningKey {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    key(&KEY)
}

/// A key that nobody pins.
pub fn stranger_key() -> SigningKey {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    key(&KEY)
}

fn key(once: &OnceLock<Vec<u8>>) -> SigningKey {
    let der = once.get_or_init(|| SigningKey::generate().unwrap().to_pkcs8().unwrap().to_vec());
    SigningKey::from_pkcs8(der).unwrap()
}

pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The part of a token that is signed.
pub fn signing_input(header: &str, claims: &str) -> String {
    format!("{}.{}", base64url(header), base64url(claims))
}

/// A token by this key.
pub fn token(key: &SigningKey, header: &str, claims: &str) -> String {
    let input = signing_input(header, claims);
    let signature = key.sign(input.as_bytes()).unwrap();
    format!("{input}.{}", base64url(signature))
}

/// A token by the pinned key under another RSA encoding.
pub fn token_by(encoding: &'static dyn RsaEncoding, header: &str, claims: &str) -> String {
    let input = signing_input(header, claims);
    let pair = KeyPair::from_pkcs8(&server_key().to_pkcs8().unwrap()).unwrap();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(
        encoding,
        &SystemRandom::new(),
        input.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{input}.{}", base64url(signature))
}

/// A token under a shared secret.
pub fn token_hs256(secret: &[u8], claims: &str) -> String {
    let input = signing_input(r#"{"alg":"HS256","typ":"JWT"}"#, claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
    format!("{input}.{}", base64url(tag))
}

/// The response that approves.
pub fn approval(received: &Received) -> Value {
    json!({"status": 0, "request_id": received.request["request_id"], "action": "APPROVE", "error": ""})
}

/// Claims around a document of any form.
pub fn claims_around(document: impl AsRef<[u8]>) -> Value {
    json!({"package_data": STANDARD.encode(document), "exp": now() + 120, "iss": "TEST-001"})
}

/// Claims that approve.
pub fn claims(received: &Received) -> Value {
    claims_around(approval(received).to_string())
}

/// A sound token around these claims, whatever they are.
pub fn by_server(claims: impl ToString) -> String {
    token(&server_key(), RS256, &claims.to_string())
}

/// A sound token around this document, whatever it is.
pub fn package(document: impl AsRef<[u8]>) -> String {
    by_server(claims_around(document))
}

/// The sound approval.
pub fn sound(received: &Received) -> String {
    by_server(claims(received))
}

/// The sound answer with this action and the words "because".
pub fn decided(received: &Received, action: &str) -> String {
    let mut answer = approval(received);
    answer["action"] = action.into();
    answer["error"] = "because".into();
    package(answer.to_string())
}
