//! Assembly of signed payloads: the bytes that the chain accepts.
//!
//! The payload is decoded and every signature verified before anything is assembled, and the result
//! is parsed again and compared. Nothing is signed or sent here.

mod evm;
mod psbt;
mod solana;

use countersign_protocol::{DerivationPath, Payload, PayloadKind, Scheme};
use countersign_verify::{VerifyError, recovery_id};

use crate::{DecodeError, Input, Key, Networks, bitcoin_message, decode};

/// The output form of a Bitcoin payment. Other kinds have one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BitcoinForm {
    /// PSBT with final scripts and witnesses for the inputs that the
    /// wallet signed (BIP-174, finaliser).
    Psbt,
    /// The network transaction, which needs everybody's signatures (BIP-174, extractor).
    Transaction,
}

/// The assembled bytes, to be handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The output format by kind:
    ///
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
    /// Number of signatures of others that are still missing.
    pub missing: usize,
}

/// The reason nothing was assembled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FinishError {
    /// The payload does not decode.
    #[error(transparent)]
    Payload(#[from] DecodeError),
    /// Too few signatures, or too many.
    #[error(
        "the payload asks for {asked} signatures and there are {given}; give all of one task, in order"
    )]
    Count {
        /// The number in the payload.
        asked: usize,
        /// The number that the caller gave.
        given: usize,
    },
    /// The number of signatures of a payload whose output form holds one.
    #[error(
        "the signed form of this kind holds one signature and there are {0}; take them from the task's result"
    )]
    Several(usize),
    /// A signature is not what the payload asks for.
    #[error("signature {number} of the payload does not fit: {error}")]
    Signature {
        /// The signature's number, counted from 1.
        number: usize,
        /// The result of its verification.
        error: VerifyError,
    },
    /// So many signatures of others are missing before the network accepts it.
    #[error("{0} inputs are not signed; write a psbt and have their owners sign it")]
    Missing(usize),
    /// The assembled bytes do not decode to the signed content.
    #[error(
        "the {0} that was assembled is not the one that was signed; nothing was written, report this"
    )]
    Changed(&'static str),
}

/// Inserts `signatures`, of one task and in its order, into the payload. `path` is the task's.
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
    match payload.kind {
        PayloadKind::Psbt => psbt::finish(key, &payload.bytes, &made, form),
        PayloadKind::BitcoinMessage => {
            let to_sign = bitcoin_message::read(key, path, &payload.bytes, networks)?;
            psbt::finish_message(key, &to_sign, &made, form)
        }
        PayloadKind::EvmTransaction => evm::finish(&payload.bytes, only(&made)?),
        PayloadKind::SolanaMessage => solana::finish(&payload.bytes, only(&made)?),
        PayloadKind::Eip7702 => evm::finish_authorization(&payload.bytes, only(&made)?),
        PayloadKind::Eip191 | PayloadKind::Eip712 => {
            let one = only(&made)?;
            Ok(Finished {
                bytes: [one.signature, &[27 + one.odd()?]].concat(),
                missing: 0,
            })
        }
        PayloadKind::Message | PayloadKind::Digest | PayloadKind::Digests => Ok(Finished {
            bytes: only(&made)?.signature.to_vec(),
            missing: 0,
        }),
    }
}

/// The only signature of a form that holds one.
fn only<'a, 'b>(made: &'a [Made<'b>]) -> Result<&'a Made<'b>, FinishError> {
    match made {
        [one] => Ok(one),
        several => Err(FinishError::Several(several.len())),
    }
}

/// A verified signature with its input.
struct Made<'a> {
    /// Counted from 1, for messages.
    number: usize,
    input: &'a Input,
    /// The child key at the input's path.
    child: Vec<u8>,
    signature: &'a [u8],
}

impl Made<'_> {
    /// 1 if R has an odd y, for ECDSA. Computed here: it determines the sender of an Ethereum
    /// transaction, and no signature check covers it.
    fn odd(&self) -> Result<u8, FinishError> {
        let number = self.number;
        let error = VerifyError::Invalid;
        recovery_id(&self.child, &self.input.signed_bytes, self.signature)
            .filter(|id| *id < 2)
            .ok_or(FinishError::Signature { number, error })
    }

    /// True if `signature` verifies too.
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
