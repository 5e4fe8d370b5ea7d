//! Authorisations of EIP-7702: `0x05 ‖ rlp([chain_id, address, nonce])`, hashed by Keccak-256.
//! Anybody with the signature can put it into a transaction, and the account runs the contract's
//! code from then on: the contract has all the power of the account's key. Shown as a transaction
//! that hands the whole account over and pays nothing.
//!
//! With chain id 0 it is valid on every chain that has the account at this nonce; its chain
//! is shown as `eip155:0`.

use alloy_eips::eip7702::Authorization;
use alloy_primitives::keccak256;
use alloy_rlp::Decodable;
use countersign_protocol::{DerivationPath, PayloadKind};

use crate::evm::{delegation, sender};
use crate::malformed::Malformed;
use crate::{DecodeError, Decoded, Input, Intent, Key, Transaction, must_be_ecdsa};

/// The standard's `MAGIC` byte.
const MAGIC: u8 = 5;

pub(crate) fn decode(
    key: &Key,
    path: &DerivationPath,
    bytes: &[u8],
) -> Result<Decoded, DecodeError> {
    must_be_ecdsa(key, PayloadKind::Eip7702)?;
    let account = sender(key, path)?;
    let authorization =
        read(bytes).map_err(|reason| DecodeError::malformed(PayloadKind::Eip7702, reason))?;
    let intent = Intent::Transaction(Transaction {
        chain: format!("eip155:{}", authorization.chain_id),
        sources: vec![account.to_string()],
        destinations: vec![],
        calls: vec![],
        grants: vec![delegation(&authorization.address)],
        // Paid by the sender of the transaction.
        fee: Some("0".into()),
        unsigned: bytes.to_vec(),
        owners: Default::default(),
    });
    Ok(Decoded {
        inputs: vec![Input::new(path.clone(), keccak256(bytes).to_vec())],
        intent,
    })
}

/// Parses an authorisation without signature; only the canonical encoding is accepted.
pub(crate) fn read(bytes: &[u8]) -> Result<Authorization, Malformed> {
    let Some((&MAGIC, mut rest)) = bytes.split_first() else {
        return Err("it does not begin with 05".into());
    };
    let authorization = Authorization::decode(&mut rest).map_err(|error| {
        if signed(bytes) {
            "it is signed already: its list has six items".to_string()
        } else {
            error.to_string()
        }
    })?;
    if encoded(&authorization) == bytes {
        Ok(authorization)
    } else {
        Err("it is not the one encoding of this authorisation, or something follows it".into())
    }
}

/// Encodes it for hashing.
pub(crate) fn encoded(authorization: &Authorization) -> Vec<u8> {
    let mut bytes = vec![MAGIC];
    alloy_rlp::Encodable::encode(authorization, &mut bytes);
    bytes
}

/// True if it carries a signature: chain id, address, nonce, parity, r and s.
fn signed(bytes: &[u8]) -> bool {
    alloy_eips::eip7702::SignedAuthorization::decode(&mut &bytes[1..]).is_ok()
}

#[cfg(test)]
mod tests {
    use countersign_protocol::Scheme;

    use crate::PayloadKind;
    use crate::testkit::{decode_as, digest_of, ecdsa, key_of, transaction};

    const CASE: &str = include_str!("../fixtures/evm-7702-authorization.hex");

    fn unhex(text: &str) -> Vec<u8> {
        hex::decode(text.trim()).unwrap()
    }

    #[test]
    fn an_authorisation_hands_the_account_over() {
        let decoded = decode_as(&ecdsa(), PayloadKind::Eip7702, &unhex(CASE)).unwrap();
        let shown = transaction(&decoded);
        let [grant] = &shown.grants[..] else {
            panic!("{shown:?}")
        };
        assert_eq!(grant.spender, "0x63c0c19a282a1B52b07dD5a65b58948A07DAE32B");
        assert_eq!(
            (&*grant.asset, &grant.amount, &*shown.chain),
            ("", &None, "eip155:1")
        );
        assert_eq!(
            shown.sources,
            ["0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"]
        );
        // By eth-account 0.14.
        assert_eq!(
            digest_of(&decoded),
            "73c37d50a1a39a021d14f800a6e7b8ef6a29e1f8ea5fa2fcbf91ba4a5a58abac"
        );
    }

    #[test]
    fn every_chain_and_nobody_are_told_apart() {
        let address = "63c0c19a282a1b52b07dd5a65b58948a07dae32b";
        let everywhere = decode_as(
            &ecdsa(),
            PayloadKind::Eip7702,
            &unhex(&format!("05d78094{address}01")),
        )
        .unwrap();
        assert_eq!(transaction(&everywhere).chain, "eip155:0");
        let back = format!("05d70194{}01", "00".repeat(20));
        let back = decode_as(&ecdsa(), PayloadKind::Eip7702, &unhex(&back)).unwrap();
        assert_eq!(transaction(&back).grants[0].amount.as_deref(), Some("0"));
    }

    #[test]
    fn everything_else_is_refused() {
        let address = "63c0c19a282a1b52b07dd5a65b58948a07dae32b";
        for (bytes, part) in [
            (format!("05d70194{address}0100"), "follows"),
            (format!("04d70194{address}01"), "05"),
            (format!("05d88101{}94{address}01", ""), "expected"),
            (format!("05d60194{address}"), "expected"),
            (format!("05da0194{address}01800102"), "signed already"),
            ("05".into(), "expected"),
        ] {
            let refused = decode_as(&ecdsa(), PayloadKind::Eip7702, &unhex(&bytes)).unwrap_err();
            assert_eq!(refused.code(), "payload-malformed", "{bytes}");
            assert!(refused.to_string().contains(part), "{bytes}: {refused}");
        }
        for scheme in [Scheme::Ed25519, Scheme::SchnorrSecp256k1, Scheme::Taproot] {
            let refused = decode_as(&key_of(scheme), PayloadKind::Eip7702, &unhex(CASE));
            assert_eq!(refused.unwrap_err().code(), "payload-scheme");
        }
    }
}
