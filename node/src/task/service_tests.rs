//! Tasks from their offer to their outcome, at one node that has the wallet's share. Check-ups run
//! alone, so that no other node is needed.

use countersign_protocol::session::Rooms;
use countersign_protocol::{
    Collect, Failure, FailureCode, KeyShareSign, Operation, Outcome, RefusalCode, Task, UnixMillis,
};
use countersign_store::{KeyStatus, PreparedReshare, ReshareStage, Silent};

use super::*;
use crate::config::Config;
use crate::task::fixtures::{
    NOW, Parts, TASK, approved, config, decided, empty_journal, generation, key, node, nodes,
    quarantined, services, sign, task,
};

/// A node at work, with what it reports.
struct Tasks {
    service: Arc<TaskService>,
    parts: Parts,
}

impl Tasks {
    /// Holds the wallet, with room for two tasks.
    fn new() -> Self {
        Self::with(|_| {})
    }

    /// The same, with other settings.
    fn with(change: impl FnOnce(&mut Services)) -> Self {
        let parts = Parts::holding(KeyStatus::Active);
        let mut services = services(&parts, "");
        change(&mut services);
        Self {
            service: TaskService::new(services),
            parts,
        }
    }

    fn offer(&self, task: &Task) {
        self.service.offer(Offered {
            signed: sign(task),
            parties: vec![node(1)],
            votes: Vec::new(),
        });
    }

    /// The next decision or outcome. How it is getting on is left out.
    async fn answer(&mut self) -> FromNode {
        loop {
            match self.parts.reports.recv().await.unwrap() {
                FromNode::Progress { .. } | FromNode::Working { .. } => {}
                answer => return answer,
            }
        }
    }

    /// The code of the next decision; empty for an approval.
    async fn decision(&mut self) -> String {
        match self.answer().await {
            FromNode::Decision { refusal, .. } => {
                refusal.map_or(String::new(), |refusal| refusal.code.to_string())
            }
            other => panic!("{other:?}"),
        }
    }

