//! Payloads: read from the forms that people have at hand, decoded, and completed with signatures.

use countersign_payload::{BitcoinForm, Intent, read_hex, read_psbt, read_solana};
use countersign_protocol::{DerivationPath, KeyDescriptor, Payload, PayloadKind, Signed};
use countersign_requester::profile::Chains;
use countersign_requester::{describe, proof};
use countersign_verify::Key;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Failure;

/// A payload in any of its forms.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    kind: PayloadKind,
    /// Hexadecimal: the bytes that were given, which may be text.
    given: String,
}

/// Reads PSBTs and Solana messages from bytes or any of their text forms, and others from bytes.
pub fn read(Read { kind, given }: Read) -> Result<Payload, Failure> {
    let given = read_hex(given.as_bytes()).map_err(Failure::usage)?;
    let bytes = match kind {
        PayloadKind::Psbt => read_psbt(&given).map_err(Failure::usage)?,
        PayloadKind::SolanaMessage => read_solana(&given).map_err(Failure::usage)?,
        PayloadKind::Message
        | PayloadKind::Digest
        | PayloadKind::Digests
        | PayloadKind::EvmTransaction
        | PayloadKind::Eip191
        | PayloadKind::Eip712
        | PayloadKind::BitcoinMessage
        | PayloadKind::Eip7702 => given,
    };
    let payload = Payload::new(kind, bytes);
    payload.check().map_err(Failure::usage)?;
    Ok(payload)
}

/// A payload for a child of a wallet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decode {
    wallet: KeyDescriptor,
    path: DerivationPath,
    payload: Payload,
    #[serde(default)]
    chains: Chains,
}

/// What is signed, and what that does.
#[derive(Serialize)]
pub struct Decoded {
    inputs: Vec<Input>,
    /// True if nobody can tell what is signed.
    blind: bool,
    intent: Value,
    /// The same for people. Long messages are cut.
    lines: Vec<String>,
    /// The same with nothing left out, for somebody who is to approve it.
    whole: Vec<String>,
}

#[derive(Serialize)]
struct Input {
    path: DerivationPath,
    #[serde(with = "hex::serde")]
    public_key: Vec<u8>,
    #[serde(with = "hex::serde")]
    signed_bytes: Vec<u8>,
}

/// Decodes a payload. An error says why nobody signs it.
pub fn decode(ask: Decode) -> Result<Decoded, Failure> {
    decoded(&ask.wallet, &ask.path, &ask.payload, &ask.chains)
}

/// The same, from its parts.
pub fn decoded(
    wallet: &KeyDescriptor,
    path: &DerivationPath,
    payload: &Payload,
    chains: &Chains,
) -> Result<Decoded, Failure> {
    let networks = chains.networks().map_err(Failure::usage)?;
    let decoded = proof::decode(wallet, path, payload, &networks)?;
    let key = Key::from(wallet);
    let input = |input: &countersign_verify::Input| -> Result<Input, Failure> {
        let child = key.child(&input.path)?;
        Ok(Input {
            path: input.path.clone(),
            public_key: input.child_key(key.scheme, &child).verification_key()?,
            signed_bytes: input.signed_bytes.clone(),
        })
    };
    Ok(Decoded {
        inputs: decoded.inputs.iter().map(input).collect::<Result<_, _>>()?,
        blind: decoded.intent == Intent::Opaque,
        intent: describe::json(&decoded.intent),
        lines: describe::lines(payload, &decoded),
        whole: describe::whole(payload, &decoded),
    })
}

/// A payload with its signatures.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finish {
    wallet: KeyDescriptor,
    path: DerivationPath,
    payload: Payload,
    #[serde(default)]
    chains: Chains,
    signed: Signed,
    #[serde(default)]
    form: Form,
}

/// The form of a Bitcoin payment; others have one.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Form {
    #[default]
    Psbt,
    Transaction,
}

/// The bytes that a chain takes.
#[derive(Serialize)]
pub struct Finished {
    #[serde(with = "hex::serde")]
    bytes: Vec<u8>,
    /// Signatures of others that are still missing.
    missing: usize,
}

/// Assembles a signed payload. Everything is decoded and verified again.
pub fn finish(ask: Finish) -> Result<Finished, Failure> {
    let networks = ask.chains.networks().map_err(Failure::usage)?;
    let form = match ask.form {
        Form::Psbt => BitcoinForm::Psbt,
        Form::Transaction => BitcoinForm::Transaction,
    };
    let finished = proof::finish(
        &ask.wallet,
        &ask.path,
        &ask.payload,
        &networks,
        &ask.signed,
        form,
    )?;
    Ok(Finished {
        bytes: finished.bytes,
        missing: finished.missing,
    })
}
