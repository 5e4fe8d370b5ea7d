//! Tasks as the API shows them.

use countersign_api::{OutcomeView, PartyView, TaskView};
use countersign_protocol::TaskId;

use super::error::ApiError;
use crate::api_key::Caller;
use crate::registry::TaskRegistry;
use crate::store::StoreError;
use crate::task::record::{Party, Report, Subject, TaskRecord};

/// What a stored task is about.
pub fn subject(record: &TaskRecord) -> Result<Subject, StoreError> {
    record.subject().map_err(|error| StoreError::Row {
        table: "tasks",
        reason: error.to_string(),
    })
}

/// The task in full, with the names of the nodes and their connection state.
pub fn task(
    registry: &TaskRegistry,
    caller: &Caller,
    id: TaskId,
    record: TaskRecord,
) -> Result<TaskView, ApiError> {
    let subject = subject(&record)?;
    let online = registry.online();
    let names = &registry.rules().nodes;
    let party = |party: &Party| PartyView {
        node: party.node,
        name: names.get(&party.node).cloned(),
        online: online.contains_key(&party.node),
        decision: party.decision.clone(),
        progress: party.progress.clone(),
        stored: record.has_stored(&party.node),
        abort_vote: record.has_voted_abort(&party.node),
        outcome: party
            .report
            .clone()
            .map(|Report { at, outcome, .. }| OutcomeView {
                at,
                outcome: outcome.into(),
            }),
    };
    Ok(TaskView {
        summary: record.summary(id, &subject),
        nodes: record.parties.iter().map(party).collect(),
        task: record.task,
        signature: record.signature,
        submitted_by: record.submitted_by.map(|by| caller.sees_submitter(by)),
        result: record.result.map(Into::into),
        history: record.history,
    })
}
