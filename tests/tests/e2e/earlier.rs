//! What programs of an earlier release have left behind, opened by those of today. The folders are
//! in `tests/fixtures`.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use countersign_client::ReshareOrder;
use countersign_client::api::Api;
use countersign_client::requester_key::RequesterKey;
use countersign_coordinator::identity;
use countersign_coordinator::store::Store;
use countersign_link::Hub;
use countersign_link::hub::NodeLink;
use countersign_protocol::control::{FromNode, ToNode};
use countersign_protocol::{
    Committee, KeyDescriptor, Operation, Outcome, Payload, PayloadKind, SignedTask, Task, TaskId,
    UnixMillis, decode, encode,
};
use countersign_tests::process::{expect_success, program};
use countersign_tests::{Cluster, Node};
use serde_json::Value;
use tokio::time::timeout;

const V1: &str = "v1";
const LIMIT: Duration = Duration::from_secs(30);
/// The names of its wallets are those of their schemes.
const THREE_NODES: [&str; 3] = ["ed25519", "schnorr-secp256k1", "taproot"];

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The output of a command of the node's program.
fn of_node(node: &Node, verb: &str, arguments: &[&str]) -> String {
    expect_success(node.command(verb).unwrap().args(arguments)).unwrap()
}

/// The output of the requester's program.
fn of_requester(cluster: &Cluster, arguments: &[&str]) -> String {
    let mut command = Command::new(program("countersign").unwrap());
    command.arg("--config").arg(cluster.profile());
    expect_success(command.args(arguments)).unwrap()
}

/// A wallet as the wallet book has it.
async fn wallet(cluster: &Cluster, name: &str) -> KeyDescriptor {
    cluster.client.find_wallet(name).await.unwrap()
}

/// Signs under m/0/1, checks the signature with others' libraries, and returns the public key.
async fn sign(cluster: &Cluster, wallet: &KeyDescriptor, signers: &[usize]) -> String {
    let order = cluster.order(wallet.key, "m/0/1", b"pay 7", Some(signers));
    let made = cluster.client.sign(&order.unwrap(), |_| {}).await;
    let made = made.unwrap_or_else(|error| panic!("{error}\n{}", cluster.logs()));
    crate::schemes::check(cluster, &made);
    hex::encode(&made.signed.signatures[0].public_key)
}

/// Lets the nodes' rules deal new shares of this wallet, as operators would.
fn allow_reshare(cluster: &Cluster, wallet: &KeyDescriptor) {
    let key = cluster.client.extended_public_key(wallet).unwrap();
    let nodes = cluster.nodes.iter().map(|node| node.id.to_string());
    let nodes = nodes.collect::<Vec<_>>().join(", ");
    let allowed = format!(
        "key_reshare:\n  allow_list:\n    - {{ xpubkey: {key}, new_threshold: 2, new_node_ids: [{nodes}] }}\n"
    );
    for node in &cluster.nodes {
        let rules = std::fs::read_to_string(node.rules()).unwrap();
        let (before, _) = rules.split_once("key_reshare:").unwrap();
        std::fs::write(node.rules(), format!("{before}{allowed}")).unwrap();
    }
}

