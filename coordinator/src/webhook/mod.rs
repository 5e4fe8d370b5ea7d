//! Webhooks: every event is sent to every receiver that wants it, at least once and always with the
//! same id.
//!
//! The feed is the outbox: events are committed with the changes that they tell of, and each
//! receiver has a cursor in the feed. `worker` moves the cursors and sends; `schedule` says when to
//! try again; `sign` and `keys` make what receivers verify.

mod keys;
mod schedule;
mod sign;
mod worker;

pub use keys::{SigningKeys, WebhookKeyError};
pub use worker::{PutError, Webhooks, serve};

/// Longest name of a webhook, in bytes.
pub const MAX_NAME: usize = 40;
/// Most webhooks.
pub const MAX_WEBHOOKS: usize = 32;

/// Why a webhook cannot be what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// The name is not allowed.
    #[error(
        "a webhook's name has 1 to {MAX_NAME} of a-z, 0-9 and `-`, and begins with a letter; choose another"
    )]
    Name,
    /// The address is not allowed.
    #[error(
        "the URL is refused ({0}); give an https URL without user and password, or http on a loopback address"
    )]
    Url(&'static str),
    /// There are too many.
    #[error("there are {MAX_WEBHOOKS} webhooks, which is the limit; delete one first")]
    TooMany,
    /// There is none of this name.
    #[error("there is no such webhook; list the webhooks for their names")]
    Unknown,
    /// Nothing is selected.
    #[error(
        "nothing is selected; set at least one of `events`, `task`, `wallet`, `since`, `until`, `state`"
    )]
    NothingSelected,
}

/// Checks a webhook's name.
pub fn check_name(name: &str) -> Result<(), WebhookError> {
    let letters = name
        .bytes()
        .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
    if letters && begins && name.len() <= MAX_NAME {
        Ok(())
    } else {
        Err(WebhookError::Name)
    }
}

/// Checks a webhook's address. Deliveries carry no secret, but tell of payments, so they travel
/// encrypted.
pub fn check_url(text: &str) -> Result<reqwest::Url, WebhookError> {
    // What is shown to people is what is written, without characters that hide some of it.
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(WebhookError::Url(
            "it has blanks, or characters beyond ASCII that are not percent-encoded",
        ));
    }
    let url = reqwest::Url::parse(text).map_err(|_| WebhookError::Url("it is not a URL"))?;
    if text.len() > 2000 {
        return Err(WebhookError::Url("it is longer than 2000 bytes"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(WebhookError::Url("it has a user or a password"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(WebhookError::Url("it is not encrypted")),
        _ => Err(WebhookError::Url("it is neither https nor http")),
    }
}

fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    address
        .parse::<std::net::IpAddr>()
        .is_ok_and(|address| address.is_loopback())
}
