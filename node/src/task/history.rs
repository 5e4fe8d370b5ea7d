//! The reshares that a node has taken part in, read from its journal.

use std::collections::BTreeMap;

use countersign_protocol::{KeyId, Outcome, Stored, TaskId, UnixMillis};
use countersign_store::{Journal, PreparedReshare, ReadJournalError, ReshareStage, Row, State};

use super::succession::{Standing, Step};

/// Returns the reshares of a key that this node has prepared, each with its standing.
pub fn steps(journal: &Journal, key: KeyId) -> Result<Vec<(Step, Standing)>, ReadJournalError> {
    let known = journal.prepared_reshares_of(&key)?;
    Ok(known
        .iter()
        .map(|known| (Step::of(known), Standing::of(known.stage)))
        .collect())
}

/// Returns when this node started each reshare of a key. Earlier versions recorded only
/// those that they prepared.
pub fn started_at(
    journal: &Journal,
    key: KeyId,
) -> Result<BTreeMap<TaskId, UnixMillis>, ReadJournalError> {
    let stored = journal
        .prepared_reshares_of(&key)?
        .into_iter()
        .map(|known| (known.task, known.opened));
    Ok(stored.chain(journal.started_reshares(&key)?).collect())
}

/// True of a reshare that is over here and was never acknowledged. It never will be,
/// since nothing is resumed.
pub fn never_stored(journal: &Journal, row: &Row) -> Result<bool, ReadJournalError> {
    let over = matches!(&row.state, State::Ended { outcome, .. } if !matches!(**outcome, Outcome::Reshared(_)));
    let votes = row.kind.stored() == Stored::NextGeneration;
    Ok(votes && over && journal.prepared(&row.task)?.is_none())
}

/// Returns the reshares in doubt, which wait for other parties.
pub fn waiting(journal: &Journal) -> Result<Vec<PreparedReshare>, ReadJournalError> {
    journal.prepared_reshares_at(ReshareStage::InDoubt)
}

#[cfg(test)]
mod tests {
    use countersign_protocol::{Failure, FailureCode, OperationKind};
    use countersign_store::Silent;

    use super::*;
    use crate::task::fixtures::{NOW, decided, empty_journal, generation, key, nodes};

    fn approve(journal: &Journal, task: u8, kind: OperationKind) {
        let row = decided(TaskId([task; 16]), kind, nodes(&[1, 2]));
        journal.approve(NOW, row, Vec::new()).unwrap();
    }

    fn fail(journal: &Journal, task: u8) {
        let failure = Failure::new(FailureCode::Cancelled, "t");
        let task = TaskId([task; 16]);
        journal.end(NOW, task, Outcome::Failed(failure)).unwrap();
    }

    fn prepare(journal: &Journal, task: u8, opened: u64) {
        let mut descriptor = generation(1, &[1, 2]);
        descriptor.task = TaskId([task; 16]);
        let prepared = PreparedReshare {
            task: descriptor.task,
            descriptor,
            joins: true,
            opened: UnixMillis(opened),
            stage: ReshareStage::InDoubt,
            created: UnixMillis(900),
        };
        journal.prepare_reshare(prepared).unwrap();
    }

    fn may_vote(journal: &Journal, task: u8) -> bool {
        let row = journal.row(&TaskId([task; 16])).unwrap().unwrap();
        never_stored(journal, &row).unwrap()
    }

    #[test]
    fn a_node_votes_to_abort_only_once_its_part_is_over() {
        let (_dir, journal) = empty_journal();
        approve(&journal, 1, OperationKind::KeyReshare);
        assert!(!may_vote(&journal, 1), "it may store yet");
        fail(&journal, 1);
        assert!(may_vote(&journal, 1));
    }

    #[test]
    fn a_refused_reshare_was_never_stored() {
        let (_dir, journal) = empty_journal();
        let row = decided(TaskId([1; 16]), OperationKind::KeyReshare, nodes(&[1, 2]));
        journal
            .refuse(NOW, row, crate::task::telling::busy())
            .unwrap();
        assert!(may_vote(&journal, 1));
    }

    #[test]
    fn only_a_reshare_is_voted_on() {
        let (_dir, journal) = empty_journal();
        for (task, kind) in [(1, OperationKind::KeySign), (2, OperationKind::KeyGen)] {
            approve(&journal, task, kind);
            fail(&journal, task);
            assert!(!may_vote(&journal, task), "{kind:?}");
        }
    }

    #[test]
    fn what_was_prepared_counts_as_started_and_only_once() {
        let (_dir, journal) = empty_journal();
        approve(&journal, 1, OperationKind::KeyReshare);
        let started = |task, at| {
            let task = TaskId([task; 16]);
            journal
                .start_reshare(key(), task, UnixMillis(at), UnixMillis(0))
                .unwrap();
        };
        started(1, 50);
        started(2, 60);
        prepare(&journal, 1, 70);
        let found = started_at(&journal, key()).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[&TaskId([1; 16])], UnixMillis(50), "when it started");
        assert_eq!(found[&TaskId([2; 16])], UnixMillis(60));
    }

    #[test]
    fn only_reshares_in_doubt_wait_and_all_are_remembered() {
        let (_dir, journal) = empty_journal();
        approve(&journal, 1, OperationKind::KeyReshare);
        prepare(&journal, 1, 70);
        assert_eq!(waiting(&journal).unwrap().len(), 1);
        let failure = Failure::new(FailureCode::ReshareAborted, "t");
        journal
            .finish_reshare(NOW, TaskId([1; 16]), ReshareStage::Aborted, failure)
            .unwrap();
        assert_eq!(waiting(&journal).unwrap(), []);
        let known = steps(&journal, key()).unwrap();
        assert_eq!(known.len(), 1);
        assert_eq!(known[0].1, Standing::Aborted);
    }
}
