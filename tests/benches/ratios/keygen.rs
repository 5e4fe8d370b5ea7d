//! KeyGen end to end: from the order to a verified wallet whose shares are durable at three nodes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_engine::Aux;
use countersign_protocol::{KeyId, Scheme};

use crate::bare::{generate, generate_aux};
use crate::cluster::Nodes;
use crate::sample::{Effort, Pair, Samples, by_turns, timed};
use crate::table::{Figure, Table, time};

/// Limit for a KeyGen, end to end.
const LIMIT: Duration = Duration::from_millis(60);
/// Limit for an ECDSA KeyGen beyond the fixed cost of a task.
const BEYOND: Duration = Duration::from_millis(50);
/// Auxiliary information of a new committee, against the library call.
const AUX_RATIO: f64 = 1.1;

pub async fn frost(effort: &Effort, nodes: &Nodes, table: &mut Table) -> anyhow::Result<()> {
    for scheme in [Scheme::Ed25519, Scheme::Taproot] {
        compare(effort, nodes, scheme, table).await?;
    }
    Ok(())
}

/// ECDSA, for a committee that has its auxiliary information.
pub async fn ecdsa(
    effort: &Effort,
    nodes: &Nodes,
    wallet: KeyId,
    table: &mut Table,
) -> anyhow::Result<()> {
    nodes.settle().await?;
    let made = compare(effort, nodes, Scheme::EcdsaSecp256k1, table).await?;
    // A check-up takes the same way to the same nodes, is approved and journalled, and runs
    // no rounds between them.
    let mut check_up = async || {
        Ok(nodes
            .client
            .check_up(wallet, None, None, |_| {})
            .await
            .map(drop)?)
    };
    let mut link = Vec::new();
    for _ in 0..effort.keygens {
        link.push(timed(&mut check_up).await?);
    }
    let beyond = made.saturating_sub(Samples::new(link).median());
    let figure = Figure {
        asks: "<= 50 ms",
        met: beyond <= BEYOND,
    };
    table.plain(
        "the same, beyond a check-up of the three nodes",
        &time(beyond),
        &[figure],
    );
    Ok(())
}

/// Returns the median.
async fn compare(
    effort: &Effort,
    nodes: &Nodes,
    scheme: Scheme,
    table: &mut Table,
) -> anyhow::Result<Duration> {
    let before = nodes.wallets().await?;
    let mut number = before;
    let ours = async || {
        number += 1;
        nodes
            .wallet(&format!("{scheme} {number}"), scheme)
            .await
            .map(drop)
    };
    let pair = by_turns(effort.keygens, ours, async || generate(scheme).map(drop)).await?;
    let figure = Figure {
        asks: "p50 <= 60 ms",
        met: pair.ours.median() <= LIMIT,
    };
    let after = nodes.wallets().await?;
    table.compare(
        &format!("KeyGen, {scheme}, {before} to {after} wallets"),
        &pair,
        &[figure],
    );
    Ok(pair.ours.median())
}

/// The first ECDSA KeyGen of a committee makes its auxiliary information, so it happens once.
/// Returns the wallet, and auxiliary information of the bare call.
pub async fn first_ecdsa(
    nodes: &Nodes,
    table: &mut Table,
) -> anyhow::Result<(KeyId, Vec<Arc<Aux>>)> {
    let started = Instant::now();
    let wallet = nodes.wallet("ecdsa", Scheme::EcdsaSecp256k1).await?;
    let ours = Samples::new(vec![started.elapsed()]);
    // The nodes build tables now; the bare call must have the processors to itself.
    nodes.settle().await?;
    let started = Instant::now();
    let auxes = generate_aux()?;
    let pair = Pair {
        ours,
        bare: Samples::new(vec![started.elapsed()]),
    };
    let figure = Figure {
        asks: "ratio <= 1.1",
        met: pair.ratio() <= AUX_RATIO,
    };
    table.compare(
        "first KeyGen: auxiliary information, once",
        &pair,
        &[figure],
    );
    Ok((wallet, auxes))
}
