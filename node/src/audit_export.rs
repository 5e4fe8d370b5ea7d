//! What the node signs for auditors. It signs what its own journal says, and nothing that it is
//! handed.

use countersign_audit::{AuditHead, Deleted, Policy, Record, SignedHead, Vouched};
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
    /// It was deleted for its age.
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
        Kept::Deleted(rest) => Exported::Deleted(rest),
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

/// The head of the log after `entries` of its entries; absent if it has fewer.
pub fn sign(
    journal: &Journal,
    entries: u64,
    at: UnixMillis,
    own: &NodeKey,
) -> Result<Option<SignedHead>, ReadJournalError> {
    let log = journal.audit_entries()?;
    let head = match entries.checked_sub(1) {
        None => Some(AuditHead::EMPTY),
        Some(last) => journal.audit(last, 1)?.first().map(|entry| entry.head()),
    };
    Ok(head.map(|head| SignedHead::sign(own.id(), head, log, at, own)))
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
    use countersign_protocol::OperationKind;
    use countersign_store::{Decided, Evidence, Silent};

    use super::*;
    use crate::task::fixtures::{NOW, decided, empty_journal, nodes};

    fn own() -> NodeKey {
        NodeKey::new(Arc::new(Identity::from_seed(&[1; 32]).unwrap())).unwrap()
    }

    #[test]
    fn the_node_signs_the_log_as_it_is() {
        let (_dir, journal) = empty_journal();
        journal.alarm(NOW, None, "one").unwrap();
        journal.alarm(NOW, None, "two").unwrap();
        for entries in 1..=2 {
            let head = sign(&journal, entries, NOW, &own()).unwrap().unwrap();
            let last = journal.audit(entries - 1, 1).unwrap().remove(0);
            assert!(head.verifies());
            assert_eq!((head.entries, head.log), (entries, 2));
            assert_eq!(head.hash, last.hash);
        }
        assert_eq!(sign(&journal, 3, NOW, &own()).unwrap(), None);
        let none = sign(&journal, 0, NOW, &own()).unwrap().unwrap();
        assert_eq!((none.entries, none.hash), (0, Hash([0; 32])));
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
