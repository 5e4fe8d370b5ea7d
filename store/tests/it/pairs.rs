//! Set-ups of pairs: the first failed check burns one for good, and an end that nobody recorded
//! counts against it.

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use countersign_protocol::{
    Cause, Failure, Hash, KeyDescriptor, KeyId, NodeId, Outcome, TaskId, UnixMillis,
};
use countersign_store::{
    AuditKind, Burn, Consequences, Decided, Journal, MAX_OPEN, MAX_RUNS, MAX_UNRECORDED, Pair,
    PreparedReshare, Quarantine, Refused, ReshareStage, Runs, RunsEnd, Silent, TaskChange, Unfit,
    WriteJournalError, Written,
};
use redb::{Database, ReadableDatabase, TableDefinition};

use crate::support::*;

const NOW: UnixMillis = UnixMillis(5_000);
const SETUP: Hash = Hash([16; 32]);
const META: TableDefinition<&'static str, u64> = TableDefinition::new("meta");

/// A journal with a set-up with nodes 2 and 3, which the first of eight approved tasks has made.
fn journal() -> (tempfile::TempDir, Journal) {
    let dir = temporary();
    let journal = Journal::create(dir.path()).unwrap();
    for number in 1..=8 {
        journal.approve(NOW, decided(number), vec![]).unwrap();
    }
    let entered = journal.enter_setup(task(1), SETUP, vec![node(2), node(3)]);
    assert_eq!(entered.unwrap(), Written::Now);
    (dir, journal)
}

/// Runs with the set-up and these peers.
fn of(peers: &[u8], runs: u64) -> Runs {
    Runs {
        setup: SETUP,
        peers: peers.iter().map(|peer| node(*peer)).collect(),
        runs: NonZeroU64::new(runs).unwrap(),
    }
}

fn clean(peers: &[u8], runs: u64) -> RunsEnd {
    RunsEnd {
        clean: vec![of(peers, runs)],
        ..RunsEnd::default()
    }
}

fn unknown(peers: &[u8], runs: u64) -> RunsEnd {
    RunsEnd {
        unknown: vec![of(peers, runs)],
        ..RunsEnd::default()
    }
}

fn burns(burn: Burn) -> RunsEnd {
    RunsEnd {
        burns: vec![burn],
        ..RunsEnd::default()
    }
}

fn begin(journal: &Journal, number: u8, peer: u8, runs: u64) -> Result<(), Unfit> {
    begin_with(journal, number, &[peer], runs)
}

fn begin_with(journal: &Journal, number: u8, peers: &[u8], runs: u64) -> Result<(), Unfit> {
    match journal.begin_runs(task(number), of(peers, runs), MAX_RUNS) {
        Ok(Written::Now) => Ok(()),
        Err(WriteJournalError::Refused(Refused::Unfit { why, .. })) => Err(why),
        other => panic!("{other:?}"),
    }
}

fn end(journal: &Journal, number: u8, runs: RunsEnd) {
    let consequences = Consequences {
        runs,
        ..Consequences::default()
    };
    let ended = journal.conclude(NOW, task(number), signed(number), true, consequences);
    assert_eq!(ended.unwrap(), Written::Now);
}

fn burn(number: u8, peer: u8) -> Burn {
    Burn {
        setup: SETUP,
        peer: node(peer),
        task: task(number),
        since: NOW,
        text: "the check of the transfer failed".into(),
    }
}

fn pair(journal: &Journal, peer: u8) -> Pair {
    let mut pairs = journal.pairs().unwrap();
    pairs.retain(|pair| pair.setup == SETUP && pair.peer == node(peer));
    assert_eq!(pairs.len(), 1);
    pairs.remove(0)
}

fn check(journal: &Journal, peer: u8) -> Result<(), Unfit> {
    check_with(journal, SETUP, peer)
}

fn check_with(journal: &Journal, setup: Hash, peer: u8) -> Result<(), Unfit> {
    journal
        .check_pair(&setup, &node(peer), NonZeroU64::MIN, MAX_RUNS)
        .unwrap()
}

/// Closes the journal, as a process that is killed does, and opens it again.
fn killed(dir: &tempfile::TempDir, journal: Journal) -> Journal {
    drop(journal);
    Journal::open(dir.path()).unwrap()
}

