//! Published vectors of derivation and of the Taproot output key.

use countersign_engine::{DeriveError, Scheme, derive_public, verification_key};
use curve25519_dalek::{EdwardsPoint, Scalar};
use secp256k1::{SECP256K1, SecretKey};

/// The public half of an extended key in its text form.
struct Extended {
    chain_code: [u8; 32],
    /// 33 bytes: compressed, or zero and the 32 bytes of Ed25519.
    key: Vec<u8>,
}

impl Extended {
    /// Parses 4 bytes of version, depth, 4 of fingerprint, 4 of index, chain code, key.
    fn parse(text: &str) -> Self {
        let bytes = bs58::decode(text).with_check(None).into_vec().unwrap();
        assert_eq!(bytes.len(), 78);
        Self {
            chain_code: bytes[13..45].try_into().unwrap(),
            key: bytes[45..].to_vec(),
        }
    }

    fn public_key(&self, scheme: Scheme) -> &[u8] {
        if scheme == Scheme::Ed25519 {
            &self.key[1..]
        } else {
            &self.key
        }
    }
}

fn derives(scheme: Scheme, parent: &str, path: &[u32], child: &str) {
    let parent = Extended::parse(parent);
    let child = Extended::parse(child);
    let derived =
        derive_public(scheme, parent.public_key(scheme), &parent.chain_code, path).unwrap();
    assert_eq!(derived.public_key, child.public_key(scheme));
    assert_eq!(derived.chain_code, child.chain_code);
}

/// BIP-32, test vector 1: the non-hardened steps.
#[test]
fn bip_32_vector_1() {
    let m_0h = "xpub68Gmy5EdvgibQVfPdqkBBCHxA5htiqg55crXYuXoQRKfDBFA1WEjWgP6LHhwBZeNK1VTsfTFUHCdrfp1bgwQ9xv5ski8PX9rL2dZXvgGDnw";
    let m_0h_1 = "xpub6ASuArnXKPbfEwhqN6e3mwBcDTgzisQN1wXN9BJcM47sSikHjJf3UFHKkNAWbWMiGj7Wf5uMash7SyYq527Hqck2AxYysAA7xmALppuCkwQ";
    let m_0h_1_2h = "xpub6D4BDPcP2GT577Vvch3R8wDkScZWzQzMMUm3PWbmWvVJrZwQY4VUNgqFJPMM3No2dFDFGTsxxpG5uJh7n7epu4trkrX7x7DogT5Uv6fcLW5";
    let last = "xpub6H1LXWLaKsWFhvm6RVpEL9P4KfRZSW7abD2ttkWP3SSQvnyA8FSVqNTEcYFgJS2UaFcxupHiYkro49S8yGasTvXEYBVPamhGW6cFJodrTHy";
    for scheme in [
        Scheme::EcdsaSecp256k1,
        Scheme::SchnorrSecp256k1,
        Scheme::Taproot,
    ] {
        derives(scheme, m_0h, &[1], m_0h_1);
        derives(scheme, m_0h_1_2h, &[2, 1_000_000_000], last);
    }
}

/// Made with a wallet in the field: root xpub and the private key of m/44/60/0/0/0.
#[test]
fn wallet_vector_secp256k1() {
    let root = Extended::parse(
        "xpub661MyMwAqRbcFS7KEDcTyCJPymrPtXLLuQ4Q9HmfSs6MoDQN4JUHisRL3ZWUtn8JjumsaQibtZBALcXkzRHpjsCS4obQaGCGG5qt4anbphu",
    );
    let child = derive_public(
        Scheme::EcdsaSecp256k1,
        &root.key,
        &root.chain_code,
        &[44, 60, 0, 0, 0],
    )
    .unwrap();
    let secret =
        hex::decode("a27fd146e2d13b3ca482cd8703da541b637ff4fb1224cbb6bc94df2e6764e3bf").unwrap();
    let expected = SecretKey::from_byte_array(secret.try_into().unwrap())
        .unwrap()
        .public_key(SECP256K1);
    assert_eq!(child.public_key, expected.serialize());
}

/// Made with a wallet in the field: root and child cpub, and the private scalar of m/44/501/0/0/0.
#[test]
fn wallet_vector_ed25519() {
    let root = "cpubGCmTMqXYTnzkaj8hg72SuLci9q6DaK9atzpcbgjTmHkgXm1VyYPEh1W2njoEWGx7cpioxFBGSk7nD3bQd2BSwPYNHEmEW94oWXnGmRJFP3G";
    let child = "cpubGPd6REiRhwmwfDbwpjd1mxKbhzoygEy2KaaG8s4dcN4ubHK4kqw3uxhnV6BwHw18Qwqomdh5ijf6ygfh8qkCveuekSqmxuQ5zwqjfHH7uGW";
    derives(Scheme::Ed25519, root, &[44, 501, 0, 0, 0], child);
    let scalar =
        hex::decode("0648c6faeb3994799e9ac31009872ea559e960f1977cf1c71989634d62bcf41d").unwrap();
    let mut little_endian: [u8; 32] = scalar.try_into().unwrap();
    little_endian.reverse();
    let point = EdwardsPoint::mul_base(&Scalar::from_canonical_bytes(little_endian).unwrap());
    assert_eq!(
        Extended::parse(child).public_key(Scheme::Ed25519),
        point.compress().as_bytes()
    );
}

/// BIP-341, wallet-test-vectors.json, the first two: internal keys without and with scripts.
#[test]
fn bip_341_output_key() {
    for (x, root, output) in [
        (
            "d6889cb081036e0faefa3a35157ad71086b123b2b144b649798b494c300a961d",
            None,
            "53a1f6e454df1aa2776a2814a721372d6258050de330b3c6d10ee8f4e0dda343",
        ),
        (
            "187791b6f712a8ea41c8ecdd0ee77fab3e85263b37e1ec18a3651926b3a6cf27",
            Some("5b75adecf53548f3ec6ad7d78383bf84cc57b55a3127c72b9a2481752dd88b21"),
            "147c9c57132f6e7ecddba9800bb0c4449251c92a1e60371ee77557b6620f3ea3",
        ),
    ] {
        let root: Option<[u8; 32]> =
            root.map(|root| hex::decode(root).unwrap().try_into().unwrap());
        // Only x counts, for either of the two points.
        for parity in [2, 3] {
            let internal = [&[parity], &hex::decode(x).unwrap()[..]].concat();
            let key = verification_key(Scheme::Taproot, &internal, root.as_ref()).unwrap();
            assert_eq!(hex::encode(key), output);
        }
    }
}

#[test]
fn keys_that_are_not_points_are_refused() {
    for scheme in Scheme::ALL {
        for key in [&[][..], &[0], &[0; 32], &[0; 33], &[255; 32], &[2; 34]] {
            let small_order_or_worse = derive_public(scheme, key, &[0; 32], &[]);
            assert_eq!(
                small_order_or_worse,
                Err(DeriveError::PublicKey),
                "{scheme} {key:?}"
            );
            assert_eq!(
                verification_key(scheme, key, None),
                Err(DeriveError::PublicKey)
            );
        }
    }
}
