//! Files of the plugins that decide by themselves: parsed, validated, and applied to tasks of every
//! kind.

use countersign_sdk::testing::{self, MockHost};
use countersign_sdk::{Failure, Intent, Operation, Plugin, Task, Verdict, json};
use serde_json::Value;

const ACCOUNT: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

/// A file in YAML, as the node gives it to the plugin.
pub(super) fn run<P: Plugin>(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    let Ok(value) = countersign_strict::yaml::<Value>(text) else {
        return false;
    };
    let Ok(config) = json::config::<P::Config>(&value.to_string()) else {
        return false;
    };
    if P::check(&config, &MockHost::default()).is_err() {
        return false;
    }
    for task in tasks() {
        let answer = || MockHost::default().decide::<P>(&config, &task);
        let first = answer();
        assert_eq!(first, answer(), "the same question has the same answer");
        match first {
            Ok(Verdict::Approve) => {}
            Ok(Verdict::Reject(no)) => assert!(!no.code.is_empty() && !no.reason.is_empty()),
            // A validated file is not found wrong when it is applied.
            Err(Failure::Misconfigured(what)) => panic!("checked, and then: {what}"),
            Err(_) => {}
        }
    }
    let unknown = testing::task(Operation::Other("export".into()));
    assert!(!matches!(
        MockHost::default().decide::<P>(&config, &unknown),
        Ok(Verdict::Approve)
    ));
    true
}

fn tasks() -> Vec<Task> {
    let token = "eip155:1/erc20:0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48";
    vec![
        testing::keygen(2, &["a", "b", "c"]),
        testing::reshare(2, &["b", "c", "d"]),
        testing::check_up(),
        testing::blind(),
        testing::message("message", "pay 3 to bob"),
        testing::signing(Intent::Opaque),
        testing::transfer("eip155:1", ACCOUNT, "1000000000000000000"),
        testing::transaction("eip155:1")
            .pays_asset(token, ACCOUNT, "5000000")
            .fee("21000")
            .task(),
        testing::transaction("eip155:1")
            .grants(ACCOUNT, token, None)
            .task(),
        testing::transaction("eip155:1")
            .calls(ACCOUNT, &[0xa9, 5, 0x9c, 0xbb])
            .with_value("1")
            .task(),
        testing::transaction("eip155:1").creates().task(),
    ]
}

pub(super) fn quorum_seeds() -> Vec<Vec<u8>> {
    with_bare(include_str!("../../../docs/quorum.yaml"), &[])
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let short = [
        "enable: true\n",
        "enable: true\nkey_gen: {allow_list: [{threshold: 2, node_ids: [a, b, c]}]}\nkey_sign: {reject_all: false}\n",
        "enable: true\nkey_reshare: {allow_list: [{xpubkey: xpub-1, new_threshold: 2, new_node_ids: [b, c, d]}]}\n",
        "enable: true\nkey_sign: {reject_all: true}\nkey_share_sign: {reject_all: true}\n",
    ];
    with_bare(include_str!("../../../docs/rules.yaml"), &short)
}

/// A whole file, and the same without its comments, on which alterations would be wasted.
fn with_bare(whole: &str, short: &[&str]) -> Vec<Vec<u8>> {
    let bare: String = whole
        .lines()
        .map(|line| line.split(" #").next().unwrap_or_default())
        .fold(String::new(), |text, line| {
            if line.trim_start().starts_with('#') {
                text
            } else {
                text + line + "\n"
            }
        });
    short
        .iter()
        .copied()
        .chain([whole, &bare])
        .map(|text| text.as_bytes().to_vec())
        .collect()
}
