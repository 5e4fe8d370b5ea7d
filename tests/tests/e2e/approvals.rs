//! What the approval server can say and do, and what the nodes make of it: an approval counts, everything else refuses.

use countersign_protocol::{Announcement, Scheme};
use countersign_tests::{Approver, Blueprint, Cluster, Plugins, Script};
use std::time::{Duration, Instant};

async fn guarded() -> (Approver, Cluster, Announcement) {
    let approver = Approver::start().await.unwrap();
    let plugins =
        Plugins::RulesAndCallback { url: approver.url(), public_key: approver.public_key_pem().unwrap() };
    let cluster = Cluster::start(Blueprint { plugins, nodes: 2, ..Blueprint::default() }).await.unwrap();
    for node in &cluster.nodes {
        approver.trust(&countersign_node::public::read(&node.db()).unwrap().callback_public_key).unwrap();
    }
    let wallet = cluster.create_wallet("guarded", Scheme::Ed25519, 2).await.unwrap();
    (approver, cluster, wallet)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_genuine_approval_counts() {
    let (approver, cluster, wallet) = guarded().await;
    let order = cluster.order(wallet.key, "m/1", b"pay", None).unwrap();
    for (script, code, words) in [
        (Script::Reject("not today".into()), "callback-rejected", "not today"),
        (Script::WrongKey, "plugin-failed:unavailable", ""),
        (Script::AlgNone, "plugin-failed:unavailable", ""),
        (Script::OtherRequest, "plugin-failed:unavailable", ""),
        (Script::Slow(Duration::from_secs(30)), "plugin-failed:unavailable", ""),
    ] {
        approver.script(script.clone());
        let (said_code, reason) = crate::refusal(cluster.client.sign(&order, |_| {}).await);
        assert!(reason.contains(words), "{script:?}: {reason}");
        assert_eq!(said_code, code, "{script:?}: {reason}");
        assert!(!cluster.logs().contains(" INFO signed"), "{script:?}: something was signed");
    }
    approver.script(Script::Approve);
    cluster.client.sign(&order, |_| {}).await.unwrap();
    assert!(cluster.logs().contains(" INFO signed"), "the check above looks for the right words");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_say_what_is_signed_and_carry_the_nodes_key() {
    let (approver, cluster, wallet) = guarded().await;
    let before = approver.seen().len();
    let signed = cluster
        .client
        .sign(&cluster.order(wallet.key, "m/1/2", b"pay", None).unwrap(), |_| {})
        .await
        .unwrap();
    let requests = approver.seen().split_off(before);
    assert_eq!(requests.len(), 2, "each signer asks");
    for request in requests {
        assert_eq!(request["request_type"], 2);
        let detail: serde_json::Value =
            serde_json::from_str(request["request_detail"].as_str().unwrap()).unwrap();
        assert_eq!(detail["task_id"], signed.task.to_string());
        assert_eq!(detail["bip32_path_list"], serde_json::json!(["m/1/2"]));
        assert_eq!(detail["msg_hash_list"], serde_json::json!([format!("0x{}", hex::encode(b"pay"))]));
        assert_eq!(detail["group_id"], wallet.key.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_refuses_and_the_node_lives() {
    let (approver, cluster, wallet) = guarded().await;
    drop(approver);
    let started = Instant::now();
    let order = cluster.order(wallet.key, "m", b"pay", None).unwrap();
    let (code, _) = crate::refusal(cluster.client.sign(&order, |_| {}).await);
    assert_eq!(code, "plugin-failed:unavailable");
    assert!(started.elapsed() < Duration::from_secs(20), "retries end");
    assert!(cluster.client.nodes().await.unwrap().iter().all(|node| node.online));
}
