//! Counts the votes on one task under one rule.
//!
//! Of each person the latest vote counts, whichever of her keys made it; a rejection wins over an
//! approval of the same millisecond. Only approvals expire. Rejections are verified first and all
//! of them, approvals only until there are enough: a further one changes nothing.

use std::collections::BTreeMap;

use countersign_conditions::Choice;
use countersign_protocol::{ApproverId, Hash, SignedTask, UnixMillis, Vote};
use countersign_sdk::Task;
use countersign_vote::{Checked, check, counter_went_back};

use crate::claim::{Ignored, Votes};
use crate::config::Config;
use crate::people::{Person, Set};
use crate::requirement::Requirement;
use crate::rule::Rule;
use crate::words::Words;

/// The maximum number of warnings in the log of one decision.
const MAX_WARNINGS: usize = 4;

/// The result of a count, with its reason as a sentence.
#[derive(Debug)]
pub enum Outcome {
    Approved(String),
    /// Too few have approved, and enough can still do so.
    Pending(String),
    /// Rejections decided.
    Rejected(String),
    /// Too few can approve at all.
    Impossible(String),
}

/// A count under way.
pub struct Count<'a> {
    config: &'a Config,
    rule: &'a Rule,
    /// Hash of the task's exact bytes, which votes sign.
    task: Hash,
    now: u64,
    /// Those whose order the task is.
    initiators: Set,
    /// The latest rejection of each person.
    rejected: BTreeMap<Person, UnixMillis>,
    /// Those who have approved since they last rejected, if they did.
    approved: Set,
    ignored: Ignored,
    genuine: Vec<Checked>,
}

impl<'a> Count<'a> {
    /// Begins the count for `task` at `now`, in milliseconds since 1970.
    pub fn new(config: &'a Config, rule: &'a Rule, task: &Task, now: u64) -> Self {
        Count {
            config,
            rule,
            task: SignedTask::hash_of(&task.raw),
            now,
            initiators: config.people.initiators(&task.requester),
            rejected: BTreeMap::new(),
            approved: Set::new(),
            ignored: Ignored::default(),
            genuine: Vec::new(),
        }
    }

    /// Counts the votes.
    pub fn judge(&mut self, votes: Votes) -> Outcome {
        let Some(requirement) = &self.rule.requirement else {
            return Outcome::Approved("it needs no votes".into());
        };
        let Votes {
            mut approvals,
            rejections,
            ignored,
        } = votes;
        self.ignored = ignored;
        for (person, vote) in rejections {
            self.reject(person, &vote);
        }
        // In a fixed order, so that the same votes give the same words. The latest come first.
        approvals.sort_by_key(|(person, vote)| {
            let time = std::cmp::Reverse(vote.ballot().time);
            (*person, time, vote.to_bytes())
        });
        let (answers, others): (Vec<_>, Vec<_>) = approvals
            .into_iter()
            .partition(|(person, _)| self.rejected.contains_key(person));
        for (person, vote) in answers {
            self.approve(person, &vote);
        }
        if let Some(reason) = self.rejected_at_once(requirement) {
            return Outcome::Rejected(reason);
        }
        let members = requirement.members();
        for (person, vote) in others {
            if requirement.is_met(&self.counted(requirement)) {
                break;
            }
            if !members.contains(&person) {
                self.ignored.add("by people whom the rule does not count");
            } else if self.is_excluded(person) {
                self.ignored.add("by the initiator");
            } else {
                self.approve(person, &vote);
            }
        }
        self.conclude(requirement)
    }

    /// Warnings about passkeys whose sign counter went back within these votes, a few of them.
    pub fn copies(&self) -> Vec<String> {
        let counted = self.genuine.iter().filter_map(|vote| {
            let ballot = vote.ballot();
            Some((ballot.approver, ballot.time, vote.sign_count()?))
        });
        let mut counted: Vec<_> = counted.collect();
        counted.sort_unstable();
        let pairs = counted.iter().zip(counted.iter().skip(1));
        let went_back = pairs.filter(|((one, _, earlier), (other, _, later))| {
            one == other && counter_went_back(*earlier, *later)
        });
        let warning = |(approver, earlier, later): (ApproverId, u32, u32)| {
            format!(
                "the sign counter of the passkey {approver} went from {earlier} to {later}: there may be a copy of it; ask its owner"
            )
        };
        went_back
            .take(MAX_WARNINGS)
            .map(|((approver, _, earlier), (_, _, later))| (*approver, *earlier, *later))
            .map(warning)
            .collect()
    }

