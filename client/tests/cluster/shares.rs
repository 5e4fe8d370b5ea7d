//! Shares of nobody's key, and proofs that they are intact, as the engine makes them.

use countersign_protocol::outcome::public_shares_hash;
use countersign_protocol::{Hash, Hasher, Intact, KeyDescriptor, NodeId, Point};
use curve25519_dalek::{EdwardsPoint, Scalar};
use sha2::{Digest, Sha512};

/// The hash of all public shares of a committee of this size.
pub fn hash(members: usize) -> Hash {
    public_shares_hash(public(members).iter().map(|share| &share.0[..]))
}

/// A member's proof for the task with this hash.
pub fn prove(wallet: &KeyDescriptor, task: Hash, node: NodeId) -> Intact {
    let index = wallet.committee.index_of(&node).unwrap().0;
    let public_shares = public(wallet.committee.members().len());
    let bound = Hasher::new("countersign engine check-up v1")
        .field(wallet.scheme.name().as_bytes())
        .field(&wallet.root_public_key)
        .field(&index.to_be_bytes())
        .field(Intact::context(task, wallet.key, wallet.generation, &node).as_bytes())
        .finish();
    let nonce = Scalar::from(17u64);
    let commitment = EdwardsPoint::mul_base(&nonce).compress().to_bytes();
    let label: &[u8] = b"countersign engine proof of knowledge v1";
    let fields = [
        label,
        b"ed25519",
        bound.as_bytes(),
        &public_shares[usize::from(index)].0,
        &commitment,
    ];
    let hash = fields.iter().fold(Sha512::new(), |hash, field| {
        hash.chain_update((field.len() as u64).to_be_bytes())
            .chain_update(field)
    });
    let mut challenge: [u8; 64] = hash.finalize().into();
    challenge.reverse();
    let response =
        nonce + Scalar::from_bytes_mod_order_wide(&challenge) * secret(usize::from(index));
    let mut response = response.to_bytes();
    response.reverse();
    let proof = Point([commitment, response].concat());
    Intact {
        node,
        key: wallet.key,
        generation: wallet.generation,
        public_shares,
        proof,
    }
}

fn secret(index: usize) -> Scalar {
    Scalar::from(1000 + index as u64)
}

fn public(members: usize) -> Vec<Point> {
    let point = |index| EdwardsPoint::mul_base(&secret(index)).compress().to_bytes();
    (0..members)
        .map(|index| Point(point(index).to_vec()))
        .collect()
}
