//! A coordinator that crashes and comes back on the same port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_link::dial::connect;
use countersign_link::{Closed, Identity, MeshEvent};
use tokio::runtime::Runtime;

use crate::world::{Coordinator, Node, identity, soon};

/// A coordinator in a runtime of its own, so that it can crash without a farewell.
fn boot(nodes: [&Arc<Identity>; 2], address: SocketAddr) -> (Runtime, Coordinator) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let coordinator = {
        let _inside = runtime.enter();
        Coordinator::start_with(&nodes, address, None)
    };
    (runtime, coordinator)
}

/// Ends all tasks first, so that nothing can send a farewell, then frees the port.
async fn crash((runtime, coordinator): (Runtime, Coordinator)) {
    tokio::task::spawn_blocking(move || {
        runtime.shutdown_timeout(Duration::from_secs(5));
        drop(coordinator);
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn crashed_and_restarted_coordinator_is_noticed_and_tunnels_come_back() {
    let ids = [identity(1), identity(2)];
    let first = boot([&ids[0], &ids[1]], "127.0.0.1:0".parse().unwrap());
    let address = first.1.hub.address();
    let key = first.1.key;
    let mut a = Node::start(&first.1, &ids[0], &[ids[1].public()]).await;
    let mut b = Node::start(&first.1, &ids[1], &[ids[0].public()]).await;
    assert_eq!(
        (a.event().await, b.event().await),
        (MeshEvent::Up(b.key), MeshEvent::Up(a.key))
    );

    crash(first).await;
    let second = boot([&ids[0], &ids[1]], address);
    let since = Instant::now();
    assert_eq!(
        (a.closed().await, b.closed().await),
        (Closed::Restarted, Closed::Restarted)
    );
    assert!(
        since.elapsed() < Duration::from_secs(3),
        "noticed after {:?}",
        since.elapsed()
    );
    assert_eq!(
        (a.event().await, b.event().await),
        (MeshEvent::Down(b.key), MeshEvent::Down(a.key))
    );

    for (node, id) in [(&mut a, &ids[0]), (&mut b, &ids[1])] {
        node.link = soon("connect", connect(address, id, key, b"again"))
            .await
            .unwrap();
        node.mesh.attach(node.link.pairs.clone());
    }
    assert_eq!(
        (a.event().await, b.event().await),
        (MeshEvent::Up(b.key), MeshEvent::Up(a.key))
    );
    a.mesh
        .send(&b.key, b"after the crash".to_vec())
        .await
        .unwrap();
    assert_eq!(
        b.event().await,
        MeshEvent::Frame(a.key, b"after the crash".to_vec())
    );
    crash(second).await;
}
