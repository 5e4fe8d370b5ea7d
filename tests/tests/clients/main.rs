//! The clients for Python and Node, as they are installed, against real nodes: they make wallets,
//! have messages signed, verify the signatures with others' libraries, and believe each other's
//! wallets and those of the Rust client.
//!
//! `just clients` builds and installs them.

use std::path::PathBuf;
use std::process::Command;

use countersign_protocol::KeyId;
use countersign_tests::{Blueprint, Cluster, Plugins};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn python_and_node_order_and_verify_and_all_clients_believe_the_same() {
    let blueprint = Blueprint {
        plugins: Plugins::Unguarded,
        ..Blueprint::default()
    };
    let cluster = Cluster::start(blueprint).await.unwrap();
    let names: Vec<&str> = cluster.nodes.iter().map(|node| &*node.name).collect();
    let names = names.join(",");
    let python = run("python/bin/python", "end_to_end.py", &cluster, &names);
    let node = run("node", "end_to_end.mjs", &cluster, &names);

    // The book is shared with Python; a wallet of Node's is believed by the profile.
    let made = cluster.client.find_wallet("from-python").await.unwrap();
    assert_eq!(made.key, id(&python));
    let met = cluster.client.wallet(id(&node)).await.unwrap();
    for (wallet, told) in [(made, python), (met, node)] {
        assert_eq!(wallet.generation, 1);
        assert_eq!(told["root"], hex::encode(&wallet.root_public_key));
        let task = told["task"].as_str().unwrap().parse().unwrap();
        let task = cluster.client.task(task).await.unwrap();
        assert_eq!(task.summary.wallet, wallet.key);
    }
}

/// Runs a script in the environment that has nothing but the package and what it depends on.
fn run(program: &str, script: &str, cluster: &Cluster, nodes: &str) -> Value {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let installed = repository.join("dist/clients");
    assert!(
        installed.join("python/bin/python").exists() && installed.join("node").exists(),
        "the clients are not installed; run `just clients`"
    );
    // Node finds packages from the place of the script, which `just clients` copies.
    let mut command = if program == "node" {
        let mut command = Command::new("node");
        command.arg(installed.join("node").join(script));
        command
    } else {
        let mut command = Command::new(installed.join(program));
        command.arg(repository.join("clients/tests").join(script));
        command
    };
    command.arg(cluster.profile()).args(["ed25519", nodes]);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{script}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn id(told: &Value) -> KeyId {
    told["wallet"].as_str().unwrap().parse().unwrap()
}
