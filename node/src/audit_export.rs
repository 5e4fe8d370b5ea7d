//! What the node signs for auditors. It signs what its own journal says, and nothing that it is
//! handed.

use countersign_audit::{Deleted, Policy, Record, SignedHead, Vouched};
use countersign_host::Recording;
use countersign_protocol::{Hash, TaskId, UnixMillis, Vote};
use countersign_store::{Journal, Kept, KeptRecord, ReadJournalError, Row};
use serde::{Deserialize, Serialize};

use crate::node_key::NodeKey;

/// The most configurations of one answer. Each may have some hundred kilobytes.
const POLICIES: usize = 64;

/// A record for an auditor, or what is left of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exported {
    /// All of it, signed by this node.
    Whole(Box<Record>),
    /// What is left of it, for it was deleted for its age; signed by this node.
    Deleted(Deleted),
    /// The id is not known.
    Unknown(TaskId),
}

/// The records of these tasks, as many of the first as fit into an answer.
pub fn records(
    journal: &Journal,
    tasks: &[TaskId],
    own: &NodeKey,
) -> Result<Vec<Exported>, ReadJournalError> {
    let kept = journal.kept_records(tasks)?.into_iter();
    let export = |kept| match kept {
        Kept::Whole(record) => Exported::Whole(Box::new(signed(*record, own))),
        Kept::Deleted { task, hash, record } => {
            Exported::Deleted(Deleted::sign(&own.id(), task, (hash, record), own))
        }
        Kept::Unknown(task) => Exported::Unknown(task),
    };
    Ok(kept.map(export).collect())
}

/// The first configurations with these digests, without those that are not kept.
pub fn policies(journal: &Journal, digests: &[Hash]) -> Result<Vec<Policy>, ReadJournalError> {
    let mut policies = Vec::new();
    for digest in digests.iter().take(POLICIES) {
        let kept = journal.configuration(digest)?;
        policies.extend(kept.map(|kept| Policy {
            digest: kept.digest,
            document: Some(kept.document.to_string()),
        }));
    }
    Ok(policies)
}

/// What the log has of a time. The node finds it itself: times in the log need not ascend, so
/// whoever asks could otherwise have a part signed as the whole.
pub fn sign(
    journal: &Journal,
    (from, to): (UnixMillis, UnixMillis),
    at: UnixMillis,
    own: &NodeKey,
) -> Result<SignedHead, ReadJournalError> {
    let extent = journal.audit_extent(from, to)?;
    Ok(SignedHead::sign(own.id(), extent, at, own))
}

fn signed(record: KeptRecord, own: &NodeKey) -> Record {
    let KeptRecord {
        task,
        row,
        order,
        recording,
    } = record;
    let votes = recording.and_then(|recording| votes(&row, &recording));
    let beside = Vouched { order, votes };
    Record::sign(&own.id(), task, row, beside, own)
}

/// The votes that the plugins were given. Absent if the recording does not tell: it was written by
/// a later version, or was cut.
fn votes(row: &[u8], recording: &[u8]) -> Option<Vec<Vote>> {
    let bytes = Row::read(row).ok()?.bytes;
    let question = Recording::decode(recording, bytes).ok()?.question?;
    let told = question.extra.iter().find(|one| one.name == Vote::CLAIM);
    match told {
        Some(told) => serde_json::from_str(&told.value).ok(),
        None => Some(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use countersign_link::Identity;
    use countersign_protocol::{OperationKind, Refusal, RefusalCode};
    use countersign_store::{Decided, Evidence, Silent};

    use super::*;
    use crate::task::fixtures::{NOW, decided, empty_journal, nodes};

    fn own() -> NodeKey {
        NodeKey::new(Arc::new(Identity::from_seed(&[1; 32]).unwrap())).unwrap()
    }

    #[test]
    fn the_node_signs_what_its_log_has_of_a_time() {
        let (_dir, journal) = empty_journal();
        let time = |from, to| (UnixMillis(from), UnixMillis(to));
        let none = sign(&journal, time(0, u64::MAX), NOW, &own()).unwrap();
        assert!(none.verifies());
        let empty = (none.first, none.entries, none.hash, none.log);
        assert_eq!(empty, (0, 0, Hash([0; 32]), 0));
        for at in [10, 30, 20, 40] {
            journal.alarm(UnixMillis(at), None, "t").unwrap();
        }
        // The clock was set back: the whole of 20 to 31 is the second and the third entry.
        for (from, to, first, entries) in [(20, 31, 0, 4), (50, 60, 3, 4), (0, 5, 0, 1)] {
            let head = sign(&journal, time(from, to), NOW, &own()).unwrap();
            assert!(head.verifies());
            assert_eq!((head.from, head.to), time(from, to));
            assert_eq!((head.first, head.entries, head.log), (first, entries, 4));
            let last = journal.audit(entries - 1, 1).unwrap().remove(0);
            assert_eq!(
                head.hash, last.hash,
                "a log that is not empty is not signed as empty"
            );
        }
    }

    #[test]
    fn the_rest_of_a_deleted_record_is_signed() {
        let (_dir, journal) = empty_journal();
        let task = TaskId([1; 16]);
        let decided = decided(task, OperationKind::KeySign, nodes(&[1, 2]));
        let hash = decided.hash;
        let refusal = Refusal {
            code: RefusalCode::TaskExpired,
            reason: "t".into(),
            plugin: None,
        };
        journal.refuse(NOW, decided, refusal).unwrap();
        let later = UnixMillis(NOW.0 + 1);
        journal.prune(later, later, 0).unwrap();
        let exported = records(&journal, &[task], &own()).unwrap();
        let [Exported::Deleted(rest)] = exported.as_slice() else {
            panic!("{exported:?}")
        };
        assert!(rest.verifies(&own().id()));
        assert_eq!((rest.task, rest.hash), (task, hash));
    }

    #[test]
    fn a_record_is_exported_with_the_requesters_signature() {
        let (_dir, journal) = empty_journal();
        let task = TaskId([1; 16]);
        let order = Some(countersign_protocol::OrderProof::from([7; 64]));
        let decided = Decided {
            evidence: Evidence {
                order: order.clone(),
                ..Evidence::default()
            },
            ..decided(task, OperationKind::KeySign, nodes(&[1, 2]))
        };
        journal.approve(NOW, decided, Vec::new()).unwrap();
        let unknown = TaskId([2; 16]);
        let exported = records(&journal, &[task, unknown], &own()).unwrap();
        let [Exported::Whole(record), Exported::Unknown(of)] = exported.as_slice() else {
            panic!("{exported:?}")
        };
        assert_eq!(*of, unknown);
        assert!(record.verifies(&own().id()));
        assert_eq!(record.beside, Vouched { order, votes: None });
        assert_eq!(Row::read(&record.row).unwrap().task, task);
        let entry = journal.audit(0, 1).unwrap().remove(0);
        assert_eq!(
            entry.record,
            Some(countersign_audit::record_hash(&record.row))
        );
    }
}
