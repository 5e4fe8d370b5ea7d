//! Deliveries of webhooks, as their receiver judges them: one is believed only if a key that the
//! receiver has signed these exact bytes a short while ago.
//!
//! `standard` is [Standard Webhooks](https://www.standardwebhooks.com) 1.0 with Ed25519 (`v1a`),
//! `cobo-v2` the form of `docs/feed.md`. A key is `whpk_…`, a JSON Web Key (RFC 7517, RFC 8037), or
//! a set of them. Whoever gives the key stands behind the message: a set that was fetched from a
//! coordinator proves that the coordinator speaks, and nothing else.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use countersign_api::WebhookFormat;
use countersign_protocol::UnixMillis;
use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Size limit of a body in bytes. An event has a few kilobytes.
pub const MAX_BODY: usize = 1 << 20;
/// Limit of signatures in a delivery, and of keys that they are compared with.
const MAX_SIGNATURES: usize = 8;
const MAX_KEYS: usize = 16;
/// Limit of a header in bytes.
const MAX_HEADER: usize = 4096;
/// Prefix of public keys in the libraries of Standard Webhooks.
const PREFIX: &str = "whpk_";

/// Why a delivery is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// A header is missing.
    #[error("the header `{0}` is missing; answer 400, and check the webhook's format")]
    Missing(&'static str),
    /// A header is there several times.
    #[error("the header `{0}` is there several times; answer 400, and look at who sends this")]
    Repeated(&'static str),
    /// A header cannot be read.
    #[error("the header `{0}` is malformed; answer 400, and look at who sends this")]
    Malformed(&'static str),
    /// The body is too long.
    #[error("the body is longer than {MAX_BODY} bytes; answer 400, and do not read it")]
    TooLong,
    /// It was signed too long ago, or will be signed.
    #[error("the time of signing is too far off; answer 400, and compare the clocks")]
    Time,
    /// No key signed it.
    #[error("no signature is by a key that is known here; answer 400, and compare the keys")]
    Signature,
    /// The body is signed, and is not an event.
    #[error("the signed body is not an event; answer 400, and compare the versions")]
    Event,
    /// The id in the header is not the event's.
    #[error("the id in the header is not the event's; answer 400, and ask the sender why")]
    Id,
}

impl WebhookError {
    /// The code of `docs/codes.md`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_)
            | Self::Repeated(_)
            | Self::Malformed(_)
            | Self::TooLong
            | Self::Time
            | Self::Signature
            | Self::Event
            | Self::Id => "invalid-webhook",
        }
    }
}

/// Why a key is not one that verifies deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookKeyError {
    /// It is not an Ed25519 public key.
    #[error("this is not a public key of webhooks; give whpk_… or the JSON Web Key (OKP, Ed25519)")]
    Form,
    /// A private key was given.
    #[error("this is a private key; give the public key, and replace the private key")]
    Private,
    /// There is none, or there are too many.
    #[error("1 to {MAX_KEYS} keys verify deliveries; give those that sign now")]
    Count,
}

/// A JSON Web Key, as far as it matters here. Other members are ignored, as RFC 7517 says.
#[derive(Debug, Clone, Deserialize)]
pub struct Jwk {
    #[serde(default)]
    kty: String,
    #[serde(default)]
    crv: String,
    #[serde(default)]
    x: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    kid: Option<String>,
    /// The private part, which has no place here.
    d: Option<Value>,
}

/// The forms in which keys are given.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Given {
    /// The text form, `whpk_…`.
    Text(String),
    /// A set of keys (RFC 7517, section 5).
    Set {
        /// Its keys. Those of other kinds are left out.
        keys: Vec<Jwk>,
    },
    /// A single JSON Web Key.
    Key(Jwk),
}

/// A key that verifies deliveries.
#[derive(Debug, Clone)]
pub struct WebhookKey {
    key: VerifyingKey,
    kid: Option<String>,
}

/// A delivery as it arrived: every header in its order, and the exact bytes of the body.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// Names and values. A name in capitals, or with `_` for `-`, is the same name.
    pub headers: &'a [(String, String)],
    /// The exact bytes that were received.
    pub body: &'a [u8],
}

