//! The votes on a task that collects them. The count decides when nodes are asked; each of them
//! counts again, by its own list.
//!
//! Votes are kept by key. The present list of approvers says whose key it is, so a key that was
//! taken off the list counts no more.

use std::collections::BTreeMap;

use countersign_api::Collecting;
use countersign_protocol::{ApproverId, Choice, Collect, RequesterId, UnixMillis, Vote};
use serde::{Deserialize, Serialize};

use crate::approvers::Approvers;

/// The number of times that a key can renew its approval of a task, and as often its rejection.
const MAX_RENEWALS: u8 = 16;

/// The votes on a task, with what its requester asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Votes {
    /// What to collect.
    pub collect: Collect,
    /// In the order of arrival: the latest approval and the latest rejection of each key.
    pub received: Vec<Received>,
    /// The count after the last step.
    #[serde(default)]
    pub count: Count,
    /// Time at which they were enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected: Option<UnixMillis>,
}

/// A genuine vote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Time of arrival.
    pub at: UnixMillis,
    /// The vote itself.
    pub vote: Vote,
    /// The number of votes that it replaced.
    #[serde(default)]
    pub renewals: u8,
}

/// The number of people who approve and who reject.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct Count {
    pub approved: u16,
    pub rejected: u16,
}

/// What became of a vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is kept.
    Kept,
    /// It says nothing new: it, or a later one of its key, is known.
    Known,
    /// Its key has voted too often.
    TooMany,
}

/// The surroundings of a count.
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct Electorate<'a> {
    pub approvers: &'a Approvers,
    /// The requester of the task.
    pub requester: RequesterId,
    pub now: UnixMillis,
}

impl Votes {
    /// Nobody has voted yet.
    pub fn new(collect: Collect) -> Self {
        Self {
            collect,
            received: Vec::new(),
            count: Count::default(),
            collected: None,
        }
    }

    /// Says what would become of a vote.
    pub fn judge(&self, vote: &Vote) -> Added {
        let new = vote.ballot();
        let own = |known: &&Received| known.vote.ballot().approver == new.approver;
        let latest = self.received.iter().filter(own).max_by_key(order);
        let repeats = latest.is_some_and(|latest| {
            let latest = latest.vote.ballot();
            latest.choice == new.choice && new.time.0 < latest.time.0.saturating_add(Vote::PAUSE_MS)
        });
        match self.like(vote).map(|at| &self.received[at]) {
            Some(known) if known.vote.ballot().time >= new.time => Added::Known,
            Some(_) if repeats => Added::Known,
            Some(known) if known.renewals >= MAX_RENEWALS => Added::TooMany,
            Some(_) | None => Added::Kept,
        }
    }

    /// Keeps a vote, if it is to be kept.
    pub fn add(&mut self, vote: Vote, at: UnixMillis) -> Added {
        let judged = self.judge(&vote);
        if judged == Added::Kept {
            let known = self.like(&vote).map(|at| self.received.remove(at));
            self.received.push(Received {
                at,
                vote,
                renewals: known.map_or(0, |known| known.renewals + 1),
            });
        }
        judged
    }

    /// The place of the vote of the same key and choice.
    fn like(&self, vote: &Vote) -> Option<usize> {
        let new = vote.ballot();
        self.received.iter().position(|known| {
            let known = known.vote.ballot();
            (known.approver, known.choice) == (new.approver, new.choice)
        })
    }