    fn reject(&mut self, person: Person, vote: &Vote) {
        if let Some(genuine) = self.verify(vote) {
            let latest = self.rejected.entry(person).or_default();
            *latest = genuine.ballot().time.max(*latest);
        }
    }

    /// Counts an approval if it is in time, genuine, and later than the person's last rejection.
    fn approve(&mut self, person: Person, vote: &Vote) {
        let time = vote.ballot().time;
        if self.approved.contains(&person) {
            self.ignored.add("of people who have approved already");
        } else if self.rejected.get(&person).is_some_and(|last| time <= *last) {
            self.ignored.add("withdrawn by a rejection");
        } else if time.0 > self.now.saturating_add(Vote::MAX_SKEW_MS) {
            self.ignored.add("from the future");
        } else if self.now.saturating_sub(time.0) > self.rule.max_age {
            self.ignored.add("that have expired");
        } else if self.verify(vote).is_some() {
            self.approved.insert(person);
        }
    }

    fn verify(&mut self, vote: &Vote) -> Option<Checked> {
        match check(vote, &self.task, self.config.pages.as_ref()) {
            Ok(genuine) => {
                self.genuine.push(genuine);
                Some(genuine)
            }
            Err(error) => {
                self.ignored.add(error.name());
                None
            }
        }
    }

    fn is_excluded(&self, person: Person) -> bool {
        self.rule.initiator == Choice::Refuse && self.initiators.contains(&person)
    }

    /// Those who have rejected and not approved since.
    fn objectors(&self) -> Set {
        let rejected = self.rejected.keys().copied();
        rejected
            .filter(|person| !self.approved.contains(person))
            .collect()
    }

    /// Those whose approval counts under this rule.
    fn counted(&self, requirement: &Requirement) -> Set {
        let members = requirement.members();
        let approved = self.approved.intersection(&members).copied();
        approved
            .filter(|person| !self.is_excluded(*person))
            .collect()
    }

    fn rejected_at_once(&self, requirement: &Requirement) -> Option<String> {
        let words = Words(&self.config.people);
        let objectors = self.objectors();
        let vetoes: Set = objectors.intersection(&self.rule.veto).copied().collect();
        if !vetoes.is_empty() {
            return Some(format!(
                "{} rejected it and may do so alone; ask them why before ordering again",
                words.names(&vetoes)
            ));
        }
        let known: Set = requirement
            .members()
            .union(&self.rule.veto)
            .copied()
            .collect();
        let heard: Set = objectors.intersection(&known).copied().collect();
        self.rule
            .rejections
            .filter(|most| heard.len() >= *most)
            .map(|_| {
                format!(
                    "{} rejected it; ask them why before ordering again",
                    words.names(&heard)
                )
            })
    }

    fn conclude(&self, requirement: &Requirement) -> Outcome {
        let words = Words(&self.config.people);
        let approved = self.counted(requirement);
        let ignored = words.ignored(&self.ignored);
        if requirement.is_met(&approved) {
            return Outcome::Approved(format!("{} approved it{ignored}", words.names(&approved)));
        }
        let may_vote: Set = requirement
            .members()
            .into_iter()
            .filter(|person| !self.is_excluded(*person))
            .collect();
        let objectors = self.objectors();
        let willing: Set = may_vote.difference(&objectors).copied().collect();
        let needs = format!("it needs {}", requirement.text());
        if requirement.is_met(&willing) {
            let missing: Set = willing.difference(&approved).copied().collect();
            return Outcome::Pending(format!(
                "{needs}; {}; {} can still vote{ignored}",
                words.approved(&approved),
                words.names(&missing)
            ));
        }
        if requirement.is_met(&may_vote) {
            return Outcome::Rejected(format!(
                "{needs}, which cannot be had any more since {} rejected it; ask them why before ordering again",
                words.names(&may_vote.intersection(&objectors).copied().collect())
            ));
        }
        Outcome::Impossible(format!(
            "{needs}, which cannot be had without {}, whose order it is; let somebody else order it",
            words.names(&self.initiators)
        ))
    }
}
