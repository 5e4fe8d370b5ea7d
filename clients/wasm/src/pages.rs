//! The pages of the profile: where people's passkeys vote and order.

use countersign_protocol::Passkeys;
use countersign_requester::profile;
use countersign_requester::proof;
use countersign_vote::{RelyingParty, RelyingPartyError};
use serde::{Deserialize, Deserializer};

use crate::failure::Failure;

/// The section `passkeys` of a profile, if it has one. Always the caller's own, never what a
/// coordinator told.
pub struct PinnedPages(Result<Option<RelyingParty>, RelyingPartyError>);

impl PinnedPages {
    /// As orders are checked by them. An error if no page can be like that.
    pub fn get(&self) -> Result<proof::PinnedPages<'_>, Failure> {
        let pages = self.relying_party()?;
        Ok(pages.map(|pages| pages as &dyn Passkeys))
    }

    /// As votes are checked by them.
    pub fn relying_party(&self) -> Result<Option<&RelyingParty>, Failure> {
        self.0.as_ref().map(Option::as_ref).map_err(Failure::usage)
    }

    /// The same, where a passkey has signed and they cannot be missing.
    pub fn needed(&self) -> Result<&RelyingParty, Failure> {
        self.relying_party()?.ok_or_else(|| {
            Failure::usage("there are no `passkeys`; give the pages that the nodes pin")
        })
    }
}

impl Default for PinnedPages {
    fn default() -> Self {
        Self(Ok(None))
    }
}

/// What no page can be like is kept: whoever wrote the document is told so, and not the coordinator
/// blamed for it.
impl<'de> Deserialize<'de> for PinnedPages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Option::<profile::Passkeys>::deserialize(deserializer)?;
        let pages = written.map(|pages| RelyingParty::new(&pages.rp_id, pages.origins));
        Ok(Self(pages.transpose()))
    }
}
