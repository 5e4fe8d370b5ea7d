//! `docs/payloads.md`: payloads on command lines that are written out in full.

use countersign_payload::{Intent, Key, Networks, decode, read_hex};
use countersign_protocol::{Payload, PayloadKind, Scheme};

use crate::node;
use crate::page::Page;

const PAGE: Page = Page(include_str!("../../../docs/payloads.md"));

const CALLBACK: Page = Page(include_str!("../../../docs/callback.md"));

#[test]
fn the_table_of_the_page_has_every_kind_of_payload() {
    let mut listed = PAGE.whole().first_column("kind");
    listed.sort_unstable();
    let mut kinds = PayloadKind::ALL.map(|kind| format!("`{kind}`"));
    kinds.sort_unstable();
    assert_eq!(listed, kinds);
}

#[test]
fn the_page_on_callbacks_says_how_every_kind_of_payload_is_shown() {
    let rows = CALLBACK.whole().first_column("signed").join("\n");
    for kind in PayloadKind::ALL {
        assert!(rows.contains(&format!("`{kind}`")), "{kind}");
    }
}

#[test]
fn the_authorisation_of_the_page_hands_over_an_account() {
    let line = PAGE.section("EVM: `eip7702`").block("");
    let words: Vec<_> = line.split(' ').collect();
    let after = |name: &str| words[words.iter().position(|word| *word == name).unwrap() + 1];
    let payload = Payload::new(
        PayloadKind::Eip7702,
        read_hex(after("--eip7702").as_bytes()).unwrap(),
    );
    let root = node::root();
    let key = Key {
        scheme: Scheme::EcdsaSecp256k1,
        root_public_key: root.public_key(),
        chain_code: root.chain_code(),
    };
    let decoded = decode(
        &key,
        &after("--path").parse().unwrap(),
        &payload,
        &Networks::default(),
    )
    .unwrap();
    let Intent::Transaction(does) = decoded.intent else {
        panic!("an authorisation is shown as a transaction")
    };
    assert_eq!((does.grants.len(), does.destinations.len()), (1, 0));
}
