//! The pages that may ask requesters' passkeys to sign.

use countersign_protocol::RequesterId;
use countersign_vote::{RelyingParty, is_usable};

use super::ConfigError;
use super::raw::{RawPasskeys, RawRequester};

/// The pages as written. Every listed passkey is a key, and has a page that may ask it.
pub(super) fn pages(
    raw: Option<RawPasskeys>,
    requesters: &[RawRequester],
) -> Result<Option<RelyingParty>, ConfigError> {
    let pages = raw.map(|raw| RelyingParty::new(&raw.rp_id, raw.origins));
    let pages = pages.transpose()?;
    let ids = || requesters.iter().map(|entry| entry.id);
    if let Some(id) = ids().find(|id| !is_usable(id.key())) {
        return Err(ConfigError::NoPoint(id));
    }
    match ids().find(RequesterId::is_passkey) {
        Some(id) if pages.is_none() => Err(ConfigError::NoPages(id)),
        Some(_) | None => Ok(pages),
    }
}
