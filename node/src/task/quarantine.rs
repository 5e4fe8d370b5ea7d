//! The consequences of a failed task for later ones.
//!
//! A peer that this node saw cheating, or whose own signatures prove it, is quarantined for the key
//! until the operator has looked into it. If somebody certainly cheated but nothing shows who, the
//! key stops. Signers whose signatures fail again and again after shares were in use are stopped,
//! too: every such run shows them something of this node's share in use, and bad luck cannot be
//! told from an attack. Accusations by other nodes count for nothing here.

use countersign_protocol::{
    Evidence, Failure, FailureCode, KeyId, NodeId, Operation, Outcome, Refusal, RefusalCode, Task,
    TaskId, UnixMillis,
};
use countersign_store::{
    Attempt, Consequences, Journal, Quarantine, ReadJournalError, RunsEnd, Stop,
};

use super::refusal::refusal;

/// Signatures in a row that may fail with the same signers after shares were in use.
pub(super) const MAX_LOST: u64 = 3;

/// A task that was tried, with all that its consequences depend on.
pub(super) struct Tried<'a> {
    pub task: &'a Task,
    /// The key that it used or was to make.
    pub key: KeyId,
    pub parties: &'a [NodeId],
    pub now: UnixMillis,
    /// A share was in use.
    pub used: bool,
    /// This node ended it because it is stopping.
    pub stopping: bool,
    /// Proof of the failure that convinces third parties.
    pub evidence: Option<Evidence>,
}

impl Tried<'_> {
    /// Returns the consequences of its end.
    pub(super) fn consequences(&self, outcome: &Outcome) -> Consequences {
        let failure = match outcome {
            Outcome::Failed(failure) => Some(failure),
            Outcome::Created(_)
            | Outcome::Signed(_)
            | Outcome::Refused(_)
            | Outcome::Reshared(_)
            | Outcome::Intact(_) => None,
        };
        Consequences {
            quarantines: failure
                .map(|failure| self.quarantines(failure))
                .unwrap_or_default(),
            stops: failure
                .and_then(|failure| self.nobody_is_named(failure))
                .into_iter()
                .collect(),
            attempt: self.attempt(outcome),
            // No engine that this node runs has a set-up of pairs.
            runs: RunsEnd::default(),
        }
    }

    fn quarantines(&self, failure: &Failure) -> Vec<Quarantine> {
        let culprits = failure
            .culprits
            .iter()
            .filter(|_| failure.is_proof_of_cheating());
        culprits
            .map(|peer| Quarantine {
                key: self.key,
                peer: *peer,
                task: self.task.id,
                since: self.now,
                code: failure.code.clone(),
                text: failure.text.clone(),
                evidence: self
                    .evidence
                    .clone()
                    .filter(|evidence| evidence.node == *peer),
            })
            .collect()
    }

    /// One of the parties cheated, and nothing shows which. A key that is being made
    /// cannot be stopped yet.
    fn nobody_is_named(&self, failure: &Failure) -> Option<Stop> {
        let uses_a_key = match self.task.operation {
            Operation::KeySign(_) | Operation::KeyReshare(_) => true,
            Operation::KeyGen(_) | Operation::KeyShareSign(_) => false,
        };
        let nobody = failure.is_proof_of_cheating() && failure.culprits.is_empty() && uses_a_key;
        nobody.then(|| Stop {
            key: self.key,
            signers: Vec::new(),
            task: self.task.id,
            since: self.now,
            code: failure.code.clone(),
            text: format!(
                "one of the parties cheated, and nothing shows which: {}",
                failure.text
            ),
        })
    }

    fn attempt(&self, outcome: &Outcome) -> Option<Attempt> {
        match &self.task.operation {
            Operation::KeySign(_) => {}
            // Their runs show nothing of a share in use that the next run could add to.
            Operation::KeyGen(_) | Operation::KeyReshare(_) | Operation::KeyShareSign(_) => {
                return None;
            }
        }
        let signers = self.parties.to_vec();
        match outcome {
            Outcome::Signed(_) => Some(Attempt::Signed {
                key: self.key,
                signers,
            }),
            Outcome::Failed(failure) if self.used && !self.stopping => Some(Attempt::Lost {
                limit: MAX_LOST,
                stop: Box::new(Stop {
                    key: self.key,
                    signers,
                    task: self.task.id,
                    since: self.now,
                    code: FailureCode::SignaturesLost,
                    text: format!(
                        "{MAX_LOST} signatures in a row by the same signers failed after shares were in use; the last time: {}",
                        failure.text
                    ),
                }),
            }),
            Outcome::Failed(_)
            | Outcome::Created(_)
            | Outcome::Refused(_)
            | Outcome::Reshared(_)
            | Outcome::Intact(_) => None,
        }
    }
}

/// Returns the evidence of cheating in a task that convinces third parties.
pub(super) fn evidence(journal: &Journal, task: TaskId) -> Result<Vec<Evidence>, ReadJournalError> {
    let of_task = journal
        .quarantines()?
        .into_iter()
        .filter(|kept| kept.task == task);
    Ok(of_task.filter_map(|kept| kept.evidence).collect())
}

/// Refuses a task whose key is stopped, or one of whose parties is quarantined for the key.
pub(super) fn check(journal: &Journal, key: KeyId, parties: &[NodeId]) -> Result<(), Refusal> {
    let kept = journal.quarantines().map_err(unreadable)?;
    if let Some(kept) = kept
        .iter()
        .find(|kept| kept.key == key && parties.contains(&kept.peer))
    {
        return Err(quarantined(kept, "this key"));
    }
    let stops = journal.stops().map_err(unreadable)?;
    let applies =
        |stop: &&Stop| stop.key == key && (stop.signers.is_empty() || stop.signers == parties);
    match stops.iter().find(applies) {
        Some(stop) => Err(refusal(
            RefusalCode::KeyStopped,
            &format!(
                "{} (task {}, {}); examine all that took part, then lift it with `countersign-node quarantine lift {key}`",
                stop.text, stop.task, stop.code
            ),
        )),
        None => Ok(()),
    }
}

/// Refuses a new key if one of its parties is quarantined for any key.
pub(super) fn check_new(journal: &Journal, parties: &[NodeId]) -> Result<(), Refusal> {
    let kept = journal.quarantines().map_err(unreadable)?;
    match kept.iter().find(|kept| parties.contains(&kept.peer)) {
        Some(kept) => Err(quarantined(kept, &kept.key.to_string())),
        None => Ok(()),
    }
}

fn quarantined(kept: &Quarantine, key: &str) -> Refusal {
    refusal(
        RefusalCode::PeerQuarantined,
        &format!(
            "{} cheated in task {} of {key} ({}); choose other nodes, or examine it and lift its quarantine",
            kept.peer, kept.task, kept.code
        ),
    )
}

fn unreadable(error: ReadJournalError) -> Refusal {
    refusal(RefusalCode::Journal, &error.to_string())
}

#[cfg(test)]
#[path = "quarantine_tests.rs"]
mod tests;