fn format(dir: &tempfile::TempDir) -> u64 {
    let database = Database::open(dir.path().join("journal.redb")).unwrap();
    let transaction = database.begin_read().unwrap();
    let table = transaction.open_table(META).unwrap();
    table.get("format").unwrap().unwrap().value()
}

fn failed() -> Outcome {
    Outcome::Failed(Failure {
        cause: Cause::Peer,
        code: "test".into(),
        text: "text".into(),
        culprits: Vec::new(),
    })
}

#[test]
fn a_set_up_that_was_not_entered_is_not_used() {
    let (_dir, journal) = journal();
    assert_eq!(begin(&journal, 1, 4, 1), Err(Unfit::Unknown));
    assert_eq!(check(&journal, 4), Err(Unfit::Unknown));
    assert_eq!(check_with(&journal, Hash([17; 32]), 2), Err(Unfit::Unknown));
    assert_eq!(check(&journal, 2), Ok(()));
    let empty = temporary();
    let fresh = Journal::create(empty.path()).unwrap();
    assert_eq!(check(&fresh, 2), Err(Unfit::Unknown));
}

#[test]
fn the_first_failed_check_burns_a_set_up_for_good() {
    let (dir, journal) = journal();
    begin_with(&journal, 1, &[2, 3], 1).unwrap();
    let entries = journal.audit_entries().unwrap();
    end(
        &journal,
        1,
        RunsEnd {
            burns: vec![burn(1, 2)],
            ..clean(&[3], 1)
        },
    );
    assert_eq!(begin(&journal, 2, 2, 1), Err(Unfit::Burnt));
    assert_eq!(check(&journal, 3), Ok(()), "the other one is clean");
    assert_eq!(pair(&journal, 3).unrecorded, 0);
    let log = journal.audit(entries, 10).unwrap();
    let alarm = log.iter().find(|entry| entry.kind == AuditKind::Alarm);
    assert!(alarm.unwrap().text.contains("burnt the set-up"));
    journal.verify_audit().unwrap();
    let again = journal.enter_setup(task(2), SETUP, vec![node(2), node(3)]);
    assert_eq!(again.unwrap(), Written::Already);
    let journal = killed(&dir, journal);
    assert_eq!(begin(&journal, 2, 2, 1), Err(Unfit::Burnt));
    let first = pair(&journal, 2).burnt.unwrap();
    assert_eq!(first.task, Some(task(1)));
    assert_eq!(journal.burn(vec![burn(2, 2)]).unwrap(), Written::Already);
    assert_eq!(pair(&journal, 2).burnt.unwrap(), first);
}

#[test]
fn an_operator_cannot_revive_a_burnt_set_up_and_only_a_new_one_works() {
    let (_dir, journal) = journal();
    let key = KeyId::from_bytes([5; 16]).unwrap();
    let quarantine = Quarantine {
        key,
        peer: node(2),
        task: task(1),
        since: NOW,
        code: "protocol".into(),
        text: "t".into(),
        evidence: None,
    };
    begin(&journal, 1, 2, 1).unwrap();
    let consequences = Consequences {
        quarantines: vec![quarantine],
        runs: burns(burn(1, 2)),
        ..Consequences::default()
    };
    journal
        .conclude(NOW, task(1), failed(), true, consequences)
        .unwrap();
    assert_eq!(journal.lift(NOW, key, node(2)).unwrap(), Written::Now);
    journal.start_again(NOW, key).unwrap();
    assert_eq!(begin(&journal, 2, 2, 1), Err(Unfit::Burnt));
    let new = Hash([17; 32]);
    journal.enter_setup(task(2), new, vec![node(2)]).unwrap();
    assert_eq!(check_with(&journal, new, 2), Ok(()));
    let runs = Runs {
        setup: new,
        ..of(&[2], 1)
    };
    let begun = journal.begin_runs(task(2), runs, MAX_RUNS);
    assert_eq!(begun.unwrap(), Written::Now);
    assert_eq!(check(&journal, 2), Err(Unfit::Burnt), "the old one");
}

#[test]
fn a_set_up_is_burnt_for_every_task_and_key_that_uses_it() {
    let (_dir, journal) = journal();
    for number in 1..=3 {
        begin(&journal, number, 2, 1).unwrap();
    }
    end(&journal, 2, burns(burn(2, 2)));
    end(&journal, 1, clean(&[2], 1));
    end(&journal, 3, clean(&[2], 1));
    for number in 4..=8 {
        assert_eq!(begin(&journal, number, 2, 1), Err(Unfit::Burnt));
    }
}

