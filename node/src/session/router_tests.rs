//! Frames that reach a session, limits on them, and frames that go elsewhere.

use std::time::Duration;

use countersign_link::Identity;
use countersign_link::mesh::MeshConfig;
use countersign_protocol::control::Held;
use countersign_protocol::encode;
use countersign_protocol::frame::{
    Abort, Body, HighWater, Mark, Message, NO_TASK, NOTHING, UsePart,
};
use countersign_protocol::session::Room;
use countersign_protocol::{Cause, FailureCode, Hash, KeyId, SessionId};
use futures_util::FutureExt;

use super::*;

const TASK: TaskId = TaskId([1; 16]);
const OTHER_TASK: TaskId = TaskId([2; 16]);

fn key(seed: u8) -> PeerKey {
    Identity::from_seed(&[seed; 32]).unwrap().public()
}

fn node(seed: u8) -> NodeId {
    NodeId::from_bytes(key(seed).0).unwrap()
}

fn nodes<const N: usize>(seeds: [u8; N]) -> [NodeId; N] {
    seeds.map(node)
}

/// A router of node 1.
fn router() -> Arc<Router> {
    let me = Arc::new(Identity::from_seed(&[1; 32]).unwrap());
    Router::new(Mesh::new(me, MeshConfig::default()).0, BTreeMap::new())
}

fn abort(text: String) -> Body {
    Body::Abort(Abort {
        cause: Cause::Bug,
        code: FailureCode::EngineDied,
        text,
        accused: vec![],
        evidence: None,
        result: None,
    })
}

fn direct(phase: u8, length: usize) -> Body {
    Body::Run {
        session: SessionId([3; 32]),
        message: Message::Direct {
            phase,
            body: vec![0; length],
        },
    }
}

fn frame(router: &Router, from: u8, task: TaskId, seq: u32, body: Body) {
    router.frame(key(from), &encode(&Frame { task, seq, body }));
}

fn send(router: &Router, from: u8, count: u32) {
    (0..count).for_each(|seq| frame(router, from, TASK, seq, abort(String::new())));
}

fn send_body(router: &Router, from: u8, seq: u32, phase: u8, length: usize) {
    frame(router, from, TASK, seq, direct(phase, length));
}

/// The limits of a session with one engine.
fn rooms() -> Rooms {
    Rooms::new([Room {
        longest: 1000,
        total: 4000,
    }])
}

fn open(router: &Arc<Router>, seeds: &[u8]) -> Inbox {
    let parties: Vec<NodeId> = seeds.iter().copied().map(node).collect();
    router.open(TASK, &parties, rooms()).unwrap()
}

fn next(inbox: &mut Inbox) -> Option<Arrival> {
    inbox.next().now_or_never().expect("something has arrived")
}

fn is_empty(inbox: &mut Inbox) -> bool {
    inbox.next().now_or_never().is_none()
}

/// Lets the router handle these events of the mesh, which then ends.
async fn happen(router: &Router, happened: Vec<MeshEvent>) {
    let (events, receiver) = mpsc::channel(happened.len().max(1));
    happened
        .into_iter()
        .for_each(|event| events.try_send(event).unwrap());
    drop(events);
    router.run(receiver).await;
}

fn signed_mark() -> SignedMark {
    SignedMark {
        mark: Mark::default(),
        about: NOTHING,
        signature: [0; 64],
    }
}

fn heard(hearing: &mut Hearing) -> Said {
    hearing.next().now_or_never().expect("queued").unwrap()
}

#[test]
fn a_node_that_is_not_a_party_cannot_fill_the_inbox() {
    let router = router();
    send(&router, 4, 10);
    let mut inbox = open(&router, &[1, 2, 3]);
    send(&router, 4, 300);
    router.lost(key(4));
    send(&router, 2, 1);
    assert!(matches!(next(&mut inbox), Some(Arrival::Frame(from, _)) if from == node(2)));
    assert!(
        is_empty(&mut inbox),
        "nothing else is there, and the session lives"
    );
}

#[test]
fn a_party_that_overfills_its_share_is_named() {
    let router = router();
    let mut inbox = open(&router, &[1, 2, 3]);
    send(&router, 2, 128);
    send(&router, 3, 128);
    router.lost(key(4));
    assert!(
        matches!(next(&mut inbox), Some(Arrival::Frame(..))),
        "full quotas are not a flood"
    );
    send(&router, 3, 1);
    assert!(matches!(next(&mut inbox), Some(Arrival::Flood(by)) if by == node(3)));
}

