//! Which rule is for a task.

use countersign_sdk::Intent;

use super::*;

const LISTED: &str = "0x52908400098527886E0F7030069857D2E4169EE7";
const UNLISTED: &str = "0xde709f2102306220921060314715629080e2fb77";
const USDC: &str = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48";

/// Whether a rule with this `when` is for the task: it needs no votes, and there is no other.
fn applies(when: &str, task: &Task) -> bool {
    let config = with_rules(&format!(
        "[{{name: chosen, without_votes: allow, when: {when}}}]"
    ));
    match decide(&config, task).0.as_str() {
        "approve" => true,
        "quorum-no-rule" => false,
        other => panic!("{other}"),
    }
}

#[test]
fn a_rule_is_chosen_by_its_operations() {
    let tasks = [
        ("keygen", testing::keygen(2, &["a", "b"])),
        ("keysign", task()),
        ("keyreshare", testing::reshare(2, &["a", "b"])),
        ("keysharesign", testing::check_up()),
    ];
    for (name, asked) in &tasks {
        assert!(applies("{}", asked), "{name}");
        for (other, _) in &tasks {
            let when = format!("{{operations: [{other}]}}");
            assert_eq!(applies(&when, asked), name == other, "{name}, {other}");
        }
    }
}

#[test]
fn an_operation_that_nobody_knows_is_refused_by_every_rule() {
    let config = json::config::<Config>(&needs("without_votes: allow")).unwrap();
    let other = testing::task(Operation::Other("export".into()));
    let failure = Quorum::evaluate(&config, &other, &MockHost::default()).unwrap_err();
    assert!(matches!(failure, Failure::Unsupported(_)));
}

#[test]
fn a_rule_is_chosen_by_key_path_requester_chain_and_payload() {
    for (when, expected) in [
        ("{keys: [key-1]}", true),
        ("{keys: [xpub-1]}", true),
        ("{keys: [key-2]}", false),
        ("{paths: [m/44/60/0/0/*]}", true),
        ("{paths: [m/44/0/**]}", false),
        ("{requesters: [treasury]}", true),
        ("{requesters: [requester-key]}", true),
        ("{requesters: [other]}", false),
        ("{chains: ['eip155:1']}", true),
        ("{chains: ['eip155:137']}", false),
        ("{payloads: [evm-transaction]}", true),
        ("{payloads: [psbt, message]}", false),
    ] {
        assert_eq!(applies(when, &task()), expected, "{when}");
    }
    for (when, expected) in [("{keys: [key-1]}", true), ("{keys: [key-2]}", false)] {
        assert_eq!(applies(when, &testing::check_up()), expected);
        assert_eq!(applies(when, &testing::reshare(2, &["a"])), expected);
    }
    assert!(!applies("{keys: [key-1]}", &testing::keygen(2, &["a"])));
    for when in [
        "{chains: ['eip155:1']}",
        "{payloads: [evm-transaction]}",
        "{paths: [m/**]}",
    ] {
        assert!(!applies(when, &testing::check_up()), "{when}");
    }
    assert!(!applies(
        "{chains: ['eip155:1']}",
        &testing::message("eip191", "hi")
    ));
}

#[test]
fn a_rule_is_chosen_by_all_recipients() {
    let when = format!("{{destinations: ['{LISTED}']}}");
    let pays = |to: &[&str]| {
        let start = testing::transaction("eip155:1").fee("0");
        to.iter()
            .fold(start, |built, to| built.pays(to, "1"))
            .task()
    };
    assert!(applies(&when, &pays(&[LISTED])));
    assert!(applies(&when, &pays(&[&LISTED.to_lowercase()])));
    assert!(!applies(&when, &pays(&[LISTED, UNLISTED])));
    assert!(!applies(&when, &pays(&[""])));
}

