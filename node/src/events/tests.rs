//! The deliveries written for each receiver, and the contents of events.

use std::collections::BTreeMap;

use countersign_host::{Stage, Success};
use countersign_protocol::{
    Committee, Hash, KeyGen, RequesterId, Scheme, Task, Threshold, UnixMillis,
};
use countersign_store::{Decided, Evidence, Silent};

use super::*;
use crate::specimen::{self, keygen, node, question};

const NOW: UnixMillis = UnixMillis(1_000_000);
const TASK: TaskId = TaskId([1; 16]);

/// Receivers that want these events, by name.
fn events(receivers: &[(&str, &[&str])]) -> Events {
    let wanted = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
    let receivers = receivers
        .iter()
        .map(|(receiver, names)| ((*receiver).to_owned(), wanted(names)));
    Events::told_to(node(1), World::system().at(NOW), receivers.collect())
}

/// The task that is under way.
fn begun(events: &Events, kind: OperationKind) {
    events.begin(TASK, kind, question(keygen()).into());
}

fn read(event: &NewEvent) -> Event {
    serde_json::from_slice(&event.body).unwrap()
}

/// Journals a decision as a node does.
fn record(journal: &Journal, kind: OperationKind, bytes: &[u8], recording: Vec<u8>) {
    let decided = Decided {
        task: TASK,
        hash: Hash([2; 32]),
        kind,
        received_at: UnixMillis(7),
        verdicts: Vec::new(),
        parties: Vec::new(),
        bytes: bytes.to_vec(),
        evidence: Evidence {
            recording,
            ..Evidence::default()
        },
    };
    journal.approve(NOW, decided, Vec::new()).unwrap();
}

fn declined() -> What {
    What::Declined {
        code: "not-today".into(),
        reason: "Closed.".into(),
    }
}

#[test]
fn an_event_goes_to_those_who_want_it_and_to_nobody_else() {
    let (_dir, journal) = specimen::journal();
    let events = events(&[
        (
            "all",
            &["request.keysign.created", "request.keysign.failed"],
        ),
        ("failures", &["request.keysign.failed"]),
        ("keys", &["request.keygen.failed"]),
    ]);
    begun(&events, OperationKind::KeySign);
    let told = |what| events.tell(&journal, TASK, what);
    assert_eq!(told(What::Created)[0].receivers, ["all"]);
    assert_eq!(told(declined())[0].receivers, ["all", "failures"]);
    assert!(told(What::Updated(Stage::Waiting)).is_empty());
}

#[test]
fn each_kind_of_operation_has_events_of_its_own() {
    let (_dir, journal) = specimen::journal();
    for kind in OperationKind::ALL {
        let wanted = format!("request.{kind}.created");
        let events = events(&[("r", &[&wanted])]);
        for other in OperationKind::ALL {
            begun(&events, other);
            let told = events.tell(&journal, TASK, What::Created);
            assert_eq!(told.len(), usize::from(other == kind), "{kind} {other}");
        }
    }
}

#[test]
fn every_end_that_is_not_a_success_is_a_failure_to_receivers() {
    let (_dir, journal) = specimen::journal();
    let events = events(&[("r", &["request.keysign.failed"])]);
    begun(&events, OperationKind::KeySign);
    let ends = [
        declined(),
        What::Failed("lost".into()),
        What::Cancelled("cancelled".into()),
    ];
    for end in ends {
        assert_eq!(events.tell(&journal, TASK, end.clone()).len(), 1, "{end:?}");
    }
    let success = What::Succeeded(Success::Signatures(Vec::new()));
    assert!(events.tell(&journal, TASK, success).is_empty());
}

#[test]
fn an_event_says_when_where_and_what_with_the_question_and_the_signed_bytes() {
    let (_dir, journal) = specimen::journal();
    let events = events(&[("r", &["request.keysign.failed"])]);
    begun(&events, OperationKind::KeySign);
    let told = events.tell(&journal, TASK, declined()).remove(0);
    let event = read(&told);
    assert_eq!(told.task, Some(TASK));
    assert_eq!((event.at, event.node), (NOW.0, node(1).to_string()));
    assert_eq!(
        (event.what, &event.raw),
        (declined(), &question(keygen()).raw)
    );
    let task = event.task.unwrap();
    assert_eq!(task.operation, keygen());
    assert_eq!(task.requester.name, "treasury");
}

