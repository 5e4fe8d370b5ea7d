//! The memory of limits, and limits under concurrent decisions.

use std::time::Duration;

use countersign_sdk::Operation;
use countersign_sdk::testing::{Conflict, blind, message};

use super::*;

const RULES: &str =
    "{assets: {eth: {id: 'eip155:1'}}, policies: [{name: p, transactions: {}, messages: {}, limits: [
    {per: hour, tasks: 3}, {per: day, asset: eth, max: 100}, {per: week, asset: eth, max: 150}]}]}";
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

const USDC: &str = "eip155:1/erc20:0xa0b8";

fn config() -> Config {
    json::config(&in_file(RULES)).unwrap()
}

/// A payment with an id of its own, received when the host's clock says.
fn pay(host: &MockHost, id: &str, amount: &str) -> Task {
    let mut task = transfer("eip155:1", "0xabc", amount);
    task.id = id.into();
    task.received_at = host.now();
    task
}

fn decide(host: &MockHost, task: &Task) -> String {
    code(host.decide::<Rules>(&config(), task).unwrap())
}

#[test]
fn amounts_add_up_over_tasks_and_leave_the_window_to_the_millisecond() {
    let host = MockHost::default();
    assert_eq!(decide(&host, &pay(&host, "a", "60")), "approve");
    assert_eq!(
        decide(&host, &pay(&host, "b", "41")),
        "keysign-limit-amount"
    );
    assert_eq!(decide(&host, &pay(&host, "c", "40")), "approve");
    host.advance(DAY - Duration::from_millis(1));
    assert_eq!(
        decide(&host, &pay(&host, "d", "1")),
        "keysign-limit-amount",
        "still within a day"
    );
    host.advance(Duration::from_millis(1));
    assert_eq!(decide(&host, &pay(&host, "e", "50")), "approve");
    assert_eq!(
        decide(&host, &pay(&host, "f", "1")),
        "keysign-limit-amount",
        "the week remembers all 150"
    );
    host.advance(6 * DAY);
    assert_eq!(
        decide(&host, &pay(&host, "g", "100")),
        "approve",
        "only 50 of this week are left"
    );
}

/// Judges by limits of USDC and of ether, beside a section about rights.
fn decide_rights(host: &MockHost, grants: &str, task: &Task) -> String {
    let rules = format!(
        "{{assets: {{usdc: {{id: '{USDC}'}}, eth: {{id: 'eip155:1'}}, positions: {{id: 'eip155:1/erc721:0xc364'}}}}, \
         policies: [{{name: p, transactions: {{}}, typed_data: {{}}, grants: {grants}, limits: [ \
         {{per: day, asset: usdc, max: 1000}}, {{per: day, asset: eth, max: 5}}, \
         {{per: day, asset: positions, max: 1}}]}}]}}"
    );
    code(
        host.decide::<Rules>(&json::config(&in_file(&rules)).unwrap(), task)
            .unwrap(),
    )
}

/// Typed data that is known to grant these rights and no other.
fn authorises(rights: &[(&str, Option<&str>)]) -> Task {
    let grant = |(asset, amount): &(&str, Option<&str>)| countersign_sdk::Grant {
        spender: "0xbob".into(),
        asset: (*asset).into(),
        amount: amount.map(Into::into),
    };
    let grants = rights.iter().map(grant).collect();
    let task = testing::typed_data(
        Some("eip155:1"),
        Some("0xa0b8"),
        "TransferWithAuthorization",
        grants,
    );
    testing::with_fact(task, "typed-data-rights", "shown")
}

