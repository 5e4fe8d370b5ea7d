//! Nodes whose plugins do more than approve: an entry that loops beside a key that it does not
//! guard, and rules that count tasks beside rules that do not.

use std::time::Duration;

use countersign_client::SignOrder;
use countersign_protocol::{KeyId, Scheme};
use countersign_tests::{Blueprint, Cluster, Plugins, process};

use crate::cluster::Nodes;
use crate::sample::{Effort, Pair, Samples, timed};
use crate::signing;
use crate::table::{Figure, Table};

/// Limit, relative to the latency without the loop.
const LOOP_RATIO: f64 = 2.0;
/// The scheme that the looping entry guards.
const GUARDED: Scheme = Scheme::Taproot;
/// Duration of a loop: longer than a block of signatures takes.
const LOOP: Duration = Duration::from_secs(5);
/// Time after which the loop has begun.
const BEGIN: Duration = Duration::from_millis(100);
/// Number of loops.
const BLOCKS: usize = 5;
/// The node where the entry loops takes part in every signature that is timed.
const PAIR: &[usize] = &[0, 1];
/// Children whose signatures a limit counts, and does not.
const COUNTED: &str = "m/1/7";
const UNCOUNTED: &str = "m/0/7";
/// Replaces the rules that allow every signature.
const POLICIES: &str = "key_sign:
  policies:
    - name: counted
      when: { paths: [m/1/*] }
      messages: {}
      limits: [{ per: hour, tasks: 1000000 }]
    - name: uncounted
      messages: {}
";

/// Measures on a cluster of its own.
pub async fn measure(effort: &Effort, table: &mut Table) -> anyhow::Result<()> {
    let plugins = Plugins::Text(plugins()?);
    let cluster = Cluster::prepare(Blueprint {
        plugins,
        ..Blueprint::default()
    })
    .await?;
    let rules = cluster.permissive_rules();
    let (key_gen, _) = rules.split_once("key_sign:").unwrap_or((&rules, ""));
    for node in &cluster.nodes {
        std::fs::write(node.rules(), format!("{key_gen}{POLICIES}"))?;
    }
    let nodes = Nodes::run(cluster).await?;
    let wallet = nodes.wallet("beside a loop", Scheme::Ed25519).await?;
    beside_a_loop(effort, &nodes, wallet, table).await?;
    counting(effort, &nodes, wallet, table).await
}

/// `rules`, and a guest that loops whenever one scheme is to sign.
fn plugins() -> anyhow::Result<String> {
    let rules = process::plugin("rules")?;
    let spinner = process::guest("spinner")?;
    let rules = rules.display();
    let spinner = spinner.display();
    let cpu_ms = LOOP.as_millis();
    Ok(format!(
        "  plugins:\n    - {{ name: rules, file: '{rules}', config_file: rules.yaml, grants: {{ state_bytes: 4194304 }} }}\n    \
         - {{ name: spinner, file: '{spinner}', grants: {{ cpu_ms: {cpu_ms} }}, \
         scope: {{ operations: [keysign], schemes: [{GUARDED}] }} }}"
    ))
}

/// One order after the other, in blocks: alone, and while the first node's plugin loops
/// over another key's order.
async fn beside_a_loop(
    effort: &Effort,
    nodes: &Nodes,
    wallet: KeyId,
    table: &mut Table,
) -> anyhow::Result<()> {
    let order = nodes.order(wallet, Some(PAIR))?;
    let guarded = nodes.order(
        nodes.wallet("guarded by a loop", GUARDED).await?,
        Some(PAIR),
    )?;
    let mut sign = async || Ok(nodes.client.sign(&order, |_| {}).await.map(drop)?);
    let size = effort.frost.div_ceil(2 * BLOCKS);
    block(size, &mut sign).await?;
    let mut beside = Vec::new();
    let mut alone = Vec::new();
    for _ in 0..BLOCKS {
        alone.extend(block(size, &mut sign).await?);
        let looping = looping(nodes, &guarded).await;
        beside.extend(block(size, &mut sign).await?);
        let lasted = !looping.is_finished();
        let refusal = looping.await?;
        anyhow::ensure!(
            lasted,
            "the loop ended before the signatures beside it: {refusal}"
        );
    }
    let pair = Pair {
        ours: Samples::new(beside),
        bare: Samples::new(alone),
    };
    let figure = Figure {
        asks: "ratio <= 2",
        met: pair.ratio() <= LOOP_RATIO,
    };
    table.compare(
        "KeySign beside a looping plugin, against alone",
        &pair,
        &[figure],
    );
    Ok(())
}

async fn block(
    size: usize,
    sign: &mut impl AsyncFnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(size);
    for _ in 0..size {
        times.push(timed(sign).await?);
    }
    Ok(times)
}

/// Orders a signature that makes the plugin loop, and waits for the refusal.
async fn looping(nodes: &Nodes, guarded: &SignOrder) -> tokio::task::JoinHandle<String> {
    let client = nodes.client.clone();
    let guarded = guarded.clone();
    let looping = tokio::spawn(async move {
        let end = client.sign(&guarded, |_| {}).await;
        end.map_or_else(
            |error| error.to_string(),
            |_| "a plugin that loops approved".into(),
        )
    });
    tokio::time::sleep(BEGIN).await;
    looping
}

/// Many at a time, in the same cluster: tasks that a limit counts, and tasks that none counts.
async fn counting(
    effort: &Effort,
    nodes: &Nodes,
    wallet: KeyId,
    table: &mut Table,
) -> anyhow::Result<()> {
    for (path, what) in [(UNCOUNTED, "not counted"), (COUNTED, "counted by a limit")] {
        let order = nodes.order_at(path, wallet, None)?;
        let rate = signing::rate(effort.burst, nodes, &order).await?;
        signing::print_rate(&format!("KeySign, {what}"), rate, table);
    }
    Ok(())
}
