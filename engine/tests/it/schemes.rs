//! Properties of every scheme, written once.

use countersign_engine::{
    CallerFault, Cause, CommitteeIndex, DeriveError, Engine, EngineError, KeygenParams, Message,
    MessageKind, PartyIndex, PeerFault, Scheme, Share, SignParams, Signature, check_signature,
    derive_public, keygen, sign, verification_key,
};
use rand::rngs::OsRng;

use crate::driver::{self, Outcomes, Packet};
use crate::fixtures::{Wallet, generate, keygens};
use crate::oracle;
use crate::suite::scheme_suite;

scheme_suite! {
    every_pair_of_three_signs, three_of_five_sign, a_child_key_signs, shares_agree_and_survive_storage,
    a_damaged_share_is_refused, wrong_committees_are_refused, wrong_signers_are_refused,
    hardened_paths_are_refused, altered_last_messages_yield_no_signature, signers_must_agree_on_the_message,
    signers_must_agree_on_the_session, shares_of_two_keys_do_not_mix, a_false_share_in_keygen_names_the_dealer,
    a_false_opening_in_keygen_names_the_dealer, two_stories_in_keygen_are_noticed,
    sessions_do_not_mix_in_keygen, broken_messages_name_the_sender,
}

fn message() -> Message {
    Message::Raw(b"pay 1 to Alice".to_vec())
}

fn every_pair_of_three_signs(scheme: Scheme) {
    let wallet = Wallet::new(scheme, 2, 3);
    for signers in [[0, 1], [0, 2], [1, 2]] {
        // One digest among the raw messages.
        let message = if signers == [0, 2] {
            Message::Digest([7; 32])
        } else {
            message()
        };
        let signature = wallet.sign(&signers, &[], &message);
        oracle::verify(&wallet.shares[0].public(), &[], &message, &signature);
    }
}

fn three_of_five_sign(scheme: Scheme) {
    let wallet = Wallet::new(scheme, 3, 5);
    let signature = wallet.sign(&[0, 2, 4], &[], &message());
    oracle::verify(&wallet.shares[0].public(), &[], &message(), &signature);
}

fn a_child_key_signs(scheme: Scheme) {
    let wallet = Wallet::new(scheme, 2, 3);
    let path = [44, 60, 0, 0, 0x7fff_ffff];
    let signature = wallet.sign(&[1, 2], &path, &message());
    let public = wallet.shares[0].public();
    oracle::verify(&public, &path, &message(), &signature);

    let child = derive_public(scheme, &public.root_public_key, &public.chain_code, &path).unwrap();
    let (public_key, chain_code) =
        oracle::child(scheme, &public.root_public_key, &public.chain_code, &path);
    assert_eq!(
        (child.public_key.clone(), child.chain_code),
        (public_key, chain_code)
    );
    let key = verification_key(scheme, &child.public_key, None).unwrap();
    assert_eq!(
        check_signature(scheme, &key, &message(), &signature),
        Ok(())
    );
    let root = verification_key(scheme, &public.root_public_key, None).unwrap();
    assert!(check_signature(scheme, &root, &message(), &signature).is_err());
    no_changed_signature_verifies(scheme, &key, &signature);
}

/// Every byte of a signature counts, as do the recovery id and the message.
fn no_changed_signature_verifies(scheme: Scheme, key: &[u8], signature: &Signature) {
    for byte in 0..signature.bytes.len() {
        let mut changed = signature.clone();
        changed.bytes[byte] ^= 1;
        assert!(
            check_signature(scheme, key, &message(), &changed).is_err(),
            "byte {byte}"
        );
    }
    let mut changed = signature.clone();
    changed.recovery_id = changed.recovery_id.map_or(Some(0), |id| Some(id ^ 1));
    assert!(check_signature(scheme, key, &message(), &changed).is_err());
    assert!(check_signature(scheme, key, &Message::Raw(vec![]), signature).is_err());
}

