//! What only a party that alters its own state can do, and the fixtures of these tests.

use std::sync::OnceLock;

use dkls23_core::utilities::hashes::tagged_hash_as_scalar;
use dkls23_core::utilities::oracle_tags::TAG_OT_BASE_H;
use dkls23_core::utilities::ot::base::{OTReceiver, OTSender};
use dkls23_core::utilities::proofs::EncProof;
use k256_next::elliptic_curve::group::GroupEncoding;
use k256_next::hash2curve::GroupDigest;
use k256_next::{AffinePoint, ProjectivePoint, Scalar};
use rand::rngs::OsRng;

use super::convert::Curve;
use super::signing::Signer;
use super::stored::Setup;
use super::{LIBRARY, SetupParams, setup};
use crate::ecdsa::Ecdsa;
use crate::engine::{MessageKind, Recipient, Step};
use crate::sign::start_with;
use crate::{
    CommitteeIndex, DecodeError, Engine, EngineError, KeygenParams, Message, PartyIndex, PeerFault,
    Scheme, Share, SignParams, Signature, Verdict, keygen,
};

/// The set-ups of a committee of three, made once.
pub(super) fn setups() -> &'static [Setup] {
    static SETUPS: OnceLock<Vec<Setup>> = OnceLock::new();
    SETUPS.get_or_init(|| made(3))
}

fn made(parties: u16) -> Vec<Setup> {
    let engine = |me| {
        let params = SetupParams {
            session: b"set-up",
            me: PartyIndex(me),
            parties,
            committee: [1; 32],
            generation: 0,
        };
        setup(params).unwrap()
    };
    finished(run((0..parties).map(engine).collect()))
}

/// A key of three members.
pub(super) fn key(threshold: u16) -> Vec<Share> {
    let engine = |me| {
        let params = KeygenParams {
            session: b"keygen",
            me: PartyIndex(me),
            parties: 3,
            threshold,
        };
        keygen(Scheme::EcdsaSecp256k1, params, OsRng).unwrap()
    };
    finished(run((0..3).map(engine).collect()))
}

/// What the member at position `me` brings to a signature by the first members.
pub(super) fn signer(share: &Share, setup: &Setup, me: u16, session: &[u8]) -> Signer {
    let threshold = share.public().threshold;
    let signers: Vec<_> = (0..threshold).map(CommitteeIndex).collect();
    let params = SignParams {
        session,
        me: PartyIndex(me),
        signers: &signers,
        path: &[],
        script_root: None,
        message: Message::Digest([9; 32]),
    };
    let mut signer = None;
    let taken = start_with::<Ecdsa>(params, share, |job| {
        signer = Some(Signer::new(&job, setup)?);
        Err(EngineError::bug("taken"))
    });
    assert_eq!(taken.err(), Some(EngineError::bug("taken")));
    signer.unwrap()
}

/// Runs engines until nothing moves, in order.
pub(super) fn run<O>(
    mut engines: Vec<Box<dyn Engine<Output = O>>>,
) -> Vec<Option<Result<O, EngineError>>> {
    let mut ends: Vec<_> = engines.iter().map(|_| None).collect();
    let mut moved = true;
    while std::mem::take(&mut moved) {
        for party in 0..engines.len() {
            while ends[party].is_none() {
                let message = match engines[party].step() {
                    Ok(Step::NeedMessage) => break,
                    Ok(Step::Send(message)) => message,
                    Ok(Step::Done(output)) => {
                        ends[party] = Some(Ok(output));
                        break;
                    }
                    Err(error) => {
                        ends[party] = Some(Err(error));
                        break;
                    }
                };
                moved = true;
                let kind = match message.to {
                    Recipient::All => MessageKind::Broadcast,
                    Recipient::One(_) => MessageKind::Direct,
                };
                for to in 0..engines.len() {
                    let position = PartyIndex(to as u16);
                    let meant =
                        message.to == Recipient::All || message.to == Recipient::One(position);
                    if to == party || !meant || ends[to].is_some() {
                        continue;
                    }
                    let from = PartyIndex(party as u16);
                    if let Err(error) = engines[to].receive(from, kind, &message.body) {
                        ends[to] = Some(Err(error));
                    }
                }
            }
        }
    }
    ends
}

fn finished<O>(ends: Vec<Option<Result<O, EngineError>>>) -> Vec<O> {
    ends.into_iter()
        .map(|end| end.expect("an end").expect("no failure"))
        .collect()
}

/// Lets the first members sign, of whom the second was altered. Returns the end of the first.
fn altered(threshold: u16, alter: impl FnOnce(&mut Signer)) -> Result<Signature, EngineError> {
    let shares = key(threshold);
    let mut signers: Vec<_> = (0..threshold)
        .map(|me| {
            let place = usize::from(me);
            signer(&shares[place], &setups()[place], me, b"altered")
        })
        .collect();
    alter(&mut signers[1]);
    let engines = signers.into_iter().map(Signer::start).collect();
    run(engines).remove(0).expect("an end")
}

#[test]
fn honest_signers_sign() {
    for threshold in [2, 3] {
        assert!(altered(threshold, |_| {}).is_ok());
    }
}

#[test]
fn a_wrong_share_names_its_owner_only_between_two() {
    for (threshold, culprits) in [(2, vec![PartyIndex(1)]), (3, vec![])] {
        let error = altered(threshold, |signer| signer.party.poly_point += Scalar::ONE);
        let error = error.unwrap_err();
        assert_eq!(error.culprits(), culprits, "{error}");
        assert_eq!(error.verdict(), Verdict::Clean, "{error}");
        assert!(
            matches!(
                error,
                EngineError::Peer {
                    fault: PeerFault::Protocol(_),
                    ..
                }
            ),
            "{error}"
        );
    }
}

