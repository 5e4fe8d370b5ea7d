//! A process's statistics from the kernel, and the time that a node takes to start.

use std::time::{Duration, Instant};

use anyhow::Context;
use countersign_node::vault::Vault;
use countersign_store::Passphrase;
use countersign_tests::Node;

use crate::cluster::Nodes;
use crate::sample::{Effort, Samples};
use crate::table::{Figure, Table, time};

/// Limit for the start of a node, beside the derivation from the passphrase.
const START: Duration = Duration::from_secs(1);
/// Time for a node to end.
const STOP: Duration = Duration::from_secs(30);

/// Resident memory in MiB.
pub fn resident(id: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("a line VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

/// Processor time of all these, in clock ticks: fields 14 and 15 of `stat`, counted after
/// the name in parentheses.
pub fn processor_ticks(ids: &[u32]) -> anyhow::Result<u64> {
    ids.iter().map(|id| ticks(*id)).sum()
}

fn ticks(id: u32) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("a name in parentheses")?;
    let time = |field: Option<&str>| field.and_then(|text| text.parse::<u64>().ok());
    let mut fields = fields.split(' ').skip(11);
    Ok(time(fields.next()).context("utime")? + time(fields.next()).context("stime")?)
}

/// Ends a node.
pub fn stop(node: &mut Node) -> anyhow::Result<()> {
    let status = node.daemon().terminate(STOP)?;
    anyhow::ensure!(
        status.success(),
        "the node ended with {status}: {}",
        node.log()
    );
    node.daemon = None;
    Ok(())
}

/// Medians of several starts of one node.
pub struct Starts {
    /// Keys that it holds.
    keys: usize,
    /// Opening its store is measured beside it, because it is nearly all derivation from the
    /// passphrase, which is slow on purpose.
    open: Duration,
    /// From the start to online.
    pub start: Duration,
}

impl Starts {
    pub fn show(&self, table: &mut Table) {
        table.plain("keys that it holds", &self.keys.to_string(), &[]);
        table.plain(
            "its store opened, passphrase derivation included",
            &time(self.open),
            &[],
        );
        table.plain("from start to online", &time(self.start), &[]);
        let rest = self.start.saturating_sub(self.open);
        let figure = Figure {
            asks: "<= 1 s",
            met: rest <= START,
        };
        table.plain("of it, all but opening the store", &time(rest), &[figure]);
    }
}

/// Restarts the first node several times.
pub async fn starts(effort: &Effort, nodes: &mut Nodes) -> anyhow::Result<Starts> {
    let mut opens = Vec::new();
    let mut starts = Vec::new();
    let mut keys = 0;
    for _ in 0..effort.starts {
        let node = &mut nodes.cluster.nodes[0];
        stop(node)?;
        let (open, stored) = open_store(&node.db(), &node.dir.join("passphrase"))?;
        keys = stored;
        opens.push(open);
        starts.push(start(nodes).await?);
    }
    Ok(Starts {
        keys,
        open: Samples::new(opens).median(),
        start: Samples::new(starts).median(),
    })
}

/// Restarts the first node, and measures its memory afterwards.
pub async fn restart(effort: &Effort, nodes: &mut Nodes, table: &mut Table) -> anyhow::Result<()> {
    starts(effort, nodes).await?.show(table);
    nodes.settle().await?;
    nodes.memory("memory of an idle node, after this run", table)
}

fn open_store(
    db: &std::path::Path,
    passphrase: &std::path::Path,
) -> anyhow::Result<(Duration, usize)> {
    let started = Instant::now();
    let vault = Vault::open(db, &Passphrase::from_file(passphrase)?, &[])?;
    let open = started.elapsed();
    Ok((open, vault.stored_keys()?.len()))
}

async fn start(nodes: &mut Nodes) -> anyhow::Result<Duration> {
    let id = nodes.cluster.nodes[0].id;
    let started = Instant::now();
    nodes.cluster.nodes[0].start()?;
    loop {
        if nodes
            .client
            .nodes()
            .await?
            .iter()
            .any(|node| node.id == id && node.online)
        {
            return Ok(started.elapsed());
        }
        anyhow::ensure!(
            started.elapsed() < STOP,
            "not online: {}",
            nodes.cluster.nodes[0].log()
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
