//! A node's log: an unbroken chain up to a head that the node signed, and what the chain vouches
//! for.

use std::collections::{BTreeMap, BTreeSet};

use countersign_audit::{
    AuditEntry, AuditKind, Broken, Checkpoint, Deleted, NodeLog, Record, Row, pruned_hash,
    record_hash,
};
use countersign_protocol::text::clean;
use countersign_protocol::{Hash, SignedTask, TaskId, UnixMillis};
use sha2::{Digest, Sha256};

use super::finding::{Missing, Proven, Report, Span, Subject, Wrong};
use super::task::{Absent, Tasks};
use super::{Time, Trust};

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
    tasks.verified(log.node);
    report.proven(subject, extent(log));
    lacks(log, time).for_each(|missing| report.missing(subject, missing));
    happened(log, time, report);
    let before = checkpoints(log, time, report);
    let vouched = vouched(&log.entries, time);
    let deciding = records(log, &vouched, report, tasks);
    policies(log, deciding, report);
    absences(log, &vouched, before, report, tasks);
}

/// Checks that the node has signed the head, and that the entries are those for which it stands.
fn chain(log: &NodeLog) -> Result<(), Wrong> {
    let head = &log.head;
    if head.node != log.node || !head.verifies() {
        return Err(Wrong::HeadSignature);
    }
    if (head.from, head.to) != log.time {
        return Err(Wrong::Head);
    }
    log.check_chain().map_err(|broken| match broken {
        Broken::Entry(at) => Wrong::Chain { at },
        Broken::Head => Wrong::Head,
    })
}

fn extent(log: &NodeLog) -> Proven {
    let at = log.head.at;
    match (log.entries.first(), log.entries.last()) {
        (Some(first), Some(last)) => {
            let span = Span {
                first: first.seq,
                last: last.seq,
                previous: first.previous,
                hash: last.hash,
            };
            Proven::Chain { span, at }
        }
        (None, _) | (_, None) => Proven::EmptyLog { at },
    }
}

/// The ends of the time for which the head does not stand.
fn lacks(log: &NodeLog, (from, to): Time) -> impl Iterator<Item = Missing> {
    let head = &log.head;
    let begin = (head.from > from).then_some(Missing::Begin { from: head.from });
    // What was signed within the time says nothing of the rest.
    let until = head.to.min(head.at);
    let end = (until < to).then_some(Missing::End { at: until });
    begin.into_iter().chain(end)
}