/// Another version of the library, or other shares, lead to another session id.
#[test]
fn another_session_id_is_a_disagreement_before_any_transfer() {
    let error = altered(3, |signer| signer.party.session_id[0] ^= 1).unwrap_err();
    assert_eq!(
        error,
        EngineError::peer(PeerFault::Disagreement, PartyIndex(1))
    );
    assert_eq!(error.verdict(), Verdict::Clean);
}

/// Damaged secrets of a peer cannot be told from an attack.
#[test]
fn damaged_secrets_at_a_peer_burn_the_set_up() {
    let error = altered(3, |signer| {
        let victim = signer.data.counterparties[0];
        let receiver = signer.party.mul_receivers.get_mut(&victim).unwrap();
        // Half of the rows are those that the victim has.
        for seed in &mut receiver.ote_receiver.seeds0 {
            seed[0] ^= 1;
        }
    })
    .unwrap_err();
    assert_eq!(error.verdict(), Verdict::Burns, "{error}");
    assert_eq!(error.culprits(), [PartyIndex(1)]);
}

#[test]
fn a_record_that_does_not_hold_together_is_refused() {
    use super::stored::altered;

    let bytes = setups()[1].to_bytes();
    assert!(altered(&bytes, |_| {}).is_ok());
    let refused = |alter: fn(&mut super::stored::Record)| {
        assert_eq!(
            altered(&bytes, alter).err(),
            Some(DecodeError::Inconsistent)
        );
    };
    refused(|record| record.library = "dkls23-core 0.6.3".into());
    refused(|record| record.index = CommitteeIndex(0));
    refused(|record| record.parties = 4);
    refused(|record| {
        record.transcripts.pop();
    });
    refused(|record| {
        record.pairs.pop();
    });
    refused(|record| record.pairs.swap(0, 1));
    refused(|record| record.pairs[0].seed.lowest_index ^= true);
    refused(|record| {
        record.pairs[0].sender.public_gadget.pop();
    });
    refused(|record| {
        record.pairs[0].sender.ote_sender.correlation.pop();
    });
    refused(|record| {
        record.pairs[1].receiver.ote_receiver.seeds1.pop();
    });
}

/// Up to version 0.5.1 this was a known multiple of the generator, and the receiver could read both
/// messages of every transfer.
#[test]
fn nobody_knows_the_logarithm_of_the_point_of_a_transfer() {
    let session = b"session";
    let receiver = OTReceiver::init();
    let sender = OTSender::<Curve>::init(session);
    for choice in [false, true] {
        let (_, proof) = receiver.run_phase1::<Curve>(session, choice);
        let point = proof.proof0.base_h;
        assert_eq!(point, of_rfc_9380(session, &receiver.seed));
        let ended = sender.run_phase2(session, &receiver.seed, &proof);
        assert!(ended.is_ok(), "the sender takes the same point");
    }
    let input: &[&[u8]] = &[session, &receiver.seed];
    let known = tagged_hash_as_scalar::<Curve>(TAG_OT_BASE_H, input);
    let known = (ProjectivePoint::GENERATOR * known).to_affine();
    assert_ne!(known, of_rfc_9380(session, &receiver.seed));
    let proof = EncProof::<Curve>::prove(session, &known, &Scalar::ONE, true);
    let ended = sender.run_phase2(session, &receiver.seed, &proof);
    assert!(ended.is_err(), "the sender takes no other point");
}

/// The point of a transfer, without any helper of the library.
fn of_rfc_9380(session: &[u8], seed: &[u8]) -> AffinePoint {
    let mut message = Vec::new();
    for part in [session, seed] {
        message.extend_from_slice(&(part.len() as u64).to_be_bytes());
        message.extend_from_slice(part);
    }
    hashed(&message, b"dkls23/ot/base/h/v2")
}

fn hashed(message: &[u8], tag: &[u8]) -> AffinePoint {
    let suite = b"-with-secp256k1_XMD:SHA-256_SSWU_RO_";
    let point = Curve::hash_from_bytes(&[message], &[tag, suite]);
    point.unwrap().to_affine()
}

/// RFC 9380, appendix J.8.1.
#[test]
fn points_are_hashed_as_the_standard_says() {
    let vectors = [
        (
            "",
            "03c1cae290e291aee617ebaef1be6d73861479c48b841eaba9b7b5852ddfeb1346",
        ),
        (
            "abc",
            "023377e01eab42db296b512293120c6cee72b6ecf9f9205760bd9ff11fb3cb2c4b",
        ),
    ];
    for (message, expected) in vectors {
        let point = hashed(message.as_bytes(), b"QUUX-V01-CS02");
        assert_eq!(hex::encode(point.to_bytes()), expected);
    }
}

#[test]
fn the_library_is_the_one_that_ids_name() {
    let lock = include_str!("../../../Cargo.lock");
    let locked: Vec<String> = lock
        .split("[[package]]")
        .filter(|package| package.contains("\nname = \"dkls23-core\"\n"))
        .filter_map(|package| package.split("\nversion = \"").nth(1)?.split('"').next())
        .map(|version| format!("dkls23-core {version}"))
        .collect();
    assert_eq!(locked, [LIBRARY]);
}
