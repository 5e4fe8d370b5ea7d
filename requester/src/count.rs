//! The count of the votes on a task: each is checked here, whatever the coordinator says.

use std::collections::BTreeMap;

use countersign_api::{Collecting, Open, VoteView};
use countersign_protocol::task::Collect;
use countersign_protocol::{ApproverId, Choice, Hash, TaskId, UnixMillis, Vote};
use countersign_vote::{CheckError, RelyingParty};
use serde::Deserialize;

/// Votes that are read of one task: an approval and a rejection of each key.
const MAX_VOTES: usize = 2 * Vote::MAX_OF_TASK;

/// The votes on a task as a coordinator tells them. Nothing of it is believed.
#[derive(Debug, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of `VoteList`")]
pub struct ToldVotes {
    pub task: TaskId,
    pub hash: Hash,
    #[serde(default)]
    pub collecting: Option<Collecting>,
    /// A vote of a later version does not keep anybody from reading the others.
    pub votes: Vec<Open<VoteView>>,
    pub missing: Vec<String>,
}

/// Why what a coordinator tells is not a list of the votes on a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotTheVotes {
    /// They are on another task.
    #[error("its votes are on another task")]
    OtherTask,
    /// There are more than a task can have.
    #[error("it has more than {MAX_VOTES} votes")]
    Many,
}

/// The votes on a task. Votes prove themselves; whose key is whose, who is missing and how many the
/// coordinator counts is its word.
#[derive(Debug)]
pub struct Count {
    /// The task.
    pub task: TaskId,
    /// The hash that every vote on it names.
    pub hash: Hash,
    /// What the order asks for.
    pub collect: Collect,
    /// In the order of arrival.
    pub votes: Vec<Judged>,
    /// Names of those who have not voted.
    pub missing: Vec<String>,
    /// The coordinator's own count.
    pub told: Option<Collecting>,
}

/// A vote with what was found out about it.
#[derive(Debug)]
pub struct Judged {
    /// The approver's name. Empty if the vote cannot be read.
    pub name: String,
    /// The vote; absent if it cannot be read.
    pub vote: Option<Vote>,
    /// Whether it counts here.
    pub finding: Finding,
}

/// Whether a vote counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It is genuine, and for this task.
    Genuine,
    /// It was made by a passkey, and the profile names no pages that may collect such votes, so
    /// that it can neither be believed nor be called forged. Nodes verify it.
    Passkey,
    /// It is genuine, but made in the future.
    Early,
    /// It is forged, or for another task.
    Forged(CheckError),
    /// It has a form that this version does not know.
    Unreadable,
}

impl Count {
    /// Checks each vote that is told of this task, whose order is verified. `pages` may collect
    /// votes of passkeys.
    pub fn new(
        (task, hash): (TaskId, Hash),
        collect: Collect,
        told: ToldVotes,
        pages: Option<&RelyingParty>,
        now: UnixMillis,
    ) -> Result<Self, NotTheVotes> {
        if told.task != task || told.hash != hash {
            return Err(NotTheVotes::OtherTask);
        }
        if told.votes.len() > MAX_VOTES {
            return Err(NotTheVotes::Many);
        }
        let judged = told.votes.into_iter().map(|one| match one {
            Open::Known(view) => Judged {
                finding: judge(&view.vote, &hash, pages, now),
                name: view.name,
                vote: Some(view.vote),
            },
            Open::Unknown(_) => Judged {
                name: String::new(),
                vote: None,
                finding: Finding::Unreadable,
            },
        });
        Ok(Self {
            task,
            hash,
            collect,
            votes: judged.collect(),
            missing: told.missing,
            told: told.collecting,
        })
    }

    /// The number of people whose latest genuine vote approves.
    pub fn approved(&self) -> usize {
        self.people(Choice::Approve)
    }

    /// The number of people whose latest genuine vote rejects.
    pub fn rejected(&self) -> usize {
        self.people(Choice::Reject)
    }

    /// True if a genuine vote of this approver with this choice is among them.
    pub fn has(&self, approver: &ApproverId, choice: Choice) -> bool {
        let mut genuine = self.genuine();
        genuine
            .any(|(_, vote)| vote.ballot().approver == *approver && vote.ballot().choice == choice)
    }