    /// The votes of listed keys, as they are shown, each with a name.
    pub fn listed<'a>(
        &'a self,
        approvers: &'a Approvers,
    ) -> impl Iterator<Item = (&'a str, &'a Received)> {
        let named = |received: &'a Received| {
            let approver = &received.vote.ballot().approver;
            approvers.name_of(approver).map(|name| (name, received))
        };
        self.received.iter().filter_map(named)
    }

    /// The votes as they are carried to nodes.
    pub fn carried(&self, approvers: &Approvers) -> Vec<Vote> {
        self.listed(approvers)
            .map(|(_, received)| received.vote.clone())
            .collect()
    }

    /// Counts anew. Returns true if the count changed.
    pub fn recount(&mut self, people: Electorate<'_>) -> bool {
        let said = self.said(people);
        let of = |choice| said.values().filter(|said| **said == choice).count() as u16;
        let count = Count {
            approved: of(Choice::Approve),
            rejected: of(Choice::Reject),
        };
        std::mem::replace(&mut self.count, count) != count
    }

    /// True once nodes are to be asked: enough people have approved, or the nodes will refuse
    /// because of a veto or because too many have rejected. The nodes' refusals are then on record
    /// with the votes.
    pub fn is_decided(&self, people: Electorate<'_>) -> bool {
        let said = self.said(people);
        let rejects = |name: &str| said.get(name) == Some(&Choice::Reject);
        let needed = usize::from(self.collect.votes);
        let approved = said.keys().filter(|name| !rejects(name)).count();
        let vetoed = said
            .keys()
            .any(|name| rejects(name) && people.approvers.has_veto(name));
        let may_approve =
            people.approvers.names().iter().filter(|name| {
                !people.approvers.orders_as(name, &people.requester) && !rejects(name)
            });
        let too_few = said.len() > approved && may_approve.count() < needed;
        approved >= needed || vetoed || too_few
    }

    /// Listed people who have not voted.
    pub fn missing(&self, approvers: &Approvers) -> Vec<String> {
        let voted: Vec<&str> = self.listed(approvers).map(|(name, _)| name).collect();
        let names = approvers.names().iter();
        names
            .filter(|name| !voted.contains(&name.as_str()))
            .cloned()
            .collect()
    }

    /// True if this very vote is here.
    pub fn has(&self, vote: &Vote) -> bool {
        self.received.iter().any(|known| known.vote == *vote)
    }

    /// The latest choice of a person; of two of the same time, the rejection.
    pub fn choice_of(&self, name: &str, approvers: &Approvers) -> Option<Choice> {
        let own = self.listed(approvers).filter(|(of, _)| *of == name);
        let latest = own.map(|(_, received)| received).max_by_key(order);
        latest.map(|received| received.vote.ballot().choice)
    }

    /// What counts of each person: the latest vote, unless it is an approval that has expired or of
    /// her own order.
    fn said<'a>(&self, people: Electorate<'a>) -> BTreeMap<&'a str, Choice> {
        let mut said = BTreeMap::new();
        for name in people.approvers.names() {
            let Some(choice) = self.choice_of(name, people.approvers) else {
                continue;
            };
            let counts = match choice {
                Choice::Reject => true,
                Choice::Approve => {
                    !people.approvers.orders_as(name, &people.requester)
                        && self.has_fresh_approval(name, people)
                }
            };
            if counts {
                said.insert(name.as_str(), choice);
            }
        }
        said
    }

    fn has_fresh_approval(&self, name: &str, people: Electorate<'_>) -> bool {
        self.listed(people.approvers).any(|(of, received)| {
            let ballot = received.vote.ballot();
            let end = ballot.time.0.saturating_add(people.approvers.max_age());
            of == name && ballot.choice == Choice::Approve && people.now.0 < end
        })
    }

    /// The count for people.
    pub fn collecting(&self) -> Collecting {
        Collecting {
            needed: self.collect.votes,
            approved: self.count.approved,
            rejected: self.count.rejected,
            until: self.collect.until,
        }
    }

    /// Forgets votes of keys that are not listed any more, so that there are never more than can be
    /// carried.
    pub fn forget_strangers(&mut self, is_listed: impl Fn(&ApproverId) -> bool) {
        self.received
            .retain(|received| is_listed(&received.vote.ballot().approver));
    }
}

/// Later votes come after earlier ones, and rejections after approvals of the same time.
fn order(received: &&Received) -> (UnixMillis, Choice) {
    let ballot = received.vote.ballot();
    (ballot.time, ballot.choice)
}
