//! The engine `dkls23`: it signs what CGGMP24 signs, from the same shares, and says exactly of whom
//! a failed check makes the set-up worthless.

use std::sync::Arc;

use ciborium::Value;
use countersign_engine::dkls23::{self, Counted, MAX_RUNS_OF_A_BATCH, Setup, SetupOf, SetupParams};
use countersign_engine::{
    Aux, CallerFault, CommitteeIndex, DecodeError, Engine, EngineError, MAX_BODY, Message,
    MessageKind, PartyIndex, PeerFault, ReshareParams, Role, Scheme, Share, SignParams, Signature,
    Verdict, check_signature, reshare, sign, verification_key,
};
use rand::rngs::OsRng;
use rand::{Rng, RngCore};

use crate::fixtures::{Wallet, generate, of, setup_engines, setups};
use crate::schemes::caller_fault;
use crate::{driver, oracle};

const SCHEME: Scheme = Scheme::EcdsaSecp256k1;
const CHEAT: PartyIndex = PartyIndex(1);
/// Every row of the table in docs/engines.md.
const TABLE: &[Row] = &[
    burns("u", "Round1", |m| flip(at(m, &["mul_transmit", "u"]))),
    burns("nonce", "Round1", |m| {
        flip(at(m, &["mul_transmit", "nonce"]))
    }),
    burns("x", "Round1", |m| {
        flip(at(m, &["mul_transmit", "verify_x"]))
    }),
    burns("t", "Round1", |m| {
        flip(first(at(m, &["mul_transmit", "verify_t"])));
    }),
    burns("size", "Round1", |m| {
        shorten(at(m, &["mul_transmit", "verify_t"]));
    }),
    clean("binding", "Round1", Fault::Disagreement, |m| {
        flip(at(m, &["session_binding"]));
    }),
    clean("sender", "Round1", Fault::Protocol, |m| {
        *at(m, &["parties", "sender"]) = Value::Integer(3u8.into());
    }),
    clean("receiver", "Round1", Fault::Protocol, |m| {
        *at(m, &["parties", "receiver"]) = Value::Integer(3u8.into());
    }),
    clean("commitment", "Round1", Fault::Protocol, |m| {
        flip(at(m, &["commitment"]));
    }),
    burns("tau", "Round2", |m| {
        flip(first(first(at(m, &["mul_transmit", "vector_of_tau"]))));
    }),
    burns("size of tau", "Round2", |m| {
        shorten(first(at(m, &["mul_transmit", "vector_of_tau"])));
    }),
    burns("salt of the transfer", "Round2", |m| {
        flip(at(m, &["mul_transmit", "ote_salt"]));
    }),
    burns("r", "Round2", |m| {
        flip(at(m, &["mul_transmit", "verify_r"]))
    }),
    burns("u of the check", "Round2", |m| {
        flip(first(at(m, &["mul_transmit", "verify_u"])));
    }),
    burns("gamma of the sender", "Round2", |m| {
        flip(first(at(m, &["mul_transmit", "gamma_sender"])));
    }),
    burns("gamma of u", "Round2", |m| copy(m, "gamma_v", "gamma_u")),
    burns("gamma of v", "Round2", |m| copy(m, "gamma_u", "gamma_v")),
    burns("public share", "Round2", |m| {
        copy(m, "gamma_u", "public_share")
    }),
    clean("second binding", "Round2", Fault::Disagreement, |m| {
        flip(at(m, &["session_binding"]));
    }),
    clean("second sender", "Round2", Fault::Protocol, |m| {
        *at(m, &["parties", "sender"]) = Value::Integer(3u8.into());
    }),
    clean("psi", "Round2", Fault::Protocol, |m| flip(at(m, &["psi"]))),
    clean("salt", "Round2", Fault::Protocol, |m| {
        flip(at(m, &["salt"]))
    }),
    clean("instance point", "Round2", Fault::Protocol, |m| {
        copy(m, "gamma_u", "instance_point");
    }),
    clean("sum u", "Round3", Fault::Signature, |m| flip(at(m, &["u"]))),
    clean("sum w", "Round3", Fault::Signature, |m| flip(at(m, &["w"]))),
];

type Boxed = Box<dyn Engine<Output = Signature>>;