    fn genuine(&self) -> impl Iterator<Item = (&str, &Vote)> {
        let genuine = self
            .votes
            .iter()
            .filter(|one| one.finding == Finding::Genuine);
        genuine.filter_map(|one| Some((one.name.as_str(), one.vote.as_ref()?)))
    }

    /// A person counts once, and so does a key, under however many names it is told. The latest
    /// vote counts; a rejection wins over an approval of the same millisecond.
    fn people(&self, choice: Choice) -> usize {
        let mut names: BTreeMap<ApproverId, &str> = BTreeMap::new();
        let mut latest: BTreeMap<&str, (UnixMillis, Choice)> = BTreeMap::new();
        for (name, vote) in self.genuine() {
            let ballot = vote.ballot();
            let person = *names.entry(ballot.approver).or_insert(name);
            let said = (ballot.time, ballot.choice);
            let last = latest.entry(person).or_insert(said);
            *last = said.max(*last);
        }
        latest.values().filter(|(_, last)| *last == choice).count()
    }
}

fn judge(vote: &Vote, task: &Hash, pages: Option<&RelyingParty>, now: UnixMillis) -> Finding {
    let early = vote.ballot().time.0 > now.0.saturating_add(Vote::MAX_SKEW_MS);
    match countersign_vote::check(vote, task, pages) {
        Ok(_) if early => Finding::Early,
        Ok(_) => Finding::Genuine,
        Err(CheckError::NoPasskeys) => Finding::Passkey,
        Err(error) => Finding::Forged(error),
    }
}

#[cfg(test)]
mod tests {
    use countersign_protocol::Proof;
    use countersign_protocol::evidence::Signature;
    use countersign_vote::testing::{Key, ORIGIN, Passkey, RP_ID};
    use serde_json::{Value, json};

    use super::*;

    const NOW: u64 = 1_764_500_000_000;
    const TASK: TaskId = TaskId([1; 16]);
    const HASH: Hash = Hash([2; 32]);

    fn told(votes: &[(&str, Vote)]) -> Value {
        let view =
            |(name, vote): &(&str, Vote)| json!({"name": name, "received": NOW, "vote": vote});
        let votes: Vec<Value> = votes.iter().map(view).collect();
        json!({"task": TASK, "hash": HASH, "votes": votes, "missing": ["erin"]})
    }

    fn read(told: Value) -> Result<Count, NotTheVotes> {
        read_with(told, None)
    }

    fn read_with(told: Value, pages: Option<&RelyingParty>) -> Result<Count, NotTheVotes> {
        let collect = Collect {
            votes: 2,
            until: UnixMillis(NOW + 1000),
        };
        let told = serde_json::from_value(told).unwrap();
        Count::new((TASK, HASH), collect, told, pages, UnixMillis(NOW))
    }

    fn counted(votes: &[(&str, Vote)]) -> (usize, usize) {
        let count = read(told(votes)).unwrap();
        (count.approved(), count.rejected())
    }

    #[test]
    fn a_person_counts_once_with_the_latest_vote_and_a_rejection_wins_a_tie() {
        let ann = |choice, time| ("ann", Key::new(1).vote(HASH, choice, time));
        let ann_too = |choice, time| ("ann", Key::new(2).vote(HASH, choice, time));
        let bob = |choice, time| ("bob", Key::new(3).vote(HASH, choice, time));
        let yes = Choice::Approve;
        let no = Choice::Reject;
        assert_eq!(counted(&[]), (0, 0));
        assert_eq!(counted(&[ann(yes, NOW), bob(yes, NOW)]), (2, 0));
        assert_eq!(counted(&[ann(yes, NOW), ann_too(yes, NOW)]), (1, 0));
        assert_eq!(counted(&[ann(yes, NOW), ann(no, NOW - 1)]), (1, 0));
        assert_eq!(counted(&[ann(yes, NOW - 1), ann(no, NOW)]), (0, 1));
        assert_eq!(counted(&[ann(no, NOW), ann_too(yes, NOW)]), (0, 1));
        assert_eq!(counted(&[ann(yes, NOW), bob(no, NOW)]), (1, 1));
    }