#[test]
fn every_kind_of_event_reads_back_from_the_outbox_as_it_was_written() {
    let (_dir, journal) = specimen::journal();
    let names = ["created", "updated", "succeeded", "failed"];
    let names = names.map(|name| format!("request.keygen.{name}"));
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let events = events(&[("r", &names)]);
    begun(&events, OperationKind::KeyGen);
    let share = countersign_host::ShareSignature {
        key: "k".into(),
        message: "generation 0".into(),
        digest: Vec::new(),
        signature: vec![1, 2],
    };
    for what in [
        What::Created,
        What::Updated(Stage::Approving),
        What::Updated(Stage::Processing),
        What::Succeeded(Success::KeyShares(vec![share])),
        declined(),
        What::Failed("peer-lost: a".into()),
        What::Cancelled("cancelled: b".into()),
    ] {
        let told = events.tell(&journal, TASK, what.clone()).remove(0);
        assert_eq!(read(&told).what, what);
    }
}

#[test]
fn every_event_has_an_id_of_its_own_which_is_a_random_uuid() {
    let (_dir, journal) = specimen::journal();
    let events = events(&[("r", &["request.keysign.created"])]);
    begun(&events, OperationKind::KeySign);
    let ids = (0..32).map(|_| read(&events.tell(&journal, TASK, What::Created)[0]).id);
    let ids: BTreeSet<String> = ids.collect();
    assert_eq!(ids.len(), 32);
    for id in ids {
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        let version = &id[14..15];
        let variant = &id[19..20];
        assert!(version == "4" && "89ab".contains(variant), "{id}");
    }
}

#[test]
fn a_receiver_that_wants_nothing_is_told_nothing() {
    let (dir, journal) = specimen::journal();
    let entry = ReceiverEntry {
        plugin: specimen::entry("silent", dir.path()),
        wanted: BTreeSet::new(),
        retry_times: None,
        pause: std::time::Duration::from_secs(1),
    };
    let events = Events::new(node(1), World::system(), &[entry]);
    begun(&events, OperationKind::KeySign);
    assert!(events.tell(&journal, TASK, declined()).is_empty());
    assert!(events.lock().is_empty(), "no task is kept for nobody");
}

#[test]
fn a_ping_is_about_no_task_and_is_not_written_for_anybody() {
    let (_dir, journal) = specimen::journal();
    let events = events(&[("r", &["request.keysign.created"])]);
    begun(&events, OperationKind::KeySign);
    assert!(events.tell(&journal, TASK, What::Ping).is_empty());
    let ping = events.ping();
    assert!(ping.task.is_none() && ping.raw.is_empty());
    assert_eq!((ping.at, ping.what), (NOW.0, What::Ping));
}

#[test]
fn of_a_task_that_nobody_has_on_record_nothing_is_told() {
    let (_dir, journal) = specimen::journal();
    let events = events(&[("r", &["request.keysign.failed"])]);
    assert!(events.tell(&journal, TASK, declined()).is_empty());
}

#[test]
fn a_task_that_is_over_is_told_of_from_its_row_and_no_longer_from_memory() {
    let (_dir, journal) = specimen::journal();
    let events = events(&[("r", &["request.keysign.failed"])]);
    begun(&events, OperationKind::KeySign);
    events.finish(TASK);
    assert!(events.tell(&journal, TASK, declined()).is_empty());
    record(&journal, OperationKind::KeySign, b"{}", Vec::new());
    let task = read(&events.tell(&journal, TASK, declined())[0])
        .task
        .unwrap();
    assert_eq!(
        (task.id, task.received_at, task.node),
        (TASK.to_string(), 7, node(1).to_string())
    );
}

