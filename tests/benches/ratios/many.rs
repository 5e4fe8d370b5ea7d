//! The cost of many keys at a node: KeyGen, a start, memory.

use std::time::Duration;

use countersign_protocol::Scheme;
use countersign_tests::{Blueprint, Cluster};

use crate::cluster::Nodes;
use crate::process;
use crate::sample::{Effort, Samples, timed};
use crate::table::{Figure, Table, time};

/// Limit for a KeyGen among many keys, relative to one of the first.
const RATIO: f64 = 1.25;
/// Keys that are made concurrently.
const AT_A_TIME: usize = 8;

/// Makes the keys, and measures before and after.
pub async fn measure(effort: &Effort, table: &mut Table) -> anyhow::Result<()> {
    let mut nodes = Nodes::run(Cluster::prepare(Blueprint::default()).await?).await?;
    let first = keygens(effort, &nodes).await?;
    table.plain("KeyGen, ed25519, of the first", &time(first), &[]);
    fill(effort.keys, &nodes).await?;
    nodes.settle().await?;
    let later = keygens(effort, &nodes).await?;
    let ratio = later.as_secs_f64() / first.as_secs_f64();
    let what = format!(
        "the same among {} wallets, {ratio:.2} times that",
        nodes.wallets().await?
    );
    let figure = Figure {
        asks: "<= 1.25 times",
        met: ratio <= RATIO,
    };
    table.plain(&what, &time(later), &[figure]);
    process::restart(effort, &mut nodes, table).await
}

async fn keygens(effort: &Effort, nodes: &Nodes) -> anyhow::Result<Duration> {
    let mut number = nodes.wallets().await?;
    let mut keygen = async || {
        number += 1;
        nodes
            .wallet(&format!("one {number}"), Scheme::Ed25519)
            .await
            .map(drop)
    };
    let mut times = Vec::new();
    for _ in 0..effort.keygens {
        times.push(timed(&mut keygen).await?);
    }
    Ok(Samples::new(times).median())
}

/// Makes this many keys.
async fn fill(keys: usize, nodes: &Nodes) -> anyhow::Result<()> {
    for from in (0..keys).step_by(AT_A_TIME) {
        let names: Vec<String> = (from..from + AT_A_TIME)
            .map(|number| format!("many {number}"))
            .collect();
        let made = names.iter().map(|name| nodes.wallet(name, Scheme::Ed25519));
        futures_util::future::try_join_all(made).await?;
    }
    Ok(())
}