fn message() -> Message {
    Message::Raw(b"pay 1 to Alice".to_vec())
}

/// A key without auxiliary information.
fn wallet(threshold: u16, parties: u16) -> Wallet {
    wallet_of(generate(SCHEME, threshold, parties, b"wallet"))
}

fn wallet_of(shares: Vec<Share>) -> Wallet {
    let auxes = shares.iter().map(|_| None).collect();
    Wallet { shares, auxes }
}

fn engines(wallet: &Wallet, setups: &[Setup], signers: &[u16], path: &[u32]) -> Vec<Boxed> {
    let engine = |me| wallet.dkls23_signer(setups, me, signers, path, &message(), b"signing");
    (0..signers.len()).map(engine).collect()
}

/// Signs, and lets two libraries that sign nothing here verify the signature.
fn signs(wallet: &Wallet, setups: &[Setup], signers: &[u16], path: &[u32]) {
    let signatures = driver::run(engines(wallet, setups, signers, path));
    assert!(signatures.windows(2).all(|pair| pair[0] == pair[1]));
    verifies(wallet, path, &message(), &signatures[0]);
}

fn verifies(wallet: &Wallet, path: &[u32], message: &Message, signature: &Signature) {
    let public = wallet.shares[0].public();
    oracle::verify(&public, path, message, signature);
    let (child, _) = oracle::child(SCHEME, &public.root_public_key, &public.chain_code, path);
    let key = verification_key(SCHEME, &child, None).unwrap();
    assert_eq!(check_signature(SCHEME, &key, message, signature), Ok(()));
}

#[test]
fn every_pair_of_three_signs() {
    let wallet = wallet(2, 3);
    for signers in [[0, 1], [0, 2], [1, 2]] {
        signs(&wallet, setups(3), &signers, &[]);
    }
}

#[test]
fn all_of_three_sign() {
    signs(&wallet(3, 3), setups(3), &[0, 1, 2], &[]);
}

#[test]
fn several_sets_of_five_sign() {
    let wallet = wallet(3, 5);
    for signers in [[0, 2, 4], [1, 2, 3], [0, 1, 4]] {
        signs(&wallet, setups(5), &signers, &[]);
    }
}

#[test]
fn a_child_key_signs() {
    let path = [44, 60, 0, 0, 7];
    signs(&wallet(2, 3), setups(3), &[1, 2], &path);
}

#[test]
fn keys_of_other_thresholds_sign_with_the_same_set_up() {
    for threshold in [2, 2, 3] {
        let signers: Vec<u16> = (0..threshold).collect();
        signs(&wallet(threshold, 3), setups(3), &signers, &[3]);
    }
}

#[test]
fn both_engines_sign_with_one_share() {
    let wallet = Wallet::new(SCHEME, 2, 3);
    signs(&wallet, setups(3), &[0, 1], &[]);
    let signature = wallet.sign(&[0, 1], &[], &message());
    verifies(&wallet, &[], &message(), &signature);
}

/// Hands the key over to the parties that join.
fn reshared(shares: &[Share], parties: &[Role], threshold: u16) -> Vec<Share> {
    let old = shares[0].public();
    let engine = |(me, role): (u16, &Role)| {
        let params = ReshareParams {
            session: b"reshare",
            me: PartyIndex(me),
            parties,
            threshold,
            old: &old,
            generation: 1,
        };
        let share = role.deals.map(|index| &shares[usize::from(index.0)]);
        reshare(params, share, OsRng).expect("valid parameters")
    };
    let outcomes = driver::run((0..).zip(parties).map(engine).collect());
    outcomes
        .into_iter()
        .filter_map(|outcome| outcome.share)
        .collect()
}

fn role(deals: Option<u16>, joins: bool) -> Role {
    Role {
        deals: deals.map(CommitteeIndex),
        joins,
    }
}

fn refreshed(shares: &[Share]) -> Vec<Share> {
    let parties = [role(Some(0), true), role(Some(1), true), role(None, true)];
    reshared(shares, &parties, 2)
}

