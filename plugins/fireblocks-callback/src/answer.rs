//! A handler's answer. Strict: only an exact answer to this request counts.

use countersign_sdk::{Host, Response, jwt};
use serde_json::Value;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Approve,
    /// Carries the reason that the handler gave.
    Reject(String),
    /// The handler leaves the decision to others. Here that is a refusal:
    /// every plugin must approve.
    Ignore,
    /// The handler asks for a retry.
    Retry,
}

/// Reads the answer to the request `id`. Answers do not expire in this protocol; the id keeps an
/// old one from counting.
pub(crate) fn read(
    host: &impl Host,
    key: &str,
    response: &Response,
    id: &str,
) -> Result<Answer, String> {
    if response.status != 200 {
        return Err(format!("HTTP status {}", response.status));
    }
    let token = std::str::from_utf8(&response.body)
        .map_err(|_| "the answer is not text")?
        .trim();
    if token.is_empty() {
        return Err("the answer is empty".into());
    }
    let claims = jwt::verify_answer(host, key, token).map_err(|error| error.to_string())?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("requestId") != Some(id) {
        return Err(format!(
            "the answer is for the request {:?}",
            claims.get("requestId")
        ));
    }
    match text("action") {
        Some("APPROVE") => Ok(Answer::Approve),
        Some("REJECT") => Ok(Answer::Reject(
            text("rejectionReason").unwrap_or("no reason given").into(),
        )),
        Some("IGNORE") => Ok(Answer::Ignore),
        Some("RETRY") => Ok(Answer::Retry),
        other => Err(format!("unknown action {other:?}")),
    }
}
