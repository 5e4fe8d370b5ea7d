//! What votes add up to: groups, the initiator, vetoes, and the words of a refusal.

use super::*;

const ALL_OF_BOTH: &str =
    "require: {all: [{group: finance, votes: 2}, {group: security, votes: 1}]}";
const ANY_OF_BOTH: &str =
    "require: {any: [{group: finance, votes: 3}, {group: security, votes: 2}]}";

fn ordered_by(id: &str, name: &str) -> Task {
    let mut task = task();
    task.requester.id = id.into();
    task.requester.name = name.into();
    task
}

#[test]
fn a_pending_task_is_told_with_those_who_can_still_vote() {
    for (votes, expected) in [
        (
            vec![],
            "it needs 2 of finance; nobody has approved yet; alice, bob and carol can still vote",
        ),
        (
            vec![yes(BOB)],
            "it needs 2 of finance; bob has approved; alice and carol can still vote",
        ),
        (
            vec![yes(BOB), no(ALICE)],
            "it needs 2 of finance; bob has approved; carol can still vote",
        ),
    ] {
        let (code, reason) = decide(&two_of_finance(), &with_votes(task(), &votes));
        assert_eq!(
            (code.as_str(), reason.as_str()),
            ("quorum-pending", expected)
        );
    }
    assert_eq!(decide(&two_of_finance(), &task()).0, "quorum-pending");
}

#[test]
fn all_groups_must_approve() {
    let config = needs(ALL_OF_BOTH);
    for (votes, expected) in [
        (vec![yes(ALICE), yes(BOB), yes(DAVE)], "approve"),
        (vec![yes(ALICE), yes(CAROL), yes(DAVE)], "approve"),
        (vec![yes(ALICE), yes(BOB)], "quorum-pending"),
        (vec![yes(DAVE), yes(ERIN_PASSKEY)], "quorum-pending"),
        (
            vec![yes(ALICE), yes(DAVE), yes(ERIN_PASSKEY)],
            "quorum-pending",
        ),
    ] {
        assert_eq!(judge(&config, &votes), expected, "{votes:?}");
    }
}

/// Carol is in both groups, and is moved to where she is needed.
#[test]
fn a_person_in_two_groups_counts_for_one_of_them() {
    let config = needs(ALL_OF_BOTH);
    for (votes, expected) in [
        (vec![yes(ALICE), yes(BOB), yes(CAROL)], "approve"),
        (vec![yes(ALICE), yes(CAROL)], "quorum-pending"),
        (vec![yes(CAROL), yes(DAVE)], "quorum-pending"),
        (vec![yes(CAROL), yes(DAVE), yes(BOB)], "approve"),
    ] {
        assert_eq!(judge(&config, &votes), expected, "{votes:?}");
    }
    let one_of_each =
        needs("require: {all: [{group: finance, votes: 1}, {group: security, votes: 1}]}");
    assert_eq!(judge(&one_of_each, &[yes(CAROL)]), "quorum-pending");
    assert_eq!(judge(&one_of_each, &[yes(CAROL), yes(DAVE)]), "approve");
}

#[test]
fn any_group_may_approve() {
    let config = needs(ANY_OF_BOTH);
    for (votes, expected) in [
        (vec![yes(DAVE), yes(ERIN_PASSKEY)], "approve"),
        (vec![yes(ALICE), yes(BOB), yes(CAROL)], "approve"),
        (vec![yes(ALICE), yes(BOB), yes(DAVE)], "quorum-pending"),
    ] {
        assert_eq!(judge(&config, &votes), expected, "{votes:?}");
    }
    let nested = needs(
        "require: {all: [{group: finance, votes: 1}, {any: [{group: finance, votes: 2}, {group: security, votes: 1}]}]}",
    );
    assert_eq!(judge(&nested, &[yes(ALICE), yes(DAVE)]), "approve");
    assert_eq!(judge(&nested, &[yes(ALICE), yes(BOB)]), "quorum-pending");
    let (_, reason) = decide(&nested, &task());
    assert!(
        reason.starts_with("it needs 1 of finance and (2 of finance or 1 of security); "),
        "{reason}"
    );
}

