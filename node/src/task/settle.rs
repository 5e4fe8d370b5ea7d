//! Tasks in doubt: a new key or generation whose share is stored, from then until the last
//! confirmation arrives. Such a task has no end until then.

use countersign_protocol::control::Held;
use countersign_protocol::{KeyDescriptor, KeyId, NodeId, Stored, TaskId};
use countersign_store::{Journal, KeyStatus, ReadJournalError};

use super::history;

/// Returns the KeyGens and KeyReshares that this node has stored for and whose last confirmations
/// it has not seen.
pub fn waiting(journal: &Journal) -> Result<Vec<TaskId>, ReadJournalError> {
    let keygens = journal.pending_keys()?.into_iter().map(|(_, task)| task);
    let reshares = history::waiting(journal)?
        .into_iter()
        .map(|prepared| prepared.task);
    Ok(keygens.chain(reshares).collect())
}

/// Returns the generations, of new keys and of reshares, that this node has stored for and whose
/// last acknowledgements it has not seen, each with the nodes that may have them.
pub fn lacking(journal: &Journal) -> Result<Vec<(Held, Vec<NodeId>)>, ReadJournalError> {
    let mut lacking = Vec::new();
    for task in journal.unfinished()? {
        let Some(row) = journal
            .row(&task)?
            .filter(|row| row.kind.stored() == Stored::NewKey)
        else {
            continue;
        };
        let key = KeyId::of_task(&row.hash);
        if journal
            .key(&key)?
            .is_some_and(|record| record.status == KeyStatus::Pending)
        {
            lacking.push((Held { key, generation: 0 }, row.parties));
        }
    }
    for open in history::waiting(journal)? {
        let KeyDescriptor {
            key,
            generation,
            parties,
            ..
        } = open.descriptor;
        lacking.push((Held { key, generation }, parties));
    }
    Ok(lacking)
}

#[cfg(test)]
#[path = "settle_tests.rs"]
mod tests;
