//! Each way in which a vote may not count, with its own reason.

use std::time::Duration;

use countersign_protocol::{ApproverId, Assertion, Proof};
use countersign_vote::testing::other_s;

use super::*;

/// The id that the point of order 1 would have.
const SMALL_ORDER: &str = "csv1qyqsqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq9w2shj";

fn approval(passkey: &Passkey) -> Vote {
    passkey.vote(hash(&task()), Choice::Approve, NOW)
}

/// Alice's passkey, which a test makes different.
fn passkey(different: impl FnOnce(&mut Passkey)) -> Passkey {
    let mut passkey = Passkey::new(ALICE_PASSKEY);
    different(&mut passkey);
    passkey
}

/// The bytes of a vote with one of them changed, if they are still a vote's.
fn flipped(vote: &Vote, at: usize) -> Option<Vote> {
    let mut bytes = vote.to_bytes();
    bytes[at] ^= 1;
    Vote::from_bytes(&bytes).ok()
}

#[test]
fn votes_of_keys_and_passkeys_approve() {
    assert_eq!(judge(&two_of_finance(), &[yes(BOB), yes(ALICE)]), "approve");
    let by_passkey = [yes(BOB), yes(ALICE_PASSKEY)];
    assert_eq!(judge(&two_of_finance(), &by_passkey), "approve");
}

#[test]
fn vote_on_another_task_does_not_count() {
    let other = hash(&payment("{\"id\":2}"));
    for vote in [
        Key::new(ALICE).vote(other, Choice::Approve, NOW),
        Passkey::new(ALICE_PASSKEY).vote(other, Choice::Approve, NOW),
    ] {
        ignored(vote, "for another task");
    }
}

/// The ids differ, and so do the hashes, although both tasks order the same.
#[test]
fn vote_replayed_on_a_task_with_the_same_text_does_not_count() {
    let again = payment("{\"id\":2}");
    let both = [yes(ALICE), yes(BOB)];
    assert_eq!(judge(&two_of_finance(), &both), "approve");
    let (code, reason) = decide(&two_of_finance(), &with_votes(again, &both));
    assert_eq!(code, "quorum-pending");
    assert!(reason.contains("2 for another task"), "{reason}");
}

#[test]
fn vote_with_an_altered_byte_never_counts() {
    for vote in [yes(ALICE), yes(ALICE_PASSKEY)] {
        let length = vote.to_bytes().len();
        let altered: Vec<_> = (0..length).filter_map(|at| flipped(&vote, at)).collect();
        assert!(altered.len() > length / 2, "most are still votes");
        for other in altered {
            let outcome = judge(&two_of_finance(), &[yes(BOB), other.clone()]);
            assert_eq!(outcome, "quorum-pending", "{other:?}");
        }
    }
}

#[test]
fn vote_that_somebody_else_made_in_the_name_of_an_approver_does_not_count() {
    let ballot = *yes(ALICE).ballot();
    let forged = Vote::new(ballot, yes(DAVE).proof().clone()).unwrap();
    ignored(forged, "with a wrong signature");
}

#[test]
fn vote_from_another_origin_does_not_count() {
    let other = passkey(|passkey| {
        passkey.client_data = passkey.client_data.replace(ORIGIN, "https://evil.example");
    });
    ignored(approval(&other), "from a page that may not collect votes");
}

#[test]
fn vote_from_inside_another_page_does_not_count() {
    let other = passkey(|passkey| {
        passkey.client_data = passkey.client_data.replace("false", "true");
    });
    ignored(approval(&other), "from inside a page of another origin");
}

#[test]
fn vote_with_another_rp_id_does_not_count() {
    let other = passkey(|passkey| passkey.rp_id = "evil.example".into());
    ignored(approval(&other), "by a passkey of another domain");
}

#[test]
fn vote_without_verification_of_the_user_does_not_count() {
    let unverified = passkey(|passkey| passkey.flags &= !4);
    ignored(approval(&unverified), "without verification of the user");
    let absent = passkey(|passkey| passkey.flags &= !1);
    ignored(approval(&absent), "without a confirmation at the device");
}

#[test]
fn vote_with_a_malleated_p256_signature_does_not_count() {
    let vote = yes(ALICE_PASSKEY);
    let Proof::Passkey(assertion) = vote.proof().clone() else {
        panic!("{vote:?}");
    };
    let malleated = Assertion {
        signature: other_s(&assertion.signature),
        ..assertion
    };
    let other = Vote::new(*vote.ballot(), Proof::Passkey(malleated)).unwrap();
    ignored(other, "with a signature in its other form");
}

#[test]
fn vote_under_an_ed25519_key_of_small_order_cannot_even_be_read() {
    let mut vote: serde_json::Value = serde_json::from_str(&yes(ALICE).to_json()).unwrap();
    assert!(SMALL_ORDER.parse::<ApproverId>().is_err());
    vote["approver"] = SMALL_ORDER.into();
    let mut asked = with_votes(task(), &[yes(BOB)]);
    asked.extra.push(claim(&format!("[{vote}]")));
    let (code, reason) = decide(&two_of_finance(), &asked);
    assert_eq!(code, "quorum-pending");
    assert!(reason.ends_with("1 that cannot be read"), "{reason}");
}

