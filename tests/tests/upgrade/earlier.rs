//! The runbook between an earlier release and this build, both ways.

use std::path::PathBuf;

use countersign_client::ReshareOrder;
use countersign_protocol::{KeyDescriptor, Scheme};
use countersign_tests::process::expect_success;
use countersign_tests::{Cluster, Node, Release};

use crate::runbook::Releases;
use crate::{Rollout, later};

fn releases() -> Releases {
    let folder = std::env::var_os("COUNTERSIGN_EARLIER").expect(
        "COUNTERSIGN_EARLIER names the folder with the programs of an earlier release; run tests/upgrade/run.sh",
    );
    Releases {
        old: Release::Earlier(PathBuf::from(folder)),
        new: Release::Today,
    }
}

impl Rollout {
    async fn each_node(&mut self, heading: &str) {
        for node in 0..self.cluster.nodes.len() {
            self.step(heading, node).await;
        }
    }
}

async fn sign(cluster: &Cluster, wallet: &KeyDescriptor, signers: &[usize]) {
    let order = cluster.order(wallet.key, "m/0/1", b"pay 7", Some(signers));
    let made = cluster.client.sign(&order.unwrap(), |_| {}).await;
    made.unwrap_or_else(|error| panic!("{error}\n{}", cluster.logs()));
}

async fn refresh(cluster: &Cluster, wallet: &KeyDescriptor) -> KeyDescriptor {
    let order = ReshareOrder::new(wallet.key, wallet.committee.clone(), wallet.threshold);
    let moved = cluster.client.reshare(&order, |_| {}).await;
    moved.unwrap_or_else(|error| panic!("{error}\n{}", cluster.logs()))
}

/// The node's present program tries the newest of these backups.
fn drill(node: &Node, name: &str) {
    let number = (0..).take_while(|number| node.dir.join(format!("{name}.{number}")).exists());
    let file = node.dir.join(format!("{name}.{}", number.last().unwrap()));
    let mut drill = node.command("restore").unwrap();
    drill.arg("--drill").arg(file).arg("--backup-key-file");
    let said = expect_success(drill.arg(node.dir.join("passphrase"))).unwrap();
    assert!(said.contains("The drill succeeded"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runbook_leads_to_the_new_release_and_back_and_no_task_fails() {
    let mut rollout = Rollout::start(releases()).await;
    rollout
        .step("The coordinator, from the first release", 0)
        .await;
    rollout.each_node("A node, from the first release").await;

    // A key that is made and moved by the new programs.
    let cluster = &rollout.cluster;
    let new = cluster.create_wallet("of new", Scheme::Taproot, 2).await;
    let new = refresh(cluster, &new.unwrap()).await;
    drill(&cluster.nodes[0], "node-$OLD.age");
    for node in [0, 1] {
        rollout.step("A node, back", node).await;
    }
    // Old with old, and old with new, on stores that the new programs have written.
    sign(&rollout.cluster, &new, &[0, 1]).await;
    sign(&rollout.cluster, &new, &[1, 2]).await;
    drill(&rollout.cluster.nodes[0], "node-$NEW.age");
    for node in [0, 1] {
        rollout.step("A node, from the first release", node).await;
    }
    rollout.step("The coordinator", 0).await;
    rollout.each_node("A node").await;

    // Everything back, in the reverse order.
    rollout.each_node("A node, back").await;
    rollout.step("The coordinator, back", 0).await;
    let cluster = &rollout.cluster;
    let moved = refresh(cluster, &new).await;
    assert_eq!(moved.generation, 2);
    sign(cluster, &moved, &[0, 2]).await;
    let cluster = rollout.end().await;
    for node in &cluster.nodes {
        let verified = expect_success(node.command("audit").unwrap().arg("verify")).unwrap();
        assert!(verified.contains("is intact"), "{verified}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_earlier_release_refuses_later_forms_of_stores_and_loses_nothing() {
    later::forms_are_refused(releases().old).await;
}
