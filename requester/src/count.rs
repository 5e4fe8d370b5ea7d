//! The count of the votes on a task: each is checked here, whatever the coordinator says.

use std::collections::BTreeMap;

use countersign_api::{Collecting, Open, VoteView};
use countersign_protocol::task::Collect;
use countersign_protocol::{ApproverId, Choice, Hash, RequesterId, TaskId, UnixMillis, Vote};
use countersign_vote::{CheckError, RelyingParty};
use serde::Deserialize;

/// Votes that are read of one task: an approval and a rejection of each key.
const MAX_VOTES: usize = 2 * Vote::MAX_OF_TASK;
/// Characters to which a name that the coordinator tells is cut.
const NAME: usize = 64;

/// People by name, with the ids of their keys.
pub type People = BTreeMap<String, Vec<ApproverId>>;

/// The verified order that is voted on.
#[derive(Debug, Clone, Copy)]
pub struct Ordered {
    /// The task.
    pub task: TaskId,
    /// The hash that every vote on it names.
    pub hash: Hash,
    /// Who ordered it.
    pub requester: RequesterId,
    /// What it asks for.
    pub collect: Collect,
}

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

/// The votes on a task. Votes prove themselves. Whose key is whose is known from the profile if it
/// lists approvers, and is else the coordinator's word, as are who is missing and its own count.
#[derive(Debug)]
pub struct Count {
    /// The task.
    pub task: TaskId,
    /// The hash that every vote on it names.
    pub hash: Hash,
    /// What the order asks for.
    pub collect: Collect,
    /// True if the names are those of the profile. Else they are the coordinator's.
    pub named_here: bool,
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
    /// The approver's name. Absent if the vote cannot be read, or if the profile lists approvers
    /// and this key is not theirs.
    pub name: Option<String>,
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
    /// It approves and is genuine, but made in the future. A rejection counts whatever its time.
    Early,
    /// It approves and is genuine, but its person has ordered the task. Nodes do not count it,
    /// unless a rule says otherwise.
    Own,
    /// It is genuine, but the profile lists approvers, and nobody among them has this key.
    Unlisted,
    /// It is forged, or for another task.
    Forged(CheckError),
    /// It has a form that this version does not know.
    Unreadable,
}

/// What became of a vote that was handed in, by the list that answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It is listed, and its key has made no newer one.
    Listed,
    /// Its key said the same shortly before, so that nobody takes it and nobody needs it.
    Known,
    /// Its key has made a newer one, which counts instead.
    NotNewest,
    /// It is not listed. Whoever took it may still hand it on.
    NotListed,
}

impl Count {
    /// Checks each vote that is told of this task. `pages` may collect votes of passkeys, and only
    /// keys of `people` count, if there is such a list.
    pub fn new(
        ordered: Ordered,
        told: ToldVotes,
        (pages, people): (Option<&RelyingParty>, Option<&People>),
        now: UnixMillis,
    ) -> Result<Self, NotTheVotes> {
        let Ordered {
            task,
            hash,
            requester: _,
            collect,
        } = ordered;
        if told.task != task || told.hash != hash {
            return Err(NotTheVotes::OtherTask);
        }
        if told.votes.len() > MAX_VOTES {
            return Err(NotTheVotes::Many);
        }
        let judged = told.votes.into_iter().map(|one| match one {
            Open::Known(view) => Judged {
                finding: judge(&view.vote, &ordered, (pages, people), now),
                name: match people {
                    Some(people) => owner(people, &view.vote.ballot().approver),
                    None => Some(cut(&view.name)),
                },
                vote: Some(view.vote),
            },
            Open::Unknown(_) => Judged {
                name: None,
                vote: None,
                finding: Finding::Unreadable,
            },
        });
        Ok(Self {
            task,
            hash,
            collect,
            named_here: people.is_some(),
            votes: judged.collect(),
            missing: told.missing.iter().map(|name| cut(name)).collect(),
            told: told.collecting,
        })
    }

    /// The number of those whose latest genuine vote approves: people of the profile, or keys if it
    /// lists none.
    pub fn approved(&self) -> usize {
        self.with(Choice::Approve)
    }

    /// The number of those whose latest genuine vote rejects.
    pub fn rejected(&self) -> usize {
        self.with(Choice::Reject)
    }

    /// True if exactly this vote is listed, and proves itself.
    pub fn has(&self, vote: &Vote) -> bool {
        self.proven().any(|listed| listed == vote)
    }

