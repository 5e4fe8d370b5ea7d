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
    let number = log.acts.iter().filter(|act| act.link.is_none()).count();
    if number > 0 {
        report.missing(COORDINATOR, Missing::Unlinked { number });
    }
    let last = match chain(&log.acts) {
        Ok(last) => last,
        Err(number) => return report.wrong(COORDINATOR, Wrong::Act { number }),
    };
    let Some(head) = log.head else {
        return report.missing(COORDINATOR, Missing::ActsHead);
    };
    if head.coordinator != log.coordinator || !head.verifies() || !is_end(&head, last, &log.acts) {
        return report.wrong(COORDINATOR, Wrong::ActsHead);
    }
    if let Some(act) = log.acts.first()
        && let Some(link) = act.link
        && link.number > 1
        && act.at >= from
    {
        let first = link.number;
        report.missing(COORDINATOR, Missing::Begin { first });
    }
    if head.at < to {
        report.missing(COORDINATOR, Missing::End { at: head.at });
    }
    let number = log.acts.len() - number;
    report.proven(
        COORDINATOR,
        Proven::Acts {
            number,
            at: head.at,
        },
    );
}

/// The link of the last act, or the number of the first act that does not follow from the one
/// before. Behind an act of an earlier program, which has no link, the chain begins anew.
fn chain(acts: &[Act]) -> Result<Option<ActLink>, u64> {
    let zero = Hash([0; 32]);
    let mut before: Option<Option<ActLink>> = None;
    for act in acts {
        if let Some(link) = act.link {
            let follows = match before {
                None => link.number > 1 || link.previous == zero,
                Some(None) => link.previous == zero,
                Some(Some(last)) => {
                    last.number.checked_add(1) == Some(link.number) && link.previous == last.hash
                }
            };
            if !follows || !act.is_whole() {
                return Err(link.number);
            }
        }
        before = Some(act.link);
    }
    Ok(before.flatten())
}

/// True if the head is that of the last act. One that has no link has no hash.
fn is_end(head: &ActsHead, last: Option<ActLink>, acts: &[Act]) -> bool {
    match last {
        Some(last) => (head.number, head.hash) == (last.number, last.hash),
        None => head.hash == Hash([0; 32]) && (head.number > 0) != acts.is_empty(),
    }
}
