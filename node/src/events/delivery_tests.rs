//! The outbox of a node before and after a look at it.

use countersign_store::NewEvent;

use super::super::receivers::tests::Fixture;
use super::*;
use crate::specimen::{REASON, Specimen, node, soon};

const NOW: UnixMillis = UnixMillis(1_000_000);
/// The pause of all receivers here, in milliseconds.
const PAUSE_MS: u64 = 10_000;

/// The worker of the receiver in place `index`.
async fn worker(fixture: &Fixture, index: usize, now: UnixMillis) -> DeliveryWorker {
    let world = World::system().at(now);
    let shared = Deliveries {
        events: Arc::new(Events::told_to(node(1), world.clone(), Vec::new())),
        journal: fixture.journal.clone(),
        receivers: Arc::new(fixture.receivers().await),
        entries: fixture.entries.clone(),
        counters: Arc::default(),
        world,
        stopping: CancellationToken::new(),
    };
    DeliveryWorker {
        shared: Arc::new(shared),
        index,
    }
}

/// One receiver.
fn one(component: Option<Specimen>) -> Fixture {
    Fixture::with(&[("one", component)])
}

fn post(journal: &Journal, receiver: &str, body: &[u8]) {
    let event = NewEvent {
        task: None,
        receivers: vec![receiver.into()],
        body: body.to_vec(),
    };
    journal.post(vec![event]).unwrap();
}

fn post_event(journal: &Journal, receiver: &str) {
    let events = Events::told_to(node(1), World::system(), Vec::new());
    post(
        journal,
        receiver,
        &serde_json::to_vec(&events.ping()).unwrap(),
    );
}

/// The pending deliveries: tries so far, and the time of the next.
fn waiting(journal: &Journal, receiver: &str) -> Vec<(u32, u64)> {
    let outbox = journal.outbox(receiver, 10).unwrap().into_iter();
    outbox
        .map(|(_, delivery)| (delivery.tries, delivery.next.0))
        .collect()
}

/// The abandoned deliveries: tries, and reason.
fn given_up(journal: &Journal) -> Vec<(u32, String)> {
    let given_up = journal.given_up(10).unwrap().into_iter();
    given_up
        .map(|(_, delivery)| (delivery.tries, delivery.given_up.unwrap()))
        .collect()
}

#[tokio::test]
async fn what_a_receiver_took_leaves_the_outbox() {
    let fixture = one(Some(Specimen::receiving()));
    post_event(&fixture.journal, "specimen:one");
    post_event(&fixture.journal, "specimen:one");
    let pause = worker(&fixture, 0, NOW).await.deliver_due().await;
    assert_eq!(fixture.journal.outbox_len().unwrap(), 0);
    assert_eq!(pause, IDLE, "nothing is due");
}

#[tokio::test]
async fn what_a_receiver_did_not_take_is_due_again_after_its_pause() {
    let fixture = one(Some(Specimen::unavailable()));
    post_event(&fixture.journal, "specimen:one");
    let pause = worker(&fixture, 0, NOW).await.deliver_due().await;
    assert_eq!(
        waiting(&fixture.journal, "specimen:one"),
        [(1, NOW.0 + PAUSE_MS)]
    );
    assert_eq!(pause, Duration::from_millis(PAUSE_MS));
}

#[tokio::test]
async fn nothing_is_tried_before_it_is_due_and_the_wait_ends_just_then() {
    let fixture = one(Some(Specimen::unavailable()));
    post_event(&fixture.journal, "specimen:one");
    worker(&fixture, 0, NOW).await.deliver_due().await;
    let due = NOW.0 + PAUSE_MS;
    let early = worker(&fixture, 0, UnixMillis(due - 1)).await;
    assert_eq!(
        early.deliver_due().await,
        Duration::from_millis(50),
        "the least pause"
    );
    let half = worker(&fixture, 0, UnixMillis(due - PAUSE_MS / 2)).await;
    assert_eq!(
        half.deliver_due().await,
        Duration::from_millis(PAUSE_MS / 2)
    );
    assert_eq!(waiting(&fixture.journal, "specimen:one"), [(1, due)]);
    worker(&fixture, 0, UnixMillis(due))
        .await
        .deliver_due()
        .await;
    assert_eq!(
        waiting(&fixture.journal, "specimen:one"),
        [(2, due + PAUSE_MS)]
    );
}

#[tokio::test]
async fn an_event_is_given_up_after_the_retries_that_the_operator_set() {
    for times in [0, 2] {
        let mut fixture = one(Some(Specimen::unavailable()));
        fixture.entries[0].retry_times = Some(times);
        post_event(&fixture.journal, "specimen:one");
        for retry in 0..times {
            let now = UnixMillis(NOW.0 + retry * PAUSE_MS);
            worker(&fixture, 0, now).await.deliver_due().await;
            assert!(given_up(&fixture.journal).is_empty(), "{retry} of {times}");
        }
        let now = UnixMillis(NOW.0 + times * PAUSE_MS);
        worker(&fixture, 0, now).await.deliver_due().await;
        let why = format!("plugin-failed:unavailable: {REASON}");
        assert_eq!(given_up(&fixture.journal), [(times as u32 + 1, why)]);
        assert!(waiting(&fixture.journal, "specimen:one").is_empty());
    }
}

