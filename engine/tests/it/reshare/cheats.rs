//! Parties that break the protocol, and the parties named for it.
//!
//! The cheat is party 1 of [`REFRESH`] unless a test says otherwise: a dealer that stays. It
//! follows the protocol except for the alterations that the network makes on its behalf; [`Wire`]
//! is the format of the messages.

use countersign_engine::{MessageKind, ReshareFault};
use generic_ec::curves::{Ed25519, Secp256k1};
use generic_ec::{Curve, Point, Scalar, SecretScalar};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::*;
use crate::driver::{Outcomes, Packet};

scheme_suite! {
    a_wrong_sub_share_names_the_dealer_and_stays_secret, a_longer_polynomial_names_the_dealer,
    a_shorter_polynomial_names_the_dealer, another_secret_names_the_dealer, a_false_opening_names_the_dealer,
    a_dealer_must_commit_and_nobody_else, two_stories_make_nobody_finish, two_commitments_are_noticed,
    a_missing_proof_names_the_prover, a_wrong_proof_names_the_prover, a_copied_proof_names_the_copier,
    a_baseless_complaint_names_the_accuser, messages_out_of_role_name_the_sender,
}

const CHEAT: PartyIndex = PartyIndex(1);
const HONEST: [usize; 2] = [0, 2];