fn shares_agree_and_survive_storage(scheme: Scheme) {
    let shares = generate(scheme, 2, 2, b"keygen");
    for (share, index) in shares.iter().zip(0..) {
        let public = share.public();
        assert_eq!(
            (public.parties, public.threshold, public.index),
            (2, 2, CommitteeIndex(index))
        );
        assert_eq!(public.root_public_key, shares[0].public().root_public_key);
        assert_eq!(public.chain_code, shares[0].public().chain_code);
        assert_eq!(public.public_shares, shares[0].public().public_shares);

        let bytes = share.to_bytes();
        let restored = Share::from_bytes(&bytes).unwrap();
        assert_eq!(restored.public(), public);
        assert_eq!(restored.to_bytes(), bytes);
        assert_eq!(format!("{restored:?}"), format!("Share({scheme}, ..)"));
    }
}

fn a_damaged_share_is_refused(scheme: Scheme) {
    let bytes = generate(scheme, 2, 2, b"keygen")[0].to_bytes();
    for byte in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[byte] ^= 1;
        assert!(Share::from_bytes(&damaged).is_err(), "byte {byte}");
        assert!(Share::from_bytes(&bytes[..byte]).is_err(), "{byte} bytes");
    }
}

fn wrong_committees_are_refused(scheme: Scheme) {
    let refusal = |me, parties, threshold| {
        let params = KeygenParams {
            session: b"keygen",
            me: PartyIndex(me),
            parties,
            threshold,
        };
        caller_fault(keygen(scheme, params, OsRng).err())
    };
    assert_eq!(refusal(0, 1, 1), CallerFault::Parties(1));
    assert_eq!(refusal(0, 10, 2), CallerFault::Parties(10));
    assert_eq!(
        refusal(0, 3, 1),
        CallerFault::Threshold {
            threshold: 1,
            parties: 3
        }
    );
    assert_eq!(
        refusal(0, 3, 4),
        CallerFault::Threshold {
            threshold: 4,
            parties: 3
        }
    );
    assert_eq!(refusal(3, 3, 2), CallerFault::NotInSession(PartyIndex(3)));
    let params = KeygenParams {
        session: b"",
        me: PartyIndex(0),
        parties: 3,
        threshold: 2,
    };
    assert_eq!(
        caller_fault(keygen(scheme, params, OsRng).err()),
        CallerFault::EmptySession
    );
}

fn wrong_signers_are_refused(scheme: Scheme) {
    let wallet = Wallet::new(scheme, 2, 3);
    let refusal = |me, signers: &[u16]| {
        let signers: Vec<_> = signers.iter().copied().map(CommitteeIndex).collect();
        let params = SignParams {
            session: b"s",
            me: PartyIndex(me),
            signers: &signers,
            path: &[],
            script_root: None,
            message: message(),
        };
        caller_fault(sign(params, &wallet.shares[0], wallet.auxes[0].clone(), OsRng).err())
    };
    assert_eq!(
        refusal(0, &[0]),
        CallerFault::SignerCount {
            given: 1,
            needed: 2
        }
    );
    assert_eq!(
        refusal(0, &[0, 1, 2]),
        CallerFault::SignerCount {
            given: 3,
            needed: 2
        }
    );
    assert_eq!(refusal(0, &[0, 0]), CallerFault::Signers);
    assert_eq!(refusal(1, &[1, 0]), CallerFault::Signers);
    assert_eq!(refusal(0, &[0, 3]), CallerFault::Signers);
    assert_eq!(
        refusal(2, &[0, 1]),
        CallerFault::NotInSession(PartyIndex(2))
    );
    let wrong = CallerFault::WrongShare {
        share: CommitteeIndex(0),
        signer: CommitteeIndex(1),
    };
    assert_eq!(refusal(1, &[0, 1]), wrong);
}

fn hardened_paths_are_refused(scheme: Scheme) {
    let wallet = Wallet::new(scheme, 2, 3);
    let refusal = |path: &[u32]| {
        let signers = [CommitteeIndex(0), CommitteeIndex(1)];
        let params = SignParams {
            session: b"s",
            me: PartyIndex(0),
            signers: &signers,
            path,
            script_root: None,
            message: message(),
        };
        caller_fault(sign(params, &wallet.shares[0], wallet.auxes[0].clone(), OsRng).err())
    };
    assert_eq!(
        refusal(&[44, 1 << 31]),
        CallerFault::Derive(DeriveError::Hardened(1 << 31))
    );
    assert_eq!(
        refusal(&[0; 256]),
        CallerFault::Derive(DeriveError::TooDeep(256))
    );
}

