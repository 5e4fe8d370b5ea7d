//! Auxiliary information of a committee at real nodes: it is made in a process that can end alone,
//! and once for all wallets that are ordered together.

use std::collections::BTreeSet;
use std::time::Duration;

use countersign_client::api::State;
use countersign_protocol::{KeyDescriptor, KeyGen, Operation, Scheme};
use countersign_tests::Cluster;
use futures_util::future::join_all;

/// Wallets that are ordered at once.
const WALLETS: usize = 12;

/// A wallet of the cluster's nodes, after the computation of auxiliary information was killed. It
/// is one of twelve that were ordered at once.
pub async fn wallet(cluster: &mut Cluster, name: &str) -> KeyDescriptor {
    a_process_that_dies_ends_its_task_and_nothing_else(cluster).await;
    many_at_once_share_one_run(cluster, name).await
}

fn order(cluster: &Cluster, name: &str) -> Operation {
    let wallet = cluster.new_wallet(name, Scheme::EcdsaSecp256k1, 2).unwrap();
    Operation::KeyGen(KeyGen {
        name: wallet.name,
        scheme: wallet.scheme,
        committee: wallet.committee,
        threshold: wallet.threshold,
    })
}

async fn a_process_that_dies_ends_its_task_and_nothing_else(cluster: &mut Cluster) {
    let order = cluster.sign_order(order(cluster, "interrupted")).unwrap();
    let (ended, ()) = tokio::join!(cluster.hand_in(&order), async {
        let alice = cluster.nodes[0].daemon.as_ref().unwrap().id();
        let child = loop {
            match child_of(alice) {
                Some(child) => break child,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        // SAFETY: a plain system call; the process belongs to a node of this test.
        assert_eq!(unsafe { libc::kill(child, libc::SIGKILL) }, 0);
    });
    let ended = ended.unwrap();
    let reason = ended
        .summary
        .reason
        .unwrap_or_else(|| panic!("it went on\n{}", cluster.logs()));
    assert_eq!(
        (ended.summary.state, reason.code.as_str(), reason.nodes),
        (State::Failed.into(), "aux-process", vec![]),
        "{}",
        reason.message
    );
    assert!(
        !cluster.nodes[0].daemon().has_ended(),
        "{}",
        cluster.nodes[0].log()
    );
}

async fn many_at_once_share_one_run(cluster: &Cluster, name: &str) -> KeyDescriptor {
    let first = cluster.create_wallet(name, Scheme::EcdsaSecp256k1, 2);
    let further = (1..WALLETS).map(|number| {
        let order = cluster
            .sign_order(order(cluster, &format!("{name} {number}")))
            .unwrap();
        async move { cluster.hand_in(&order).await.unwrap() }
    });
    let (first, further) = tokio::join!(first, join_all(further));
    let first = first.unwrap();
    for view in further {
        assert_eq!(
            view.summary.state,
            State::Completed,
            "{:?}\n{}",
            view.summary.reason,
            cluster.logs()
        );
    }
    let made = cluster.client.wallets().await.unwrap();
    assert_eq!(made.len(), WALLETS);
    // A member that computes nothing for a while lets the next task past, so on a busy machine
    // there may be a second run.
    let runs: BTreeSet<_> = made.iter().map(|made| made.wallet.aux).collect();
    assert!(
        runs.len() < WALLETS,
        "{} runs for all of them\n{}",
        runs.len(),
        cluster.logs()
    );
    first
}

/// An engine's child process.
fn child_of(pid: u32) -> Option<i32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let listed = threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<i32> = listed
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect();
    children.into_iter().find(|child| {
        let arguments = std::fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        arguments.ends_with(b"\0aux-engine\0")
    })
}
