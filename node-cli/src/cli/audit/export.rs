//! `audit export`: what an auditor needs of a time, in a file that verifies without this node. The
//! running node signs it, and only what is in its own journal.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use countersign_audit::{
    AuditEntry, Broken, Checkpoint, Deleted, NodeLog, Policy, Record, Row, SignedHead, record_hash,
};
use countersign_cli_kit::times;
use countersign_node::admin::{self, Answer, Question};
use countersign_node::audit_export::Exported;
use countersign_node::config::Config;
use countersign_protocol::{Hash, TaskId, UnixMillis};

/// Entries that are asked for at once.
const ENTRIES: u64 = 2_000;
/// Tasks and configurations that are asked for at once: the question has to fit into 64 KiB.
const AT_ONCE: usize = 64;
/// Rounds in which tasks may end while they are exported.
const ROUNDS: usize = 5;

/// Shown below the help.
pub(super) const EXAMPLES: &str = "Examples:
  countersign-node audit export --from 2026-07-01 --to 2026-08-01 --out alice.audit
  countersign-node audit export --from 30d --out alice.audit

The node must run, because it signs the file. What is written is verified first. Give the file to whoever joins those of \
all nodes (`countersign audit export`): it holds orders, votes and the texts of rules, and should hold no secrets. Export \
after the end of the time, or the end is missing. Records that `journal.retention_days` has deleted are not in it; the log \
says what they were.";

#[derive(Debug, clap::Args)]
pub struct Export {
    /// The beginning: an age such as 90d, or a date such as 2026-07-01 or 2026-07-01T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = times::point)]
    from: UnixMillis,
    /// The end, which is not part of it; now if absent.
    #[arg(long, value_name = "TIME", value_parser = times::point)]
    to: Option<UnixMillis>,
    /// The file to write, which must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Leave the texts of configurations out; their hashes stay.
    #[arg(long)]
    without_texts: bool,
}

impl Export {
    pub(super) fn run(&self, config: &Config) -> anyhow::Result<()> {
        let to = self.to.unwrap_or_else(times::now);
        if self.from >= to {
            bail!("--from has to be before --to");
        }
        let source = Source { dir: &config.dir };
        let log = self.collect(&source, to)?;
        let file = log.write();
        NodeLog::read(&file).context("the export would not be read again")?;
        countersign_files::create(&self.out, &file).with_context(|| {
            format!(
                "cannot write {}; choose a new file in a folder that is there",
                self.out.display()
            )
        })?;
        println!(
            "{}: {} lines of the log, {} records, {} deleted; signed by {}",
            self.out.display(),
            log.entries.len(),
            log.records.len(),
            log.deleted.len(),
            log.node
        );
        Ok(())
    }

    /// Asks for everything, and again for tasks that went on meanwhile.
    fn collect(&self, source: &Source<'_>, to: UnixMillis) -> anyhow::Result<NodeLog> {
        let mut kept = Kept::default();
        for _ in 0..ROUNDS {
            // The head comes first, so nothing comes between what it stands for and what is read.
            let head = source.sign(self.from, to)?;
            let mut log = NodeLog {
                node: head.node,
                time: (self.from, to),
                entries: source.entries(&head)?,
                records: Vec::new(),
                deleted: Vec::new(),
                policies: Vec::new(),
                checkpoints: Vec::new(),
                head,
            };
            check(&log)?;
            let vouched = vouched(&log);
            source.records(&kept.stale(&vouched), &mut kept)?;
            // A task that went on has another record than the one for which this head stands.
            if !kept.stale(&vouched).is_empty() {
                continue;
            }
            kept.forget_all_but(&vouched);
            log.policies = self.policies(source, &kept)?;
            log.records = kept.records.into_values().collect();
            log.deleted = kept.deleted.into_values().collect();
            log.checkpoints = source.checkpoints()?;
            return Ok(log);
        }
        bail!("tasks of this time are still under way; choose an earlier --to, or try again")
    }

    fn policies(&self, source: &Source<'_>, kept: &Kept) -> anyhow::Result<Vec<Policy>> {
        let mut wanted = BTreeSet::new();
        for record in kept.records.values() {
            wanted.extend(Row::read(&record.row)?.policies());
        }
        let mut policies = source.policies(wanted.into_iter().collect())?;
        if self.without_texts {
            policies
                .iter_mut()
                .for_each(|policy| policy.document = None);
        }
        Ok(policies)
    }
}

/// The records so far.
#[derive(Default)]
struct Kept {
    records: BTreeMap<TaskId, Record>,
    deleted: BTreeMap<TaskId, Deleted>,
}

