//! The check-up of a share: a proof that a node knows the secret of its public share. Point
//! arithmetic by libsecp256k1 and curve25519-dalek.
//!
//! The proof is Schnorr's, made non-interactive: a commitment A and a response z with z·G = A +
//! e·X, where X is the public share and e a hash over everything. `engine/src/check_up.rs`, where
//! it is made, explains why it is not a signature of any scheme. All values here are public, so
//! nothing needs constant time.

use countersign_protocol::outcome::public_shares_hash;
use countersign_protocol::{Hash, Hasher, Intact, KeyDescriptor, NodeId, Scheme};
use curve25519_dalek::{EdwardsPoint, Scalar};
use sha2::{Digest, Sha512};

use crate::{ecdsa, ed25519, schnorr};

/// The reason a check-up proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IntactError {
    /// For a key other than the wallet's.
    #[error("the check-up is of another key: ask for one of this wallet")]
    Key,
    /// For another generation of the key.
    #[error(
        "the check-up is of generation {found}, the wallet has {expected}: see what holds that node back"
    )]
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    Generation { expected: u32, found: u32 },
    /// The node is not one of the holders.
    #[error("{0} is not a member of the wallet's committee: ask those that are")]
    Member(NodeId),
    /// Not the public shares that the members acknowledged.
    #[error(
        "the public shares are not those that the members acknowledged: restore the share from a backup"
    )]
    PublicShares,
    /// Not a proof, or one made for something else.
    #[error("the proof does not verify: restore the share of that node from a backup")]
    Proof,
}

/// Verifies that the reporting node holds its share of this wallet intact, as proven for the
/// task with this hash.
pub fn verify_intact(
    wallet: &KeyDescriptor,
    task_hash: Hash,
    intact: &Intact,
) -> Result<(), IntactError> {
    if intact.key != wallet.key {
        return Err(IntactError::Key);
    }
    if intact.generation != wallet.generation {
        return Err(IntactError::Generation {
            expected: wallet.generation,
            found: intact.generation,
        });
    }
    let index = wallet
        .committee
        .index_of(&intact.node)
        .ok_or(IntactError::Member(intact.node))?;
    let shares = &intact.public_shares;
    let announced =
        public_shares_hash(shares.iter().map(|share| share.0.as_slice())) == wallet.public_shares;
    if !announced || shares.len() != wallet.committee.members().len() {
        return Err(IntactError::PublicShares);
    }
    let share = shares
        .get(usize::from(index.0))
        .ok_or(IntactError::PublicShares)?;
    let context = Intact::context(task_hash, intact.key, intact.generation, &intact.node);
    let bound = Hasher::new("countersign engine check-up v1")
        .field(wallet.scheme.name().as_bytes())
        .field(&wallet.root_public_key)
        .field(&index.0.to_be_bytes())
        .field(context.as_bytes())
        .finish();
    holds(wallet.scheme, &share.0, &bound, &intact.proof.0).ok_or(IntactError::Proof)
}

/// Returns `None` unless it is a proof for this share in this context.
fn holds(scheme: Scheme, share: &[u8], bound: &Hash, proof: &[u8]) -> Option<()> {
    let (commitment, response) = proof.split_last_chunk::<32>()?;
    let challenge = challenge(scheme.curve(), bound, share, commitment);
    let found = match scheme {
        Scheme::Ed25519 => on_ed25519(share, commitment, challenge, *response)?,
        Scheme::EcdsaSecp256k1 | Scheme::SchnorrSecp256k1 | Scheme::Taproot => {
            // `found` is never infinity, and is a point in its one encoding; therefore
            // so is the commitment.
            let found = schnorr::commitment_of(&ecdsa::public_key(share)?, &challenge, response)?;
            found.serialize() == commitment
        }
    };
    found.then_some(())
}

fn on_ed25519(
    share: &[u8],
    commitment: &[u8],
    mut challenge: [u8; 64],
    mut response: [u8; 32],
) -> Option<bool> {
    let share = ed25519::point(share)?;
    let commitment = ed25519::point(commitment)?;
    // The proof's numbers are big-endian, the library's little-endian.
    response.reverse();
    challenge.reverse();
    let z = Option::<Scalar>::from(Scalar::from_canonical_bytes(response))?;
    let e = Scalar::from_bytes_mod_order_wide(&challenge);
    Some(EdwardsPoint::vartime_double_scalar_mul_basepoint(&-e, &share, &z) == commitment)
}

