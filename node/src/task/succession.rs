//! The rules by which a node moves from one generation of a key to the next and destroys old
//! shares. No clock, no disk, no network. [`participant`](super::participant) applies them, and a
//! test walks through every order and loss of messages with them (`succession_search.rs`). The
//! reasons for them are in `docs/reshare.md`, section 4.

use countersign_protocol::{TaskId, UnixMillis};
use countersign_store::{PreparedReshare, ReshareStage};

/// A reshare of a key. Every node takes reshares up in this order: by the generation that they
/// make, then by the time of the order, then by task. All of it is in the signed task, so all nodes
/// have the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    pub generation: u32,
    /// The time of the requester's order.
    pub created: UnixMillis,
    pub task: TaskId,
}

impl Step {
    /// The step of a prepared reshare.
    pub fn of(prepared: &PreparedReshare) -> Self {
        Self {
            generation: prepared.descriptor.generation,
            created: prepared.created,
            task: prepared.task,
        }
    }
}

/// The state of a step at a party that has prepared it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Not all acknowledgements are here, and no party has voted to abort.
    InDoubt,
    /// A party voted to abort, or the operator abandoned it. The next share is kept, unused.
    Aborted,
    /// All acknowledgements are here: it is in force, or was before a later one.
    Committed,
}

impl Standing {
    /// The journal's stages, as far as the rules tell them apart.
    pub fn of(stage: ReshareStage) -> Self {
        match stage {
            ReshareStage::InDoubt => Self::InDoubt,
            ReshareStage::Committed => Self::Committed,
            ReshareStage::Aborted | ReshareStage::Abandoned => Self::Aborted,
        }
    }
}

/// Why a node does not prepare a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Hindrance {
    /// This step is in doubt.
    #[error(
        "the reshare of task {0} is not settled at this node; connect all its parties to the coordinator"
    )]
    Unsettled(TaskId),
    /// This step was ordered later, and is prepared already.
    #[error("this node has stored for task {0}, which was ordered later; order the reshare again")]
    Later(TaskId),
}

/// Checks that a party may prepare `step` after the `known` ones: one at a time, and never one that
/// was ordered before another. If two steps from one generation are ever both complete, because a
/// party acknowledged and voted to abort, then all honest parties of both prepared them in the same
/// order, and none of them destroys what the later one needs.
pub fn may_store(step: &Step, known: &[(Step, Standing)]) -> Result<(), Hindrance> {
    for (other, standing) in known {
        match standing {
            Standing::InDoubt => return Err(Hindrance::Unsettled(other.task)),
            Standing::Aborted | Standing::Committed if other > step => {
                return Err(Hindrance::Later(other.task));
            }
            Standing::Aborted | Standing::Committed => {}
        }
    }
    Ok(())
}

/// The action of a party that has prepared a step and is shown all acknowledgements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnComplete {
    /// The step is in force from now on.
    Commit,
    /// The step was aborted here, and is in force all the same. Somebody lied.
    CommitLate,
    /// It is in force already.
    Already,
    /// The key has moved on further here.
    Passed,
}

/// Decides about `step` once all its acknowledgements are here. `known`: this and the other steps
/// of the key that the party has prepared. `present`: the newest generation that it knows of, if
/// any. All acknowledgements together outweigh any abort vote.
pub fn on_complete(step: &Step, known: &[(Step, Standing)], present: Option<u32>) -> OnComplete {
    let standing = known
        .iter()
        .find(|(other, _)| other == step)
        .map(|(_, standing)| *standing);
    let later =
        |(other, standing): &(Step, Standing)| *standing == Standing::Committed && other > step;
    match standing {
        Some(Standing::Committed) => OnComplete::Already,
        _ if known.iter().any(later)
            || present.is_some_and(|present| present > step.generation) =>
        {
            OnComplete::Passed
        }
        Some(Standing::Aborted) => OnComplete::CommitLate,
        Some(Standing::InDoubt) | None => OnComplete::Commit,
    }
}

/// True if an abort vote ends the wait. Once all acknowledgements are here, none does.
pub fn heeds_abort_vote(standing: Standing) -> bool {
    match standing {
        Standing::InDoubt => true,
        Standing::Aborted | Standing::Committed => false,
    }
}

/// True if the share of an aborted reshare is to be deleted when `taken` comes into force: only if
/// it was ordered before. A later one may be complete elsewhere.
pub fn dooms(taken: &Step, aborted_reshare: &Step) -> bool {
    aborted_reshare < taken
}

/// The knowledge of a node that holds a share of an earlier generation and will hold none of the
/// later one: a dealer that leaves, or a holder that took no part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// It has the key descriptor with the acknowledgements of all parties.
    pub complete: bool,
    /// The number of members of the later generation that have signed that it is in force there.
    pub in_force: usize,
    /// The number of members of the later generation that a signature needs.
    pub threshold: usize,
    /// Every party that it could reach was handed the complete descriptor.
    pub handed_on: bool,
}

/// The fate of the share of an earlier generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OldShare {
    InUse,
    /// The share is kept, but not used.
    Kept,
    Destroyed,
}

/// Decides about a share that its holder has no successor for. With all acknowledgements it is no
/// longer used. It is destroyed when a quorum has the later generation in force: fewer than a
/// quorum lie, so at least one honest member is among them, which has the complete descriptor for
/// good and hands it to the others.
pub fn old_share(evidence: &Evidence) -> OldShare {
    match evidence {
        Evidence {
            complete: false, ..
        } => OldShare::InUse,
        Evidence {
            in_force,
            threshold,
            handed_on: true,
            ..
        } if in_force >= threshold => OldShare::Destroyed,
        Evidence { .. } => OldShare::Kept,
    }
}

#[cfg(test)]
#[path = "succession_search.rs"]
mod search;
