//! Operations on the plugins of a running node.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use countersign_protocol::Scheme;
use countersign_store::Journal;
use countersign_tests::cluster::Node;
use countersign_tests::{Blueprint, Cluster, Plugins, process};
use serde_json::Value;

/// A cluster whose nodes use the installed `rules`.
async fn cluster() -> Cluster {
    let policy = "  plugins:\n    - { name: rules, config_file: rules.yaml, grants: { state_bytes: 100000 } }";
    let blueprint = Blueprint {
        nodes: 2,
        plugins: Plugins::Text(policy.into()),
        ..Blueprint::default()
    };
    let mut cluster = Cluster::prepare(blueprint).await.unwrap();
    let component = process::plugin("rules").unwrap();
    for node in &mut cluster.nodes {
        plugin(node, &["install", component.to_str().unwrap()]);
        node.start().unwrap();
    }
    cluster.start_coordinator().unwrap();
    cluster.wait_online().await.unwrap();
    cluster
}

/// `countersign-node plugin …`, which must succeed.
fn plugin(node: &Node, words: &[&str]) -> String {
    let mut command = Command::new(process::program("countersign-node").unwrap());
    process::expect_success(
        command
            .arg("plugin")
            .args(words)
            .arg("--config")
            .arg(node.config()),
    )
    .unwrap()
}

/// The only plugin in `info --json`.
fn info(node: &Node) -> Value {
    let mut command = Command::new(process::program("countersign-node").unwrap());
    let said = process::expect_success(
        command
            .args(["info", "--json", "--config"])
            .arg(node.config()),
    )
    .unwrap();
    serde_json::from_str::<Value>(&said).unwrap()["plugins"][0].clone()
}