/// The holder of the signature needs no other to take the amount.
#[test]
fn payments_by_typed_data_count() {
    let host = MockHost::default();
    let decide = |rights: &[(&str, Option<&str>)], id: &str| {
        let task = Task {
            id: id.into(),
            received_at: host.now(),
            ..authorises(rights)
        };
        decide_rights(&host, "{spenders: ['0xbob']}", &task)
    };
    assert_eq!(decide(&[(USDC, Some("400"))], "a"), "approve");
    assert_eq!(
        decide(&[(USDC, Some("300")), (USDC, Some("301"))], "b"),
        "keysign-limit-amount"
    );
    assert_eq!(
        decide(&[("eip155:1/token:0xa0b8", Some("601"))], "c"),
        "keysign-limit-amount"
    );
    assert_eq!(
        decide(&[(USDC, Some("300")), (USDC, Some("300"))], "d"),
        "approve"
    );
    assert_eq!(decide(&[(USDC, Some("1"))], "e"), "keysign-limit-amount");
    assert_eq!(
        decide(&[(USDC, Some("0"))], "f"),
        "approve",
        "a right to nothing"
    );
    assert_eq!(
        decide(&[("eip155:1/token:0xc364", Some("7"))], "g"),
        "approve",
        "one token"
    );
    assert_eq!(
        decide(&[("eip155:1/token:0xc364", Some("8"))], "h"),
        "keysign-limit-amount",
        "a second one"
    );
    host.advance(DAY);
    assert_eq!(decide(&[(USDC, Some("1000"))], "i"), "approve");
}

#[test]
fn rights_by_transactions_count_like_those_by_typed_data() {
    let host = MockHost::default();
    let approves = |id: &str, spender: &str, amount: Option<&str>| {
        let task = transaction("eip155:1")
            .calls("0xa0b8", &[9, 5, 0xEA, 0xB3])
            .known_as("approve(address,uint256)")
            .grants(spender, "eip155:1/token:0xa0b8", amount)
            .task();
        let task = Task {
            id: id.into(),
            received_at: host.now(),
            ..task
        };
        decide_rights(&host, "{spenders: ['0xbob'], unlimited: allow}", &task)
    };
    assert_eq!(approves("a", "0xbob", Some("600")), "approve");
    assert_eq!(approves("b", "0xbob", Some("600")), "keysign-limit-amount");
    assert_eq!(approves("c", "0xbob", None), "keysign-grant-unlimited");
    assert_eq!(
        approves("d", "0xbob", Some("0")),
        "approve",
        "takes the right away"
    );
    let paid = transaction("eip155:1")
        .pays_asset(USDC, "0xeve", "401")
        .task();
    assert_eq!(
        decide_rights(&host, "{spenders: ['0xbob']}", &paid),
        "keysign-limit-amount"
    );
}

#[test]
fn rights_to_what_no_limit_names_need_a_list_of_rights() {
    let other = authorises(&[("eip155:1/erc20:0xda1", Some("5"))]);
    for (grants, expected) in [
        ("{spenders: ['0xbob']}", "keysign-asset-not-limited"),
        (
            "{spenders: ['0xbob'], unlimited: allow}",
            "keysign-asset-not-limited",
        ),
        (
            "{spenders: ['0xbob'], amounts: [{asset: usdc, max: 5}]}",
            "keysign-grant-asset-not-allowed",
        ),
    ] {
        assert_eq!(
            decide_rights(&MockHost::default(), grants, &other),
            expected,
            "{grants}"
        );
    }
    let unlimited = authorises(&[(USDC, None)]);
    let leave = "{spenders: ['0xbob'], unlimited: allow}";
    assert_eq!(
        decide_rights(&MockHost::default(), leave, &unlimited),
        "keysign-grant-unlimited"
    );
}

#[test]
fn tasks_are_counted_whatever_they_sign() {
    let host = MockHost::default();
    for id in ["a", "b", "c"] {
        let mut task = message("eip191", "x");
        task.id = id.into();
        assert_eq!(decide(&host, &task), "approve");
    }
    assert_eq!(decide(&host, &pay(&host, "d", "1")), "keysign-limit-tasks");
    host.advance(HOUR);
    assert_eq!(decide(&host, &pay(&host, "d", "1")), "approve");
}