#[test]
fn the_initiator_does_not_count() {
    for (id, name) in [("csr1x", "alices-desk"), ("alices-desk", "")] {
        let asked = ordered_by(id, name);
        let votes = [yes(ALICE), yes(ALICE_PASSKEY), yes(BOB)];
        let (code, reason) = decide(&two_of_finance(), &with_votes(asked.clone(), &votes));
        assert_eq!(code, "quorum-pending");
        assert!(
            reason.ends_with(
                "bob has approved; carol can still vote; votes that do not count: 2 by the initiator"
            ),
            "{reason}"
        );
        let others = [yes(CAROL), yes(BOB)];
        assert_eq!(
            decide(&two_of_finance(), &with_votes(asked, &others)).0,
            "approve"
        );
    }
}

/// One key is one person, whatever the lists say, and a passkey is called like its owner.
#[test]
fn whoever_orders_with_the_key_she_votes_with_does_not_count() {
    let of_key = |id: countersign_protocol::ApproverId| {
        countersign_protocol::RequesterId::new(*id.key())
            .unwrap()
            .to_string()
    };
    let hers = of_key(Passkey::new(ALICE_PASSKEY).id());
    let by_key = of_key(Key::new(ALICE).id());
    let unknown = of_key(Passkey::new(7).id());
    let votes = [yes(ALICE), yes(ALICE_PASSKEY), yes(BOB)];
    for (id, name) in [
        (hers.as_str(), "console"),
        (&hers, ""),
        (&by_key, "console"),
        (&unknown, "alice"),
    ] {
        let asked = with_votes(ordered_by(id, name), &votes);
        let (code, reason) = decide(&two_of_finance(), &asked);
        assert_eq!(code, "quorum-pending", "{id} {name}");
        assert!(reason.contains("2 by the initiator"), "{reason}");
    }
    let other_key = of_key(Key::new(77).id());
    for (id, name) in [(unknown.as_str(), "console"), (&other_key, "alice")] {
        let asked = with_votes(ordered_by(id, name), &votes);
        assert_eq!(decide(&two_of_finance(), &asked).0, "approve", "{name}");
    }
}

#[test]
fn the_initiator_counts_where_the_rule_says_so() {
    let config = needs("require: {group: finance, votes: 2}, initiator: allow");
    let asked = ordered_by("csr1x", "alices-desk");
    let votes = [yes(ALICE), yes(BOB)];
    assert_eq!(decide(&config, &with_votes(asked, &votes)).0, "approve");
}

/// Her own rejection is heard all the same.
#[test]
fn the_initiator_may_reject() {
    let config = needs("require: {group: finance, votes: 2}, veto: [finance]");
    let votes = [no(ALICE), yes(BOB), yes(CAROL)];
    let asked = with_votes(ordered_by("csr1x", "alices-desk"), &votes);
    assert_eq!(decide(&config, &asked).0, "quorum-rejected");
}

#[test]
fn a_task_that_cannot_be_approved_without_its_initiator_is_refused_at_once() {
    let config = needs("require: {group: finance, votes: 3}");
    let (code, reason) = decide(&config, &ordered_by("csr1x", "alices-desk"));
    assert_eq!(code, "quorum-impossible");
    assert!(reason.contains("without alice"), "{reason}");
}

#[test]
fn a_requester_without_a_name_is_nobodys_initiator() {
    let config = two_of_finance().replace("alices-desk", "");
    let votes = with_votes(ordered_by("csr1x", ""), &[yes(ALICE), yes(BOB)]);
    assert_eq!(decide(&config, &votes).0, "approve");
}