    /// The time and choice of the newest vote of this key, in the future or not. A rejection wins
    /// over an approval of the same millisecond.
    pub fn newest(&self, approver: &ApproverId) -> Option<(UnixMillis, Choice)> {
        let own = self
            .proven()
            .filter(|vote| vote.ballot().approver == *approver);
        own.map(|vote| (vote.ballot().time, vote.ballot().choice))
            .max()
    }

    /// What became of a vote on this task.
    pub fn arrival(&self, vote: &Vote) -> Arrival {
        let ballot = vote.ballot();
        let said = (ballot.time, ballot.choice);
        let repeats = |(time, choice): (UnixMillis, Choice)| {
            choice == ballot.choice && ballot.time.0 < time.0.saturating_add(Vote::PAUSE_MS)
        };
        match self.newest(&ballot.approver) {
            Some(newest) if newest > said => Arrival::NotNewest,
            Some(_) if self.has(vote) => Arrival::Listed,
            Some(newest) if repeats(newest) => Arrival::Known,
            Some(_) | None => Arrival::NotListed,
        }
    }

    /// Votes that their keys made on this task, whether they count or not.
    fn proven(&self) -> impl Iterator<Item = &Vote> {
        let proven = self.votes.iter().filter(|one| match one.finding {
            Finding::Genuine | Finding::Early | Finding::Own | Finding::Unlisted => true,
            Finding::Passkey | Finding::Forged(_) | Finding::Unreadable => false,
        });
        proven.filter_map(|one| one.vote.as_ref())
    }

    /// A person of the profile counts once, with whichever key. A coordinator could give any name
    /// to any key, so under its names each key counts once. The latest vote counts; a rejection
    /// wins over an approval of the same millisecond. Whoever ordered takes a rejection back by an
    /// approval, which then does not count itself.
    fn with(&self, choice: Choice) -> usize {
        let mut latest: BTreeMap<Voter<'_>, (UnixMillis, Choice, bool)> = BTreeMap::new();
        for one in &self.votes {
            let counts = match one.finding {
                Finding::Genuine => true,
                Finding::Own => false,
                Finding::Early
                | Finding::Unlisted
                | Finding::Passkey
                | Finding::Forged(_)
                | Finding::Unreadable => continue,
            };
            let Some(vote) = &one.vote else { continue };
            let ballot = vote.ballot();
            let voter = match &one.name {
                Some(name) if self.named_here => Voter::Person(name),
                Some(_) | None => Voter::Key(ballot.approver),
            };
            let said = (ballot.time, ballot.choice, counts);
            let last = latest.entry(voter).or_insert(said);
            *last = said.max(*last);
        }
        let said = |last: &(UnixMillis, Choice, bool)| last.1 == choice && last.2;
        latest.into_values().filter(said).count()
    }
}

/// Who counts once.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Voter<'a> {
    Person(&'a str),
    Key(ApproverId),
}

/// The person who has this key.
pub(crate) fn owner(people: &People, key: &ApproverId) -> Option<String> {
    let mut people = people.iter();
    people
        .find(|(_, keys)| keys.contains(key))
        .map(|(name, _)| name.clone())
}

fn cut(name: &str) -> String {
    name.chars().take(NAME).collect()
}

/// True if the key's person has ordered the task: with this key, or with another one of hers.
fn has_ordered(people: Option<&People>, key: &ApproverId, requester: &RequesterId) -> bool {
    let own = people.and_then(|people| people.values().find(|keys| keys.contains(key)));
    requester.is(key) || own.is_some_and(|keys| keys.iter().any(|one| requester.is(one)))
}

