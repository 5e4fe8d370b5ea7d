//! The rules by which a node goes from one generation of a key to the next, and by which it
//! destroys what it held. Nothing else: no clock, no disk, no network. The node obeys them
//! ([`handover`](super::handover)), and a test walks through every order and loss of messages with
//! them (`succession_search.rs`). Why they are so: `docs/reshare.md`, section 4.

use countersign_protocol::{TaskId, UnixMillis};

/// A reshare of a key, in the order in which every node takes them up: by the generation that it
/// makes, then by when it was ordered, then by its task. The order is in the signed task, so that
/// all nodes have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// The generation that it makes.
    pub generation: u32,
    /// When its requester made the order.
    pub created: UnixMillis,
    /// Its task.
    pub task: TaskId,
}

/// Where a step stands at a party that has stored for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Not all marks are here, and nobody said that one will never be.
    Waiting,
    /// A party said that its mark will never be there, or the operator gave it up. What was stored
    /// sleeps.
    Asleep,
    /// All marks are here: it is in force, or was before a later one.
    Taken,
}

/// Why a node does not store for a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Hindrance {
    /// This one is not settled.
    #[error(
        "the reshare of task {0} is not settled at this node; connect all its parties to the coordinator"
    )]
    Unsettled(TaskId),
    /// This one was ordered later, and stored for already.
    #[error("this node has stored for task {0}, which was ordered later; order the reshare again")]
    Later(TaskId),
}

/// Whether a party may store for `step`, after the steps that it has stored for: one at a time, and
/// never for one that was ordered before another. If two steps from one generation are ever both
/// complete, because somebody lied about its mark, then all honest parties of both stored in the
/// same order, and what the later one needs is destroyed by none of them.
pub fn may_store(step: &Step, known: &[(Step, Standing)]) -> Result<(), Hindrance> {
    for (other, standing) in known {
        match standing {
            Standing::Waiting => return Err(Hindrance::Unsettled(other.task)),
            Standing::Asleep | Standing::Taken if other > step => {
                return Err(Hindrance::Later(other.task));
            }
            Standing::Asleep | Standing::Taken => {}
        }
    }
    Ok(())
}

/// What a party does that has stored for a step and is shown the marks of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnComplete {
    /// The step is in force from now on.
    Take,
    /// It had come to nothing here, and is in force all the same. Somebody lied.
    Wake,
    /// It is in force already.
    Already,
    /// The key has come further here.
    Passed,
}

/// All marks of `step` are here. `known`: this and the other steps of the key that the party has
/// stored for. `present`: the generation that it knows the key to be of, if any. All marks outweigh
/// whatever was said of the step before.
pub fn on_complete(step: &Step, known: &[(Step, Standing)], present: Option<u32>) -> OnComplete {
    let standing = known
        .iter()
        .find(|(other, _)| other == step)
        .map(|(_, standing)| *standing);
    let later = |(other, standing): &(Step, Standing)| *standing == Standing::Taken && other > step;
    match standing {
        Some(Standing::Taken) => OnComplete::Already,
        _ if known.iter().any(later)
            || present.is_some_and(|present| present > step.generation) =>
        {
            OnComplete::Passed
        }
        Some(Standing::Asleep) => OnComplete::Wake,
        Some(Standing::Waiting) | None => OnComplete::Take,
    }
}

/// Whether a party's word that it never stored ends the wait. Once all marks are here, no word
/// does.
pub fn heeds_void(standing: Standing) -> bool {
    match standing {
        Standing::Waiting => true,
        Standing::Asleep | Standing::Taken => false,
    }
}

/// Whether a share that sleeps goes when `taken` comes into force: only if it was ordered before. A
/// later one may be complete elsewhere.
pub fn dooms(taken: &Step, asleep: &Step) -> bool {
    asleep < taken
}

/// What somebody knows who holds a share of an earlier generation and will hold none of the later
/// one: a dealer that leaves, or a holder that took no part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// It has the announcement with the marks of all parties.
    pub complete: bool,
    /// How many members of the later generation have signed that it is in force at them.
    pub in_force: usize,
    /// How many members of the later generation a signature needs.
    pub threshold: usize,
    /// Every party that it could reach was handed the complete announcement.
    pub handed_on: bool,
}

/// What becomes of the share of an earlier generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OldShare {
    /// It is in use.
    InUse,
    /// It is kept, and not used.
    Kept,
    /// It is destroyed.
    Destroyed,
}

/// What becomes of a share that its holder has no successor for. With all marks it is used no more.
/// It is destroyed when a quorum has the later generation in force: fewer than a quorum lie, so at
/// least one honest member is among them, which has the complete announcement for good and hands it
/// to the others.
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