/// The hash whose value modulo the order, read big-endian, is e.
fn challenge(curve: &str, bound: &Hash, share: &[u8], commitment: &[u8]) -> [u8; 64] {
    let label: &[u8] = b"countersign engine proof of knowledge v1";
    let fields = [label, curve.as_bytes(), bound.as_bytes(), share, commitment];
    let hash = fields.iter().fold(Sha512::new(), |hash, field| {
        hash.chain_update((field.len() as u64).to_be_bytes())
            .chain_update(field)
    });
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use countersign_engine::{
        Engine, KeygenParams, MessageKind, PartyIndex, Recipient, Share, Step, check_up, keygen,
    };
    use countersign_protocol::{Committee, KeyId, Point, SessionId, TaskId, Threshold};
    use rand::rngs::OsRng;

    use super::*;

    const TASK: Hash = Hash([7; 32]);

    /// Three shares of a key, made by the engine.
    fn shares(scheme: Scheme) -> Vec<Share> {
        let engine = |me| {
            let params = KeygenParams {
                session: b"check-up",
                me: PartyIndex(me),
                parties: 3,
                threshold: 2,
            };
            keygen(scheme, params, OsRng).unwrap()
        };
        let mut engines: Vec<_> = (0..3).map(engine).collect();
        let mut done = [None, None, None];
        while done.iter().any(Option::is_none) {
            for me in 0..3 {
                let Some(message) = step(&mut *engines[me], &mut done[me]) else {
                    continue;
                };
                for to in (0..3).filter(|to| *to != me) {
                    let kind = match message.to {
                        Recipient::All => MessageKind::Broadcast,
                        Recipient::One(PartyIndex(one)) if usize::from(one) == to => {
                            MessageKind::Direct
                        }
                        Recipient::One(_) => continue,
                    };
                    engines[to]
                        .receive(PartyIndex(me as u16), kind, &message.body)
                        .unwrap();
                }
            }
        }
        done.into_iter().flatten().collect()
    }

    fn step(
        engine: &mut dyn Engine<Output = Share>,
        done: &mut Option<Share>,
    ) -> Option<countersign_engine::Outgoing> {
        if done.is_some() {
            return None;
        }
        match engine.step().unwrap() {
            Step::Send(message) => Some(message),
            Step::NeedMessage => None,
            Step::Done(share) => {
                *done = Some(share);
                None
            }
        }
    }

    fn nodes() -> Vec<NodeId> {
        let id = |seed| {
            use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
            let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
            NodeId::from_bytes(pair.public_key().as_ref().try_into().unwrap()).unwrap()
        };
        let mut nodes: Vec<NodeId> = (1..=3).map(id).collect();
        nodes.sort_unstable();
        nodes
    }

    fn wallet(scheme: Scheme, shares: &[Share]) -> KeyDescriptor {
        let public = shares[0].public();
        KeyDescriptor {
            key: KeyId::from_bytes([1; 16]).unwrap(),
            task: TaskId([2; 16]),
            session: SessionId([3; 32]),
            name: "cold".into(),
            scheme,
            committee: Committee::new(nodes()).unwrap(),
            threshold: Threshold::try_from(2).unwrap(),
            generation: 5,
            root_public_key: public.root_public_key,
            chain_code: Hash(public.chain_code),
            public_shares: public_shares_hash(public.public_shares.iter().map(Vec::as_slice)),
            aux: None,
            parties: Vec::new(),
            acks: Vec::new(),
        }
    }

    fn intact(wallet: &KeyDescriptor, share: &Share) -> Intact {
        let public = share.public();
        let node = nodes()[usize::from(public.index.0)];
        let context = Intact::context(TASK, wallet.key, wallet.generation, &node);
        Intact {
            node,
            key: wallet.key,
            generation: wallet.generation,
            public_shares: public.public_shares.into_iter().map(Point).collect(),
            proof: Point(
                check_up::prove(share, context.as_bytes(), OsRng)
                    .unwrap()
                    .bytes,
            ),
        }
    }

    #[test]
    fn every_holder_of_every_scheme_shows_its_share_and_no_changed_byte_counts() {
        for scheme in Scheme::ALL {
            let shares = shares(scheme);
            let wallet = wallet(scheme, &shares);
            for share in &shares {
                let good = intact(&wallet, share);
                assert_eq!(verify_intact(&wallet, TASK, &good), Ok(()), "{scheme}");
                let refused = |proof: Vec<u8>, what: &str| {
                    let changed = Intact {
                        proof: Point(proof),
                        ..good.clone()
                    };
                    assert_eq!(
                        verify_intact(&wallet, TASK, &changed),
                        Err(IntactError::Proof),
                        "{scheme} {what}"
                    );
                };
                for byte in 0..good.proof.0.len() {
                    for bit in [1, 0x80] {
                        let mut proof = good.proof.0.clone();
                        proof[byte] ^= bit;
                        refused(proof, &format!("byte {byte}"));
                    }
                }
                refused(good.proof.0[1..].to_vec(), "shorter");
                refused([&good.proof.0[..], &[0]].concat(), "longer");
                refused(vec![], "nothing");
                for index in 0..3 {
                    let mut changed = good.clone();
                    changed.public_shares[index].0[7] ^= 1;
                    assert_eq!(
                        verify_intact(&wallet, TASK, &changed),
                        Err(IntactError::PublicShares)
                    );
                }
            }
        }
    }

    #[test]
    fn a_check_up_is_for_one_node_task_key_and_generation() {
        for scheme in Scheme::ALL {
            let shares = shares(scheme);
            let wallet = wallet(scheme, &shares);
            let good = intact(&wallet, &shares[0]);
            assert_eq!(
                verify_intact(&wallet, Hash([8; 32]), &good),
                Err(IntactError::Proof)
            );
            let other = Intact {
                node: nodes()[1],
                ..good.clone()
            };
            assert_eq!(
                verify_intact(&wallet, TASK, &other),
                Err(IntactError::Proof),
                "another's proof"
            );
            let key = KeyId::from_bytes([9; 16]).unwrap();
            let other = Intact {
                key,
                ..good.clone()
            };
            assert_eq!(verify_intact(&wallet, TASK, &other), Err(IntactError::Key));
            let elsewhere = KeyDescriptor {
                key,
                ..wallet.clone()
            };
            assert_eq!(
                verify_intact(&elsewhere, TASK, &other),
                Err(IntactError::Proof),
                "of another key"
            );
            let later = KeyDescriptor {
                generation: 6,
                ..wallet.clone()
            };
            let expected = IntactError::Generation {
                expected: 6,
                found: 5,
            };
            assert_eq!(verify_intact(&later, TASK, &good), Err(expected));
            let other = Intact {
                generation: 6,
                ..good.clone()
            };
            assert_eq!(
                verify_intact(&later, TASK, &other),
                Err(IntactError::Proof),
                "of another generation"
            );
            let committee = Committee::new(nodes()[1..].to_vec()).unwrap();
            let without = KeyDescriptor {
                committee,
                ..wallet.clone()
            };
            assert_eq!(
                verify_intact(&without, TASK, &good),
                Err(IntactError::Member(nodes()[0]))
            );
            let member = intact(&wallet, &shares[1]);
            assert_eq!(
                verify_intact(&without, TASK, &member),
                Err(IntactError::PublicShares),
                "one too many"
            );
            let scheme = Scheme::ALL
                .into_iter()
                .find(|other| *other != scheme)
                .unwrap();
            let disguised = KeyDescriptor {
                scheme,
                ..wallet.clone()
            };
            assert_eq!(
                verify_intact(&disguised, TASK, &good),
                Err(IntactError::Proof),
                "of another scheme"
            );
        }
    }

    /// Small points and zeroes can be chosen without knowing a secret: none of them is a proof.
    #[test]
    fn identity_small_order_and_numbers_out_of_range_are_refused() {
        let mut identity = vec![0; 32];
        identity[0] = 1;
        let order_four = vec![0; 32];
        let bound = Hash([1; 32]);
        for point in [&identity, &order_four] {
            let proof = [&point[..], &[0; 32]].concat();
            assert_eq!(holds(Scheme::Ed25519, point, &bound, &proof), None);
        }
        for scheme in [
            Scheme::EcdsaSecp256k1,
            Scheme::SchnorrSecp256k1,
            Scheme::Taproot,
        ] {
            assert_eq!(holds(scheme, &[0; 33], &bound, &[0; 65]), None);
        }
        let shares = shares(Scheme::Ed25519);
        let good = intact(&wallet(Scheme::Ed25519, &shares), &shares[0]);
        // The same number modulo the order, in a second form.
        let order = hex::decode("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed")
            .unwrap();
        let (commitment, response) = good.proof.0.split_at(32);
        let mut carry = 0;
        let mut sum: Vec<u8> = response
            .iter()
            .zip(&order)
            .rev()
            .map(|(a, b)| {
                let total = u16::from(*a) + u16::from(*b) + carry;
                carry = total >> 8;
                total as u8
            })
            .collect();
        sum.reverse();
        let wallet = wallet(Scheme::Ed25519, &shares);
        let changed = Intact {
            proof: Point([commitment, &sum[..]].concat()),
            ..good.clone()
        };
        assert_eq!(verify_intact(&wallet, TASK, &good), Ok(()));
        assert_eq!(
            verify_intact(&wallet, TASK, &changed),
            Err(IntactError::Proof)
        );
    }
}