#[test]
fn what_was_refused_uses_nothing_up() {
    let host = MockHost::default();
    for id in ["a", "b", "c", "d"] {
        assert_eq!(
            decide(&host, &pay(&host, id, "101")),
            "keysign-limit-amount"
        );
    }
    assert_eq!(decide(&host, &pay(&host, "e", "100")), "approve");
}

#[test]
fn every_key_has_limits_of_its_own() {
    let host = MockHost::default();
    assert_eq!(decide(&host, &pay(&host, "a", "100")), "approve");
    let mut other = pay(&host, "b", "100");
    let Operation::Sign(signing) = &mut other.operation else {
        unreachable!()
    };
    signing.key.id = "key-10".into(); // `key-1` is the beginning of its name.
    assert_eq!(decide(&host, &other), "approve");
    assert_eq!(decide(&host, &pay(&host, "c", "1")), "keysign-limit-amount");
}

#[test]
fn change_uses_nothing_up() {
    let host = MockHost::default();
    let mut task = transaction("eip155:1")
        .pays("0xa", "60")
        .change("0xb", "1000")
        .task();
    assert_eq!(decide(&host, &task), "approve");
    task.id = "b".into();
    assert_eq!(decide(&host, &task), "keysign-limit-amount");
}

#[test]
fn two_tasks_at_the_same_time_cannot_use_the_same_rest() {
    let host = MockHost::default();
    let first = host.call();
    let second = host.call();
    let a = pay(&host, "a", "60");
    let b = pay(&host, "b", "60");
    assert_eq!(
        code(Rules::evaluate(&config(), &a, &first).unwrap()),
        "approve"
    );
    assert_eq!(
        code(Rules::evaluate(&config(), &b, &second).unwrap()),
        "approve"
    );
    let _reservation = first.commit().unwrap();
    assert_eq!(
        second.commit().unwrap_err(),
        Conflict,
        "so the node asks again"
    );
    assert_eq!(decide(&host, &b), "keysign-limit-amount");
}

#[test]
fn what_was_reserved_and_not_signed_is_free_again() {
    let host = MockHost::default();
    let call = host.call();
    assert_eq!(
        code(Rules::evaluate(&config(), &pay(&host, "a", "100"), &call).unwrap()),
        "approve"
    );
    let reservation = call.commit().unwrap();
    assert_eq!(decide(&host, &pay(&host, "b", "1")), "keysign-limit-amount");
    host.release(reservation);
    assert_eq!(decide(&host, &pay(&host, "b", "1")), "approve");
}

#[test]
fn a_clock_that_is_set_back_frees_nothing() {
    let host = MockHost::default();
    let mut late = pay(&host, "a", "100");
    late.received_at += 3_600_000;
    assert_eq!(decide(&host, &late), "approve");
    assert_eq!(decide(&host, &pay(&host, "b", "1")), "keysign-limit-amount");
}

#[test]
fn more_entries_than_one_list_holds_are_all_counted() {
    let rules = "{assets: {eth: {id: 'eip155:1'}}, policies: [{name: p, transactions: {}, limits: [{per: day, asset: eth, max: 2500}]}]}";
    let config = json::config::<Config>(&in_file(rules)).unwrap();
    let host = MockHost::default();
    for i in 0..2500u64 {
        let at = MockHost::NOW - 2500 * 7 + i * 7;
        host.state_set(
            &format!("used/p/key-1/{at:013}/t{i}"),
            b"eip155:1 1",
            Some(DAY),
        )
        .unwrap();
    }
    let task = pay(&host, "a", "1");
    let Verdict::Reject(rejection) = host.decide::<Rules>(&config, &task).unwrap() else {
        panic!("2501 of 2500")
    };
    assert!(
        rejection.reason.contains("2501 eth"),
        "{}",
        rejection.reason
    );
}

#[test]
fn too_many_tasks_in_one_instant_are_a_failure_and_no_approval() {
    let host = MockHost::default();
    for i in 0..1000u64 {
        host.state_set(
            &format!("used/p/key-1/{:013}/t{i}", MockHost::NOW),
            b"",
            Some(DAY),
        )
        .unwrap();
    }
    let failure = host
        .decide::<Rules>(&config(), &pay(&host, "a", "1"))
        .unwrap_err();
    assert!(matches!(failure, Failure::Unavailable(_)), "{failure:?}");
}