#[test]
fn vote_by_an_unknown_approver_does_not_count() {
    ignored(yes(99), "by unknown approvers");
    ignored(no(99), "by unknown approvers");
}

#[test]
fn vote_by_a_key_that_was_removed_meanwhile_does_not_count() {
    let votes = [yes(ALICE), yes(BOB)];
    assert_eq!(judge(&two_of_finance(), &votes), "approve");
    let removed = two_of_finance().replace(
        &Key::new(ALICE).id().to_string(),
        &Key::new(98).id().to_string(),
    );
    let (code, reason) = decide(&removed, &with_votes(task(), &votes));
    assert_eq!(code, "quorum-pending");
    assert!(reason.ends_with("1 by unknown approvers"), "{reason}");
}

#[test]
fn vote_of_somebody_outside_the_groups_of_the_rule_does_not_count() {
    ignored(yes(DAVE), "by people whom the rule does not count");
}

#[test]
fn vote_that_has_expired_does_not_count() {
    let at = |age| vote(ALICE, Choice::Approve, NOW - age);
    let in_time = [yes(BOB), at(24 * HOUR)];
    assert_eq!(judge(&two_of_finance(), &in_time), "approve");
    ignored(at(24 * HOUR + 1), "that have expired");
    let short = needs("require: {group: finance, votes: 2}, max_age: 30m");
    let votes = with_votes(task(), &[yes(BOB), yes(ALICE)]);
    let host = MockHost::default();
    host.advance(Duration::from_millis(HOUR / 2));
    assert_eq!(decide_at(&host, &short, &votes).0, "approve");
    host.advance(Duration::from_millis(1));
    assert_eq!(decide_at(&host, &short, &votes).0, "quorum-pending");
}

#[test]
fn vote_from_the_future_does_not_count() {
    let at = |lead| vote(ALICE, Choice::Approve, NOW + lead);
    let in_time = [yes(BOB), at(Vote::MAX_SKEW_MS)];
    assert_eq!(judge(&two_of_finance(), &in_time), "approve");
    ignored(at(Vote::MAX_SKEW_MS + 1), "from the future");
}

#[test]
fn vote_sent_twice_counts_once() {
    let votes = [yes(ALICE), yes(ALICE), yes(ALICE)];
    assert_eq!(judge(&two_of_finance(), &votes), "quorum-pending");
    let later = vote(ALICE, Choice::Approve, NOW - 1);
    ignored_twice(&[yes(ALICE), later]);
}

#[test]
fn vote_twice_by_one_person_under_two_keys_counts_once() {
    ignored_twice(&[yes(ALICE), yes(ALICE_PASSKEY)]);
}

/// Both votes are of one person, so one more is needed.
fn ignored_twice(votes: &[Vote]) {
    let (code, reason) = decide(&two_of_finance(), &with_votes(task(), votes));
    assert_eq!(code, "quorum-pending");
    assert!(
        reason.ends_with(
            "alice has approved; bob and carol can still vote; votes that do not count: 1 of people who have approved already"
        ),
        "{reason}"
    );
}

