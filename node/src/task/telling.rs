//! The texts and codes that `TaskService` logs, counts and reports. Nothing here decides.

use countersign_protocol::{
    Failure, FailureCode, Operation, Outcome, PluginVerdict, Refusal, RefusalCode, Task,
};
use countersign_store::{Consequences, OperationKind, TaskChange};

use super::refusal::refusal;
use crate::metrics::Ended;

/// True if the node cannot read the payload to be signed; `None` where nothing is signed.
pub(super) fn blind(task: &Task) -> Option<bool> {
    match &task.operation {
        Operation::KeySign(keysign) => Some(keysign.payload.is_blind()),
        Operation::KeyGen(_) | Operation::KeyReshare(_) | Operation::KeyShareSign(_) => None,
    }
}

pub(super) fn ended(outcome: &Outcome) -> Ended {
    match outcome {
        Outcome::Created(_) | Outcome::Signed(_) | Outcome::Reshared(_) | Outcome::Intact(_) => {
            Ended::Succeeded
        }
        Outcome::Refused(_) => Ended::Refused,
        Outcome::Failed(_) => Ended::Failed,
    }
}

fn log_outcome(task: &Task, outcome: &Outcome) {
    let id = task.id;
    let blind = blind(task);
    match outcome {
        Outcome::Created(key) => {
            tracing::info!(task = %id, key = %key.key, scheme = %key.scheme, "key created")
        }
        Outcome::Signed(signed) => {
            tracing::info!(task = %id, blind, signatures = signed.signatures.len(), "signed")
        }
        Outcome::Reshared(key) => {
            tracing::info!(task = %id, key = %key.key, generation = key.generation, "reshared: the next generation is in force")
        }
        Outcome::Intact(intact) => {
            tracing::info!(task = %id, key = %intact.key, generation = intact.generation, "the share is intact")
        }
        Outcome::Refused(refusal) => log_refusal(task, refusal),
        Outcome::Failed(failure) => {
            tracing::warn!(task = %id, blind, code = %failure.code, cause = ?failure.cause, reason = %failure.text, "failed");
        }
    }
}

pub(super) fn log_refusal(task: &Task, refusal: &Refusal) {
    let id = task.id;
    let blind = blind(task);
    tracing::warn!(task = %id, blind, code = %refusal.code, plugin = refusal.plugin.as_deref(), reason = %refusal.reason, "refused");
}

/// The log lines of a change, written once it is durable.
pub(super) struct Lines {
    refusal: Option<Refusal>,
    outcome: Option<Outcome>,
    /// The task is in doubt and has no end yet.
    waits: bool,
    consequences: Consequences,
}

impl Lines {
    pub(super) fn of(change: &TaskChange) -> Self {
        let mut lines = Self {
            refusal: None,
            outcome: None,
            waits: false,
            consequences: Consequences::default(),
        };
        match change {
            TaskChange::Refuse { refusal, .. } => lines.refusal = Some(refusal.clone()),
            TaskChange::End {
                outcome,
                consequences,
                ..
            } => {
                lines.outcome = Some((**outcome).clone());
                lines.consequences = (**consequences).clone();
            }
            TaskChange::Judge(consequences) => {
                lines.waits = true;
                lines.consequences = (**consequences).clone();
            }
            TaskChange::Approve { .. }
            | TaskChange::AbortUnfinished { .. }
            | TaskChange::CloseReshare { .. }
            | TaskChange::CommitLate { .. }
            | TaskChange::Activate(_) => {}
        }
        lines
    }

    pub(super) fn log(&self, task: &Task) {
        log_consequences(&self.consequences);
        if let Some(refusal) = &self.refusal {
            log_refusal(task, refusal);
        }
        if let Some(outcome) = &self.outcome {
            log_outcome(task, outcome);
        }
        if self.waits {
            tracing::warn!(task = %task.id, "in doubt: the new share is stored and waits for the other parties");
        }
    }
}

/// Logs quarantines and stops, which an operator has to act on.
fn log_consequences(consequences: &Consequences) {
    for new in &consequences.quarantines {
        tracing::error!(key = %new.key, peer = %new.peer, code = %new.code, proven = new.evidence.is_some(), "the peer is quarantined for this key; see `countersign-node quarantine list`");
    }
    for new in &consequences.stops {
        tracing::error!(key = %new.key, code = %new.code, "the key is stopped; see `countersign-node quarantine list`");
    }
}

pub(super) fn alarm_text(refusal: &Refusal, before: u64) -> String {
    let text = format!("{}: {}", refusal.code, refusal.reason);
    if before == 0 {
        text
    } else {
        format!("{text} (after {before} more alarms of this kind)")
    }
}

pub(super) fn bug(error: &dyn std::error::Error) -> Refusal {
    refusal(
        RefusalCode::Bug,
        &format!("the task could not be examined ({error}); report this with the log"),
    )
}

/// The failure of an approved task whose end is not on record.
pub(super) fn no_end(kind: OperationKind) -> Failure {
    let text = match kind {
        OperationKind::KeyGen => {
            "this node waits for the confirmation of every member; connect all of them to the coordinator, then look at the key"
        }
        OperationKind::KeySign | OperationKind::KeyReshare | OperationKind::KeyShareSign => {
            "this node could not record how the task ended; see its log, then try again with a new task"
        }
    };
    Failure::new(FailureCode::NoEnd, text)
}

/// The journal may lack what this node decided between the backup and its restoration.
pub(super) fn before_restore() -> Refusal {
    refusal(
        RefusalCode::TaskBeforeRestore,
        "the task was made before this node was restored from a backup, and the node may have decided on it already; order it again as a new task",
    )
}

/// No node can tell which of two processes is the original.
pub(super) fn twin() -> Refusal {
    refusal(
        RefusalCode::Twin,
        "another process runs with the identity of this node; once its operator has decided which one is the original, order again as a new task",
    )
}

pub(super) fn busy() -> Refusal {
    refusal(
        RefusalCode::Busy,
        "this node handles as many tasks as limits.tasks allows; try again later with a new task",
    )
}

pub(super) fn cancelled(text: &str) -> Failure {
    Failure::new(
        FailureCode::Cancelled,
        format!("{text}; try again with a new task"),
    )
}

/// The coordinator cancelled the task before this node had decided. It is recorded, so that
/// approvers are not asked about the task again.
pub(super) fn cancelled_early() -> Refusal {
    refusal(
        RefusalCode::Cancelled,
        "the coordinator cancelled the task before this node had decided; order it again as a new task",
    )
}

/// An approval that came after the task was over here. It has no effect, and people may wonder why.
pub(super) fn too_late(verdicts: &[PluginVerdict]) -> String {
    let plugins: Vec<&str> = verdicts
        .iter()
        .map(|verdict| verdict.plugin.as_str())
        .collect();
    format!(
        "approved by {} after the task had been cancelled: nothing was done",
        plugins.join(", ")
    )
}

/// A party was quarantined or the key stopped while the task waited for the others.
pub(super) fn not_trusted(refusal: Refusal) -> Failure {
    let code = FailureCode::from(refusal.code.as_str());
    Failure::new(code, refusal.reason)
}

pub(super) fn not_started() -> Failure {
    Failure::new(
        FailureCode::NotStarted,
        "the other parties did not approve in time; see whom the task waits for, then make a new one",
    )
}

#[cfg(test)]
#[path = "telling_tests.rs"]
mod tests;
