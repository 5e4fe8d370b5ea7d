//! The envelope of both directions: a JWT whose claim `package_data` is Base64 of a JSON document. Strict in what it
//! believes (algorithm, key, expiry, request id), tolerant in what eight known servers vary (quotes, null, absence).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_sdk::{Failure, Host, json, jwt};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a server decided.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) action: Action,
    /// The server's words; empty if it gave none.
    pub(crate) error: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Approve,
    Reject,
}

/// Exactly these claims: servers in the field reject others.
#[derive(Serialize)]
struct Claims {
    package_data: String,
    exp: u64,
    iss: &'static str,
}

/// Members may be missing or null.
#[derive(Deserialize)]
struct CallbackResponse {
    status: Option<i64>,
    request_id: Option<String>,
    action: Option<String>,
    error: Option<String>,
}

/// Signs `document` for the servers.
pub(crate) fn seal(host: &impl Host, key: &str, document: &str, minutes: u64) -> Result<String, Failure> {
    let exp = (host.now() / 1000).saturating_add(minutes.saturating_mul(60));
    jwt::sign(host, key, &Claims { package_data: STANDARD.encode(document), exp, iss: "" })
}

/// Reads a server's answer to the request `id`. Every error is a failed try.
pub(crate) fn open(host: &impl Host, key: &str, body: &[u8], id: &str) -> Result<Answer, String> {
    let token = unquote(std::str::from_utf8(body).map_err(|_| "the answer is not text")?.trim());
    if token.is_empty() {
        return Err("the answer is empty".into());
    }
    let claims = jwt::verify(host, key, token).map_err(|error| error.to_string())?;
    let package =
        claims.get("package_data").and_then(Value::as_str).ok_or("the answer has no package_data")?;
    let document = STANDARD.decode(package).map_err(|_| "package_data is not Base64")?;
    let response = json::strict(&document).map_err(|error| format!("package_data: {error}"))?;
    judge(response, id)
}

fn judge(response: CallbackResponse, id: &str) -> Result<Answer, String> {
    let CallbackResponse { status, request_id, action, error } = response;
    if request_id.as_deref() != Some(id) {
        return Err(format!("the answer is for the request {request_id:?}"));
    }
    let error = error.unwrap_or_default();
    match action.as_deref() {
        // Some servers report an objection of their rules as an error status, so a rejection counts with any.
        Some("REJECT") => Ok(Answer { action: Action::Reject, error }),
        Some("APPROVE") if status.unwrap_or(0) == 0 => Ok(Answer { action: Action::Approve, error }),
        Some("APPROVE") => Err(format!("status {} with APPROVE: {error}", status.unwrap_or(0))),
        other => Err(format!("action {other:?}, status {}: {error}", status.unwrap_or(0))),
    }
}

/// Some frameworks answer with a JSON string.
fn unquote(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}
