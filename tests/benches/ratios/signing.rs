//! KeySign end to end: from the client's order to a signature that it has verified.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use countersign_client::SignOrder;
use countersign_engine::Aux;
use countersign_protocol::{KeyId, Scheme};
use tokio::task::JoinSet;

use crate::bare;
use crate::cluster::Nodes;
use crate::sample::{Effort, by_turns};
use crate::table::{Figure, Table};

/// Limit for FROST, end to end.
const FROST_P50: Duration = Duration::from_millis(15);
const FROST_P99: Duration = Duration::from_millis(60);
/// Required FROST signatures a second.
const FROST_RATE: f64 = 300.0;
/// Limit for ECDSA, relative to the in-process protocol.
const ECDSA_RATIO: f64 = 1.15;
/// Concurrent orders.
const AT_A_TIME: usize = 16;
/// The signers of sequential orders.
const PAIR: &[usize] = &[0, 1];

/// FROST: one after the other, then many at a time.
pub async fn frost(effort: &Effort, nodes: &Nodes, table: &mut Table) -> anyhow::Result<()> {
    for scheme in [Scheme::Ed25519, Scheme::Taproot] {
        let wallet = nodes.wallet(&format!("{scheme}"), scheme).await?;
        compare(
            effort,
            nodes,
            (scheme, wallet),
            &format!("KeySign, {scheme}"),
            table,
        )
        .await?;
        let rate = rate(effort.burst, nodes, &nodes.order(wallet, None)?).await?;
        print_rate(&format!("KeySign, {scheme}"), rate, table);
    }
    Ok(())
}

/// FROST again, when nodes and client have many wallets: it should cost the same.
pub async fn frost_among_many(
    effort: &Effort,
    nodes: &Nodes,
    table: &mut Table,
) -> anyhow::Result<()> {
    let scheme = Scheme::Ed25519;
    let wallet = nodes.wallet("one of many", scheme).await?;
    let what = format!("KeySign, {scheme}, with {} wallets", nodes.wallets().await?);
    compare(effort, nodes, (scheme, wallet), &what, table).await
}

async fn compare(
    effort: &Effort,
    nodes: &Nodes,
    (scheme, wallet): (Scheme, KeyId),
    what: &str,
    table: &mut Table,
) -> anyhow::Result<()> {
    let shares = bare::generate(scheme)?;
    let order = nodes.order(wallet, Some(PAIR))?;
    let ours = async || Ok(nodes.client.sign(&order, |_| {}).await.map(drop)?);
    let bare = async || bare::sign_in_one_thread(&shares);
    let pair = by_turns(effort.frost, ours, bare).await?;
    let figures = [
        Figure {
            asks: "p50 <= 15 ms",
            met: pair.ours.median() <= FROST_P50,
        },
        Figure {
            asks: "p99 <= 60 ms",
            met: pair.ours.percentile(99) <= FROST_P99,
        },
    ];
    table.compare(what, &pair, &figures);
    Ok(())
}

/// Signatures a second, by whichever pair the coordinator chooses.
pub async fn rate(signatures: usize, nodes: &Nodes, order: &SignOrder) -> anyhow::Result<f64> {
    burst(AT_A_TIME, nodes, order).await?;
    let started = Instant::now();
    burst(signatures, nodes, order).await?;
    Ok(signatures as f64 / started.elapsed().as_secs_f64())
}

/// A line for a rate of FROST signatures.
pub fn print_rate(what: &str, rate: f64, table: &mut Table) {
    let figure = Figure {
        asks: ">= 300/s",
        met: rate >= FROST_RATE,
    };
    table.plain(
        &format!("{what}, {AT_A_TIME} at a time"),
        &format!("{rate:.0}/s"),
        &[figure],
    );
}

/// Each worker submits its next order when it has the last signature.
async fn burst(signatures: usize, nodes: &Nodes, order: &SignOrder) -> anyhow::Result<()> {
    let taken = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..AT_A_TIME {
        let client = nodes.client.clone();
        let order = order.clone();
        let taken = taken.clone();
        workers.spawn(async move {
            while taken.fetch_add(1, Ordering::Relaxed) < signatures {
                client.sign(&order, |_| {}).await?;
            }
            anyhow::Ok(())
        });
    }
    workers.join_all().await.into_iter().collect()
}

/// ECDSA, with the tables on both sides.
pub async fn ecdsa(
    effort: &Effort,
    nodes: &Nodes,
    wallet: KeyId,
    auxes: &[Arc<Aux>],
    table: &mut Table,
) -> anyhow::Result<()> {
    let shares = bare::generate(Scheme::EcdsaSecp256k1)?;
    let auxes = auxes
        .iter()
        .map(|aux| bare::with_tables(aux))
        .collect::<anyhow::Result<Vec<_>>>()?;
    nodes.settle().await?;
    let order = nodes.order(wallet, Some(PAIR))?;
    let ours = async || Ok(nodes.client.sign(&order, |_| {}).await.map(drop)?);
    let pair = by_turns(effort.ecdsa, ours, async || {
        bare::sign_in_threads(&shares, &auxes)
    })
    .await?;
    let figure = Figure {
        asks: "ratio <= 1.15",
        met: pair.ratio() <= ECDSA_RATIO,
    };
    table.compare("KeySign, ecdsa-secp256k1", &pair, &[figure]);
    Ok(())
}
