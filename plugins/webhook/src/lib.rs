//! Asks an approval server in the form that most web services speak: JSON over HTTPS, authenticated
//! in both directions by an HMAC with a shared secret that stays in the node.
//!
//! ```text
//! POST <url>
//! content-type: application/json
//! countersign-signature: t=1800000000,v1=<hex HMAC-SHA256 over "1800000000." and the body>
//!
//! {"version": 1, "request_id": "3c..", "nonce": "9f..", "node": "csn1..", "requester": {"id", "name"},
//!  "coordinator": {"id", "name"}, "received_at": 1800000000000, "deadline": 1800000120000,
//!  "task": {"id", "attempt", "sha256"}, "operation": {"kind": "sign", ...}, "facts": {}, "claims": {}}
//! ```
//!
//! The answer has status 200, the same header over its own time and body, and `{"request_id",
//! "nonce", "action": "approve" | "reject", "reason"}`. `docs/webhook.md` lists every member.
//!
//! An answer counts if it is signed with the expected secret, is at most 60 seconds old, and
//! repeats id and nonce of the request. Anything else is a failed try; each try has its own nonce.
//! When the tries or the time are used up, the node stays out. The HMAC is the only authentication:
//! anyone with the secret can bypass the wallet's policy.

mod answer;
mod config;
mod document;
mod signature;

use std::time::Duration;

use countersign_sdk::{
    Failure, Host, HttpError, Level, Plugin, Request, Task, Verdict, approve, export_plugin, json,
    nonce, reject, request_id, timeout_ms,
};

use answer::Answer;
pub use config::Config;

/// The plugin's type, for the host and for tests.
pub struct Webhook;

impl Plugin for Webhook {
    type Config = Config;

    const NAME: &'static str = "webhook";
    const DESCRIPTION: &'static str =
        "Asks an approval server by JSON over HTTPS with an HMAC; it must approve.";

    fn check(config: &Config, host: &impl Host) -> Result<(), Failure> {
        config.validate().map_err(Failure::Misconfigured)?;
        signature::sign(host, &config.secret, b"")?;
        host.verify(config.answer_secret(), "HS256", b"", b"")?;
        Ok(())
    }

    fn evaluate(config: &Config, task: &Task, host: &impl Host) -> Result<Verdict, Failure> {
        config.validate().map_err(Failure::Misconfigured)?;
        let id = request_id(host);
        match ask(config, task, &id, host)? {
            Answer::Approve => approve(),
            Answer::Reject(reason) => reject("webhook-rejected", reason),
        }
    }
}

export_plugin!(Webhook);

/// Asks until there is a valid answer, the tries are used up, or the deadline is near.
fn ask(config: &Config, task: &Task, id: &str, host: &impl Host) -> Result<Answer, Failure> {
    let pause = Duration::from_secs(config.sleep_seconds);
    let mut tries = 0;
    loop {
        let problem = match try_once(config, task, id, host)? {
            Ok(answer) => return Ok(answer),
            Err(problem) => problem,
        };
        tries += 1;
        host.log(
            Level::Warn,
            "webhook try failed",
            &[("url", &config.url), ("problem", &problem)],
        );
        let gave_up = |why: &str| {
            Err(Failure::Unavailable(format!(
                "{}: {problem} ({why})",
                config.url
            )))
        };
        if tries > config.retry_times {
            return gave_up(&format!("{tries} tries"));
        }
        if host.now().saturating_add(pause.as_millis() as u64) >= task.deadline {
            return gave_up(&format!("{tries} tries, no time for another"));
        }
        host.sleep(pause);
    }
}

/// Makes one exchange. The outer error ends the task, the inner one is worth a retry.
fn try_once(
    config: &Config,
    task: &Task,
    id: &str,
    host: &impl Host,
) -> Result<Result<Answer, String>, Failure> {
    let nonce = nonce(host);
    let document = document::document(task, id, &nonce)?;
    let body = json::ascii(&document)
        .map_err(|error| Failure::Internal(error.to_string()))?
        .into_bytes();
    let left = task.deadline.saturating_sub(host.now());
    let post = Request {
        method: "POST".into(),
        url: config.url.clone(),
        headers: vec![
            ("content-type".into(), "application/json".into()),
            (
                signature::HEADER.into(),
                signature::sign(host, &config.secret, &body)?,
            ),
        ],
        body,
        timeout_ms: Some(timeout_ms(config.request_timeout, left)),
    };
    match host.send(&post) {
        Ok(response) => Ok(answer::read(config, host, &response, id, &nonce)),
        Err(error @ (HttpError::Denied(_) | HttpError::Invalid(_))) => Err(error.into()),
        Err(error) => Ok(Err(error.describe())),
    }
}

#[cfg(test)]
mod tests;