#[test]
fn a_damaged_entry_is_a_failure() {
    for (name, value) in [
        ("x", ""),
        ("1/t", ""),
        ("1800000000000/t", "eip155:1"),
        ("1800000000000/t", "eip155:1 -1"),
    ] {
        let host = MockHost::default();
        host.state_set(&format!("used/p/key-1/{name}"), value.as_bytes(), None)
            .unwrap();
        let failure = host
            .decide::<Rules>(&config(), &pay(&host, "a", "1"))
            .unwrap_err();
        assert!(
            matches!(failure, Failure::Internal(_)),
            "{name}: {failure:?}"
        );
    }
}

/// Room for two entries: of two approved tasks in progress, or of what they signed.
fn small_memory() -> MockHost {
    MockHost::default().with_state_bytes(100)
}

#[test]
fn a_memory_full_of_reservations_refuses_and_recovers_when_one_is_released() {
    let host = small_memory();
    let reserve = |id: &str| {
        let call = host.call();
        assert_eq!(
            code(Rules::evaluate(&config(), &pay(&host, id, "1"), &call).unwrap()),
            "approve",
            "{id}"
        );
        call.commit().unwrap()
    };
    let first = reserve("a");
    let _second = reserve("b");
    let verdict = host
        .decide::<Rules>(&config(), &pay(&host, "c", "1"))
        .unwrap();
    let Verdict::Reject(rejection) = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!(rejection.code, "keysign-limit-memory");
    assert!(
        rejection.reason.contains("100 bytes") && rejection.reason.contains("state_bytes"),
        "{rejection:?}"
    );
    host.release(first);
    assert_eq!(
        decide(&host, &pay(&host, "c", "1")),
        "approve",
        "nothing was signed under the first"
    );
    assert_eq!(
        decide(&host, &pay(&host, "d", "1")),
        "keysign-limit-memory",
        "and it is full again"
    );
}

#[test]
fn a_full_memory_recovers_when_entries_leave_the_longest_window() {
    let host = small_memory();
    assert_eq!(decide(&host, &pay(&host, "a", "1")), "approve");
    host.advance(DAY);
    assert_eq!(decide(&host, &pay(&host, "b", "1")), "approve");
    assert_eq!(decide(&host, &pay(&host, "c", "1")), "keysign-limit-memory");
    host.advance(6 * DAY);
    assert_eq!(
        decide(&host, &pay(&host, "c", "1")),
        "approve",
        "the first is a week old"
    );
    assert_eq!(decide(&host, &pay(&host, "d", "1")), "keysign-limit-memory");
}

#[test]
fn without_limits_nothing_is_remembered() {
    let config =
        json::config::<Config>(&in_file("{policies: [{name: p, transactions: {}}]}")).unwrap();
    let host = MockHost::default();
    assert_eq!(
        code(
            host.decide::<Rules>(&config, &pay(&host, "a", "1"))
                .unwrap()
        ),
        "approve"
    );
    assert!(host.state_keys("", 1).unwrap().is_empty());
}

/// So many digests, for as many children.
fn digests(id: &str, number: usize) -> Task {
    opaque("digests", id, number)
}

fn opaque(kind: &str, id: &str, number: usize) -> Task {
    let mut task = testing::signing_of(kind, Intent::Opaque);
    task.id = id.into();
    let Operation::Sign(signing) = &mut task.operation else {
        panic!("a signature")
    };
    signing.blind = true;
    signing.inputs = vec![signing.inputs[0].clone(); number];
    task
}

