//! `docs/tutorial.md`: its two transactions are what it says of them.

use countersign_payload::{Intent, Key, Networks, decode, read_hex};
use countersign_protocol::{Payload, PayloadKind, Scheme};

use crate::node;
use crate::page::Page;

const PAGE: Page = Page(include_str!("../../../docs/tutorial.md"));

/// Recipient, chain and amount of a transaction.
fn paid(transaction: &str) -> [String; 3] {
    let root = node::root();
    let key = Key {
        scheme: Scheme::EcdsaSecp256k1,
        root_public_key: root.public_key(),
        chain_code: root.chain_code(),
    };
    let bytes = read_hex(transaction.as_bytes()).unwrap();
    let payload = Payload::new(PayloadKind::EvmTransaction, bytes);
    let path = "m/44/60/0/0/0".parse().unwrap();
    let decoded = decode(&key, &path, &payload, &Networks::default()).unwrap();
    let Intent::Transaction(does) = decoded.intent else {
        panic!("a transaction is shown as one")
    };
    let to = &does.destinations[0];
    [to.address.clone(), does.chain, to.amount.clone()]
}

#[test]
fn the_transactions_of_the_page_are_one_that_the_rules_refuse_and_one_that_they_allow() {
    let rules = PAGE.section("4. Rules").blocks("yaml")[0];
    for (step, wei) in [
        (
            "8. A transaction that the rules refuse",
            "1000000000000000000",
        ),
        ("9. A transaction that they sign", "10000000000000000"),
    ] {
        let text = PAGE.section(step).blocks("sh")[0];
        let words = text.split_whitespace();
        let transactions: Vec<_> = words.filter(|word| word.starts_with("0x02")).collect();
        assert!(!transactions.is_empty(), "{step}");
        for transaction in transactions {
            let [to, chain, amount] = paid(transaction);
            assert!(rules.contains(&to), "{to}");
            assert!(rules.contains(&format!("\"{chain}\"")), "{chain}");
            assert_eq!(amount, wei, "{step}");
        }
    }
}