#[test]
fn an_end_that_nobody_recorded_counts_and_four_are_enough() {
    let (dir, mut journal) = journal();
    for number in 1..=4 {
        assert_eq!(begin(&journal, number, 2, 1), Ok(()), "{number}");
        journal = killed(&dir, journal);
        assert_eq!(pair(&journal, 2).unrecorded, u64::from(number));
        journal = killed(&dir, journal);
        assert_eq!(pair(&journal, 2).unrecorded, u64::from(number), "once");
    }
    assert_eq!(MAX_UNRECORDED, 4);
    assert_eq!(begin(&journal, 5, 2, 1), Err(Unfit::TooManyUnrecorded));
    assert_eq!(pair(&journal, 3).unrecorded, 0);
}

#[test]
fn a_recorded_end_is_counted_as_nothing_but_a_run() {
    let (dir, journal) = journal();
    for number in 1..=8 {
        begin(&journal, number, 2, 1).unwrap();
        end(&journal, number, clean(&[2], 1));
    }
    let journal = killed(&dir, journal);
    let pair = pair(&journal, 2);
    assert_eq!((pair.runs, pair.unrecorded, pair.burnt), (8, 0, None));
}

#[test]
fn an_end_of_which_nobody_knows_the_checks_counts_as_unrecorded() {
    let (dir, journal) = journal();
    begin(&journal, 1, 2, 1).unwrap();
    end(&journal, 1, unknown(&[2], 1));
    assert_eq!(pair(&journal, 2).unrecorded, 1);
    begin(&journal, 2, 2, 1).unwrap();
    journal.end(NOW, task(2), failed()).unwrap();
    assert_eq!(pair(&journal, 2).unrecorded, 2, "nothing was said");
    let journal = killed(&dir, journal);
    assert_eq!(pair(&journal, 2).unrecorded, 2, "and not twice");
}

#[test]
fn runs_of_a_batch_and_parallel_tasks_count_one_by_one() {
    let (dir, journal) = journal();
    begin(&journal, 1, 2, 16).unwrap();
    begin(&journal, 2, 2, 1).unwrap();
    begin(&journal, 2, 2, 1).unwrap();
    begin(&journal, 3, 3, 1).unwrap();
    assert_eq!(pair(&journal, 2).runs, 18);
    end(&journal, 1, clean(&[2], 16));
    let journal = killed(&dir, journal);
    assert_eq!(pair(&journal, 2).unrecorded, 2, "those of task 2");
    assert_eq!(pair(&journal, 3).unrecorded, 1);
    begin(&journal, 4, 2, 16).unwrap();
    let journal = killed(&dir, journal);
    assert_eq!(pair(&journal, 2).unrecorded, 18);
    assert_eq!(begin(&journal, 5, 2, 1), Err(Unfit::TooManyUnrecorded));
}

/// All that are under way may fail before the first of them is recorded.
#[test]
fn no_more_runs_are_under_way_than_may_fail() {
    let (dir, journal) = journal();
    assert_eq!(MAX_OPEN, 20);
    assert_eq!(begin(&journal, 1, 2, 21), Err(Unfit::TooManyAtOnce));
    begin(&journal, 1, 2, 16).unwrap();
    begin(&journal, 2, 2, 4).unwrap();
    for number in [1, 3] {
        assert_eq!(begin(&journal, number, 2, 1), Err(Unfit::Busy));
    }
    assert_eq!(check(&journal, 2), Err(Unfit::Busy));
    assert_eq!(pair(&journal, 2).runs, 20, "nothing was counted");
    assert_eq!(check(&journal, 3), Ok(()), "the other pair is idle");
    end(&journal, 1, clean(&[2], 16));
    assert_eq!(begin(&journal, 3, 2, 17), Err(Unfit::Busy));
    begin(&journal, 3, 2, 16).unwrap();
    end(&journal, 3, clean(&[2], 16));
    journal.end_runs(task(2), clean(&[2], 1)).unwrap();
    let journal = killed(&dir, journal);
    assert_eq!(pair(&journal, 2).unrecorded, 3);
    assert_eq!(begin(&journal, 4, 2, 18), Err(Unfit::TooManyAtOnce));
    begin(&journal, 4, 2, 16).unwrap();
    assert_eq!(begin(&journal, 5, 2, 2), Err(Unfit::Busy), "16 and 3 and 2");
    begin(&journal, 5, 2, 1).unwrap();
}