/// The last byte of each message is that of a scalar, so the altered message still decodes.
fn altered_last_messages_yield_no_signature(scheme: Scheme) {
    let wallet = Wallet::new(scheme, 2, 3);
    let last_broadcast = if scheme == Scheme::EcdsaSecp256k1 {
        3
    } else {
        1
    };
    let outcomes = driver::run_altered(wallet.signers(&[0, 2], &[], &message()), |packet| {
        if is_broadcast(packet, 1, last_broadcast) {
            flip_last_byte(packet);
        }
    });
    let fault = peer_fault(&outcomes, 0);
    // FROST names the culprit. CGGMP24 cannot, but with two signers it is the other one.
    assert_eq!(fault.culprits(), [PartyIndex(1)], "{fault}");
}

fn signers_must_agree_on_the_message(scheme: Scheme) {
    let wallet = Wallet::new(scheme, 2, 3);
    let other = Message::Raw(b"pay 1000 to Mallory".to_vec());
    nobody_signs(
        scheme,
        vec![
            wallet.signer(0, &[0, 1], &[], &message(), b"signing"),
            wallet.signer(1, &[0, 1], &[], &other, b"signing"),
        ],
    );
}

fn signers_must_agree_on_the_session(scheme: Scheme) {
    let wallet = Wallet::new(scheme, 2, 3);
    nobody_signs(
        scheme,
        vec![
            wallet.signer(0, &[0, 1], &[], &message(), b"first"),
            wallet.signer(1, &[0, 1], &[], &message(), b"second"),
        ],
    );
}

fn shares_of_two_keys_do_not_mix(scheme: Scheme) {
    let one = Wallet::new(scheme, 2, 3);
    let other = Wallet::new(scheme, 2, 3);
    assert_ne!(
        one.shares[0].public().root_public_key,
        other.shares[0].public().root_public_key
    );
    nobody_signs(
        scheme,
        vec![
            one.signer(0, &[0, 1], &[], &message(), b"signing"),
            other.signer(1, &[0, 1], &[], &message(), b"signing"),
        ],
    );
}

/// FROST signers compare their jobs; CGGMP24's proofs fail when their contexts differ.
pub fn nobody_signs(scheme: Scheme, engines: Vec<Box<dyn Engine<Output = Signature>>>) {
    for outcome in driver::run_altered(engines, |_| {}) {
        let error = outcome
            .expect("no party waits in vain")
            .expect_err("no signature");
        let EngineError::Peer { fault, .. } = error else {
            panic!("{error}")
        };
        assert!(
            scheme == Scheme::EcdsaSecp256k1 || fault == PeerFault::Disagreement,
            "{fault}"
        );
    }
}

fn a_false_share_in_keygen_names_the_dealer(scheme: Scheme) {
    let outcomes = driver::run_altered(keygens(scheme, 2, 3, b"keygen"), |packet| {
        if packet.kind == MessageKind::Direct
            && packet.from == PartyIndex(2)
            && packet.to == PartyIndex(0)
        {
            flip_last_byte(packet);
        }
    });
    let error = peer_fault(&outcomes, 0);
    assert_eq!(error.culprits(), [PartyIndex(2)], "{error}");
}

fn a_false_opening_in_keygen_names_the_dealer(scheme: Scheme) {
    let outcomes = driver::run_altered(keygens(scheme, 2, 3, b"keygen"), |packet| {
        if is_broadcast(packet, 1, 2) {
            flip_last_byte(packet);
        }
    });
    for victim in [0, 2] {
        let error = peer_fault(&outcomes, victim);
        assert_eq!(error.culprits(), [PartyIndex(1)], "{error}");
    }
}

