use countersign_protocol::SignedTask;

use super::*;
use crate::task::fixtures::node;

const UNTIL: UnixMillis = UnixMillis(1_000_000);
const TIME: UnixMillis = UnixMillis(1);

fn used(number: usize, bytes: usize) -> Use {
    let mut bytes = vec![0; bytes];
    bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Use {
        task: SignedTask {
            bytes,
            signature: [7; 64].into(),
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

#[test]
fn a_use_without_other_holders_is_told_to_nobody() {
    let uses = Uses::default();
    uses.approved(&used(0, 100), Vec::new(), UNTIL);
    assert!(uses.lock().tasks.is_empty());
    uses.approved(&used(0, 100), vec![node(3)], UNTIL);
    assert_eq!(uses.lock().tasks.len(), 1);
}

/// The coordinator may offer a task again after this node has approved it.
#[test]
fn a_task_approved_again_takes_no_more_memory() {
    let mut told = Told::default();
    told.add(&used(0, 100), vec![node(3)], UNTIL);
    let once = told.bytes;
    told.add(&used(0, 100), vec![node(3)], UNTIL);
    assert_eq!((told.bytes, told.tasks.len()), (once, 1));
    told.remove(&used(0, 100).task.hash());
    assert_eq!(told.bytes, 0);
}

#[test]
fn a_kept_use_is_told_until_its_task_expires() {
    let (mut told, task, _) = told();
    told.end(task, true);
    let later = Instant::now() + Duration::from_secs(3600);
    assert_eq!(told.due(later, UNTIL, |_| true).len(), 1, "the last moment");
    told.up(&node(3));
    let over = UnixMillis(UNTIL.0 + 1);
    assert!(told.due(later, over, |_| true).is_empty());
    assert!(told.tasks.is_empty());
}

/// A session may end after its task has expired, and what nothing came of is still given back.
#[test]
fn a_release_is_told_until_a_session_must_have_ended() {
    let (mut told, task, _) = told();
    told.end(task, false);
    let later = Instant::now() + Duration::from_secs(7200);
    let last = UnixMillis(UNTIL.0 + AFTERMATH_MS);
    let due = told.due(later, last, |_| true);
    assert_eq!(due[&node(3)], [Body::Released(task)]);
    told.up(&node(3));
    let over = UnixMillis(last.0 + 1);
    assert!(told.due(later, over, |_| true).is_empty());
}

#[test]
fn the_word_of_another_peer_or_about_another_task_answers_nothing() {
    let (mut told, task, now) = told();
    let answer = |released| Body::Counted { task, released };
    told.hear(&node(4), &answer(false));
    told.hear(&node(3), &Body::Released(task));
    let elsewhere = Body::Counted {
        task: used(9, 100).task.hash(),
        released: false,
    };
    told.hear(&node(3), &elsewhere);
    let again = due(&mut told, now + Duration::from_secs(2));
    assert_eq!(again.len(), 1, "it is told again");
}

#[test]
fn that_a_release_was_heard_does_not_say_that_a_use_was_counted() {
    let (mut told, task, now) = told();
    answer(&mut told, task, true);
    assert_eq!(due(&mut told, now).len(), 1);
}

#[test]
fn each_holder_is_told_until_it_has_answered_for_itself() {
    let mut told = Told::default();
    let now = Instant::now();
    told.add(&used(0, 100), vec![node(3), node(4)], UNTIL);
    assert_eq!(told.due(now, TIME, |_| true).len(), 2);
    answer(&mut told, used(0, 100).task.hash(), false);
    let later = now + Duration::from_secs(2);
    let due = told.due(later, TIME, |_| true);
    assert_eq!(due.keys().collect::<Vec<_>>(), [&node(4)]);
}

#[test]
fn the_first_repetition_waits_two_seconds() {
    let (mut told, _, start) = told();
    let almost = start + Duration::from_millis(1_999);
    assert!(due(&mut told, almost).is_empty());
    assert_eq!(due(&mut told, start + Duration::from_secs(2)).len(), 1);
}

#[test]
fn the_oldest_task_gives_way_to_a_new_one() {
    let mut told = Told::default();
    (0..=MAX_TASKS).for_each(|number| told.add(&used(number, 100), vec![node(3)], UNTIL));
    let has = |number| told.tasks.contains_key(&used(number, 100).task.hash());
    assert!(!has(0));
    assert!(has(1) && has(MAX_TASKS));
}

#[test]
fn the_end_of_a_task_that_nobody_was_to_hear_of_changes_nothing() {
    let (mut told, task, now) = told();
    told.end(used(9, 100).task.hash(), false);
    told.up(&node(3));
    assert!(matches!(due(&mut told, now)[..], [Body::Used(_)]));
    assert!(told.tasks.contains_key(&task));
}