/// The ids of its tasks, with their states at that time.
fn tasks(cluster: &Cluster) -> Vec<(TaskId, String)> {
    let listed = json(&cluster.dir().join("tasks.json"));
    let listed = listed.as_array().or(listed["tasks"].as_array()).unwrap();
    let of = |task: &Value| {
        let id = task["id"].as_str().unwrap().parse().unwrap();
        (id, task["state"].as_str().unwrap().to_owned())
    };
    listed.iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_of_version_1_are_worked_with_as_if_nothing_had_changed() {
    let mut cluster = Cluster::of_fixture(V1).unwrap();
    for node in &cluster.nodes {
        let verified = of_node(node, "audit", &["verify"]);
        assert!(verified.contains("is intact"), "{verified}");
        let then = std::fs::read_to_string(node.dir.join("audit.txt")).unwrap();
        assert_eq!(of_node(node, "audit", &["show"]), then);
    }
    let moves = wallet(&cluster, "ed25519").await;
    allow_reshare(&cluster, &moves);
    cluster.start_all().await.unwrap();

    // Every wallet signs under the key that it had.
    for name in THREE_NODES {
        let wallet = wallet(&cluster, name).await;
        let then = json(&cluster.dir().join(format!("signed-{name}.json")));
        for signers in [[0, 2], [1, 2]] {
            let key = sign(&cluster, &wallet, &signers).await;
            assert!(then.to_string().contains(&key), "{name}: {key} in {then}");
        }
    }
    let ecdsa = wallet(&cluster, "ecdsa-secp256k1").await;
    let then = json(&cluster.dir().join("signed-ecdsa-secp256k1.json"));
    let key = sign(&cluster, &ecdsa, &[0, 1]).await;
    assert!(then.to_string().contains(&key), "{key} in {then}");

    // The rules of that time are in force.
    let order = cluster.order(moves.key, "m/0/1", b"pay all", None);
    let refused = cluster.client.sign(&order.unwrap(), |_| {}).await;
    assert_eq!(crate::refusal(refused).0, "keysign-message-not-allowed");

    // New shares take the place of those of that time, at all nodes or not at all.
    let committee = Committee::new(cluster.ids(&[0, 1, 2])).unwrap();
    let order = ReshareOrder::new(moves.key, committee, moves.threshold);
    let moved = cluster.client.reshare(&order, |_| {}).await;
    let moved = moved.unwrap_or_else(|error| panic!("{error}\n{}", cluster.logs()));
    assert_eq!(
        (moved.generation, &moved.root_public_key),
        (moves.generation + 1, &moves.root_public_key)
    );
    sign(&cluster, &moved, &[0, 2]).await;

    // What the coordinator knew it still knows.
    let api = cluster.client.api();
    let tasks = tasks(&cluster);
    assert!(tasks.len() > 15, "{tasks:?}");
    for (id, then) in &tasks {
        let now = api.task(*id, None).await.unwrap().summary.state;
        assert_eq!(now.to_string(), *then, "{id}");
    }
    let hooks = of_requester(&cluster, &["webhook", "list"]);
    assert!(hooks.contains("http://127.0.0.1:9/hook"), "{hooks}");
    let keys = of_requester(&cluster, &["api-key", "list"]);
    assert!(keys.contains("screen"), "{keys}");
    let screen = std::fs::read_to_string(cluster.dir().join("screen.key")).unwrap();
    let url = format!("http://{}", cluster.http());
    let screen = Api::new(&url, screen.trim().to_owned().into()).unwrap();
    assert_eq!(screen.wallets().await.unwrap().len(), 4);
    let listed = of_requester(&cluster, &["wallet", "list"]);
    for name in THREE_NODES {
        assert!(listed.contains(name), "{listed}");
    }
    for node in &mut cluster.nodes {
        node.daemon().terminate(LIMIT).unwrap();
        let verified = of_node(node, "audit", &["verify"]);
        assert!(verified.contains("is intact"), "{verified}");
    }
}

/// An order that was carried out at that time, as the coordinator of that time kept it.
fn kept(cluster: &Cluster, is_it: impl Fn(&Task) -> bool) -> (SignedTask, Task) {
    let store = Store::open(&cluster.dir().join("coordinator/coordinator.redb")).unwrap();
    let done = tasks(cluster).into_iter();
    let done = done.filter(|(_, state)| state == "completed");
    let orders = done.map(|(id, _)| store.task(id).unwrap().unwrap().signed());
    let mut orders = orders.map(|order| {
        let task = order.parse().unwrap();
        (order, task)
    });
    orders.find(|(_, task)| is_it(task)).unwrap()
}

async fn say(link: &mut NodeLink, frame: ToNode) {
    link.control.sender.send(&encode(&frame)).await.unwrap();
}

/// The node's next word about this task.
async fn hear(link: &mut NodeLink, about: TaskId) -> FromNode {
    loop {
        let frame = timeout(LIMIT, link.control.receiver.recv()).await.unwrap();
        let frame: FromNode = decode(&frame.unwrap().unwrap()).unwrap();
        if let FromNode::Outcome { task, .. } | FromNode::Decision { task, .. } = &frame
            && *task == about
        {
            return frame;
        }
    }
}

/// The coordinator of this test has forgotten everything and offers everything again.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_of_version_1_is_spent_at_the_node_that_took_part_in_it() {
    let mut cluster = Cluster::of_fixture(V1).unwrap();
    let wallet = wallet(&cluster, "ed25519").await;
    let is_signature =
        |task: &Task| matches!(&task.operation, Operation::KeySign(sign) if sign.key == wallet.key);
    let (order, task) = kept(&cluster, is_signature);
    let (identity, _) = identity::load(&cluster.dir().join("coordinator/identity.key")).unwrap();
    let hub = Hub::bind(cluster.quic(), &identity, Arc::new(|_| true), None).unwrap();
    cluster.nodes[0].start().unwrap();
    let mut link = timeout(LIMIT, hub.accept()).await.unwrap().unwrap();
    let hello = link.control.receiver.recv().await.unwrap().unwrap();
    let FromNode::HelloAs { protocol, .. } = decode(&hello).unwrap() else {
        panic!("no hello")
    };
    let software = "forgetful".into();
    say(&mut link, ToNode::Welcome { protocol, software }).await;

    // The same bytes get the answer of that time.
    let parties = cluster.ids(&[0, 1]);
    let offer = |task: &SignedTask| ToNode::Offer {
        task: task.clone(),
        parties: parties.clone(),
    };
    say(&mut link, offer(&order)).await;
    let mut said = hear(&mut link, task.id).await;
    if let FromNode::Decision { refusal, .. } = &said {
        assert_eq!(*refusal, None);
        said = hear(&mut link, task.id).await;
    }
    let FromNode::Outcome {
        outcome: Outcome::Signed(signed),
        ..
    } = said
    else {
        panic!("{said:?}")
    };
    assert!(!signed.signatures.is_empty());

    // Other bytes under the id are refused, though the order is new and good.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = UnixMillis(now.unwrap().as_millis() as u64);
    let requester = RequesterKey::load(&cluster.dir().join("requester.key")).unwrap();
    let Operation::KeySign(mut operation) = task.operation.clone() else {
        panic!("{task:?}")
    };
    operation.payload = Payload::new(PayloadKind::Message, b"pay 8".to_vec());
    operation.signers = Some(parties.clone());
    let mut new = Task {
        created: now,
        not_after: UnixMillis(now.0 + 60_000),
        operation: Operation::KeySign(operation),
        ..task.clone()
    };
    say(&mut link, offer(&requester.sign(&new))).await;
    let said = hear(&mut link, task.id).await;
    assert!(format!("{said:?}").contains("TaskIdReused"), "{said:?}");

    // Under an id of its own the same order is approved.
    new.id = TaskId(rand::random());
    say(&mut link, offer(&requester.sign(&new))).await;
    let said = hear(&mut link, new.id).await;
    let is_approved = matches!(said, FromNode::Decision { refusal: None, .. });
    assert!(is_approved, "{said:?}\n{}", cluster.nodes[0].log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_version_1_passes_the_drill_and_is_restored() {
    let mut cluster = Cluster::of_fixture(V1).unwrap();
    let alice = &cluster.nodes[0];
    let about = |verb: &[&str]| {
        let mut command = alice.command("restore").unwrap();
        command
            .arg(alice.dir.join("before.age"))
            .arg("--backup-key-file")
            .arg(alice.dir.join("passphrase"))
            .args(verb);
        command
    };
    let drill = expect_success(&mut about(&["--drill"])).unwrap();
    assert!(
        drill.contains("intact") && drill.contains("The drill succeeded"),
        "{drill}"
    );
    std::fs::rename(alice.db(), alice.dir.join("lost")).unwrap();
    let restored = expect_success(&mut about(&[])).unwrap();
    assert!(restored.contains("Restored into"), "{restored}");
    cluster.start_coordinator().unwrap();
    cluster.nodes[0].start().unwrap();
    cluster.nodes[2].start().unwrap();
    cluster.wait_online().await.unwrap();
    for name in THREE_NODES {
        let wallet = wallet(&cluster, name).await;
        sign(&cluster, &wallet, &[0, 2]).await;
    }
}
