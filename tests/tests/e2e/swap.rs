//! A component that is replaced again and again while tasks are judged: each decision is by exactly
//! one version, the one that was in force, and no task suffers.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use countersign_protocol::{Hash, Scheme, TaskId};
use countersign_tests::cluster::Node;
use countersign_tests::{Blueprint, Cluster, Plugins, process};
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

const TASKS: usize = 1000;
const SWAPS: usize = 50;
const WORKERS: usize = 8;

/// A signature: its task, and the numbers of swaps in force before it was ordered and written
/// when it was done.
struct Done {
    task: TaskId,
    in_force: usize,
    written: usize,
}

/// The versions of a component that differ in a custom section only: their behaviour is the same,
/// their digests are not.
struct Versions {
    component: Vec<u8>,
}

impl Versions {
    /// Section 0 of the component binary format: size, name, content; all sizes here fit
    /// one byte of LEB128.
    fn bytes(&self, version: usize) -> Vec<u8> {
        let content = [&[7], b"version".as_slice(), &[version as u8]].concat();
        [&self.component, &[0, content.len() as u8][..], &content].concat()
    }

    fn digest(&self, version: usize) -> Hash {
        Hash(Sha256::digest(self.bytes(version)).into())
    }

    /// Installs a version as an operator should: written beside the target, then renamed.
    fn write(&self, version: usize, file: &Path) {
        let beside = file.with_extension("new");
        std::fs::write(&beside, self.bytes(version)).unwrap();
        std::fs::rename(&beside, file).unwrap();
    }
}

fn swaps_in_force(log: &Path) -> usize {
    std::fs::read_to_string(log)
        .unwrap()
        .matches("plugins reloaded")
        .count()
}

async fn wait_for_swap(node: &Node, count: usize) {
    let log = node.dir.join("log");
    let end = Instant::now() + Duration::from_secs(60);
    while swaps_in_force(&log) < count {
        assert!(
            Instant::now() < end,
            "swap {count} is not in force:\n{}",
            node.log()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_tasks_while_a_plugin_is_swapped_fifty_times() {
    let versions = Versions {
        component: std::fs::read(process::plugin("rules").unwrap()).unwrap(),
    };
    let policy = "  plugins:\n    - { name: rules, file: rules.wasm, config_file: rules.yaml, grants: { state_bytes: 1048576 } }";
    let blueprint = Blueprint {
        nodes: 2,
        plugins: Plugins::Text(policy.into()),
        ..Blueprint::default()
    };
    let mut cluster = Cluster::prepare(blueprint).await.unwrap();
    for node in &cluster.nodes {
        versions.write(0, &node.dir.join("rules.wasm"));
    }
    cluster.start_coordinator().unwrap();
    cluster
        .nodes
        .iter_mut()
        .for_each(|node| node.start().unwrap());
    cluster.wait_online().await.unwrap();
    let wallet = cluster
        .create_wallet("swap", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let order = cluster.order(wallet.key, "m", b"pay", None).unwrap();
    let cluster = Arc::new(cluster);

    let node = &cluster.nodes[0];
    let log: Arc<Path> = node.dir.join("log").into();
    let written = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let swapped = Arc::new(AtomicBool::new(false));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let cluster = cluster.clone();
        let order = order.clone();
        let log = log.clone();
        let written = written.clone();
        let swapped = swapped.clone();
        workers.spawn(async move {
            let mut done = Vec::new();
            while done.len() < TASKS / WORKERS || !swapped.load(Ordering::SeqCst) {
                let in_force = swaps_in_force(&log);
                let signed = cluster.client.sign(&order, |_| {}).await;
                let task = signed
                    .unwrap_or_else(|error| panic!("a task suffered from a swap: {error}"))
                    .task;
                done.push(Done {
                    task,
                    in_force,
                    written: written.load(Ordering::SeqCst),
                });
            }
            done
        });
    }
    for version in 1..=SWAPS {
        written.store(version, Ordering::SeqCst);
        versions.write(version, &node.dir.join("rules.wasm"));
        wait_for_swap(node, version).await;
    }
    swapped.store(true, Ordering::SeqCst);
    let done: Vec<Done> = workers.join_all().await.into_iter().flatten().collect();

    assert!(done.len() >= TASKS, "{} tasks", done.len());
    let mut seen = std::collections::BTreeSet::new();
    for Done {
        task,
        in_force,
        written,
    } in done
    {
        let view = cluster.client.task(task).await.unwrap();
        let party = view
            .nodes
            .iter()
            .find(|party| party.node == node.id)
            .unwrap();
        let [verdict] = &party.decision.as_ref().unwrap().verdicts[..] else {
            panic!("one plugin")
        };
        let judged_by =
            (in_force..=written).find(|version| versions.digest(*version) == verdict.digest);
        let version = judged_by.unwrap_or_else(|| {
            panic!(
                "{task} names {}, in force were {in_force} to {written}",
                verdict.digest
            )
        });
        seen.insert(version);
    }
    assert!(
        seen.len() > SWAPS / 2,
        "only {} versions ever judged: the tasks missed the swaps",
        seen.len()
    );
}