    #[test]
    fn a_key_under_two_names_is_one_person() {
        let key = Key::new(1);
        let votes = [
            ("ann", key.vote(HASH, Choice::Approve, NOW - 1)),
            ("bob", key.vote(HASH, Choice::Approve, NOW)),
        ];
        assert_eq!(counted(&votes), (1, 0));
    }

    #[test]
    fn a_vote_that_is_not_genuine_is_shown_as_that_and_not_counted() {
        let genuine = Key::new(1).vote(HASH, Choice::Approve, NOW);
        let signed = |vote: &Vote| match vote.proof() {
            Proof::Ed25519(signature) => signature.0,
            Proof::Passkey(_) => panic!("it is an Ed25519 key's"),
        };
        let mut altered = signed(&genuine);
        altered[0] ^= 1;
        let forged = Vote::new(*genuine.ballot(), Proof::Ed25519(Signature(altered))).unwrap();
        let mut turned = *genuine.ballot();
        turned.choice = Choice::Reject;
        let turned = Vote::new(turned, genuine.proof().clone()).unwrap();
        let mut stolen = *genuine.ballot();
        stolen.approver = Key::new(2).id();
        let stolen = Vote::new(stolen, genuine.proof().clone()).unwrap();
        let moved = Key::new(1).vote(Hash([3; 32]), Choice::Approve, NOW);
        let early = Key::new(1).vote(HASH, Choice::Approve, NOW + Vote::MAX_SKEW_MS + 1);
        let passkey = Passkey::new(1).vote(HASH, Choice::Approve, NOW);
        for (vote, expected) in [
            (forged, Finding::Forged(CheckError::Signature)),
            (turned, Finding::Forged(CheckError::Signature)),
            (stolen, Finding::Forged(CheckError::Signature)),
            (moved, Finding::Forged(CheckError::OtherTask)),
            (early, Finding::Early),
            (passkey, Finding::Passkey),
        ] {
            let count = read(told(&[("bob", vote.clone())])).unwrap();
            assert_eq!(count.votes[0].finding, expected);
            assert_eq!((count.approved(), count.rejected()), (0, 0), "{expected:?}");
            assert!(!count.has(&vote.ballot().approver, vote.ballot().choice));
        }
        assert_eq!(counted(&[("bob", genuine)]), (1, 0));
    }

    #[test]
    fn a_vote_of_a_passkey_counts_if_it_was_made_on_a_page_of_the_profile() {
        let vote = Passkey::new(1).vote(HASH, Choice::Approve, NOW);
        for (id, origin, approved) in [
            (RP_ID, ORIGIN, 1),
            (RP_ID, "https://other.treasury.example", 0),
            ("other.example", "https://other.example", 0),
        ] {
            let pages = RelyingParty::new(id, [origin]).unwrap();
            let count = read_with(told(&[("ann", vote.clone())]), Some(&pages)).unwrap();
            assert_eq!(count.approved(), approved, "{origin}");
            let forged = matches!(count.votes[0].finding, Finding::Forged(_));
            assert_eq!(forged, approved == 0, "{origin}");
        }
    }

    #[test]
    fn a_vote_of_a_later_version_does_not_hide_the_others() {
        let mut told = told(&[("ann", Key::new(1).vote(HASH, Choice::Approve, NOW))]);
        let later = json!({"name": "bob", "received": NOW, "vote": {"version": 2}});
        told["votes"].as_array_mut().unwrap().insert(0, later);
        let count = read(told).unwrap();
        assert_eq!(count.votes[0].finding, Finding::Unreadable);
        assert_eq!(count.approved(), 1);
    }

    #[test]
    fn votes_on_another_task_or_without_end_are_no_answer() {
        for (field, other) in [
            ("task", json!(TaskId([9; 16]))),
            ("hash", json!(Hash([9; 32]))),
        ] {
            let mut told = told(&[]);
            told[field] = other;
            assert_eq!(read(told).unwrap_err(), NotTheVotes::OtherTask, "{field}");
        }
        let vote = Key::new(1).vote(HASH, Choice::Approve, NOW);
        let many = vec![("ann", vote); MAX_VOTES + 1];
        assert!(read(told(&many[1..])).is_ok());
        assert_eq!(read(told(&many)).unwrap_err(), NotTheVotes::Many);
    }
}
