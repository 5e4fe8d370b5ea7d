//! Genuine votes, and each way in which one may be wrong, refused for its own reason.

use countersign_protocol::evidence::Signature;
use countersign_protocol::text::is_plain;
use countersign_protocol::{
    ApproverId, ApproverKey, Assertion, Ballot, Choice, Hash, Proof, UnixMillis, Vote,
};
use proptest::prelude::*;

use crate::testing::{Key, ORIGIN, Passkey, RP_ID, other_s};
use crate::*;

const TASK: Hash = Hash([0x5a; 32]);
const OTHER_TASK: Hash = Hash([0x5b; 32]);
const TIME: u64 = 1_800_000_000_000;

fn pages() -> RelyingParty {
    RelyingParty::new(RP_ID, [ORIGIN]).unwrap()
}

fn judge(vote: &Vote) -> Result<Checked, CheckError> {
    check(vote, &TASK, Some(&pages()))
}

/// The reason why an approval by the passkey is refused.
fn refusal(passkey: &Passkey) -> AssertionError {
    match judge(&passkey.vote(TASK, Choice::Approve, TIME)) {
        Err(CheckError::Assertion(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// A passkey that a test makes different.
fn passkey(different: impl FnOnce(&mut Passkey)) -> Passkey {
    let mut passkey = Passkey::new(3);
    different(&mut passkey);
    passkey
}

/// A passkey with other client data: `from` is replaced by `to`.
fn with_client_data(from: &str, to: &str) -> Passkey {
    passkey(|passkey| {
        let changed = passkey.client_data.replace(from, to);
        assert_ne!(changed, passkey.client_data);
        passkey.client_data = changed;
    })
}

/// A genuine approval, and the passkey's assertion in it.
fn approval() -> (Ballot, Assertion) {
    let vote = Passkey::new(3).vote(TASK, Choice::Approve, TIME);
    let Proof::Passkey(assertion) = vote.proof() else {
        panic!("{vote:?}");
    };
    (*vote.ballot(), assertion.clone())
}

fn by_passkey(ballot: Ballot, assertion: Assertion) -> Vote {
    Vote::new(ballot, Proof::Passkey(assertion)).unwrap()
}

/// The vote with another ballot under the same proof.
fn altered(vote: &Vote, different: impl FnOnce(&mut Ballot)) -> Vote {
    let mut ballot = *vote.ballot();
    different(&mut ballot);
    Vote::new(ballot, vote.proof().clone()).unwrap()
}

#[test]
fn votes_of_both_kinds_are_genuine_and_tell_what_was_signed() {
    for choice in [Choice::Approve, Choice::Reject] {
        let key = Key::new(1);
        let checked = judge(&key.vote(TASK, choice, TIME)).unwrap();
        assert_eq!(checked.ballot().choice, choice);
        assert_eq!(checked.ballot().approver, key.id());
        assert_eq!(checked.sign_count(), None);
        let passkey = passkey(|passkey| passkey.counter = 17);
        let checked = judge(&passkey.vote(TASK, choice, TIME)).unwrap();
        assert_eq!(checked.ballot().choice, choice);
        assert_eq!(checked.ballot().time, UnixMillis(TIME));
        assert_eq!(checked.sign_count(), Some(17));
    }
}

#[test]
fn vote_on_another_task_is_refused() {
    for vote in [
        Key::new(1).vote(OTHER_TASK, Choice::Approve, TIME),
        Passkey::new(3).vote(OTHER_TASK, Choice::Approve, TIME),
    ] {
        assert_eq!(judge(&vote), Err(CheckError::OtherTask));
        // Naming this task does not help: the signature covers the name.
        let renamed = judge(&altered(&vote, |ballot| ballot.task = TASK));
        assert!(matches!(
            renamed,
            Err(CheckError::Signature | CheckError::Assertion(AssertionError::Challenge))
        ));
    }
}

#[test]
fn vote_by_an_ed25519_key_with_an_altered_field_is_refused() {
    let vote = Key::new(1).vote(TASK, Choice::Approve, TIME);
    for other in [
        altered(&vote, |ballot| ballot.choice = Choice::Reject),
        altered(&vote, |ballot| ballot.approver = Key::new(2).id()),
        altered(&vote, |ballot| ballot.time = UnixMillis(TIME + 1)),
    ] {
        assert_eq!(judge(&other), Err(CheckError::Signature), "{other:?}");
    }
    let Proof::Ed25519(Signature(signature)) = vote.proof() else {
        panic!("{vote:?}");
    };
    for at in 0..64 {
        let mut flipped = *signature;
        flipped[at] ^= 1;
        let other = Vote::new(*vote.ballot(), Proof::Ed25519(Signature(flipped))).unwrap();
        assert_eq!(judge(&other), Err(CheckError::Signature), "{at}");
    }
}

/// RFC 8032, section 5.1.7: s must be below the order of the group, here least significant byte
/// first.
#[test]
fn vote_with_a_malleated_ed25519_signature_is_refused() {
    let order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let order = hex::decode(order).unwrap();
    let vote = Key::new(1).vote(TASK, Choice::Approve, TIME);
    let Proof::Ed25519(Signature(mut signature)) = *vote.proof() else {
        panic!("{vote:?}");
    };
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    let other = Vote::new(*vote.ballot(), Proof::Ed25519(Signature(signature))).unwrap();
    assert_eq!(judge(&other), Err(CheckError::Signature));
}

#[test]
fn vote_by_a_passkey_with_an_altered_field_is_refused() {
    let vote = Passkey::new(3).vote(TASK, Choice::Approve, TIME);
    for other in [
        altered(&vote, |ballot| ballot.choice = Choice::Reject),
        altered(&vote, |ballot| ballot.approver = Passkey::new(4).id()),
        altered(&vote, |ballot| ballot.time = UnixMillis(TIME + 1)),
    ] {
        let expected = CheckError::Assertion(AssertionError::Challenge);
        assert_eq!(judge(&other), Err(expected), "{other:?}");
    }
}

#[test]
fn vote_by_a_passkey_with_an_altered_byte_in_its_assertion_is_refused() {
    let (ballot, assertion) = approval();
    let parts = [
        assertion.client_data.len(),
        assertion.authenticator_data.len(),
        assertion.signature.len(),
    ];
    for (part, length) in parts.into_iter().enumerate() {
        for at in 0..length {
            let mut other = assertion.clone();
            match part {
                0 => other.client_data[at] ^= 1,
                1 => other.authenticator_data[at] ^= 1,
                _ => other.signature[at] ^= 1,
            }
            let refused = judge(&by_passkey(ballot, other));
            assert!(
                matches!(refused, Err(CheckError::Assertion(_))),
                "byte {at} of part {part}: {refused:?}"
            );
        }
    }
}

/// Each part may only be the one that was signed, however sound it is by itself.
#[test]
fn vote_with_a_part_of_another_genuine_assertion_is_refused() {
    let (ballot, genuine) = approval();
    let elsewhere = Passkey::new(3).assertion(&[1; 32]);
    let later = passkey(|passkey| passkey.counter = 1).assertion(&ballot.signed_message());
    let client_data = Assertion {
        client_data: elsewhere.client_data,
        ..genuine.clone()
    };
    let authenticator_data = Assertion {
        authenticator_data: later.authenticator_data,
        ..genuine.clone()
    };
    let signature = Assertion {
        signature: elsewhere.signature,
        ..genuine
    };
    for (assertion, expected) in [
        (client_data, AssertionError::Challenge),
        (authenticator_data, AssertionError::Signature),
        (signature, AssertionError::Signature),
    ] {
        let refused = judge(&by_passkey(ballot, assertion));
        assert_eq!(refused, Err(CheckError::Assertion(expected)));
    }
}

#[test]
fn vote_by_another_passkey_in_the_name_of_an_approver_is_refused() {
    let (ballot, _) = approval();
    let forged = Passkey::new(4).assertion(&ballot.signed_message());
    let refused = judge(&by_passkey(ballot, forged));
    assert_eq!(
        refused,
        Err(CheckError::Assertion(AssertionError::Signature))
    );
}

#[test]
fn vote_from_another_origin_is_refused() {
    for origin in [
        "https://evil.example",
        "https://treasury.example",
        "https://console.treasury.example.evil.example",
        "https://console.treasury.example:8443",
        "http://console.treasury.example",
        "https://CONSOLE.treasury.example",
        "https://console.treasury.example/",
    ] {
        let expected = AssertionError::Origin(origin.into());
        assert_eq!(refusal(&with_client_data(ORIGIN, origin)), expected);
    }
}

#[test]
fn vote_from_a_page_inside_another_page_is_refused() {
    let framed = r#""crossOrigin":true"#;
    let named = r#""crossOrigin":false,"topOrigin":"https://evil.example""#;
    for inside in [framed, named] {
        let passkey = with_client_data(r#""crossOrigin":false"#, inside);
        assert_eq!(refusal(&passkey), AssertionError::CrossOrigin);
    }
    let older_browser = with_client_data(r#","crossOrigin":false"#, "");
    assert!(judge(&older_browser.vote(TASK, Choice::Approve, TIME)).is_ok());
}

#[test]
fn vote_with_another_rp_id_is_refused() {
    for id in ["evil.example", "console.treasury.example", "example"] {
        let bound = passkey(|passkey| passkey.rp_id = id.into());
        assert_eq!(refusal(&bound), AssertionError::RpId, "{id}");
    }
}

#[test]
fn vote_without_presence_of_the_user_is_refused() {
    let absent = passkey(|passkey| passkey.flags &= !1);
    assert_eq!(refusal(&absent), AssertionError::UserNotPresent);
}

#[test]
fn vote_without_verification_of_the_user_is_refused() {
    let unverified = passkey(|passkey| passkey.flags &= !4);
    assert_eq!(refusal(&unverified), AssertionError::UserNotVerified);
}

#[test]
fn vote_with_contradictory_authenticator_data_is_refused() {
    for (flags, extensions) in [
        (0x15, vec![]),     // backed up, and not eligible for it
        (0x45, vec![]),     // a credential
        (0x85, vec![]),     // extensions that are missing
        (0x05, vec![0xa0]), // extensions that are not announced
    ] {
        let refused = refusal(&passkey(|passkey| {
            passkey.flags = flags;
            passkey.extensions = extensions;
        }));
        assert!(matches!(refused, AssertionError::AuthenticatorData(_)));
    }
    let extended = passkey(|passkey| {
        passkey.flags |= 0x80;
        passkey.extensions = vec![0xa0];
    });
    assert!(judge(&extended.vote(TASK, Choice::Approve, TIME)).is_ok());
}

#[test]
fn vote_by_an_assertion_of_another_type_is_refused() {
    for kind in ["webauthn.create", "payment.get", ""] {
        let other = with_client_data("webauthn.get", kind);
        assert_eq!(refusal(&other), AssertionError::Type, "{kind}");
    }
}

#[test]
fn vote_with_client_data_that_two_readers_may_read_differently_is_refused() {
    let start = r#"{"type""#;
    for (from, to) in [
        (start, r#"{"origin":"https://evil.example","type""#),
        (start, r#"{"x":{"a":1,"a":2},"type""#),
        (start, r#"{"\u0074ype":"x","type""#),
        (start, "\u{feff}{\"type\""),
        ("false}", "false}{}"),
        ("false}", r#""false"}"#),
        (r#""challenge":"{challenge}","#, ""),
    ] {
        let refused = refusal(&with_client_data(from, to));
        assert!(
            matches!(refused, AssertionError::ClientData(_)),
            "{to}: {refused:?}"
        );
    }
    for client_data in ["[]".into(), "{".repeat(1000), "[".repeat(2000)] {
        let refused = refusal(&passkey(|passkey| passkey.client_data = client_data));
        assert!(matches!(refused, AssertionError::ClientData(_)));
    }
    // Nobody knows yet who wrote them, and the reason gets into logs and records.
    let name = format!(r"\n\u001b[2J\u202e{}", "x".repeat(900));
    let twice = format!(r#"{{"{name}":1,"{name}":2}}"#);
    let told = refusal(&passkey(|passkey| passkey.client_data = twice)).to_string();
    assert!(is_plain(&told) && told.len() < 1000, "{told}");
    // Browsers may add members.
    let newer = with_client_data(start, r#"{"later":{"a":[1]},"type""#);
    assert!(judge(&newer.vote(TASK, Choice::Approve, TIME)).is_ok());
}

#[test]
fn vote_with_a_challenge_in_another_text_is_refused() {
    for text in ["{challenge}=", "A{challenge}", ""] {
        let other = with_client_data("{challenge}", text);
        assert_eq!(refusal(&other), AssertionError::Challenge);
    }
}

#[test]
fn vote_with_a_malleated_p256_signature_is_refused() {
    let (ballot, genuine) = approval();
    let malleated = Assertion {
        signature: other_s(&genuine.signature),
        ..genuine.clone()
    };
    assert_ne!(malleated, genuine);
    assert_eq!(low_s(&malleated.signature), Ok(genuine.signature));
    let refused = judge(&by_passkey(ballot, malleated));
    assert_eq!(
        refused,
        Err(CheckError::Assertion(SignatureForm::HighS.into()))
    );
    let high = passkey(|passkey| passkey.high_s = true);
    assert_eq!(refusal(&high), SignatureForm::HighS.into());
}

#[test]
fn vote_with_a_p256_signature_in_another_encoding_is_refused() {
    // A signature with r of 32 bytes and without a leading zero leaves room for all of these.
    let fits = |assertion: &Assertion| assertion.signature[3] == 32;
    let assertion = (0..)
        .map(|counter| passkey(|passkey| passkey.counter = counter).assertion(&[0; 32]))
        .find(fits)
        .unwrap();
    let der = assertion.signature;
    let end = 4 + usize::from(der[3]);
    let rebuilt = |r: &[u8], rest: &[u8]| {
        let length = [r, rest].concat().len() as u8;
        [&[0x30, length], r, rest].concat()
    };
    let trailing = [&der[..], &[0]].concat();
    let long_length = [&[0x30, 0x81], &der[1..]].concat();
    let padded = rebuilt(&[&[2, der[3] + 1, 0], &der[4..end]].concat(), &der[end..]);
    let mut negative = der.clone();
    negative[4] |= 0x80;
    let zero = rebuilt(&[2, 1, 0], &der[end..]);
    let raw = [&der[4..end], &der[end + 2..]].concat();
    let other_tag = [&[0x31], &der[1..]].concat();
    assert!(low_s(&der).is_ok());
    for signature in [
        trailing,
        long_length,
        padded,
        negative,
        zero,
        raw,
        other_tag,
    ] {
        let refused = es256::signature(&signature);
        assert_eq!(refused, Err(SignatureForm::Der), "{signature:02x?}");
        assert_eq!(low_s(&signature), Err(SignatureForm::Der));
    }
}

#[test]
fn vote_by_a_passkey_without_a_pinned_page_is_refused() {
    let vote = Passkey::new(3).vote(TASK, Choice::Approve, TIME);
    assert_eq!(check(&vote, &TASK, None), Err(CheckError::NoPasskeys));
    let by_key = Key::new(1).vote(TASK, Choice::Approve, TIME);
    assert!(check(&by_key, &TASK, None).is_ok());
}

#[test]
fn vote_under_a_key_that_is_no_point_of_the_curve_is_refused() {
    // x = 7: x^3 - 3x + b is no square.
    let mut point = [0; 33];
    point[0] = 2;
    point[32] = 7;
    let approver = ApproverId::new(ApproverKey::Passkey(point)).unwrap();
    assert!(!is_usable(approver.key()));
    for good in [Passkey::new(3).id(), Key::new(1).id()] {
        assert!(is_usable(good.key()));
    }
    let (mut ballot, _) = approval();
    ballot.approver = approver;
    let assertion = Passkey::new(3).assertion(&ballot.signed_message());
    let refused = judge(&by_passkey(ballot, assertion));
    assert_eq!(refused, Err(CheckError::Assertion(AssertionError::Key)));
}

/// WebAuthn, section 6.1.1: a counter goes up, or stays at zero for ever.
#[test]
fn vote_whose_sign_counter_goes_back_is_noticed() {
    for (earlier, later, back) in [
        (0, 0, false),
        (0, 1, false),
        (1, 2, false),
        (2, 2, true),
        (2, 1, true),
        (1, 0, true),
    ] {
        let went_back = counter_went_back(earlier, later);
        assert_eq!(went_back, back, "{earlier}, {later}");
    }
}

/// Test vectors of WebAuthn Level 3, section 16: ES256 with the attestation "none", and Apple's.
/// Both assertions are genuine, have the larger value of s, and were made without verification of
/// the user.
#[test]
fn the_published_vectors_are_genuine_and_lack_only_the_verification_of_the_user() {
    let none = [
        "02afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df61",
        "39c0e7521417ba54d43e8dc95174f423dee9bf3cd804ff6d65c857c9abf4d408",
        "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b51900000000",
        "7b2274797065223a22776562617574686e2e676574222c226368616c6c656e6765223a224f63446e55685158756c5455506f334a5558543049393770767a7a59425039745a63685879617630314167222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a66616c73657d",
        "3046022100f50a4e2e4409249c4a853ba361282f09841df4dd4547a13a87780218deffcd380221008480ac0f0b93538174f575bf11a1dd5d78c6e486013f937295ea13653e331e87",
    ];
    let apple = [
        "028a3d5b1b4c543a706bf6e4b00afedb3c930b690dd286934fe2911f779cc7761a",
        "d3eb2964641e26fed023403a72dde093b19c4ba9008c3f9dd83fcfd347a66d05",
        "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b50900000000",
        "7b2274797065223a22776562617574686e2e676574222c226368616c6c656e6765223a22302d73705a4751654a76375149304136637433676b37476353366b416a442d6432445f503030656d625155222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a66616c73657d",
        "3046022100ee35db795ce28044e1f8231d68b3d79a9882f7415aa35c1b5ac74d24251073c8022100dcc65691650a412d0ceef843710c09827acf26c7845bddac07eec95863e7fc4c",
    ];
    let pages = RelyingParty::new("example.org", ["https://example.org"]).unwrap();
    for vector in [none, apple] {
        let [point, challenge, authenticator_data, client_data, signature] =
            vector.map(|text| hex::decode(text).unwrap());
        let key: [u8; 33] = point.try_into().unwrap();
        let challenge: [u8; 32] = challenge.try_into().unwrap();
        let mut assertion = Assertion {
            client_data,
            authenticator_data,
            signature,
        };
        let judge = |assertion: &Assertion| assertion::check(assertion, &key, &challenge, &pages);
        let is_signed = |assertion: &Assertion| assertion::check_signature(assertion, &key);
        assert_eq!(judge(&assertion), Err(AssertionError::UserNotVerified));
        assert_eq!(is_signed(&assertion), Err(SignatureForm::HighS.into()));
        assertion.signature = low_s(&assertion.signature).unwrap();
        assert_eq!(is_signed(&assertion), Ok(()));
        // With the flag set afterwards, nothing but the signature is wrong.
        assertion.authenticator_data[32] |= 4;
        assert_eq!(judge(&assertion), Err(AssertionError::Signature));
    }
}

#[test]
fn every_refusal_says_what_to_do() {
    for error in [
        CheckError::OtherTask,
        CheckError::Signature,
        CheckError::NoPasskeys,
        AssertionError::Type.into(),
        AssertionError::Origin("https://evil.example".into()).into(),
        AssertionError::from(SignatureForm::HighS).into(),
    ] {
        assert!(error.to_string().contains(';'), "{error}");
        assert!(!error.name().is_empty());
    }
}

proptest! {
    #[test]
    fn vote_with_arbitrary_parts_is_refused_and_ends_nothing(
        client_data in prop::collection::vec(any::<u8>(), 1..200),
        authenticator_data in prop::collection::vec(any::<u8>(), 37..60),
        signature in prop::collection::vec(any::<u8>(), 8..72),
    ) {
        let (ballot, _) = approval();
        let assertion = Assertion { client_data, authenticator_data, signature };
        prop_assert!(judge(&by_passkey(ballot, assertion)).is_err());
    }
}