#[test]
fn a_rule_is_chosen_by_amounts_with_their_fee() {
    let when = "{amounts: [{asset: eth, max: '1'}, {asset: usdc, max: 100}]}";
    let ether = |amount: &str, fee: &str| {
        testing::transaction("eip155:1")
            .fee(fee)
            .pays(LISTED, amount)
            .task()
    };
    let token = |asset: &str, amount: &str| {
        testing::transaction("eip155:1")
            .fee("1000")
            .pays_asset(asset, LISTED, amount)
            .calls("0xa0b8", &[0xA9, 0x05, 0x9C, 0xBB])
            .known_as("transfer(address,uint256)")
            .task()
    };
    for (asked, expected) in [
        (ether("999999999999999000", "1000"), true),
        (ether("999999999999999001", "1000"), false),
        (ether("1", "1000000000000000000"), false),
        (token(USDC, "100000000"), true),
        (token(USDC, "100000001"), false),
        (token("eip155:1/erc20:0xdac", "1"), false),
        (
            testing::transaction("eip155:1").pays(LISTED, "1").task(),
            false,
        ),
        (
            testing::transaction("eip155:137")
                .fee("0")
                .pays(LISTED, "1")
                .task(),
            false,
        ),
    ] {
        assert_eq!(applies(when, &asked), expected, "{asked:?}");
    }
    let twice = testing::transaction("eip155:1")
        .fee("0")
        .pays(LISTED, "600000000000000000")
        .pays(UNLISTED, "600000000000000000");
    assert!(!applies(when, &twice.task()));
}

/// A rule for small payments must not let through what the node does not see.
#[test]
fn what_is_not_only_a_payment_matches_no_amount_or_destination() {
    let pays = || testing::transaction("eip155:1").fee("0").pays(LISTED, "1");
    for when in [
        format!("{{destinations: ['{LISTED}', '0xc']}}"),
        "{amounts: [{asset: eth, max: '100'}]}".to_owned(),
    ] {
        assert!(applies(&when, &pays().task()), "{when}");
        for asked in [
            pays().grants(LISTED, USDC, None).task(),
            pays().grants(LISTED, "", None).task(),
            pays().calls("0xc", &[1, 2, 3, 4]).task(),
            pays().creates().task(),
            testing::message("eip191", "hi"),
            testing::typed_data(Some("eip155:1"), None, "Order", vec![]),
            testing::blind(),
            testing::signing(Intent::Opaque),
            testing::keygen(2, &["a", "b"]),
        ] {
            assert!(!applies(&when, &asked), "{when}, {asked:?}");
        }
    }
}

#[test]
fn a_rule_is_chosen_by_the_time_of_the_week() {
    // The time of the tests is a Friday, 08:00 UTC.
    for (hours, expected) in [
        ("{within: [{from: '08:00', to: '18:00'}]}", true),
        ("{within: [{from: '18:00', to: '08:00'}]}", false),
        (
            "{within: [{days: [fri], from: '08:00', to: '08:01'}]}",
            true,
        ),
        (
            "{within: [{days: [mon], from: '00:00', to: '24:00'}]}",
            false,
        ),
        (
            "{zone: '+02:00', within: [{from: '09:59', to: '10:01'}]}",
            true,
        ),
    ] {
        assert_eq!(
            applies(&format!("{{hours: {hours}}}"), &task()),
            expected,
            "{hours}"
        );
    }
}

#[test]
fn the_first_rule_that_is_for_the_task_decides() {
    let rules = "[{name: small, when: {amounts: [{asset: eth, max: '1'}]}, require: {group: finance, votes: 1}},
                  {name: others, require: {group: finance, votes: 2}}]";
    let config = with_rules(rules);
    let one = [yes(ALICE)];
    let small = Task {
        raw: task().raw,
        ..testing::transaction("eip155:1")
            .fee("0")
            .pays(LISTED, "1")
            .task()
    };
    assert_eq!(decide(&config, &with_votes(small, &one)).0, "approve");
    // Without a fee that the node can tell, it may be large.
    assert_eq!(judge(&config, &one), "quorum-pending");
    let host = MockHost::default();
    decide_at(&host, &config, &task());
    let lines: Vec<_> = host.lines().into_iter().map(|(_, line)| line).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("rule small does not apply: the node cannot tell"));
    assert!(lines[1].starts_with("rule others: it needs 2 of finance"));
}
