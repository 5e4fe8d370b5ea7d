//! Ownership of a PSBT's inputs and outputs: decided by origins that are derived again, never
//! by the PSBT's claims.

use std::collections::BTreeMap;

use bitcoin::bip32::{ChildNumber, KeySource};
use bitcoin::hashes::Hash as _;
use bitcoin::script::Instruction;
use bitcoin::taproot::TapLeafHash;
use bitcoin::{PubkeyHash, Script, ScriptBuf, WPubkeyHash, XOnlyPublicKey, psbt, secp256k1};
use countersign_protocol::{DerivationPath, Scheme};
use countersign_verify::{DeriveError, taproot_output_key};

use crate::malformed::Malformed;
use crate::psbt_multisig::Multisig;
use crate::{DecodeError, Key};

/// A root key and its BIP-32 fingerprint.
pub(crate) struct Owner<'a> {
    key: &'a Key<'a>,
    fingerprint: [u8; 4],
}

/// A child that a PSBT names, derived again.
pub(crate) struct Origin {
    pub(crate) path: DerivationPath,
    scheme: Scheme,
    child: [u8; 33],
}

/// The form of an output that is locked to a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Form {
    P2pkh,
    P2wpkh,
    /// P2SH of this P2WPKH script.
    NestedP2wpkh(ScriptBuf),
    Taproot,
    /// Locked to several keys, of which this is one.
    Multisig(Multisig),
}

impl<'a> Owner<'a> {
    pub(crate) fn new(key: &'a Key<'a>) -> Result<Self, DecodeError> {
        let root = key.child(&DerivationPath::default())?;
        let identifier = PubkeyHash::hash(&root).to_byte_array();
        Ok(Owner {
            key,
            fingerprint: std::array::from_fn(|index| identifier[index]),
        })
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.key.scheme
    }

    /// The child at a path.
    pub(crate) fn child(&self, path: &DerivationPath) -> Result<Origin, DecodeError> {
        let child = self
            .key
            .child(path)?
            .try_into()
            .map_err(|_| DeriveError::PublicKey)?;
        Ok(Origin {
            path: path.clone(),
            scheme: self.key.scheme,
            child,
        })
    }

    /// Records in the input that it is the child's, in the form that [`Owner::origin`] reads.
    pub(crate) fn mark(&self, input: &mut psbt::Input, origin: &Origin) -> Result<(), Malformed> {
        let steps = origin
            .path
            .steps()
            .iter()
            .map(|index| ChildNumber::Normal { index: *index });
        let source = (self.fingerprint.into(), steps.collect::<Vec<_>>().into());
        let key = secp256k1::PublicKey::from_slice(&origin.child).map_err(Malformed::by)?;
        match origin.scheme {
            Scheme::Taproot => {
                drop(
                    input
                        .tap_key_origins
                        .insert(key.x_only_public_key().0, (vec![], source)),
                );
            }
            Scheme::EcdsaSecp256k1 | Scheme::Ed25519 | Scheme::SchnorrSecp256k1 => {
                drop(input.bip32_derivation.insert(key, source));
            }
        }
        Ok(())
    }

    /// The origin in this key, if there is one. An origin with the fingerprint that leads
    /// elsewhere is an error.
    pub(crate) fn origin(
        &self,
        ecdsa: &BTreeMap<secp256k1::PublicKey, KeySource>,
        taproot: &BTreeMap<XOnlyPublicKey, (Vec<TapLeafHash>, KeySource)>,
    ) -> Result<Option<Origin>, Malformed> {
        let ours = |source: &KeySource| source.0.to_bytes() == self.fingerprint;
        let ecdsa = ecdsa
            .iter()
            .filter(|(_, source)| ours(source))
            .map(|(key, source)| {
                (
                    Scheme::EcdsaSecp256k1,
                    key.serialize().to_vec(),
                    source,
                    true,
                )
            });
        let taproot = taproot.iter().filter(|(_, (_, source))| ours(source)).map(
            |(key, (leaves, source))| {
                (
                    Scheme::Taproot,
                    key.serialize().to_vec(),
                    source,
                    leaves.is_empty(),
                )
            },
        );
        let mut found = ecdsa.chain(taproot);
        let Some((scheme, named, source, whole)) = found.next() else {
            return Ok(None);
        };
        if found.next().is_some() || scheme != self.key.scheme || !whole {
            return Err(
                "an origin has the fingerprint of this key, and its use is not supported".into(),
            );
        }
        let path = path_of(source)?;
        let child = self.key.child(&path).map_err(Malformed::by)?;
        let child: [u8; 33] = child
            .try_into()
            .map_err(|_| "the key is not one of secp256k1")?;
        if !child.ends_with(&named) {
            return Err(format!("the key at {path} is not the one that the PSBT names").into());
        }
        Ok(Some(Origin {
            path,
            scheme,
            child,
        }))
    }
}

