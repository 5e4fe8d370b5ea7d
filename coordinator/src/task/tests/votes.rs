//! Pending: a task that collects votes is offered once they are there, and not before.

use countersign_protocol::{Choice, Collect, Vote};
use countersign_vote::testing::Key;

use super::*;
use crate::approvers::testing::people;

const UNTIL: u64 = T0 + 300_000;
const VOTED: [(usize, &str); 2] = [(0, "offer with votes"), (1, "offer with votes")];

/// A KeySign by the first two nodes that collects this many votes. `ann`, `ben` and `cid` have the
/// keys with the seeds 1 to 3, and `dora` that with 4 and a veto.
fn collecting(votes: u16) -> Play {
    let signers = nodes()[..2].to_vec();
    let mut order = task(1, UnixMillis(T0), keysign(wallet().key, Some(signers)));
    order.collect = Some(Collect {
        votes,
        until: UnixMillis(UNTIL),
    });
    let mut play = Play::of(&order, Some(wallet()));
    play.approvers = people(
        &[("ann", 1), ("ben", 2), ("cid", 3), ("dora", 4)],
        &["dora"],
    );
    play.act([On(0), On(1)])
}

impl Play {
    fn vote(mut self, seed: u8, choice: Choice) -> Self {
        let key = Key::new(seed);
        let vote = key.vote(self.flow.hash(), choice, self.now);
        self.cast(vote);
        self
    }

    fn cast(&mut self, vote: Vote) {
        self.step(Input::Vote(Box::new(vote)));
    }

    /// The names of those whose votes are carried, each with the choice.
    fn carried(&self) -> Vec<(String, Choice)> {
        let votes = self.flow.record.votes.as_ref().unwrap();
        let said = votes.listed(&self.approvers);
        said.map(|(name, vote)| (name.to_owned(), vote.vote.ballot().choice))
            .collect()
    }
}

#[test]
fn a_task_that_collects_votes_is_offered_with_them_once_enough_people_approved() {
    let mut play = collecting(2);
    assert_eq!(play.look(), (State::Pending, "", vec![]));
    play = play.vote(1, Choice::Approve);
    assert_eq!(play.look(), (State::Pending, "", vec![]));
    play = play.vote(2, Choice::Approve).act([Wait(0)]);
    assert_eq!(play.look(), (State::Approving, "", VOTED.to_vec()));
    let both = ["ann", "ben"].map(|name| (name.to_owned(), Choice::Approve));
    assert_eq!(play.carried(), both);
    play = play.act([Yes(0), Yes(1)]);
    assert_eq!(play.look(), (State::Running, "", STARTS.to_vec()));
}

#[test]
fn a_person_counts_once_whatever_she_signs() {
    let mut play = collecting(2);
    play.approvers = crate::approvers::testing::with_keys(&[("ann", &[1, 5]), ("ben", &[2])], &[]);
    play = play
        .vote(1, Choice::Approve)
        .vote(5, Choice::Approve)
        .vote(1, Choice::Approve)
        .act([Wait(1)]);
    assert_eq!(play.look(), (State::Pending, "", vec![]));
    play = play.vote(2, Choice::Approve).act([Wait(0)]);
    assert_eq!(play.look().0, State::Approving);
}

#[test]
fn the_latest_vote_of_a_person_counts_and_a_late_older_one_changes_nothing() {
    let mut play = collecting(2).vote(1, Choice::Approve);
    let hash = play.flow.hash();
    let early = play.now;
    play = play.act([Wait(5)]).vote(1, Choice::Reject);
    let revision = play.flow.record.revision;
    play.cast(Key::new(1).vote(hash, Choice::Approve, early - 1));
    assert_eq!(play.flow.record.revision, revision);
    play = play.vote(2, Choice::Approve).act([Wait(1)]);
    assert_eq!(play.look().0, State::Pending, "ann has rejected");
    play = play.vote(1, Choice::Approve).act([Wait(0)]);
    assert_eq!(play.look().0, State::Approving, "and approves again");
    assert_eq!(play.carried().len(), 3, "her rejection is carried, too");
}

#[test]
fn a_rejection_with_a_veto_has_the_nodes_refuse_at_once() {
    let mut play = collecting(3).vote(4, Choice::Reject).act([Wait(0)]);
    assert_eq!(play.look(), (State::Approving, "", VOTED.to_vec()));
    assert_eq!(play.carried(), [("dora".to_owned(), Choice::Reject)]);
    play = play.act([No(0)]);
    assert_eq!(play.look().0, State::Rejected);
}

