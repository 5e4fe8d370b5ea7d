//! Orders by passkeys, and each way in which one may be wrong, refused for its own reason.

use countersign_protocol::evidence::Signature;
use countersign_protocol::{
    ApproverKey, Assertion, Ballot, Choice, KeyId, KeyShareSign, NodeId, NotBelieved, Operation,
    OrderAssertion, OrderProof, Passkeys, Proof, RequesterId, SignedTask, Task, TaskError, TaskId,
    UnixMillis, Vote,
};

use crate::testing::{Key, ORIGIN, Passkey, RP_ID, other_s};
use crate::*;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn pages() -> RelyingParty {
    RelyingParty::new(RP_ID, [ORIGIN]).unwrap()
}

fn task(requester: RequesterId) -> Task {
    let ApproverKey::Ed25519(node) = *Key::new(8).id().key() else {
        unreachable!("it is an Ed25519 key");
    };
    Task {
        version: 1,
        id: TaskId([1; 16]),
        created: NOW,
        not_after: UnixMillis(NOW.0 + 60_000),
        requester,
        note: None,
        claims: Default::default(),
        collect: None,
        operation: Operation::KeyShareSign(KeyShareSign {
            key: KeyId::from_bytes([2; 16]).unwrap(),
            nodes: vec![NodeId::from_bytes(node).unwrap()],
        }),
    }
}

fn judge(order: &SignedTask) -> Result<RequesterId, TaskError> {
    let authentic = order.authenticate(|_| true, Some(&pages()), NOW);
    authentic.map(|task| task.requester)
}