#[test]
fn a_list_of_digests_counts_as_so_many_tasks() {
    let rules = "{policies: [{name: p, blind: allow, limits: [{per: day, tasks: 70}]}]}";
    let config = json::config::<Config>(&in_file(rules)).unwrap();
    let host = MockHost::default();
    let decide = |task: Task| code(host.decide::<Rules>(&config, &task).unwrap());
    assert_eq!(decide(digests("a", 64)), "approve");
    assert_eq!(decide(digests("b", 7)), "keysign-limit-tasks");
    assert_eq!(decide(digests("c", 5)), "approve");
    assert_eq!(decide(blind()), "approve", "one digest is one task");
    assert_eq!(decide(digests("d", 1)), "keysign-limit-tasks");
}

#[test]
fn several_opaque_inputs_count_as_so_many_tasks_whatever_their_kind() {
    let rules = "{policies: [{name: p, blind: allow, limits: [{per: day, tasks: 7}]}]}";
    let config = json::config::<Config>(&in_file(rules)).unwrap();
    let host = MockHost::default();
    let decide = |task: Task| code(host.decide::<Rules>(&config, &task).unwrap());
    assert_eq!(decide(opaque("later", "a", 8)), "keysign-limit-tasks");
    assert_eq!(decide(opaque("later", "b", 7)), "approve");
    assert_eq!(decide(digests("c", 1)), "keysign-limit-tasks");
}

#[test]
fn entries_of_earlier_versions_count_as_one_task() {
    let rules = "{assets: {eth: {id: 'eip155:1'}}, policies: [{name: p, transactions: {}, limits: [{per: day, tasks: 3}, {per: day, asset: eth, max: 9}]}]}";
    let config = json::config::<Config>(&in_file(rules)).unwrap();
    let host = MockHost::default();
    for (id, value) in [("a", "eip155:1 5"), ("b", "")] {
        let at = MockHost::NOW - 1000;
        host.state_set(
            &format!("used/p/key-1/{at:013}/{id}"),
            value.as_bytes(),
            Some(DAY),
        )
        .unwrap();
    }
    assert_eq!(
        code(
            host.decide::<Rules>(&config, &pay(&host, "c", "5"))
                .unwrap()
        ),
        "keysign-limit-amount"
    );
    assert_eq!(
        code(
            host.decide::<Rules>(&config, &pay(&host, "d", "4"))
                .unwrap()
        ),
        "approve"
    );
    assert_eq!(
        code(
            host.decide::<Rules>(&config, &pay(&host, "e", "0"))
                .unwrap()
        ),
        "keysign-limit-tasks"
    );
}

/// Approvals of another member count here as if this node had signed.
fn observe(host: &MockHost, document: &str, task: &Task) {
    host.observe::<Rules>(&json::config(&in_file(document)).unwrap(), task)
        .unwrap();
}

#[test]
fn what_others_sign_counts_and_is_never_refused() {
    let host = MockHost::default();
    observe(&host, RULES, &pay(&host, "a", "60"));
    assert_eq!(
        decide(&host, &pay(&host, "b", "41")),
        "keysign-limit-amount"
    );
    assert_eq!(decide(&host, &pay(&host, "c", "40")), "approve");
    observe(&host, RULES, &pay(&host, "d", "70"));
    let warned = host
        .lines()
        .into_iter()
        .filter(|(level, _)| *level == countersign_sdk::Level::Warn);
    let warned: Vec<_> = warned.map(|(_, line)| line).collect();
    assert_eq!(
        warned.len(),
        2,
        "the day's and the week's limit, and no more: {warned:?}"
    );
    assert!(
        warned[0].contains("policy p") && warned[0].contains("other members"),
        "{warned:?}"
    );
    assert_eq!(
        decide(&host, &message("eip191", "x")),
        "keysign-limit-tasks",
        "three were signed"
    );
    host.advance(DAY);
    assert_eq!(
        decide(&host, &pay(&host, "e", "1")),
        "keysign-limit-amount",
        "the week remembers 170"
    );
}