#[test]
fn a_node_can_tell_which_tasks_to_drop() {
    let (_dir, journal) = journal();
    assert_eq!(journal.tasks_to_drop().unwrap(), BTreeSet::new());
    begin_with(&journal, 1, &[2, 3], 1).unwrap();
    begin(&journal, 2, 2, 1).unwrap();
    begin(&journal, 3, 3, 1).unwrap();
    assert_eq!(journal.tasks_to_drop().unwrap(), BTreeSet::new());
    end(&journal, 1, burns(burn(1, 2)));
    assert_eq!(journal.tasks_to_drop().unwrap(), BTreeSet::from([task(2)]));
    end(&journal, 2, clean(&[2], 1));
    assert_eq!(journal.tasks_to_drop().unwrap(), BTreeSet::new());
}

#[test]
fn an_end_ends_what_it_names_and_no_other_run_of_the_task() {
    let (dir, journal) = journal();
    begin_with(&journal, 1, &[2, 3], 2).unwrap();
    begin(&journal, 1, 2, 1).unwrap();
    journal.end_runs(task(1), clean(&[2, 3], 2)).unwrap();
    let journal = killed(&dir, journal);
    assert_eq!(pair(&journal, 2).unrecorded, 1, "the run beside them");
    assert_eq!(pair(&journal, 3).unrecorded, 0);
    begin(&journal, 2, 2, 2).unwrap();
    end(&journal, 2, clean(&[2], 1));
    assert_eq!(pair(&journal, 2).unrecorded, 2, "one was not named");
    begin(&journal, 3, 3, 1).unwrap();
    journal.end_runs(task(3), clean(&[3], 9)).unwrap();
    journal.end_runs(task(3), unknown(&[3], 9)).unwrap();
    assert_eq!(pair(&journal, 3).unrecorded, 0, "it had ended");
}

#[test]
fn a_burn_that_belongs_to_no_run_of_the_task_clears_nothing() {
    let (_dir, journal) = journal();
    let other = Hash([18; 32]);
    let of_other_set_up = Burn {
        setup: other,
        ..burn(1, 2)
    };
    let of_other_task = burn(1, 3);
    for (number, wrong) in (1..).zip([of_other_set_up, of_other_task]) {
        begin_with(&journal, number, &[2, 3], 1).unwrap();
        let runs = RunsEnd {
            burns: vec![wrong],
            ..clean(&[2, 3], 1)
        };
        journal.end_runs(task(number), runs).unwrap();
        assert_eq!(pair(&journal, 2).unrecorded, u64::from(number));
    }
    assert_eq!(check_with(&journal, other, 2), Err(Unfit::Burnt));
    assert_eq!(check(&journal, 3), Err(Unfit::Burnt), "it burns even so");
    assert_eq!(pair(&journal, 2).burnt, None);
}

#[test]
fn runs_have_peers_and_each_once() {
    let (_dir, journal) = journal();
    for peers in [&[][..], &[2, 3, 2]] {
        let refused = journal.begin_runs(task(1), of(peers, 1), MAX_RUNS);
        assert!(
            matches!(
                refused,
                Err(WriteJournalError::Refused(Refused::Peers(id))) if id == task(1)
            ),
            "{refused:?}"
        );
    }
    assert_eq!(pair(&journal, 2).runs, 0);
}

#[test]
fn a_set_up_wears_out() {
    let (_dir, journal) = journal();
    let begin = |runs, most| match journal.begin_runs(task(1), of(&[2], runs), most) {
        Ok(_) => Ok(()),
        Err(WriteJournalError::Refused(Refused::Unfit { why, .. })) => Err(why),
        other => panic!("{other:?}"),
    };
    assert_eq!(begin(u64::MAX, u64::MAX), Err(Unfit::WornOut));
    assert_eq!(begin(MAX_RUNS + 1, u64::MAX), Err(Unfit::WornOut));
    assert_eq!(begin(MAX_RUNS, MAX_RUNS), Err(Unfit::TooManyAtOnce));
    begin(8, 10).unwrap();
    assert_eq!(begin(3, 10), Err(Unfit::WornOut));
    assert_eq!(pair(&journal, 2).runs, 8, "nothing was counted");
    begin(2, 10).unwrap();
    assert_eq!(begin(1, 10), Err(Unfit::WornOut));
    let one = NonZeroU64::MIN;
    let checked = journal.check_pair(&SETUP, &node(2), one, 10).unwrap();
    assert_eq!(checked, Err(Unfit::WornOut));
    begin(1, 11).unwrap();
}