/// A delivery that a known key signed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verified {
    /// The event. The same event has the same `id`, however often it is delivered.
    pub event: Value,
    /// The key that signed, as `whpk_…`.
    pub key: String,
    /// Its id, if it was given with one.
    pub kid: Option<String>,
}

impl WebhookKey {
    /// Reads keys of all forms.
    pub fn all(given: &[Given]) -> Result<Vec<Self>, WebhookKeyError> {
        let mut keys = Vec::new();
        for one in given {
            match one {
                Given::Text(text) => keys.push(Self::parse(text)?),
                Given::Key(jwk) => keys.push(Self::of_jwk(jwk)?),
                Given::Set { keys: set } => {
                    let ours = set.iter().filter(|jwk| jwk.is_for_webhooks());
                    keys.extend(ours.map(Self::of_jwk).collect::<Result<Vec<_>, _>>()?);
                }
            }
        }
        if keys.is_empty() || keys.len() > MAX_KEYS {
            return Err(WebhookKeyError::Count);
        }
        Ok(keys)
    }

    /// Reads `whpk_` and 32 bytes in base64.
    pub fn parse(text: &str) -> Result<Self, WebhookKeyError> {
        if text.starts_with("whsk_") || text.starts_with("whsec_") {
            return Err(WebhookKeyError::Private);
        }
        let base64 = text.strip_prefix(PREFIX).ok_or(WebhookKeyError::Form)?;
        let bytes = STANDARD.decode(base64);
        Self::of_bytes(&bytes.map_err(|_| WebhookKeyError::Form)?, None)
    }

    fn of_jwk(jwk: &Jwk) -> Result<Self, WebhookKeyError> {
        if jwk.d.is_some() {
            return Err(WebhookKeyError::Private);
        }
        if !jwk.is_for_webhooks() {
            return Err(WebhookKeyError::Form);
        }
        let bytes = URL_SAFE_NO_PAD.decode(&jwk.x);
        Self::of_bytes(&bytes.map_err(|_| WebhookKeyError::Form)?, jwk.kid.clone())
    }

    fn of_bytes(bytes: &[u8], kid: Option<String>) -> Result<Self, WebhookKeyError> {
        let key = VerifyingKey::try_from(bytes).map_err(|_| WebhookKeyError::Form)?;
        // Under a key of small order, anybody's signature verifies.
        if key.is_weak() {
            return Err(WebhookKeyError::Form);
        }
        Ok(Self { key, kid })
    }

    /// The key as the libraries of Standard Webhooks take it.
    pub fn text(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(self.key.as_bytes()))
    }
}

impl Jwk {
    fn is_for_webhooks(&self) -> bool {
        self.kty == "OKP"
            && self.crv == "Ed25519"
            && matches!(self.alg.as_deref(), None | Some("EdDSA" | "Ed25519"))
            && matches!(self.purpose.as_deref(), None | Some("sig"))
    }
}

/// Verifies a delivery of this format, which must have been signed at most `tolerance`
/// milliseconds before or after `now`.
pub fn verify(
    delivery: Delivery<'_>,
    keys: &[WebhookKey],
    format: WebhookFormat,
    now: UnixMillis,
    tolerance: u64,
) -> Result<Verified, WebhookError> {
    if delivery.body.len() > MAX_BODY {
        return Err(WebhookError::TooLong);
    }
    let (key, id) = match format {
        WebhookFormat::Standard => standard(delivery, keys, now, tolerance)?,
        WebhookFormat::CoboV2 => (cobo_v2(delivery, keys, now, tolerance)?, None),
    };
    let event: Value = serde_json::from_slice(delivery.body).map_err(|_| WebhookError::Event)?;
    if !is_event(&event) {
        return Err(WebhookError::Event);
    }
    if id.is_some_and(|id| event["id"] != id) {
        return Err(WebhookError::Id);
    }
    Ok(Verified {
        event,
        key: key.text(),
        kid: key.kid.clone(),
    })
}

