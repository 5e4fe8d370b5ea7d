//! The claim `votes` of the question: a JSON array of votes, as the API has them.
//!
//! A node fills it with what the coordinator carried. New tasks cannot have a claim of that name.
//! One of an older task is read alike and can contain no genuine vote, since votes name the hash of
//! the task that the claim is part of.

use std::collections::BTreeMap;

use countersign_protocol::{Choice, Vote};
use countersign_sdk::{Origin, Task, json};
use serde_json::Value;

use crate::people::{People, Person};

/// The name of the claim.
pub const CLAIM: &str = Vote::CLAIM;
/// The maximum number of votes that a question may have.
pub const MAX_VOTES: usize = Vote::MAX_OF_TASK;

/// The votes of known approvers, not yet verified, and how many others there are.
#[derive(Debug, Default)]
pub struct Votes {
    pub approvals: Vec<(Person, Vote)>,
    pub rejections: Vec<(Person, Vote)>,
    pub ignored: Ignored,
}

/// Numbers of votes that do not count, by their reason.
#[derive(Debug, Default)]
pub struct Ignored(pub BTreeMap<&'static str, usize>);

/// The reason why no vote is looked at, as a sentence.
#[derive(Debug)]
pub enum Unreadable {
    TooMany(String),
    Malformed(String),
}

impl Ignored {
    /// Counts one vote.
    pub fn add(&mut self, why: &'static str) {
        *self.0.entry(why).or_default() += 1;
    }
}

impl Votes {
    /// Reads the votes of a question. A vote that cannot be read, or that no listed key made,
    /// ends nothing: it is counted.
    pub fn read(task: &Task, people: &People) -> Result<Self, Unreadable> {
        let claims = task
            .extra
            .iter()
            .filter(|said| said.name == CLAIM && said.origin == Origin::Claim);
        let written: Vec<&str> = claims.map(|said| said.value.as_str()).collect();
        let bytes: usize = written.iter().map(|text| text.len()).sum();
        if bytes > MAX_VOTES * Vote::MAX_JSON_BYTES {
            return Err(Unreadable::TooMany(format!(
                "the votes have {bytes} bytes, more than {MAX_VOTES} of them can have; find out who sends so many"
            )));
        }
        let mut values: Vec<Value> = Vec::new();
        for text in written {
            let more: Vec<Value> = json::strict(text.as_bytes()).map_err(|error| {
                Unreadable::Malformed(format!(
                    "the claim `{CLAIM}` is not a list of votes ({error}); remove it from the task, or update the node"
                ))
            })?;
            values.extend(more);
        }
        if values.len() > MAX_VOTES {
            return Err(Unreadable::TooMany(format!(
                "there are {} votes, at most {MAX_VOTES} are looked at; find out who sends so many",
                values.len()
            )));
        }
        let mut votes = Self::default();
        let mut known: Vec<Vote> = Vec::new();
        for value in values {
            let Ok(vote) = serde_json::from_value::<Vote>(value) else {
                votes.ignored.add("that cannot be read");
                continue;
            };
            if !known.contains(&vote) {
                votes.sort_in(people.with_key(&vote.ballot().approver), vote.clone());
                known.push(vote);
            }
        }
        Ok(votes)
    }

    fn sort_in(&mut self, person: Option<Person>, vote: Vote) {
        let Some(person) = person else {
            return self.ignored.add("by unknown approvers");
        };
        match vote.ballot().choice {
            Choice::Approve => self.approvals.push((person, vote)),
            Choice::Reject => self.rejections.push((person, vote)),
        }
    }
}
