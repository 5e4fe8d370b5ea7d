//! The envelope of both directions: a JWT whose claim `package_data` is a JSON document in Base64.
//! Strict about trust (algorithm, key, expiry, request id), tolerant where eight known servers
//! differ (quotes, null, absence).
//!
//! Strict mode adds claims beside `package_data`, but nothing inside it:
//!
//! | claim | in the request | in the answer |
//! |---|---|---|
//! | `iss` | id of the node | as the server likes |
//! | `aud` | none | id of the node: a string, or an array of this one |
//! | `nonce` | 32 random bytes in hex, new for each try and server | the same |
//! | `digest` | SHA-256 of the CallbackRequest's bytes in hex | the same, computed by the server from what it judged |

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_sdk::{Failure, Host, json, jwt, nonce};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The decision of a server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Approve,
    /// Carries the server's reason, empty if it gave none.
    Reject(String),
}

/// Values that an answer in strict mode must repeat.
pub(crate) struct Binding {
    nonce: String,
    digest: String,
    node: String,
}

impl Binding {
    /// Creates a binding for one try at one server.
    pub(crate) fn new(host: &impl Host, node: &str, document: &str) -> Self {
        Self {
            nonce: nonce(host),
            digest: hex::encode(Sha256::digest(document)),
            node: node.into(),
        }
    }

    fn check(&self, claims: &Map<String, Value>) -> Result<(), String> {
        for (name, expected) in [("nonce", &self.nonce), ("digest", &self.digest)] {
            if claims.get(name).and_then(Value::as_str) != Some(expected) {
                return Err(format!(
                    "strict mode: the answer does not repeat the {name}"
                ));
            }
        }
        let audience = match claims.get("aud") {
            Some(Value::Array(names)) if names.len() == 1 => names[0].as_str(),
            Some(name) => name.as_str(),
            None => None,
        };
        if audience != Some(&self.node) {
            return Err("strict mode: the answer's `aud` is not this node".into());
        }
        Ok(())
    }
}

/// The claims of a request. Servers in the field reject others than the first three, so without a
/// binding the rest is absent.
#[derive(Serialize)]
struct Claims<'a> {
    package_data: String,
    exp: u64,
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a str>,
}

/// The document of an answer. Members may be missing or null.
#[derive(Deserialize)]
struct CallbackResponse {
    status: Option<i64>,
    request_id: Option<String>,
    action: Option<String>,
    error: Option<String>,
}

/// Signs `document` for the servers.
pub(crate) fn seal(
    host: &impl Host,
    key: &str,
    document: &str,
    minutes: u64,
    binding: Option<&Binding>,
) -> Result<String, Failure> {
    let claims = Claims {
        package_data: STANDARD.encode(document),
        exp: (host.now() / 1000).saturating_add(minutes.saturating_mul(60)),
        iss: binding.map_or("", |binding| &binding.node),
        nonce: binding.map(|binding| binding.nonce.as_str()),
        digest: binding.map(|binding| binding.digest.as_str()),
    };
    jwt::sign(host, key, &claims)
}

/// Reads a server's answer to the request `id`. Every error is a failed try.
pub(crate) fn decision(
    host: &impl Host,
    key: &str,
    (status, body): (u16, &[u8]),
    id: &str,
    binding: Option<&Binding>,
) -> Result<Answer, String> {
    // Some servers in the field sign their rejections with status 400.
    if !matches!(status, 200 | 400) {
        return Err(format!("HTTP status {status}"));
    }
    let answer = judge(open(host, key, body, binding)?, id)?;
    match answer {
        Answer::Approve if status == 400 => Err("HTTP status 400 with APPROVE".into()),
        answer => Ok(answer),
    }
}

/// Reads a server's answer to a ping.
pub(crate) fn alive(
    host: &impl Host,
    key: &str,
    (status, body): (u16, &[u8]),
    binding: Option<&Binding>,
) -> Result<(), String> {
    if status != 200 {
        return Err(format!("HTTP status {status}"));
    }
    match open(host, key, body, binding)?.status.unwrap_or(0) {
        0 => Ok(()),
        status => Err(format!("status {status}")),
    }
}

fn open(
    host: &impl Host,
    key: &str,
    body: &[u8],
    binding: Option<&Binding>,
) -> Result<CallbackResponse, String> {
    let token = unquote(
        std::str::from_utf8(body)
            .map_err(|_| "the answer is not text")?
            .trim(),
    );
    if token.is_empty() {
        return Err("the answer is empty".into());
    }
    let claims = jwt::verify(host, key, token).map_err(|error| error.to_string())?;
    binding.map_or(Ok(()), |binding| binding.check(&claims))?;
    let package = claims
        .get("package_data")
        .and_then(Value::as_str)
        .ok_or("the answer has no package_data")?;
    let document = STANDARD
        .decode(package)
        .map_err(|_| "package_data is not Base64")?;
    let package = |error: serde_json::Error| format!("package_data: {error}");
    // Parsed as an object first: the struct itself could also be read from an array.
    let members: Map<String, Value> = json::strict(&document).map_err(package)?;
    serde_json::from_value(Value::Object(members)).map_err(package)
}

fn judge(response: CallbackResponse, id: &str) -> Result<Answer, String> {
    let CallbackResponse {
        status,
        request_id,
        action,
        error,
    } = response;
    if request_id.as_deref() != Some(id) {
        return Err(format!("the answer is for the request {request_id:?}"));
    }
    let status = status.unwrap_or(0);
    let error = error.unwrap_or_default();
    match action.as_deref() {
        Some("REJECT") => Ok(Answer::Reject(error)),
        // Some servers report an objection of their rules as a status without an action. A retry
        // would not change it.
        _ if status != 0 => Ok(Answer::Reject(format!("status {status}: {error}"))),
        Some("APPROVE") => Ok(Answer::Approve),
        other => Err(format!("action {other:?}: {error}")),
    }
}

/// Strips the quotes of a JSON string, which some frameworks send.
fn unquote(text: &str) -> &str {
    text.strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text)
}