#[tokio::test]
async fn without_a_number_of_retries_an_event_is_never_given_up() {
    let fixture = one(Some(Specimen::unavailable()));
    post_event(&fixture.journal, "specimen:one");
    let (position, _) = fixture.journal.outbox("specimen:one", 1).unwrap().remove(0);
    let tried = fixture.journal.try_again(position, u32::MAX, NOW);
    tried.unwrap();
    worker(&fixture, 0, NOW).await.deliver_due().await;
    assert_eq!(
        waiting(&fixture.journal, "specimen:one"),
        [(u32::MAX, NOW.0 + PAUSE_MS)]
    );
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_given_up_at_once_and_stops_no_other() {
    let fixture = one(Some(Specimen::receiving()));
    post(&fixture.journal, "specimen:one", b"half an ev");
    post_event(&fixture.journal, "specimen:one");
    worker(&fixture, 0, NOW).await.deliver_due().await;
    let [(tries, why)] = &given_up(&fixture.journal)[..] else {
        panic!("one is given up")
    };
    assert!(*tries == 1 && why.starts_with("unreadable: "), "{why}");
    assert!(waiting(&fixture.journal, "specimen:one").is_empty());
}

#[tokio::test]
async fn events_of_a_receiver_that_is_not_there_wait_for_it() {
    let fixture = one(None);
    post_event(&fixture.journal, "specimen:one");
    let worker = worker(&fixture, 0, NOW).await;
    worker.deliver_due().await;
    assert_eq!(
        waiting(&fixture.journal, "specimen:one"),
        [(1, NOW.0 + PAUSE_MS)]
    );
    Specimen::receiving().write(&fixture.file("one"));
    let (position, delivery) = fixture.journal.outbox("specimen:one", 1).unwrap().remove(0);
    worker.try_once(position, delivery).await;
    assert_eq!(fixture.journal.outbox_len().unwrap(), 0);
}

#[tokio::test]
async fn each_receiver_has_its_own_events_and_its_own_retries() {
    let fixture = Fixture::with(&[
        ("one", Some(Specimen::unavailable())),
        ("two", Some(Specimen::receiving())),
    ]);
    for receiver in ["specimen:one", "specimen:two"] {
        post_event(&fixture.journal, receiver);
    }
    worker(&fixture, 0, NOW).await.deliver_due().await;
    assert_eq!(waiting(&fixture.journal, "specimen:two"), [(0, 0)]);
    worker(&fixture, 1, NOW).await.deliver_due().await;
    assert!(waiting(&fixture.journal, "specimen:two").is_empty());
    assert_eq!(
        waiting(&fixture.journal, "specimen:one"),
        [(1, NOW.0 + PAUSE_MS)]
    );
}

#[tokio::test]
async fn events_of_a_receiver_that_was_removed_or_renamed_stay_until_its_name_is_back() {
    let mut fixture = one(Some(Specimen::receiving()));
    post_event(&fixture.journal, "specimen:one");
    fixture.entries[0].plugin.name = "specimen:renamed".into();
    worker(&fixture, 0, NOW).await.deliver_due().await;
    assert_eq!(waiting(&fixture.journal, "specimen:one"), [(0, 0)]);
    fixture.entries[0].plugin.name = "specimen:one".into();
    worker(&fixture, 0, NOW).await.deliver_due().await;
    assert_eq!(fixture.journal.outbox_len().unwrap(), 0);
}

#[tokio::test]
async fn a_receiver_that_was_added_gets_nothing_of_what_happened_before() {
    let mut fixture = one(Some(Specimen::receiving()));
    post_event(&fixture.journal, "specimen:one");
    let mut added = fixture.entries[0].clone();
    added.plugin.name = "specimen:added".into();
    fixture.entries.push(added);
    worker(&fixture, 1, NOW).await.deliver_due().await;
    assert_eq!(fixture.journal.outbox_len().unwrap(), 1);
}

/// The clock moves with each failure, so the order shows in when they are due again.
#[tokio::test]
async fn what_waits_is_tried_oldest_first() {
    let fixture = one(None);
    for _ in 0..3 {
        post_event(&fixture.journal, "specimen:one");
    }
    let mut worker = worker(&fixture, 0, NOW).await;
    let shared = Arc::get_mut(&mut worker.shared).unwrap();
    shared.world = World::system().ticking(NOW);
    worker.deliver_due().await;
    let due: Vec<_> = waiting(&fixture.journal, "specimen:one");
    let due: Vec<_> = due.into_iter().map(|(_, due)| due).collect();
    assert!(
        due.len() == 3 && due.is_sorted_by(|one, next| one < next),
        "{due:?}"
    );
}

#[tokio::test]
async fn a_worker_that_was_told_to_stop_delivers_nothing_more() {
    let fixture = one(Some(Specimen::receiving()));
    post_event(&fixture.journal, "specimen:one");
    let worker = Arc::new(worker(&fixture, 0, NOW).await);
    worker.shared.stopping.cancel();
    soon(worker.run()).await;
    assert_eq!(waiting(&fixture.journal, "specimen:one"), [(0, 0)]);
}

#[tokio::test]
async fn the_end_of_a_task_wakes_a_worker_that_has_nothing_to_do() {
    let mut fixture = one(None);
    fixture.entries[0].pause = Duration::from_secs(3600);
    post_event(&fixture.journal, "specimen:one");
    let worker = Arc::new(worker(&fixture, 0, NOW).await);
    let shared = worker.shared.clone();
    let running = tokio::spawn(worker.run());
    let tried = async || {
        while waiting(&fixture.journal, "specimen:one").contains(&(0, 0)) {
            tokio::task::yield_now().await;
        }
    };
    soon(tried()).await;
    post_event(&fixture.journal, "specimen:one");
    shared.events.finish(countersign_protocol::TaskId([1; 16]));
    // Unless it is woken, it looks again after a minute.
    soon(tried()).await;
    shared.stopping.cancel();
    soon(running).await.unwrap();
}

#[tokio::test]
async fn a_ping_leaves_no_trace_in_the_outbox() {
    let fixture = one(Some(Specimen::receiving()));
    worker(&fixture, 0, NOW).await.ping().await;
    assert_eq!(fixture.journal.outbox_len().unwrap(), 0);
}
