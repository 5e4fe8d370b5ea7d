//! Solana: the transaction, which is a list of signatures and the message. Missing signatures of
//! other signers are zeros.

use countersign_protocol::Scheme;

use super::{FinishError, Finished, Made};
use crate::forms::signature_count;
use crate::solana_message::Message;

/// Size of a signature in bytes.
const SIGNATURE: usize = 64;

/// Assembles the transaction; `bytes` were decoded as a payload.
pub(super) fn finish(bytes: &[u8], made: &Made) -> Result<Finished, FinishError> {
    let changed = || FinishError::Changed("transaction");
    let message = Message::read(bytes).ok_or_else(changed)?;
    let signers = usize::from(message.required_signatures);
    let place = message
        .keys
        .iter()
        .take(signers)
        .position(|key| key.as_slice() == made.child);
    let start = place.ok_or_else(changed)? * SIGNATURE;
    let mut signatures = vec![0; signers * SIGNATURE];
    signatures[start..start + SIGNATURE].copy_from_slice(made.signature);
    let transaction = [&length(signers)[..], &signatures, bytes].concat();
    let (seen, rest) = take_apart(&transaction, signers).ok_or_else(changed)?;
    if rest != bytes || !made.verifies(Scheme::Ed25519, &seen[start..start + SIGNATURE]) {
        return Err(changed());
    }
    Ok(Finished {
        bytes: transaction,
        missing: signers - 1,
    })
}

/// Encodes a length as Solana does (`shortvec`): seven bits a byte, the lowest first. There are
/// at most 255 signers.
fn length(count: usize) -> Vec<u8> {
    match count as u8 {
        small @ ..0x80 => vec![small],
        large => vec![large, 1],
    }
}

/// Splits signatures and message.
fn take_apart(transaction: &[u8], signers: usize) -> Option<(&[u8], &[u8])> {
    let (count, rest) = signature_count(transaction)?;
    (count == signers)
        .then(|| rest.split_at_checked(signers * SIGNATURE))
        .flatten()
}
