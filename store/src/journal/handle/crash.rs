//! The journal on a disk that fails, by power cuts and lack of space, or that is slow enough for
//! writes to share commits.

use std::num::NonZeroU64;
use std::time::Duration;

use countersign_protocol::{Cause, Failure, Hash, NodeId, Outcome, TaskId, UnixMillis};
use rand::{Rng, SeedableRng, rngs::StdRng};
use redb::Builder;

use super::Journal;
use super::open::{CACHE, initialise};
use super::testing::Disk;
use crate::journal::{
    Burn, Consequences, Decided, Evidence, MAX_RUNS, OperationKind, Refused, Runs, RunsEnd, Silent,
    State, Unfit, WriteJournalError,
};

const NOW: UnixMillis = UnixMillis(1);

/// An empty journal as [`Journal::create`] leaves it.
pub(super) fn empty() -> Vec<u8> {
    let disk = Disk::default();
    initialise(Builder::new().create_with_backend(disk.clone()).unwrap()).unwrap();
    disk.after_power_cut(|| false)
}

pub(super) fn journal(disk: &Disk) -> Journal {
    Journal::start(
        Builder::new()
            .set_cache_size(CACHE)
            .create_with_backend(disk.clone())
            .unwrap(),
        None,
    )
    .unwrap()
}

fn decided(number: u32) -> Decided {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    Decided {
        task: TaskId(id),
        hash: Hash([number as u8; 32]),
        kind: OperationKind::KeySign,
        received_at: NOW,
        verdicts: Vec::new(),
        parties: Vec::new(),
        bytes: vec![number as u8; 3_000],
        evidence: Evidence::default(),
    }
}

fn failed() -> Outcome {
    let code = "test".into();
    let text = "text".into();
    let culprits = Vec::new();
    Outcome::Failed(Failure {
        cause: Cause::Peer,
        code,
        text,
        culprits,
    })
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let mut random = StdRng::seed_from_u64(7);
    let mut content = empty();
    let mut acknowledged = Vec::new();
    for round in 0..60 {
        let disk = Disk::with(content);
        let writing = journal(&disk);
        disk.pull_plug_after(random.gen_range(0..12));
        for number in round * 100..round * 100 + 20 {
            let task = decided(number).task;
            if writing.approve(NOW, decided(number), vec![]).is_err() {
                break;
            }
            acknowledged.push((task, false));
            if writing.end(NOW, task, failed()).is_err() {
                break;
            }
            acknowledged.push((task, true));
        }
        // Lose all, keep all, or tear.
        let chance = [0.0, 1.0, 0.5, 0.9][round as usize % 4];
        content = disk.after_power_cut(|| random.gen_bool(chance));
        drop(writing);
        content = check(content, &acknowledged, round);
    }
    assert!(
        acknowledged.len() > 100,
        "only {} writes got through",
        acknowledged.len()
    );
}

/// Opens the remains and compares them with the acknowledged writes. Returns the repaired disk.
fn check(content: Vec<u8>, acknowledged: &[(TaskId, bool)], round: u32) -> Vec<u8> {
    let disk = Disk::with(content);
    let journal = journal(&disk);
    for (task, ended) in acknowledged {
        let row = journal
            .row(task)
            .unwrap()
            .unwrap_or_else(|| panic!("round {round}: {task} is lost"));
        assert!(
            !ended || row.state != State::Approved,
            "round {round}: the outcome of {task} is lost"
        );
    }
    journal.verify_audit().unwrap();
    drop(journal);
    disk.after_power_cut(|| false)
}

/// What a test has done with a set-up before the plug was pulled.
#[derive(Default)]
struct Done {
    begun: u64,
    /// Ends that were tried; the last one may have come through.
    ended: u64,
    burnt: bool,
}