#[test]
fn runs_begin_with_all_peers_or_with_none() {
    let (dir, journal) = journal();
    journal.burn(vec![burn(1, 3)]).unwrap();
    let refused = journal.begin_runs(task(1), of(&[2, 3], 1), MAX_RUNS);
    match refused {
        Err(WriteJournalError::Refused(Refused::Unfit { peer, why })) => {
            assert_eq!((peer, why), (node(3), Unfit::Burnt));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(pair(&journal, 2).runs, 0);
    let journal = killed(&dir, journal);
    assert_eq!(pair(&journal, 2).unrecorded, 0);
}

#[test]
fn only_a_task_that_is_under_way_has_runs() {
    let (_dir, journal) = journal();
    journal.end(NOW, task(1), signed(1)).unwrap();
    for number in [1, 9] {
        let begun = journal.begin_runs(task(number), of(&[2], 1), MAX_RUNS);
        assert!(is_unknown(&begun, number), "{begun:?}");
    }
    assert_eq!(pair(&journal, 2).runs, 0);
}

fn is_unknown(written: &Result<Written, WriteJournalError>, number: u8) -> bool {
    matches!(
        written,
        Err(WriteJournalError::Refused(Refused::Unknown(id))) if *id == task(number)
    )
}

/// A set-up out of a store of secrets may have been burnt in a journal that is lost.
#[test]
fn only_a_task_that_is_under_way_enters_a_set_up() {
    let (_dir, journal) = journal();
    journal.end(NOW, task(1), signed(1)).unwrap();
    let forgotten = Hash([19; 32]);
    for number in [1, 9] {
        let entered = journal.enter_setup(task(number), forgotten, vec![node(2)]);
        assert!(is_unknown(&entered, number), "{entered:?}");
    }
    assert_eq!(check_with(&journal, forgotten, 2), Err(Unfit::Unknown));
}

#[test]
fn a_check_that_failed_burns_whatever_the_outcome_is() {
    let (_dir, journal) = journal();
    begin_with(&journal, 1, &[2, 3], 1).unwrap();
    journal.end_runs(task(1), clean(&[2, 3], 1)).unwrap();
    journal.end(NOW, task(1), signed(1)).unwrap();
    let consequences = |peer| Consequences {
        runs: burns(burn(1, peer)),
        ..Consequences::default()
    };
    let other = journal.conclude(NOW, task(1), failed(), true, consequences(2));
    assert!(
        matches!(
            other,
            Err(WriteJournalError::Refused(Refused::OtherOutcome(_)))
        ),
        "{other:?}"
    );
    assert!(pair(&journal, 2).burnt.is_some(), "the refusal saves none");
    let same = journal.conclude(NOW, task(1), signed(1), true, consequences(3));
    assert_eq!(same.unwrap(), Written::Already);
    assert!(
        pair(&journal, 3).burnt.is_some(),
        "an outcome that stands already keeps nothing from burning"
    );
}

#[test]
fn a_check_that_failed_in_a_task_that_goes_on_burns_too() {
    let (_dir, journal) = journal();
    begin(&journal, 1, 2, 1).unwrap();
    journal.end_runs(task(1), burns(burn(1, 2))).unwrap();
    assert_eq!(check(&journal, 2), Err(Unfit::Burnt));
    begin(&journal, 2, 3, 1).unwrap();
    let judged = TaskChange::Judge(Box::new(Consequences {
        runs: burns(burn(2, 3)),
        ..Consequences::default()
    }));
    journal.commit(NOW, judged, Vec::new()).unwrap();
    assert_eq!(check(&journal, 3), Err(Unfit::Burnt));
}

#[test]
fn a_reshare_that_comes_to_nothing_ends_its_runs() {
    let (_dir, journal) = journal();
    begin(&journal, 1, 2, 1).unwrap();
    let prepared = PreparedReshare {
        task: task(1),
        descriptor: KeyDescriptor {
            generation: 1,
            ..descriptor(1)
        },
        joins: true,
        opened: NOW,
        stage: ReshareStage::InDoubt,
        created: NOW,
    };
    journal.prepare_reshare(prepared).unwrap();
    let Outcome::Failed(failure) = failed() else {
        panic!("a failure");
    };
    journal
        .finish_reshare(NOW, task(1), ReshareStage::Aborted, failure)
        .unwrap();
    assert_eq!(pair(&journal, 2).unrecorded, 1);
}

#[test]
fn a_set_up_that_nobody_entered_can_be_burnt() {
    let (_dir, journal) = journal();
    let unknown = Burn {
        setup: Hash([18; 32]),
        ..burn(1, 2)
    };
    assert_eq!(journal.burn(vec![unknown]).unwrap(), Written::Now);
    let entered = journal.enter_setup(task(1), Hash([18; 32]), vec![node(2)]);
    assert_eq!(entered.unwrap(), Written::Already);
    assert_eq!(check_with(&journal, Hash([18; 32]), 2), Err(Unfit::Burnt));
}

#[test]
fn a_restored_journal_uses_no_set_up() {
    let (dir, journal) = journal();
    let copy = temporary();
    journal.copy_to(&copy.path().join("journal.redb")).unwrap();
    begin(&journal, 1, 2, 1).unwrap();
    end(&journal, 1, burns(burn(1, 2)));
    drop((dir, journal));
    let restored = Journal::open(copy.path()).unwrap();
    assert_eq!(check(&restored, 2), Ok(()), "the copy knows of no failure");
    let entries = restored.audit_entries().unwrap();
    restored.restored(NOW).unwrap();
    for peer in [2, 3] {
        assert_eq!(check(&restored, peer), Err(Unfit::Burnt));
        assert_eq!(pair(&restored, peer).burnt.unwrap().task, None);
    }
    let log = restored.audit(entries, 10).unwrap();
    let burnt = log.iter().filter(|entry| entry.text.contains("burnt"));
    assert_eq!(burnt.count(), 2, "an entry for each");
}

/// Neither of two processes with one identity knows what failed at the other.
#[test]
fn a_twin_burns_every_set_up_and_no_operator_takes_that_back() {
    let (_dir, journal) = journal();
    journal.twin(NOW).unwrap();
    journal.lift_twin(NOW).unwrap();
    for peer in [2, 3] {
        assert_eq!(check(&journal, peer), Err(Unfit::Burnt));
        assert_eq!(pair(&journal, peer).burnt.unwrap().task, None);
    }
    assert_eq!(begin(&journal, 1, 2, 1), Err(Unfit::Burnt));
}

#[test]
fn a_copy_has_the_set_ups_and_the_runs_under_way() {
    let (_dir, journal) = journal();
    begin(&journal, 1, 2, 2).unwrap();
    journal.burn(vec![burn(1, 3)]).unwrap();
    let copy = temporary();
    journal.copy_to(&copy.path().join("journal.redb")).unwrap();
    let copied = Journal::open(copy.path()).unwrap();
    assert_eq!(check(&copied, 3), Err(Unfit::Burnt));
    assert_eq!(pair(&copied, 2).unrecorded, 2);
}

#[test]
fn a_journal_with_set_ups_has_a_format_of_its_own() {
    let dir = temporary();
    let journal = Journal::create(dir.path()).unwrap();
    journal.approve(NOW, decided(1), vec![]).unwrap();
    drop(journal);
    assert_eq!(format(&dir), 1, "the first programs can go on");
    let journal = Journal::open(dir.path()).unwrap();
    journal.enter_setup(task(1), SETUP, vec![node(2)]).unwrap();
    drop(journal);
    assert_eq!(format(&dir), 3);
    let journal = Journal::open(dir.path()).unwrap();
    let old: Decided = decided(2);
    let id: TaskId = old.task;
    journal.approve(NOW, old, vec![]).unwrap();
    journal.end(NOW, id, signed(2)).unwrap();
    let later = UnixMillis(90_000);
    assert_eq!(journal.prune(later, later, 0).unwrap().records, 1);
    drop(journal);
    assert_eq!(format(&dir), 3, "it never falls");
}

#[test]
fn a_burn_alone_gives_the_journal_its_format() {
    let dir = temporary();
    let journal = Journal::create(dir.path()).unwrap();
    let peer: NodeId = node(2);
    journal.burn(vec![Burn { peer, ..burn(1, 2) }]).unwrap();
    drop(journal);
    assert_eq!(format(&dir), 3);
}
