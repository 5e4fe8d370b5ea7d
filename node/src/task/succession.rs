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
pub fn supersedes(taken: &Step, aborted_reshare: &Step) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn step(generation: u32, created: u64, task: u8) -> Step {
        Step {
            generation,
            created: UnixMillis(created),
            task: TaskId([task; 16]),
        }
    }

    #[test]
    fn reshares_are_ordered_by_generation_then_by_time_then_by_task() {
        let ascending = [
            step(1, 10, 1),
            step(1, 10, 2),
            step(1, 11, 1),
            step(2, 5, 1),
        ];
        assert!(ascending.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn nothing_is_stored_beside_a_reshare_in_doubt_whatever_its_order() {
        for other in [step(1, 9, 1), step(1, 11, 3), step(2, 1, 1)] {
            let known = [(other, Standing::InDoubt)];
            assert_eq!(
                may_store(&step(1, 10, 2), &known),
                Err(Hindrance::Unsettled(other.task))
            );
        }
    }

    #[test]
    fn nothing_is_stored_that_was_ordered_before_what_was_stored() {
        for standing in [Standing::Aborted, Standing::Committed] {
            let against = |other| may_store(&step(1, 10, 2), &[(other, standing)]);
            assert_eq!(against(step(1, 9, 9)), Ok(()));
            assert_eq!(against(step(1, 10, 1)), Ok(()), "by its task");
            for later in [step(1, 10, 3), step(1, 11, 1), step(2, 1, 1)] {
                assert_eq!(against(later), Err(Hindrance::Later(later.task)));
            }
        }
    }

    #[test]
    fn a_hindrance_names_the_task_and_says_what_to_do() {
        let task = TaskId([7; 16]);
        let unsettled = Hindrance::Unsettled(task).to_string();
        assert!(unsettled.contains(&task.to_string()));
        assert!(unsettled.ends_with("connect all its parties to the coordinator"));
        let later = Hindrance::Later(task).to_string();
        assert!(later.contains(&task.to_string()));
        assert!(later.ends_with("order the reshare again"));
    }

    #[test]
    fn a_complete_reshare_is_committed_as_its_standing_asks() {
        let this = step(1, 10, 2);
        let on = |known: &[(Step, Standing)], present| on_complete(&this, known, present);
        for (standing, expected) in [
            (Standing::InDoubt, OnComplete::Commit),
            (Standing::Aborted, OnComplete::CommitLate),
            (Standing::Committed, OnComplete::Already),
        ] {
            assert_eq!(on(&[(this, standing)], Some(0)), expected);
            assert_eq!(on(&[(this, standing)], None), expected, "a new holder");
        }
        assert_eq!(on(&[], Some(0)), OnComplete::Commit);
    }

    #[test]
    fn a_complete_reshare_does_not_undo_a_later_one() {
        let this = step(1, 10, 2);
        for standing in [Standing::InDoubt, Standing::Aborted] {
            let on = |other, present| {
                on_complete(
                    &this,
                    &[(this, standing), (other, Standing::Committed)],
                    present,
                )
            };
            assert_eq!(on(step(1, 11, 1), Some(1)), OnComplete::Passed);
            assert_eq!(on(step(2, 1, 1), Some(1)), OnComplete::Passed);
            assert_ne!(on(step(1, 9, 1), Some(1)), OnComplete::Passed);
            assert_eq!(on(step(1, 9, 1), Some(2)), OnComplete::Passed);
        }
    }

    #[test]
    fn an_abort_vote_counts_only_while_the_reshare_is_in_doubt() {
        assert!(heeds_abort_vote(Standing::InDoubt));
        assert!(!heeds_abort_vote(Standing::Aborted));
        assert!(!heeds_abort_vote(Standing::Committed));
    }

    #[test]
    fn a_reshare_aborts_those_ordered_before_it_and_not_itself() {
        let taken = step(1, 10, 2);
        assert!(supersedes(&taken, &step(1, 9, 9)));
        assert!(supersedes(&taken, &step(1, 10, 1)));
        assert!(!supersedes(&taken, &taken));
        assert!(!supersedes(&taken, &step(1, 11, 1)));
    }

    #[test]
    fn an_old_share_goes_only_with_a_quorum_and_once_everybody_was_told() {
        let evidence = |complete, in_force, handed_on| {
            old_share(&Evidence {
                complete,
                in_force,
                threshold: 2,
                handed_on,
            })
        };
        assert_eq!(evidence(false, 9, true), OldShare::InUse);
        assert_eq!(evidence(true, 1, true), OldShare::Kept, "one short");
        assert_eq!(evidence(true, 2, false), OldShare::Kept);
        assert_eq!(evidence(true, 2, true), OldShare::Destroyed);
        assert_eq!(evidence(true, 3, true), OldShare::Destroyed);
    }

    #[test]
    fn both_ways_to_abort_stand_alike() {
        assert_eq!(Standing::of(ReshareStage::Aborted), Standing::Aborted);
        assert_eq!(Standing::of(ReshareStage::Abandoned), Standing::Aborted);
        assert_eq!(Standing::of(ReshareStage::InDoubt), Standing::InDoubt);
        assert_eq!(Standing::of(ReshareStage::Committed), Standing::Committed);
    }
}
