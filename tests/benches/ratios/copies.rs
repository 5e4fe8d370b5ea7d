//! A node that holds very many keys: a KeyGen beside one among few, a start, memory, a backup and a
//! drill with it. `COUNTERSIGN_BENCH_KEYS` sets their number.
//!
//! The keys are copies of keys that the nodes made: the same shares under other ids, acknowledged
//! by all nodes. To a node, each is a key that it holds, and whose share proves itself. Their
//! KeyGens are in no journal, so a journal is smaller here than after as many tasks; `many` makes
//! real ones.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use countersign_link::Identity;
use countersign_node::vault::Vault;
use countersign_node::world::now;
use countersign_protocol::{Hash, KeyDescriptor, KeyId, NodeId, Scheme, SignedAck, TaskId};
use countersign_store::{Change, Journal, KeyRecord, KeyStatus, Passphrase, Secrets, Section};
use countersign_tests::process::expect_success;
use countersign_tests::{Blueprint, Cluster, Node, PrimeSource};
use zeroize::Zeroizing;

use crate::cluster::Nodes;
use crate::process;
use crate::sample::{Effort, Samples, timed};
use crate::table::{Figure, Table, time};

/// Environment variable with the number of copies.
const NUMBER: &str = "COUNTERSIGN_BENCH_KEYS";
/// The schemes of the keys, in equal parts.
const SCHEMES: [Scheme; 2] = [Scheme::Ed25519, Scheme::EcdsaSecp256k1];
/// Limit for a KeyGen among the copies, relative to one among few keys.
const RATIO: f64 = 1.25;
/// Memory that a node with all of them may take, in MiB.
const MEMORY_MIB: f64 = 200.0;
/// Time for a backup, and for a drill, which proves every share.
const BACKUP: Duration = Duration::from_secs(10);
/// See [`BACKUP`].
const DRILL: Duration = Duration::from_secs(60);
/// Shares that are stored in one commit.
const BATCH: usize = 500;
/// Threads that write into a journal, so that their writes share commits.
const WRITERS: usize = 32;

/// The number of copies that this run makes.
pub fn number(effort: &Effort) -> anyhow::Result<usize> {
    match std::env::var(NUMBER) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{NUMBER} is not a number: {text}")),
        Err(_) => Ok(effort.copies),
    }
}

/// Measures nodes before and after they get their copies.
pub async fn measure(effort: &Effort, copies: usize, table: &mut Table) -> anyhow::Result<()> {
    let blueprint = Blueprint {
        primes: PrimeSource::Fixture,
        ..Blueprint::default()
    };
    let mut nodes = Nodes::run(Cluster::prepare(blueprint).await?).await?;
    // The first ECDSA KeyGen makes auxiliary information, and tables follow.
    nodes.wallet("first", Scheme::EcdsaSecp256k1).await?;
    nodes.settle().await?;
    let few = keygens(effort, "few", &nodes).await?;
    let small = nodes.most_memory()?;
    table.plain("memory of a node with few", &mib(small), &[]);
    let before = process::starts(effort, &mut nodes).await?;
    fill(copies, &mut nodes).await?;
    let many = keygens(effort, "many", &nodes).await?;
    compare(&few, &many, table);
    let after = process::starts(effort, &mut nodes).await?;
    after.show(table);
    let more = after.start.saturating_sub(before.start);
    let each = more.as_secs_f64() * 1_000.0 / copies.max(1) as f64;
    let each = time(Duration::from_secs_f64(each));
    table.plain("a start, more for each 1,000 copies", &each, &[]);
    nodes.settle().await?;
    let large = nodes.most_memory()?;
    let figure = Figure {
        asks: "<= 200 MiB",
        met: large <= MEMORY_MIB,
    };
    table.plain("memory of a node with all", &mib(large), &[figure]);
    back_up(&nodes.cluster.nodes[0], table)
}

