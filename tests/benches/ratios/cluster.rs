//! The nodes that are measured: real processes with the rules plugin and durable journals,
//! logging as in production.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_client::{Client, Profile, SignOrder};
use countersign_protocol::{KeyId, Scheme};
use countersign_tests::{Blueprint, Cluster, PrimeSource};

use crate::bare::{MESSAGE, PATH};
use crate::process;
use crate::sample::Samples;
use crate::table::{Figure, Table, time};

/// Memory that an idle node may take, in MiB.
const IDLE_MIB: f64 = 80.0;
/// Time for nodes and the coordinator to finish their background work.
const SETTLING: Duration = Duration::from_secs(180);

/// A running cluster and a client that many tasks can share.
pub struct Nodes {
    pub cluster: Cluster,
    pub client: Arc<Client>,
}

impl Nodes {
    /// Starts them, and measures their use of resources before any work.
    pub async fn start(table: &mut Table) -> anyhow::Result<Self> {
        let blueprint = Blueprint {
            primes: PrimeSource::Fixture,
            ..Blueprint::default()
        };
        let cluster = Cluster::prepare(blueprint).await?;
        let disk = fsync_time(cluster.dir())?;
        table.plain("one fsync of this disk, 4 KiB", &time(disk), &[]);
        let mut nodes = Self::run(cluster).await?;
        nodes.memory("memory of an idle node, at its first start", table)?;
        Ok(nodes)
    }

    /// Starts a prepared cluster, and waits until it is idle.
    pub async fn run(mut cluster: Cluster) -> anyhow::Result<Self> {
        log_as_in_production(&cluster)?;
        cluster.start_coordinator()?;
        cluster.nodes.iter_mut().try_for_each(|node| node.start())?;
        cluster.wait_online().await?;
        let client = Arc::new(Client::new(Profile::load(&cluster.profile())?)?);
        let nodes = Self { cluster, client };
        nodes.settle().await?;
        Ok(nodes)
    }

    /// The memory of the node with the largest, in MiB.
    pub fn most_memory(&mut self) -> anyhow::Result<f64> {
        let sizes = self
            .cluster
            .nodes
            .iter_mut()
            .map(|node| process::resident(node.daemon().id()));
        let sizes = sizes.collect::<anyhow::Result<Vec<f64>>>()?;
        Ok(sizes.into_iter().fold(0.0, f64::max))
    }

    /// Measures the node with the largest memory.
    pub fn memory(&mut self, what: &str, table: &mut Table) -> anyhow::Result<()> {
        let most = self.most_memory()?;
        table.plain(
            what,
            &format!("{most:.0} MiB"),
            &[Figure {
                asks: "<= 80 MiB",
                met: most <= IDLE_MIB,
            }],
        );
        Ok(())
    }

    /// Waits until no node computes: tables for ECDSA are built in the background.
    pub async fn settle(&self) -> anyhow::Result<()> {
        let nodes = self.cluster.nodes.iter();
        let nodes = nodes.filter_map(|node| node.daemon.as_ref());
        idle(&nodes.map(|it| it.id()).collect::<Vec<_>>()).await
    }

    /// Waits until the coordinator does not compute: it takes in wallets that nodes tell it of.
    pub async fn settle_coordinator(&self) -> anyhow::Result<()> {
        let coordinator = self.cluster.coordinator.iter();
        idle(&coordinator.map(|it| it.id()).collect::<Vec<_>>()).await
    }

    pub async fn wallet(&self, name: &str, scheme: Scheme) -> anyhow::Result<KeyId> {
        Ok(self
            .cluster
            .create_wallet(name, scheme, crate::bare::THRESHOLD)
            .await?
            .key)
    }

    /// Number of wallets: nodes and client keep records of them all.
    pub async fn wallets(&self) -> anyhow::Result<usize> {
        Ok(self.client.wallets().await?.len())
    }

    /// An order for the same signature as the bare call.
    pub fn order(&self, wallet: KeyId, signers: Option<&[usize]>) -> anyhow::Result<SignOrder> {
        self.order_at(&format!("m/{}/{}", PATH[0], PATH[1]), wallet, signers)
    }

    /// The same of another child.
    pub fn order_at(
        &self,
        path: &str,
        wallet: KeyId,
        signers: Option<&[usize]>,
    ) -> anyhow::Result<SignOrder> {
        self.cluster.order(wallet, path, MESSAGE, signers)
    }
}

/// Waits until none of these processes computes.
async fn idle(ids: &[u32]) -> anyhow::Result<()> {
    let deadline = Instant::now() + SETTLING;
    let mut before = process::processor_ticks(ids)?;
    loop {
        anyhow::ensure!(
            Instant::now() < deadline,
            "there is work left after {SETTLING:?}"
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = process::processor_ticks(ids)?;
        // Keep-alives cost a tick now and then.
        if now - before <= 3 {
            return Ok(());
        }
        before = now;
    }
}

/// Tests log everything; `info` is the default.
fn log_as_in_production(cluster: &Cluster) -> anyhow::Result<()> {
    for node in &cluster.nodes {
        let text = std::fs::read_to_string(node.config())?;
        std::fs::write(node.config(), text.replace("level: debug", "level: info"))?;
    }
    Ok(())
}

/// The lower bound of the cost of durability here.
fn fsync_time(dir: &Path) -> anyhow::Result<Duration> {
    let path = dir.join("fsync");
    let mut file = File::create(&path)?;
    let mut write = || {
        let started = Instant::now();
        file.write_all(&[0x55; 4096])?;
        file.sync_data()?;
        Ok(started.elapsed())
    };
    let times = (0..200)
        .map(|_| write())
        .collect::<std::io::Result<Vec<_>>>()?;
    std::fs::remove_file(&path)?;
    Ok(Samples::new(times).median())
}
