//! The text form of secret keys: one line, bech32m (BIP-350) of a 32-byte Ed25519 seed (RFC 8032).
//! Each role has a prefix of its own, which the checksum covers, so that the key of one role is
//! never read as that of another.

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use zeroize::Zeroizing;

/// The text form of a seed, without a line end. `None` if no text can begin with the prefix.
pub(crate) fn text_of(prefix: &str, seed: &[u8; 32]) -> Option<Zeroizing<String>> {
    let hrp = Hrp::parse(prefix).ok()?;
    let text = bech32::encode::<Bech32m>(hrp, seed).ok()?;
    Some(Zeroizing::new(text))
}

/// The seed in a text with this prefix. White space after it does not matter.
pub(crate) fn seed(prefix: &str, text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let checked = CheckedHrpstring::new::<Bech32m>(text.trim_end()).ok()?;
    let mut seed = Zeroizing::new([0; 32]);
    let mut bytes = checked.byte_iter();
    for byte in seed.iter_mut() {
        *byte = bytes.next()?;
    }
    (checked.hrp().as_str() == prefix && bytes.next().is_none()).then_some(seed)
}
