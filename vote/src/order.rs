//! Orders that passkeys sign: what the pages of a relying party believe.

use countersign_protocol::{Assertion, NotBelieved, Passkeys};

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
    ) -> Result<(), NotBelieved> {
        match assertion::check(assertion, key, challenge, self) {
            Ok(_counter) => Ok(()),
            Err(error) if error.is_of_another_page() => {
                Err(NotBelieved::Elsewhere(error.to_string()))
            }
            Err(error) => Err(NotBelieved::False(error.to_string())),
        }
    }
}
