//! Every reason for which a signature is refused, each with a neighbour that passes.

use countersign_sdk::testing::{blind, message, transaction, transfer, typed_data};
use countersign_sdk::{Grant, Operation};

use super::*;

const ALICE: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
const BOB: &str = "0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359";
const USDC: &str = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48";
const USDC_ID: &str = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48";
const ETHEREUM: &str = "eip155:1";
const SOLANA: &str = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp";
const TRANSFER: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];
const APPROVE: [u8; 4] = [0x09, 0x5e, 0xa7, 0xb3];

/// A code, rules under `key_sign`, what they refuse with it, and what they let pass.
type Case = (&'static str, String, Task, Task);

fn case(code: &'static str, rules: &str, refused: Task, passes: Task) -> Case {
    (code, rules.into(), refused, passes)
}

/// Rules of one policy for transactions.
fn transactions(code: &'static str, rules: &str, refused: Task, passes: Task) -> Case {
    policy(code, &format!("transactions: {{{rules}}}"), refused, passes)
}

/// One policy.
fn policy(code: &'static str, rules: &str, refused: Task, passes: Task) -> Case {
    let assets =
        format!("assets: {{eth: {{id: 'eip155:1', decimals: 18}}, usdc: {{id: '{USDC_ID}', decimals: 6}}}}");
    case(code, &format!("{{{assets}, policies: [{{name: p, {rules}}}]}}"), refused, passes)
}

fn pay(address: &str, amount: &str) -> Task {
    transfer(ETHEREUM, address, amount)
}

fn pay_usdc(address: &str, amount: &str) -> Task {
    transaction(ETHEREUM)
        .pays_asset(USDC_ID, address, amount)
        .calls(USDC, &TRANSFER)
        .known_as("transfer(address,uint256)")
        .task()
}

fn approval(spender: &str, amount: Option<&str>) -> Task {
    transaction(ETHEREUM)
        .grants(spender, USDC_ID, amount)
        .calls(USDC, &APPROVE)
        .known_as("approve(address,uint256)")
        .task()
}

fn permit(spender: &str, amount: Option<&str>) -> Task {
    let grant = Grant { spender: spender.into(), asset: USDC_ID.into(), amount: amount.map(Into::into) };
    typed_data(Some(ETHEREUM), Some(USDC), "Permit", vec![grant])
}

fn order(contract: Option<&str>, primary_type: &str) -> Task {
    typed_data(Some(ETHEREUM), contract, primary_type, Vec::new())
}

/// `2027-01-15T08:00Z` is a Friday: when the tasks of the mock arrive.
fn at(mut task: Task, minutes: i64) -> Task {
    task.received_at = task.received_at.checked_add_signed(minutes * 60_000).unwrap();
    task
}

fn on_path(mut task: Task, path: &str) -> Task {
    let Operation::Sign(signing) = &mut task.operation else { panic!("a signature") };
    signing.inputs[0].path = path.into();
    task
}

/// What a Safe makes of a transaction, as its owners sign it.
const SAFE: &[u8] = &[0x5a; 32];

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cases() -> Vec<Case> {
    let grants = format!(
        "grants: {{spenders: ['{BOB}'], amounts: [{{asset: usdc, max: 5}}]}}, transactions: {{}}, typed_data: {{}}"
    );
    let any = "transactions: {}";
    vec![
        case(
            "keysign-reject-all",
            "{reject_all: true, policies: [{name: p, messages: {}}]}",
            pay(ALICE, "1"),
            testing::keygen(2, &["a", "b", "c"]),
        ),
        case(
            "keysign-address-denied",
            &format!("{{deny: ['{ALICE}']}}"),
            pay(&ALICE.to_lowercase(), "1"),
            pay(BOB, "1"),
        ),
        case(
            "keysign-address-denied",
            &format!("{{deny: ['{BOB}']}}"),
            transaction(ETHEREUM).calls(BOB, &TRANSFER).task(),
            transaction(ETHEREUM).calls(ALICE, &TRANSFER).task(),
        ),
        case(
            "keysign-address-denied",
            &format!("{{deny: ['{BOB}']}}"),
            approval(BOB, Some("1")),
            approval(ALICE, Some("1")),
        ),
        case(
            "keysign-address-denied",
            &format!("{{deny: ['{BOB}']}}"),
            permit(BOB, Some("1")),
            permit(ALICE, Some("1")),
        ),
        case(
            "keysign-address-denied",
            &format!("{{deny: ['eip155:1:{BOB}']}}"),
            typed_data(None, Some(BOB), "T", vec![]),
            transfer("eip155:2", BOB, "1"),
        ),
        case("keysign-blind", &format!("{{deny: ['{BOB}']}}"), blind(), message("message", "x")),
        policy("keysign-blind", any, blind(), pay(ALICE, "1")),
        policy("keysign-blind", "messages: {}", said_to_be_blind(), message("message", "x")),
        policy(
            "keysign-no-policy",
            "when: {keys: [key-2, xpub-1]}, transactions: {}",
            other_key(),
            pay(ALICE, "1"),
        ),
        policy(
            "keysign-no-policy",
            "when: {paths: ['m/44/60/0/0/*']}, transactions: {}",
            on_path(pay(ALICE, "1"), "m/44/60/0/1/0"),
            pay(ALICE, "1"),
        ),
        policy(
            "keysign-no-policy",
            "when: {paths: ['m/44/**']}, transactions: {}",
            on_path(pay(ALICE, "1"), "m/45/60"),
            on_path(pay(ALICE, "1"), "m/44/60/7"),
        ),
        policy(
            "keysign-no-policy",
            "when: {requesters: [treasury]}, transactions: {}",
            other_requester(),
            pay(ALICE, "1"),
        ),
        policy(
            "keysign-no-policy",
            "when: {chains: ['eip155:1']}, transactions: {}, messages: {}",
            transfer("eip155:2", ALICE, "1"),
            pay(ALICE, "1"),
        ),
        policy(
            "keysign-no-policy",
            "when: {chains: ['eip155:1']}, typed_data: {}, messages: {}",
            message("eip191", "x"),
            order(None, "Order"),
        ),
        policy(
            "keysign-no-policy",
            "when: {payloads: [eip191]}, messages: {}",
            message("message", "x"),
            message("eip191", "x"),
        ),
        policy("keysign-no-transactions", "messages: {}", pay(ALICE, "1"), message("eip191", "x")),
        policy("keysign-no-messages", any, message("eip191", "x"), pay(ALICE, "1")),
        policy("keysign-no-typed-data", any, order(None, "Order"), pay(ALICE, "1")),
        policy(
            "keysign-outside-hours",
            "hours: {allow: [{days: [fri], from: '08:00', to: '18:00'}]}, transactions: {}",
            at(pay(ALICE, "1"), -1),
            pay(ALICE, "1"),
        ),
        policy(
            "keysign-outside-hours",
            "hours: {zone: '+02:00', allow: [{days: [fri], from: '10:00', to: '10:30'}]}, transactions: {}",
            at(pay(ALICE, "1"), 30),
            at(pay(ALICE, "1"), 29),
        ),
        policy(
            "keysign-outside-hours",
            "hours: {zone: '-09:00', allow: [{days: [thu], from: '22:00', to: '24:00'}]}, transactions: {}",
            at(pay(ALICE, "1"), 60),
            at(pay(ALICE, "1"), 59),
        ),
        policy(
            "keysign-quiet-hours",
            "hours: {quiet: [{days: [thu], from: '22:00', to: '08:01'}]}, transactions: {}",
            pay(ALICE, "1"),
            at(pay(ALICE, "1"), 1),
        ),
        policy(
            "keysign-quiet-hours",
            "hours: {quiet: [{days: [sun], from: '23:00', to: '01:00'}]}, transactions: {}",
            at(pay(ALICE, "1"), 2 * 1440 + 17 * 60 - 1),
            at(pay(ALICE, "1"), 2 * 1440 + 17 * 60),
        ),
        transactions(
            "keysign-destination-not-allowed",
            &format!("destinations: {{allow: ['{ALICE}']}}"),
            pay(BOB, "1"),
            pay(ALICE, "1"),
        ),
        transactions(
            "keysign-destination-not-allowed",
            &format!("destinations: {{allow: ['{ALICE}']}}"),
            pay_usdc(BOB, "1"),
            pay_usdc(ALICE, "1"),
        ),
        transactions(
            "keysign-destination-not-allowed",
            &format!("destinations: {{allow: ['{ALICE}']}}"),
            transaction(ETHEREUM).pays(ALICE, "1").pays(BOB, "1").task(),
            transaction(ETHEREUM).pays(ALICE, "1").change(BOB, "1").task(),
        ),
        transactions(
            "keysign-destination-not-allowed",
            "destinations: {allow: []}",
            pay(ALICE, "1"),
            transaction(ETHEREUM).task(),
        ),
        transactions(
            "keysign-destination-denied",
            &format!("destinations: {{allow: ['{ALICE}', '{BOB}'], deny: ['{BOB}']}}"),
            pay(BOB, "1"),
            pay(ALICE, "1"),
        ),
        transactions(
            "keysign-call-unknown",
            "",
            transaction(ETHEREUM).calls(BOB, &TRANSFER).task(),
            pay_usdc(ALICE, "1"),
        ),
        // A well-known selector whose data the node could not read as the standard has it.
        transactions(
            "keysign-call-unknown",
            "",
            transaction(ETHEREUM).calls(USDC, &TRANSFER).known_as("transfer(address,uint256)").task(),
            approval_of_nothing(),
        ),
        transactions(
            "keysign-call-unknown",
            "",
            transaction(SOLANA).calls("Prog", &[3]).task(),
            transaction(SOLANA).calls("Prog", &[3]).known_as("Transfer").task(),
        ),
        // Tokens that move by a method nobody knows.
        transactions(
            "keysign-call-unknown",
            "",
            transaction(ETHEREUM).pays_asset(USDC_ID, ALICE, "1").calls(USDC, &TRANSFER).task(),
            pay_usdc(ALICE, "1"),
        ),
        // An instruction without data can do anything.
        transactions(
            "keysign-call-unknown",
            "",
            transaction(SOLANA).calls("Prog", &[]).task(),
            transaction(SOLANA).calls("Prog", &[]).known_as("Create").task(),
        ),
        // Two calls: which of them the token's destination comes from, nobody can tell.
        transactions(
            "keysign-call-unknown",
            "",
            transaction(ETHEREUM)
                .pays_asset(USDC_ID, ALICE, "1")
                .calls(USDC, &TRANSFER)
                .known_as("transfer(address,uint256)")
                .calls(BOB, &TRANSFER)
                .known_as("transfer(address,uint256)")
                .task(),
            pay_usdc(ALICE, "1"),
        ),
        transactions(
            "keysign-call-not-allowed",
            &format!("calls: {{allow: [{{contract: '{BOB}', methods: ['deposit()', '0xa9059cbb']}}]}}"),
            transaction(ETHEREUM).calls(BOB, &APPROVE).task(),
            transaction(ETHEREUM).calls(BOB, &TRANSFER).task(),
        ),
        transactions(
            "keysign-call-not-allowed",
            &format!("calls: {{allow: [{{contract: '{BOB}'}}]}}"),
            pay_usdc(ALICE, "1"),
            transaction(ETHEREUM).calls(BOB, &APPROVE).task(),
        ),
        transactions(
            "keysign-call-denied",
            &format!(
                "calls: {{allow: [{{contract: '{BOB}'}}], deny: [{{contract: '{BOB}', methods: ['transfer(address,uint256)']}}]}}"
            ),
            transaction(ETHEREUM).calls(BOB, &TRANSFER).task(),
            transaction(ETHEREUM).calls(BOB, &APPROVE).task(),
        ),
        transactions(
            "keysign-contract-creation",
            "calls: {unknown: allow}",
            transaction(ETHEREUM).creates().task(),
            transaction(ETHEREUM).calls(BOB, &APPROVE).task(),
        ),
        policy("keysign-grant", any, approval(BOB, Some("1")), approval(BOB, Some("0"))),
        policy("keysign-grant", "typed_data: {}", permit(BOB, Some("1")), order(None, "Order")),
        policy("keysign-spender-not-allowed", &grants, approval(ALICE, Some("1")), approval(BOB, Some("1"))),
        policy("keysign-grant-unlimited", &grants, approval(BOB, None), approval(BOB, Some("5000000"))),
        policy("keysign-grant-unlimited", &grants, permit(BOB, None), permit(BOB, Some("5000000"))),
        policy(
            "keysign-grant-amount",
            &grants,
            approval(BOB, Some("5000001")),
            approval(BOB, Some("5000000")),
        ),
        policy(
            "keysign-grant-asset-not-allowed",
            &grants,
            transaction(ETHEREUM).grants(BOB, "eip155:1/erc20:0xdd", Some("1")).task(),
            approval(BOB, Some("1")),
        ),
        transactions(
            "keysign-delegation",
            &format!("delegates: ['{ALICE}']"),
            transaction(ETHEREUM).grants(BOB, "", None).task(),
            transaction(ETHEREUM).grants(ALICE, "", None).task(),
        ),
        transactions(
            "keysign-delegation",
            "",
            transaction(ETHEREUM).grants(BOB, "", None).task(),
            transaction(ETHEREUM).grants("0x0000000000000000000000000000000000000000", "", Some("0")).task(),
        ),
        policy(
            "keysign-delegation",
            &grants,
            transaction(ETHEREUM).grants(BOB, "", None).task(),
            approval(BOB, Some("1")),
        ),
        transactions(
            "keysign-amount",
            "amounts: [{asset: eth, max: '1.5'}]",
            pay(ALICE, "1500000000000000001"),
            pay(ALICE, "1500000000000000000"),
        ),
        transactions(
            "keysign-amount",
            "amounts: [{asset: usdc, max: 7}]",
            pay_usdc(ALICE, "7000001"),
            pay_usdc(ALICE, "7000000"),
        ),
        transactions(
            "keysign-amount",
            "amounts: [{asset: eth, max: '0.000000000000000010'}]",
            transaction(ETHEREUM).pays(ALICE, "5").pays(BOB, "6").task(),
            transaction(ETHEREUM).pays(ALICE, "5").change(BOB, "6").task(),
        ),
        // A call takes along what no destination shows.
        transactions(
            "keysign-amount",
            &format!(
                "calls: {{allow: [{{contract: '{BOB}'}}]}}, amounts: [{{asset: eth, max: '0.000000000000000010'}}]"
            ),
            transaction(ETHEREUM).calls(BOB, &TRANSFER).with_value("11").task(),
            transaction(ETHEREUM).pays(BOB, "10").calls(BOB, &TRANSFER).with_value("10").task(),
        ),
        transactions(
            "keysign-asset-not-allowed",
            "amounts: [{asset: eth, max: 1}]",
            pay_usdc(ALICE, "1"),
            pay(ALICE, "1"),
        ),
        transactions(
            "keysign-asset-not-allowed",
            "amounts: [{asset: eth, max: 1}]",
            transfer("eip155:2", ALICE, "1"),
            pay(ALICE, "1"),
        ),
        transactions(
            "keysign-asset-not-allowed",
            "amounts: [{asset: usdc, max: 1}]",
            pay(ALICE, "1"),
            pay(ALICE, "0"),
        ),
        transactions(
            "keysign-destination-not-allowed",
            &format!("destinations: {{allow: ['{ALICE}']}}"),
            transfer("bip122:000000000019d6689c085ae165831e93", "", "0"),
            transfer("bip122:000000000019d6689c085ae165831e93", ALICE, "0"),
        ),
        transactions("keysign-amount-malformed", "", pay(ALICE, "1e18"), pay(ALICE, "1")),
        transactions("keysign-amount-malformed", "", pay(ALICE, ""), pay(ALICE, "0")),
        transactions(
            "keysign-fee",
            "fees: [{asset: eth, max: '0.000000000000021'}]",
            transaction(ETHEREUM).fee("21001").task(),
            transaction(ETHEREUM).fee("21000").task(),
        ),
        transactions(
            "keysign-fee-asset",
            "fees: [{asset: eth, max: 1}]",
            transaction("eip155:2").fee("1").task(),
            transaction(ETHEREUM).fee("1").task(),
        ),
        transactions(
            "keysign-fee-unknown",
            "fees: [{asset: eth, max: 1}]",
            transaction(ETHEREUM).task(),
            transaction(ETHEREUM).fee("1").task(),
        ),
        policy(
            "keysign-asset-not-limited",
            "transactions: {}, limits: [{per: day, asset: eth, max: 1}]",
            pay_usdc(ALICE, "1"),
            pay(ALICE, "1"),
        ),
        policy(
            "keysign-limit-tasks",
            "messages: {}, transactions: {}, limits: [{per: day, tasks: 0}]",
            pay(ALICE, "1"),
            testing::keygen(2, &["a", "b", "c"]),
        ),
        policy(
            "keysign-limit-amount",
            "transactions: {}, limits: [{per: day, asset: eth, max: '0.000000000000000010'}]",
            pay(ALICE, "11"),
            pay(ALICE, "10"),
        ),
        policy(
            "keysign-message-not-allowed",
            "messages: {patterns: ['Sign in at [0-9]+', 'yes|no']}",
            message("eip191", "Sign in at 12 or else"),
            message("eip191", "Sign in at 12"),
        ),
        policy(
            "keysign-message-not-allowed",
            "messages: {patterns: ['yes|no']}",
            message("eip191", "yes, or no"),
            message("eip191", "no"),
        ),
        policy(
            "keysign-message-not-allowed",
            "messages: {patterns: ['yes|no']}",
            message("eip191", "no\n"),
            message("eip191", "yes"),
        ),
        policy(
            "keysign-message-not-text",
            "messages: {patterns: ['.*']}",
            message("message", [0xff]),
            message("message", "ÿ"),
        ),
        policy(
            "keysign-message-digest",
            "messages: {}",
            message("eip191", SAFE),
            message("eip191", &SAFE[1..]),
        ),
        policy(
            "keysign-message-digest",
            "messages: {digests: refuse, patterns: ['.*']}",
            message("eip191", "Sign in as alice at 12 o'clock. "),
            message("eip191", "Sign in as alice at 12 o'clock."),
        ),
        policy(
            "keysign-message-digest",
            "messages: {}",
            message("message", [7; 64]),
            message("message", ["a line of exactly 32 characters."; 2].concat()),
        ),
        policy(
            "keysign-message-digest",
            "messages: {}",
            message("eip191", hex(SAFE)),
            message("eip191", hex(&SAFE[1..])),
        ),
        policy(
            "keysign-message-digest",
            "messages: {}",
            message("eip191", format!("0x{}", hex([0xaa; 20]))),
            message("eip191", format!("0x{}: mine", hex([0xaa; 20]))),
        ),
        case(
            "keysign-message-digest",
            &format!("{{deny: ['{BOB}']}}"),
            message("eip191", SAFE),
            message("eip191", "hello"),
        ),
        policy(
            "keysign-typed-data-contract",
            &format!("typed_data: {{contracts: ['{ALICE}']}}"),
            order(Some(BOB), "Order"),
            order(Some(&ALICE.to_lowercase()), "Order"),
        ),
        policy(
            "keysign-typed-data-contract",
            &format!("typed_data: {{contracts: ['{ALICE}']}}"),
            order(None, "Order"),
            order(Some(ALICE), "Order"),
        ),
        policy(
            "keysign-typed-data-type",
            "typed_data: {primary_types: [Order]}",
            order(None, "order"),
            order(None, "Order"),
        ),
    ]
}

/// Blind, although the node shows a meaning: nothing is believed of what is blind.
fn said_to_be_blind() -> Task {
    let mut task = message("message", "x");
    let Operation::Sign(signing) = &mut task.operation else { unreachable!() };
    signing.blind = true;
    task
}

fn other_key() -> Task {
    let mut task = pay(ALICE, "1");
    let Operation::Sign(signing) = &mut task.operation else { unreachable!() };
    signing.key.id = "key-3".into();
    signing.key.root_public_key = "xpub-3".into();
    task
}

fn other_requester() -> Task {
    let mut task = pay(ALICE, "1");
    task.requester.name = "intern".into();
    task
}

/// `approve(spender, 0)`, which takes a right away.
fn approval_of_nothing() -> Task {
    approval(BOB, Some("0"))
}

#[test]
fn every_rule_refuses_for_its_own_reason_and_lets_the_neighbour_pass() {
    for (code, rules, refused, passes) in cases() {
        let document = in_file(&rules);
        assert_eq!(judge(&document, &refused), code, "{rules}");
        assert_eq!(judge(&document, &passes), "approve", "{code}: {rules}");
    }
}

/// Codes in a text, between characters that no code has.
fn codes(text: &str) -> std::collections::BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words
        .filter(|word| {
            word.starts_with("key")
                && word.contains('-')
                && word
                    .split('-')
                    .next()
                    .is_some_and(|kind| ["keysign", "keygen", "keyreshare", "keysharesign"].contains(&kind))
        })
        .collect()
}

