//! Reshares to their end, with parties that miss the last acknowledgements or lie about their own.

use countersign_protocol::{KeyReshare, TaskId};

use super::*;
use crate::task::choose;

impl Play {
    /// Nodes 0 and 1 stay, 3 joins; 2 holds a share and leaves.
    fn reshare() -> Self {
        Self::handing_to(&[0, 1, 3], Some(&[0, 1]))
    }

    fn handing_to(members: &[usize], dealers: Option<&[usize]>) -> Self {
        let reshare = reshare(&wallet(), members, dealers);
        Self::new(Operation::KeyReshare(Box::new(reshare)), None)
    }

    /// A reshare whose parties have approved.
    fn running() -> Self {
        let mut play = Self::reshare().act([On(0), On(1), On(2), On(3), Yes(0), Yes(1), Yes(3)]);
        assert_eq!(play.look().0, State::Running);
        play
    }

    fn order(&self) -> KeyReshare {
        self.flow.moves().unwrap().clone()
    }

    /// The new generation, with these acknowledgements.
    fn made(&self, acked_by: &[usize]) -> KeyDescriptor {
        let parties = self
            .flow
            .record
            .parties
            .iter()
            .map(|party| party.node)
            .collect();
        let mut made = next(&self.order(), self.flow.task().id, parties);
        ack_by(&mut made, acked_by);
        made
    }

    fn stores(&self, who: usize) -> Act {
        Act::Stored(who, Box::new(self.made(&[who])))
    }

    fn abort_votes(&self, who: usize) -> Act {
        Act::AbortVote(who, abort_vote_of(who, self.flow.hash()))
    }

    fn reshared(&self) -> Outcome {
        Outcome::Reshared(self.made(&[0, 1, 3]))
    }

    /// Takes it through the store, as a restart does.
    fn restarted(self) -> Self {
        let text = serde_json::to_string(&self.flow.record).unwrap();
        let flow = Flow::restore(serde_json::from_str(&text).unwrap()).unwrap();
        Self { flow, ..self }
    }
}