/// Waits until the log has one more line with `sign`.
async fn noticed(node: &Node, sign: &str, deed: impl FnOnce()) {
    let before = node.log().matches(sign).count();
    deed();
    for _ in 0..400 {
        if node.log().matches(sign).count() > before {
            // The public record follows the log.
            tokio::time::sleep(Duration::from_millis(500)).await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not noticed:\n{}", node.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_installed_and_rolled_back_while_the_node_runs() {
    let mut cluster = cluster().await;
    let wallet = cluster
        .create_wallet("rules", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let order = cluster.order(wallet.key, "m", b"pay", None).unwrap();
    let node = &cluster.nodes[0];
    let first = info(node);
    assert_eq!(first["state"], "in-force");
    let next = node.dir.join("next.wasm");
    let bytes = std::fs::read(process::plugin("rules").unwrap()).unwrap();
    std::fs::write(&next, [&bytes[..], &[0, 5, 4], b"next"].concat()).unwrap();
    noticed(node, "plugins reloaded", || {
        drop(plugin(node, &["install", next.to_str().unwrap()]))
    })
    .await;
    let second = info(node);
    assert_ne!(second["digest"], first["digest"]);
    cluster.client.sign(&order, |_| {}).await.unwrap();
    noticed(node, "plugins reloaded", || {
        drop(plugin(node, &["rollback", "rules"]))
    })
    .await;
    assert_eq!(info(node)["digest"], first["digest"]);
    let damaged = node.dir.join("plugins/rules.json");
    let good = std::fs::read(&damaged).unwrap();
    noticed(node, "the old ones stay in force", || {
        std::fs::write(&damaged, "{").unwrap()
    })
    .await;
    assert_eq!(info(node)["digest"], first["digest"]);
    cluster.client.sign(&order, |_| {}).await.unwrap();
    std::fs::write(&damaged, good).unwrap();
    cluster.nodes[0]
        .daemon()
        .terminate(Duration::from_secs(30))
        .unwrap();
    let audit = Journal::open(&cluster.nodes[0].db())
        .unwrap()
        .audit(0, 1000)
        .unwrap();
    let swaps: Vec<&String> = audit
        .iter()
        .map(|entry| &entry.text)
        .filter(|text| text.contains(" becomes "))
        .collect();
    assert!(swaps.len() >= 2, "{audit:?}");
    let digest = second["digest"].as_str().unwrap();
    assert!(swaps[0].contains(digest), "{swaps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_replayed_from_the_record_while_the_node_runs() {
    let mut cluster = cluster().await;
    let wallet = cluster
        .create_wallet("rules", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let order = cluster.order(wallet.key, "m", b"pay", None).unwrap();
    let node = &cluster.nodes[0];
    let task = cluster
        .client
        .sign(&order, |_| {})
        .await
        .unwrap()
        .task
        .to_string();
    let said: Value = serde_json::from_str(&plugin(node, &["replay", &task, "--json"])).unwrap();
    assert_eq!(
        (&said["plugins"][0]["plugin"], &said["plugins"][0]["same"]),
        (&"rules".into(), &true.into())
    );
    assert!(plugin(node, &["shadow"]).contains("Differences: 0"));
    let same = plugin(node, &["backtest", "rules", "--since", "1d"]);
    assert!(
        same.contains("Everything that was refused is still refused."),
        "{same}"
    );
    noticed(node, "plugins reloaded", || {
        std::fs::write(
            node.rules(),
            "enable: true\nkey_sign: { reject_all: true }\n",
        )
        .unwrap();
    })
    .await;
    let mut replay = Command::new(process::program("countersign-node").unwrap());
    let replay = replay
        .args(["plugin", "replay", &task, "--config"])
        .arg(node.config());
    let same = process::run(replay).unwrap();
    let said = String::from_utf8_lossy(&same.stdout).into_owned();
    assert_eq!(
        same.status.code(),
        Some(0),
        "the configuration that decided is in the journal: {said}"
    );
    assert!(
        said.contains("vouches for the recording") && said.contains("(journal)"),
        "{said}"
    );
    let what_if = process::run(replay.arg("--what-if")).unwrap();
    let said = String::from_utf8_lossy(&what_if.stdout).into_owned();
    assert_eq!(what_if.status.code(), Some(3), "{said}");
    assert!(
        said.contains("keysign-reject-all") && said.contains("DIFFERENT"),
        "{said}"
    );
    cluster.nodes[0]
        .daemon()
        .terminate(Duration::from_secs(30))
        .unwrap();
    let node = &cluster.nodes[0];
    assert!(
        plugin(node, &["replay", &task]).contains("the same"),
        "no node needs to run"
    );
    flip_a_byte_of_every_recording(&node.db());
    let mut replay = Command::new(process::program("countersign-node").unwrap());
    let changed = process::run(
        replay
            .args(["plugin", "replay", &task, "--config"])
            .arg(node.config()),
    )
    .unwrap();
    let said = String::from_utf8_lossy(&changed.stderr).into_owned();
    assert_eq!(changed.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&format!("the recording of task {task} was changed")),
        "{said}"
    );
    assert!(Journal::open(&node.db()).unwrap().verify_audit().is_err());
}

/// In the middle, where it can still be decoded.
fn flip_a_byte_of_every_recording(dir: &Path) {
    const RECORDINGS: redb::TableDefinition<&[u8; 16], &[u8]> =
        redb::TableDefinition::new("recordings");
    let database = redb::Database::open(dir.join("journal.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let mut table = transaction.open_table(RECORDINGS).unwrap();
    let all: Vec<_> = redb::ReadableTable::iter(&table)
        .unwrap()
        .map(|entry| {
            entry
                .map(|(task, bytes)| (*task.value(), bytes.value().to_vec()))
                .unwrap()
        })
        .collect();
    for (task, mut bytes) in all {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        table.insert(&task, bytes.as_slice()).unwrap();
    }
    drop(table);
    transaction.commit().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_loads_everything_and_says_so() {
    let mut cluster = cluster().await;
    let id = cluster.nodes[0].daemon().id();
    let node = &cluster.nodes[0];
    noticed(node, "what is on disk is in force already", || {
        process::expect_success(Command::new("kill").args(["-HUP", &id.to_string()])).unwrap();
    })
    .await;
    assert_eq!(info(node)["state"], "in-force");
}