fn mib(size: f64) -> String {
    format!("{size:.0} MiB")
}

/// The median of each scheme.
async fn keygens(
    effort: &Effort,
    among: &str,
    nodes: &Nodes,
) -> anyhow::Result<Vec<(Scheme, Duration)>> {
    let mut medians = Vec::new();
    for scheme in SCHEMES {
        let mut number = 0;
        let mut keygen = async || {
            number += 1;
            let name = format!("{scheme} {number} among {among}");
            nodes.wallet(&name, scheme).await.map(drop)
        };
        let mut times = Vec::new();
        for _ in 0..effort.keygens {
            times.push(timed(&mut keygen).await?);
        }
        medians.push((scheme, Samples::new(times).median()));
    }
    Ok(medians)
}

fn compare(few: &[(Scheme, Duration)], many: &[(Scheme, Duration)], table: &mut Table) {
    for ((scheme, few), (_, many)) in few.iter().zip(many) {
        table.plain(
            &format!("KeyGen, {scheme}, among few keys"),
            &time(*few),
            &[],
        );
        let ratio = many.as_secs_f64() / few.as_secs_f64();
        let figure = Figure {
            asks: "<= 1.25 times",
            met: ratio <= RATIO,
        };
        let what = format!("the same among all, {ratio:.2} times that");
        table.plain(&what, &time(*many), &[figure]);
    }
}

/// Stops the nodes, gives each its copies, and starts them again. The coordinator does not know
/// the copies, so it asks the nodes for them: that is over when this returns.
async fn fill(copies: usize, nodes: &mut Nodes) -> anyhow::Result<()> {
    for node in &mut nodes.cluster.nodes {
        process::stop(node)?;
    }
    let all = &nodes.cluster.nodes;
    let identities = all.iter().map(identity);
    let identities = identities.collect::<anyhow::Result<Vec<Identity>>>()?;
    for node in all {
        store(copies, node, &identities)?;
    }
    for node in &mut nodes.cluster.nodes {
        node.start()?;
    }
    nodes.cluster.wait_online().await?;
    nodes.settle().await?;
    nodes.settle_coordinator().await
}

fn passphrase(node: &Node) -> anyhow::Result<Passphrase> {
    Ok(Passphrase::from_file(&node.dir.join("passphrase"))?)
}

fn identity(node: &Node) -> anyhow::Result<Identity> {
    Ok(Vault::open(&node.db(), &passphrase(node)?, &[])?.identity()?)
}

/// A share as a node has stored it.
struct Original {
    descriptor: KeyDescriptor,
    share: Zeroizing<Vec<u8>>,
}

/// Stores copies of a node's keys in its secrets file and in its journal.
fn store(copies: usize, node: &Node, identities: &[Identity]) -> anyhow::Result<()> {
    let secrets = Secrets::open(&node.db(), &passphrase(node)?, &[])?;
    let originals = originals(&secrets)?;
    let mut records = Vec::new();
    for from in (0..copies).step_by(BATCH) {
        let mut changes = Vec::new();
        for number in from..copies.min(from + BATCH) {
            // All nodes have the same keys in the same order.
            let original = &originals[number % originals.len()];
            let descriptor = copy(&original.descriptor, number);
            changes.push(Change::Put {
                section: Section::Share,
                key: descriptor.key.to_string(),
                value: original.record(&descriptor)?,
            });
            records.push(record(descriptor, identities)?);
        }
        secrets.commit(changes)?;
    }
    write_journal(&node.db(), &records)
}

fn originals(secrets: &Secrets) -> anyhow::Result<Vec<Original>> {
    let mut originals = Vec::new();
    for name in secrets.keys(Section::Share)? {
        let record = secrets.get(Section::Share, &name)?;
        originals.push(Original::of(&record.context("a share")?)?);
    }
    ensure!(!originals.is_empty(), "there is no key to copy");
    Ok(originals)
}

