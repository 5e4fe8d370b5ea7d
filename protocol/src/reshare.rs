//! KeyReshare: moves a key from its present committee to a new one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::committee::{Committee, Threshold};
use crate::id::NodeId;
use crate::outcome::KeyDescriptor;
use crate::task::TaskError;

/// Hands a key over to another committee. Key, chain code and therefore every address stay; the
/// shares are new. Exactly a quorum of the present members deals, and all future members take part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyReshare {
    /// The current key descriptor with all acknowledgements. A new member learns the key from it,
    /// and every dealer compares it with its own record.
    pub from: KeyDescriptor,
    /// The future holders of the key.
    pub committee: Committee,
    /// The future number of signers.
    pub threshold: Threshold,
    /// The present members that deal. Absent: the coordinator chooses among those online.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dealers: Option<Vec<NodeId>>,
}

impl KeyReshare {
    /// The number of the generation that the reshare makes.
    pub fn generation(&self) -> u32 {
        self.from.generation + 1
    }

    /// The parties if these nodes deal: dealers and future members, in the order of their ids.
    pub fn parties(&self, dealers: &[NodeId]) -> Vec<NodeId> {
        let all: BTreeSet<NodeId> = self
            .committee
            .members()
            .iter()
            .chain(dealers)
            .copied()
            .collect();
        all.into_iter().collect()
    }

    /// The dealers if these nodes take part: those that the task names, or every party that does
    /// not join plus as many joining members as are missing, in the order of their ids. `None` if
    /// there is no sensible choice.
    pub fn dealers_among(&self, parties: &[NodeId]) -> Option<Vec<NodeId>> {
        let needed = usize::from(self.from.threshold.get());
        let dealers = match &self.dealers {
            Some(dealers) => dealers.iter().copied().collect::<BTreeSet<NodeId>>(),
            None => {
                let old = |node: &&NodeId| self.from.committee.index_of(node).is_some();
                let joins = |node: &NodeId| self.committee.index_of(node).is_some();
                let (staying, leaving): (Vec<NodeId>, Vec<NodeId>) =
                    parties.iter().filter(old).partition(|node| joins(node));
                leaving
                    .iter()
                    .chain(&staying)
                    .take(needed)
                    .copied()
                    .collect()
            }
        };
        let dealers: Vec<NodeId> = dealers.into_iter().collect();
        let fits = dealers.len() == needed
            && dealers
                .iter()
                .all(|node| self.from.committee.index_of(node).is_some())
            && self.parties(&dealers) == parties;
        fits.then_some(dealers)
    }

    pub(crate) fn check(&self) -> Result<(), TaskError> {
        crate::task::check_text("name", &self.from.name, 64)?;
        if self.from.generation >= KeyDescriptor::MAX_GENERATION
            || self.from.committee.threshold(self.from.threshold).is_err()
        {
            return Err(TaskError::From(
                "its generation or threshold is out of range",
            ));
        }
        if !self.from.has_all_acks() {
            return Err(TaskError::From(
                "not every holder's acknowledgement is there and verifies",
            ));
        }
        self.committee.threshold(self.threshold)?;
        let Some(dealers) = &self.dealers else {
            return Ok(());
        };
        let needed = self.from.threshold.get();
        let members = dealers
            .iter()
            .all(|node| self.from.committee.index_of(node).is_some());
        if members && dealers.len() == usize::from(needed) && crate::task::distinct(dealers) {
            return Ok(());
        }
        Err(TaskError::Dealers(needed))
    }
}
