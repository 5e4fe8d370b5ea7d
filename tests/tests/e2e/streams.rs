//! All three programs with unwritable output: 200 tasks are signed, deadlines are kept, and
//! a dying program ends.

use std::process::{Command, Stdio};
use std::time::Duration;

use countersign_client::api::State;
use countersign_protocol::Scheme;
use countersign_tests::process::Streams;
use countersign_tests::{Blueprint, Cluster, Plugins, process};
use futures_util::{StreamExt, stream};

const TASKS: usize = 200;
/// Concurrent tasks.
const AT_ONCE: usize = 8;
/// As in the client's help on exit codes.
const FAILED: Option<i32> = Some(3);
/// As in the node's help on exit codes.
const STORE_FAILED: Option<i32> = Some(74);

/// The exit code of the client's program.
async fn client(cluster: &Cluster, streams: Streams, args: &[&str]) -> Option<i32> {
    let mut command = Command::new(process::program("countersign").unwrap());
    command
        .arg("--config")
        .arg(cluster.profile())
        .args(args)
        .stdin(Stdio::null());
    let unread = streams
        .set(&mut command, &cluster.dir().join("client.log"))
        .unwrap();
    if streams == Streams::Unread {
        // A caller that asks for a result and does not read it is waited for.
        command.stdout(Stdio::null());
    }
    let ended = tokio::task::spawn_blocking(move || command.status().unwrap());
    let status = tokio::time::timeout(Duration::from_secs(60), ended)
        .await
        .expect("the client is stuck");
    drop(unread);
    status.unwrap().code()
}

async fn goes_on(streams: Streams) {
    let blueprint = Blueprint {
        nodes: 2,
        plugins: Plugins::Unguarded,
        streams,
        ..Blueprint::default()
    };
    let mut cluster = Cluster::start(blueprint).await.unwrap();
    let wallet = cluster
        .create_wallet("mute", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let sign = async |number: usize| {
        let order = cluster
            .order(wallet.key, "m/1", format!("pay {number}").as_bytes(), None)
            .unwrap();
        cluster.client.sign(&order, |_| {}).await
    };
    let tasks = stream::iter(0..TASKS)
        .map(sign)
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>();
    let programs = async {
        // The exit code reports a result that does not fit, as well as one that was read.
        let expected = if streams == Streams::Full {
            Some(1)
        } else {
            Some(0)
        };
        for _ in 0..3 {
            let ended = client(&cluster, streams, &["sign", "mute", "--message", "pay"]).await;
            let tasks = cluster.client.tasks(200, None).await.unwrap().tasks;
            let reasons: Vec<_> = tasks.into_iter().filter_map(|task| task.reason).collect();
            assert_eq!(ended, expected, "{reasons:?}");
        }
    };
    let (ends, ()) = tokio::join!(tasks, programs);
    let signed = ends.iter().filter(|end| end.is_ok()).count();
    assert_eq!(signed, TASKS, "{:?}", ends.iter().find(|end| end.is_err()));
    println!("{streams:?}: {signed} of {TASKS} tasks are signed");

    // A task that one of its nodes never answers ends at its deadline, at the client
    // and at the coordinator.
    drop(cluster.nodes[1].daemon.take());
    let late = client(
        &cluster,
        streams,
        &["--timeout", "2", "sign", "mute", "--message", "late"],
    )
    .await;
    assert_eq!(late, FAILED);
    let newest = cluster.client.tasks(1, None).await.unwrap().tasks.remove(0);
    let ended = cluster.client.wait(newest.id, |_| {}).await.unwrap();
    assert!(
        [State::Expired, State::Failed]
            .iter()
            .any(|state| ended.summary.state == *state),
        "{:?}",
        ended.summary
    );

    // A node whose store is gone can tell nobody, and ends.
    std::fs::remove_file(cluster.nodes[0].db().join("journal.redb")).unwrap();
    let end = tokio::time::timeout(
        Duration::from_secs(60),
        cluster.nodes[0].daemon().exit_code(),
    )
    .await;
    assert_eq!(end.expect("the node goes on").unwrap(), STORE_FAILED);
    let coordinator = cluster.coordinator.as_mut().unwrap();
    assert!(
        coordinator
            .terminate(Duration::from_secs(30))
            .unwrap()
            .success()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_closed_streams_everything_goes_on() {
    goes_on(Streams::Closed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_full_streams_everything_goes_on() {
    goes_on(Streams::Full).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_streams_that_nobody_reads_everything_goes_on() {
    goes_on(Streams::Unread).await;
}
