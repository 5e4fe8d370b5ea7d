//! Adding a rule never turns a refusal into an approval, whatever the rules were and
//! whatever the task is.

use countersign_sdk::testing::{TransactionBuilder, message, transaction, typed_data, with_fact};
use proptest::prelude::*;
use serde_json::{Value, json as value};

use super::*;

const ADDRESSES: [&str; 2] = [
    "0x1111111111111111111111111111111111111111",
    "0x2222222222222222222222222222222222222222",
];

/// Rules, each with the place to add it.
fn catalogue() -> Vec<(&'static str, Value)> {
    let [a, b] = ADDRESSES;
    let span = |from: &str, to: &str| value!([{"from": from, "to": to}]);
    let mut rules = vec![
        (
            "/policies/0/transactions/calls/deny",
            value!([{"contract": a}]),
        ),
        (
            "/policies/0/transactions/calls/deny",
            value!([{"contract": b, "methods": ["0xa9059cbb"]}]),
        ),
        (
            "/policies/0/transactions/calls/deny",
            value!([{"contract": b, "methods": ["0xa9059cbc"]}]),
        ),
        ("/policies/0/limits", value!([{"per": "day", "tasks": 1}])),
        (
            "/policies/0/limits",
            value!([{"per": "day", "tasks": 9}, {"per": "hour", "asset": "eth", "max": 12}]),
        ),
        (
            "/policies/0/hours",
            value!({"allow": span("07:00", "09:00")}),
        ),
        (
            "/policies/0/hours",
            value!({"quiet": span("07:00", "09:00")}),
        ),
        (
            "/policies/0/hours",
            value!({"allow": span("09:00", "07:00"), "quiet": span("20:00", "21:00")}),
        ),
        ("/policies/0/messages/patterns", value!(["a+"])),
        ("/policies/0/messages/digests", value!("refuse")),
        ("/policies/0/typed_data/primary_types", value!(["Order"])),
        ("/policies/0/when/chains", value!(["eip155:1"])),
        ("/policies/0/when/payloads", value!(["evm-transaction"])),
        ("/reject_all", value!(true)),
    ];
    for list in [value!([]), value!([a]), value!([b]), value!([a, b])] {
        for at in [
            "/policies/0/transactions/destinations/allow",
            "/policies/0/transactions/destinations/deny",
            "/deny",
        ] {
            rules.push((at, list.clone()));
        }
    }
    for max in [0, 10] {
        let ceilings = value!([{"asset": "eth", "max": max}]);
        rules.push(("/policies/0/transactions/amounts", ceilings.clone()));
        rules.push(("/policies/0/transactions/fees", ceilings));
    }
    rules
}

fn base() -> Value {
    value!({
        "assets": {"eth": {"id": "eip155:1"}},
        "policies": [{
            "name": "p",
            "transactions": {"destinations": {}, "calls": {}},
            "messages": {},
            "typed_data": {},
            "grants": {"spenders": [ADDRESSES[0]]},
            "when": {},
        }],
    })
}

/// Puts the rule in its place, unless there is one already.
fn add(rules: &mut Value, (at, rule): &(&str, Value)) {
    let (parent, name) = at.rsplit_once('/').unwrap();
    let parent = rules.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    parent.entry(name).or_insert_with(|| rule.clone());
}

/// An effect of a transaction.
#[derive(Debug, Clone)]
enum Effect {
    Pay(&'static str, u64),
    Change(&'static str, u64),
    Call(&'static str, u64),
    TransferToken(&'static str),
    Grant(&'static str, Option<u64>),
    Fee(u64),
}

impl Effect {
    fn on(&self, tx: TransactionBuilder) -> TransactionBuilder {
        const TRANSFER: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];
        match self {
            Self::Pay(to, amount) => tx.pays(to, &amount.to_string()),
            Self::Change(to, amount) => tx.change(to, &amount.to_string()),
            Self::Call(contract, value) => {
                tx.calls(contract, &TRANSFER).with_value(&value.to_string())
            }
            Self::TransferToken(contract) => {
                let asset = format!("eip155:1/erc20:{contract}");
                tx.calls(contract, &TRANSFER)
                    .known_as("transfer")
                    .pays_asset(&asset, ADDRESSES[0], "1")
            }
            Self::Grant(spender, amount) => {
                let amount = amount.map(|amount| amount.to_string());
                tx.grants(spender, "eip155:1/erc20:0xaa", amount.as_deref())
            }
            Self::Fee(fee) => tx.fee(&fee.to_string()),
        }
    }
}

fn effect() -> impl Strategy<Value = Effect> {
    let address = || prop::sample::select(ADDRESSES.to_vec());
    prop_oneof![
        (address(), 0..20u64).prop_map(|(to, amount)| Effect::Pay(to, amount)),
        (address(), 0..20u64).prop_map(|(to, amount)| Effect::Change(to, amount)),
        (address(), 0..20u64).prop_map(|(contract, value)| Effect::Call(contract, value)),
        address().prop_map(Effect::TransferToken),
        (address(), prop::option::of(0..5u64))
            .prop_map(|(spender, amount)| Effect::Grant(spender, amount)),
        (0..20u64).prop_map(Effect::Fee),
    ]
}

fn task() -> impl Strategy<Value = Task> {
    let chain = prop::sample::select(vec!["eip155:1", "eip155:2"]);
    let transactions =
        (chain, prop::collection::vec(effect(), 0..4)).prop_map(|(chain, effects)| {
            effects
                .iter()
                .fold(transaction(chain), |tx, effect| effect.on(tx))
                .task()
        });
    prop_oneof![
        4 => transactions,
        1 => "[ab]{0,2}".prop_map(|text| message("eip191", text)),
        1 => prop::sample::select(vec!["Order", "Other"]).prop_map(|kind| {
            with_fact(typed_data(Some("eip155:1"), None, kind, vec![]), "typed-data-rights", "none")
        }),
        1 => Just(testing::blind()),
    ]
}

/// True if the rules approve the last of these tasks, after the node decided on the others.
fn approves(rules: &Value, before: &[Task], last: &Task) -> bool {
    let config =
        json::config::<Config>(&value!({"enable": true, "key_sign": rules}).to_string()).unwrap();
    let host = MockHost::default();
    // Earlier approvals are the same in both worlds: state is part of the world, not of the rules.
    for (i, task) in before.iter().enumerate() {
        let spent = task.transaction().map_or("0", |tx| {
            tx.destinations.first().map_or("0", |to| &to.amount)
        });
        let name = format!("used/p/key-1/{:013}/{i}", MockHost::NOW - 1);
        host.state_set(&name, format!("eip155:1 {spent}").as_bytes(), None)
            .unwrap();
    }
    matches!(host.decide::<Rules>(&config, last), Ok(Verdict::Approve))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_further_rule_refuses_more_and_never_less(
        first in prop::sample::subsequence(catalogue(), 0..4),
        before in prop::collection::vec(task(), 0..3),
        last in task(),
    ) {
        let mut rules = base();
        first.iter().for_each(|rule| add(&mut rules, rule));
        if !approves(&rules, &before, &last) {
            for further in catalogue() {
                let mut rules = rules.clone();
                add(&mut rules, &further);
                prop_assert!(!approves(&rules, &before, &last), "{further:?} in {rules}");
            }
        }
    }
}
