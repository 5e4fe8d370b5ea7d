//! Asks callback servers, by the wire format that servers in the field speak: an RS256 JWT in a form field, answered by
//! another. Every server must answer APPROVE; a failed try is repeated, and a server that never gives a sound answer
//! rejects. The private key stays in the node: this plugin only names it.

mod config;
mod envelope;
mod request;

use std::time::Duration;

use countersign_sdk::{
    Failure, Host, HttpError, Level, Plugin, Request, Response, Task, Verdict, approve, export_plugin, reject,
};

pub use config::{Config, Server, Version};
use envelope::{Action, Answer};

/// The plugin `jwt-callback`.
pub struct JwtCallback;

impl Plugin for JwtCallback {
    type Config = Config;

    const NAME: &'static str = "jwt-callback";
    const DESCRIPTION: &'static str = "Asks callback servers by RS256 JWT; all must approve.";

    fn check(config: &Config, host: &impl Host) -> Result<(), Failure> {
        config.validate().map_err(Failure::Misconfigured)?;
        host.public_key(&config.signing_key)?;
        config.servers.iter().try_for_each(|server| host.public_key(&server.key).map(drop))?;
        Ok(())
    }

    fn evaluate(config: &Config, task: &Task, host: &impl Host) -> Result<Verdict, Failure> {
        config.validate().map_err(Failure::Misconfigured)?;
        let id = format!("{}:{}", task.id, task.attempt);
        let request = request::callback_request(task, &id)?;
        for server in &config.servers {
            match ask(config, server, &request, task, &id, host)? {
                Answer { action: Action::Approve, .. } => {}
                Answer { action: Action::Reject, error } => {
                    return reject("callback-rejected", format!("{} rejects: {error}", server.url));
                }
            }
        }
        approve()
    }
}

export_plugin!(JwtCallback);

/// Asks one server until it gives a sound answer, the tries are used up, or the deadline is near.
fn ask(
    config: &Config,
    server: &Server,
    request: &str,
    task: &Task,
    id: &str,
    host: &impl Host,
) -> Result<Answer, Failure> {
    let pause = Duration::from_secs(config.sleep_seconds);
    let mut tries = 0;
    loop {
        let problem = match try_once(config, server, request, task, id, host)? {
            Ok(answer) => return Ok(answer),
            Err(problem) => problem,
        };
        tries += 1;
        host.log(Level::Warn, "callback try failed", &[("url", &server.url), ("problem", &problem)]);
        let gave_up = |why: String| Err(Failure::Unavailable(format!("{}: {problem} ({why})", server.url)));
        if tries > config.retry_times {
            return gave_up(format!("{tries} tries"));
        }
        if host.now().saturating_add(pause.as_millis() as u64) >= task.deadline {
            return gave_up(format!("{tries} tries, no time for another"));
        }
        host.sleep(pause);
    }
}

/// One exchange. The outer error ends the task, the inner one is worth another try.
fn try_once(
    config: &Config,
    server: &Server,
    request: &str,
    task: &Task,
    id: &str,
    host: &impl Host,
) -> Result<Result<Answer, String>, Failure> {
    let post = post(config, server, request, task.deadline, host)?;
    match host.send(&post) {
        Ok(response) => Ok(read(&response, server, id, host)),
        Err(error @ (HttpError::Denied(_) | HttpError::Invalid(_))) => Err(error.into()),
        Err(error) => Ok(Err(error.describe())),
    }
}

/// A new token for each try: the previous one may have expired meanwhile.
fn post(
    config: &Config,
    server: &Server,
    request: &str,
    deadline: u64,
    host: &impl Host,
) -> Result<Request, Failure> {
    let token = envelope::seal(host, &config.signing_key, request, config.token_expire_minutes)?;
    let left = deadline.saturating_sub(host.now());
    let timeout = left.min(config.request_timeout.saturating_mul(1000));
    Ok(Request {
        method: "POST".into(),
        url: server.url.clone(),
        headers: vec![("content-type".into(), "application/x-www-form-urlencoded".into())],
        // A compact JWT consists of characters that a form does not escape.
        body: format!("TSS_JWT_MSG={token}").into_bytes(),
        timeout_ms: Some(u32::try_from(timeout).unwrap_or(u32::MAX)),
    })
}

/// Servers in the field sign their rejections with status 400, so that one is read as well.
fn read(response: &Response, server: &Server, id: &str, host: &impl Host) -> Result<Answer, String> {
    if !matches!(response.status, 200 | 400) {
        return Err(format!("HTTP status {}", response.status));
    }
    envelope::open(host, &server.key, &response.body, id)
}

#[cfg(test)]
mod tests;
