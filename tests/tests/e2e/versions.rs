//! Programs of protocol version 1 and of today under one roof, one replaced after the other while
//! people sign. The earlier ones are played by those of today, which speak version 1 and no other;
//! `tests/upgrade` does the same with the real ones.

use std::sync::Arc;
use std::time::Duration;

use countersign_coordinator::{Config as CoordinatorConfig, Coordinator};
use countersign_node::config::Config;
use countersign_node::daemon::run_speaking;
use countersign_node::vault::Vault;
use countersign_protocol::{PROTOCOL_VERSION, Scheme, Versions};
use countersign_store::Passphrase;
use countersign_tests::{Blueprint, Cluster, Load, Node, Plugins, process};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

const V1: Versions = Versions {
    oldest: 1,
    newest: 1,
};
const END: Duration = Duration::from_secs(30);
/// Signatures after each step.
const SOME: usize = 6;

/// A program of version 1. Its runtime ends with it, as a process would, and so do its locks.
struct Earlier {
    stop: DropGuard,
    runs: JoinHandle<()>,
}

impl Earlier {
    fn start<Running: Future<Output = ()>>(
        run: impl FnOnce(CancellationToken) -> Running + Send + 'static,
    ) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let runs = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(run(stopped));
            runtime.shutdown_timeout(END);
        });
        let stop = stop.drop_guard();
        Self { stop, runs }
    }

    fn node(node: &Node) -> Self {
        let config = Config::load(&node.config()).unwrap();
        let passphrase = Passphrase::from_file(&node.dir.join("passphrase")).unwrap();
        let vault = Vault::open(&node.db(), &passphrase, &[]).unwrap();
        Self::start(async move |stop| {
            let ended = run_speaking(config, vault, stop, Arc::new(|_| ()), V1).await;
            ended.unwrap();
        })
    }

    fn coordinator(cluster: &Cluster) -> Self {
        let config = CoordinatorConfig::load(&cluster.coordinator_config()).unwrap();
        Self::start(async move |stop| {
            let coordinator = Coordinator::start_speaking(config, V1).await.unwrap();
            stop.cancelled().await;
            coordinator.stop().await;
        })
    }

    async fn stop(self) {
        drop(self.stop);
        self.runs.await.unwrap();
    }
}

/// Waits for further signatures.
async fn some(load: &Load, cluster: &Cluster) {
    if let Err(error) = load.more(SOME).await {
        panic!("nothing is signed: {error}\n{}", cluster.logs());
    }
}

/// Until no task is under way.
async fn drain(cluster: &Cluster) {
    let api = cluster.client.api();
    let mut state = api.set_drain(true).await.unwrap();
    while state.under_way > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        state = api.drain().await.unwrap();
    }
}

async fn online(cluster: &Cluster, number: usize) {
    let come = async {
        loop {
            let nodes = cluster.client.nodes().await.unwrap_or_default();
            if nodes.iter().filter(|node| node.online).count() == number {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let come = tokio::time::timeout(END, come).await;
    come.unwrap_or_else(|_| panic!("{}", cluster.logs()));
}

/// The version that a node's program last agreed on with a coordinator.
fn spoken(node: &Node) -> Option<u16> {
    let log = node.log();
    let linked = log.lines().rfind(|line| line.contains("version="))?;
    let (_, version) = linked.rsplit_once("version=")?;
    let digits = version.trim_start_matches(|c: char| !c.is_ascii_digit());
    let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Waits until the nodes of today have agreed on this version.
async fn all_speak(cluster: &Cluster, version: u16) {
    let agreed = async {
        let speaks = |node: &Node| spoken(node) == Some(version);
        let today = || cluster.nodes.iter().filter(|node| node.daemon.is_some());
        while !today().all(speaks) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let agreed = tokio::time::timeout(END, agreed).await;
    agreed.unwrap_or_else(|_| panic!("not version {version}:\n{}", cluster.logs()));
}

#[tokio::test(flavor = "multi_thread")]
async fn from_version_1_to_today_and_back_no_task_fails() {
    let mut cluster = Cluster::prepare(Blueprint {
        // The programs that compile plugins are those of today.
        plugins: Plugins::Unguarded,
        ..Blueprint::default()
    })
    .await
    .unwrap();
    // The nodes were first here: two of today, and one of version 1.
    let coordinator = Earlier::coordinator(&cluster);
    cluster.nodes[0].start().unwrap();
    cluster.nodes[1].start().unwrap();
    let third = Earlier::node(&cluster.nodes[2]);
    online(&cluster, 3).await;
    all_speak(&cluster, 1).await;
    let wallet = cluster.create_wallet("always", Scheme::Ed25519, 2).await;
    let load = Load::start(&cluster, wallet.unwrap().key).unwrap();
    some(&load, &cluster).await;

    // The coordinator follows, and those who can speak its version do.
    drain(&cluster).await;
    coordinator.stop().await;
    cluster.start_coordinator().unwrap();
    all_speak(&cluster, PROTOCOL_VERSION).await;
    some(&load, &cluster).await;

    // A node of version 1 cannot say that it leaves, so the coordinator begins nothing meanwhile.
    drain(&cluster).await;
    third.stop().await;
    cluster.nodes[2].start().unwrap();
    online(&cluster, 3).await;
    cluster.client.api().set_drain(false).await.unwrap();
    some(&load, &cluster).await;

    // A node goes back, and so does the coordinator.
    let node = &mut cluster.nodes[1];
    process::expect_success(&mut node.command("drain").unwrap()).unwrap();
    let mut today = node.daemon.take().unwrap();
    assert!(today.terminate(END).unwrap().success());
    let _second = Earlier::node(node);
    online(&cluster, 3).await;
    some(&load, &cluster).await;
    drain(&cluster).await;
    let mut today = cluster.coordinator.take().unwrap();
    assert!(today.terminate(END).unwrap().success());
    let _coordinator = Earlier::coordinator(&cluster);
    all_speak(&cluster, 1).await;
    some(&load, &cluster).await;
    let failures = load.end().await.unwrap();
    assert_eq!(failures, Vec::<String>::new(), "{}", cluster.logs());
}