#[test]
fn a_veto_refuses_at_once_whoever_approves() {
    let everybody = [yes(ALICE), yes(BOB), yes(CAROL)];
    for (veto, seed, expected) in [
        ("[dave]", DAVE, "quorum-rejected"),
        ("[security]", ERIN_PASSKEY, "quorum-rejected"),
        ("[security]", BOB, "approve"),
        ("[dave, finance]", BOB, "quorum-rejected"),
        ("[dave]", ERIN_PASSKEY, "approve"),
    ] {
        let config = needs(&format!(
            "require: {{group: finance, votes: 2}}, veto: {veto}"
        ));
        let votes = [&everybody[..], &[no(seed)]].concat();
        assert_eq!(judge(&config, &votes), expected, "{veto}, {seed}");
    }
    let config = needs("require: {group: finance, votes: 2}, veto: [dave]");
    let (_, reason) = decide(&config, &with_votes(task(), &[no(DAVE)]));
    assert!(reason.starts_with("dave rejected it and may do so alone"));
}

#[test]
fn a_veto_can_be_taken_back() {
    let config = needs("require: {group: finance, votes: 2}, veto: [dave]");
    let both = [yes(ALICE), yes(BOB)];
    let earlier = vote(DAVE, Choice::Reject, NOW - 1);
    let votes = [&both[..], &[earlier, yes(DAVE)]].concat();
    assert_eq!(judge(&config, &votes), "approve");
}

#[test]
fn other_rejections_refuse_once_too_few_are_left() {
    let config = two_of_finance();
    assert_eq!(judge(&config, &[no(ALICE)]), "quorum-pending");
    let (code, reason) = decide(
        &config,
        &with_votes(task(), &[no(ALICE), no(BOB), yes(CAROL)]),
    );
    assert_eq!(code, "quorum-rejected");
    assert!(
        reason.contains("cannot be had any more since alice and bob rejected it"),
        "{reason}"
    );
    // Somebody whom the rule does not count changes nothing.
    let votes = [no(DAVE), no(ERIN_PASSKEY), yes(ALICE), yes(BOB)];
    assert_eq!(judge(&config, &votes), "approve");
}

#[test]
fn a_number_of_rejections_refuses_although_enough_approve() {
    let config = needs("require: {group: finance, votes: 1}, rejections: 2");
    assert_eq!(judge(&config, &[yes(ALICE), no(BOB)]), "approve");
    let votes = [yes(ALICE), no(BOB), no(CAROL)];
    assert_eq!(judge(&config, &votes), "quorum-rejected");
    // Those whom the rule does not know are not heard.
    let votes = [yes(ALICE), no(BOB), no(DAVE)];
    assert_eq!(judge(&config, &votes), "approve");
}

#[test]
fn the_order_of_votes_changes_neither_outcome_nor_words() {
    let votes = [
        yes(BOB),
        no(CAROL),
        yes(ALICE_PASSKEY),
        vote(BOB, Choice::Reject, NOW - 1),
        vote(ALICE, Choice::Approve, NOW - 25 * HOUR),
        yes(99),
    ];
    let config = needs("require: {group: finance, votes: 3}");
    let expected = decide(&config, &with_votes(task(), &votes));
    for turn in 0..votes.len() {
        let mut turned = votes.clone();
        turned.rotate_left(turn);
        assert_eq!(decide(&config, &with_votes(task(), &turned)), expected);
        turned.reverse();
        assert_eq!(decide(&config, &with_votes(task(), &turned)), expected);
    }
}

/// All that a coordinator can do by holding votes back is to delay, or to hide a rejection.
#[test]
fn leaving_an_approval_out_never_approves() {
    let votes = [
        yes(ALICE),
        no(BOB),
        yes(CAROL),
        yes(DAVE),
        yes(ERIN_PASSKEY),
    ];
    for rule in [ALL_OF_BOTH, ANY_OF_BOTH] {
        let config = needs(rule);
        for chosen in 0u8..32 {
            let some: Vec<_> = votes
                .iter()
                .enumerate()
                .filter(|(at, _)| chosen & (1 << at) != 0)
                .map(|(_, vote)| vote.clone())
                .collect();
            if judge(&config, &some) != "approve" {
                for left_out in 0..some.len() {
                    let mut fewer = some.clone();
                    if fewer.remove(left_out).ballot().choice == Choice::Approve {
                        assert_ne!(judge(&config, &fewer), "approve");
                    }
                }
            }
        }
    }
}
