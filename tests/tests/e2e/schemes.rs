//! The same tests for every scheme. Signatures are checked by programs and libraries
//! that sign nothing here.

use countersign_client::Signature;
use countersign_protocol::{Payload, PayloadKind, Scheme};
use countersign_tests::{Blueprint, Cluster, PrimeSource, openssl};
use countersign_verify::ChildKey;

macro_rules! scheme_suite {
    ($($name:ident: $scheme:expr, $primes:expr;)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread")]
            async fn a_wallet_signs_with_every_pair_under_root_and_child() {
                let cluster = Cluster::start(Blueprint { primes: $primes, ..Blueprint::default() }).await.unwrap();
                every_pair_signs(&cluster, $scheme).await;
                a_digest_is_refused(&cluster, $scheme).await;
            }
        }
    )*};
}

scheme_suite! {
    ecdsa: Scheme::EcdsaSecp256k1, PrimeSource::Fixture;
    ed25519: Scheme::Ed25519, PrimeSource::None;
    schnorr: Scheme::SchnorrSecp256k1, PrimeSource::None;
    taproot: Scheme::Taproot, PrimeSource::None;
}

async fn every_pair_signs(cluster: &Cluster, scheme: Scheme) {
    let wallet = cluster.create_wallet("suite", scheme, 2).await.unwrap();
    assert!(wallet.has_all_acks());
    for (pair, path) in [
        ([0, 1], "m"),
        ([0, 2], "m/0/7"),
        ([1, 2], "m/44/60/0/0/2147483647"),
    ] {
        // Not 32 bytes, which would be a digest under another name.
        let message = format!("{path} signed by {pair:?}");
        let order = cluster
            .order(wallet.key, path, message.as_bytes(), Some(&pair))
            .unwrap();
        let signature = cluster
            .client
            .sign(&order, |_| {})
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", cluster.logs()));
        check(cluster, &signature);
    }
}

/// Without the operator's permission nobody signs an opaque digest.
async fn a_digest_is_refused(cluster: &Cluster, scheme: Scheme) {
    let wallet = cluster.create_wallet("blind", scheme, 2).await.unwrap();
    let mut order = cluster.order(wallet.key, "m", b"", None).unwrap();
    order.payload = Payload::new(PayloadKind::Digest, vec![7; 32]);
    let (code, reason) = crate::refusal(cluster.client.sign(&order, |_| {}).await);
    assert_eq!(code, "blind-signing");
    assert!(
        reason.contains("says nothing of what is signed"),
        "{reason}"
    );
}

pub(crate) fn check(cluster: &Cluster, made: &Signature) {
    let [signed] = &made.signed.signatures[..] else {
        panic!("one signature was ordered: {made:?}")
    };
    let key = &signed.public_key;
    let bytes = &signed.signed_bytes;
    let signature = &signed.signature;
    match made.scheme {
        Scheme::EcdsaSecp256k1 => {
            openssl::verify_ecdsa(cluster.dir(), key, bytes, signature).unwrap()
        }
        Scheme::Ed25519 => openssl::verify_ed25519(cluster.dir(), key, bytes, signature).unwrap(),
        Scheme::Taproot => {
            let signature = secp256k1::schnorr::Signature::from_byte_array(
                signature.as_slice().try_into().unwrap(),
            );
            let key =
                secp256k1::XOnlyPublicKey::from_byte_array(key.as_slice().try_into().unwrap())
                    .unwrap();
            secp256k1::Secp256k1::verification_only()
                .verify_schnorr(&signature, bytes, &key)
                .unwrap();
        }
        Scheme::SchnorrSecp256k1 => {
            ChildKey::new(made.scheme, key)
                .verify(bytes, signature)
                .unwrap();
            let mut other = bytes.clone();
            other[0] ^= 1;
            ChildKey::new(made.scheme, key)
                .verify(&other, signature)
                .unwrap_err();
        }
    }
}
