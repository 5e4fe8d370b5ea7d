//! The coordinator's log: a chain of acts that it has signed, and tasks that prove themselves.

use countersign_audit::{Act, ActLink, ActsHead, Bundle, CoordinatorLog};
use countersign_protocol::{Hash, UnixMillis};

use super::Trust;
use super::finding::{Missing, Proven, Report, Subject, Wrong};
use super::task::Tasks;

const COORDINATOR: Subject = Subject::Coordinator;

pub(super) fn verify<'a>(
    bundle: &'a Bundle,
    trust: &Trust<'_>,
    report: &mut Report,
    tasks: &mut Tasks<'a>,
) {
    let Some(log) = &bundle.coordinator else {
        return report.missing(COORDINATOR, Missing::Coordinator);
    };
    for told in &log.tasks {
        tasks.told(told, report);
    }
    match trust.coordinator {
        None => report.missing(COORDINATOR, Missing::CoordinatorId),
        Some(id) if id != log.coordinator => {
            report.wrong(COORDINATOR, Wrong::CoordinatorId(log.coordinator));
        }
        Some(_) => acts(log, bundle.time, report),
    }
}

fn acts(log: &CoordinatorLog, (from, to): (UnixMillis, UnixMillis), report: &mut Report) {
    let unlinked = log.acts.iter().take_while(|act| act.link.is_none()).count();
    let linked = &log.acts[unlinked..];
    if unlinked > 0 {
        report.missing(COORDINATOR, Missing::Unlinked { number: unlinked });
    }
    let last = match chain(linked) {
        Ok(last) => last,
        Err(number) => return report.wrong(COORDINATOR, Wrong::Act { number }),
    };
    let Some(head) = log.head else {
        return report.missing(COORDINATOR, Missing::ActsHead);
    };
    if head.coordinator != log.coordinator || !head.verifies() || !is_end(&head, last, unlinked) {
        return report.wrong(COORDINATOR, Wrong::ActsHead);
    }
    if let Some((act, link)) = log
        .acts
        .first()
        .and_then(|act| act.link.map(|link| (act, link)))
        && link.number > 1
        && act.at >= from
    {
        report.missing(COORDINATOR, Missing::Begin { first: link.number });
    }
    if head.at < to {
        report.missing(COORDINATOR, Missing::End { at: head.at });
    }
    report.proven(
        COORDINATOR,
        Proven::Acts {
            number: linked.len(),
            at: head.at,
        },
    );
}

/// The last link, or the number of the first act that does not follow.
fn chain(acts: &[Act]) -> Result<Option<ActLink>, u64> {
    let mut last: Option<ActLink> = None;
    for act in acts {
        let next = last.map_or(0, |last| last.number + 1);
        let link = act.link.ok_or(next)?;
        let follows =
            last.is_none_or(|last| link.number == last.number + 1 && link.previous == last.hash);
        let begins = link.number != 1 || link.previous == Hash([0; 32]);
        if !follows || !begins || !act.is_whole() {
            return Err(link.number);
        }
        last = Some(link);
    }
    Ok(last)
}

/// True if the head is that of the last act. A chain that has not begun has a head without a hash.
fn is_end(head: &ActsHead, last: Option<ActLink>, unlinked: usize) -> bool {
    match last {
        Some(last) => (head.number, head.hash) == (last.number, last.hash),
        None => head.hash == Hash([0; 32]) && (unlinked > 0 || head.number == 0),
    }
}