fn judge(
    vote: &Vote,
    ordered: &Ordered,
    (pages, people): (Option<&RelyingParty>, Option<&People>),
    now: UnixMillis,
) -> Finding {
    let ballot = vote.ballot();
    let approves = ballot.choice == Choice::Approve;
    let early = ballot.time.0 > now.0.saturating_add(Vote::MAX_SKEW_MS);
    let unlisted = people.is_some_and(|people| owner(people, &ballot.approver).is_none());
    match countersign_vote::check(vote, &ordered.hash, pages) {
        Ok(_) if unlisted => Finding::Unlisted,
        // A rejection counts at once, and everybody may reject.
        Ok(_) if approves && early => Finding::Early,
        Ok(_) if approves && has_ordered(people, &ballot.approver, &ordered.requester) => {
            Finding::Own
        }
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
    /// The seed of the requester's key.
    const REQUESTER: u8 = 99;

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
        read_as(told, (pages, None))
    }

    fn read_as(
        told: Value,
        known: (Option<&RelyingParty>, Option<&People>),
    ) -> Result<Count, NotTheVotes> {
        let collect = Collect {
            votes: 2,
            until: UnixMillis(NOW + 1000),
        };
        let ordered = Ordered {
            task: TASK,
            hash: HASH,
            requester: RequesterId::new(*Key::new(REQUESTER).id().key()).unwrap(),
            collect,
        };
        let told = serde_json::from_value(told).unwrap();
        Count::new(ordered, told, known, UnixMillis(NOW))
    }

    /// The count under the coordinator's names.
    fn counted(votes: &[(&str, Vote)]) -> (usize, usize) {
        let count = read(told(votes)).unwrap();
        assert!(!count.named_here);
        (count.approved(), count.rejected())
    }

    /// The count with a profile in which ann has the keys 1 and 2, and bob 3.
    fn counted_here(votes: &[(&str, Vote)]) -> (usize, usize) {
        let people = people();
        let count = read_as(told(votes), (None, Some(&people))).unwrap();
        assert!(count.named_here);
        (count.approved(), count.rejected())
    }

    fn people() -> People {
        let id = |seed| Key::new(seed).id();
        [
            ("ann".to_owned(), vec![id(1), id(2)]),
            ("bob".to_owned(), vec![id(3)]),
        ]
        .into()
    }

    #[test]
    fn a_person_counts_once_with_the_latest_vote_and_a_rejection_wins_a_tie() {
        let ann = |choice, time| ("ann", Key::new(1).vote(HASH, choice, time));
        let ann_too = |choice, time| ("ann", Key::new(2).vote(HASH, choice, time));
        let bob = |choice, time| ("bob", Key::new(3).vote(HASH, choice, time));
        let yes = Choice::Approve;
        let no = Choice::Reject;
        assert_eq!(counted_here(&[]), (0, 0));
        assert_eq!(counted_here(&[ann(yes, NOW), bob(yes, NOW)]), (2, 0));
        assert_eq!(counted_here(&[ann(yes, NOW), ann_too(yes, NOW)]), (1, 0));
        assert_eq!(counted_here(&[ann(yes, NOW), ann(no, NOW - 1)]), (1, 0));
        assert_eq!(counted_here(&[ann(yes, NOW - 1), ann(no, NOW)]), (0, 1));
        assert_eq!(counted_here(&[ann(no, NOW), ann_too(yes, NOW)]), (0, 1));
        assert_eq!(counted_here(&[ann(yes, NOW), bob(no, NOW)]), (1, 1));
    }

    #[test]
    fn a_key_under_two_names_is_one_person() {
        let key = Key::new(1);
        let votes = [
            ("ann", key.vote(HASH, Choice::Approve, NOW - 1)),
            ("bob", key.vote(HASH, Choice::Approve, NOW)),
        ];
        assert_eq!(counted(&votes), (1, 0));
        assert_eq!(counted_here(&votes), (1, 0));
    }

    #[test]
    fn a_key_that_is_not_in_the_profile_does_not_count_whatever_it_is_called() {
        let vote = |seed| Key::new(seed).vote(HASH, Choice::Approve, NOW);
        let votes = [("ann", vote(8)), ("bob", vote(9)), ("mallory", vote(1))];
        assert_eq!(counted(&votes), (3, 0));
        assert_eq!(counted_here(&votes), (1, 0));
        let people = people();
        let count = read_as(told(&votes), (None, Some(&people))).unwrap();
        let shown = count.votes.iter().map(|one| one.name.as_deref());
        assert_eq!(shown.collect::<Vec<_>>(), [None, None, Some("ann")]);
        assert_eq!(count.votes[0].finding, Finding::Unlisted);
    }

    #[test]
    fn a_name_that_the_coordinator_tells_is_cut() {
        let long = "n".repeat(1000);
        let mut told = told(&[(long.as_str(), Key::new(1).vote(HASH, Choice::Approve, NOW))]);
        told["missing"] = json!([long]);
        let count = read(told).unwrap();
        assert_eq!(count.votes[0].name.as_ref().unwrap().len(), NAME);
        assert_eq!(count.missing[0].len(), NAME);
    }

    #[test]
    fn the_newest_vote_of_a_key_is_found_and_no_other_passes_for_it() {
        let key = Key::new(1);
        let old = key.vote(HASH, Choice::Approve, NOW - 5);
        let new = key.vote(HASH, Choice::Approve, NOW);
        let veto = key.vote(HASH, Choice::Reject, NOW);
        let other = Key::new(2).vote(HASH, Choice::Reject, NOW + 9);
        let count = read(told(&[("ann", old.clone()), ("bob", other)])).unwrap();
        assert!(count.has(&old) && !count.has(&new));
        let newest = count.newest(&key.id());
        assert_eq!(newest, Some((UnixMillis(NOW - 5), Choice::Approve)));
        let count = read(told(&[("ann", veto), ("ann", new)])).unwrap();
        let newest = count.newest(&key.id());
        assert_eq!(newest, Some((UnixMillis(NOW), Choice::Reject)));
        assert_eq!(count.newest(&Key::new(3).id()), None);
    }

    #[test]
    fn a_vote_has_arrived_if_it_is_listed_and_is_the_newest_of_its_key() {
        let key = Key::new(1);
        let yes = |time| key.vote(HASH, Choice::Approve, time);
        let no = |time| key.vote(HASH, Choice::Reject, time);
        let others = Key::new(2).vote(HASH, Choice::Reject, NOW + 9);
        let before = NOW - Vote::PAUSE_MS;
        for (vote, listed, expected) in [
            (yes(NOW), vec![yes(NOW)], Arrival::Listed),
            (no(NOW), vec![yes(NOW), no(NOW)], Arrival::Listed),
            (yes(NOW), vec![no(before), yes(NOW)], Arrival::Listed),
            (yes(NOW), vec![yes(before + 1)], Arrival::Known),
            (yes(NOW), vec![yes(before)], Arrival::NotListed),
            (no(NOW), vec![yes(before + 1)], Arrival::NotListed),
            (no(NOW), vec![], Arrival::NotListed),
            (no(NOW), vec![no(NOW), yes(NOW + 1)], Arrival::NotNewest),
            (yes(NOW), vec![yes(NOW), no(NOW)], Arrival::NotNewest),
            (yes(NOW), vec![yes(NOW + 1)], Arrival::NotNewest),
        ] {
            let listed = listed.into_iter().map(|vote| ("ann", vote));
            let listed: Vec<_> = listed.chain([("bob", others.clone())]).collect();
            let count = read(told(&listed)).unwrap();
            assert_eq!(count.arrival(&vote), expected, "{listed:?}");
        }
    }

    #[test]
    fn a_rejection_counts_whatever_the_clock_of_whoever_made_it() {
        let later = NOW + Vote::MAX_SKEW_MS + 1;
        let yes = Key::new(1).vote(HASH, Choice::Approve, NOW);
        let no = Key::new(1).vote(HASH, Choice::Reject, later);
        assert_eq!(
            counted(&[("ann", yes.clone()), ("ann", no.clone())]),
            (0, 1)
        );
        assert_eq!(counted_here(&[("ann", yes), ("ann", no)]), (0, 1));
    }

    #[test]
    fn whoever_ordered_can_reject_and_not_approve_with_whichever_key() {
        let vote = |seed, choice| ("ann", Key::new(seed).vote(HASH, choice, NOW));
        let ann = [REQUESTER, 4].map(|seed| Key::new(seed).id());
        let people: People = [("ann".to_owned(), ann.to_vec())].into();
        let counted = |seed, choice, people| {
            let count = read_as(told(&[vote(seed, choice)]), (None, people)).unwrap();
            (count.approved(), count.rejected())
        };
        let yes = Choice::Approve;
        let no = Choice::Reject;
        for seed in [REQUESTER, 4] {
            assert_eq!(counted(seed, yes, Some(&people)), (0, 0), "{seed}");
            assert_eq!(counted(seed, no, Some(&people)), (0, 1), "{seed}");
        }
        // Nobody here says whose the other key is.
        assert_eq!(counted(REQUESTER, yes, None), (0, 0));
        assert_eq!(counted(4, yes, None), (1, 0));
        let later = ("ann", Key::new(REQUESTER).vote(HASH, yes, NOW + 1));
        let taken_back = read(told(&[vote(REQUESTER, no), later])).unwrap();
        assert_eq!((taken_back.approved(), taken_back.rejected()), (0, 0));
        let own = vote(REQUESTER, yes).1;
        let count = read(told(&[("ann", own.clone())])).unwrap();
        assert_eq!(count.votes[0].finding, Finding::Own);
        assert_eq!(count.arrival(&own), Arrival::Listed);
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
            let proven = expected == Finding::Early;
            assert_eq!(count.has(&vote), proven, "{expected:?}");
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