    async fn outcome(&mut self) -> Outcome {
        match self.answer().await {
            FromNode::Outcome { outcome, .. } => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn state(&self) -> Option<State> {
        let row = self.parts.journal().row(&TASK).unwrap();
        row.map(|row| row.state)
    }

    /// Puts a changed configuration in force, as SIGHUP does.
    fn reconfigure(&self, change: impl FnOnce(&mut Config)) {
        let mut config = config("");
        change(&mut config);
        self.service.node.admission.config.take(config);
    }

    fn counted(&self) -> Vec<(&'static str, Ended, u64)> {
        self.service.node.register.counters.tasks()
    }
}

fn check_up_of(key: countersign_protocol::KeyId) -> Task {
    let nodes = vec![node(1)];
    task(Operation::KeyShareSign(KeyShareSign { key, nodes }))
}

fn check_up() -> Task {
    check_up_of(key())
}

/// The same id, and other bytes.
fn other_bytes() -> Task {
    Task {
        note: Some("another".into()),
        ..check_up()
    }
}

/// A task longer than a day, which collects votes.
fn long() -> Task {
    Task {
        not_after: UnixMillis(check_up().created.0 + 48 * 3_600_000),
        collect: Some(Collect {
            votes: 1,
            until: UnixMillis(check_up().created.0 + 47 * 3_600_000),
        }),
        ..check_up()
    }
}

#[tokio::test]
async fn a_task_lives_for_as_long_as_the_operator_allows() {
    let mut tasks = Tasks::new();
    tasks.offer(&long());
    assert_eq!(tasks.decision().await, "task-lifetime");
    let mut tasks = Tasks::new();
    tasks.reconfigure(|config| config.task_hours = 47);
    tasks.offer(&long());
    assert_eq!(tasks.decision().await, "", "the votes end in time");
    tasks.reconfigure(|config| config.task_hours = 46);
    tasks.service.start(TASK);
    let outcome = tasks.outcome().await;
    assert!(
        matches!(&outcome, Outcome::Failed(failure) if failure.text.contains("46 hours")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn an_approved_task_runs_when_it_is_started_and_ends_on_record() {
    let mut tasks = Tasks::new();
    tasks.offer(&check_up());
    assert_eq!(tasks.decision().await, "");
    assert_eq!(
        tasks.state(),
        Some(State::Approved),
        "before it is reported"
    );
    tasks.service.start(TASK);
    let outcome = tasks.outcome().await;
    let Outcome::Intact(intact) = &outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!((intact.node, intact.key), (node(1), key()));
    let ended = State::Ended {
        outcome: outcome.into(),
        at: NOW,
    };
    assert_eq!(tasks.state(), Some(ended));
    let title = OperationKind::KeyShareSign.title();
    assert_eq!(tasks.counted(), [(title, Ended::Succeeded, 1)]);
}

#[tokio::test]
async fn a_refused_task_is_refused_again_in_the_same_words_without_another_row() {
    let mut tasks = Tasks::new();
    let unknown = check_up_of(countersign_protocol::KeyId::from_bytes([9; 16]).unwrap());
    tasks.offer(&unknown);
    let first = tasks.answer().await;
    tasks.service.tracker.close();
    tasks.service.tracker.wait().await;
    let commits = tasks.parts.journal().commits();
    tasks.offer(&unknown);
    assert_eq!(tasks.answer().await, first);
    assert_eq!(tasks.parts.journal().commits(), commits);
    let title = OperationKind::KeyShareSign.title();
    assert_eq!(tasks.counted(), [(title, Ended::Refused, 1)]);
}

#[tokio::test]
async fn an_approved_task_that_is_offered_again_is_approved_again() {
    let mut tasks = Tasks::new();
    tasks.offer(&check_up());
    assert_eq!(tasks.decision().await, "");
    tasks.offer(&check_up());
    assert_eq!(tasks.decision().await, "");
    assert_eq!(tasks.state(), Some(State::Approved));
}

#[tokio::test]
async fn other_bytes_under_the_id_of_a_task_raise_an_alarm_and_change_nothing() {
    let mut tasks = Tasks::new();
    tasks.offer(&check_up());
    assert_eq!(tasks.decision().await, "");
    tasks.offer(&other_bytes());
    assert_eq!(tasks.decision().await, "task-id-reused");
    assert_eq!(tasks.state(), Some(State::Approved));
    let title = OperationKind::KeyShareSign.title();
    assert_eq!(tasks.counted(), [(title, Ended::Alarmed, 1)]);
    let last = tasks.parts.journal().audit(0, 100).unwrap().pop().unwrap();
    assert!(last.text.contains("task-id-reused"), "{}", last.text);
}

#[tokio::test]
async fn a_task_that_waits_does_not_start_once_its_requester_is_removed() {
    let mut tasks = Tasks::new();
    tasks.offer(&check_up());
    assert_eq!(tasks.decision().await, "");
    tasks.reconfigure(|config| config.requesters.clear());
    tasks.service.start(TASK);
    let Outcome::Failed(failure) = tasks.outcome().await else {
        panic!("its requester was removed");
    };
    assert_eq!(failure.code.as_str(), "requester-unknown");
}

#[tokio::test]
async fn an_approval_is_not_recorded_once_the_requester_is_removed() {
    let mut tasks = Tasks::new();
    let order = sign(&check_up());
    let claimed = Arc::new(order.claim().unwrap());
    for (removed, expected) in [(false, None), (true, Some(RefusalCode::RequesterUnknown))] {
        let entry = tasks.service.enter(TASK, claimed.hash()).unwrap();
        let machine = Machine::new(claimed.clone(), vec![node(1)]);
        let mut executor = Executor::new(&tasks.service, entry.handle.clone(), machine);
        executor.step(Input::Offered);
        executor.step(Input::Found(Found::New));
        executor.admit(executor.machine.authentic().unwrap()).await;
        executor.approved = executor.plan.take().map(approved);
        if removed {
            tasks.reconfigure(|config| config.requesters.clear());
        }
        let approval = Input::Decided(Verdict {
            refusal: None,
            verdicts: Vec::new(),
            writes: Vec::new(),
            evidence: Default::default(),
        });
        let Input::Decided(verdict) = executor.reconsidered(approval).await else {
            panic!("plugins have decided");
        };
        assert_eq!(verdict.refusal.map(|refusal| refusal.code), expected);
        assert_eq!(executor.approved.is_none(), removed);
    }
    assert_eq!(tasks.parts.reported(), []);
}

/// Nobody must be able to use up the ids of a requester.
#[tokio::test]
async fn a_forged_order_leaves_an_alarm_and_no_row() {
    let mut tasks = Tasks::new();
    let forged = SignedTask {
        signature: [7; 64].into(),
        ..sign(&check_up())
    };
    tasks.service.offer(Offered {
        signed: forged,
        parties: vec![node(1)],
        votes: Vec::new(),
    });
    assert_eq!(tasks.decision().await, "requester-signature");
    assert_eq!(tasks.state(), None);
    tasks.service.tracker.close();
    tasks.service.tracker.wait().await;
    tasks.offer(&check_up());
    assert_eq!(tasks.decision().await, "", "the id is not used up");
}

#[tokio::test]
async fn an_order_from_the_future_or_the_past_leaves_no_row() {
    let mut tasks = Tasks::new();
    let early = Task {
        created: UnixMillis(NOW.0 + Task::MAX_SKEW_MS + 1),
        not_after: UnixMillis(NOW.0 + 60_000),
        ..check_up()
    };
    let late = Task {
        created: UnixMillis(NOW.0 - 60_000),
        not_after: NOW,
        ..check_up()
    };
    for (order, code) in [(early, "task-from-the-future"), (late, "task-expired")] {
        let other = Task {
            id: TaskId([code.len() as u8; 16]),
            ..order
        };
        tasks.offer(&other);
        assert_eq!(tasks.decision().await, code);
    }
    assert_eq!(tasks.parts.journal().recent(10).unwrap(), []);
}

#[tokio::test]
async fn what_is_not_a_task_is_not_answered() {
    let tasks = Tasks::new();
    tasks.service.offer(Offered {
        signed: SignedTask {
            bytes: b"{}".to_vec(),
            signature: [0; 64].into(),
        },
        parties: vec![node(1)],
        votes: Vec::new(),
    });
    tasks.service.tracker.close();
    tasks.service.tracker.wait().await;
    let mut parts = tasks.parts;
    assert_eq!(parts.reported(), []);
}

#[tokio::test]
async fn a_node_that_handles_its_limit_refuses_the_next_task() {
    let mut tasks = Tasks::with(|services| services.tasks = 0);
    tasks.offer(&check_up());
    assert_eq!(tasks.decision().await, "busy");
    assert!(matches!(tasks.state(), Some(State::Ended { .. })));
}

/// What is offered before the coordinator agrees is taken, even if it is examined later.
#[tokio::test]
async fn a_drained_node_refuses_what_is_offered_all_the_same() {
    for (agreed_before, expected) in [(true, "busy"), (false, "")] {
        let mut tasks = Tasks::new();
        let drain = tasks.service.node.drain.clone();
        drain.linked(countersign_protocol::PROTOCOL_VERSION);
        drain.want(true);
        assert!(drain.untold().is_some());
        if agreed_before {
            drain.answered();
        }
        tasks.offer(&check_up());
        drain.answered();
        assert_eq!(tasks.decision().await, expected);
    }
}

#[tokio::test]
async fn offers_beyond_what_can_be_examined_are_dropped() {
    let tasks = Tasks::with(|services| services.tasks = 0);
    for _ in 0..=SPARE_OFFERS {
        tasks.offer(&check_up());
    }
    assert_eq!(tasks.service.tracker.len(), SPARE_OFFERS);
    assert_eq!(tasks.service.offers.available_permits(), 0);
}

#[tokio::test]
async fn a_stopping_node_takes_no_offers() {
    let tasks = Tasks::new();
    tasks.service.node.stopping.cancel();
    tasks.offer(&check_up());
    assert_eq!(tasks.service.tracker.len(), 0);
}

#[tokio::test]
async fn a_restored_node_refuses_what_was_ordered_before_and_nothing_else() {
    for (restored, code) in [(NOW.0, ""), (NOW.0 + 1, "task-before-restore")] {
        let restored = Some(UnixMillis(restored));
        let mut tasks = Tasks::with(|services| services.restored = restored);
        tasks.offer(&check_up());
        assert_eq!(tasks.decision().await, code);
    }
}

#[tokio::test]
async fn a_node_with_a_twin_takes_part_in_nothing() {
    let parts = Parts::holding(KeyStatus::Active);
    parts.journal().twin(NOW).unwrap();
    let mut tasks = Tasks {
        service: TaskService::new(services(&parts, "")),
        parts,
    };
    tasks.offer(&check_up());
    assert_eq!(tasks.decision().await, "twin");
}

#[tokio::test]
async fn a_waiting_task_that_the_coordinator_cancels_ends_without_a_session() {
    let mut tasks = Tasks::new();
    tasks.offer(&check_up());
    assert_eq!(tasks.decision().await, "");
    tasks.service.cancel(TASK, "tired");
    let Outcome::Failed(failure) = tasks.outcome().await else {
        panic!("it was cancelled");
    };
    assert_eq!(failure.code, FailureCode::Cancelled);
    assert!(failure.text.ends_with("try again with a new task"));
    let title = OperationKind::KeyShareSign.title();
    assert_eq!(tasks.counted(), [(title, Ended::Failed, 1)]);
}

#[tokio::test]
async fn all_waiting_tasks_can_be_given_up_at_once() {
    let mut tasks = Tasks::new();
    let other = Task {
        id: TaskId([2; 16]),
        ..check_up()
    };
    for order in [check_up(), other] {
        tasks.offer(&order);
        assert_eq!(tasks.decision().await, "");
    }
    tasks.service.cancel_all("a twin");
    for _ in 0..2 {
        assert!(matches!(tasks.outcome().await, Outcome::Failed(_)));
    }
}

#[tokio::test]
async fn a_start_or_a_cancellation_of_an_unknown_task_does_nothing() {
    let mut tasks = Tasks::new();
    tasks.service.start(TASK);
    tasks.service.cancel(TASK, "tired");
    tasks.offer(&check_up());
    assert_eq!(tasks.decision().await, "");
    assert_eq!(
        tasks.state(),
        Some(State::Approved),
        "it waits for its start"
    );
}

#[tokio::test]
async fn a_waiting_task_ends_when_the_node_stops() {
    let mut tasks = Tasks::new();
    tasks.offer(&check_up());
    assert_eq!(tasks.decision().await, "");
    tasks.service.node.stopping.cancel();
    let Outcome::Failed(failure) = tasks.outcome().await else {
        panic!("it was cancelled");
    };
    assert!(failure.text.contains("this node is stopping"));
    tasks.service.drain(Duration::from_secs(60)).await;
    assert!(tasks.service.lock().is_empty());
}

/// Frames of two sessions under one task would be mixed.
#[tokio::test]
async fn a_task_has_one_session_at_a_time() {
    let mut tasks = Tasks::new();
    let router = tasks.service.node.sessions.router.clone();
    let _first = router.open(TASK, &[node(1)], Rooms::default()).unwrap();
    tasks.offer(&check_up());
    assert_eq!(tasks.decision().await, "");
    tasks.service.start(TASK);
    let Outcome::Failed(failure) = tasks.outcome().await else {
        panic!("a session is open already");
    };
    assert_eq!(failure.code, FailureCode::SessionOpen);
}

/// The share went missing after the task was admitted.
#[tokio::test]
async fn a_share_that_cannot_be_opened_fails_the_task_and_not_the_node() {
    let mut tasks = Tasks::new();
    tasks.offer(&check_up());
    assert_eq!(tasks.decision().await, "");
    tasks.parts.vault().release_share(key(), &[]).unwrap();
    tasks.service.start(TASK);
    let Outcome::Failed(failure) = tasks.outcome().await else {
        panic!("there is no share");
    };
    assert_eq!(failure.code, FailureCode::Secrets);
    assert!(failure.text.contains("restore it from a backup"));
}

#[test]
fn the_journal_tells_a_new_task_from_a_known_one_and_from_other_bytes() {
    let (_dir, journal) = empty_journal();
    let row = decided(TASK, OperationKind::KeyReshare, nodes(&[1, 2, 3]));
    let hash = row.hash;
    let found = |hash| look_up(&journal, TASK, hash).unwrap();
    assert!(matches!(found(hash), Found::New));
    journal.approve(NOW, row, Vec::new()).unwrap();
    assert!(matches!(found(Hash([9; 32])), Found::OtherBytes));
    assert!(matches!(found(hash), Found::Approved { stored: None }));
    let descriptor = countersign_protocol::KeyDescriptor {
        task: TASK,
        ..generation(1, &[1, 3])
    };
    let prepared = PreparedReshare {
        task: TASK,
        descriptor: descriptor.clone(),
        joins: true,
        opened: NOW,
        stage: ReshareStage::InDoubt,
        created: NOW,
    };
    journal.prepare_reshare(prepared).unwrap();
    assert!(matches!(
        found(hash),
        Found::Approved { stored: Some(stored) } if *stored == descriptor
    ));
}

#[test]
fn an_ended_reshare_is_found_with_whether_this_node_may_vote_to_abort_it() {
    let (_dir, journal) = empty_journal();
    let row = decided(TASK, OperationKind::KeyReshare, nodes(&[1, 2, 3]));
    let hash = row.hash;
    journal.approve(NOW, row, Vec::new()).unwrap();
    let failure = Failure::new(FailureCode::SessionTimeout, "t");
    let outcome = Outcome::Failed(failure);
    journal.end(NOW, TASK, outcome.clone()).unwrap();
    assert!(matches!(
        look_up(&journal, TASK, hash).unwrap(),
        Found::Ended { outcome: found, never_stored: true, .. } if *found == outcome
    ));
}

#[test]
fn trust_is_looked_up_for_the_key_or_for_any_key() {
    let (_dir, journal) = empty_journal();
    let elsewhere = countersign_protocol::KeyId::from_bytes([9; 16]).unwrap();
    journal.quarantine(quarantined(2, elsewhere)).unwrap();
    let parties = nodes(&[1, 2]);
    let same = trusted(&journal, Check::Key(key(), parties.clone()));
    assert_eq!(same, Ok(()));
    assert_eq!(trusted(&journal, Check::Alone), Ok(()));
    for check in [
        Check::NewKey(parties.clone()),
        Check::Key(elsewhere, parties),
    ] {
        let refusal = trusted(&journal, check).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::PeerQuarantined);
    }
}
