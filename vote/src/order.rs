//! Orders that passkeys sign: what the pages of a relying party believe.

use countersign_protocol::{Assertion, Passkeys};

use crate::assertion;
use crate::relying_party::RelyingParty;

/// The one implementation. The sign counter is not looked at, since nothing here remembers the one
/// before.
impl Passkeys for RelyingParty {
    fn check(
        &self,
        assertion: &Assertion,
        key: &[u8; 33],
        challenge: &[u8; 32],
    ) -> Result<(), String> {
        match assertion::check(assertion, key, challenge, self) {
            Ok(_counter) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}