#[test]
fn rejections_that_leave_too_few_have_the_nodes_refuse_at_once() {
    let mut play = collecting(3).vote(1, Choice::Reject).act([Wait(0)]);
    assert_eq!(play.look().0, State::Pending, "three are left");
    play = play.vote(2, Choice::Reject).act([Wait(0)]);
    assert_eq!(play.look().0, State::Approving, "two are left");
}

#[test]
fn a_task_expires_at_the_end_of_its_vote_and_no_vote_comes_later() {
    let mut play = collecting(2).vote(1, Choice::Approve).act([Wait(299)]);
    assert_eq!(play.look().0, State::Pending);
    play = play.act([Wait(1)]);
    assert_eq!(play.look(), (State::Expired, "expired", vec![]));
    play = play.vote(2, Choice::Approve).act([Wait(0)]);
    assert_eq!(play.look(), (State::Expired, "expired", vec![]));
    assert_eq!(play.carried().len(), 1);
}

#[test]
fn an_approval_that_is_too_old_does_not_count() {
    let mut play = collecting(2).vote(1, Choice::Approve);
    let mut listed = crate::approvers::testing::with_keys(&[("ann", &[1]), ("ben", &[2])], &[]);
    listed.expire_after(60_000);
    play.approvers = listed;
    play = play.act([Wait(60)]).vote(2, Choice::Approve).act([Wait(0)]);
    assert_eq!(play.look().0, State::Pending);
    play = play.vote(1, Choice::Approve).act([Wait(0)]);
    assert_eq!(play.look().0, State::Approving, "once it is renewed");
}

#[test]
fn nobody_approves_her_own_order() {
    let mut play = collecting(1);
    let requester = play.flow.task().requester;
    play.approvers.let_order("ann", requester);
    play = play.vote(1, Choice::Approve).act([Wait(0)]);
    assert_eq!(play.look().0, State::Pending);
    play = play.vote(2, Choice::Approve).act([Wait(0)]);
    assert_eq!(play.look().0, State::Approving);
}

#[test]
fn a_key_that_is_taken_off_the_list_counts_no_more() {
    let mut play = collecting(2).vote(1, Choice::Approve);
    play.approvers = people(&[("ben", 2), ("cid", 3)], &[]);
    play = play.act([Wait(0)]);
    let votes = play.flow.record.votes.as_ref().unwrap();
    assert_eq!(votes.count.approved, 0);
    play = play.vote(2, Choice::Approve).act([Wait(0)]);
    assert_eq!(play.look().0, State::Pending);
    play = play.vote(3, Choice::Approve).act([Wait(0)]);
    assert_eq!(play.look().0, State::Approving);
    let names = play.carried().into_iter().map(|(name, _)| name);
    assert_eq!(names.collect::<Vec<_>>(), ["ben", "cid"]);
}

#[test]
fn a_vote_at_the_end_of_the_vote_is_too_late() {
    let mut play = collecting(1);
    play.now = UNTIL;
    play = play.vote(1, Choice::Approve);
    assert_eq!(play.look().0, State::Expired);
    assert_eq!(play.carried(), []);
}

#[test]
fn the_same_said_again_is_no_news_until_a_while_has_passed() {
    let mut play = collecting(2).vote(1, Choice::Approve);
    let revision = play.flow.record.revision;
    play = play.act([Wait(59)]).vote(1, Choice::Approve);
    assert_eq!(play.flow.record.revision, revision);
    play = play.act([Wait(1)]).vote(1, Choice::Approve);
    assert_eq!(play.flow.record.revision, revision + 1);
    let history = play.flow.record.history.len();
    assert_eq!(history, 2, "accepted, and one vote");
}

#[test]
fn votes_are_as_before_after_a_restart() {
    let mut play = collecting(2).vote(1, Choice::Approve).taken_up_again();
    assert_eq!(play.look().0, State::Pending);
    play = play.vote(2, Choice::Approve).act([Wait(0)]);
    assert_eq!(play.look(), (State::Approving, "", VOTED.to_vec()));
    play = play.taken_up_again().act([Off(1), On(1)]);
    assert_eq!(play.look().2, [(1, "offer with votes")]);
}

#[test]
fn a_pending_task_can_be_cancelled() {
    let mut play = collecting(2).vote(1, Choice::Approve);
    play.step(Input::Cancel { by: "desk".into() });
    let told = vec![(0, "cancel"), (1, "cancel")];
    assert_eq!(play.look(), (State::Cancelled, "cancelled", told));
}
