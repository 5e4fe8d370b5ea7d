//! The votes on a task that collects them. The count decides when nodes are asked; each of them
//! counts again, by its own list.

use std::collections::BTreeMap;

use countersign_api::{Collecting, VoteView};
use countersign_protocol::{Choice, Collect, UnixMillis, Vote};
use serde::{Deserialize, Serialize};

use crate::approvers::Approvers;

/// The votes on a task, with what its requester asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Votes {
    /// What to collect.
    pub collect: Collect,
    /// In the order of arrival: the latest approval and the latest rejection of each key.
    pub received: Vec<VoteView>,
    /// Time at which they were enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected: Option<UnixMillis>,
}

impl Votes {
    /// Nobody has voted yet.
    pub fn new(collect: Collect) -> Self {
        Self {
            collect,
            received: Vec::new(),
            collected: None,
        }
    }

    /// Keeps a vote, unless it is known or a later one of the same key and choice is. Returns true
    /// if it is kept.
    pub fn add(&mut self, vote: VoteView) -> bool {
        let new = vote.vote.ballot();
        let same = |known: &VoteView| {
            let known = known.vote.ballot();
            (known.approver, known.choice) == (new.approver, new.choice)
        };
        let known = self.received.iter().position(same);
        if known.is_some_and(|at| self.received[at].vote.ballot().time >= new.time) {
            return false;
        }
        if let Some(at) = known {
            self.received.remove(at);
        }
        self.received.push(vote);
        true
    }

    /// The votes as they are carried to nodes.
    pub fn carried(&self) -> Vec<Vote> {
        self.received
            .iter()
            .map(|received| received.vote.clone())
            .collect()
    }

    /// The count.
    pub fn count(&self) -> Collecting {
        let said = self.said();
        let of = |choice| said.values().filter(|said| **said == choice).count() as u16;
        Collecting {
            needed: self.collect.votes,
            approved: of(Choice::Approve),
            rejected: of(Choice::Reject),
            until: self.collect.until,
        }
    }

    /// True once nodes are to be asked: enough people have approved, or the nodes will refuse
    /// because of a veto or because too many have rejected. The nodes' refusals are then on record
    /// with the votes.
    pub fn is_decided(&self, approvers: &Approvers) -> bool {
        let Collecting {
            needed,
            approved,
            rejected,
            until: _,
        } = self.count();
        let said = self.said();
        let rejecting = said.iter().filter(|(_, choice)| **choice == Choice::Reject);
        let vetoed = rejecting
            .into_iter()
            .any(|(name, _)| approvers.has_veto(name));
        let possible = approvers.names().len() as u16;
        approved >= needed || vetoed || (rejected > 0 && possible.saturating_sub(rejected) < needed)
    }

    /// Listed people who have not voted.
    pub fn missing(&self, approvers: &Approvers) -> Vec<String> {
        let voted = self.said();
        let names = approvers.names().iter();
        names
            .filter(|name| !voted.contains_key(name.as_str()))
            .cloned()
            .collect()
    }

    /// True if the key has voted like this.
    pub fn has(&self, vote: &Vote) -> bool {
        self.received.iter().any(|known| known.vote == *vote)
    }

    /// What each person has said. Of several votes the latest counts, and of two of the same time
    /// the rejection.
    pub fn said(&self) -> BTreeMap<&str, Choice> {
        let mut latest: BTreeMap<&str, (UnixMillis, Choice)> = BTreeMap::new();
        for known in &self.received {
            let ballot = known.vote.ballot();
            let vote = (ballot.time, ballot.choice);
            let said = latest.entry(&known.name).or_insert(vote);
            *said = (*said).max(vote);
        }
        latest
            .into_iter()
            .map(|(name, (_, choice))| (name, choice))
            .collect()
    }
}