impl Kept {
    /// The tasks of which the entries vouch for another record than the one that is here, or for
    /// one that is not.
    fn stale(&self, vouched: &BTreeMap<TaskId, Hash>) -> Vec<TaskId> {
        let fits = |task: &TaskId, vouched: &Hash| {
            let record = self.records.get(task).map(|one| record_hash(&one.row));
            let rest = self.deleted.get(task).map(|one| one.record);
            record.or(rest) == Some(*vouched)
        };
        let stale = vouched.iter().filter(|(task, hash)| !fits(task, hash));
        stale.map(|(task, _)| *task).collect()
    }

    /// Leaves out what an earlier round found.
    fn forget_all_but(&mut self, vouched: &BTreeMap<TaskId, Hash>) {
        self.records.retain(|task, _| vouched.contains_key(task));
        self.deleted.retain(|task, _| vouched.contains_key(task));
    }
}

/// Checks that the entries are those for which the node signs.
fn check(log: &NodeLog) -> anyhow::Result<()> {
    log.check_chain().map_err(|broken| match broken {
        Broken::Entry(at) => anyhow::anyhow!(
            "entry {at} of the log does not follow from the one before; run `audit verify`, and restore the journal from a backup"
        ),
        Broken::Head => anyhow::anyhow!(
            "the entries are not those that the node signed; run `audit verify`, and export again"
        ),
    })
}

/// The tasks of the time, with the hash of the record for which the last entry about each vouches.
fn vouched(log: &NodeLog) -> BTreeMap<TaskId, Hash> {
    let (from, to) = log.time;
    let of_time = |entry: &&AuditEntry| (from..to).contains(&entry.time);
    let about = |entry: &AuditEntry| entry.record.and(entry.task);
    let tasks: BTreeSet<TaskId> = log
        .entries
        .iter()
        .filter(of_time)
        .filter_map(about)
        .collect();
    let last = log
        .entries
        .iter()
        .filter_map(|entry| entry.task.zip(entry.record));
    last.filter(|(task, _)| tasks.contains(task)).collect()
}

/// The running node.
struct Source<'a> {
    dir: &'a Path,
}

impl Source<'_> {
    fn entries(&self, head: &SignedHead) -> anyhow::Result<Vec<AuditEntry>> {
        let mut entries = Vec::new();
        let mut from = head.first;
        while from < head.entries {
            let limit = ENTRIES.min(head.entries - from);
            let question = Question::Audit {
                from: Some(from),
                limit,
            };
            let Answer::Audit(more) = self.ask(&question)? else {
                return unexpected();
            };
            if more.is_empty() {
                return unexpected();
            }
            from += more.len() as u64;
            entries.extend(more);
        }
        Ok(entries)
    }

    fn records(&self, tasks: &[TaskId], kept: &mut Kept) -> anyhow::Result<()> {
        let mut rest = tasks;
        while !rest.is_empty() {
            let some = &rest[..rest.len().min(AT_ONCE)];
            let Answer::AuditRecords(more) = self.ask(&Question::AuditRecords(some.to_vec()))?
            else {
                return unexpected();
            };
            if more.is_empty() || more.len() > some.len() {
                return unexpected();
            }
            rest = &rest[more.len()..];
            for one in more {
                match one {
                    Exported::Whole(record) => {
                        kept.deleted.remove(&record.task);
                        kept.records.insert(record.task, *record);
                    }
                    Exported::Deleted(one) => {
                        kept.records.remove(&one.task);
                        kept.deleted.insert(one.task, one);
                    }
                    Exported::Unknown(task) => bail!(
                        "the log is about task {task}, of which nothing is left; run `audit verify`, and restore the journal from a backup"
                    ),
                }
            }
        }
        Ok(())
    }

    fn policies(&self, digests: Vec<Hash>) -> anyhow::Result<Vec<Policy>> {
        let mut policies = Vec::new();
        for some in digests.chunks(AT_ONCE) {
            match self.ask(&Question::AuditPolicies(some.to_vec()))? {
                Answer::AuditPolicies(more) => policies.extend(more),
                _ => return unexpected(),
            }
        }
        Ok(policies)
    }

    fn checkpoints(&self) -> anyhow::Result<Vec<Checkpoint>> {
        match self.ask(&Question::AuditCheckpoints)? {
            Answer::AuditCheckpoints(checkpoints) => Ok(checkpoints),
            _ => unexpected(),
        }
    }

    fn sign(&self, from: UnixMillis, to: UnixMillis) -> anyhow::Result<SignedHead> {
        match self.ask(&Question::SignAudit { from, to })? {
            Answer::SignedAudit(head) => Ok(head),
            _ => unexpected(),
        }
    }

    fn ask(&self, question: &Question) -> anyhow::Result<Answer> {
        let answer = admin::ask_running(self.dir, question)?;
        answer.context("no node is running here; start it, for it signs what is exported")
    }
}

fn unexpected<T>() -> anyhow::Result<T> {
    bail!("unexpected answer from the node; use the program of its version")
}
