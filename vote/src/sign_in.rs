//! Sign-ins by passkey: somebody shows a page of her organisation that she is there. It says
//! nothing about any task.

use countersign_protocol::{Assertion, Hasher};

use crate::assertion::{self, AssertionError};
use crate::relying_party::RelyingParty;

/// Separates the signature of a sign-in from those of votes and orders.
const LABEL: &str = "countersign/1 sign-in";

/// A sign-in: what the passkey signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignIn<'a> {
    /// The page's origin, as browsers write it.
    pub origin: &'a str,
    /// 32 random bytes of the page's server, which takes them once.
    pub nonce: &'a [u8; 32],
}

impl SignIn<'_> {
    /// The 32 bytes that are signed: a labelled hash of all fields, which is the challenge.
    pub fn signed_message(&self) -> [u8; 32] {
        Hasher::new(LABEL)
            .field(self.origin.as_bytes())
            .field(self.nonce)
            .finish()
            .0
    }

    /// Checks that the passkey with this compressed point signed in on the page, and that the
    /// device verified its user. Returns the sign counter (WebAuthn, section 6.1.1).
    pub fn check(
        &self,
        assertion: &Assertion,
        key: &[u8; 33],
        page: &RelyingParty,
    ) -> Result<u32, AssertionError> {
        assertion::check(assertion, key, &self.signed_message(), page)
    }
}
