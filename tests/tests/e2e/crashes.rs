//! Processes that die at the worst moment: the others say so in time, nothing is signed,
//! the next task works.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_client::ClientError;
use countersign_client::api::{State, TaskView};
use countersign_protocol::Scheme;
use countersign_tests::{Blueprint, Cluster, PrimeSource};
use tokio::sync::Notify;

/// Time to notice a killed process, which says nothing: its link is dead after 20 s of silence, and
/// its tunnels then break at once.
const NOTICED: Duration = Duration::from_secs(30);

/// ECDSA computes long enough to be interrupted.
async fn cluster() -> Cluster {
    let limits = "{ ready_seconds: 3, storing_seconds: 3, prime_sets: 0 }".into();
    Cluster::start(Blueprint {
        primes: PrimeSource::Fixture,
        limits,
        ..Blueprint::default()
    })
    .await
    .unwrap()
}

/// Notifies when the protocol of a task runs.
fn when_running() -> (Arc<Notify>, impl FnMut(&TaskView)) {
    let running = Arc::new(Notify::new());
    let notify = running.clone();
    (running, move |view: &TaskView| {
        if view.summary.state == State::Running
            && view.nodes.iter().any(|party| party.progress.is_some())
        {
            notify.notify_one();
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_in_keygen_and_in_keysign_is_named_and_the_next_task_works() {
    let mut cluster = cluster().await;
    let victim = cluster.nodes[2].id;

    let order = cluster
        .new_wallet("killed", Scheme::EcdsaSecp256k1, 2)
        .unwrap();
    let (running, progress) = when_running();
    let mut daemon = cluster.nodes[2].daemon.take().unwrap();
    let (result, started) = tokio::join!(cluster.client.create_wallet(&order, progress), async {
        running.notified().await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        daemon.kill().unwrap();
        Instant::now()
    });
    assert_named(result, victim);
    assert!(
        started.elapsed() < NOTICED,
        "the others waited for {:?}",
        started.elapsed()
    );
    assert!(
        cluster.client.wallets().await.unwrap().is_empty(),
        "a key was announced that one member does not have"
    );

    cluster.nodes[2].start().unwrap();
    cluster.wait_online().await.unwrap();
    let wallet = cluster
        .create_wallet("whole", Scheme::EcdsaSecp256k1, 2)
        .await
        .unwrap();

    let order = cluster
        .order(wallet.key, "m", b"pay", Some(&[1, 2]))
        .unwrap();
    let (running, progress) = when_running();
    let mut daemon = cluster.nodes[2].daemon.take().unwrap();
    let (result, started) = tokio::join!(cluster.client.sign(&order, progress), async {
        running.notified().await;
        daemon.kill().unwrap();
        Instant::now()
    });
    assert_named(result, victim);
    assert!(
        started.elapsed() < NOTICED,
        "the other waited for {:?}",
        started.elapsed()
    );

    let order = cluster
        .order(wallet.key, "m", b"pay", Some(&[0, 1]))
        .unwrap();
    cluster.client.sign(&order, |_| {}).await.unwrap();
    cluster.nodes[2].start().unwrap();
    cluster.wait_online().await.unwrap();
    assert!(
        cluster.nodes[2].log().contains("recorded as failed"),
        "{}",
        cluster.nodes[2].log()
    );
    let order = cluster
        .order(wallet.key, "m", b"pay", Some(&[1, 2]))
        .unwrap();
    cluster.client.sign(&order, |_| {}).await.unwrap();
}

fn assert_named<T: std::fmt::Debug>(
    result: Result<T, ClientError>,
    victim: countersign_protocol::NodeId,
) {
    match result {
        Err(ClientError::Failed { message, nodes, .. }) => {
            assert!(
                nodes.contains(&victim) || message.contains(&victim.to_string()),
                "{message} {nodes:?}"
            );
        }
        other => panic!("expected a failure, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_a_node_with_zero_and_it_comes_back() {
    let mut cluster = Cluster::start(Blueprint {
        nodes: 2,
        ..Blueprint::default()
    })
    .await
    .unwrap();
    let wallet = cluster
        .create_wallet("stopped", Scheme::Taproot, 2)
        .await
        .unwrap();
    let status = cluster.nodes[1]
        .daemon()
        .terminate(Duration::from_secs(30))
        .unwrap();
    assert!(status.success(), "{status}\n{}", cluster.nodes[1].log());
    cluster.nodes[1].start().unwrap();
    cluster.wait_online().await.unwrap();
    cluster
        .client
        .sign(
            &cluster.order(wallet.key, "m/5", b"pay", None).unwrap(),
            |_| {},
        )
        .await
        .unwrap();
}
