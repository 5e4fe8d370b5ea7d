//! The coordinator's view of a key generation: bytes, and nothing of the
//! messages between the nodes.

use std::sync::{Arc, Mutex};

use countersign_coordinator::{Config, Coordinator};
use countersign_link::hub::Recorder;
use countersign_protocol::Scheme;
use countersign_tests::{Blueprint, Cluster};

#[tokio::test(flavor = "multi_thread")]
async fn no_key_generation_message_passes_the_coordinator_in_clear() {
    let mut cluster = Cluster::prepare(Blueprint::default()).await.unwrap();
    let seen: Arc<Mutex<Vec<u8>>> = Arc::default();
    let tape = seen.clone();
    let recorder: Recorder = Arc::new(move |_, _, bytes| {
        tape.lock().unwrap().extend_from_slice(bytes);
        true
    });
    let config = Config::load(&cluster.coordinator_config()).unwrap();
    let coordinator = Coordinator::start_recorded(config, Some(recorder))
        .await
        .unwrap();
    cluster
        .nodes
        .iter_mut()
        .for_each(|node| node.start().unwrap());
    cluster.wait_online().await.unwrap();
    let wallet = cluster
        .create_wallet("observed", Scheme::Ed25519, 2)
        .await
        .unwrap();

    coordinator.stop().await;

    let tape = seen.lock().unwrap();
    assert!(
        tape.len() > 10_000,
        "the nodes spoke through the coordinator: {} bytes",
        tape.len()
    );
    let finds = |needle: &[u8]| tape.windows(needle.len()).any(|window| window == needle);
    // Every frame of the session begins with the task's id and repeats the session's; any one in
    // clear would show them.
    assert!(!finds(&wallet.task.0), "a frame passed in clear");
    assert!(!finds(&wallet.session.0), "a frame passed in clear");
}