#[test]
fn refreshed_shares_sign_with_a_new_set_up() {
    let old = wallet(2, 3);
    let new = wallet_of(refreshed(&old.shares));
    let fresh = driver::run(setup_engines(3, b"next", 1));
    assert_ne!(fresh[0].digest(), setups(3)[0].digest());
    signs(&new, &fresh, &[0, 2], &[1]);
}

#[test]
fn a_reshared_key_signs_with_the_set_up_of_its_new_committee() {
    let old = wallet(2, 3);
    let parties = [
        role(Some(0), true),
        role(Some(1), false),
        role(None, true),
        role(None, true),
    ];
    let new = wallet_of(reshared(&old.shares, &parties, 2));
    let fresh = driver::run(setup_engines(3, b"next", 1));
    signs(&new, &fresh, &[1, 2], &[]);
    assert_eq!(
        new.shares[0].public().root_public_key,
        old.shares[0].public().root_public_key
    );
}

#[test]
fn all_members_have_the_digest_and_no_two_runs_do() {
    let digests: Vec<_> = setups(3).iter().map(Setup::digest).collect();
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]));
    let again = driver::run(setup_engines(3, b"set-up", 0));
    assert_ne!(again[0].digest(), digests[0]);
}

#[test]
fn members_of_different_set_ups_do_not_finish() {
    let mut mixed = setup_engines(3, b"one", 0);
    mixed[1] = setup_engines(3, b"other", 0).remove(1);
    let ends = driver::run_altered(mixed, |_| {});
    for (party, culprits) in [(0, vec![CHEAT]), (2, vec![CHEAT])] {
        let error = failure(&ends[party]);
        assert_eq!(error.culprits(), culprits, "{error}");
    }
}

#[test]
fn a_member_that_saw_other_messages_of_a_pair_is_noticed() {
    let ends = driver::run_altered(setup_engines(3, b"set-up", 0), |packet| {
        if packet.from == CHEAT {
            altered(&mut packet.body, "Closing", |m| {
                flip(first(at(m, &["transcripts"])));
            });
        }
    });
    for (party, culprits) in [(0, vec![CHEAT]), (2, vec![])] {
        let expected = EngineError::Peer {
            fault: PeerFault::Disagreement,
            culprits,
        };
        assert_eq!(*failure(&ends[party]), expected);
    }
}

/// Why a session must echo the last round: the engine cannot tell what others were told.
#[test]
fn two_cheats_leave_two_digests_where_nobody_echoes_the_closing() {
    let ends = driver::run_altered(setup_engines(4, b"set-up", 0), |packet| {
        if packet.from.0 >= 2 && packet.to == PartyIndex(0) {
            // Of the pair of the cheats, which is the last one of each.
            altered(&mut packet.body, "Closing", |m| {
                flip(at(m, &["transcripts"]));
            });
        }
    });
    let digests: Vec<_> = ends
        .iter()
        .map(|end| end.as_ref().unwrap().as_ref().unwrap().digest())
        .collect();
    assert_ne!(digests[0], digests[1]);
    assert_eq!(digests[1], digests[2]);
}

fn failure<O>(end: &Option<Result<O, EngineError>>) -> &EngineError {
    match end {
        Some(Err(error)) => error,
        Some(Ok(_)) => panic!("it succeeded"),
        None => panic!("it waits in vain"),
    }
}

/// Signers who were asked for different things notice before any transfer is touched: nobody is
/// burnt.
fn disagree(engines: Vec<Boxed>) {
    for (party, end) in driver::run_altered(engines, |_| {}).iter().enumerate() {
        let error = failure(end);
        let expected = EngineError::Peer {
            fault: PeerFault::Disagreement,
            culprits: vec![PartyIndex(1 - party as u16)],
        };
        assert_eq!(*error, expected);
        assert_eq!(error.verdict(), Verdict::Clean);
    }
}

/// The first two members sign; the second says what `with` gives.
fn second(wallet: &Wallet, with: Boxed) -> Vec<Boxed> {
    let mut engines = engines(wallet, setups(3), &[0, 1], &[]);
    engines[1] = with;
    engines
}

#[test]
fn another_message_is_a_disagreement() {
    let wallet = wallet(2, 3);
    let other = Message::Raw(b"pay 1000 to Mallory".to_vec());
    let with = wallet.dkls23_signer(setups(3), 1, &[0, 1], &[], &other, b"signing");
    disagree(second(&wallet, with));
}