/// A wallet that was ordered before a restart.
#[test]
fn a_row_of_a_new_key_tells_its_scheme_and_members_and_the_requester() {
    let (_dir, journal) = specimen::journal();
    let requester = RequesterId::from_bytes(*node(9).as_bytes()).unwrap();
    let committee = Committee::new(vec![node(1), node(2)]).unwrap();
    let task = Task {
        version: 1,
        id: TASK,
        created: NOW,
        not_after: UnixMillis(NOW.0 + 60_000),
        requester,
        note: None,
        claims: BTreeMap::new(),
        collect: None,
        operation: Operation::KeyGen(KeyGen {
            name: "treasury".into(),
            scheme: Scheme::Ed25519,
            committee: committee.clone(),
            threshold: Threshold::try_from(2).unwrap(),
        }),
    };
    let bytes = serde_json::to_vec(&task).unwrap();
    record(&journal, OperationKind::KeyGen, &bytes, Vec::new());
    let events = events(&[("r", &["request.keygen.failed"])]);
    let event = read(&events.tell(&journal, TASK, declined())[0]);
    let told = event.task.unwrap();
    let countersign_host::Operation::Keygen(told_keygen) = told.operation else {
        panic!("{:?}", told.operation)
    };
    let members = committee.members().iter().map(NodeId::to_string);
    assert_eq!(told_keygen.members, members.collect::<Vec<_>>());
    assert_eq!(
        (
            told_keygen.scheme.as_str(),
            told_keygen.curve.as_str(),
            told_keygen.threshold
        ),
        ("ed25519", "ed25519", 2)
    );
    assert_eq!(told.requester.id, requester.to_string());
    assert_eq!(event.raw, bytes);
}

#[test]
fn a_row_that_cannot_be_read_still_tells_the_kind_and_the_bytes() {
    let (_dir, journal) = specimen::journal();
    record(
        &journal,
        OperationKind::KeyReshare,
        b"of tomorrow",
        Vec::new(),
    );
    let events = events(&[("r", &["request.keyreshare.failed"])]);
    let event = read(&events.tell(&journal, TASK, declined())[0]);
    let task = event.task.unwrap();
    let expected = countersign_host::Operation::Other("keyreshare".into());
    assert_eq!(
        (task.operation, task.requester.id),
        (expected, String::new())
    );
    assert_eq!(event.raw, b"of tomorrow");
}

#[test]
fn a_recorded_decision_says_more_than_its_row() {
    let (_dir, journal) = specimen::journal();
    let recording = Recording {
        chain: [3; 32],
        question: Some(question(keygen())),
        evaluations: Vec::new(),
    };
    record(&journal, OperationKind::KeySign, b"{}", recording.encode());
    let events = events(&[("r", &["request.keysign.failed"])]);
    let task = read(&events.tell(&journal, TASK, declined())[0])
        .task
        .unwrap();
    assert_eq!(
        (task.operation, task.requester.name),
        (keygen(), "treasury".into())
    );
}

#[tokio::test]
async fn progress_is_posted_for_a_task_under_way_and_wakes_the_delivery() {
    let (_dir, journal) = specimen::journal();
    let events = events(&[("r", &["request.keysign.updated"])]);
    begun(&events, OperationKind::KeySign);
    let fresh = events.fresh.notified();
    let stages = [Stage::Approving, Stage::Waiting].map(What::Updated);
    events.post(&journal, TASK, stages.to_vec());
    specimen::soon(fresh).await;
    let waiting = journal.outbox("r", 10).unwrap();
    let told = waiting.iter().map(|(_, delivery)| {
        let event: Event = serde_json::from_slice(&delivery.body).unwrap();
        event.what
    });
    assert_eq!(told.collect::<Vec<_>>(), stages);
}

#[test]
fn progress_of_a_task_that_is_over_is_not_posted() {
    let (_dir, journal) = specimen::journal();
    let events = events(&[("r", &["request.keysign.updated"])]);
    begun(&events, OperationKind::KeySign);
    events.finish(TASK);
    // Outside of a runtime, posting anything would panic.
    events.post(&journal, TASK, vec![What::Updated(Stage::Waiting)]);
    assert_eq!(journal.outbox_len().unwrap(), 0);
}

#[test]
fn progress_that_nobody_wants_is_not_posted() {
    let (_dir, journal) = specimen::journal();
    let events = events(&[("r", &["request.keysign.created"])]);
    begun(&events, OperationKind::KeySign);
    events.post(&journal, TASK, vec![What::Updated(Stage::Waiting)]);
    assert_eq!(journal.outbox_len().unwrap(), 0);
}

#[test]
fn shares_of_a_task_that_is_not_under_way_are_not_kept() {
    let events = events(&[("r", &["request.keygen.succeeded"])]);
    let participant = Participant {
        node: "a".into(),
        share_id: "1".into(),
        share_public_key: vec![1],
    };
    events.shares(TASK, vec![participant.clone()]);
    assert!(events.participants(TASK).is_empty());
    begun(&events, OperationKind::KeyGen);
    events.shares(TASK, vec![participant.clone()]);
    assert_eq!(events.participants(TASK), [participant]);
}