/// It never waits, so a peer's megabytes are gone before anybody looks at them. The session
/// learns who sent them.
#[test]
fn a_frame_that_is_longer_than_its_phase_allows_is_not_kept() {
    let router = router();
    let mut inbox = open(&router, &[1, 2, 3]);
    send_body(&router, 3, 0, 0, 1000);
    assert!(matches!(next(&mut inbox), Some(Arrival::Frame(from, _)) if from == node(3)));
    for (phase, length) in [(0, 1001), (0, 1 << 20), (1, 0)] {
        send_body(&router, 2, 0, phase, length);
        assert!(matches!(next(&mut inbox), Some(Arrival::Overlong(by)) if by == node(2)));
    }
    frame(&router, 2, TASK, 0, abort("x".repeat(100_000)));
    assert!(matches!(next(&mut inbox), Some(Arrival::Overlong(by)) if by == node(2)));
}

#[test]
fn what_waits_of_a_party_is_bounded_in_bytes() {
    let router = router();
    let mut inbox = open(&router, &[1, 2]);
    let most = rooms().queued(INBOX) / 1000;
    (0..most as u32).for_each(|seq| send_body(&router, 2, seq, 0, 1000));
    assert!(most < INBOX, "so many frames could wait");
    assert!(matches!(next(&mut inbox), Some(Arrival::Flood(by)) if by == node(2)));
}

#[test]
fn what_was_handled_makes_room_again() {
    let router = router();
    let mut inbox = open(&router, &[1, 2]);
    for _ in 0..3 {
        send(&router, 2, 200);
        (0..200).for_each(|_| assert!(matches!(next(&mut inbox), Some(Arrival::Frame(..)))));
    }
    let half = rooms().queued(INBOX) / 1000 / 2;
    for _ in 0..3 {
        (0..half as u32).for_each(|seq| send_body(&router, 2, seq, 0, 1000));
        (0..half).for_each(|_| assert!(matches!(next(&mut inbox), Some(Arrival::Frame(..)))));
    }
}

#[tokio::test]
async fn what_is_held_too_long_goes_although_nobody_sends() {
    let router = router();
    let long_ago = Instant::now() - 2 * hold::MAX_AGE;
    let early = Frame {
        task: TASK,
        seq: 0,
        body: abort(String::new()),
    };
    router.lock().hold.put(long_ago, node(2), early, 100);
    let until_gone = async {
        loop {
            let held = router.lock().hold.take(TASK);
            let Some((from, frame, bytes)) = held.into_iter().next() else {
                break;
            };
            router.lock().hold.put(long_ago, from, frame, bytes);
            tokio::task::yield_now().await;
        }
    };
    let (_events, none) = mpsc::channel(1);
    tokio::select! {
        () = router.run(none) => panic!("it ends"),
        gone = tokio::time::timeout(Duration::from_secs(5), until_gone) => gone.expect("it goes"),
    }
}