#[test]
fn another_session_is_a_disagreement() {
    let wallet = wallet(2, 3);
    let with = wallet.dkls23_signer(setups(3), 1, &[0, 1], &[], &message(), b"other");
    disagree(second(&wallet, with));
}

#[test]
fn another_child_is_a_disagreement() {
    let wallet = wallet(2, 3);
    let with = wallet.dkls23_signer(setups(3), 1, &[0, 1], &[1], &message(), b"signing");
    disagree(second(&wallet, with));
}

#[test]
fn another_key_is_a_disagreement() {
    let other = wallet(2, 3);
    let with = other.dkls23_signer(setups(3), 1, &[0, 1], &[], &message(), b"signing");
    disagree(second(&wallet(2, 3), with));
}

#[test]
fn an_old_share_is_a_disagreement() {
    let old = wallet(2, 3);
    let new = wallet_of(refreshed(&old.shares));
    let with = old.dkls23_signer(setups(3), 1, &[0, 1], &[], &message(), b"signing");
    disagree(second(&new, with));
}

#[test]
fn another_set_up_is_a_disagreement() {
    let wallet = wallet(2, 3);
    let other = driver::run(setup_engines(3, b"next", 1));
    let with = wallet.dkls23_signer(&other, 1, &[0, 1], &[], &message(), b"signing");
    disagree(second(&wallet, with));
}

/// A change of a message, and what the victim says to it.
struct Row {
    name: &'static str,
    round: &'static str,
    change: fn(&mut Value),
    verdict: Verdict,
    fault: Fault,
}

#[derive(Debug, PartialEq)]
enum Fault {
    Transfer,
    Protocol,
    Disagreement,
    Signature,
}

fn fault(error: &EngineError) -> Fault {
    match error {
        EngineError::Peer { fault, .. } => match fault {
            PeerFault::Transfer(_) => Fault::Transfer,
            PeerFault::Protocol(_) => Fault::Protocol,
            PeerFault::Disagreement => Fault::Disagreement,
            PeerFault::Signature => Fault::Signature,
            other => panic!("{other}"),
        },
        other => panic!("{other}"),
    }
}

const fn burns(name: &'static str, round: &'static str, change: fn(&mut Value)) -> Row {
    Row {
        name,
        round,
        change,
        verdict: Verdict::Burns,
        fault: Fault::Transfer,
    }
}

const fn clean(
    name: &'static str,
    round: &'static str,
    fault: Fault,
    change: fn(&mut Value),
) -> Row {
    Row {
        name,
        round,
        change,
        verdict: Verdict::Clean,
        fault,
    }
}

/// The field at the end of a path.
fn at<'v>(message: &'v mut Value, path: &[&str]) -> &'v mut Value {
    path.iter().fold(message, |value, name| {
        let entries = value.as_map_mut().expect("a map");
        let entry = entries
            .iter_mut()
            .find(|(key, _)| key.as_text() == Some(*name));
        &mut entry.expect("a field").1
    })
}

fn first(items: &mut Value) -> &mut Value {
    &mut items.as_array_mut().expect("an array")[0]
}

/// Changes one bit, in bytes or in a list of them.
fn flip(value: &mut Value) {
    match value {
        Value::Bytes(bytes) => *bytes.last_mut().expect("a byte") ^= 1,
        Value::Array(items) => flip(items.last_mut().expect("an item")),
        Value::Integer(number) => {
            let byte = u8::try_from(*number).expect("a byte");
            *number = (byte ^ 1).into();
        }
        other => panic!("{other:?}"),
    }
}

fn shorten(items: &mut Value) {
    items.as_array_mut().expect("an array").pop();
}

fn copy(message: &mut Value, from: &str, to: &str) {
    let value = at(message, &[from]).clone();
    *at(message, &[to]) = value;
}

/// Alters a message of this variant; leaves others as they are.
fn altered(body: &mut Vec<u8>, round: &str, change: fn(&mut Value)) {
    let mut value: Value = ciborium::from_reader(&body[..]).unwrap();
    let (name, message) = &mut value.as_map_mut().unwrap()[0];
    if name.as_text() != Some(round) {
        return;
    }
    change(message);
    body.clear();
    ciborium::into_writer(&value, body).unwrap();
}

