//! Records the KeyGen that created a wallet elsewhere: it hashes to the wallet's id, and lets
//! clients check who ordered it.

use countersign_api::{HistoryEntry, State, TaskResult};
use countersign_protocol::{
    KeyDescriptor, NodeId, Operation, Outcome, Passkeys, SignedTask, TaskError, TaskId, UnixMillis,
};

use super::IntakeError;
use crate::task::proof;
use crate::task::record::{Party, TaskRecord};

/// The record of the KeyGen, if it created the first generation. A passkey's order is believed only
/// with `passkeys`, the pages that may ask for its signature.
pub(super) fn record(
    first: &KeyDescriptor,
    order: &SignedTask,
    passkeys: Option<&dyn Passkeys>,
    now: UnixMillis,
) -> Result<(TaskId, TaskRecord), IntakeError> {
    let bad = |reason: &str| IntakeError::Order(reason.into());
    let task = order
        .parse()
        .map_err(|error| IntakeError::Order(error.to_string()))?;
    let text = String::from_utf8(order.bytes.clone()).map_err(|_| bad("it is not text"))?;
    match order.prove(&task.requester, passkeys) {
        Ok(()) => {}
        Err(TaskError::BadSignature) => return Err(bad("its requester did not sign it")),
        Err(error) => return Err(IntakeError::Order(error.to_string())),
    }
    if !matches!(task.operation, Operation::KeyGen(_)) {
        return Err(bad("it is not a KeyGen"));
    }
    let members = first.committee.members();
    let ordered = proof::Order {
        task: &task,
        hash: order.hash(),
        wallet: None,
        parties: members,
    };
    let outcome = Outcome::Created(first.clone());
    proof::check(&ordered, &members[0], &outcome)
        .map_err(|error| IntakeError::Order(error.to_string()))?;
    let party = |node: &NodeId| Party {
        node: *node,
        decision: None,
        progress: None,
        report: None,
    };
    let record = TaskRecord {
        sequence: 0,
        revision: 1,
        task: text,
        signature: order.signature.clone(),
        state: State::Completed,
        submitted: task.created,
        submitted_by: None,
        offered: None,
        started: None,
        ended: Some(now),
        parties: members.iter().map(party).collect(),
        reason: None,
        votes: None,
        result: Some(TaskResult::Created(Box::new(first.clone()))),
        stored: None,
        abort_vote: Vec::new(),
        proven: Vec::new(),
        asked: None,
        history: vec![HistoryEntry {
            at: now,
            text: "imported by a client: carried out through another coordinator".into(),
        }],
    };
    Ok((task.id, record))
}