#[test]
fn a_flood_before_the_task_is_named_too() {
    let router = router();
    send(&router, 2, 60);
    let mut inbox = open(&router, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert!(matches!(next(&mut inbox), Some(Arrival::Flood(by)) if by == node(2)));
}

#[test]
fn a_task_has_one_session_at_a_time() {
    let router = router();
    let first = open(&router, &[1, 2]);
    let parties = nodes([1, 3]);
    assert!(router.open(TASK, &parties, rooms()).is_none());
    drop(first);
    assert!(router.open(TASK, &parties, rooms()).is_some());
}

#[test]
fn a_session_hears_nothing_of_another_task() {
    let router = router();
    let mut inbox = open(&router, &[1, 2]);
    let mut other = router.open(OTHER_TASK, &nodes([1, 2]), rooms()).unwrap();
    frame(&router, 2, OTHER_TASK, 0, direct(0, 9));
    assert!(is_empty(&mut inbox));
    assert!(matches!(next(&mut other), Some(Arrival::Frame(_, frame)) if frame.task == OTHER_TASK));
}

#[test]
fn what_came_before_its_task_is_handed_over_in_the_order_of_arrival() {
    let router = router();
    send(&router, 2, 2);
    send(&router, 3, 1);
    let mut inbox = open(&router, &[1, 2, 3]);
    let mut taken = || match next(&mut inbox) {
        Some(Arrival::Frame(from, frame)) => (from, frame.seq),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        [taken(), taken(), taken()],
        [(node(2), 0), (node(2), 1), (node(3), 0)]
    );
}

/// It could only be answered by a session in which this node has said that it is ready.
#[test]
fn a_message_of_an_engine_for_an_unknown_task_is_dropped() {
    let router = router();
    send_body(&router, 2, 0, 0, 9);
    let mut inbox = open(&router, &[1, 2]);
    assert!(is_empty(&mut inbox));
}

#[test]
fn what_an_ended_session_had_not_read_does_not_reach_the_next_of_its_task() {
    let router = router();
    let ended = open(&router, &[1, 2]);
    send_body(&router, 2, 0, 0, 9);
    drop(ended);
    let mut inbox = open(&router, &[1, 2]);
    assert!(is_empty(&mut inbox));
}

#[test]
fn a_frame_that_cannot_be_read_costs_its_sender_no_session() {
    let router = router();
    let mut inbox = open(&router, &[1, 2]);
    let readable = encode(&Frame {
        task: TASK,
        seq: 0,
        body: direct(0, 9),
    });
    for garbage in [
        &[][..],
        &[0xff; 40],
        &readable[..readable.len() - 1],
        &[&readable[..], &[0]].concat(),
    ] {
        (0..2 * INBOX).for_each(|_| router.frame(key(2), garbage));
        assert!(is_empty(&mut inbox), "{garbage:?}");
    }
    assert_eq!(router.sessions(), 1);
}

#[test]
fn a_flood_closes_its_session_and_no_other() {
    let router = router();
    let mut flooded = open(&router, &[1, 2]);
    let mut other = router.open(OTHER_TASK, &nodes([1, 2]), rooms()).unwrap();
    send(&router, 2, INBOX as u32 + 1);
    assert_eq!(router.sessions(), 1);
    assert!(matches!(next(&mut flooded), Some(Arrival::Flood(_))));
    assert!(is_empty(&mut other));
    frame(&router, 2, OTHER_TASK, 0, direct(0, 9));
    assert!(matches!(next(&mut other), Some(Arrival::Frame(..))));
}

#[test]
fn the_first_party_that_floods_is_the_one_that_is_named() {
    let router = router();
    let mut inbox = open(&router, &[1, 2, 3]);
    send(&router, 3, 129);
    send(&router, 2, 129);
    for _ in 0..3 {
        assert!(matches!(next(&mut inbox), Some(Arrival::Flood(by)) if by == node(3)));
    }
}

#[test]
fn frames_that_are_too_long_use_up_their_senders_share_like_others() {
    let router = router();
    let mut inbox = open(&router, &[1, 2]);
    (0..INBOX as u32).for_each(|seq| send_body(&router, 2, seq, 0, 1001));
    assert!(matches!(next(&mut inbox), Some(Arrival::Overlong(_))));
    (0..2).for_each(|seq| send_body(&router, 2, seq, 0, 1001));
    assert!(matches!(next(&mut inbox), Some(Arrival::Flood(by)) if by == node(2)));
}

#[test]
fn a_tunnel_that_breaks_all_the_time_uses_up_its_peers_share() {
    let router = router();
    let mut inbox = open(&router, &[1, 2]);
    (0..INBOX).for_each(|_| router.lost(key(2)));
    assert!(matches!(next(&mut inbox), Some(Arrival::Lost(by)) if by == node(2)));
    (0..2).for_each(|_| router.lost(key(2)));
    assert!(matches!(next(&mut inbox), Some(Arrival::Flood(by)) if by == node(2)));
}

#[tokio::test]
async fn a_broken_tunnel_is_reported_to_the_sessions_of_its_peer() {
    let router = router();
    let mut with = open(&router, &[1, 2]);
    let mut without = router.open(OTHER_TASK, &nodes([1, 3]), rooms()).unwrap();
    happen(&router, vec![MeshEvent::Down(key(2))]).await;
    assert!(matches!(next(&mut with), Some(Arrival::Lost(peer)) if peer == node(2)));
    assert!(is_empty(&mut without));
}

#[tokio::test]
async fn a_tunnel_that_comes_up_is_news_for_marks_reshares_and_counts() {
    let router = router();
    let mut reshares = router.hearing().unwrap();
    let mut counting = router.counting().unwrap();
    happen(&router, vec![MeshEvent::Up(key(2))]).await;
    assert_eq!(
        router.news().next().now_or_never(),
        Some((node(2), PeerNews::Up))
    );
    assert!(matches!(heard(&mut reshares), Said::Up(peer) if peer == node(2)));
    assert!(matches!(heard(&mut counting.answers), Said::Up(peer) if peer == node(2)));
    assert!(counting.told.next().now_or_never().is_none());
}

#[test]
fn high_water_marks_are_news_and_reach_no_session() {
    let router = router();
    let mut inbox = open(&router, &[1, 2]);
    let said = HighWater {
        signed: signed_mark(),
        keys: Vec::new(),
    };
    frame(&router, 2, TASK, 0, Body::HighWater(said.clone()));
    frame(&router, 2, TASK, 0, Body::Behind(signed_mark()));
    router.marked(node(2), signed_mark());
    for news in [
        PeerNews::Said(said),
        PeerNews::Behind(signed_mark()),
        PeerNews::Marked(signed_mark()),
    ] {
        assert_eq!(router.news().next().now_or_never(), Some((node(2), news)));
    }
    assert!(is_empty(&mut inbox));
}

#[test]
fn frames_about_reshares_have_a_queue_of_their_own() {
    let router = router();
    let mut inbox = open(&router, &[1, 2]);
    let mut reshares = router.hearing().unwrap();
    let held = Held {
        key: KeyId::from_bytes([2; 16]).unwrap(),
        generation: 1,
    };
    for body in [
        Body::Generations(Vec::new()),
        Body::Heard(vec![held]),
        Body::Lacks(vec![held]),
    ] {
        frame(&router, 2, TASK, 0, body.clone());
        assert!(
            matches!(heard(&mut reshares), Said::Told(from, told) if from == node(2) && *told == body)
        );
    }
    assert!(is_empty(&mut inbox));
}

/// A peer that reports many signatures must not hold up the answers to this node's own reports.
#[test]
fn reports_of_signatures_and_answers_to_them_wait_in_two_queues() {
    let router = router();
    let mut counting = router.counting().unwrap();
    let hash = Hash([7; 32]);
    let part = UsePart {
        task: hash,
        number: 0,
        of: 1,
        bytes: Vec::new(),
    };
    let counted = Body::Counted {
        task: hash,
        released: false,
    };
    for _ in 0..100 {
        frame(&router, 2, NO_TASK, 0, Body::Used(part.clone()));
        frame(&router, 2, NO_TASK, 0, Body::Released(hash));
    }
    frame(&router, 2, NO_TASK, 0, counted.clone());
    let mut told = || heard(&mut counting.told);
    assert!(matches!(told(), Said::Told(_, body) if matches!(*body, Body::Used(_))));
    assert!(matches!(told(), Said::Told(_, body) if matches!(*body, Body::Released(_))));
    assert!(matches!(heard(&mut counting.answers), Said::Told(_, body) if *body == counted));
}

#[test]
fn every_queue_has_one_reader() {
    let router = router();
    assert!(router.hearing().is_some() && router.hearing().is_none());
    assert!(router.counting().is_some() && router.counting().is_none());
}

/// The reader must not wait for a party that cannot say anything any more.
#[tokio::test]
async fn frames_and_the_end_of_their_tunnel_arrive_in_order() {
    let router = router();
    let mut inbox = open(&router, &[1, 2]);
    let said = encode(&Frame {
        task: TASK,
        seq: 0,
        body: direct(0, 9),
    });
    let happened = vec![MeshEvent::Frame(key(2), said), MeshEvent::Down(key(2))];
    happen(&router, happened).await;
    assert!(matches!(next(&mut inbox), Some(Arrival::Frame(..))));
    assert!(matches!(next(&mut inbox), Some(Arrival::Lost(_))));
}

#[test]
fn a_peer_that_the_operator_has_not_named_is_logged_without_a_name() {
    let me = Arc::new(Identity::from_seed(&[1; 32]).unwrap());
    let names = [(node(2), "vienna".to_owned())].into();
    let router = Router::new(Mesh::new(me, MeshConfig::default()).0, names);
    assert_eq!(
        [key(2), key(3), PeerKey([0xff; 32])].map(|peer| router.name(peer)),
        ["vienna", "?", "?"]
    );
}
