//! The coordinator from its users' view, and its return after a crash.

use countersign_client::requester_key::RequesterKey;
use countersign_client::{Client, Profile};
use countersign_protocol::Scheme;
use countersign_tests::{Blueprint, Cluster};

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_tasks_it_comes_back_with_wallets_and_tasks() {
    let mut cluster = Cluster::start(Blueprint {
        nodes: 2,
        ..Blueprint::default()
    })
    .await
    .unwrap();
    let wallet = cluster
        .create_wallet("kept", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let order = cluster.order(wallet.key, "m/3", b"pay", None).unwrap();
    let signed = cluster.client.sign(&order, |_| {}).await.unwrap();
    let before = cluster.client.task(signed.task).await.unwrap();

    cluster.coordinator.as_mut().unwrap().kill().unwrap();
    cluster.start_coordinator().unwrap();
    cluster.wait_online().await.unwrap();

    let after = cluster.client.task(signed.task).await.unwrap();
    assert_eq!(
        (after.task, after.summary.ended),
        (before.task, before.summary.ended)
    );
    assert_eq!(cluster.client.wallet(wallet.key).await.unwrap(), wallet);
    cluster
        .client
        .sign(&order, |_| {})
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", cluster.logs()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_ordered_while_a_node_is_off_line_waits_for_it() {
    let mut cluster = Cluster::start(Blueprint {
        nodes: 2,
        ..Blueprint::default()
    })
    .await
    .unwrap();
    let wallet = cluster
        .create_wallet("patient", Scheme::Ed25519, 2)
        .await
        .unwrap();
    drop(cluster.nodes[1].daemon.take());
    let order = cluster.order(wallet.key, "m", b"pay", None).unwrap();
    let mut node = cluster.nodes.remove(1);
    let (signed, ()) = tokio::join!(cluster.client.sign(&order, |_| {}), async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        node.start().unwrap();
    });
    signed.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_decide_who_may_order() {
    let cluster = Cluster::start(Blueprint {
        nodes: 2,
        ..Blueprint::default()
    })
    .await
    .unwrap();
    let wallet = cluster
        .create_wallet("ours", Scheme::Ed25519, 2)
        .await
        .unwrap();
    RequesterKey::create(&cluster.dir().join("stranger.key")).unwrap();
    let text = std::fs::read_to_string(cluster.profile()).unwrap();
    let profile = cluster.dir().join("stranger.yaml");
    std::fs::write(&profile, text.replace("requester.key", "stranger.key")).unwrap();
    let stranger = Client::new(Profile::load(&profile).unwrap()).unwrap();
    let refused = stranger
        .sign(
            &cluster.order(wallet.key, "m", b"pay", None).unwrap(),
            |_| {},
        )
        .await;
    let (code, reason) = crate::refusal(refused);
    assert_eq!(code, "requester-unknown");
    assert!(reason.contains("requesters"), "{reason}");
}
