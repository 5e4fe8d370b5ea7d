//! Plugins in a running node: changed while it runs, and hostile.

use std::path::Path;
use std::time::Duration;

use countersign_protocol::Scheme;
use countersign_tests::cluster::Node;
use countersign_tests::{Blueprint, Cluster, Plugins, process};

/// Rewrites a file of a plugin and waits for the node's verdict on it.
async fn rewrite(node: &Node, file: &Path, text: &str, sign: &str) {
    let before = node.log().matches(sign).count();
    std::fs::write(file, text).unwrap();
    for _ in 0..200 {
        if node.log().matches(sign).count() > before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not noticed:\n{}", node.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_plugin_does_wrong_refuses_and_the_node_lives() {
    let rogue = process::guest("rogue").unwrap();
    let grants =
        "{ keys: [callback], http: ['http://127.0.0.1:9/'], state_bytes: 1000, cpu_ms: 100 }";
    let policy = format!(
        "  plugins:\n    - {{ name: rogue, file: '{}', config_file: rogue.yaml, grants: {grants} }}",
        rogue.display()
    );
    let cluster = Cluster::prepare(Blueprint {
        nodes: 2,
        plugins: Plugins::Text(policy),
        ..Blueprint::default()
    });
    let mut cluster = cluster.await.unwrap();
    for node in &cluster.nodes {
        std::fs::write(node.dir.join("rogue.yaml"), "{}").unwrap();
    }
    cluster.start_coordinator().unwrap();
    cluster
        .nodes
        .iter_mut()
        .for_each(|node| node.start().unwrap());
    cluster.wait_online().await.unwrap();
    let wallet = cluster
        .create_wallet("hostile", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let order = cluster.order(wallet.key, "m", b"pay", None).unwrap();
    let node = &cluster.nodes[0];
    for (deed, code) in [
        ("loop", "plugin-cpu"),
        ("allocate", "plugin-memory"),
        ("recurse", "plugin-stack"),
        ("panic", "plugin-trap"),
        ("{ reason: 12000000 }", "plugin-output"),
    ] {
        rewrite(
            node,
            &node.dir.join("rogue.yaml"),
            &format!("evaluate: {deed}\n"),
            "plugins reloaded",
        )
        .await;
        let (said, reason) = crate::refusal(cluster.client.sign(&order, |_| {}).await);
        assert_eq!(said, code, "{deed}: {reason}");
    }
    rewrite(
        node,
        &node.dir.join("rogue.yaml"),
        "evaluate: nothing\n",
        "plugins reloaded",
    )
    .await;
    cluster
        .client
        .sign(&order, |_| {})
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", cluster.logs()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_rule_counts_for_the_next_task_and_a_bad_one_never() {
    let cluster = Cluster::start(Blueprint {
        nodes: 2,
        ..Blueprint::default()
    })
    .await
    .unwrap();
    let wallet = cluster
        .create_wallet("rules", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let order = cluster.order(wallet.key, "m", b"pay", None).unwrap();
    let node = &cluster.nodes[0];
    let change = async |text: &str, sign: &str| rewrite(node, &node.rules(), text, sign).await;
    change(
        "enable: true\nkey_sign: { reject_all: true }\n",
        "plugins reloaded",
    )
    .await;
    assert_eq!(
        crate::refusal(cluster.client.sign(&order, |_| {}).await).0,
        "keysign-reject-all"
    );
    change(
        "enable: true\nkey_sing: { reject_all: false }\n",
        "the old ones stay in force",
    )
    .await;
    assert_eq!(
        crate::refusal(cluster.client.sign(&order, |_| {}).await).0,
        "keysign-reject-all"
    );
    change(
        "enable: true\nkey_sign: { reject_all: false }\n",
        "plugins reloaded",
    )
    .await;
    cluster.client.sign(&order, |_| {}).await.unwrap();
    let keygen = cluster
        .client
        .create_wallet(
            &cluster.new_wallet("x", Scheme::Ed25519, 2).unwrap(),
            |_| {},
        )
        .await;
    assert_eq!(crate::refusal(keygen).0, "keygen-not-allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_is_missing_refuses_what_it_guards_and_info_says_why() {
    let rules = process::plugin("rules").unwrap();
    let policy = format!(
        "  plugins:\n    - {{ name: rules, file: '{}', config_file: rules.yaml, grants: {{ state_bytes: 1048576 }} }}\n    \
         - {{ name: rogue, file: gone.wasm, scope: {{ operations: [keysign] }} }}",
        rules.display()
    );
    let blueprint = Blueprint {
        nodes: 2,
        plugins: Plugins::Text(policy),
        ..Blueprint::default()
    };
    let cluster = Cluster::start(blueprint).await.unwrap();
    let wallet = cluster
        .create_wallet("unguarded operation", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let order = cluster.order(wallet.key, "m", b"pay", None).unwrap();
    let (code, reason) = crate::refusal(cluster.client.sign(&order, |_| {}).await);
    assert_eq!(code, "plugin-missing", "{reason}");
    let told = process::expect_success(&mut cluster.nodes[0].command("info").unwrap()).unwrap();
    assert!(
        told.contains("plugin-missing") && told.contains("gone.wasm"),
        "{told}"
    );
}