/// Every message of a resharing, in its encoded form.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
enum Wire<E: Curve> {
    Commitment {
        plan: [u8; 32],
        polynomial: Option<[u8; 32]>,
    },
    Opening {
        coefficients: Vec<Point<E>>,
        nonce: [u8; 32],
    },
    SubShare(SecretScalar<E>),
    Closing(Closing<E>),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
enum Closing<E: Curve> {
    Proofs {
        transcript: [u8; 32],
        dealer: Option<Proof<E>>,
        member: Option<Proof<E>>,
    },
    Complaint(u16),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
struct Proof<E: Curve> {
    commitment: Point<E>,
    response: Scalar<E>,
}

/// Evaluates `$body` with `$curve` as the curve of a scheme.
macro_rules! with_curve {
    ($scheme:expr, $curve:ident => $body:expr) => {
        match $scheme {
            Scheme::Ed25519 => {
                type $curve = Ed25519;
                $body
            }
            Scheme::EcdsaSecp256k1 | Scheme::SchnorrSecp256k1 | Scheme::Taproot => {
                type $curve = Secp256k1;
                $body
            }
        }
    };
}

/// Runs [`REFRESH`] of a fresh 2-of-3 key to a threshold of 2.
fn run(scheme: Scheme, alter: impl FnMut(&mut Packet)) -> Outcomes<Reshared> {
    run_plan(scheme, &REFRESH, alter)
}

fn run_plan(
    scheme: Scheme,
    parties: &[Role],
    alter: impl FnMut(&mut Packet),
) -> Outcomes<Reshared> {
    let shares = generate(scheme, 2, 3, b"keygen");
    driver::run_altered(Plan::new(&shares, parties, 2).engines(&shares), alter)
}

/// Like [`run`], but the cheat's broadcasts go through `alter`, decoded.
fn run_cheat<E: Curve>(
    scheme: Scheme,
    alter: impl FnMut(Wire<E>) -> Wire<E>,
) -> Outcomes<Reshared> {
    run_cheat_in(scheme, &REFRESH, alter)
}

fn run_cheat_in<E: Curve>(
    scheme: Scheme,
    parties: &[Role],
    mut alter: impl FnMut(Wire<E>) -> Wire<E>,
) -> Outcomes<Reshared> {
    run_plan(scheme, parties, |packet| {
        if packet.from == CHEAT && packet.kind == MessageKind::Broadcast {
            packet.body = encode(&alter(decode(&packet.body)));
        }
    })
}

fn decode<E: Curve>(body: &[u8]) -> Wire<E> {
    ciborium::from_reader(body).expect("a message of the protocol")
}

fn encode<E: Curve>(message: &Wire<E>) -> Vec<u8> {
    let mut body = vec![];
    ciborium::into_writer(message, &mut body).unwrap();
    body
}

/// The commitment that matches an opening, by the formula of `docs/reshare.md`.
fn commitment<E: Curve>(
    plan: &[u8; 32],
    dealer: PartyIndex,
    coefficients: &[Point<E>],
    nonce: &[u8; 32],
) -> [u8; 32] {
    let coefficients: Vec<_> = coefficients
        .iter()
        .map(|point| point.to_bytes(true))
        .collect();
    let mut fields: Vec<&[u8]> = vec![b"countersign engine reshare opening v1", nonce];
    fields.extend(coefficients.iter().map(|point| point.as_bytes()));
    let opening = hash(&fields);
    hash(&[
        b"countersign engine reshare commitment v1",
        plan,
        &dealer.0.to_be_bytes(),
        &opening,
    ])
}

fn hash(fields: &[&[u8]]) -> [u8; 32] {
    let hash = fields.iter().fold(Sha256::new(), |hash, field| {
        hash.chain_update((field.len() as u64).to_be_bytes())
            .chain_update(field)
    });
    hash.finalize().into()
}

/// Asserts that the party failed with this fault and these culprits.
fn names(
    outcomes: &Outcomes<Reshared>,
    party: usize,
    fault: ReshareFault,
    culprits: &[PartyIndex],
) {
    let expected = EngineError::Peer {
        fault: PeerFault::Reshare(fault),
        culprits: culprits.to_vec(),
    };
    match &outcomes[party] {
        Some(Err(error)) => assert_eq!(*error, expected, "party {party}"),
        Some(Ok(_)) => panic!("party {party} succeeded"),
        None => panic!("party {party} waits in vain"),
    }
}

fn honest_parties_name(outcomes: &Outcomes<Reshared>, fault: &ReshareFault) {
    for party in HONEST {
        names(outcomes, party, fault.clone(), &[CHEAT]);
    }
}

/// The victim complains, the others abort too, and no broadcast contains the share in question.
fn a_wrong_sub_share_names_the_dealer_and_stays_secret(scheme: Scheme) {
    let mut dealt = vec![];
    let mut broadcast = vec![];
    let outcomes = run(scheme, |packet| {
        if packet.kind == MessageKind::Broadcast {
            broadcast.extend_from_slice(&packet.body);
        } else if packet.from == CHEAT && packet.to == PartyIndex(2) {
            *packet.body.last_mut().unwrap() ^= 1;
            dealt = packet.body.clone();
        }
    });
    names(&outcomes, 2, ReshareFault::SubShare, &[CHEAT]);
    let complaint = ReshareFault::Complaint {
        accuser: PartyIndex(2),
        accused: CHEAT,
    };
    names(&outcomes, 0, complaint.clone(), &[]);
    names(&outcomes, 1, complaint, &[]);

    // All but the altered byte.
    let secret = &dealt[dealt.len() - 32..dealt.len() - 1];
    assert!(
        !broadcast
            .windows(secret.len())
            .any(|window| window == secret)
    );
}

/// The cheat commits to a polynomial of its own with `coefficients`, and opens it properly.
fn another_polynomial(scheme: Scheme, coefficients: usize, fault: &ReshareFault) {
    with_curve!(scheme, E => {
        let secrets = (0..coefficients).map(|_| SecretScalar::<E>::random(&mut rand::rngs::OsRng));
        let coefficients: Vec<_> = secrets.map(|secret| Point::generator() * secret).collect();
        let nonce = [7; 32];
        let outcomes = run_cheat::<E>(scheme, |message| match message {
            Wire::Commitment { plan, .. } => {
                Wire::Commitment { plan, polynomial: Some(commitment(&plan, CHEAT, &coefficients, &nonce)) }
            }
            Wire::Opening { .. } => Wire::Opening { coefficients: coefficients.clone(), nonce },
            message => message,
        });
        honest_parties_name(&outcomes, fault);
    });
}

fn a_longer_polynomial_names_the_dealer(scheme: Scheme) {
    another_polynomial(
        scheme,
        3,
        &ReshareFault::Coefficients {
            given: 3,
            needed: 2,
        },
    );
}

fn a_shorter_polynomial_names_the_dealer(scheme: Scheme) {
    another_polynomial(
        scheme,
        1,
        &ReshareFault::Coefficients {
            given: 1,
            needed: 2,
        },
    );
    another_polynomial(
        scheme,
        0,
        &ReshareFault::Coefficients {
            given: 0,
            needed: 2,
        },
    );
}

fn another_secret_names_the_dealer(scheme: Scheme) {
    another_polynomial(scheme, 2, &ReshareFault::ConstantTerm);
}

fn a_false_opening_names_the_dealer(scheme: Scheme) {
    with_curve!(scheme, E => {
        let outcomes = run_cheat::<E>(scheme, |message| match message {
            Wire::Opening { mut coefficients, nonce } => {
                coefficients[1] += Point::generator();
                Wire::Opening { coefficients, nonce }
            }
            message => message,
        });
        honest_parties_name(&outcomes, &ReshareFault::Opening);
    });
}

fn a_dealer_must_commit_and_nobody_else(scheme: Scheme) {
    with_curve!(scheme, E => {
        let outcomes = run_cheat::<E>(scheme, |message| match message {
            Wire::Commitment { plan, .. } => Wire::Commitment { plan, polynomial: None },
            message => message,
        });
        honest_parties_name(&outcomes, &ReshareFault::Commitment);

        let outcomes = run_cheat_in::<E>(scheme, &[stays(0), JOINS, stays(1)], |message| match message {
            Wire::Commitment { plan, .. } => Wire::Commitment { plan, polynomial: Some([1; 32]) },
            message => message,
        });
        honest_parties_name(&outcomes, &ReshareFault::Commitment);
    });
}

/// An attack that a session without echo would let through: the cheat commits to the
/// same polynomial with another nonce towards party 2. Everything verifies for
/// everybody, but the transcripts differ.
fn two_stories_make_nobody_finish(scheme: Scheme) {
    with_curve!(scheme, E => {
        let shares = generate(scheme, 2, 3, b"keygen");
        let plan = Plan::new(&shares, &REFRESH, 2);
        let mut known = None;
        driver::run_altered(plan.engines(&shares), |packet| {
            if let (CHEAT, Wire::Opening { coefficients, .. }) = (packet.from, decode::<E>(&packet.body)) {
                known = Some(coefficients);
            }
        });
        let known = known.expect("the polynomial of the second run, since the randomness is the same");
        let other_nonce = [9; 32];
        let outcomes = driver::run_altered(plan.engines(&shares), |packet| {
            if packet.from == CHEAT && packet.to == PartyIndex(2) {
                let second = match decode::<E>(&packet.body) {
                    Wire::Commitment { plan, .. } => {
                        Wire::Commitment { plan, polynomial: Some(commitment(&plan, CHEAT, &known, &other_nonce)) }
                    }
                    Wire::Opening { coefficients, .. } => {
                        assert_eq!(coefficients, known);
                        Wire::Opening { coefficients, nonce: other_nonce }
                    }
                    message => message,
                };
                packet.body = encode(&second);
            }
        });
        for outcome in outcomes.iter().take(3) {
            let error = outcome.as_ref().expect("no party waits in vain").as_ref().unwrap_err();
            let unreliable = EngineError::Peer { fault: PeerFault::UnreliableBroadcast, culprits: vec![] };
            assert_eq!(*error, unreliable);
        }
    });
}

/// Two commitments, but one opening: the receiver of the wrong one knows at once.
fn two_commitments_are_noticed(scheme: Scheme) {
    with_curve!(scheme, E => {
        let outcomes = run(scheme, |packet| {
            if packet.from == CHEAT
                && packet.to == PartyIndex(2)
                && let Wire::Commitment { plan, .. } = decode::<E>(&packet.body)
            {
                packet.body = encode(&Wire::<E>::Commitment { plan, polynomial: Some([3; 32]) });
            }
        });
        names(&outcomes, 2, ReshareFault::Opening, &[CHEAT]);
    });
}

/// Lets the cheat alter its proofs.
fn altered_proofs<E: Curve>(
    scheme: Scheme,
    parties: &[Role],
    mut alter: impl FnMut(&mut Option<Proof<E>>, &mut Option<Proof<E>>),
) -> Outcomes<Reshared> {
    run_cheat_in::<E>(scheme, parties, |message| match message {
        Wire::Closing(Closing::Proofs {
            transcript,
            mut dealer,
            mut member,
        }) => {
            alter(&mut dealer, &mut member);
            Wire::Closing(Closing::Proofs {
                transcript,
                dealer,
                member,
            })
        }
        message => message,
    })
}

fn a_missing_proof_names_the_prover(scheme: Scheme) {
    with_curve!(scheme, E => {
        let outcomes = altered_proofs::<E>(scheme, &REFRESH, |dealer, _| *dealer = None);
        honest_parties_name(&outcomes, &ReshareFault::DealerProof);
        let outcomes = altered_proofs::<E>(scheme, &REFRESH, |_, member| *member = None);
        honest_parties_name(&outcomes, &ReshareFault::MemberProof);
    });
}

fn a_wrong_proof_names_the_prover(scheme: Scheme) {
    with_curve!(scheme, E => {
        let off_by_one = |proof: &mut Option<Proof<E>>| {
            let proof = proof.as_mut().expect("the cheat proves");
            proof.response += Scalar::one();
        };
        let outcomes = altered_proofs::<E>(scheme, &REFRESH, |dealer, _| off_by_one(dealer));
        honest_parties_name(&outcomes, &ReshareFault::DealerProof);
        let outcomes = altered_proofs::<E>(scheme, &REFRESH, |_, member| off_by_one(member));
        honest_parties_name(&outcomes, &ReshareFault::MemberProof);
    });
}

/// A proof counts for one party in one role, and is refused where nothing is to be proven.
fn a_copied_proof_names_the_copier(scheme: Scheme) {
    with_curve!(scheme, E => {
        let outcomes = altered_proofs::<E>(scheme, &REFRESH, |dealer, member| *member = dealer.clone());
        honest_parties_name(&outcomes, &ReshareFault::MemberProof);
        let outcomes = altered_proofs::<E>(scheme, &REFRESH, |dealer, member| *dealer = member.clone());
        honest_parties_name(&outcomes, &ReshareFault::DealerProof);
        let joins = [stays(0), JOINS, stays(1)];
        let outcomes = altered_proofs::<E>(scheme, &joins, |dealer, member| *dealer = member.clone());
        honest_parties_name(&outcomes, &ReshareFault::DealerProof);
        let deals = [stays(0), leaves(1), JOINS];
        let outcomes = altered_proofs::<E>(scheme, &deals, |dealer, member| *member = dealer.clone());
        honest_parties_name(&outcomes, &ReshareFault::MemberProof);
    });
}

/// A complaint must accuse a party that dealt something to the accuser; otherwise it
/// is itself a fault.
fn a_baseless_complaint_names_the_accuser(scheme: Scheme) {
    with_curve!(scheme, E => {
        let complains = |parties: &[Role], accused| {
            run_cheat_in::<E>(scheme, parties, |message| match message {
                Wire::Closing(_) => Wire::Closing(Closing::Complaint(accused)),
                message => message,
            })
        };
        for accused in [1, 2, 3, u16::MAX] {
            honest_parties_name(&complains(&REFRESH, accused), &ReshareFault::BaselessComplaint);
        }
        let leaving = complains(&[stays(0), leaves(1), JOINS], 0);
        honest_parties_name(&leaving, &ReshareFault::BaselessComplaint);

        let complaint = ReshareFault::Complaint { accuser: CHEAT, accused: PartyIndex(0) };
        let outcomes = complains(&REFRESH, 0);
        for party in HONEST {
            names(&outcomes, party, complaint.clone(), &[]);
        }
    });
}

fn messages_out_of_role_name_the_sender(scheme: Scheme) {
    with_curve!(scheme, E => {
        let shares = generate(scheme, 2, 3, b"keygen");
        let parties = [leaves(0), JOINS, stays(1), JOINS];
        let plan = Plan::new(&shares, &parties, 2);
        let refused = |me: u16, from: u16, kind, message: Wire<E>| {
            let share = parties[usize::from(me)].deals.map(|index| &shares[usize::from(index.0)]);
            let mut engine = plan.engine(me, share).unwrap();
            let error = engine.receive(PartyIndex(from), kind, &encode(&message)).unwrap_err();
            assert_eq!(error, EngineError::Peer { fault: PeerFault::NoSay, culprits: vec![PartyIndex(from)] });
        };
        let opening = Wire::Opening { coefficients: vec![Point::generator().into(); 2], nonce: [0; 32] };
        refused(0, 1, MessageKind::Broadcast, opening.clone());
        refused(1, 3, MessageKind::Broadcast, opening);
        refused(1, 3, MessageKind::Direct, Wire::SubShare(SecretScalar::one()));
        refused(0, 2, MessageKind::Direct, Wire::SubShare(SecretScalar::one()));
    });
}