#[test]
fn every_code_is_in_the_documentation_and_in_a_test() {
    let sources = [
        include_str!("../lib.rs"),
        include_str!("../assets.rs"),
        include_str!("../calls.rs"),
        include_str!("../grants.rs"),
        include_str!("../hours.rs"),
        include_str!("../key_sign.rs"),
        include_str!("../limits.rs"),
        include_str!("../messages.rs"),
        include_str!("../policy.rs"),
        include_str!("../transactions.rs"),
        include_str!("../when.rs"),
    ];
    let sources = sources.concat();
    assert_eq!(codes(&sources), codes(include_str!("../../../../docs/rules.yaml")), "sources, documentation");
    let cases = cases();
    // A full memory is tested among the limits.
    let tested: std::collections::BTreeSet<_> =
        cases.iter().map(|case| case.0).chain(["keysign-limit-memory"]).collect();
    let for_signing = codes(&sources).into_iter().filter(|code| code.starts_with("keysign-"));
    assert_eq!(for_signing.collect::<std::collections::BTreeSet<_>>(), tested);
}

#[test]
fn the_first_policy_that_matches_decides() {
    let rules = "{policies: [{name: a, when: {payloads: [eip191]}, messages: {patterns: ['a']}}, {name: b, messages: {}}]}";
    let document = in_file(rules);
    assert_eq!(judge(&document, &message("eip191", "b")), "keysign-message-not-allowed");
    assert_eq!(judge(&document, &message("message", "b")), "approve");
}

