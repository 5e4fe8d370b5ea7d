//! Webhooks: every event is sent to every receiver that wants it, at least once and always with the
//! same id.
//!
//! The feed is the outbox: events are committed with the changes that they tell of, and each
//! receiver has a cursor in the feed. `worker` moves the cursors and sends; `schedule` says when to
//! try again; `sign` and `keys` make what receivers verify; `reach` says where they may be.

mod keys;
mod reach;
mod schedule;
mod sign;
mod worker;

use countersign_strict::is_this_machine;

pub use keys::{SigningKeys, WebhookKeyError};
pub use reach::{Reachable, Unreachable};
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
    /// The address leads where it may not.
    #[error("the URL is refused: {0}")]
    Reach(#[from] Unreachable),
    /// A list that is there and empty means either nothing or everything.
    #[error("`{0}` is an empty list; leave it out for all, or list some")]
    EmptyList(&'static str),
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

/// Checks the form of a webhook's address. Deliveries carry no secret, but tell of payments, so
/// they travel encrypted. [`Reachable`] says where it may lead.
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
    let Some((scheme @ ("https" | "http"), rest)) = text.split_once("://") else {
        return Err(WebhookError::Url(
            "it begins with neither https:// nor http://",
        ));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(WebhookError::Url("it has a user or a password"));
    }
    if text.contains('\\') || !is_plain(authority, &url) {
        return Err(WebhookError::Url(
            "its host is not written as it is meant, or it has a backslash",
        ));
    }
    let here = url.host_str().is_some_and(is_this_machine);
    if scheme == "http" && !here {
        return Err(WebhookError::Url("it is not encrypted"));
    }
    Ok(url)
}

/// True if the host and the port are written as they are understood, but for the case of letters
/// and a port that is the usual one.
fn is_plain(authority: &str, url: &reqwest::Url) -> bool {
    let understood = url.authority();
    let port = url.port_or_known_default().unwrap_or_default();
    authority.eq_ignore_ascii_case(understood)
        || authority.eq_ignore_ascii_case(&format!("{understood}:{port}"))
}
