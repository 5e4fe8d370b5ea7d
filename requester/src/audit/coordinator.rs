//! The coordinator's log: a chain of acts that it has signed, and tasks that prove themselves.

use std::collections::BTreeSet;

use countersign_audit::{Act, ActLink, ActsHead, Bundle, CoordinatorLog};
use countersign_protocol::Hash;
use countersign_protocol::text::clean;

use super::finding::{Missing, Proven, Report, Span, Subject, Wrong};
use super::task::Tasks;
use super::{Time, Trust};

const COORDINATOR: Subject = Subject::Coordinator;
/// The act by which a task is accepted. Its target is the task's id.
const SUBMIT: &str = "task.submit";

pub(super) fn verify<'a>(
    bundle: &'a Bundle,
    time: Time,
    trust: &Trust<'_>,
    report: &mut Report,
    tasks: &mut Tasks<'a>,
) {
    let Some(log) = &bundle.coordinator else {
        return report.missing(COORDINATOR, Missing::Coordinator);
    };
    for told in &log.tasks {
        tasks.told(told, time, report);
    }
    let (from, to) = bundle.time;
    if from > time.0 || to < time.1 {
        report.missing(COORDINATOR, Missing::Collected { from, to });
    }
    match trust.coordinator {
        None => report.missing(COORDINATOR, Missing::CoordinatorId),
        Some(id) if id != log.coordinator => {
            report.wrong(COORDINATOR, Wrong::CoordinatorId(log.coordinator));
        }
        Some(_) => acts(log, time, report, tasks),
    }
}

fn acts(log: &CoordinatorLog, (from, to): Time, report: &mut Report, tasks: &mut Tasks<'_>) {
    // The head stands for what is chained to it. An act without a link, and whatever is before it,
    // is not.
    let unlinked = log.acts.iter().rposition(|act| act.link.is_none());
    let number = unlinked.map_or(0, |last| last + 1);
    if number > 0 {
        report.missing(COORDINATOR, Missing::Unlinked { number });
    }
    let linked = &log.acts[number..];
    let span = match chain(linked) {
        Ok(span) => span,
        Err(number) => return report.wrong(COORDINATOR, Wrong::Act { number }),
    };
    let Some(head) = log.head else {
        return report.missing(COORDINATOR, Missing::ActsHead);
    };
    if head.coordinator != log.coordinator || !head.verifies() || !is_end(&head, span, &log.acts) {
        return report.wrong(COORDINATOR, Wrong::ActsHead);
    }
    if let Some(first) = span.map(|span| span.first)
        && first > 1
        && linked.first().is_some_and(|act| act.at >= from)
    {
        report.missing(COORDINATOR, Missing::ActsBegin { first });
    }
    if head.at < to {
        report.missing(COORDINATOR, Missing::End { at: head.at });
    }
    if span.is_some() || log.acts.is_empty() {
        let at = head.at;
        report.proven(COORDINATOR, Proven::Acts { span, at });
    }
    let of_time = linked.iter().filter(|act| (from..to).contains(&act.at));
    let submitted: BTreeSet<&str> = of_time
        .filter(|act| act.action == SUBMIT)
        .map(|act| act.target.as_str())
        .collect();
    for target in submitted {
        if !tasks.submitted(target) {
            let task = clean(target);
            report.missing(COORDINATOR, Missing::Task { task });
        }
    }
}

/// The acts from the first to the last; absent if there are none. An error is the number of the
/// first act that does not follow from the one before. All have a link.
fn chain(acts: &[Act]) -> Result<Option<Span>, u64> {
    let zero = Hash([0; 32]);
    let mut span: Option<Span> = None;
    let links = acts.iter().filter_map(|act| Some((act, act.link?)));
    for (act, link) in links {
        let ActLink {
            number,
            previous,
            hash,
        } = link;
        let (follows, first) = match span {
            None => (number > 1 || previous == zero, (number, previous)),
            Some(before) => (
                before.last.checked_add(1) == Some(number) && previous == before.hash,
                (before.first, before.previous),
            ),
        };
        if !follows || !act.is_whole() {
            return Err(number);
        }
        span = Some(Span {
            first: first.0,
            last: number,
            previous: first.1,
            hash,
        });
    }
    Ok(span)
}

/// True if the head is that of the last act. One that has no link has no hash.
fn is_end(head: &ActsHead, span: Option<Span>, acts: &[Act]) -> bool {
    match span {
        Some(span) => (head.number, head.hash) == (span.last, span.hash),
        None => head.hash == Hash([0; 32]) && (head.number > 0) != acts.is_empty(),
    }
}
