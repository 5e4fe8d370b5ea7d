//! The messages to receivers of events, which cost no task anything.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use countersign_client::SignOrder;
use countersign_protocol::{Payload, PayloadKind, Scheme};
use countersign_tests::{Blueprint, Cluster, EventServer, process};
use serde_json::{Value, json};

/// The events that the first test sees.
pub const TYPES: &str = "[request.keygen.created, request.keygen.succeeded, request.keysign.created, \
                     request.keysign.succeeded, request.keysign.failed]";

/// Two nodes that are not started, of which the first has an event key, and that key.
pub async fn prepared() -> (Cluster, String) {
    let cluster = Cluster::prepare(Blueprint {
        nodes: 2,
        ..Blueprint::default()
    })
    .await
    .unwrap();
    let mut create = cluster.nodes[0].command("event").unwrap();
    let printed = process::expect_success(create.args(["key", "create"])).unwrap();
    let pem = printed[printed.find("-----BEGIN").expect("a PEM block")..].to_owned();
    let mut info = cluster.nodes[0].command("event").unwrap();
    assert_eq!(
        process::expect_success(info.args(["key", "info"])).unwrap(),
        pem
    );
    (cluster, pem)
}

fn append(cluster: &Cluster, text: &str) {
    let file = cluster.nodes[0].config();
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(file, format!("{config}{text}")).unwrap();
}

/// The section that operators bring along, with further keys; the component is installed.
pub fn use_shorthand(cluster: &Cluster, addresses: &[SocketAddr], types: &str, more: &str) {
    let mut install = cluster.nodes[0].command("plugin").unwrap();
    process::expect_success(
        install
            .arg("install")
            .arg(process::plugin("jwt-events").unwrap()),
    )
    .unwrap();
    let servers = addresses
        .iter()
        .map(|address| format!("{{ url: '{}' }}", EventServer::url(*address)));
    let servers = servers.collect::<Vec<_>>().join(", ");
    append(
        cluster,
        &format!(
            "event: {{ server: [ {servers} ], event_types: {types}, sleep_seconds: 1, {more} }}\n"
        ),
    );
}

fn types(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["event_type"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_hears_of_keys_signatures_and_refusals_in_signed_tokens() {
    let (mut cluster, pem) = prepared().await;
    let address = EventServer::reserve().unwrap();
    use_shorthand(&cluster, &[address], TYPES, "");
    let server = EventServer::start(address, &[pem]).await.unwrap();
    cluster.start_all().await.unwrap();
    let wallet = cluster
        .create_wallet("told", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let order = cluster.order(wallet.key, "m/1", b"pay", None).unwrap();
    let signed = cluster.client.sign(&order, |_| {}).await.unwrap();
    let blind = SignOrder {
        payload: Payload::new(PayloadKind::Digest, vec![7; 32]),
        ..order
    };
    crate::refusal(cluster.client.sign(&blind, |_| {}).await);

    let events = server.wait_for(6).await.unwrap();
    assert_eq!(
        types(&events),
        [
            "request.keygen.created",
            "request.keygen.succeeded",
            "request.keysign.created",
            "request.keysign.succeeded",
            "request.keysign.created",
            "request.keysign.failed",
        ]
    );
    assert!(
        events
            .iter()
            .all(|event| event["node_id"] == cluster.nodes[0].id.to_string())
    );
    let ids: BTreeSet<_> = events
        .iter()
        .map(|event| event["event_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 6);
    let group = &events[1]["data"]["result"];
    assert_eq!(group["id"], wallet.key.to_string());
    assert_eq!(group["chaincode"], format!("0x{}", wallet.chain_code));
    assert_eq!(group["participants"][1]["share_id"], "2");
    assert_eq!(
        group["participants"][1]["share_public_key"]
            .as_str()
            .unwrap()
            .len(),
        2 + 64
    );
    let data = &events[3]["data"];
    assert_eq!(
        (&data["request_status"], &data["request_type"]),
        (&json!(190), &json!("KeySign"))
    );
    assert_eq!(data["request_id"], format!("{}:1", signed.task));
    assert_eq!(data["request_detail"]["bip32_path_list"], json!(["m/1"]));
    assert_eq!(data["result"]["signatures"][0]["bip32_path"], "m/1");
    let declined = &events[5]["data"];
    assert_eq!(declined["request_status"], 160);
    assert!(
        declined["failed_reason"]
            .as_str()
            .unwrap()
            .starts_with("blind-signing: ")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn events_survive_a_restart_and_arrive_once_when_the_receiver_is_back() {
    let (mut cluster, pem) = prepared().await;
    let address = EventServer::reserve().unwrap();
    use_shorthand(&cluster, &[address], TYPES, "");
    cluster.start_all().await.unwrap();
    cluster
        .create_wallet("told late", Scheme::Ed25519, 2)
        .await
        .unwrap();
    cluster.nodes[0].daemon = None;
    cluster.nodes[0].start().unwrap();
    let server = EventServer::start(address, &[pem]).await.unwrap();
    let events = server.wait_for(2).await.unwrap();
    assert_eq!(
        types(&events),
        ["request.keygen.created", "request.keygen.succeeded"]
    );
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(server.seen().len(), 2, "each arrives once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_receiver_costs_no_task_anything() {
    let (mut cluster, _) = prepared().await;
    std::fs::write(
        cluster.nodes[0].dir.join("broken.wasm"),
        b"\0asm\x0d\0\x01\0 and no more",
    )
    .unwrap();
    append(
        &cluster,
        &format!(
            "events: {{ receivers: [ {{ name: broken, file: broken.wasm, event_types: {TYPES}, retry_times: 1, \
             sleep_seconds: 1 }} ] }}\n"
        ),
    );
    cluster.start_all().await.unwrap();
    let wallet = cluster
        .create_wallet("untold", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let order = cluster.order(wallet.key, "m/1", b"pay", None).unwrap();
    cluster.client.sign(&order, |_| {}).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let log = cluster.nodes[0].log();
    assert!(log.contains("an event was not delivered"), "{log}");
    assert!(log.contains("an event is given up"), "{log}");
    cluster.client.sign(&order, |_| {}).await.unwrap();
}