#[test]
fn every_cheat_ends_with_its_cause_its_name_and_its_verdict() {
    for (threshold, names_sums) in [(2, true), (3, false)] {
        let wallet = wallet(threshold, 3);
        let signers: Vec<u16> = (0..threshold).collect();
        for row in TABLE {
            let engines = engines(&wallet, setups(3), &signers, &[]);
            let ends = driver::run_altered(engines, |packet| {
                if packet.from == CHEAT && packet.to == PartyIndex(0) {
                    altered(&mut packet.body, row.round, row.change);
                }
            });
            let error = failure(&ends[0]);
            assert_eq!(error.verdict(), row.verdict, "{}: {error}", row.name);
            assert_eq!(fault(error), row.fault, "{}: {error}", row.name);
            let named = row.fault != Fault::Signature || names_sums;
            let culprits = if named { vec![CHEAT] } else { vec![] };
            assert_eq!(error.culprits(), culprits, "{}: {error}", row.name);
        }
    }
}

#[test]
fn nobody_gets_another_one_burnt() {
    let wallet = wallet(3, 3);
    let engines = engines(&wallet, setups(3), &[0, 1, 2], &[]);
    let forge = |message: &mut Value| {
        *at(message, &["parties", "sender"]) = Value::Integer(3u8.into());
        flip(at(message, &["mul_transmit", "u"]));
    };
    let ends = driver::run_altered(engines, |packet| {
        if packet.from == CHEAT && packet.to == PartyIndex(0) {
            altered(&mut packet.body, "Round1", forge);
        }
    });
    assert_eq!(failure(&ends[0]).culprits(), [CHEAT]);
}

#[test]
fn a_set_up_survives_storage() {
    let setup = &setups(3)[1];
    let bytes = setup.to_bytes();
    let restored = Setup::from_bytes(&bytes).unwrap();
    assert_eq!(restored.digest(), setup.digest());
    assert_eq!((restored.index().0, restored.parties()), (1, 3));
    assert_eq!((restored.committee(), restored.generation()), ([1; 32], 0));
    assert_eq!(restored.to_bytes(), bytes);
    assert_eq!(format!("{restored:?}"), "Setup(party 1 of 3, ..)");
    // Nine members are the most, and the buffer must not grow.
    assert!(bytes.len() / 2 * 8 < 1 << 20, "{} bytes", bytes.len());
}

#[test]
fn auxiliary_information_has_a_kind_and_the_other_engine_refuses_it() {
    let setup = &setups(3)[0];
    let aux = Aux::from_bytes(&setup.to_bytes()).unwrap();
    assert!(matches!(aux, Aux::Ot(_)));
    assert_eq!(aux.public_digest(), setup.digest());
    assert_eq!((aux.parties(), aux.index().0), (3, 0));
    assert_eq!(aux.to_bytes(), setup.to_bytes());
    assert_eq!(format!("{aux:?}"), "Aux(party 0 of 3, ..)");
    assert!(aux.with_multiexp_tables().is_err());
    let params = SignParams {
        session: b"s",
        me: PartyIndex(0),
        signers: &[CommitteeIndex(0), CommitteeIndex(1)],
        path: &[],
        script_root: None,
        message: message(),
    };
    let share = &generate(SCHEME, 2, 3, b"keygen")[0];
    let refused = sign(params, share, Some(Arc::new(aux)), OsRng).err();
    assert_eq!(caller_fault(refused), CallerFault::AuxMismatch);
}

#[test]
fn a_damaged_record_is_refused() {
    let bytes = setups(3)[1].to_bytes();
    for byte in (0..bytes.len()).step_by(997) {
        let mut damaged = bytes.to_vec();
        damaged[byte] ^= 1;
        assert!(Setup::from_bytes(&damaged).is_err(), "byte {byte}");
        assert!(Setup::from_bytes(&bytes[..byte]).is_err(), "{byte} bytes");
    }
    let mut newer = bytes.to_vec();
    newer[0] = 9;
    assert_eq!(
        Setup::from_bytes(&newer).err(),
        Some(DecodeError::Version(9))
    );
    let share = generate(SCHEME, 2, 2, b"keygen")[0].to_bytes();
    assert_eq!(
        Setup::from_bytes(&share).err(),
        Some(DecodeError::Damaged),
        "a record of another kind"
    );
}

