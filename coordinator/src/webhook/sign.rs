//! The signatures of deliveries.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_api::WebhookFormat;
use countersign_protocol::UnixMillis;
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};

/// Headers that let the receiver verify a delivery.
///
/// `standard`: Standard Webhooks 1.0 with Ed25519 (`v1a`), over `id.seconds.body`; one signature
/// for each key, the current first. `cobo-v2`: Ed25519 by the current key over
/// SHA-256(SHA-256(`body|time`)), in hexadecimal, with the time in milliseconds.
pub fn headers<'a>(
    format: WebhookFormat,
    keys: impl IntoIterator<Item = &'a SigningKey>,
    id: &str,
    at: UnixMillis,
    body: &[u8],
) -> Vec<(&'static str, String)> {
    match format {
        WebhookFormat::Standard => standard(keys, id, at.0 / 1000, body),
        WebhookFormat::CoboV2 => cobo_v2(keys, at.0, body),
    }
}

fn standard<'a>(
    keys: impl IntoIterator<Item = &'a SigningKey>,
    id: &str,
    seconds: u64,
    body: &[u8],
) -> Vec<(&'static str, String)> {
    let signed = [format!("{id}.{seconds}.").as_bytes(), body].concat();
    let signatures: Vec<String> = keys
        .into_iter()
        .map(|key| format!("v1a,{}", STANDARD.encode(key.sign(&signed).to_bytes())))
        .collect();
    vec![
        ("webhook-id", id.into()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", signatures.join(" ")),
    ]
}

fn cobo_v2<'a>(
    keys: impl IntoIterator<Item = &'a SigningKey>,
    millis: u64,
    body: &[u8],
) -> Vec<(&'static str, String)> {
    let text = [body, format!("|{millis}").as_bytes()].concat();
    let digest = Sha256::digest(Sha256::digest(text));
    let signature = keys
        .into_iter()
        .next()
        .map(|key| hex::encode(key.sign(&digest).to_bytes()));
    vec![
        ("BIZ_TIMESTAMP", millis.to_string()),
        ("BIZ_RESP_SIGNATURE", signature.unwrap_or_default()),
    ]
}