impl Origin {
    /// The way this child unlocks the input, together with others if need be.
    pub(crate) fn unlocks(&self, output: &Script, input: &psbt::Input) -> Option<Form> {
        let alone = self.form_beside(output, script_root(input).as_ref());
        alone.or_else(|| self.multisig(output, input).map(Form::Multisig))
    }

    fn multisig(&self, output: &Script, input: &psbt::Input) -> Option<Multisig> {
        let scripts = (
            input.redeem_script.as_deref(),
            input.witness_script.as_deref(),
        );
        let multisig = Multisig::of(output, scripts.0, scripts.1)?;
        let ours = |key: &secp256k1::PublicKey| key.serialize() == self.child;
        (self.scheme == Scheme::EcdsaSecp256k1 && multisig.keys.iter().any(ours))
            .then_some(multisig)
    }

    /// The form in which `script` is locked to this child alone, if it is.
    pub(crate) fn form_of(&self, script: &Script) -> Option<Form> {
        self.form_beside(script, None)
    }

    /// The form in which this child unlocks `script`, beside the scripts of `script_root`.
    pub(crate) fn form_beside(
        &self,
        script: &Script,
        script_root: Option<&[u8; 32]>,
    ) -> Option<Form> {
        if self.scheme == Scheme::Taproot {
            let output = taproot_output_key(&self.child, script_root).ok()?;
            // OP_1, a push of 32 bytes
            let expected = [&[0x51, 32], output.as_slice()].concat();
            return (script.as_bytes() == expected).then_some(Form::Taproot);
        }
        let witness = ScriptBuf::new_p2wpkh(&WPubkeyHash::hash(&self.child));
        let forms = [
            (
                ScriptBuf::new_p2pkh(&PubkeyHash::hash(&self.child)),
                Form::P2pkh,
            ),
            (witness.to_p2sh(), Form::NestedP2wpkh(witness.clone())),
            (witness, Form::P2wpkh),
        ];
        forms
            .into_iter()
            .find(|(expected, _)| expected.as_script() == script)
            .map(|(_, form)| form)
    }
}

/// The root of the script tree that an input claims. The output that it spends proves it.
pub(crate) fn script_root(input: &psbt::Input) -> Option<[u8; 32]> {
    input.tap_merkle_root.map(|root| root.to_byte_array())
}

fn path_of((_, path): &KeySource) -> Result<DerivationPath, Malformed> {
    let steps = path.into_iter().map(|step| match step {
        ChildNumber::Normal { index } => Ok(format!("/{index}")),
        ChildNumber::Hardened { .. } => {
            Err("an origin has a hardened step, which no threshold key can derive")
        }
    });
    let steps: String = steps.collect::<Result<_, _>>()?;
    format!("m{steps}")
        .parse::<DerivationPath>()
        .map_err(Malformed::by)
}

/// The data of an OP_RETURN output: its single push, otherwise everything after the opcode.
pub(crate) fn op_return_data(script: &Script) -> Vec<u8> {
    let mut instructions = script.instructions().skip(1);
    match (instructions.next(), instructions.next()) {
        (Some(Ok(Instruction::PushBytes(bytes))), None) => bytes.as_bytes().to_vec(),
        _ => script.as_bytes().get(1..).unwrap_or_default().to_vec(),
    }
}
