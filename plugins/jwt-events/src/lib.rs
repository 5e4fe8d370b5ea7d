//! Reports the ends of tasks to an event receiver, in the wire format that receivers in the field
//! read: an RS256 JWT in a form field, signed by the node's event key. Status 200 or 201 confirms
//! the delivery; the body of the answer is ignored.
//!
//! One call is one try. The node chooses the events, the number of tries and their interval: it
//! keeps an event until this component has delivered it.

mod document;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_sdk::{
    Event, EventReceiver, Failure, Host, Request, export_event_receiver, json, jwt,
};
use serde::{Deserialize, Serialize};

/// The receiver's type, for the host and for tests.
pub struct JwtEvents;

/// The receiver's configuration, with the incumbent's names and defaults.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whole URL, e.g. `https://events.example.com/v2/event`.
    pub url: String,
    /// Lifetime of a token in minutes, at least 1.
    #[serde(default = "two")]
    pub token_expire_minutes: u64,
    /// Time limit of one try in seconds, at least 1.
    #[serde(default = "ten")]
    pub request_timeout: u32,
    /// Name of the node's key that signs events.
    #[serde(default = "event")]
    pub signing_key: String,
}

/// The claims of a token. There may be no others: servers in the field reject them.
#[derive(Serialize)]
struct Claims {
    package_data: String,
    exp: u64,
    iss: &'static str,
}

impl EventReceiver for JwtEvents {
    type Config = Config;

    const NAME: &'static str = "jwt-events";
    const DESCRIPTION: &'static str =
        "Reports the ends of tasks to an event receiver by RS256 JWT.";

    fn check(config: &Config, host: &impl Host) -> Result<(), Failure> {
        if config.url.is_empty() {
            return Err(Failure::Misconfigured("`url` is empty".into()));
        }
        if config.token_expire_minutes == 0 || config.request_timeout == 0 {
            let wrong = "token_expire_minutes and request_timeout must not be 0";
            return Err(Failure::Misconfigured(wrong.into()));
        }
        host.public_key(&config.signing_key)?;
        Ok(())
    }

    fn deliver(config: &Config, event: &Event, host: &impl Host) -> Result<(), Failure> {
        let document = json::ascii(&document::document(event)?);
        let document = document.map_err(|error| Failure::Internal(error.to_string()))?;
        let response = host.send(&post(config, &document, host)?)?;
        match response.status {
            200 | 201 => Ok(()),
            status => Err(Failure::Unavailable(format!(
                "{}: HTTP status {status}",
                config.url
            ))),
        }
    }
}

export_event_receiver!(JwtEvents);

/// Builds the request, with a new token for each try, since the previous one may have expired.
fn post(config: &Config, document: &str, host: &impl Host) -> Result<Request, Failure> {
    let exp = (host.now() / 1000).saturating_add(config.token_expire_minutes.saturating_mul(60));
    let claims = Claims {
        package_data: STANDARD.encode(document),
        exp,
        iss: "",
    };
    let token = jwt::sign(host, &config.signing_key, &claims)?;
    Ok(Request {
        method: "POST".into(),
        url: config.url.clone(),
        headers: vec![(
            "content-type".into(),
            "application/x-www-form-urlencoded".into(),
        )],
        // A compact JWT only has characters that need no escaping in a form.
        body: format!("TSS_JWT_MSG={token}").into_bytes(),
        timeout_ms: Some(config.request_timeout.saturating_mul(1000)),
    })
}

fn two() -> u64 {
    2
}

fn ten() -> u32 {
    10
}

fn event() -> String {
    "event".into()
}

#[cfg(test)]
mod tests;
