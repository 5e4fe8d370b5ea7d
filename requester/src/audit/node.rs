//! A node's log: an unbroken chain up to a head that the node signed, and what the chain vouches
//! for.

use std::collections::{BTreeMap, BTreeSet};

use countersign_audit::{
    AuditEntry, AuditHead, AuditKind, Checkpoint, Deleted, NodeLog, Record, Row, record_hash,
};
use countersign_protocol::{Hash, SignedTask, TaskId, UnixMillis};
use sha2::{Digest, Sha256};

use super::Trust;
use super::finding::{Missing, Proven, Report, Subject, Wrong};
use super::task::Tasks;

/// A time, without its end.
type Time = (UnixMillis, UnixMillis);

/// Verifies a log. Nothing in it counts unless its chain and its head do.
pub(super) fn verify<'a>(
    log: &'a NodeLog,
    time: Time,
    trust: &Trust<'_>,
    report: &mut Report,
    tasks: &mut Tasks<'a>,
) {
    let subject = Subject::Node(log.node);
    if !trust.known.names_node(&log.node) {
        return report.wrong(subject, Wrong::Stranger);
    }
    if let Err(wrong) = chain(log) {
        return report.wrong(subject, wrong);
    }
    report.proven(subject, extent(log));
    lacks(log, time).for_each(|missing| report.missing(subject, missing));
    checkpoints(log, time, report);
    policies(log, report);
    let vouched = vouched(&log.entries, time);
    for record in &log.records {
        let row = vouched
            .get(&record.task)
            .ok_or(Wrong::Unlogged { task: record.task })
            .and_then(|vouched| read(log, record, vouched));
        match row {
            Ok(row) => {
                let of_time = vouched.get(&record.task).is_some_and(|one| one.of_time);
                tasks.seen(log, record, row, of_time);
            }
            Err(wrong) => report.wrong(subject, wrong),
        }
    }
    let recorded: BTreeSet<TaskId> = log.records.iter().map(|one| one.task).collect();
    let of_time = vouched.iter().filter(|(_, vouched)| vouched.of_time);
    for (task, vouched) in of_time.filter(|(task, _)| !recorded.contains(*task)) {
        let deleted = log.deleted.iter().find(|one| one.task == *task);
        match absence(log, *task, vouched, deleted) {
            Ok(missing) => report.missing(subject, missing),
            Err(wrong) => report.wrong(subject, wrong),
        }
    }
}

/// Checks that each entry follows from the one before, and that the last is the signed one.
fn chain(log: &NodeLog) -> Result<(), Wrong> {
    let head = &log.head;
    if head.node != log.node || !head.verifies() {
        return Err(Wrong::HeadSignature);
    }
    let mut so_far = match log.entries.first() {
        None => AuditHead::EMPTY,
        Some(first) if first.seq == 0 => AuditHead::EMPTY,
        Some(first) => AuditHead {
            entries: first.seq,
            hash: first.previous,
        },
    };
    for entry in &log.entries {
        if !entry.follows(so_far) {
            return Err(Wrong::Chain { at: entry.seq });
        }
        so_far = entry.head();
    }
    let is_end = (head.entries, head.hash) == (so_far.entries, so_far.hash);
    if is_end && head.entries <= head.log {
        Ok(())
    } else {
        Err(Wrong::Head)
    }
}

fn extent(log: &NodeLog) -> Proven {
    let at = log.head.at;
    match (log.entries.first(), log.entries.last()) {
        (Some(first), Some(last)) => Proven::Chain {
            first: first.seq,
            last: last.seq,
            at,
        },
        (None, _) | (_, None) => Proven::EmptyLog { at },
    }
}

/// The ends of the time that the entries do not reach.
fn lacks(log: &NodeLog, (from, to): Time) -> impl Iterator<Item = Missing> {
    let begin = log.entries.first().filter(|first| first.seq > 0);
    let begin = begin.filter(|first| first.time >= from);
    let begin = begin.map(|first| Missing::Begin { first: first.seq });
    let beyond = log.entries.iter().any(|entry| entry.time >= to);
    // Nothing follows the last entry up to the time at which the node signed.
    let until_signed = log.head.entries == log.head.log && log.head.at >= to;
    let end = !beyond && !until_signed;
    let end = end.then_some(Missing::End { at: log.head.at });
    begin.into_iter().chain(end)
}

/// The first and the last entry about a task that vouches for its record.
struct Vouched<'a> {
    first: &'a AuditEntry,
    last: &'a AuditEntry,
    record: Hash,
    /// True if one of its entries is of the time.
    of_time: bool,
}