#[test]
fn what_others_sign_and_came_to_nothing_is_taken_back() {
    let host = MockHost::default();
    let config = config();
    let call = host.call();
    Rules::observe(&config, &pay(&host, "a", "100"), &call).unwrap();
    let reservation = call.commit().unwrap();
    assert_eq!(decide(&host, &pay(&host, "b", "1")), "keysign-limit-amount");
    host.release(reservation);
    assert_eq!(decide(&host, &pay(&host, "b", "1")), "approve");
}

/// Both nodes decode the same bytes, but the names of requesters and networks are their own.
#[test]
fn what_no_policy_here_is_made_for_counts_where_keys_paths_and_payloads_fit() {
    let policy = |name: &str, when: &str| {
        format!("{{name: {name}, when: {when}, messages: {{}}, limits: [{{per: day, tasks: 1}}]}}")
    };
    let rules = format!(
        "{{policies: [{}, {}, {}, {}]}}",
        policy("named", "{requesters: [somebody], payloads: [eip191]}"),
        policy("other-key", "{keys: [key-9]}"),
        policy("other-path", "{paths: ['m/9']}"),
        policy("other-payload", "{payloads: [eip712]}"),
    );
    let host = MockHost::default();
    observe(&host, &rules, &message("eip191", "x"));
    let mut counted: Vec<String> = host
        .state_keys("used/", 100)
        .unwrap()
        .iter()
        .map(|name| name[5..].to_owned())
        .collect();
    counted
        .iter_mut()
        .for_each(|name| name.truncate(name.find('/').unwrap()));
    assert_eq!(counted, ["named"]);
}

/// A payload that this node cannot read has no inputs here.
#[test]
fn what_cannot_be_read_here_counts_as_a_task_of_everything_that_may_be_concerned() {
    let rules = "{assets: {eth: {id: 'eip155:1'}}, policies: [
        {name: one, when: {chains: ['eip155:1']}, transactions: {}, limits: [{per: day, tasks: 1}]},
        {name: two, transactions: {}, limits: [{per: day, asset: eth, max: 1}]}]}";
    let host = MockHost::default();
    let mut unread = testing::signing(Intent::Opaque);
    let Operation::Sign(signing) = &mut unread.operation else {
        unreachable!()
    };
    (signing.inputs, signing.payload) = (Vec::new(), "evm-transaction".into());
    observe(&host, rules, &unread);
    assert_eq!(host.state_keys("used/", 100).unwrap().len(), 2);
    let config = json::config::<Config>(&in_file(rules)).unwrap();
    let judged = host
        .decide::<Rules>(&config, &pay(&host, "b", "1"))
        .unwrap();
    assert_eq!(code(judged), "keysign-limit-tasks");
}

#[test]
fn an_unlimited_right_that_others_hand_out_leaves_nothing_of_a_limit() {
    let host = MockHost::default();
    let rules = format!(
        "{{assets: {{usdc: {{id: '{USDC}'}}}}, policies: [{{name: p, transactions: {{}}, typed_data: {{}}, \
         grants: {{spenders: ['0xbob']}}, limits: [{{per: day, asset: usdc, max: 1000}}]}}]}}"
    );
    observe(
        &host,
        &rules,
        &Task {
            received_at: host.now(),
            ..authorises(&[(USDC, None)])
        },
    );
    let config = json::config::<Config>(&in_file(&rules)).unwrap();
    let one = Task {
        id: "b".into(),
        received_at: host.now(),
        ..authorises(&[(USDC, Some("1"))])
    };
    assert_eq!(
        code(host.decide::<Rules>(&config, &one).unwrap()),
        "keysign-limit-amount"
    );
}

#[test]
fn what_others_sign_does_not_fit_into_a_memory_that_is_full() {
    let host = MockHost::default().with_state_bytes(10);
    let failure = host
        .observe::<Rules>(&config(), &pay(&host, "a", "1"))
        .unwrap_err();
    assert!(matches!(failure, Failure::Unavailable(why) if why.contains("state_bytes")));
    let mut check_up = check_up();
    check_up.id = "c".into();
    host.observe::<Rules>(&config(), &check_up).unwrap();
}