#[test]
fn an_empty_list_of_policies_signs_nothing() {
    assert_eq!(judge(&in_file("{policies: []}"), &pay(ALICE, "1")), "keysign-no-policy");
}

#[test]
fn blind_signatures_pass_where_a_policy_says_so_and_nowhere_else() {
    let document = in_file(
        "{policies: [{name: b, when: {payloads: [digest]}, blind: allow}, {name: t, transactions: {}}]}",
    );
    assert_eq!(judge(&document, &blind()), "approve");
    assert_eq!(judge(&document, &pay(ALICE, "1")), "approve");
    assert_eq!(judge(&document, &message("message", "x")), "keysign-no-messages");
}

#[test]
fn the_trail_names_every_rule_that_was_considered() {
    let rules = format!(
        "{{deny: ['{BOB}'], assets: {{eth: {{id: 'eip155:1'}}}}, policies: [{{name: m, when: {{payloads: [eip191]}}, messages: {{}}}}, \
         {{name: t, transactions: {{destinations: {{allow: ['{ALICE}']}}, amounts: [{{asset: eth, max: 9}}]}}}}]}}"
    );
    let host = MockHost::default();
    let config = json::config::<Config>(&in_file(&rules)).unwrap();
    let verdict = host.decide::<Rules>(&config, &pay(ALICE, "10")).unwrap();
    assert!(matches!(verdict, Verdict::Reject(_)));
    let field = |line: &testing::MockLine, name: &str| {
        line.fields.iter().find(|field| field.0 == name).unwrap().1.clone()
    };
    let trail: Vec<_> =
        host.logged().iter().map(|line| (field(line, "rule"), field(line, "outcome"))).collect();
    let expected = [
        ("deny", "passes"),
        ("policy m: when", "does not match"),
        ("policy t: transactions.destinations", "passes"),
        ("policy t: transactions.calls", "passes"),
        ("policy t: grants", "passes"),
        ("policy t: transactions.delegates", "passes"),
        ("policy t: transactions.amounts", "refuses"),
    ];
    assert_eq!(trail, expected.map(|(rule, outcome)| (rule.into(), outcome.into())));
    assert_eq!(field(host.logged().last().unwrap(), "why"), "it spends 10 eth, at most 9 eth is allowed");
}
