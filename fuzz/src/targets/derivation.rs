//! Child keys and addresses: ours against other libraries.
//!
//! | what | ours | the other |
//! |---|---|---|
//! | children on secp256k1 | `countersign-verify` | `bitcoin` (BIP-32), and the engine's (`hd-wallet`) |
//! | children on Ed25519 | `countersign-verify` | the engine's (`hd-wallet`) |
//! | addresses of Bitcoin, taproot's output key | `countersign-verify` | `bitcoin` |
//! | accounts of the EVM | `countersign-verify` | `alloy-primitives` |
//!
//! Input: 32 bytes that a key is made from, 32 of a chain code, one for the scheme, and
//! four for each step.

use bitcoin::bip32::{ChainCode, ChildNumber, Fingerprint, Xpub};
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::{PublicKey, SecretKey};
use bitcoin::taproot::TapNodeHash;
use bitcoin::{Address, CompressedPublicKey, Network, NetworkKind};
use countersign_engine::derive_public as derive_in_the_engine;
use countersign_protocol::Scheme;
use countersign_verify::address::{self, Network as Chain};
use countersign_verify::{derive_public, extended_public_key, taproot_output_key};
use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};

use super::signer::CURVE;
use crate::input::Input;

/// Limit on the steps of one input: more of them find nothing new.
const STEPS: usize = 6;

pub(super) fn run(input: &[u8]) -> bool {
    let mut input = Input::new(input);
    let secret: [u8; 32] = input.array();
    let chain_code: [u8; 32] = input.array();
    let scheme = input.choose(&Scheme::ALL);
    let mut path = vec![];
    while !input.is_empty() && path.len() < STEPS {
        path.push(input.number());
    }
    // Any 32 bytes are turned into a key.
    let secret: [u8; 32] = Sha256::digest(secret).into();
    match scheme {
        Scheme::Ed25519 => ed25519(
            &SigningKey::from_bytes(&secret).verifying_key().to_bytes(),
            &chain_code,
            &path,
        ),
        Scheme::EcdsaSecp256k1 | Scheme::SchnorrSecp256k1 | Scheme::Taproot => {
            let Ok(secret) = SecretKey::from_slice(&secret) else {
                return false;
            };
            secp256k1(scheme, secret.public_key(&CURVE), &chain_code, &path)
        }
    }
}

fn ed25519(root: &[u8; 32], chain_code: &[u8; 32], path: &[u32]) -> bool {
    let engine = derive_in_the_engine(Scheme::Ed25519, root, chain_code, path);
    let Ok((child, code)) = derive_public(Scheme::Ed25519, root, chain_code, path) else {
        assert!(engine.is_err(), "one of two derives, the other does not");
        return false;
    };
    let engine = engine.expect("both derive");
    assert_eq!((&child, &code), (&engine.public_key, &engine.chain_code));
    let account = address::solana(&child).expect("a key");
    assert_eq!(bs58::decode(account).into_vec().as_ref(), Ok(&child));
    true
}

fn secp256k1(scheme: Scheme, root: PublicKey, chain_code: &[u8; 32], path: &[u32]) -> bool {
    let bytes = root.serialize();
    let theirs = Xpub {
        network: NetworkKind::Main,
        depth: 0,
        parent_fingerprint: Fingerprint::default(),
        child_number: ChildNumber::Normal { index: 0 },
        public_key: root,
        chain_code: ChainCode::from(*chain_code),
    };
    assert_eq!(
        extended_public_key(scheme, &bytes, chain_code).as_ref(),
        Ok(&theirs.to_string())
    );
    let steps: Vec<ChildNumber> = path.iter().map(|index| ChildNumber::from(*index)).collect();
    let engine = derive_in_the_engine(scheme, &bytes, chain_code, path);
    let theirs = theirs.derive_pub(&CURVE, &steps);
    let Ok((child, code)) = derive_public(scheme, &bytes, chain_code, path) else {
        assert!(
            engine.is_err() && theirs.is_err(),
            "one of three derives, another does not"
        );
        return false;
    };
    let engine = engine.expect("all derive");
    let theirs = theirs.expect("all derive");
    assert_eq!((&child, &code), (&engine.public_key, &engine.chain_code));
    assert_eq!(
        (&child[..], code),
        (
            &theirs.public_key.serialize()[..],
            theirs.chain_code.to_bytes()
        )
    );
    addresses(&child, theirs.public_key, chain_code);
    true
}

/// `root`: 32 bytes for the root of a script tree.
fn addresses(ours: &[u8], theirs: PublicKey, root: &[u8; 32]) {
    let key = CompressedPublicKey(theirs);
    let internal = theirs.x_only_public_key().0;
    for (chain, network) in [
        (Chain::Mainnet, Network::Bitcoin),
        (Chain::Testnet, Network::Testnet),
        (Chain::Regtest, Network::Regtest),
    ] {
        let same =
            |ours: Result<String, _>, theirs: Address| assert_eq!(ours, Ok(theirs.to_string()));
        same(chain.p2pkh(ours), Address::p2pkh(key, network));
        same(chain.p2wpkh(ours), Address::p2wpkh(&key, network));
        same(chain.p2sh_p2wpkh(ours), Address::p2shwpkh(&key, network));
        for root in [None, Some(root)] {
            let tree = root.map(|root| TapNodeHash::from_byte_array(*root));
            same(
                chain.p2tr(ours, root),
                Address::p2tr(&CURVE, internal, tree, network),
            );
        }
    }
    let script = bitcoin::ScriptBuf::new_p2tr(&CURVE, internal, None);
    assert_eq!(
        &taproot_output_key(ours, None).expect("a key")[..],
        &script.as_bytes()[2..]
    );
    let account =
        alloy_primitives::Address::from_raw_public_key(&theirs.serialize_uncompressed()[1..]);
    assert_eq!(address::evm(ours), Ok(account.to_checksum(None)));
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let paths: [&[u32]; 5] = [&[], &[0], &[0, 7], &[84, 0, (1 << 31) - 1], &[1 << 31]];
    let seed = |scheme: u8, path: &[u32]| {
        let steps: Vec<u8> = path.iter().flat_map(|index| index.to_be_bytes()).collect();
        [&[1; 32][..], &[2; 32], &[scheme], &steps].concat()
    };
    (0..4)
        .flat_map(|scheme| paths.map(|path| seed(scheme, path)))
        .collect()
}
