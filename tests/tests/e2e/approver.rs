//! Evil approval servers on a cluster: after every one the seven checks of the oracle. All the cases, and finer ones, are
//! in `node/host/tests/approver`; these show that nothing is lost between plugin and signature.

use countersign_protocol::Scheme;
use countersign_tests::oracle::{Oracle, refused};
use countersign_tests::{Approver, Blueprint, Cluster, Plugins, Script};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn approver_cannot_have_anything_signed_but_by_a_sound_approval() {
    let approver = Approver::start().await.unwrap();
    let elsewhere = Approver::start().await.unwrap();
    let plugins =
        Plugins::RulesAndCallback { url: approver.url(), public_key: approver.public_key_pem().unwrap() };
    let cluster = Cluster::start(Blueprint { plugins, nodes: 2, ..Blueprint::default() }).await.unwrap();
    for node in &cluster.nodes {
        let key = countersign_node::public::read(&node.db()).unwrap().callback_public_key;
        approver.trust(&key).unwrap();
        elsewhere.trust(&key).unwrap();
    }
    let wallet = cluster.create_wallet("guarded", Scheme::Ed25519, 2).await.unwrap();
    let order = cluster.order(wallet.key, "m/1", b"pay", None).unwrap();
    let mut oracle = Oracle::new(&cluster).unwrap();
    oracle.after_healing(cluster.client.sign(&order, |_| {}).await.unwrap()).unwrap();

    let unsound = "plugin-failed:unavailable";
    for (script, code, words) in [
        (Script::Reject("not today".into()), "callback-rejected", "rejects: not today"),
        (Script::WrongKey, unsound, "not signed by the expected key"),
        (Script::Reflect, unsound, "not signed by the expected key"),
        (Script::AlgNone, unsound, "`alg` is not RS256"),
        (Script::SharedSecret, unsound, "`alg` is not RS256"),
        (Script::OtherRequest, unsound, "0000:1"),
        (Script::Replay, unsound, "the answer is for the request"),
        (Script::Expiry(json!(1)), unsound, "`exp` has passed"),
        (Script::Expiry(json!(null)), unsound, "`exp` is missing"),
        (Script::Expiry(json!("4000000000")), unsound, "`exp` is not a number"),
        (Script::Response(json!({"action": "approve"})), unsound, r#"action Some("approve")"#),
        (Script::Response(json!({"status": 30})), unsound, "status 30 with APPROVE"),
        (Script::Both, unsound, "the member `action` is repeated"),
        (Script::Body(String::new()), unsound, "the answer is empty"),
        (Script::Body("<html>".into()), unsound, "malformed token"),
        (Script::Body("x".repeat(65_537)), unsound, "exceeds 65536 bytes"),
        (Script::Status(500), unsound, "HTTP status 500"),
        (Script::Redirect(elsewhere.url()), unsound, "HTTP status 307"),
        (Script::Slow(Duration::from_secs(30)), unsound, "no answer in time"),
    ] {
        approver.script(script.clone());
        let refusal = refused(cluster.client.sign(&order, |_| {}).await).unwrap();
        assert_eq!(refusal.code, code, "{script:?}: {refusal:?}");
        assert!(refusal.reason.contains(words), "{script:?}: {refusal:?}");
        oracle.after_attack(&cluster, &refusal).unwrap_or_else(|error| panic!("{script:?}: {error:#}"));
        approver.script(Script::Approve);
        let signature = cluster.client.sign(&order, |_| {}).await;
        let signature = signature
            .unwrap_or_else(|error| panic!("after {script:?} (check 2): {error}\n{}", cluster.logs()));
        oracle.after_healing(signature).unwrap();
    }
    assert!(elsewhere.seen().is_empty(), "a redirect was followed");
}
