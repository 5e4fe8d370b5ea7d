//! A server's answer. Strict: only a fresh answer to exactly this request counts.

use countersign_sdk::{Host, Response, json};
use serde::Deserialize;

use crate::Config;
use crate::signature;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    request_id: String,
    nonce: String,
    action: Action,
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Action {
    Approve,
    Reject,
}

/// A valid answer; a rejection carries the server's reason.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Approve,
    Reject(String),
}

/// Reads the answer to the request of this id and nonce. Every error is a failed try.
pub(crate) fn read(
    config: &Config,
    host: &impl Host,
    response: &Response,
    id: &str,
    nonce: &str,
) -> Result<Answer, String> {
    if response.status != 200 {
        return Err(format!("HTTP status {}", response.status));
    }
    signature::verify(host, config.answer_secret(), response)?;
    let document: Document =
        json::strict(&response.body).map_err(|error| format!("the answer: {error}"))?;
    if document.request_id != id {
        return Err(format!(
            "the answer is for the request {:?}",
            document.request_id
        ));
    }
    if document.nonce != nonce {
        return Err("the answer is for another nonce".into());
    }
    Ok(match document.action {
        Action::Approve => Answer::Approve,
        Action::Reject if document.reason.is_empty() => Answer::Reject("no reason given".into()),
        Action::Reject => Answer::Reject(document.reason),
    })
}
