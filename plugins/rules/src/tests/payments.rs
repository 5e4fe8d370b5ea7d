//! The policy of `docs/payloads.md` for a desk that pays on Solana, on messages as
//! a node decodes them.

use countersign_payload::{Key, Networks, decode};
use countersign_protocol::{Payload, PayloadKind, Scheme};
use countersign_sdk::testing::{signing_of, with_fact};
use countersign_sdk::{Call, Destination, Grant, Transaction};

use super::*;

const PAGE: &str = include_str!("../../../../docs/payloads.md");
/// Messages that LiteSVM carried out. The seventh and eighth pay tokens, of either token program,
/// to an account that they make.
const MESSAGES: &str = include_str!("../../../../payload/fixtures/solana-fees.txt");
const UNBOUNDED: &str =
    include_str!("../../../../payload/fixtures/solana-priority-fee-unbounded.hex");
const STRANGER: &str = include_str!("../../../../payload/fixtures/solana-usdc-ata-owner.hex");

/// RFC 8032, section 7.1, test 1.
const DESK: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const OTHER: &str = "9b19c607f5421cf7128b19f6d8ad2a18ebf73f145f4236118de34799599cc4b8";

const SOLANA: &str = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp";
const SYSTEM: &str = "ComputeBudget111111111111111111111111111111";
const NOBODY: &str = "J3dxNj7nDRRqRRXuEMynDG57DkZK4jYRuv3Garmb1i99";

/// The only configuration in the page.
fn written() -> String {
    let (_, rest) = PAGE.split_once("```yaml\n").unwrap();
    let (yaml, rest) = rest.split_once("```").unwrap();
    assert!(!rest.contains("```yaml"));
    serde_norway::from_str::<serde_json::Value>(yaml)
        .unwrap()
        .to_string()
}

/// The task that a node puts before its plugins.
fn task(signer: &str, message: &str) -> Task {
    let root = hex::decode(signer).unwrap();
    let key = Key {
        scheme: Scheme::Ed25519,
        root_public_key: &root,
        chain_code: &[9; 32],
    };
    let payload = Payload::new(
        PayloadKind::SolanaMessage,
        hex::decode(message.trim()).unwrap(),
    );
    let decoded = decode(&key, &"m".parse().unwrap(), &payload, &Networks::default()).unwrap();
    let countersign_payload::Intent::Transaction(does) = &decoded.intent else {
        panic!()
    };
    let destination = |to: &countersign_payload::Destination| Destination {
        address: to.address.clone(),
        asset: to.asset.clone(),
        amount: to.amount.clone(),
        memo: to.memo.clone(),
        change: to.change,
    };
    let call = |call: &countersign_payload::Call| Call {
        contract: call.contract.clone(),
        selector: call.selector.clone(),
        method: call.method.clone(),
        amount: call.amount.clone(),
        data: call.data.clone(),
    };
    let grant = |grant: &countersign_payload::Grant| Grant {
        spender: grant.spender.clone(),
        asset: grant.asset.clone(),
        amount: grant.amount.clone(),
    };
    let seen = Transaction {
        chain: does.chain.clone(),
        sources: does.sources.clone(),
        destinations: does.destinations.iter().map(destination).collect(),
        calls: does.calls.iter().map(call).collect(),
        grants: does.grants.iter().map(grant).collect(),
        fee: does.fee.clone(),
        unsigned: does.unsigned.clone(),
    };
    let task = signing_of("solana-message", Intent::Transaction(seen));
    let facts = countersign_payload::facts(&decoded.intent);
    facts
        .into_iter()
        .fold(task, |task, (name, value)| with_fact(task, name, &value))
}

#[test]
fn the_policy_of_the_manual_pays_whom_it_lists() {
    let policy = written();
    let messages: Vec<_> = MESSAGES
        .lines()
        .map(|line| line.split_once(' ').unwrap().1)
        .collect();
    for (place, expected) in [
        (0, "approve"),     // a transfer
        (1, "approve"),     // with a tip
        (3, "approve"),     // with a memo
        (4, "keysign-fee"), // a tip for the largest limit
        (7, "approve"),     // USDC for an account that it makes
        (8, "approve"),     // the same of Token-2022
    ] {
        assert_eq!(
            judge(&policy, &task(DESK, messages[place])),
            expected,
            "message {place}"
        );
    }
    assert_eq!(
        judge(&policy, &task(OTHER, UNBOUNDED)),
        "keysign-destination-not-allowed"
    );
    assert_eq!(
        judge(&policy, &task(OTHER, STRANGER)),
        "keysign-destination-not-allowed"
    );
}

/// 230 million SOL of priority fee beside a payment of nearly nothing.
#[test]
fn a_fee_counts_in_amounts_and_limits() {
    let of = |rules: &str| {
        in_file(&format!(
            "{{assets: {{sol: {{id: '{SOLANA}', decimals: 9}}}}, policies: [{{name: p, {rules}}}]}}"
        ))
    };
    for (rules, expected) in [
        ("transactions: {}", "approve"),
        (
            "transactions: {amounts: [{asset: sol, max: 1}]}",
            "keysign-amount",
        ),
        (
            "transactions: {}, limits: [{per: day, asset: sol, max: 1}]",
            "keysign-limit-amount",
        ),
        (
            "transactions: {fees: [{asset: sol, max: 1}]}",
            "keysign-fee",
        ),
        (
            "transactions: {fees: [{asset: sol, max: 999999999}]}",
            "approve",
        ),
    ] {
        assert_eq!(
            judge(&of(rules), &task(OTHER, UNBOUNDED)),
            expected,
            "{rules}"
        );
    }
}

/// The owner is named by the instruction that makes the account.
#[test]
fn a_denied_owner_receives_nothing() {
    let owner = "gBxS1f6uyyGPuW5MzGBukidSb71jdsCb5fZaoSzULE5";
    for (denied, expected) in [
        (owner, "keysign-address-denied"),
        (SYSTEM, "keysign-address-denied"),
        (NOBODY, "approve"),
    ] {
        let policy = in_file(&format!("{{deny: ['{denied}']}}"));
        assert_eq!(judge(&policy, &task(OTHER, STRANGER)), expected, "{denied}");
    }
}