/// The key that signed, and the id in the header.
fn standard<'a>(
    delivery: Delivery<'a>,
    keys: &'a [WebhookKey],
    now: UnixMillis,
    tolerance: u64,
) -> Result<(&'a WebhookKey, Option<&'a str>), WebhookError> {
    let id = delivery.header("webhook-id")?;
    let time = delivery.header("webhook-timestamp")?;
    let signatures = signatures(delivery.header("webhook-signature")?)?;
    let seconds = number(time).ok_or(WebhookError::Malformed("webhook-timestamp"))?;
    check_time(seconds.saturating_mul(1000), now, tolerance)?;
    let signed = [format!("{id}.{time}.").as_bytes(), delivery.body].concat();
    let by = |key: &&WebhookKey| {
        let one = |signature| key.key.verify_strict(&signed, signature).is_ok();
        signatures.iter().any(one)
    };
    let key = keys.iter().find(by).ok_or(WebhookError::Signature)?;
    Ok((key, Some(id)))
}

/// Those of Ed25519; others say nothing to these keys. Every entry must have the form, or the
/// header is not what one sender wrote.
fn signatures(header: &str) -> Result<Vec<Signature>, WebhookError> {
    const MALFORMED: WebhookError = WebhookError::Malformed("webhook-signature");
    let mut found = Vec::new();
    for entry in header.split(' ') {
        let (version, base64) = entry.split_once(',').ok_or(MALFORMED)?;
        let bytes = STANDARD.decode(base64).map_err(|_| MALFORMED)?;
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if version.is_empty() || !version.bytes().all(is_word) {
            return Err(MALFORMED);
        }
        if version == "v1a" {
            found.push(Signature::from_slice(&bytes).map_err(|_| MALFORMED)?);
        }
    }
    if found.len() > MAX_SIGNATURES {
        return Err(MALFORMED);
    }
    Ok(found)
}

fn cobo_v2<'a>(
    delivery: Delivery<'a>,
    keys: &'a [WebhookKey],
    now: UnixMillis,
    tolerance: u64,
) -> Result<&'a WebhookKey, WebhookError> {
    let time = delivery.header("BIZ_TIMESTAMP")?;
    let signature = delivery.header("BIZ_RESP_SIGNATURE")?;
    const MALFORMED: WebhookError = WebhookError::Malformed("BIZ_RESP_SIGNATURE");
    let signature = hex::decode(signature).map_err(|_| MALFORMED)?;
    let signature = Signature::from_slice(&signature).map_err(|_| MALFORMED)?;
    let millis = number(time).ok_or(WebhookError::Malformed("BIZ_TIMESTAMP"))?;
    check_time(millis, now, tolerance)?;
    let text = [delivery.body, format!("|{time}").as_bytes()].concat();
    let digest = Sha256::digest(Sha256::digest(text));
    let by = |key: &&WebhookKey| key.key.verify_strict(&digest, &signature).is_ok();
    keys.iter().find(by).ok_or(WebhookError::Signature)
}

impl<'a> Delivery<'a> {
    /// The only value of a header. Some servers write names in capitals, and `_` for `-`.
    fn header(&self, name: &'static str) -> Result<&'a str, WebhookError> {
        let plain = |name: &str| name.to_ascii_lowercase().replace('_', "-");
        let wanted = plain(name);
        let mut found = self
            .headers
            .iter()
            .filter(|(given, _)| plain(given) == wanted);
        let (_, value) = found.next().ok_or(WebhookError::Missing(name))?;
        if found.next().is_some() {
            return Err(WebhookError::Repeated(name));
        }
        if value.len() > MAX_HEADER {
            return Err(WebhookError::Malformed(name));
        }
        Ok(value)
    }
}

/// A number in decimal digits and nothing else.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn check_time(millis: u64, now: UnixMillis, tolerance: u64) -> Result<(), WebhookError> {
    if millis.abs_diff(now.0) > tolerance {
        return Err(WebhookError::Time);
    }
    Ok(())
}

/// True if it has what every event has, of whatever kind.
fn is_event(event: &Value) -> bool {
    let texts = ["id", "cursor", "type"];
    texts.iter().all(|name| event[name].is_string())
        && event["at"].is_u64()
        && event["data"].is_object()
}