/// The reason why an order of the passkey is refused.
fn refusal(passkey: &Passkey) -> String {
    match judge(&passkey.order(&task(passkey.requester()))) {
        Err(TaskError::Passkey(reason) | TaskError::ForeignPage(reason)) => reason,
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

/// A genuine order, and the passkey's assertion in it.
fn order() -> (SignedTask, Assertion) {
    let passkey = Passkey::new(3);
    let order = passkey.order(&task(passkey.requester()));
    let OrderProof::Passkey(assertion) = &order.signature else {
        panic!("{order:?}");
    };
    let assertion = assertion.get().clone();
    (order, assertion)
}

/// The genuine order with another assertion.
fn with_assertion(different: impl FnOnce(&mut Assertion)) -> SignedTask {
    let (order, mut assertion) = order();
    different(&mut assertion);
    SignedTask {
        signature: OrderAssertion::new(assertion).unwrap().into(),
        ..order
    }
}

#[test]
fn an_order_that_a_passkey_signed_on_a_pinned_page_is_authentic() {
    let (order, _) = order();
    assert_eq!(judge(&order), Ok(Passkey::new(3).requester()));
    let counted = passkey(|passkey| passkey.counter = 17);
    let order = counted.order(&task(counted.requester()));
    assert!(judge(&order).is_ok());
}

#[test]
fn an_order_without_a_pinned_page_or_a_listed_passkey_is_refused() {
    let (order, _) = order();
    let requester = Passkey::new(3).requester();
    let refused = order.authenticate(|_| true, None, NOW);
    assert_eq!(refused, Err(TaskError::NoPasskeys(requester)));
    let refused = order.authenticate(|_| false, Some(&pages()), NOW);
    assert_eq!(refused, Err(TaskError::UnknownRequester(requester)));
}

#[test]
fn each_reason_why_an_assertion_proves_no_order_is_told() {
    let framed = r#""crossOrigin":true"#;
    let named = r#""crossOrigin":false,"topOrigin":"https://evil.example""#;
    let not_framed = r#""crossOrigin":false"#;
    for (made, expected) in [
        (
            with_client_data(ORIGIN, "https://evil.example"),
            AssertionError::Origin("https://evil.example".into()),
        ),
        (
            passkey(|passkey| passkey.rp_id = "evil.example".into()),
            AssertionError::RpId,
        ),
        (
            passkey(|passkey| passkey.flags &= !1),
            AssertionError::UserNotPresent,
        ),
        (
            passkey(|passkey| passkey.flags &= !4),
            AssertionError::UserNotVerified,
        ),
        (
            with_client_data("webauthn.get", "webauthn.create"),
            AssertionError::Type,
        ),
        (
            with_client_data(not_framed, framed),
            AssertionError::CrossOrigin,
        ),
        (
            with_client_data(not_framed, named),
            AssertionError::CrossOrigin,
        ),
        (
            with_client_data("{challenge}", "{challenge}="),
            AssertionError::Challenge,
        ),
        (
            passkey(|passkey| passkey.high_s = true),
            SignatureForm::HighS.into(),
        ),
    ] {
        assert_eq!(refusal(&made), expected.to_string());
    }
    let twice = refusal(&with_client_data("{\"type\"", "{\"type\":\"x\",\"type\""));
    assert!(twice.contains("cannot be read"), "{twice}");
}

/// Others may pin the page, but nobody believes what is false on a page that is pinned here.
#[test]
fn only_an_order_from_another_page_or_domain_may_be_believed_by_others() {
    let refused = |passkey: Passkey| {
        let order = passkey.order(&task(passkey.requester()));
        judge(&order).unwrap_err()
    };
    for foreign in [
        with_client_data(ORIGIN, "https://other.example"),
        passkey(|passkey| passkey.rp_id = "other.example".into()),
    ] {
        let error = refused(foreign);
        assert!(matches!(error, TaskError::ForeignPage(_)), "{error}");
    }
    for false_one in [
        with_client_data("{challenge}", "another"),
        passkey(|passkey| passkey.flags &= !4),
        passkey(|passkey| passkey.high_s = true),
    ] {
        let error = refused(false_one);
        assert!(matches!(error, TaskError::Passkey(_)), "{error}");
    }
}

#[test]
fn an_order_with_an_altered_byte_is_refused() {
    let (genuine, assertion) = order();
    for at in 0..genuine.bytes.len() {
        let mut other = genuine.clone();
        other.bytes[at] ^= 1;
        assert!(judge(&other).is_err(), "byte {at} of the task");
    }
    let parts = [
        assertion.client_data.len(),
        assertion.authenticator_data.len(),
        assertion.signature.len(),
    ];
    for (part, length) in parts.into_iter().enumerate() {
        for at in 0..length {
            let other = with_assertion(|other| match part {
                0 => other.client_data[at] ^= 1,
                1 => other.authenticator_data[at] ^= 1,
                _ => other.signature[at] ^= 1,
            });
            let refused = judge(&other);
            assert!(
                matches!(
                    refused,
                    Err(TaskError::Passkey(_) | TaskError::ForeignPage(_))
                ),
                "byte {at} of part {part}: {refused:?}"
            );
        }
    }
}

#[test]
fn an_order_with_a_malleated_or_another_passkeys_signature_is_refused() {
    let (genuine, assertion) = order();
    let malleated = with_assertion(|one| one.signature = other_s(&one.signature));
    assert_ne!(malleated, genuine);
    let reason = TaskError::Passkey(SignatureForm::HighS.to_string());
    assert_eq!(judge(&malleated), Err(reason));
    let message = SignedTask::signed_message(&genuine.bytes);
    let forged = Passkey::new(4).assertion(&message);
    assert_ne!(forged, assertion);
    let forged = with_assertion(|one| *one = forged);
    let reason = TaskError::Passkey(AssertionError::Signature.to_string());
    assert_eq!(judge(&forged), Err(reason));
}

#[test]
fn a_signature_of_the_other_kind_of_key_is_refused() {
    let (genuine, _) = order();
    let by_key = SignedTask {
        signature: [7; 64].into(),
        ..genuine
    };
    assert_eq!(judge(&by_key), Err(TaskError::BadSignature));
    let requester = RequesterId::new(*Key::new(1).id().key()).unwrap();
    let by_passkey = Passkey::new(3).order(&task(requester));
    assert_eq!(judge(&by_passkey), Err(TaskError::BadSignature));
}

/// One passkey may both order and vote. What it signed for the one is worth nothing for the other.
#[test]
fn a_vote_orders_nothing_and_an_order_approves_nothing() {
    let passkey = Passkey::new(3);
    let (genuine, assertion) = order();
    let vote = passkey.vote(genuine.hash(), Choice::Approve, NOW.0);
    let Proof::Passkey(vote) = vote.proof() else {
        panic!("{vote:?}");
    };
    let ordered = with_assertion(|one| *one = vote.clone());
    let reason = TaskError::Passkey(AssertionError::Challenge.to_string());
    assert_eq!(judge(&ordered), Err(reason));
    let ballot = Ballot {
        task: genuine.hash(),
        choice: Choice::Approve,
        approver: passkey.id(),
        time: NOW,
    };
    let voted = Vote::new(ballot, Proof::Passkey(assertion)).unwrap();
    let refused = check(&voted, &genuine.hash(), Some(&pages()));
    assert_eq!(
        refused,
        Err(CheckError::Assertion(AssertionError::Challenge))
    );
    // Nor is an Ed25519 signature of the one the other.
    let by_key = Vote::new(
        Ballot {
            approver: Key::new(1).id(),
            ..ballot
        },
        Proof::Ed25519(Signature([7; 64])),
    );
    assert!(check(&by_key.unwrap(), &genuine.hash(), None).is_err());
}

#[test]
fn an_order_under_a_key_that_is_no_point_of_the_curve_is_refused() {
    // x = 7: x^3 - 3x + b is no square.
    let mut point = [0; 33];
    point[0] = 2;
    point[32] = 7;
    let requester = RequesterId::new(ApproverKey::Passkey(point)).unwrap();
    assert!(!is_usable(requester.key()));
    let order = Passkey::new(3).order(&task(requester));
    let reason = TaskError::Passkey(AssertionError::Key.to_string());
    assert_eq!(judge(&order), Err(reason));
}

#[test]
fn client_data_that_is_too_long_makes_no_order() {
    let (_, genuine) = order();
    let long = Assertion {
        client_data: vec![b' '; 10_240],
        ..genuine.clone()
    };
    assert!(OrderAssertion::new(long).is_err());
    // Up to its bound, blanks around the JSON change the signed hash and so prove nothing.
    let mut padded = genuine;
    padded.client_data.resize(Assertion::MAX_CLIENT_DATA, b' ');
    let padded = with_assertion(|one| *one = padded);
    assert!(matches!(judge(&padded), Err(TaskError::Passkey(_))));
}

#[test]
fn every_reason_ends_with_what_to_do() {
    let key = Passkey::new(3).requester();
    let ApproverKey::Passkey(point) = key.key() else {
        unreachable!("it is a passkey");
    };
    let (_, assertion) = order();
    let refused = pages().check(&assertion, point, &[0; 32]);
    let Err(NotBelieved::False(reason)) = refused else {
        panic!("{refused:?}");
    };
    assert!(reason.contains("; sign again"), "{reason}");
    assert!(TaskError::NoPasskeys(key).to_string().contains("; add "));
}