fn sent(sent: &[(usize, &'static str)]) -> Vec<(usize, &'static str)> {
    let mut sent = sent.to_vec();
    sent.sort_unstable();
    sent
}

#[test]
fn all_future_members_and_the_dealers_take_part() {
    let mut play = Play::reshare().act([On(0), On(1), On(2)]);
    assert_eq!(play.look(), (State::Waiting, "", vec![]));
    let mut play = play.act([On(3)]);
    let (state, _, offers) = play.look();
    assert_eq!(
        (state, sent(&offers)),
        (
            State::Approving,
            vec![(0, "offer"), (1, "offer"), (3, "offer")]
        )
    );
}

#[test]
fn the_coordinator_chooses_dealers_that_the_nodes_find_again() {
    let online = |present: Vec<usize>| move |node: &NodeId| some(&present).contains(node);
    let from = wallet();
    let choose = |members: &[usize], present: &[usize]| {
        let reshare = reshare(&from, members, None);
        let parties = choose::resharers(&TaskId([1; 16]), &reshare, online(present.to_vec()));
        parties.map(|parties| {
            assert!(
                reshare.dealers_among(&parties).is_some(),
                "{members:?} {present:?}"
            );
            (0..5)
                .filter(|n| parties.contains(&crowd()[*n]))
                .collect::<Vec<usize>>()
        })
    };
    type Row = (&'static [usize], &'static [usize], Option<Vec<usize>>);
    let table: Vec<Row> = vec![
        (&[0, 1, 2], &[0, 1, 2, 3, 4], Some(vec![0, 1, 2])),
        (&[0, 1, 3], &[0, 1, 2, 3, 4], Some(vec![0, 1, 3])),
        (&[0, 3], &[0, 1, 3], Some(vec![0, 1, 3])),
        (&[0, 3], &[0, 2, 3], Some(vec![0, 2, 3])),
        (&[3, 4], &[0, 2, 3, 4], Some(vec![0, 2, 3, 4])),
        (&[3, 4], &[0, 3, 4], None),
        (&[0, 3], &[0, 3, 4], None),
        (&[0, 3], &[0, 1, 2, 4], None),
        (&[0, 1, 3], &[0, 1, 2], None),
    ];
    for (members, present, expected) in table {
        assert_eq!(
            choose(members, present),
            expected,
            "{members:?} {present:?}"
        );
    }
    // Every committee of the crowd, with any of it online.
    let chosen = |bits: usize| {
        (0..5)
            .filter(move |n| bits & (1 << n) != 0)
            .collect::<Vec<usize>>()
    };
    let mut possible = 0;
    for members in (0..32).map(chosen).filter(|members| members.len() >= 2) {
        possible += (0..32)
            .filter(|bits| choose(&members, &chosen(*bits)).is_some())
            .count();
    }
    assert!(possible > 50, "{possible}");
    let reshare = reshare(&wallet(), &[3, 4], None);
    let id = |n: u8| TaskId([n; 16]);
    let sets: BTreeSet<_> = (0..50)
        .map(|n| choose::resharers(&id(n), &reshare, |_| true).unwrap())
        .collect();
    assert_eq!(sets.len(), 3, "dealers that leave are taken in turn");
}

#[test]
fn a_reshare_ends_well_whoever_misses_the_last_ack() {
    // Nobody misses it.
    let play = Play::running();
    let reshared = play.reshared();
    let mut play = play.act([says(0, reshared.clone())]);
    assert_eq!(
        play.look(),
        (State::Completed, "", vec![(1, "settle"), (3, "settle")]).sorted()
    );
    assert!(
        matches!(&play.flow.record.result, Some(TaskResult::Reshared(made)) if made.generation == 1)
    );
    let mut play = play.act([says(1, reshared.clone()), says(3, reshared)]);
    assert_eq!(play.look(), (State::Completed, "", vec![]));

    // One misses it, and says again that it waits.
    let play = Play::running();
    let reshared = play.reshared();
    let waits = play.stores(3);
    let mut play = play.act([says(0, reshared), waits]);
    assert_eq!(play.look().2.last(), Some(&(3, "settle")));
    assert!(play.alarms.is_empty(), "{:?}", play.alarms);

    // All but one miss it: its word brings the task to its end.
    let play = Play::running();
    let first = play.stores(1);
    let second = play.stores(3);
    let reshared = play.reshared();
    let mut play = play.act([first, second]);
    assert_eq!(play.look(), (State::Running, "", vec![]));
    let mut play = play.act([says(0, reshared)]);
    assert_eq!(
        play.look(),
        (State::Completed, "", vec![(1, "settle"), (3, "settle")]).sorted()
    );

    // All miss it.
    let play = Play::running();
    let all = [play.stores(3), play.stores(0), play.stores(1)];
    let mut play = play.act(all);
    let (state, code, settles) = play.look();
    assert_eq!((state, code), (State::Completed, ""));
    assert_eq!(
        sent(&settles),
        vec![(0, "settle"), (1, "settle"), (3, "settle")]
    );
    let Some(TaskResult::Reshared(made)) = &play.flow.record.result else {
        panic!("no result")
    };
    assert!(made.succeeds(&wallet()) && made.acks.len() == 3);
}

/// Frames to several nodes go out in the order of ids, which says nothing.
trait Sorted {
    fn sorted(self) -> Self;
}

impl Sorted for (State, &str, Vec<(usize, &'static str)>) {
    fn sorted(self) -> Self {
        let order: Vec<NodeId> = crowd();
        let mut frames = self.2;
        frames.sort_by_key(|(n, _)| order[*n]);
        (self.0, self.1, frames)
    }
}

#[test]
fn acks_that_come_after_the_failure_still_complete_it() {
    let play = Play::running().act([Wait(300)]);
    let one = play.stores(0);
    let two = play.stores(1);
    let three = play.stores(3);
    let mut play = play.act([]);
    assert_eq!((play.look().0, play.culprits().len()), (State::Failed, 3));
    let mut play = play.act([one]);
    let (state, _, asked) = play.look();
    assert_eq!(
        (state, sent(&asked)),
        (State::Failed, vec![(1, "offer"), (3, "offer")]),
        "the silent are asked"
    );
    let mut play = play.act([two]);
    assert_eq!(
        play.look(),
        (State::Failed, "no-outcome", vec![]),
        "but not at every word"
    );
    let mut play = play.act([three]);
    let (state, code, settles) = play.look();
    assert_eq!((state, code, settles.len()), (State::Completed, "", 3));
}

#[test]
fn the_silent_are_asked_while_somebody_waits_and_on_line() {
    let play = Play::running().act([Wait(300), Off(3)]);
    let one = play.stores(0);
    let again = play.stores(0);
    let mut play = play.act([one]);
    assert_eq!(play.look().2.last(), Some(&(1, "offer")));
    let two = play.stores(1);
    let mut play = play.act([two, Wait(15), again]);
    assert_eq!(play.look().2, vec![], "nobody is left online to be asked");
    let mut play = play.act([On(3)]);
    assert_eq!(play.look().2, vec![(3, "offer")], "when it comes");
    let mut play = play.act([Act::Pending(1)]);
    assert_eq!(
        play.look().2,
        vec![(3, "offer")],
        "and when another one asks"
    );
    let mut play = play.act([Act::Pending(0)]);
    assert_eq!(play.look().2, vec![]);
    let abort_vote = play.abort_votes(3);
    let mut play = play.act([abort_vote]);
    assert_eq!(
        play.look(),
        (State::Failed, "no-outcome", vec![(0, "void"), (1, "void")])
    );
    let mut play = play.act([Act::Pending(1), Act::Pending(2)]);
    assert_eq!(
        play.look().2,
        vec![(1, "void")],
        "a node that is not a party is told nothing"
    );
}

#[test]
fn a_party_that_never_stored_ends_it_and_whoever_stored_is_told() {
    let play = Play::running();
    let stored = play.stores(0);
    let abort_vote = play.abort_votes(3);
    let again = play.abort_votes(3);
    let late = play.stores(1);
    let mut play = play.act([stored, abort_vote]);
    let (state, code, frames) = play.look();
    assert_eq!((state, code), (State::Failed, "reshare-void"));
    let cancels = [(0, "cancel"), (0, "void"), (1, "cancel"), (3, "cancel")];
    assert_eq!(sent(&frames), cancels);
    assert_eq!(play.culprits(), vec![crowd()[3]]);
    let mut play = play.act([again]);
    assert_eq!(play.look().2, vec![], "once is enough");
    let mut play = play.act([late]);
    assert_eq!(
        play.look(),
        (State::Failed, "reshare-void", vec![(1, "void")])
    );
    assert!(play.alarms.is_empty(), "{:?}", play.alarms);
}

#[test]
fn the_real_cause_is_told_where_it_is_known() {
    let play = Play::running();
    let abort_vote = play.abort_votes(3);
    let mut play = play.act([says(1, failed("peer-lost")), abort_vote]);
    let (state, code, _) = play.look();
    assert_eq!((state, code), (State::Failed, "peer-lost"));
}

#[test]
fn who_says_both_is_named_and_the_key_is_where_all_acks_are() {
    // An acknowledgement, then an abort vote: the former counts, so nobody is
    // told to drop anything.
    let play = Play::running();
    let stored = play.stores(0);
    let abort_vote = play.abort_votes(0);
    let others = [play.stores(1), play.stores(3)];
    let mut play = play.act([stored, abort_vote]);
    assert_eq!(play.look(), (State::Running, "", vec![]));
    assert!(
        play.alarms.len() == 1 && play.alarms[0].contains(&crowd()[0].to_string()),
        "{:?}",
        play.alarms
    );
    assert_eq!(play.act(others).look().0, State::Completed);

    // An abort vote, then an acknowledgement.
    let play = Play::running();
    let abort_vote = play.abort_votes(0);
    let stored = play.stores(0);
    let others = [play.stores(1), play.stores(3)];
    let mut play = play.act([abort_vote, stored]);
    assert_eq!((play.look().0, play.alarms.len()), (State::Failed, 1));
    assert_eq!(
        (
            play.flow.record.abort_vote.len(),
            play.flow.record.stored.iter().len()
        ),
        (1, 1)
    );
    assert_eq!(play.act(others).look().0, State::Completed);

    // An abort vote after the end.
    let play = Play::running();
    let reshared = play.reshared();
    let abort_vote = play.abort_votes(3);
    let mut play = play.act([says(0, reshared), abort_vote]);
    assert_eq!(
        (play.look().2.last(), play.alarms.len()),
        (Some(&(3, "settle")), 1)
    );
    assert_eq!(play.look().0, State::Completed);
}

#[test]
fn acks_count_only_for_one_and_the_same_generation() {
    let play = Play::running();
    let mut other = play.made(&[]);
    other.public_shares.0[0] ^= 1;
    ack_by(&mut other, &[1]);
    let first = play.stores(0);
    let last = play.stores(3);
    let play = play.act([first, Act::Stored(1, Box::new(other)), last]);
    assert_eq!(play.flow.record.stored.as_ref().unwrap().acks.len(), 2);
    assert_eq!(
        (play.flow.record.state, play.alarms.len()),
        (State::Running, 1)
    );
    assert!(
        [0, 1]
            .iter()
            .all(|who| play.alarms[0].contains(&crowd()[*who].to_string())),
        "{:?}",
        play.alarms
    );
}

#[test]
fn who_stored_something_else_is_freed_all_the_same() {
    let play = Play::running();
    let mut other = play.made(&[]);
    other.public_shares.0[0] ^= 1;
    ack_by(&mut other, &[0]);
    let abort_vote = play.abort_votes(3);
    let stored = play.stores(1);
    let mut play = play.act([Act::Stored(0, Box::new(other)), abort_vote]);
    play.look();
    let mut play = play.act([stored]);
    assert_eq!(play.look().2, vec![(1, "void")]);
}

#[test]
fn an_ack_must_be_the_partys_own_over_what_was_ordered() {
    type Change = fn(&mut KeyDescriptor);
    let changes: [(&str, Change); 9] = [
        ("task", |made| made.task.0[0] ^= 1),
        ("generation", |made| made.generation = 2),
        ("threshold", |made| made.threshold = 3.try_into().unwrap()),
        ("committee", |made| {
            made.committee = nodes().try_into().unwrap()
        }),
        ("root key", |made| made.root_public_key[0] ^= 1),
        ("name", |made| made.name.push('!')),
        ("chain code", |made| made.chain_code.0[0] ^= 1),
        ("auxiliary information", |made| {
            made.aux = Some(countersign_protocol::Hash([1; 32]))
        }),
        ("scheme", |made| {
            made.scheme = countersign_protocol::Scheme::Taproot
        }),
    ];
    for (what, change) in changes {
        let play = Play::running();
        let mut made = play.made(&[]);
        let mut complete = play.made(&[]);
        change(&mut made);
        ack_by(&mut made, &[0]);
        change(&mut complete);
        ack_by(&mut complete, &[0, 1, 3]);
        let play = play.act([
            Act::Stored(0, Box::new(made)),
            says(1, Outcome::Reshared(complete)),
        ]);
        assert!(
            play.flow.record.stored.is_none() && play.alarms.len() == 1,
            "{what}"
        );
        assert_eq!(play.flow.record.state, State::Running, "{what}");
    }
    let play = Play::running();
    let mut wrong = play.made(&[0]);
    wrong.acks[0].signature[0] ^= 1;
    let acts = [
        Act::Stored(0, Box::new(wrong)),
        Act::Stored(0, Box::new(play.made(&[1]))),
        Act::Stored(0, Box::new(play.made(&[0, 1]))),
        Act::Stored(0, Box::new(play.made(&[]))),
        Act::Stored(2, Box::new(play.made(&[2]))),
        Act::AbortVote(0, abort_vote_of(1, play.flow.hash())),
        Act::AbortVote(0, abort_vote_of(0, countersign_protocol::Hash([1; 32]))),
        Act::AbortVote(2, abort_vote_of(2, play.flow.hash())),
    ];
    let mut play = play.act(acts);
    assert_eq!(
        (play.alarms.len(), play.look()),
        (8, (State::Running, "", vec![]))
    );
    assert!(play.flow.record.stored.is_none() && play.flow.record.abort_vote.is_empty());

    let keygen = Play::keygen().act([On(0), On(1), On(2), Yes(0), Yes(1), Yes(2)]);
    let made = descriptor(keygen.flow.task().id, keygen.flow.hash());
    let abort_vote = keygen.abort_votes(0);
    let keygen = keygen.act([Act::Stored(0, Box::new(made)), abort_vote]);
    assert_eq!(
        (keygen.alarms.len(), keygen.flow.record.state),
        (2, State::Running)
    );
}

#[test]
fn a_result_has_exactly_the_acks_of_the_parties() {
    for (acks, expected) in [
        (&[0, 1, 3][..], State::Completed),
        (&[0, 1], State::Running),
        (&[0, 3], State::Running),
        (&[0, 1, 2, 3], State::Running),
        (&[0, 1, 3, 4], State::Running),
    ] {
        let play = Play::running();
        let made = play.made(acks);
        assert_eq!(
            play.act([says(0, Outcome::Reshared(made))]).look().0,
            expected,
            "{acks:?}"
        );
    }
    let play = Play::running();
    let created = Outcome::Created(play.made(&[0, 1, 3]));
    let play = play.act([says(0, created), says(1, signed())]);
    let codes = play
        .flow
        .record
        .parties
        .iter()
        .filter_map(|party| Some(&party.report.as_ref()?.outcome));
    assert_eq!(
        codes
            .filter(|outcome| matches!(outcome, Outcome::Failed(f) if f.code == "wrong-result"))
            .count(),
        2
    );
}

#[test]
fn a_dealer_that_leaves_must_store_as_well() {
    let play = Play::handing_to(&[3, 4], None).act((0..5).map(On));
    let parties: Vec<usize> = (0..5)
        .filter(|n| {
            play.flow
                .record
                .parties
                .iter()
                .any(|party| party.node == crowd()[*n])
        })
        .collect();
    let [one, other, 3, 4] = parties[..] else {
        panic!("{parties:?}")
    };
    let play = play.act(parties.iter().map(|n| Yes(*n)).collect::<Vec<_>>());
    let stored = [3, 4, one].map(|n| play.stores(n));
    let last = play.stores(other);
    let mut play = play.act(stored);
    assert_eq!(play.look().0, State::Running);
    assert_eq!(play.act([last]).look().0, State::Completed);
}

#[test]
fn acks_and_abort_votes_outlive_a_restart() {
    let play = Play::running().act([Wait(300)]);
    let one = play.stores(0);
    let two = play.stores(1);
    let last = play.stores(3);
    let abort_vote = play.abort_votes(3);
    let play = play.act([one]).restarted().act([two]).restarted();
    let mut completed = play.act([last]).restarted();
    assert_eq!(completed.look().0, State::Completed);
    let mut completed = completed.act([Act::Pending(1)]);
    assert_eq!(completed.look().2, vec![(1, "settle")]);

    let play = Play::running();
    let one = play.stores(0);
    let two = play.stores(1);
    let mut play = play.act([one, abort_vote]).restarted();
    play.look();
    let mut play = play.act([two, Act::Pending(0)]);
    assert_eq!(
        play.look(),
        (
            State::Failed,
            "reshare-void",
            vec![(1, "void"), (0, "void")]
        )
    );
}

#[test]
fn a_reshare_has_as_long_as_a_keygen() {
    let mut play = Play::running().act([Wait(299)]);
    assert_eq!(play.look().0, State::Running);
    assert_eq!(play.act([Wait(1)]).look().0, State::Failed);
}

#[test]
fn a_row_of_before_is_read() {
    let play = Play::keysign();
    let mut row = serde_json::to_value(&play.flow.record).unwrap();
    let fields = row.as_object_mut().unwrap();
    for new in ["stored", "void", "asked"] {
        assert!(
            !fields.contains_key(new),
            "an old program reads what says nothing new"
        );
    }
    assert_eq!(
        serde_json::from_value::<super::super::record::TaskRecord>(row).unwrap(),
        play.flow.record
    );
}
