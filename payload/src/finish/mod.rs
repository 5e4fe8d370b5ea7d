//! What becomes of a payload once its signatures are there: the bytes that its chain takes.
//!
//! The payload is decoded and every signature verified before anything is assembled, and what was
//! assembled is read again and compared. Nothing here signs, and nothing is sent anywhere.

mod evm;
mod psbt;
mod solana;

use countersign_protocol::{DerivationPath, Payload, PayloadKind, Scheme};
use countersign_verify::{VerifyError, recovery_id};

use crate::{DecodeError, Input, Key, Networks, bitcoin_message, decode};

/// How a Bitcoin payment is written. Other kinds have one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BitcoinForm {
    /// PSBT with final scripts and witnesses where the wallet signed (BIP-174, finaliser).
    Psbt,
    /// The transaction as the network takes it, which needs everybody's signatures (BIP-174,
    /// extractor).
    Transaction,
}

/// Bytes to be handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// | kind | bytes |
    /// |---|---|
    /// | `psbt` | as [`BitcoinForm`] says |
    /// | `evm-transaction` | signed transaction, EIP-2718 |
    /// | `solana-message` | signed transaction: signatures and message |
    /// | `eip7702` | RLP of the signed authorisation, as transactions of type 4 list it |
    /// | `eip191`, `eip712` | r ‖ s ‖ v, 65 bytes, v is 27 or 28 |
    /// | `bitcoin-message` | text, Base64: the witness of a segwit address (`simple`), else the transaction (`full`); with a PSBT as [`BitcoinForm`] says, in bytes |
    /// | `message`, `digest` | the signature as its scheme encodes it |
    pub bytes: Vec<u8>,
    /// Signatures of others that are still missing.
    pub missing: usize,
}

/// Why nothing was assembled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FinishError {
    /// The payload is none.
    #[error(transparent)]
    Payload(#[from] DecodeError),
    /// Too few signatures, or too many.
    #[error(
        "the payload asks for {asked} signatures and there are {given}; give all of one task, in order"
    )]
    Count {
        /// By the payload.
        asked: usize,
        /// By the caller.
        given: usize,
    },
    /// A signature is not what the payload asks for.
    #[error("signature {number} of the payload does not fit: {error}")]
    Signature {
        /// Counted from 1.
        number: usize,
        /// What is wrong.
        error: VerifyError,
    },
    /// The network would not take it yet.
    #[error("{0} inputs are not signed; write a psbt and have their owners sign it")]
    Missing(usize),
    /// What was assembled does not read as what was signed.
    #[error(
        "the {0} that was assembled is not the one that was signed; nothing was written, report this"
    )]
    Changed(&'static str),
}

/// Puts `signatures`, of one task and in its order, where they belong. `path` is the one of the
/// task.
pub fn finish(
    key: &Key,
    path: &DerivationPath,
    payload: &Payload,
    networks: &Networks,
    signatures: &[&[u8]],
    form: BitcoinForm,
) -> Result<Finished, FinishError> {
    let inputs = decode(key, path, payload, networks)?.inputs;
    let made = checked(key, &inputs, signatures)?;
    match (payload.kind, &made[..]) {
        (PayloadKind::Psbt, made) => psbt::finish(key, &payload.bytes, made, form),
        (PayloadKind::BitcoinMessage, made) => {
            let to_sign = bitcoin_message::read(key, path, &payload.bytes, networks)?;
            psbt::finish_message(key, &to_sign, made, form)
        }
        (PayloadKind::EvmTransaction, [one]) => evm::finish(&payload.bytes, one),
        (PayloadKind::SolanaMessage, [one]) => solana::finish(&payload.bytes, one),
        (PayloadKind::Eip7702, [one]) => evm::finish_authorization(&payload.bytes, one),
        (PayloadKind::Eip191 | PayloadKind::Eip712, [one]) => Ok(Finished {
            bytes: [one.signature, &[27 + one.odd()?]].concat(),
            missing: 0,
        }),
        (PayloadKind::Message | PayloadKind::Digest | PayloadKind::Digests, [one]) => {
            Ok(Finished {
                bytes: one.signature.to_vec(),
                missing: 0,
            })
        }
        (_, made) => Err(FinishError::Count {
            asked: 1,
            given: made.len(),
        }),
    }
}

/// A signature that verifies.
struct Made<'a> {
    /// Counted from 1.
    number: usize,
    input: &'a Input,
    /// The child key at the input's path.
    child: Vec<u8>,
    signature: &'a [u8],
}

impl Made<'_> {
    /// 1 if R has an odd y, for ECDSA. Computed here: who sent an Ethereum transaction depends on
    /// it, and no signature check covers it.
    fn odd(&self) -> Result<u8, FinishError> {
        let number = self.number;
        let error = VerifyError::Invalid;
        recovery_id(&self.child, &self.input.signed_bytes, self.signature)
            .filter(|id| *id < 2)
            .ok_or(FinishError::Signature { number, error })
    }

    /// Whether `signature` is a good one too.
    fn verifies(&self, scheme: Scheme, signature: &[u8]) -> bool {
        self.input
            .child_key(scheme, &self.child)
            .verify(&self.input.signed_bytes, signature)
            .is_ok()
    }
}

fn checked<'a>(
    key: &Key,
    inputs: &'a [Input],
    signatures: &'a [&'a [u8]],
) -> Result<Vec<Made<'a>>, FinishError> {
    if inputs.len() != signatures.len() {
        return Err(FinishError::Count {
            asked: inputs.len(),
            given: signatures.len(),
        });
    }
    let check = |(number, (input, signature)): (usize, (&'a Input, &&'a [u8]))| {
        let child = key.child(&input.path).map_err(DecodeError::from)?;
        input
            .child_key(key.scheme, &child)
            .verify(&input.signed_bytes, signature)
            .map_err(|error| FinishError::Signature { number, error })?;
        Ok(Made {
            number,
            input,
            child,
            signature,
        })
    };
    (1..)
        .zip(inputs.iter().zip(signatures))
        .map(check)
        .collect()
}

#[cfg(test)]
mod tests;