fn two_stories_in_keygen_are_noticed(scheme: Scheme) {
    let outcomes = driver::run_altered(keygens(scheme, 2, 3, b"keygen"), |packet| {
        if is_broadcast(packet, 1, 0) && packet.to == PartyIndex(0) {
            flip_last_byte(packet);
        }
    });
    for party in 0..3 {
        let unreliable = EngineError::Peer {
            fault: PeerFault::UnreliableBroadcast,
            culprits: vec![],
        };
        assert_eq!(peer_fault(&outcomes, party), unreliable);
    }
}

fn sessions_do_not_mix_in_keygen(scheme: Scheme) {
    let mut engines = keygens(scheme, 2, 2, b"first");
    engines[1] = keygens(scheme, 2, 2, b"second").remove(1);
    let outcomes = driver::run_altered(engines, |_| {});
    assert!((0..2).all(|party| peer_fault(&outcomes, party).cause() == Cause::Peer));
}

fn broken_messages_name_the_sender(scheme: Scheme) {
    let wallet = Wallet::new(scheme, 2, 3);
    let mut sender = wallet.signer(1, &[0, 1], &[], &message(), b"signing");
    let body = match sender.step().unwrap() {
        countersign_engine::Step::Send(first) => first.body,
        step => panic!("{step:?}"),
    };
    let reaction = |deliveries: &[(u16, MessageKind, &[u8])]| {
        let mut engine = wallet.signer(0, &[0, 1], &[], &message(), b"signing");
        let mut result = Ok(());
        for (from, kind, body) in deliveries {
            result = engine.receive(PartyIndex(*from), *kind, body);
        }
        let error = result.unwrap_err();
        assert_eq!(
            engine.step().unwrap_err(),
            error,
            "a failed engine stays failed"
        );
        error
    };
    let fault = |fault| EngineError::Peer {
        fault,
        culprits: vec![PartyIndex(1)],
    };
    let broadcast = MessageKind::Broadcast;
    let direct = MessageKind::Direct;
    let too_long = vec![0; countersign_engine::MAX_BODY + 1];

    assert_eq!(
        reaction(&[(1, broadcast, b"no CBOR")]),
        fault(PeerFault::Malformed)
    );
    assert_eq!(
        reaction(&[(1, broadcast, &[&body[..], &[0]].concat())]),
        fault(PeerFault::Malformed)
    );
    assert_eq!(
        reaction(&[(1, broadcast, &too_long)]),
        fault(PeerFault::Malformed)
    );
    assert_eq!(reaction(&[(1, direct, &body)]), fault(PeerFault::WrongKind));
    assert_eq!(
        reaction(&[(1, broadcast, &body), (1, broadcast, &body)]),
        fault(PeerFault::Repeated)
    );

    let mut engine = wallet.signer(0, &[0, 1], &[], &message(), b"signing");
    for stranger in [0, 2].map(PartyIndex) {
        let error = engine.receive(stranger, broadcast, &body).err();
        assert_eq!(caller_fault(error), CallerFault::NotInSession(stranger));
    }
    assert!(engine.step().is_ok(), "a stranger cannot end the run");
}

fn is_broadcast(packet: &Packet, from: u16, number: usize) -> bool {
    packet.kind == MessageKind::Broadcast
        && packet.from == PartyIndex(from)
        && packet.number == number
}

fn flip_last_byte(packet: &mut Packet) {
    *packet.body.last_mut().unwrap() ^= 1;
}

pub fn caller_fault(error: Option<EngineError>) -> CallerFault {
    match error {
        Some(EngineError::Caller(fault)) => fault,
        other => panic!("expected the caller's fault, not {other:?}"),
    }
}

/// Returns the error of a party that must have failed through a peer.
fn peer_fault<O>(outcomes: &Outcomes<O>, party: usize) -> EngineError {
    match &outcomes[party] {
        Some(Err(error @ EngineError::Peer { .. })) => error.clone(),
        Some(Err(error)) => panic!("party {party} blames no peer: {error}"),
        Some(Ok(_)) => panic!("party {party} succeeded"),
        None => panic!("party {party} waits in vain"),
    }
}
