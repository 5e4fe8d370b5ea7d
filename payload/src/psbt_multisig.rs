//! Outputs that several keys unlock, of which one is ours: `m <keys> n OP_CHECKMULTISIG` in P2SH,
//! P2WSH or P2SH-P2WSH. Other scripts are not supported.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{EcdsaSighashType, Script, ScriptBuf, ecdsa, secp256k1};

/// Maximum number of keys. P2SH has no room for more (BIP-16: 520 bytes).
const MOST_KEYS: usize = 15;

const OP_1: u8 = 0x51;
const OP_CHECKMULTISIG: u8 = 0xae;
/// A push of a compressed key.
const PUSH_KEY: u8 = 33;

/// A script that requires `required` signatures by `keys`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Multisig {
    pub(crate) script: ScriptBuf,
    pub(crate) required: usize,
    /// In the order of the script, all compressed, each once.
    pub(crate) keys: Vec<secp256k1::PublicKey>,
    pub(crate) wrapping: Wrapping,
}

/// The place of the script's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrapping {
    P2sh,
    P2wsh,
    P2shP2wsh,
}

impl Multisig {
    /// Finds the script that unlocks `output` among those that a PSBT gives beside it. Both scripts
    /// must match the output exactly.
    pub(crate) fn of(
        output: &Script,
        redeem: Option<&Script>,
        witness: Option<&Script>,
    ) -> Option<Self> {
        let (script, wrapping) = match (redeem, witness) {
            (Some(redeem), None) if redeem.to_p2sh() == *output => (redeem, Wrapping::P2sh),
            (None, Some(witness)) if witness.to_p2wsh() == *output => (witness, Wrapping::P2wsh),
            (Some(redeem), Some(witness))
                if witness.to_p2wsh().as_script() == redeem && redeem.to_p2sh() == *output =>
            {
                (witness, Wrapping::P2shP2wsh)
            }
            _ => return None,
        };
        let (required, keys) = parse(script.as_bytes())?;
        Some(Self {
            script: script.to_owned(),
            required,
            keys,
            wrapping,
        })
    }

    /// The usual name, for display.
    pub(crate) fn name(&self) -> String {
        format!("multisig {} of {}", self.required, self.keys.len())
    }

    /// The first `required` of the signatures that verify, in the order of the script, if
    /// there are that many.
    pub(crate) fn enough(
        &self,
        signatures: &BTreeMap<bitcoin::PublicKey, ecdsa::Signature>,
        digest: &[u8],
    ) -> Option<Vec<ecdsa::Signature>> {
        let by = |key: &secp256k1::PublicKey| {
            let made = signatures.get(&bitcoin::PublicKey::new(*key))?;
            is_good(made, key, digest).then_some(*made)
        };
        let found: Vec<_> = self
            .keys
            .iter()
            .filter_map(by)
            .take(self.required)
            .collect();
        (found.len() == self.required).then_some(found)
    }

    /// True if these are exactly the required number of signatures, in the order of their keys.
    pub(crate) fn verifies(&self, signatures: &[Vec<u8>], digest: &[u8]) -> bool {
        let mut keys = self.keys.iter();
        let in_order = signatures.iter().all(|bytes| {
            let made = ecdsa::Signature::from_slice(bytes);
            made.is_ok_and(|made| keys.any(|key| is_good(&made, key, digest)))
        });
        in_order && signatures.len() == self.required
    }
}

fn is_good(made: &ecdsa::Signature, key: &secp256k1::PublicKey, digest: &[u8]) -> bool {
    let Ok(digest) = secp256k1::Message::from_digest_slice(digest) else {
        return false;
    };
    let curve = secp256k1::Secp256k1::verification_only();
    made.sighash_type == EcdsaSighashType::All
        && curve.verify_ecdsa(&digest, &made.signature, key).is_ok()
}

