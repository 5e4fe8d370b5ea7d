use countersign_protocol::SignedTask;

use super::*;

const UNTIL: UnixMillis = UnixMillis(1_000_000);
const TIME: UnixMillis = UnixMillis(1);

fn node(seed: u8) -> NodeId {
    let identity = countersign_link::Identity::from_seed(&[seed; 32]).unwrap();
    NodeId::from_bytes(identity.public().0).unwrap()
}

fn used(number: usize, bytes: usize) -> Use {
    let mut bytes = vec![0; bytes];
    bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Use {
        task: SignedTask {
            bytes,
            signature: [7; 64],
        },
        signers: vec![node(1), node(2)],
    }
}

/// The frames that node 3 is sent now.
fn due(told: &mut Told, now: Instant) -> Vec<Body> {
    told.due(now, TIME, |_| true)
        .remove(&node(3))
        .unwrap_or_default()
}

fn answer(told: &mut Told, task: Hash, released: bool) {
    told.hear(&node(3), &Body::Counted { task, released });
}

/// A node that told node 3 of one task.
fn told() -> (Told, Hash, Instant) {
    let mut told = Told::default();
    let now = Instant::now();
    told.add(&used(0, 100), vec![node(3)], UNTIL);
    let task = used(0, 100).task.hash();
    assert_eq!(
        due(&mut told, now),
        used(0, 100)
            .parts()
            .into_iter()
            .map(Body::Used)
            .collect::<Vec<_>>()
    );
    (told, task, now)
}

#[test]
fn it_is_told_again_with_longer_and_longer_pauses_and_not_for_ever() {
    let (mut told, task, start) = told();
    let times: Vec<u64> = (1..1000)
        .filter(|second| !due(&mut told, start + Duration::from_secs(*second)).is_empty())
        .collect();
    assert_eq!(times, [2, 6, 14, 30, 62]);
    told.up(&node(3));
    assert_eq!(
        due(&mut told, start + Duration::from_secs(1000)).len(),
        1,
        "a new tunnel"
    );
    answer(&mut told, task, false);
    assert!(
        due(&mut told, start + Duration::from_secs(2000)).is_empty(),
        "it has answered"
    );
    told.end(task, true);
    due(&mut told, start);
    assert!(told.tasks.is_empty() && told.bytes == 0);
}

#[test]
fn who_has_no_tunnel_is_told_when_it_has_one() {
    let mut told = Told::default();
    let now = Instant::now();
    told.add(&used(0, 100), vec![node(3)], UNTIL);
    assert!(told.due(now, TIME, |_| false).is_empty());
    told.up(&node(3));
    assert_eq!(due(&mut told, now).len(), 1);
}

#[test]
fn a_task_that_came_to_nothing_is_taken_back_where_it_may_have_been_counted() {
    let (mut told, task, now) = told();
    told.end(task, false);
    assert_eq!(due(&mut told, now), [Body::Released(task)]);
    answer(&mut told, task, false);
    assert!(
        told.tasks.contains_key(&task),
        "this answers what was told before"
    );
    answer(&mut told, task, true);
    due(&mut told, now);
    assert!(told.tasks.is_empty());
    told.add(&used(1, 100), vec![node(3)], UNTIL);
    told.end(used(1, 100).task.hash(), false);
    assert!(
        due(&mut told, now).is_empty(),
        "nobody was told that it was approved"
    );
}

#[test]
fn one_peer_has_no_more_frames_to_answer_than_it_has_room_for() {
    let mut told = Told::default();
    let now = Instant::now();
    (0..10).for_each(|number| told.add(&used(number, 100), vec![node(3)], UNTIL));
    assert_eq!(due(&mut told, now).len(), WINDOW);
    assert!(due(&mut told, now).is_empty());
    answer(&mut told, used(1, 100).task.hash(), false);
    assert_eq!(due(&mut told, now).len(), 1, "an answer makes room");
    assert_eq!(
        due(&mut told, now + PATIENCE).len(),
        WINDOW,
        "and so does time"
    );
}

#[test]
fn the_largest_task_is_told_in_parts() {
    let mut told = Told::default();
    let now = Instant::now();
    let large = used(0, SignedTask::MAX_PSBT_BYTES);
    told.add(&large, vec![node(3)], UNTIL);
    let bodies = due(&mut told, now);
    assert_eq!(
        bodies.len(),
        usize::from(countersign_protocol::frame::MAX_USE_PARTS)
    );
    for body in bodies {
        assert!(
            encode(&Frame {
                task: NO_TASK,
                seq: 0,
                body
            })
            .len()
                < countersign_link::MAX_FRAME
        );
    }
}

#[test]
fn memory_is_bounded_and_time_forgets() {
    let mut told = Told::default();
    (0..MAX_TASKS + 10).for_each(|number| told.add(&used(number, 100), vec![node(3)], UNTIL));
    assert_eq!(told.tasks.len(), MAX_TASKS);
    (0..100).for_each(|number| told.add(&used(number, 1 << 20), vec![node(3)], UNTIL));
    assert!(told.bytes <= MAX_BYTES);
    let late = UnixMillis(UNTIL.0 + AFTERMATH_MS + 1);
    assert!(told.due(Instant::now(), late, |_| true).is_empty());
    assert!(told.tasks.is_empty() && told.bytes == 0);
}
