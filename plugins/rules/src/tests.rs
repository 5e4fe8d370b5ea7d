//! The rules' decisions, through a mock host.

mod configuration;
mod limits;
mod monotone;
mod payments;
mod signing;

use countersign_sdk::testing::{self, MockHost, TransactionBuilder, check_up, reshare};
use countersign_sdk::{Intent, json};

use super::*;

const LISTS: &str = r#"{
    "enable": true,
    "key_gen": { "allow_list": [ { "threshold": 2, "node_ids": ["a", "b", "c"] } ] },
    "key_sign": { "reject_all": false },
    "key_reshare": { "allow_list": [ { "xpubkey": "xpub-1", "new_threshold": 2, "new_node_ids": ["b", "c", "d"] } ] }
}"#;

const CLOSED: &str = r#"{
    "enable": true,
    "key_gen": { "reject_all": true, "allow_list": [ { "threshold": 2, "node_ids": ["a", "b", "c"] } ] },
    "key_sign": { "reject_all": true },
    "key_reshare": { "reject_all": true },
    "key_share_sign": { "reject_all": true }
}"#;

/// A transaction that costs nothing.
fn transaction(chain: &str) -> TransactionBuilder {
    testing::transaction(chain).fee("0")
}

/// A payment that costs nothing.
fn transfer(chain: &str, address: &str, amount: &str) -> Task {
    transaction(chain).pays(address, amount).task()
}

/// `approve`, or the code of the rejection.
fn judge(document: &str, task: &Task) -> String {
    let config = json::config::<Config>(document).unwrap();
    code(MockHost::default().decide::<Rules>(&config, task).unwrap())
}

fn code(verdict: Verdict) -> String {
    match verdict {
        Verdict::Approve => "approve".into(),
        Verdict::Reject(rejection) => rejection.code,
    }
}

/// The document of a file with these rules, in YAML, under `key_sign`.
fn in_file(key_sign: &str) -> String {
    let file = format!(
        "{{enable: true, key_gen: {{allow_list: [{{threshold: 2, node_ids: [a, b, c]}}]}}, key_sign: {key_sign}}}"
    );
    serde_norway::from_str::<serde_json::Value>(&file)
        .unwrap()
        .to_string()
}

#[test]
fn keygen_must_equal_an_entry() {
    assert_eq!(
        judge(LISTS, &testing::keygen(2, &["a", "b", "c"])),
        "approve"
    );
    assert_eq!(
        judge(LISTS, &testing::keygen(2, &["c", "a", "b"])),
        "approve"
    );
    for (threshold, members) in [
        (1, &["a", "b", "c"][..]),
        (3, &["a", "b", "c"]),
        (2, &["a", "b"]),
        (2, &["a", "b", "c", "d"]),
        (2, &["a", "b", "d"]),
        (2, &["a", "b", "b"]),
        (2, &["a", "b", "c", "c"]),
    ] {
        assert_eq!(
            judge(LISTS, &testing::keygen(threshold, members)),
            "keygen-not-allowed",
            "{members:?}"
        );
    }
}

#[test]
fn an_entry_may_give_the_number_of_nodes_in_place_of_their_ids() {
    let number = r#"{"enable": true, "key_gen": {"allow_list": [{"threshold": 2, "nodes": 3}]}}"#;
    for members in [&["a", "b", "c"], &["d", "e", "f"]] {
        assert_eq!(judge(number, &testing::keygen(2, members)), "approve");
    }
    for (threshold, members) in [
        (1, &["a", "b", "c"][..]),
        (3, &["a", "b", "c"]),
        (2, &["a", "b"]),
        (2, &["a", "b", "c", "d"]),
        (2, &["a", "b", "b"]),
    ] {
        assert_eq!(
            judge(number, &testing::keygen(threshold, members)),
            "keygen-not-allowed",
            "{members:?}"
        );
    }
}

