//! Sign-ins by passkey, and each way in which one may be wrong, refused for its own reason.

use countersign_protocol::{
    ApproverKey, Assertion, Ballot, Choice, Hash, OrderAssertion, OrderProof, Passkeys, Proof,
    SignedTask, UnixMillis, Vote,
};
use sha2::{Digest, Sha256};

use crate::testing::{ORIGIN, Passkey, RP_ID, other_s};
use crate::*;

const NONCE: [u8; 32] = [0x6b; 32];
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn page() -> RelyingParty {
    RelyingParty::new(RP_ID, [ORIGIN]).unwrap()
}

fn sign_in() -> SignIn<'static> {
    SignIn {
        origin: ORIGIN,
        nonce: &NONCE,
    }
}

fn key(passkey: &Passkey) -> [u8; 33] {
    let ApproverKey::Passkey(key) = *passkey.id().key() else {
        unreachable!("it is a passkey");
    };
    key
}

/// What comes of it if the passkey signs in.
fn judge(passkey: &Passkey) -> Result<u32, AssertionError> {
    let assertion = passkey.assertion(&sign_in().signed_message());
    sign_in().check(&assertion, &key(passkey), &page())
}

/// A passkey that a test makes different.
fn passkey(different: impl FnOnce(&mut Passkey)) -> Passkey {
    let mut passkey = Passkey::new(3);
    different(&mut passkey);
    passkey
}

#[test]
fn a_passkey_signs_in_on_the_page_that_is_pinned() {
    assert_eq!(judge(&Passkey::new(3)), Ok(0));
    assert_eq!(judge(&passkey(|passkey| passkey.counter = 17)), Ok(17));
}

#[test]
fn each_reason_why_an_assertion_signs_nobody_in_is_told() {
    for (made, expected) in [
        (
            passkey(|one| {
                one.client_data = one.client_data.replace(ORIGIN, "https://evil.example")
            }),
            AssertionError::Origin("https://evil.example".into()),
        ),
        (
            passkey(|one| one.rp_id = "evil.example".into()),
            AssertionError::RpId,
        ),
        (
            passkey(|one| one.flags &= !4),
            AssertionError::UserNotVerified,
        ),
        (
            passkey(|one| one.flags &= !1),
            AssertionError::UserNotPresent,
        ),
        (
            passkey(|one| one.high_s = true),
            SignatureForm::HighS.into(),
        ),
    ] {
        assert_eq!(judge(&made), Err(expected));
    }
    let own = Passkey::new(3);
    let assertion = own.assertion(&sign_in().signed_message());
    let others = sign_in().check(&assertion, &key(&Passkey::new(4)), &page());
    assert_eq!(others, Err(AssertionError::Signature));
    let malleated = Assertion {
        signature: other_s(&assertion.signature),
        ..assertion
    };
    let refused = sign_in().check(&malleated, &key(&own), &page());
    assert_eq!(refused, Err(SignatureForm::HighS.into()));
}

#[test]
fn a_sign_in_is_for_one_nonce_and_one_page() {
    let own = Passkey::new(3);
    let assertion = own.assertion(&sign_in().signed_message());
    let later = SignIn {
        nonce: &[0x6c; 32],
        ..sign_in()
    };
    let elsewhere = SignIn {
        origin: "https://other.treasury.example",
        ..sign_in()
    };
    for other in [later, elsewhere] {
        let refused = other.check(&assertion, &key(&own), &page());
        assert_eq!(refused, Err(AssertionError::Challenge));
    }
}

/// One passkey may sign in, vote and order. What it signed for one of them is worth nothing for the
/// others, even if a server chose what was signed.
#[test]
fn a_sign_in_is_no_vote_and_no_order_and_neither_of_them_signs_in() {
    let own = Passkey::new(3);
    let ballot = Ballot {
        task: Hash(NONCE),
        choice: Choice::Approve,
        approver: own.id(),
        time: NOW,
    };
    let signed_in = own.assertion(&sign_in().signed_message());
    let vote = Vote::new(ballot, Proof::Passkey(signed_in.clone())).unwrap();
    let refused = check(&vote, &ballot.task, Some(&page()));
    assert_eq!(
        refused,
        Err(CheckError::Assertion(AssertionError::Challenge))
    );
    let bytes = NONCE.to_vec();
    let order = SignedTask {
        signature: OrderProof::Passkey(OrderAssertion::new(signed_in).unwrap()),
        bytes: bytes.clone(),
    };
    let pages = page();
    let proven = order.prove(&own.requester(), Some(&pages as &dyn Passkeys));
    assert!(proven.is_err());
    for message in [
        ballot.signed_message(),
        SignedTask::signed_message(&bytes),
        NONCE,
    ] {
        let refused = sign_in().check(&own.assertion(&message), &key(&own), &page());
        assert_eq!(refused, Err(AssertionError::Challenge));
    }
}

#[test]
fn the_bytes_that_are_signed_have_a_label_of_their_own() {
    let fields: [&[u8]; 3] = [b"countersign/1 sign-in", ORIGIN.as_bytes(), &NONCE];
    let mut hash = Sha256::new();
    for field in fields {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    assert_eq!(sign_in().signed_message()[..], hash.finalize()[..]);
}