fn parse(script: &[u8]) -> Option<(usize, Vec<secp256k1::PublicKey>)> {
    let [required, pushes @ .., count, OP_CHECKMULTISIG] = script else {
        return None;
    };
    let number = |opcode: &u8| Some(usize::from(opcode.checked_sub(OP_1)?) + 1);
    let required = number(required)?;
    let count = number(count)?;
    let (entries, rest) = pushes.as_chunks::<34>();
    if !rest.is_empty() || entries.len() != count || count > MOST_KEYS || required > count {
        return None;
    }
    let key = |entry: &[u8; 34]| {
        let (push, key) = entry.split_first()?;
        (*push == PUSH_KEY)
            .then(|| secp256k1::PublicKey::from_slice(key).ok())
            .flatten()
    };
    let keys: Vec<_> = entries.iter().map(key).collect::<Option<_>>()?;
    let distinct: BTreeSet<_> = keys.iter().collect();
    (distinct.len() == keys.len()).then_some((required, keys))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(required: u8, keys: &[u8], count: u8) -> Vec<u8> {
        let curve = secp256k1::Secp256k1::new();
        let mut script = vec![required];
        for byte in keys {
            let secret = secp256k1::SecretKey::from_slice(&[*byte; 32]).unwrap();
            script.push(33);
            script.extend(secret.public_key(&curve).serialize());
        }
        script.extend([count, OP_CHECKMULTISIG]);
        script
    }

    #[test]
    fn only_the_standard_form_is_read() {
        let two_of_three = script(0x52, &[1, 2, 3], 0x53);
        assert_eq!(
            parse(&two_of_three).map(|(required, keys)| (required, keys.len())),
            Some((2, 3))
        );
        let most: Vec<u8> = (1..=15).collect();
        assert!(parse(&script(0x5f, &most, 0x5f)).is_some());
        let too_many: Vec<u8> = (1..=16).collect();
        for wrong in [
            script(0x51, &too_many, 0x60),
            script(0x54, &[1, 2, 3], 0x53),
            script(0x00, &[1, 2, 3], 0x53),
            script(0x52, &[1, 2, 3], 0x52),
            script(0x52, &[1, 1, 3], 0x53),
            script(0x51, &[], 0x50),
            [&two_of_three[..], &[0x75]].concat(),
            two_of_three[1..].to_vec(),
            [
                &two_of_three[..two_of_three.len() - 2],
                &[0x75, 0x53, OP_CHECKMULTISIG],
            ]
            .concat(),
            vec![],
        ] {
            assert!(parse(&wrong).is_none(), "{wrong:02x?}");
        }
        let mut no_point = two_of_three.clone();
        no_point[2] = 4;
        assert!(parse(&no_point).is_none());
    }

    #[test]
    fn scripts_must_be_those_of_the_output() {
        let script = ScriptBuf::from_bytes(script(0x52, &[1, 2, 3], 0x53));
        let p2sh = script.to_p2sh();
        let p2wsh = script.to_p2wsh();
        let nested = p2wsh.to_p2sh();
        let of = |output: &ScriptBuf, redeem: Option<&ScriptBuf>, witness: Option<&ScriptBuf>| {
            let found = Multisig::of(
                output,
                redeem.map(|it| it.as_script()),
                witness.map(|it| it.as_script()),
            );
            found.map(|found| found.wrapping)
        };
        assert_eq!(of(&p2sh, Some(&script), None), Some(Wrapping::P2sh));
        assert_eq!(of(&p2wsh, None, Some(&script)), Some(Wrapping::P2wsh));
        assert_eq!(
            of(&nested, Some(&p2wsh), Some(&script)),
            Some(Wrapping::P2shP2wsh)
        );
        for (output, redeem, witness) in [
            (&p2sh, None, Some(&script)),
            (&p2wsh, Some(&script), None),
            (&p2wsh, Some(&p2wsh), Some(&script)),
            (&nested, Some(&script), Some(&script)),
            (&nested, Some(&p2wsh), None),
            (&nested, None, Some(&script)),
            (&nested, Some(&p2wsh), Some(&p2wsh)),
        ] {
            assert_eq!(of(output, redeem, witness), None);
        }
    }
}
