//! Asks a callback handler that was written for Fireblocks' API co-signer (callback handler v2), so
//! that operators can keep theirs.
//!
//! A signing task becomes `POST <url>/v2/tx_sign_request`, any other `POST
//! <url>/v2/config_change_sign_request`; the body is an RS256 JWT signed by the node, its claims
//! the request. The handler answers within 30 seconds with an RS256 JWT of its own: `{"action":
//! "APPROVE" | "REJECT" | "IGNORE" | "RETRY", "requestId", "rejectionReason"}`.
//!
//! Only APPROVE approves. RETRY is repeated a bounded number of times, and never past the task's
//! deadline. IGNORE, which at Fireblocks leaves the decision to people, refuses. A missing or
//! invalid answer refuses at once. Tokens carry no expiry in this protocol; the request id, which
//! is random and used for one decision only, ties an answer to its question.
//!
//! Differences that follow from the node's knowledge: a key stands for the vault account,
//! recipients are always one-time addresses (the key's own are `VAULT`), there are no amounts in
//! dollars, and the deprecated fractional numbers (`amount`, `requestedAmount`) are omitted, since
//! they cannot be exact.

mod amount;
mod answer;
mod config;
mod extra_parameters;
mod request;

use std::time::Duration;

use countersign_sdk::{
    Failure, Host, HttpError, Level, Plugin, Request as Post, Task, Verdict, approve,
    export_plugin, jwt, reject, timeout_ms,
};

use answer::Answer;
pub use config::Config;

/// The plugin's type, for the host and for tests.
pub struct FireblocksCallback;

impl Plugin for FireblocksCallback {
    type Config = Config;

    const NAME: &'static str = "fireblocks-callback";
    const DESCRIPTION: &'static str =
        "Asks a Fireblocks co-signer callback handler (v2); it must approve.";

    fn check(config: &Config, host: &impl Host) -> Result<(), Failure> {
        config.validate().map_err(Failure::Misconfigured)?;
        host.public_key(&config.signing_key)?;
        host.public_key(&config.key)?;
        Ok(())
    }

    fn evaluate(config: &Config, task: &Task, host: &impl Host) -> Result<Verdict, Failure> {
        config.validate().map_err(Failure::Misconfigured)?;
        let request = request::request(config, task, host)?;
        for asked in 1.. {
            match ask(config, &request, task.deadline, host)? {
                Answer::Approve => return approve(),
                Answer::Reject(reason) => return reject("callback-rejected", reason),
                Answer::Ignore => {
                    return reject(
                        "callback-ignored",
                        "the handler leaves the decision to somebody else",
                    );
                }
                Answer::Retry if asked > config.retry_times => break,
                Answer::Retry => {}
            }
            let pause = Duration::from_secs(config.retry_seconds);
            if host.now().saturating_add(pause.as_millis() as u64) >= task.deadline {
                break;
            }
            host.log(
                Level::Info,
                "the handler asks for a retry",
                &[("request", &request.id)],
            );
            host.sleep(pause);
        }
        reject(
            "callback-undecided",
            "the handler asks for a retry, but no try or no time is left",
        )
    }
}

export_plugin!(FireblocksCallback);

/// Asks once. The protocol does not retry if a handler does not answer.
fn ask(
    config: &Config,
    request: &request::Request,
    deadline: u64,
    host: &impl Host,
) -> Result<Answer, Failure> {
    let token = jwt::sign(host, &config.signing_key, &request.document)?;
    let left = deadline.saturating_sub(host.now());
    let post = Post {
        method: "POST".into(),
        url: config.endpoint(request.endpoint),
        headers: vec![("content-type".into(), "text/plain".into())],
        body: token.into_bytes(),
        timeout_ms: Some(timeout_ms(config.request_timeout, left)),
    };
    let unsound = |problem: String| Failure::Unavailable(format!("{}: {problem}", config.url));
    match host.send(&post) {
        Ok(response) => answer::read(host, &config.key, &response, &request.id).map_err(unsound),
        Err(error @ (HttpError::Denied(_) | HttpError::Invalid(_))) => Err(error.into()),
        Err(error) => Err(unsound(error.describe())),
    }
}

#[cfg(test)]
mod tests;