/// What the entries vouch for, those around the time included.
fn vouched(entries: &[AuditEntry], (from, to): Time) -> BTreeMap<TaskId, Vouched<'_>> {
    let mut vouched: BTreeMap<TaskId, Vouched<'_>> = BTreeMap::new();
    for entry in entries {
        let Some((task, record)) = entry.task.zip(entry.record) else {
            continue;
        };
        let known = vouched.get(&task);
        let now = Vouched {
            first: known.map_or(entry, |known| known.first),
            last: entry,
            record,
            of_time: known.is_some_and(|known| known.of_time) || (from..to).contains(&entry.time),
        };
        vouched.insert(task, now);
    }
    vouched
}

/// Reads a record that the log and the node vouch for.
fn read(log: &NodeLog, record: &Record, vouched: &Vouched<'_>) -> Result<Row, Wrong> {
    let task = record.task;
    if record_hash(&record.row) != vouched.record {
        let entry = vouched.last.seq;
        return Err(Wrong::Record { task, entry });
    }
    if !record.verifies(&log.node) {
        return Err(Wrong::RecordSignature { task });
    }
    let row = Row::read(&record.row).map_err(|_| Wrong::Row { task })?;
    if row.task != task || row.hash != SignedTask::hash_of(&row.bytes) {
        return Err(Wrong::OtherBytes { task });
    }
    Ok(row)
}

/// Why the record of a task is not there.
fn absence(
    log: &NodeLog,
    task: TaskId,
    vouched: &Vouched<'_>,
    deleted: Option<&Deleted>,
) -> Result<Missing, Wrong> {
    let entry = vouched.last.seq;
    let Some(deleted) = deleted else {
        return Ok(Missing::Record { task, entry });
    };
    if deleted.record != vouched.record {
        return Err(Wrong::Record { task, entry });
    }
    let Some(newest) = log.checkpoints.iter().rfind(|one| is_signed(log, one)) else {
        return Ok(Missing::DeletedUnsigned { task });
    };
    // The first entry is written as the task arrives, or later.
    if vouched.first.time >= newest.before {
        return Err(Wrong::NotOld { task });
    }
    Ok(Missing::Deleted { task })
}

fn is_signed(log: &NodeLog, checkpoint: &Checkpoint) -> bool {
    checkpoint.node == log.node && checkpoint.verifies()
}

/// Checks what the node states of its deletions, against its log where the two meet.
fn checkpoints(log: &NodeLog, (from, to): Time, report: &mut Report) {
    let subject = Subject::Node(log.node);
    for one in &log.checkpoints {
        if !is_signed(log, one) {
            report.wrong(subject, Wrong::CheckpointSignature);
            continue;
        }
        let entry = log
            .entries
            .iter()
            .find(|entry| entry.head().entries == one.entries);
        let meets =
            entry.is_none_or(|entry| entry.hash == one.hash && entry.kind == AuditKind::Pruned);
        if meets {
            let records = one.records;
            let before = one.before;
            report.proven(subject, Proven::Checkpoint { records, before });
        } else {
            let at = one.entries.saturating_sub(1);
            report.wrong(subject, Wrong::Checkpoint { at });
        }
    }
    let newest = log
        .entries
        .iter()
        .rfind(|entry| entry.kind == AuditKind::Pruned && (from..to).contains(&entry.time));
    if let Some(entry) = newest
        && log
            .checkpoints
            .iter()
            .all(|one| one.entries < entry.head().entries)
    {
        report.missing(subject, Missing::Checkpoint { entry: entry.seq });
    }
}

/// Checks that each configuration has its digest, and that none is missing that decided.
fn policies(log: &NodeLog, report: &mut Report) {
    let subject = Subject::Node(log.node);
    let rows = log
        .records
        .iter()
        .filter_map(|one| Row::read(&one.row).ok());
    let mut wanted: BTreeSet<Hash> = rows.flat_map(|row| row.policies()).collect();
    let mut number = 0;
    for policy in &log.policies {
        let Some(document) = &policy.document else {
            continue;
        };
        if Hash(Sha256::digest(document.as_bytes()).into()) == policy.digest {
            number += usize::from(wanted.remove(&policy.digest));
        } else {
            wanted.remove(&policy.digest);
            let digest = policy.digest;
            report.wrong(subject, Wrong::Policy { digest });
        }
    }
    for digest in wanted {
        report.missing(subject, Missing::Policy { digest });
    }
    if number > 0 {
        report.proven(subject, Proven::Policies { number });
    }
}
