//! The reshares that a node has taken part in, read from its journal.

use std::collections::BTreeMap;

use countersign_protocol::{KeyId, Outcome, TaskId, UnixMillis};
use countersign_store::{
    Journal, OperationKind, PreparedReshare, ReadJournalError, ReshareStage, Row, State,
};

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
    Ok(row.kind == OperationKind::KeyReshare && over && journal.prepared(&row.task)?.is_none())
}

/// Returns the reshares in doubt, which wait for other parties.
pub fn waiting(journal: &Journal) -> Result<Vec<PreparedReshare>, ReadJournalError> {
    journal.prepared_reshares_at(ReshareStage::InDoubt)
}
