//! KeyReshare: who hands what to whom.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::committee::{Committee, Threshold};
use crate::id::NodeId;
use crate::outcome::Announcement;
use crate::task::TaskError;

/// Hand a key to another committee. Key, chain code and so every address stay; the shares are new.
/// As many of the present members as the key needs deal, and all future members take part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyReshare {
    /// The key as it is now, with all marks: what a new member knows of it, and what every dealer
    /// compares with its own record.
    pub from: Announcement,
    /// Who will hold it.
    pub committee: Committee,
    /// How many of them must sign then.
    pub threshold: Threshold,
    /// Which present members deal. Absent: the coordinator chooses among those on line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dealers: Option<Vec<NodeId>>,
}

impl KeyReshare {
    /// The number of the generation that it makes.
    pub fn generation(&self) -> u32 {
        self.from.generation + 1
    }

    /// Who takes part if these deal: dealers and future members, in the order of their ids.
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

    /// Who deals if these take part: the dealers that the task names, or every party that does not
    /// join and as many of the joining members as are missing, in the order of their ids. `None` if
    /// nobody could mean that.
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
        if self.from.generation >= Announcement::MAX_GENERATION
            || self.from.committee.threshold(self.from.threshold).is_err()
        {
            return Err(TaskError::From(
                "its generation or threshold is out of range",
            ));
        }
        if !self.from.is_complete() {
            return Err(TaskError::From(
                "not every holder's mark is there and verifies",
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