/// What keeps the first of three members from signing.
fn signing(share: &Share, setup: &Setup, of: SetupOf, counted: Counted) -> Option<EngineError> {
    let params = SignParams {
        session: b"s",
        me: PartyIndex(0),
        signers: &[CommitteeIndex(0), CommitteeIndex(1)],
        path: &[],
        script_root: None,
        message: message(),
    };
    dkls23::sign(params, share, setup, of, counted).err()
}

/// Whoever had the old set-up of one member and is another could read the first one's new share.
#[test]
fn a_new_share_does_not_sign_with_an_old_set_up() {
    let setup = &setups(3)[0];
    let old = wallet(2, 3);
    let new = refreshed(&old.shares);
    let with = |share, generation, committee| {
        let of = SetupOf {
            committee,
            generation,
        };
        signing(share, setup, of, Counted::on_disk(setup.digest(), b"s"))
    };
    assert!(with(&old.shares[0], 0, [1; 32]).is_none());
    for (generation, committee) in [(1, [1; 32]), (1 << 32, [1; 32]), (0, [2; 32])] {
        assert_eq!(
            caller_fault(with(&new[0], generation, committee)),
            CallerFault::AuxMismatch
        );
    }
}

#[test]
fn a_run_is_counted_with_its_own_set_up_and_session() {
    let setup = &setups(3)[0];
    let share = &generate(SCHEME, 2, 3, b"keygen")[0];
    let with = |digest, session: &[u8]| {
        signing(share, setup, of(setup), Counted::on_disk(digest, session))
    };
    assert!(with(setup.digest(), b"s").is_none());
    for (digest, session) in [([7; 32], &b"s"[..]), (setup.digest(), &b"t"[..])] {
        assert_eq!(caller_fault(with(digest, session)), CallerFault::NotCounted);
    }
}

#[test]
fn wrong_calls_are_refused() {
    let refused = |me: u16, parties: u16, session: &[u8]| {
        let params = SetupParams {
            session,
            me: PartyIndex(me),
            parties,
            committee: [0; 32],
            generation: 0,
        };
        caller_fault(dkls23::setup(params).err())
    };
    assert_eq!(refused(0, 1, b"s"), CallerFault::Parties(1));
    assert_eq!(refused(0, 10, b"s"), CallerFault::Parties(10));
    assert_eq!(
        refused(3, 3, b"s"),
        CallerFault::NotInSession(PartyIndex(3))
    );
    assert_eq!(refused(0, 3, b""), CallerFault::EmptySession);

    let signing = |share: &Share, setup: &Setup| {
        let counted = Counted::on_disk(setup.digest(), b"s");
        signing(share, setup, of(setup), counted)
    };
    let of_three = generate(SCHEME, 2, 3, b"keygen");
    assert!(signing(&of_three[0], &setups(3)[0]).is_none());
    assert_eq!(
        caller_fault(signing(&of_three[0], &setups(3)[1])),
        CallerFault::AuxMismatch
    );
    assert_eq!(
        caller_fault(signing(
            &generate(SCHEME, 2, 2, b"keygen")[0],
            &setups(3)[0]
        )),
        CallerFault::AuxMismatch
    );
    for scheme in [Scheme::SchnorrSecp256k1, Scheme::Taproot, Scheme::Ed25519] {
        let share = &generate(scheme, 2, 3, b"keygen")[0];
        assert_eq!(
            caller_fault(signing(share, &setups(3)[0])),
            CallerFault::UnusableShare
        );
    }
}