#[test]
fn vote_quorum_cannot_be_had_from_one_persons_keys() {
    let many = 8;
    let keys: Vec<_> = (100..100 + many).map(Key::new).collect();
    let ids: Vec<_> = keys.iter().map(|key| key.id().to_string()).collect();
    let alices = Key::new(ALICE).id().to_string();
    let config = two_of_finance()
        .replace(&format!(r#""{}""#, Passkey::new(ALICE_PASSKEY).id()), "")
        .replace(
            &format!(r#""{alices}","#),
            &format!(r#""{}""#, ids.join(r#"",""#)),
        );
    let votes: Vec<_> = keys
        .iter()
        .map(|key| key.vote(hash(&task()), Choice::Approve, NOW))
        .collect();
    assert_eq!(judge(&config, &votes), "quorum-pending");
    assert_eq!(
        judge(&config, &[&votes[..], &[yes(BOB)]].concat()),
        "approve"
    );
}

#[test]
fn vote_to_approve_and_then_to_reject_rejects() {
    let rejected = vote(BOB, Choice::Reject, NOW + 1);
    let (code, reason) = decide(
        &two_of_finance(),
        &with_votes(task(), &[yes(ALICE), yes(BOB), rejected]),
    );
    assert_eq!(code, "quorum-pending");
    assert!(
        reason
            .ends_with("carol can still vote; votes that do not count: 1 withdrawn by a rejection"),
        "{reason}"
    );
    // Whichever of her keys she rejects with.
    let rejected = vote(ALICE_PASSKEY, Choice::Reject, NOW + 1);
    let votes = [yes(ALICE), yes(BOB), rejected];
    assert_eq!(judge(&two_of_finance(), &votes), "quorum-pending");
}

#[test]
fn vote_to_reject_and_then_to_approve_approves() {
    let earlier = vote(BOB, Choice::Reject, NOW - 1);
    let votes = [earlier, yes(ALICE), yes(BOB)];
    assert_eq!(judge(&two_of_finance(), &votes), "approve");
}

#[test]
fn vote_to_approve_and_to_reject_at_the_same_time_rejects() {
    let votes = [no(BOB), yes(ALICE), yes(BOB)];
    assert_eq!(judge(&two_of_finance(), &votes), "quorum-pending");
}

#[test]
fn vote_to_reject_does_not_expire_and_may_be_from_the_future() {
    for time in [1, NOW - 48 * HOUR, NOW + 48 * HOUR] {
        let votes = [vote(BOB, Choice::Reject, time), no(CAROL), yes(ALICE)];
        assert_eq!(judge(&two_of_finance(), &votes), "quorum-rejected");
    }
    // An approval that does not count takes no rejection back.
    let expired = vote(BOB, Choice::Approve, NOW - 25 * HOUR);
    let votes = [vote(BOB, Choice::Reject, 1), expired, no(CAROL), yes(ALICE)];
    assert_eq!(judge(&two_of_finance(), &votes), "quorum-rejected");
}

#[test]
fn vote_that_is_forged_rejects_nothing() {
    let genuine = [yes(ALICE), yes(BOB)];
    let forged = Vote::new(*no(BOB).ballot(), no(DAVE).proof().clone()).unwrap();
    let votes = [&genuine[..], &[forged]].concat();
    assert_eq!(judge(&two_of_finance(), &votes), "approve");
}

#[test]
fn votes_in_the_thousands_are_refused_before_they_are_looked_at() {
    let many: Vec<_> = (0..10_000)
        .map(|at| {
            let ballot = countersign_protocol::Ballot {
                time: countersign_protocol::UnixMillis(at),
                ..*yes(ALICE).ballot()
            };
            Vote::new(ballot, yes(ALICE).proof().clone()).unwrap()
        })
        .collect();
    let asked = with_votes(task(), &[&[yes(ALICE), yes(BOB)], &many[..]].concat());
    let (code, reason) = decide(&two_of_finance(), &asked);
    assert_eq!(code, "quorum-too-many-votes");
    assert!(reason.contains("bytes"), "{reason}");
    let most = [&[yes(ALICE), yes(BOB)], &many[..MAX_VOTES - 2]].concat();
    assert_eq!(judge(&two_of_finance(), &most), "approve");
    let more = [&most[..], &[yes(CAROL)]].concat();
    assert_eq!(judge(&two_of_finance(), &more), "quorum-too-many-votes");
}

#[test]
fn vote_lists_that_cannot_be_read_are_refused_and_single_votes_ignored() {
    for value in ["", "yes", "{}", "[", "[{\"a\":1,\"a\":2}]", "null"] {
        let mut asked = with_votes(task(), &[yes(ALICE), yes(BOB)]);
        asked.extra.push(claim(value));
        let (code, reason) = decide(&two_of_finance(), &asked);
        assert_eq!(code, "quorum-votes-malformed", "{value}");
        assert!(reason.contains("not a list of votes"), "{reason}");
    }
    let mut asked = with_votes(task(), &[yes(ALICE), yes(BOB)]);
    asked.extra.push(claim("[{}, 1, \"x\", null, []]"));
    assert_eq!(decide(&two_of_finance(), &asked).0, "approve");
}

/// A requester can neither add to the votes nor keep those of others away.
#[test]
fn votes_that_the_requester_claims_are_read_like_others() {
    let mut asked = task();
    asked.extra.push(claim("[]"));
    let asked = with_votes(with_votes(asked, &[yes(ALICE)]), &[yes(BOB)]);
    assert_eq!(decide(&two_of_finance(), &asked).0, "approve");
}

#[test]
fn votes_under_another_name_or_origin_are_none() {
    for change in [
        |said: &mut Statement| said.name = "vote".into(),
        |said: &mut Statement| said.origin = Origin::Fact,
    ] {
        let mut asked = with_votes(task(), &[yes(ALICE), yes(BOB)]);
        change(asked.extra.last_mut().unwrap());
        assert_eq!(decide(&two_of_finance(), &asked).0, "quorum-pending");
    }
}

/// WebAuthn leaves to the reader what follows from it. Here it is told to the operator.
#[test]
fn vote_whose_sign_counter_goes_back_is_reported() {
    let rejected = |counter, time| {
        let passkey = passkey(|passkey| passkey.counter = counter);
        passkey.vote(hash(&task()), Choice::Reject, time)
    };
    let warnings = |earlier, later| {
        let votes = [rejected(earlier, NOW - 1), rejected(later, NOW)];
        let host = MockHost::default();
        decide_at(&host, &two_of_finance(), &with_votes(task(), &votes));
        let lines = host.lines();
        let warned = lines.iter().filter(|(level, _)| *level == Level::Warn);
        warned.map(|(_, line)| line.clone()).collect::<Vec<_>>()
    };
    assert!(warnings(7, 8).is_empty() && warnings(0, 0).is_empty());
    for (earlier, later) in [(8, 7), (7, 7), (7, 0)] {
        let said = warnings(earlier, later);
        let numbers = format!("went from {earlier} to {later}");
        assert!(said.len() == 1 && said[0].contains(&numbers), "{said:?}");
    }
}
