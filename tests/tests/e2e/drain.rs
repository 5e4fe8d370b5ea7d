//! Nodes and coordinators that are about to be stopped. `tests/tests/upgrade` does it while people
//! sign.

use std::sync::Arc;
use std::time::Duration;

use countersign_client::api::State;
use countersign_coordinator::identity;
use countersign_link::{Hub, NodeLink};
use countersign_protocol::control::{FromNode, ToNode};
use countersign_protocol::{
    Committee, KeyGen, KeySign, Operation, PROTOCOL_VERSION, Payload, PayloadKind, Scheme,
    Threshold, decode, encode,
};
use countersign_tests::{Blueprint, Cluster, process};
use tokio::time::timeout;

/// Time for a process to end.
const END: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ordered_while_the_coordinator_drains_waits_for_its_next_process() {
    let mut cluster = Cluster::start(Blueprint::default()).await.unwrap();
    let wallet = cluster
        .create_wallet("always", Scheme::Ed25519, 2)
        .await
        .unwrap()
        .key;
    let api = cluster.client.api();
    assert!(api.set_drain(true).await.unwrap().draining);
    let operation = Operation::KeySign(KeySign {
        key: wallet,
        path: "m".parse().unwrap(),
        payload: Payload::new(PayloadKind::Message, b"pay".to_vec()),
        signers: None,
    });
    let order = cluster.sign_order(operation).unwrap();
    let id = api.submit(&order).await.unwrap().summary.id;
    // The coordinator looks at every task before it shows a node as gone or as back.
    let daemon = cluster.nodes[0].daemon();
    assert!(daemon.terminate(END).unwrap().success());
    let gone = async {
        while cluster
            .client
            .nodes()
            .await
            .unwrap()
            .iter()
            .all(|node| node.online)
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(END, gone).await.unwrap();
    cluster.nodes[0].start().unwrap();
    cluster.wait_online().await.unwrap();
    let state = api.drain().await.unwrap();
    assert_eq!((state.under_way, state.waiting), (0, 1), "it was begun");
    let mut coordinator = cluster.coordinator.take().unwrap();
    assert!(coordinator.terminate(END).unwrap().success());
    cluster.start_coordinator().unwrap();
    cluster.wait_online().await.unwrap();
    let ended = cluster.client.wait(id, |_| {}).await.unwrap();
    assert_eq!(ended.summary.state, State::Completed, "{}", cluster.logs());
}

/// A coordinator of version 1, as far as a node can tell.
async fn of_version_1(hub: &Hub) -> NodeLink {
    loop {
        let mut link = timeout(END, hub.accept()).await.unwrap().unwrap();
        let hello = link.control.receiver.recv().await.unwrap().unwrap();
        let protocol = match decode(&hello).unwrap() {
            FromNode::HelloAs { protocol, .. } => protocol,
            other => panic!("{other:?}"),
        };
        if protocol == 1 {
            let welcome = ToNode::Welcome {
                protocol,
                software: "countersign-coordinator 0.1.0".into(),
            };
            link.control.sender.send(&encode(&welcome)).await.unwrap();
            return link;
        }
        link.handle.close(&format!(
            "the node speaks protocol version {protocol}, this coordinator 1; update the older one"
        ));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_of_the_version_before_is_spoken_to_in_its_version() {
    let blueprint = Blueprint {
        nodes: 2,
        ..Blueprint::default()
    };
    let mut cluster = Cluster::prepare(blueprint).await.unwrap();
    let file = cluster.dir().join("coordinator/identity.key");
    let (identity, _) = identity::load(&file).unwrap();
    let hub = Hub::bind(cluster.quic(), &identity, Arc::new(|_| true), None).unwrap();
    cluster.nodes[0].start().unwrap();
    let mut link = of_version_1(&hub).await;
    let mut drain = cluster.nodes[0].command("drain").unwrap();
    let said = tokio::task::spawn_blocking(move || process::expect_success(&mut drain));
    let said = said.await.unwrap().unwrap();
    assert!(said.starts_with("Drained:"), "{said}");
    // An offer is refused, since this coordinator cannot be told to make none.
    let operation = Operation::KeyGen(KeyGen {
        name: "late".into(),
        scheme: Scheme::Ed25519,
        committee: Committee::new(cluster.ids(&[0, 1])).unwrap(),
        threshold: Threshold::try_from(2).unwrap(),
    });
    let order = cluster.sign_order(operation).unwrap();
    let offer = ToNode::Offer {
        parties: cluster.ids(&[0, 1]),
        task: order,
    };
    link.control.sender.send(&encode(&offer)).await.unwrap();
    loop {
        let frame = timeout(END, link.control.receiver.recv()).await.unwrap();
        let frame: FromNode = decode(&frame.unwrap().unwrap()).unwrap();
        assert_eq!(frame.since(), 1, "{frame:?}");
        if let FromNode::Outcome { .. } | FromNode::Decision { .. } = &frame {
            let said = format!("{frame:?}");
            assert!(said.contains("code: Busy"), "{said}");
            break;
        }
    }
    // Once this coordinator is updated, the node must not stay with the older version.
    link.handle.close("stopping for an update");
    let mut link = timeout(END, hub.accept()).await.unwrap().unwrap();
    let hello = link.control.receiver.recv().await.unwrap().unwrap();
    let FromNode::HelloAs { protocol, .. } = decode(&hello).unwrap() else {
        panic!("a node says hello");
    };
    assert_eq!(protocol, PROTOCOL_VERSION);
}