#[test]
fn a_batch_of_sixteen_fits_into_one_body() {
    let wallet = wallet(2, 3);
    let party = |me: usize| {
        let run = |run: u8| {
            let message = Message::Digest([run; 32]);
            wallet.dkls23_signer(setups(3), me, &[0, 1], &[], &message, &[1, run])
        };
        dkls23::batch((0..16).map(run).collect()).unwrap()
    };
    let mut longest = 0;
    let ends = driver::run_altered(vec![party(0), party(1)], |packet| {
        longest = longest.max(packet.body.len());
    });
    for end in ends {
        let signatures = end.unwrap().unwrap();
        for (signature, run) in signatures.iter().zip(0..) {
            verifies(&wallet, &[], &Message::Digest([run; 32]), signature);
        }
    }
    assert!(longest > MAX_BODY / 2, "{longest}: what was measured?");
    let room = dkls23::sign_room(MAX_RUNS_OF_A_BATCH).unwrap();
    assert!(longest <= room.longest, "{longest}");
    assert!(longest < MAX_BODY, "{longest}");
}

/// It would fail after the checks, which nobody could tell from an attack.
#[test]
fn a_batch_that_cannot_fit_is_refused_at_the_start() {
    let wallet = wallet(2, 3);
    let of_size = |runs: usize| {
        let engine = |_| wallet.dkls23_signer(setups(3), 0, &[0, 1], &[], &message(), b"s");
        dkls23::batch((0..runs).map(engine).collect()).err()
    };
    assert!(of_size(MAX_RUNS_OF_A_BATCH).is_none());
    for given in [0, MAX_RUNS_OF_A_BATCH + 1] {
        let expected = CallerFault::BatchSize {
            given,
            most: MAX_RUNS_OF_A_BATCH,
        };
        assert_eq!(caller_fault(of_size(given)), expected);
        assert_eq!(
            dkls23::sign_room(given).err(),
            Some(EngineError::Caller(expected))
        );
    }
}

/// A second message of a round and a message of the wrong kind name their sender and burn nothing.
#[test]
fn broken_messages_name_the_sender() {
    let wallet = wallet(2, 3);
    let mut sender = engines(&wallet, setups(3), &[0, 1], &[]).remove(1);
    let body = match sender.step().unwrap() {
        countersign_engine::Step::Send(first) => first.body,
        step => panic!("{step:?}"),
    };
    let reaction = |deliveries: &[(MessageKind, &[u8])]| {
        let mut engine = engines(&wallet, setups(3), &[0, 1], &[]).remove(0);
        let mut result = Ok(());
        for (kind, body) in deliveries {
            result = engine.receive(CHEAT, *kind, body);
        }
        let error = result.unwrap_err();
        assert_eq!(error.verdict(), Verdict::Clean);
        assert_eq!(engine.step().unwrap_err(), error);
        error
    };
    let peer = |fault| EngineError::Peer {
        fault,
        culprits: vec![CHEAT],
    };
    let direct = MessageKind::Direct;
    assert_eq!(
        reaction(&[(direct, b"no CBOR")]),
        peer(PeerFault::Malformed)
    );
    assert_eq!(
        reaction(&[(direct, &[&body[..], &[0]].concat())]),
        peer(PeerFault::Malformed)
    );
    assert_eq!(
        reaction(&[(MessageKind::Broadcast, &body)]),
        peer(PeerFault::WrongKind)
    );
    assert_eq!(
        reaction(&[(direct, &body), (direct, &body)]),
        peer(PeerFault::Repeated)
    );
    let long = [&b"\xA1\x66Round1"[..], &[0; 64 << 10]].concat();
    assert_eq!(reaction(&[(direct, &long)]), peer(PeerFault::TooLong));
}

/// Low s and the recovery id of many signatures, by k256 and libsecp256k1. The number is that of
/// `COUNTERSIGN_DKLS23_SIGNATURES`, or 300.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test, not the engine")]
fn many_signatures_are_low_and_recover_their_key() {
    let count = std::env::var("COUNTERSIGN_DKLS23_SIGNATURES");
    let count = count.map_or(300, |count| count.parse().expect("a number"));
    let wallet = wallet(2, 3);
    for number in 0..count {
        let mut digest = [0; 32];
        OsRng.fill_bytes(&mut digest);
        let message = Message::Digest(digest);
        let path = [OsRng.gen_range(0..1 << 31)];
        let session = u64::to_be_bytes(number);
        let engine = |me| wallet.dkls23_signer(setups(3), me, &[0, 2], &path, &message, &session);
        let signatures = driver::run((0..2).map(engine).collect());
        assert_eq!(signatures[0], signatures[1]);
        verifies(&wallet, &path, &message, &signatures[0]);
    }
}
