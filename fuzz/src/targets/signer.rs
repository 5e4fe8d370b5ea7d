//! A key with a published private half, by other libraries than those under test.

use std::sync::LazyLock;

use bitcoin::NetworkKind;
use bitcoin::bip32::{ChainCode, ChildNumber, Fingerprint, Xpriv};
use bitcoin::hashes::Hash;
use bitcoin::key::{Keypair, TapTweak};
use bitcoin::secp256k1::{All, Message, Secp256k1, SecretKey};
use bitcoin::taproot::TapNodeHash;
use countersign_payload::{Input, Key};
use countersign_protocol::{DerivationPath, Scheme};
use ed25519_dalek::{Signer as _, SigningKey};

pub(super) static CURVE: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

const CHAIN_CODE: [u8; 32] = [9; 32];
/// RFC 8032, section 7.1, test 1.
static ED25519: LazyLock<SigningKey> = LazyLock::new(|| {
    let seed = hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    SigningKey::from_bytes(&seed.expect("digits").try_into().expect("32 bytes"))
});
/// The base point of secp256k1, and the private key 1.
static SECP256K1: LazyLock<Vec<u8>> =
    LazyLock::new(|| xpriv().private_key.public_key(&CURVE).serialize().to_vec());

/// The key of a scheme.
pub(super) fn key(scheme: Scheme) -> Key<'static> {
    static POINT: LazyLock<[u8; 32]> = LazyLock::new(|| ED25519.verifying_key().to_bytes());
    let root_public_key = match scheme {
        Scheme::Ed25519 => &POINT[..],
        Scheme::EcdsaSecp256k1 | Scheme::SchnorrSecp256k1 | Scheme::Taproot => &SECP256K1,
    };
    Key {
        scheme,
        root_public_key,
        chain_code: &CHAIN_CODE,
    }
}

pub(super) fn fingerprint() -> Fingerprint {
    xpriv().fingerprint(&CURVE)
}

fn xpriv() -> Xpriv {
    let mut one = [0; 32];
    one[31] = 1;
    Xpriv {
        network: NetworkKind::Main,
        depth: 0,
        parent_fingerprint: Fingerprint::default(),
        child_number: ChildNumber::Normal { index: 0 },
        private_key: SecretKey::from_slice(&one).expect("one is a key"),
        chain_code: ChainCode::from(CHAIN_CODE),
    }
}

/// The private key of a child (BIP-32).
pub(super) fn child(path: &DerivationPath) -> SecretKey {
    let steps: Vec<_> = path
        .steps()
        .iter()
        .map(|index| ChildNumber::Normal { index: *index })
        .collect();
    xpriv()
        .derive_priv(&CURVE, &steps)
        .expect("below 2^31")
        .private_key
}

/// Signs an input. `None` if no library here can: children on Ed25519, and Schnorr
/// signatures of RFC 9591.
pub(super) fn sign(scheme: Scheme, input: &Input) -> Option<Vec<u8>> {
    match scheme {
        Scheme::EcdsaSecp256k1 => {
            let digest =
                Message::from_digest(input.signed_bytes.as_slice().try_into().expect("32 bytes"));
            Some(
                CURVE
                    .sign_ecdsa(&digest, &child(&input.path))
                    .serialize_compact()
                    .to_vec(),
            )
        }
        Scheme::Taproot => {
            let digest = Message::from_digest(input.signed_bytes.as_slice().try_into().ok()?);
            let pair = Keypair::from_secret_key(&CURVE, &child(&input.path));
            let root = input.script_root.map(TapNodeHash::from_byte_array);
            let tweaked = pair.tap_tweak(&CURVE, root).to_keypair();
            Some(
                CURVE
                    .sign_schnorr_no_aux_rand(&digest, &tweaked)
                    .serialize()
                    .to_vec(),
            )
        }
        Scheme::Ed25519 if input.path.steps().is_empty() => {
            Some(ED25519.sign(&input.signed_bytes).to_bytes().to_vec())
        }
        Scheme::Ed25519 | Scheme::SchnorrSecp256k1 => None,
    }
}
