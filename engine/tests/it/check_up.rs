//! The check-up of one share: the statement it proves, and its uselessness for anything else.

use countersign_engine::check_up::{CheckUpError, Proof, prove, verify};
use countersign_engine::{
    CommitteeIndex, Message, PublicShare, Scheme, Share, Signature, check_signature,
    verification_key,
};
use rand::rngs::OsRng;

use crate::fixtures::generate;
use crate::suite::scheme_suite;

scheme_suite! {
    every_holder_proves_its_share, a_proof_counts_once, no_changed_proof_counts, a_proof_is_not_a_signature,
}

const CONTEXT: &[u8] = b"2026-11-25, nonce 17";

fn every_holder_proves_its_share(scheme: Scheme) {
    let shares = generate(scheme, 2, 3, b"keygen");
    for share in &shares {
        let index = share.public().index;
        let stored = Share::from_bytes(&share.to_bytes()).unwrap();
        let proof = prove(&stored, CONTEXT, OsRng).unwrap();
        // Anybody's public data will do.
        assert_eq!(verify(&shares[0].public(), index, CONTEXT, &proof), Ok(()));
        assert_eq!(
            proof.bytes.len(),
            if scheme == Scheme::Ed25519 { 64 } else { 65 }
        );
    }
    let one = prove(&shares[0], CONTEXT, OsRng).unwrap();
    let other = prove(&shares[0], CONTEXT, OsRng).unwrap();
    assert_ne!(one, other, "every proof has a nonce of its own");
}

/// Rejected for another party, context, key, scheme or generation.
fn a_proof_counts_once(scheme: Scheme) {
    let shares = generate(scheme, 2, 3, b"keygen");
    let key = shares[0].public();
    let proof = prove(&shares[0], CONTEXT, OsRng).unwrap();
    let refused = |key: &PublicShare, index, context: &[u8]| {
        assert_eq!(
            verify(key, CommitteeIndex(index), context, &proof),
            Err(CheckUpError)
        );
    };
    refused(&key, 1, CONTEXT);
    refused(&key, 3, CONTEXT);
    refused(&key, 0, b"");
    refused(&generate(scheme, 2, 3, b"keygen")[0].public(), 0, CONTEXT);
    let root_public_key = key.public_shares[1].clone();
    refused(
        &PublicShare {
            root_public_key,
            ..key.clone()
        },
        0,
        CONTEXT,
    );
    let public_shares = vec![key.public_shares[1].clone(); 3];
    refused(
        &PublicShare {
            public_shares,
            ..key.clone()
        },
        0,
        CONTEXT,
    );
    refused(
        &PublicShare {
            public_shares: vec![vec![0; 33]; 3],
            ..key.clone()
        },
        0,
        CONTEXT,
    );
    let scheme = Scheme::ALL
        .into_iter()
        .find(|other| *other != scheme)
        .unwrap();
    refused(
        &PublicShare {
            scheme,
            ..key.clone()
        },
        0,
        CONTEXT,
    );
}

fn no_changed_proof_counts(scheme: Scheme) {
    let share = &generate(scheme, 2, 2, b"keygen")[0];
    let Proof { bytes } = prove(share, CONTEXT, OsRng).unwrap();
    let refused = |bytes: Vec<u8>| {
        assert_eq!(
            verify(
                &share.public(),
                CommitteeIndex(0),
                CONTEXT,
                &Proof { bytes }
            ),
            Err(CheckUpError)
        );
    };
    for byte in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[byte] ^= 1;
        refused(changed);
    }
    refused(bytes[1..].to_vec());
    refused([&bytes[..], &[0]].concat());
    refused(vec![]);
}

/// Neither under the share's public key nor under the root key, for any message.
fn a_proof_is_not_a_signature(scheme: Scheme) {
    let share = &generate(scheme, 2, 2, b"keygen")[0];
    let key = share.public();
    let Proof { bytes } = prove(share, CONTEXT, OsRng).unwrap();
    let little_endian: Vec<u8> = bytes.iter().rev().take(32).copied().collect();
    let parity = bytes.len() - 64;
    let forms = [
        bytes.clone(),
        bytes[parity..].to_vec(),
        [&bytes[..32], &little_endian].concat(),
    ];
    for public_key in [&key.public_shares[0], &key.root_public_key] {
        let public_key = verification_key(scheme, public_key, None).unwrap();
        for bytes in &forms {
            let signature = Signature {
                bytes: bytes.clone(),
                recovery_id: None,
            };
            for message in [Message::Raw(CONTEXT.to_vec()), Message::Raw(vec![])] {
                assert!(check_signature(scheme, &public_key, &message, &signature).is_err());
            }
        }
    }
}
