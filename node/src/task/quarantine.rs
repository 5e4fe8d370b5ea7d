//! After a cheat: what the end of a task means for those to come.
//!
//! A peer that this node saw cheating, or whose own signatures prove it, is kept away from the key
//! until the operator has looked into it. Where it is certain that somebody cheated and not who,
//! the key stops. Signers whose signatures come to nothing again and again after shares were in use
//! stop, too: every such run shows them something of this node's share in use, and nobody can tell
//! bad luck from an attack. What others say of others counts for nothing here.

use countersign_protocol::{
    Evidence, Failure, FailureCode, KeyId, NodeId, Operation, Outcome, Refusal, RefusalCode, Task,
    TaskId, UnixMillis,
};
use countersign_store::{Attempt, Consequences, Journal, Quarantine, ReadJournalError, Stop};

use super::admission::refusal;

/// Signatures in a row that may come to nothing with the same signers after shares were in use.
pub(super) const MAX_LOST: u64 = 3;

/// A task that was tried, as far as its end has consequences.
pub(super) struct Tried<'a> {
    /// What it was.
    pub task: &'a Task,
    /// The key that it used or was to make.
    pub key: KeyId,
    /// Who took part.
    pub parties: &'a [NodeId],
    /// When it ended.
    pub now: UnixMillis,
    /// A share was in use.
    pub used: bool,
    /// This node ended it by itself, because it stops.
    pub stopping: bool,
    /// What proves the failure to anybody.
    pub evidence: Option<Evidence>,
}

impl Tried<'_> {
    /// What follows from its end.
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

    /// One of the parties cheated, and nothing shows which. A key that is being made is none yet.
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
        let Operation::KeySign(_) = &self.task.operation else {
            return None;
        };
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
                        "{MAX_LOST} signatures in a row by the same signers came to nothing after shares were in use; the last time: {}",
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

/// What proves to anybody who cheated in a task.
pub(super) fn evidence(journal: &Journal, task: TaskId) -> Result<Vec<Evidence>, ReadJournalError> {
    let of_task = journal
        .quarantines()?
        .into_iter()
        .filter(|kept| kept.task == task);
    Ok(of_task.filter_map(|kept| kept.evidence).collect())
}

/// Refuses a task of a key that is stopped, or in which somebody would take part who is kept away
/// from it.
pub(super) fn check(journal: &Journal, key: KeyId, parties: &[NodeId]) -> Result<(), Refusal> {
    let kept = journal.quarantines().map_err(unreadable)?;
    if let Some(kept) = kept
        .iter()
        .find(|kept| kept.key == key && parties.contains(&kept.peer))
    {
        return Err(kept_away(kept, "this key"));
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

/// Refuses a new key together with somebody who is kept away from any.
pub(super) fn check_new(journal: &Journal, parties: &[NodeId]) -> Result<(), Refusal> {
    let kept = journal.quarantines().map_err(unreadable)?;
    match kept.iter().find(|kept| parties.contains(&kept.peer)) {
        Some(kept) => Err(kept_away(kept, &kept.key.to_string())),
        None => Ok(()),
    }
}

fn kept_away(kept: &Quarantine, key: &str) -> Refusal {
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