#[test]
fn a_power_cut_forgets_no_run_and_no_burn() {
    let mut random = StdRng::seed_from_u64(8);
    let key = ed25519_dalek::SigningKey::from_bytes(&[2; 32]);
    let peer = NodeId::from_bytes(key.verifying_key().to_bytes()).unwrap();
    let mut content = empty();
    let mut cut_in_a_run = 0;
    let mut burns = 0;
    for round in 0..80u8 {
        let setup = Hash([round; 32]);
        let before = Disk::with(content);
        let making = journal(&before);
        let maker = decided(u32::from(round) * 100);
        let task = maker.task;
        making.approve(NOW, maker, vec![]).unwrap();
        making.enter_setup(task, setup, vec![peer]).unwrap();
        drop(making);
        let disk = Disk::with(before.after_power_cut(|| false));
        let writing = journal(&disk);
        disk.pull_plug_after(random.gen_range(0..16));
        let first = u32::from(round) * 100 + 1;
        let mut done = Done::default();
        for number in first..first + 20 {
            let burns = number == first + 1;
            if use_setup(&writing, setup, peer, number, burns, &mut done).is_err() {
                break;
            }
        }
        drop(writing);
        let chance = [0.0, 1.0, 0.5, 0.9][usize::from(round) % 4];
        let cut = Disk::with(disk.after_power_cut(|| random.gen_bool(chance)));
        let opened = journal(&cut);
        let pairs = opened.pairs().unwrap();
        let pair = pairs.into_iter().find(|pair| pair.setup == setup).unwrap();
        assert!(pair.runs >= done.begun, "round {round}: a run is lost");
        assert!(
            pair.unrecorded + done.ended >= done.begun,
            "round {round}: a run without an end is not counted"
        );
        if done.burnt {
            let checked = pair.check(0, NonZeroU64::MIN, MAX_RUNS);
            assert_eq!(checked, Err(Unfit::Burnt), "round {round}");
        }
        cut_in_a_run += pair.unrecorded;
        burns += u64::from(done.burnt);
        opened.verify_audit().unwrap();
        drop(opened);
        content = cut.after_power_cut(|| false);
    }
    assert!(cut_in_a_run > 3, "{cut_in_a_run} cuts in a run");
    assert!(burns > 3, "{burns} burns");
}

/// Uses a set-up once, or burns it. Says in `done` what was acknowledged.
fn use_setup(
    journal: &Journal,
    setup: Hash,
    peer: NodeId,
    number: u32,
    burns: bool,
    done: &mut Done,
) -> Result<(), WriteJournalError> {
    let task = decided(number).task;
    journal.approve(NOW, decided(number), vec![])?;
    let runs = Runs {
        setup,
        peers: vec![peer],
        runs: NonZeroU64::MIN,
    };
    journal.begin_runs(task, runs.clone(), MAX_RUNS)?;
    done.begun += 1;
    let burn = Burn {
        setup,
        peer,
        task,
        since: NOW,
        text: "test".into(),
    };
    let runs = RunsEnd {
        burns: if burns { vec![burn] } else { Vec::new() },
        clean: if burns { Vec::new() } else { vec![runs] },
        unknown: Vec::new(),
    };
    let consequences = Consequences {
        runs,
        ..Consequences::default()
    };
    done.ended += 1;
    journal.conclude(NOW, task, failed(), true, consequences)?;
    done.burnt |= burns;
    Ok(())
}

#[test]
fn a_full_disk_is_an_error_for_every_write_from_then_on() {
    let disk = Disk::with(empty());
    let journal = journal(&disk);
    journal.approve(NOW, decided(1), vec![]).unwrap();
    disk.fill();
    for number in 2..5 {
        let error = journal.approve(NOW, decided(number), vec![]).unwrap_err();
        assert!(
            matches!(
                error,
                WriteJournalError::Failed(_) | WriteJournalError::Ended(_)
            ),
            "{error}"
        );
        let trouble = journal.trouble().why().expect("the node is told");
        assert!(trouble.contains("cannot be written"), "{trouble}");
        assert_eq!(
            error.to_string().matches("cannot be written").count(),
            1,
            "{error}"
        );
    }
    assert!(matches!(
        journal.end(NOW, decided(1).task, failed()),
        Err(WriteJournalError::Ended(_))
    ));
}

#[test]
fn concurrent_writes_share_a_commit_and_one_refusal_harms_no_other() {
    let disk = Disk::with(empty());
    let journal = journal(&disk);
    journal.approve(NOW, decided(0), vec![]).unwrap();
    let before = journal.commits();
    disk.hold();
    let approve = |number| {
        let journal = journal.clone();
        std::thread::spawn(move || journal.approve(NOW, decided(number), vec![]))
    };
    // The first waits for the disk; the others queue behind it. Number 0 is known already.
    let mut threads = vec![approve(1)];
    disk.wait_for_sync();
    threads.extend((2..=40).chain([0]).map(approve));
    while journal.writer.pending() < 41 {
        std::thread::sleep(Duration::from_millis(1));
    }
    disk.release();
    let answers: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    assert!(answers[..40].iter().all(Result::is_ok), "{answers:?}");
    assert!(
        matches!(
            answers[40],
            Err(WriteJournalError::Refused(Refused::Known(_)))
        ),
        "{answers:?}"
    );
    assert_eq!(journal.commits() - before, 2);
    assert_eq!(journal.verify_audit().unwrap().entries, 41);
}