#[test]
fn reshare_must_equal_an_entry() {
    assert_eq!(judge(LISTS, &reshare(2, &["d", "c", "b"])), "approve");
    assert_eq!(
        judge(LISTS, &reshare(3, &["b", "c", "d"])),
        "keyreshare-not-allowed"
    );
    assert_eq!(
        judge(LISTS, &reshare(2, &["b", "c", "e"])),
        "keyreshare-not-allowed"
    );
    let other_key = LISTS.replace("xpub-1", "xpub-2");
    assert_eq!(
        judge(&other_key, &reshare(2, &["b", "c", "d"])),
        "keyreshare-not-allowed"
    );
}

#[test]
fn without_a_list_only_signing_is_allowed() {
    let bare = r#"{"enable": true}"#;
    assert_eq!(
        judge(bare, &testing::keygen(2, &["a", "b"])),
        "keygen-not-allowed"
    );
    assert_eq!(
        judge(bare, &reshare(2, &["a", "b"])),
        "keyreshare-not-allowed"
    );
    assert_eq!(judge(bare, &testing::signing(Intent::Opaque)), "approve");
    assert_eq!(judge(bare, &check_up()), "approve");
}

#[test]
fn reject_all_beats_the_list() {
    assert_eq!(
        judge(CLOSED, &testing::keygen(2, &["a", "b", "c"])),
        "keygen-reject-all"
    );
    assert_eq!(
        judge(CLOSED, &testing::signing(Intent::Opaque)),
        "keysign-reject-all"
    );
    assert_eq!(
        judge(CLOSED, &reshare(2, &["b", "c", "d"])),
        "keyreshare-reject-all"
    );
    assert_eq!(judge(CLOSED, &check_up()), "keysharesign-reject-all");
}

#[test]
fn unknown_operations_are_not_approved() {
    let config = json::config::<Config>(LISTS).unwrap();
    let task = testing::task(Operation::Other("export".into()));
    let failure = Rules::evaluate(&config, &task, &MockHost::default()).unwrap_err();
    assert!(matches!(failure, Failure::Unsupported(_)));
}

#[test]
fn unknown_operations_do_not_pass_as_counted() {
    let config = json::config::<Config>(LISTS).unwrap();
    let observe = |task| Rules::observe(&config, &task, &MockHost::default());
    let other = testing::task(Operation::Other("export".into()));
    assert!(matches!(observe(other), Err(Failure::Unsupported(_))));
    for known in [
        testing::keygen(2, &["a", "b"]),
        reshare(2, &["b"]),
        check_up(),
    ] {
        assert_eq!(observe(known), Ok(()));
    }
}

#[test]
fn rules_that_are_turned_off_are_a_mistake() {
    for document in ["{}", r#"{"enable": false}"#] {
        let config = json::config::<Config>(document).unwrap();
        let host = MockHost::default();
        assert!(
            matches!(Rules::check(&config, &host), Err(Failure::Misconfigured(text)) if text.contains("remove"))
        );
        assert!(Rules::evaluate(&config, &testing::signing(Intent::Opaque), &host).is_err());
    }
}

#[test]
fn mistakes_in_the_configuration_are_found() {
    for document in [
        r#"{"enable": true, "keygen": {}}"#,
        r#"{"enable": true, "key_sign": {"rejectall": true}}"#,
        r#"{"enable": true, "enable": false}"#,
        r#"{"enable": true, "key_gen": {"allow_list": [{"threshold": 2, "nodes": "3"}]}}"#,
    ] {
        assert!(json::config::<Config>(document).is_err(), "{document}");
    }
    for entry in [
        r#"{"threshold": 0, "node_ids": ["a"]}"#,
        r#"{"threshold": 3, "node_ids": ["a", "b"]}"#,
        r#"{"threshold": 1, "node_ids": ["a", "a"]}"#,
        r#"{"threshold": 0, "nodes": 3}"#,
        r#"{"threshold": 4, "nodes": 3}"#,
        r#"{"threshold": 2}"#,
        r#"{"threshold": 2, "nodes": 2, "node_ids": ["a", "b"]}"#,
    ] {
        let document = format!(r#"{{"enable": true, "key_gen": {{"allow_list": [{entry}]}}}}"#);
        let config = json::config::<Config>(&document).unwrap();
        assert!(
            Rules::check(&config, &MockHost::default()).is_err(),
            "{entry}"
        );
    }
}