impl Original {
    /// Reads a record: the length of the descriptor (4 bytes, big-endian), the descriptor as JSON,
    /// and the share.
    fn of(record: &[u8]) -> anyhow::Result<Self> {
        let (length, rest) = record.split_first_chunk::<4>().context("a length")?;
        let (descriptor, share) = rest
            .split_at_checked(u32::from_be_bytes(*length) as usize)
            .context("a descriptor")?;
        Ok(Self {
            descriptor: serde_json::from_slice(descriptor)?,
            share: Zeroizing::new(share.to_vec()),
        })
    }

    /// The record of the same share as that of another key.
    fn record(&self, descriptor: &KeyDescriptor) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        let text = serde_json::to_vec(descriptor)?;
        let length = u32::try_from(text.len())?.to_be_bytes();
        Ok(Zeroizing::new(
            [&length[..], &text[..], &self.share[..]].concat(),
        ))
    }
}

/// The same key under the id of a task that was never ordered.
fn copy(original: &KeyDescriptor, number: usize) -> KeyDescriptor {
    let order = Hash::of("bench: copy of a key", &number.to_be_bytes());
    let mut task = [0; 16];
    task.copy_from_slice(&order.0[..16]);
    KeyDescriptor {
        key: KeyId::of_task(&order),
        task: TaskId(task),
        name: format!("copy {number}"),
        acks: Vec::new(),
        ..original.clone()
    }
}

/// The public record, with the acknowledgements of all members.
fn record(descriptor: KeyDescriptor, identities: &[Identity]) -> anyhow::Result<KeyRecord> {
    let digest = descriptor.digest();
    let ack = |identity: &Identity| -> anyhow::Result<SignedAck> {
        Ok(SignedAck {
            node: NodeId::from_bytes(identity.public().0)?,
            signature: identity.sign(digest.as_bytes()).to_vec(),
        })
    };
    let acks = identities.iter().map(ack);
    let mut acks = acks.collect::<anyhow::Result<Vec<SignedAck>>>()?;
    acks.sort_by_key(|ack| ack.node);
    Ok(KeyRecord {
        descriptor: KeyDescriptor { acks, ..descriptor },
        status: KeyStatus::Active,
        created: now(),
    })
}

fn write_journal(db: &Path, records: &[KeyRecord]) -> anyhow::Result<()> {
    let journal = Journal::open(db)?;
    let journal = &journal;
    let each = records.len().div_ceil(WRITERS).max(1);
    thread::scope(|scope| {
        let write = |part: &[KeyRecord]| {
            part.iter()
                .try_for_each(|record| journal.put_key(record.clone()))
        };
        let writers: Vec<_> = records
            .chunks(each)
            .map(|part| scope.spawn(move || write(part)))
            .collect();
        for writer in writers {
            writer.join().map_err(|_| anyhow!("a writer panicked"))??;
        }
        Ok(())
    })
}

/// Backs a node up while it runs, and drills the backup.
fn back_up(node: &Node, table: &mut Table) -> anyhow::Result<()> {
    let file = node.dir.join("bench.age");
    let about = |verb: &str| -> anyhow::Result<Command> {
        let mut command = node.command(verb)?;
        command
            .arg(&file)
            .arg("--backup-key-file")
            .arg(node.dir.join("passphrase"));
        Ok(command)
    };
    let started = Instant::now();
    expect_success(&mut about("backup")?)?;
    let took = started.elapsed();
    let figure = Figure {
        asks: "<= 10 s",
        met: took <= BACKUP,
    };
    table.plain("a backup of a running node", &time(took), &[figure]);
    let started = Instant::now();
    expect_success(about("restore")?.arg("--drill"))?;
    let took = started.elapsed();
    let figure = Figure {
        asks: "<= 60 s",
        met: took <= DRILL,
    };
    table.plain(
        "a drill, which restores and proves every share",
        &time(took),
        &[figure],
    );
    Ok(())
}
