//! `task list` and `task resolve`: resolution by the operator of a reshare whose other
//! parties never come back.

use std::time::Duration;

use countersign_link::Identity;
use countersign_protocol::{Hash, KeyDescriptor, NodeId, Scheme, SignedAck, TaskId, UnixMillis};
use countersign_store::journal::Journal;
use countersign_store::{
    Decided, Evidence, KeyStatus, OperationKind, Passphrase, PreparedReshare, ReshareStage, Silent,
};
use countersign_tests::process::{expect_success, run};
use countersign_tests::{Blueprint, Cluster, Node, Plugins};

const TASK: TaskId = TaskId([7; 16]);

/// The identity that signs a node's acknowledgements.
fn identity(node: &Node) -> Identity {
    let passphrase = Passphrase::from_file(&node.dir.join("passphrase")).unwrap();
    let vault = countersign_node::vault::Vault::open(&node.db(), &passphrase, &[]).unwrap();
    vault.identity().unwrap()
}

/// A stopped cluster with a wallet, whose first node is in doubt about a reshare that
/// would take its share.
async fn waiting() -> (Cluster, KeyDescriptor, KeyDescriptor) {
    let blueprint = Blueprint {
        plugins: Plugins::Unguarded,
        ..Blueprint::default()
    };
    let mut cluster = Cluster::start(blueprint).await.unwrap();
    let wallet = cluster
        .create_wallet("moves", Scheme::Ed25519, 2)
        .await
        .unwrap();
    for node in &mut cluster.nodes {
        node.daemon().terminate(Duration::from_secs(30)).unwrap();
        node.daemon = None;
    }
    let mut parties: Vec<NodeId> = cluster.nodes.iter().map(|node| node.id).collect();
    parties.sort_unstable();
    let next = KeyDescriptor {
        task: TASK,
        generation: 1,
        committee: cluster.ids(&[1, 2]).try_into().unwrap(),
        public_shares: Hash([9; 32]),
        parties: parties.clone(),
        acks: Vec::new(),
        ..wallet.clone()
    };
    let journal = Journal::open(&cluster.nodes[0].db()).unwrap();
    let task = Decided {
        task: TASK,
        hash: Hash([1; 32]),
        kind: OperationKind::KeyReshare,
        received_at: UnixMillis(1),
        verdicts: Vec::new(),
        parties,
        bytes: b"{}".to_vec(),
        evidence: Evidence::default(),
    };
    journal.approve(UnixMillis(1), task, Vec::new()).unwrap();
    let descriptor = next.clone();
    let stage = ReshareStage::InDoubt;
    journal
        .prepare_reshare(PreparedReshare {
            task: TASK,
            descriptor,
            joins: false,
            opened: UnixMillis(1),
            stage,
            created: UnixMillis(0),
        })
        .unwrap();
    (cluster, wallet, next)
}

fn listed(node: &Node) -> String {
    expect_success(node.command("task").unwrap().arg("list")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_may_give_a_reshare_up_but_only_on_purpose() {
    let (mut cluster, wallet, _) = waiting().await;
    let node = &cluster.nodes[0];
    assert!(
        listed(node).contains("waiting for the other parties"),
        "{}",
        listed(node)
    );
    let task = TASK.to_string();
    let mut careless = node.command("task").unwrap();
    let output = run(careless.args(["resolve", &task, "--abandon"])).unwrap();
    assert!(
        !output.status.success()
            && String::from_utf8_lossy(&output.stderr).contains("--nobody-switched")
    );
    let config = std::fs::read_to_string(node.config()).unwrap();
    let receiver = "event:\n  server:\n    - url: http://127.0.0.1:9/\n  event_types: [request.keyreshare.failed]\n";
    std::fs::write(node.config(), format!("{config}{receiver}")).unwrap();
    let mut resolve = node.command("task").unwrap();
    expect_success(resolve.args(["resolve", &task, "--abandon", "--nobody-switched"])).unwrap();
    std::fs::write(node.config(), config).unwrap();
    let told = Journal::open(&node.db()).unwrap().outbox_len().unwrap();
    assert_eq!(
        told, 1,
        "the receiver hears of the end when the node starts"
    );
    assert!(
        listed(node).contains("abandoned by the operator"),
        "{}",
        listed(node)
    );
    cluster
        .nodes
        .iter_mut()
        .for_each(|node| node.start().unwrap());
    cluster.wait_online().await.unwrap();
    let order = cluster
        .order(wallet.key, "m", b"pay", Some(&[0, 1]))
        .unwrap();
    cluster.client.sign(&order, |_| {}).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_acks_in_a_file_end_what_a_node_waits_for() {
    let (cluster, wallet, mut next) = waiting().await;
    let node = &cluster.nodes[0];
    let digest = next.digest();
    let ack = |node: &Node| SignedAck {
        node: node.id,
        signature: identity(node).sign(digest.as_bytes()).to_vec(),
    };
    let all: Vec<SignedAck> = cluster.nodes.iter().map(ack).collect();
    let file = node.dir.join("announcement.json");
    let adopt = |next: &KeyDescriptor| {
        std::fs::write(&file, serde_json::to_vec(next).unwrap()).unwrap();
        let mut resolve = node.command("task").unwrap();
        run(resolve
            .args(["resolve", &TASK.to_string(), "--adopt"])
            .arg(&file))
        .unwrap()
    };
    next.acks = all[1..].to_vec();
    next.acks.sort_by_key(|ack| ack.node);
    let refused = adopt(&next);
    assert!(!refused.status.success());
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("not every party's ack"),
        "{refused:?}"
    );
    next.acks = all;
    next.acks.sort_by_key(|ack| ack.node);
    // As printed by `info --json key` of a node that has committed.
    std::fs::write(&file, serde_json::json!([next]).to_string()).unwrap();
    let mut resolve = node.command("task").unwrap();
    let adopted = run(resolve
        .args(["resolve", &TASK.to_string(), "--adopt"])
        .arg(&file))
    .unwrap();
    assert!(adopted.status.success(), "{adopted:?}");
    assert!(
        listed(node).contains("done: the next generation is in force"),
        "{}",
        listed(node)
    );
    let passphrase = Passphrase::from_file(&node.dir.join("passphrase")).unwrap();
    let vault = countersign_node::vault::Vault::open(&node.db(), &passphrase, &[]).unwrap();
    assert!(
        vault
            .stored_keys()
            .unwrap()
            .iter()
            .any(|key| key.key == wallet.key),
        "its share is kept"
    );
    drop(vault);
    let journal = Journal::open(&node.db()).unwrap();
    journal.verify_audit().unwrap();
    assert_eq!(
        journal.key(&wallet.key).unwrap().unwrap().status,
        KeyStatus::Leaving
    );
    drop(journal);
    let mut moved = node.command("info").unwrap();
    let moved = expect_success(moved.arg("moved")).unwrap();
    assert!(moved.contains("kept until a quorum"), "{moved}");
    let mut proof = node.command("info").unwrap();
    let proof = expect_success(proof.args(["proof", &wallet.key.to_string()])).unwrap();
    let proof: serde_json::Value = serde_json::from_str(&proof).unwrap();
    assert_eq!(proof["generations"].as_array().unwrap().len(), 2, "{proof}");
}
