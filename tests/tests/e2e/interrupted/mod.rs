//! A key's life interrupted: messages withheld, nodes killed at any moment and at every step of
//! their writing. A key signs with the old or the new generation, never with neither.

mod killed;
mod withheld;

use std::time::{Duration, Instant};

use countersign_client::{ClientError, ReshareOrder};
use countersign_protocol::{Committee, KeyDescriptor, KeyId, Threshold};
use countersign_store::{PreparedReshare, ReshareStage};
use countersign_tests::{Blueprint, Cluster, Node, Plugins, PrimeSource, process};

/// Time from the moment that everything passes again to a definite state.
const SETTLED: Duration = Duration::from_secs(25);

/// A step that every task reaches at every party, however early it fails.
const EARLY: usize = 4;

fn blueprint() -> Blueprint {
    let limits = "{ ready_seconds: 1, keygen_seconds: 1, frost_seconds: 1, storing_seconds: 1, prime_sets: 0, reshares: 1000 }";
    Blueprint {
        limits: limits.into(),
        plugins: Plugins::Unguarded,
        ..Blueprint::default()
    }
}

/// A random selection of steps, one of them early. `COUNTERSIGN_INTERRUPTIONS=all` asks for each.
fn some_of(all: usize, few: usize) -> Vec<usize> {
    if few >= all || std::env::var("COUNTERSIGN_INTERRUPTIONS").is_ok_and(|asked| asked == "all") {
        return (0..all).collect();
    }
    let random = &mut rand::thread_rng();
    let mut chosen = rand::seq::index::sample(random, all, few - 1).into_vec();
    chosen.push(rand::seq::index::sample(random, EARLY.min(all), 1).index(0));
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

fn ecdsa_blueprint() -> Blueprint {
    let limits = "{ ready_seconds: 5, keygen_seconds: 2, storing_seconds: 2, prime_sets: 0, reshares: 1000 }";
    Blueprint {
        primes: PrimeSource::Fixtures(4),
        limits: limits.into(),
        ..blueprint()
    }
}

async fn reshare(
    cluster: &Cluster,
    wallet: KeyId,
    members: &[usize],
) -> Result<KeyDescriptor, ClientError> {
    let order = ReshareOrder::new(
        wallet,
        Committee::new(cluster.ids(members)).unwrap(),
        Threshold::try_from(2).unwrap(),
    );
    cluster.client.reshare(&order, |_| {}).await
}

/// Signs with the present holders of the key, as soon as they are settled.
async fn signs(cluster: &Cluster, wallet: KeyId, when: &str) {
    let deadline = Instant::now() + SETTLED;
    loop {
        let order = cluster.order(wallet, "m/1", b"still mine", None).unwrap();
        match cluster.client.sign(&order, |_| {}).await {
            Ok(_) => return,
            Err(error) => assert!(
                Instant::now() < deadline,
                "{when}: {error}\n{}",
                cluster.logs()
            ),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until every node knows the outcome of every reshare.
async fn settled(cluster: &Cluster, when: &str) {
    let deadline = Instant::now() + SETTLED;
    while let Some(node) = cluster
        .nodes
        .iter()
        .find(|node| waits(node).unwrap_or(true))
    {
        assert!(
            Instant::now() < deadline,
            "{when}: {} waits\n{}",
            node.name,
            cluster.logs()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// True if a reshare is in doubt at this node.
fn waits(node: &Node) -> anyhow::Result<bool> {
    let printed = process::expect_success(node.command("task")?.args(["list", "--json"]))?;
    let prepared_reshares: Vec<PreparedReshare> = serde_json::from_str(&printed)?;
    Ok(prepared_reshares
        .iter()
        .any(|prepared| prepared.stage == ReshareStage::InDoubt))
}
