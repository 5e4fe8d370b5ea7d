//! Every reason for which a signature is refused, each with a neighbour that passes.

use countersign_sdk::testing::{blind, message, typed_data, with_fact};
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

const NFT: &str = "0xBC4CA0EdA7647A8aB7C2061c2E118A18a936f13D";
const OWNER: &str = "9WzDXwBbmkg8ZTbNMqUxvQRAyrZzDsGYdLVL9zYtAWWM";
const ACCOUNT: &str = "7dHbWXmci3dT8UFYWYZweBLXgycu7Y3iL6trKn1Y7ARj";
const USDC_SOL: &str =
    "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp/token:EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
const BITCOIN: &str = "bip122:000000000019d6689c085ae165831e93";
/// A chain of a family that these rules do not know.
const LATER: &str = "later:1";
/// A Safe's transaction hash, as its owners sign it.
const SAFE: &[u8] = &[0x5a; 32];

/// A code, rules under `key_sign`, a task that they refuse with it, and one that they let pass.
type Case = (&'static str, String, Task, Task);

fn case(code: &'static str, rules: &str, refused: Task, passes: Task) -> Case {
    (code, rules.into(), refused, passes)
}

/// Rules of one policy for transactions.
fn transactions(code: &'static str, rules: &str, refused: Task, passes: Task) -> Case {
    policy(code, &format!("transactions: {{{rules}}}"), refused, passes)
}

fn policy(code: &'static str, rules: &str, refused: Task, passes: Task) -> Case {
    let assets = format!(
        "assets: {{eth: {{id: 'eip155:1', decimals: 18}}, usdc: {{id: '{USDC_ID}', decimals: 6}}}}"
    );
    case(
        code,
        &format!("{{{assets}, policies: [{{name: p, {rules}}}]}}"),
        refused,
        passes,
    )
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
    let grant = Grant {
        spender: spender.into(),
        asset: USDC_ID.into(),
        amount: amount.map(Into::into),
    };
    with_rights(
        "shown",
        typed_data(Some(ETHEREUM), Some(USDC), "Permit", vec![grant]),
    )
}

fn with_rights(rights: &str, task: Task) -> Task {
    with_fact(task, "typed-data-rights", rights)
}

/// Of a type that the node knows to grant nothing.
fn order(contract: Option<&str>, primary_type: &str) -> Task {
    with_rights(
        "none",
        typed_data(Some(ETHEREUM), contract, primary_type, Vec::new()),
    )
}

/// Of a type that the node does not know, or knows to grant more than grants can show.
fn other(rights: &str) -> Task {
    with_rights(
        rights,
        typed_data(Some(ETHEREUM), Some(USDC), "Session", Vec::new()),
    )
}

/// `approve` or `transferFrom` of a contract that may be of ERC-20 or of ERC-721.
fn either(contract: &str) -> String {
    format!("eip155:1/token:{contract}")
}

fn approves(contract: &str, spender: &str, number: Option<&str>) -> Task {
    transaction(ETHEREUM)
        .grants(spender, &either(contract), number)
        .calls(contract, &APPROVE)
        .known_as("approve(address,uint256)")
        .task()
}

fn transfers(contract: &str, to: &str, number: &str) -> Task {
    transaction(ETHEREUM)
        .pays_asset(&either(contract), to, number)
        .calls(contract, &[0x23, 0xb8, 0x72, 0xdd])
        .known_as("transferFrom(address,address,uint256)")
        .task()
}

/// A policy beside `assets` in which two contracts have their standards.
fn with_standards(code: &'static str, rules: &str, refused: Task, passes: Task) -> Case {
    let assets = format!(
        "assets: {{usdc: {{id: '{USDC_ID}', decimals: 6}}, apes: {{id: 'eip155:1/erc721:{NFT}'}}, seven: {{id: 'eip155:1/erc721:{NFT}/7'}}}}"
    );
    case(
        code,
        &format!("{{{assets}, policies: [{{name: p, {rules}}}]}}"),
        refused,
        passes,
    )
}

/// Calls that are encoded alike in ERC-20 and ERC-721 are judged by the standard that the operator
/// gave the contract, and by the worse of both if none was given.
fn cases_of_two_standards() -> Vec<Case> {
    let grants = format!(
        "transactions: {{}}, grants: {{spenders: ['{BOB}'], amounts: [{{asset: apes, max: 1}}, {{asset: usdc, max: 5}}]}}"
    );
    let amounts = "transactions: {amounts: [{asset: apes, max: 1}, {asset: usdc, max: 5}]}";
    let limits = "transactions: {}, limits: [{per: day, asset: apes, max: 1}]";
    let zero = "0x0000000000000000000000000000000000000000";
    vec![
        with_standards(
            "keysign-grant",
            "transactions: {}",
            approves(NFT, BOB, Some("0")),
            approves(USDC, BOB, Some("0")),
        ),
        with_standards(
            "keysign-grant",
            "transactions: {}",
            approves(ALICE, BOB, Some("0")),
            approves(ALICE, zero, Some("3")),
        ),
        with_standards(
            "keysign-grant",
            "transactions: {}",
            approves(NFT, BOB, Some("3")),
            approves(NFT, zero, Some("0")),
        ),
        with_standards(
            "keysign-spender-not-allowed",
            &grants,
            approves(NFT, ALICE, Some("0")),
            approves(NFT, BOB, Some("0")),
        ),
        with_standards(
            "keysign-spender-not-allowed",
            &grants,
            approves(NFT, ALICE, None),
            approves(NFT, BOB, None),
        ),
        with_standards(
            "keysign-grant-asset-not-allowed",
            &grants,
            approves(ALICE, BOB, Some("0")),
            approves(NFT, BOB, Some("9")),
        ),
        with_standards(
            "keysign-grant-amount",
            &grants,
            approves(USDC, BOB, Some("5000001")),
            approves(USDC, BOB, Some("5000000")),
        ),
        with_standards(
            "keysign-grant-unlimited",
            &grants,
            approves(USDC, BOB, None),
            approves(USDC, BOB, Some("1")),
        ),
        with_standards(
            "keysign-asset-not-allowed",
            "transactions: {amounts: [{asset: usdc, max: 5}]}",
            transfers(NFT, ALICE, "0"),
            transfers(USDC, ALICE, "0"),
        ),
        with_standards(
            "keysign-asset-not-allowed",
            amounts,
            transfers(BOB, ALICE, "0"),
            transfers(NFT, ALICE, "0"),
        ),
        with_standards(
            "keysign-asset-not-allowed",
            "transactions: {amounts: [{asset: seven, max: 1}]}",
            transfers(NFT, ALICE, "0"),
            transfers(NFT, ALICE, "7"),
        ),
        with_standards(
            "keysign-amount",
            amounts,
            transfers(USDC, ALICE, "5000001"),
            transfers(USDC, ALICE, "5000000"),
        ),
        with_standards(
            "keysign-amount",
            "transactions: {amounts: [{asset: apes, max: 0}]}",
            transfers(NFT, ALICE, "0"),
            transaction(ETHEREUM).task(),
        ),
        // A number is not an amount of apes: many of them are one.
        with_standards(
            "keysign-amount",
            amounts,
            {
                transaction(ETHEREUM)
                    .pays_asset(&format!("eip155:1/erc721:{NFT}/1"), ALICE, "1")
                    .pays_asset(&format!("eip155:1/erc721:{NFT}/2"), ALICE, "1")
                    .calls(NFT, &APPROVE)
                    .known_as("batch")
                    .task()
            },
            transfers(NFT, ALICE, "1000000"),
        ),
        with_standards(
            "keysign-asset-not-limited",
            limits,
            transfers(BOB, ALICE, "0"),
            transfers(NFT, ALICE, "0"),
        ),
        with_standards(
            "keysign-asset-not-limited",
            limits,
            transfers(USDC, ALICE, "0"),
            transfers(NFT, ALICE, "0"),
        ),
        // ERC-1155: none of a token is still that token.
        with_standards(
            "keysign-asset-not-allowed",
            "transactions: {amounts: [{asset: usdc, max: 5}]}",
            transaction(ETHEREUM)
                .pays_asset(&format!("eip155:1/erc1155:{NFT}/0"), ALICE, "0")
                .calls(NFT, &APPROVE)
                .known_as("safeTransferFrom")
                .task(),
            transaction(ETHEREUM).task(),
        ),
        // Old contracts move single tokens by `transfer`, too.
        with_standards(
            "keysign-asset-not-allowed",
            "transactions: {amounts: [{asset: usdc, max: 5}]}",
            transaction(ETHEREUM)
                .pays_asset(&format!("eip155:1/erc20:{NFT}"), ALICE, "0")
                .calls(NFT, &TRANSFER)
                .known_as("transfer(address,uint256)")
                .task(),
            pay_usdc(ALICE, "0"),
        ),
    ]
}

/// Native value for an account whose owner the transaction shows.
fn wraps(owner: &str) -> Task {
    with_fact(
        transfer(SOLANA, ACCOUNT, "1"),
        "token-owners",
        &format!(r#"{{"{ACCOUNT}": "{owner}"}}"#),
    )
}

fn solana_token(owner: Option<&str>) -> Task {
    let task = transaction(SOLANA)
        .pays_asset(USDC_SOL, ACCOUNT, "5")
        .calls("Tokenkeg", &[12])
        .known_as("TransferChecked")
        .task();
    match owner {
        Some(owner) => with_fact(
            task,
            "token-owners",
            &format!(r#"{{"{ACCOUNT}": "{owner}"}}"#),
        ),
        None => task,
    }
}

/// An unknown recipient may be on any deny list. Every such list, with a task that it lets pass.
fn cases_of_unknown_recipients() -> Vec<Case> {
    let deny = |list: &str| format!("{{deny: ['{list}']}}");
    let deny_beside =
        |rules: &str| format!("{{deny: ['{BOB}'], policies: [{{name: p, {rules}}}]}}");
    let destinations = |list: &str| {
        format!("{{policies: [{{name: p, transactions: {{destinations: {{deny: ['{list}']}}}}}}]}}")
    };
    let looked_up = || transfer(SOLANA, "unknown:Tab1e/3", "1");
    let script = || transfer(BITCOIN, "script:51", "1");
    let multicall = || {
        transaction(ETHEREUM)
            .calls(ALICE, &[0xac, 0x96, 0x50, 0xd8])
            .task()
    };
    let understood = |chain| {
        transaction(chain)
            .calls("Prog", &[3])
            .known_as("Memo")
            .task()
    };
    let mut data = transfer(BITCOIN, "", "0");
    if let Operation::Sign(signing) = &mut data.operation
        && let Intent::Transaction(does) = &mut signing.intent
    {
        does.destinations[0].memo = Some("aa".into());
    }
    let unknown = "keysign-address-unknown";
    let mut cases = Vec::new();
    for list in [deny, destinations] {
        cases.extend([
            case(
                unknown,
                &list(BOB),
                looked_up(),
                transfer(SOLANA, OWNER, "1"),
            ),
            case(
                unknown,
                &list(OWNER),
                looked_up(),
                transfer(SOLANA, ACCOUNT, "1"),
            ),
            case(unknown, &list(BOB), script(), data.clone()),
            case(
                unknown,
                &list(BOB),
                transfer(BITCOIN, "", "1"),
                transfer(BITCOIN, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "1"),
            ),
            case(
                unknown,
                &list(OWNER),
                solana_token(None),
                solana_token(Some(ACCOUNT)),
            ),
            case(
                unknown,
                &list(OWNER),
                wraps("unknown:Tab1e/3"),
                wraps("Some0ther"),
            ),
            // A list without addresses of Solana cannot have meant an owner there.
            case(unknown, &list(BOB), looked_up(), solana_token(None)),
        ]);
    }
    cases.extend([
        case("keysign-address-denied", &deny(OWNER), solana_token(Some(OWNER)), solana_token(Some("Some0ther"))),
        case("keysign-destination-denied", &destinations(OWNER), solana_token(Some(OWNER)), solana_token(Some("Some0ther"))),
        case("keysign-address-denied", &deny(OWNER), wraps(OWNER), wraps("Some0ther")),
        case("keysign-address-denied", &deny(ACCOUNT), solana_token(Some(OWNER)), transfer(SOLANA, OWNER, "1")),
        // The effects of a call that nobody understands, and of a new contract.
        case(unknown, &deny(BOB), multicall(), pay_usdc(ALICE, "1")),
        case(unknown, &deny_beside("transactions: {calls: {unknown: allow}}"), multicall(), pay_usdc(ALICE, "1")),
        case(unknown, &deny(BOB), transaction(ETHEREUM).creates().task(), pay(ALICE, "1")),
        case(unknown, &deny_beside("transactions: {calls: {create: allow}}"), transaction(ETHEREUM).creates().task(), pay(ALICE, "1")),
        case(unknown, &deny(BOB), transaction(SOLANA).calls("Prog", &[3]).task(), transaction(SOLANA).calls("Prog", &[3]).known_as("Memo").task()),
        // In a family of chains that is not known, neither names nor addresses mean anything.
        transactions("keysign-call-unknown", "", understood(LATER), understood(SOLANA)),
        case(unknown, &deny(BOB), understood(LATER), understood(SOLANA)),
        case(unknown, &deny(BOB), transfer(LATER, ACCOUNT, "1"), transfer(SOLANA, ACCOUNT, "1")),
        case(unknown, &destinations(BOB), transfer(LATER, ACCOUNT, "1"), transfer(SOLANA, ACCOUNT, "1")),
        // The operator answers for a call that is listed.
        case(
            unknown,
            &deny_beside(&format!("transactions: {{calls: {{allow: [{{contract: '{ALICE}', methods: ['0xac9650d8']}}]}}}}")),
            transaction(ETHEREUM).calls(ALICE, &[0xac, 0x96, 0x50, 0xd9]).task(),
            multicall(),
        ),
        // A delegate that stands in a lookup table.
        case(unknown, &deny(BOB), transaction(SOLANA).grants("unknown:Tab1e/3", USDC_SOL, Some("1")).task(), transaction(SOLANA).grants(OWNER, USDC_SOL, Some("1")).task()),
        // Typed data.
        case(unknown, &deny(BOB), other("unknown"), order(Some(ALICE), "Order")),
        case(unknown, &deny(BOB), other("hidden"), permit(ALICE, Some("1"))),
        case(unknown, &deny(BOB), typed_data(Some(ETHEREUM), Some(USDC), "Session", vec![]), order(Some(ALICE), "Order")),
        case("keysign-address-denied", &deny_beside("typed_data: {primary_types: [Session]}"), in_document(other("unknown"), BOB), in_document(other("unknown"), ALICE)),
        // An authorisation that is valid on every chain.
        case(
            "keysign-address-denied",
            &deny(&format!("eip155:10:{BOB}")),
            transaction("eip155:0").grants(BOB, "", None).task(),
            transaction(ETHEREUM).grants(BOB, "", None).task(),
        ),
        // A method that nobody understands may lead to one that is denied.
        transactions(
            "keysign-call-unknown",
            &format!("calls: {{unknown: allow, deny: [{{contract: '{ALICE}', methods: ['increaseAllowance(address,uint256)']}}]}}"),
            multicall(),
            transaction(ETHEREUM).calls(BOB, &[0xac, 0x96, 0x50, 0xd8]).task(),
        ),
        // Allow lists take an owner for its accounts.
        transactions("keysign-destination-not-allowed", &format!("destinations: {{allow: ['{OWNER}']}}"), solana_token(None), solana_token(Some(OWNER))),
    ]);
    cases
}

/// The typed data with a document that names this address somewhere.
fn in_document(mut task: Task, address: &str) -> Task {
    let Operation::Sign(signing) = &mut task.operation else {
        panic!("a signature")
    };
    let Intent::TypedData(data) = &mut signing.intent else {
        panic!("typed data")
    };
    data.json = format!(r#"{{"message": {{"n": 1, "to": [{{"key": "{address}"}}]}}}}"#);
    task
}

/// `2027-01-15T08:00Z` is a Friday: when the tasks of the mock arrive.
fn at(mut task: Task, minutes: i64) -> Task {
    task.received_at = task
        .received_at
        .checked_add_signed(minutes * 60_000)
        .unwrap();
    task
}

fn on_path(mut task: Task, path: &str) -> Task {
    let Operation::Sign(signing) = &mut task.operation else {
        panic!("a signature")
    };
    signing.inputs[0].path = path.into();
    task
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn cases() -> Vec<Case> {
    let grants = format!(
        "grants: {{spenders: ['{BOB}'], amounts: [{{asset: usdc, max: 5}}]}}, transactions: {{}}, typed_data: {{}}"
    );
    let any = "transactions: {}";
    let cases = vec![
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
            pay_usdc(ALICE, "1"),
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
        case(
            "keysign-blind",
            &format!("{{deny: ['{BOB}']}}"),
            blind(),
            message("message", "x"),
        ),
        policy("keysign-blind", any, blind(), pay(ALICE, "1")),
        policy(
            "keysign-blind",
            "messages: {}",
            said_to_be_blind(),
            message("message", "x"),
        ),
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
        policy(
            "keysign-no-transactions",
            "messages: {}",
            pay(ALICE, "1"),
            message("eip191", "x"),
        ),
        policy(
            "keysign-no-messages",
            any,
            message("eip191", "x"),
            pay(ALICE, "1"),
        ),
        policy(
            "keysign-no-typed-data",
            any,
            order(None, "Order"),
            pay(ALICE, "1"),
        ),
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
            transaction(ETHEREUM)
                .pays(ALICE, "1")
                .change(BOB, "1")
                .task(),
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
            transaction(ETHEREUM)
                .calls(USDC, &TRANSFER)
                .known_as("transfer(address,uint256)")
                .task(),
            approval_of_nothing(),
        ),
        transactions(
            "keysign-call-unknown",
            "",
            transaction(SOLANA).calls("Prog", &[3]).task(),
            transaction(SOLANA)
                .calls("Prog", &[3])
                .known_as("Transfer")
                .task(),
        ),
        // Tokens that move by a method nobody knows.
        transactions(
            "keysign-call-unknown",
            "",
            transaction(ETHEREUM)
                .pays_asset(USDC_ID, ALICE, "1")
                .calls(USDC, &TRANSFER)
                .task(),
            pay_usdc(ALICE, "1"),
        ),
        // An instruction without data can do anything.
        transactions(
            "keysign-call-unknown",
            "",
            transaction(SOLANA).calls("Prog", &[]).task(),
            transaction(SOLANA)
                .calls("Prog", &[])
                .known_as("Create")
                .task(),
        ),
        // Two calls: nobody can tell which of them the token's destination comes from.
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
            &format!(
                "calls: {{allow: [{{contract: '{BOB}', methods: ['deposit()', '0xa9059cbb']}}]}}"
            ),
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
        policy(
            "keysign-grant",
            any,
            approval(BOB, Some("1")),
            approval(BOB, Some("0")),
        ),
        policy(
            "keysign-grant",
            "typed_data: {}",
            permit(BOB, Some("1")),
            order(None, "Order"),
        ),
        policy(
            "keysign-spender-not-allowed",
            &grants,
            approval(ALICE, Some("1")),
            approval(BOB, Some("1")),
        ),
        policy(
            "keysign-grant-unlimited",
            &grants,
            approval(BOB, None),
            approval(BOB, Some("5000000")),
        ),
        policy(
            "keysign-grant-unlimited",
            &grants,
            permit(BOB, None),
            permit(BOB, Some("5000000")),
        ),
        policy(
            "keysign-grant-amount",
            &grants,
            approval(BOB, Some("5000001")),
            approval(BOB, Some("5000000")),
        ),
        policy(
            "keysign-grant-asset-not-allowed",
            &grants,
            transaction(ETHEREUM)
                .grants(BOB, "eip155:1/erc20:0xdd", Some("1"))
                .task(),
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
            transaction(ETHEREUM)
                .grants("0x0000000000000000000000000000000000000000", "", Some("0"))
                .task(),
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
            transaction(ETHEREUM)
                .pays(ALICE, "5")
                .change(BOB, "6")
                .task(),
        ),
        // A call takes along value that no destination shows.
        transactions(
            "keysign-amount",
            &format!(
                "calls: {{allow: [{{contract: '{BOB}'}}]}}, amounts: [{{asset: eth, max: '0.000000000000000010'}}]"
            ),
            transaction(ETHEREUM)
                .calls(BOB, &TRANSFER)
                .with_value("11")
                .task(),
            transaction(ETHEREUM)
                .pays(BOB, "10")
                .calls(BOB, &TRANSFER)
                .with_value("10")
                .task(),
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
        transactions(
            "keysign-amount-malformed",
            "",
            pay(ALICE, "1e18"),
            pay(ALICE, "1"),
        ),
        transactions(
            "keysign-amount-malformed",
            "",
            pay(ALICE, ""),
            pay(ALICE, "0"),
        ),
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
            testing::transaction(ETHEREUM).task(),
            transaction(ETHEREUM).fee("1").task(),
        ),
        // The fee leaves too, so amounts must know and count it.
        transactions(
            "keysign-fee-unknown",
            "amounts: [{asset: eth, max: 1}]",
            testing::transaction(ETHEREUM).task(),
            transaction(ETHEREUM).task(),
        ),
        transactions(
            "keysign-amount",
            "amounts: [{asset: eth, max: '0.000000000000000010'}]",
            transaction(ETHEREUM).pays(ALICE, "5").fee("6").task(),
            transaction(ETHEREUM).pays(ALICE, "5").fee("5").task(),
        ),
        transactions(
            "keysign-asset-not-allowed",
            "amounts: [{asset: usdc, max: 1}]",
            transaction(ETHEREUM).fee("1").task(),
            transaction(ETHEREUM).task(),
        ),
        policy(
            "keysign-fee-unknown",
            "transactions: {}, limits: [{per: day, asset: eth, max: 1}]",
            testing::transaction(ETHEREUM).task(),
            transaction(ETHEREUM).task(),
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
        policy(
            "keysign-typed-data-unknown",
            "typed_data: {}",
            other("unknown"),
            order(None, "Order"),
        ),
        policy(
            "keysign-typed-data-unknown",
            "typed_data: {}",
            other("hidden"),
            order(None, "Order"),
        ),
        policy(
            "keysign-typed-data-unknown",
            "typed_data: {}",
            typed_data(Some(ETHEREUM), Some(USDC), "Session", vec![]),
            order(None, "Order"),
        ),
        policy(
            "keysign-typed-data-type",
            "typed_data: {primary_types: [Session]}",
            order(None, "Order"),
            other("unknown"),
        ),
        policy(
            "keysign-delegation",
            &format!(
                "typed_data: {{primary_types: [Delegation]}}, transactions: {{delegates: ['{ALICE}']}}"
            ),
            delegation(BOB),
            delegation(ALICE),
        ),
    ];
    [
        cases,
        cases_of_two_standards(),
        cases_of_unknown_recipients(),
    ]
    .concat()
}

/// Typed data that hands the whole account over.
fn delegation(to: &str) -> Task {
    let grant = Grant {
        spender: to.into(),
        asset: String::new(),
        amount: None,
    };
    with_rights(
        "hidden",
        typed_data(Some(ETHEREUM), Some(USDC), "Delegation", vec![grant]),
    )
}

/// Blind, although the node shows a meaning: nothing about a blind payload is believed.
fn said_to_be_blind() -> Task {
    let mut task = message("message", "x");
    let Operation::Sign(signing) = &mut task.operation else {
        unreachable!()
    };
    signing.blind = true;
    task
}

fn other_key() -> Task {
    let mut task = pay(ALICE, "1");
    let Operation::Sign(signing) = &mut task.operation else {
        unreachable!()
    };
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
                && word.split('-').next().is_some_and(|kind| {
                    ["keysign", "keygen", "keyreshare", "keysharesign"].contains(&kind)
                })
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
        include_str!("../recipients.rs"),
        include_str!("../standards.rs"),
        include_str!("../transactions.rs"),
        include_str!("../when.rs"),
    ];
    let sources = sources.concat();
    assert_eq!(
        codes(&sources),
        codes(include_str!("../../../../docs/rules.yaml")),
        "sources, documentation"
    );
    let cases = cases();
    // A full memory is tested among the limits.
    let tested: std::collections::BTreeSet<_> = cases
        .iter()
        .map(|case| case.0)
        .chain(["keysign-limit-memory"])
        .collect();
    let for_signing = codes(&sources)
        .into_iter()
        .filter(|code| code.starts_with("keysign-"));
    assert_eq!(
        for_signing.collect::<std::collections::BTreeSet<_>>(),
        tested
    );
}

#[test]
fn the_first_policy_that_matches_decides() {
    let rules = "{policies: [{name: a, when: {payloads: [eip191]}, messages: {patterns: ['a']}}, {name: b, messages: {}}]}";
    let document = in_file(rules);
    assert_eq!(
        judge(&document, &message("eip191", "b")),
        "keysign-message-not-allowed"
    );
    assert_eq!(judge(&document, &message("message", "b")), "approve");
}

#[test]
fn an_empty_list_of_policies_signs_nothing() {
    assert_eq!(
        judge(&in_file("{policies: []}"), &pay(ALICE, "1")),
        "keysign-no-policy"
    );
}

#[test]
fn blind_signatures_pass_where_a_policy_says_so_and_nowhere_else() {
    let document = in_file(
        "{policies: [{name: b, when: {payloads: [digest]}, blind: allow}, {name: t, transactions: {}}]}",
    );
    assert_eq!(judge(&document, &blind()), "approve");
    assert_eq!(judge(&document, &pay(ALICE, "1")), "approve");
    assert_eq!(
        judge(&document, &message("message", "x")),
        "keysign-no-messages"
    );
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
        line.fields
            .iter()
            .find(|field| field.0 == name)
            .unwrap()
            .1
            .clone()
    };
    let trail: Vec<_> = host
        .logged()
        .iter()
        .map(|line| (field(line, "rule"), field(line, "outcome")))
        .collect();
    let expected = [
        ("deny", "passes"),
        ("policy m: when", "does not match"),
        ("policy t: deny", "passes"),
        ("policy t: transactions.destinations", "passes"),
        ("policy t: transactions.calls", "passes"),
        ("policy t: grants", "passes"),
        ("policy t: transactions.delegates", "passes"),
        ("policy t: transactions.amounts", "refuses"),
    ];
    assert_eq!(
        trail,
        expected.map(|(rule, outcome)| (rule.into(), outcome.into()))
    );
    assert_eq!(
        field(host.logged().last().unwrap(), "why"),
        "it spends 10 eth, at most 9 eth is allowed"
    );
}