/// Tells what an operator has to look at: changes of the rules, alarms, and destruction.
fn happened(log: &NodeLog, (from, to): Time, report: &mut Report) {
    let subject = Subject::Node(log.node);
    let of_time = log
        .entries
        .iter()
        .filter(|entry| (from..to).contains(&entry.time));
    for entry in of_time {
        let kind = entry.kind;
        if matches!(
            kind,
            AuditKind::Policy | AuditKind::Alarm | AuditKind::Destroyed | AuditKind::Pruned
        ) {
            let text = clean(&entry.text);
            let at = entry.time;
            report.proven(subject, Proven::Entry { at, kind, text });
        }
    }
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

/// Passes on the records for which the entries vouch. Returns the digests of the configurations
/// that decided.
fn records<'a>(
    log: &'a NodeLog,
    vouched: &BTreeMap<TaskId, Vouched<'_>>,
    report: &mut Report,
    tasks: &mut Tasks<'a>,
) -> BTreeSet<Hash> {
    let mut deciding = BTreeSet::new();
    for record in &log.records {
        let task = record.task;
        let Some(known) = vouched.get(&task) else {
            report.wrong(Subject::Node(log.node), Wrong::Unlogged { task });
            continue;
        };
        match read(log, record, known) {
            Ok(row) => {
                deciding.extend(row.policies());
                tasks.seen(log.node, record, row, known.of_time);
            }
            Err(wrong) => {
                report.wrong(Subject::Node(log.node), wrong);
                let absent = Absent {
                    node: log.node,
                    hash: None,
                    why: None,
                };
                tasks.absent(task, absent, known.of_time);
            }
        }
    }
    deciding
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

/// Finds out why records are not there for which the entries vouch. Whether a task is of the time
/// can show at another node, so it is reported later.
fn absences(
    log: &NodeLog,
    vouched: &BTreeMap<TaskId, Vouched<'_>>,
    before: Option<UnixMillis>,
    report: &mut Report,
    tasks: &mut Tasks<'_>,
) {
    let recorded: BTreeSet<TaskId> = log.records.iter().map(|one| one.task).collect();
    let deleted: BTreeMap<TaskId, &Deleted> =
        log.deleted.iter().map(|one| (one.task, one)).collect();
    for task in deleted.keys().filter(|task| !vouched.contains_key(*task)) {
        let task = *task;
        report.wrong(Subject::Node(log.node), Wrong::Unlogged { task });
    }
    let lacking = vouched.iter().filter(|(task, _)| !recorded.contains(*task));
    for (task, known) in lacking {
        let rest = deleted.get(task).copied();
        let absent = Absent {
            node: log.node,
            hash: rest.map(|rest| rest.hash),
            why: Some(absence(log, *task, known, rest, before)),
        };
        tasks.absent(*task, absent, known.of_time);
    }
}

/// Why the record of a task is not there. `before`: the latest time up to which the node states
/// that it has deleted records.
fn absence(
    log: &NodeLog,
    task: TaskId,
    vouched: &Vouched<'_>,
    deleted: Option<&Deleted>,
    before: Option<UnixMillis>,
) -> Result<Missing, Wrong> {
    let entry = vouched.last.seq;
    let Some(deleted) = deleted else {
        return Ok(Missing::Record { task, entry });
    };
    if deleted.record != vouched.record {
        return Err(Wrong::Record { task, entry });
    }
    if !deleted.verifies(&log.node) {
        return Err(Wrong::RecordSignature { task });
    }
    match before {
        None => Ok(Missing::DeletedUnsigned { task }),
        // The first entry is written as the task arrives, or later.
        Some(before) if vouched.first.time >= before => Err(Wrong::NotOld { task }),
        Some(_) => Ok(Missing::Deleted { task }),
    }
}

/// Checks what the node states of its deletions, against its log where the two meet. Returns the
/// latest time up to which it states that it has deleted. What is behind a statement that is none
/// of the node's is not looked at.
fn checkpoints(log: &NodeLog, (from, to): Time, report: &mut Report) -> Option<UnixMillis> {
    let subject = Subject::Node(log.node);
    let mut latest = None;
    for one in &log.checkpoints {
        if one.node != log.node || !one.verifies() {
            report.wrong(subject, Wrong::CheckpointSignature);
            return latest;
        }
        if !meets(log, one) {
            let at = one.entries.saturating_sub(1);
            report.wrong(subject, Wrong::Checkpoint { at });
            return latest;
        }
        let records = one.records;
        let before = one.before;
        report.proven(subject, Proven::Checkpoint { records, before });
        latest = latest.max(Some(before));
    }
    let newest = log
        .entries
        .iter()
        .rfind(|entry| entry.kind == AuditKind::Pruned && (from..to).contains(&entry.time));
    let signed = log.checkpoints.iter().map(|one| one.entries).max();
    if let Some(entry) = newest
        && signed < Some(entry.head().entries)
    {
        report.missing(subject, Missing::Checkpoint { entry: entry.seq });
    }
    latest
}

/// True if the entry at which the checkpoint stands tells of this deletion, or is not in the file.
fn meets(log: &NodeLog, checkpoint: &Checkpoint) -> bool {
    let first = log.head.first;
    let place = checkpoint.entries.checked_sub(1);
    let place = place.and_then(|place| place.checked_sub(first));
    let place = place.and_then(|place| usize::try_from(place).ok());
    let entry = place.and_then(|place| log.entries.get(place));
    entry.is_none_or(|entry| {
        entry.hash == checkpoint.hash
            && entry.kind == AuditKind::Pruned
            && entry.record == Some(pruned_hash(checkpoint.before))
    })
}

/// Checks that each configuration has its digest, and that none is missing that decided.
fn policies(log: &NodeLog, mut wanted: BTreeSet<Hash>, report: &mut Report) {
    let subject = Subject::Node(log.node);
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
