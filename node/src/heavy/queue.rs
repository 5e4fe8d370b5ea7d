//! The queue of tasks that may need new auxiliary information.
//!
//! A task takes its place when the coordinator starts it. All members of a committee are told of
//! starts in the same order, so they come to the same task at the same time, and a task finds what
//! the one ahead of it has made for their committee.
//!
//! Only one task computes. One that has its turn and waits for its peers lets the next one past
//! after a while ([`PATIENCE`]): a silent peer holds up only its own task, and members whose orders
//! differ after all, since one of them was offline for a moment, do not wait for each other for
//! ever.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use countersign_protocol::Committee;
use tokio::sync::watch;

/// The time for which an idle task at its turn keeps those behind it waiting.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The same for tasks of the same committee, which are to use its result.
const PATIENCE_OF_SAME: Duration = Duration::from_secs(200);

/// The queue of one node.
#[derive(Clone)]
pub struct Queue(Arc<Shared>);

struct Shared {
    line: Mutex<Line>,
    /// Counts changes, to wake the places that wait.
    moved: watch::Sender<u64>,
}

/// A place in the queue, which is left when dropped.
pub struct Place {
    queue: Queue,
    number: u64,
}

impl Queue {
    /// Creates an empty queue.
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            line: Mutex::default(),
            moved: watch::Sender::new(0),
        }))
    }

    /// Takes a place at the end of the queue, for a task of this committee.
    pub fn enter(&self, committee: Committee) -> Place {
        Place {
            number: self.change(|line| line.enter(committee)),
            queue: self.clone(),
        }
    }

    /// The number of places that are taken.
    pub fn places(&self) -> usize {
        let line = self.0.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.places.len()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Line) -> T) -> T {
        let changed = change(&mut self.0.line.lock().unwrap_or_else(PoisonError::into_inner));
        self.0
            .moved
            .send_modify(|moves| *moves = moves.wrapping_add(1));
        changed
    }

    fn look(&self, number: u64, now: Instant) -> Turn {
        self.0
            .line
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .turn(number, now)
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// Waits for this place's turn. From then on it keeps those behind it waiting.
    pub async fn turn(&self) {
        let mut moved = self.queue.0.moved.subscribe();
        loop {
            moved.mark_unchanged();
            let now = Instant::now();
            let later = match self.queue.look(self.number, now) {
                Turn::Now => return self.rests(now),
                Turn::NotBefore(later) => Some(later),
                Turn::AfterAnother => None,
            };
            let until = async {
                match later {
                    Some(later) => tokio::time::sleep_until(later.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // Never an error: the sender lives in this place's queue.
                _ = moved.changed() => {}
                () = until => {}
            }
        }
    }

    /// Notes that the task computes from now on.
    pub fn computes(&self) {
        self.queue
            .change(|line| line.stand(self.number, Standing::Computes));
    }

    /// Notes that the task waits for others from `now` on.
    pub fn rests(&self, now: Instant) {
        self.queue
            .change(|line| line.stand(self.number, Standing::Rests(now)));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.change(|line| line.leave(self.number));
    }
}

/// The answer to a place that asks for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It has its turn.
    Now,
    /// At this instant, if nothing changes.
    NotBefore(Instant),
    /// Once another one has moved.
    AfterAnother,
}

/// The state of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Its turn has not come, or it has not asked for it.
    Waits,
    /// It has its turn and has computed nothing since.
    Rests(Instant),
    /// It has its turn and computes.
    Computes,
}

/// The places in order. Pure: the time is an argument.
#[derive(Default)]
struct Line {
    places: BTreeMap<u64, (Committee, Standing)>,
    next: u64,
}

impl Line {
    fn enter(&mut self, committee: Committee) -> u64 {
        let number = self.next;
        self.next += 1;
        self.places.insert(number, (committee, Standing::Waits));
        number
    }

    fn leave(&mut self, number: u64) {
        self.places.remove(&number);
    }

    fn stand(&mut self, number: u64, standing: Standing) {
        self.places
            .entry(number)
            .and_modify(|(_, known)| *known = standing);
    }

    fn turn(&self, number: u64, now: Instant) -> Turn {
        let Some((mine, _)) = self.places.get(&number) else {
            return Turn::AfterAnother;
        };
        let mut last = None;
        for (committee, standing) in self.places.range(..number).map(|(_, place)| place) {
            let patience = if committee == mine {
                PATIENCE_OF_SAME
            } else {
                PATIENCE
            };
            match standing {
                Standing::Waits | Standing::Computes => return Turn::AfterAnother,
                Standing::Rests(since) => last = last.max(Some(*since + patience)),
            }
        }
        match last {
            Some(last) if last > now => Turn::NotBefore(last),
            Some(_) | None => Turn::Now,
        }
    }
}

#[cfg(test)]
mod tests {
    use countersign_link::Identity;
    use countersign_protocol::NodeId;
    use futures_util::FutureExt;

    use super::*;

    /// A committee of node 1 and another one.
    fn with(other: u8) -> Committee {
        let node = |seed| {
            NodeId::from_bytes(Identity::from_seed(&[seed; 32]).unwrap().public().0).unwrap()
        };
        Committee::new(vec![node(1), node(other)]).unwrap()
    }

    #[test]
    fn places_come_to_their_turn_in_the_order_in_which_they_were_taken() {
        let mut line = Line::default();
        let now = Instant::now();
        let [first, second, third] = [2, 3, 4].map(|other| line.enter(with(other)));
        assert_eq!(line.turn(first, now), Turn::Now);
        assert_eq!(
            line.turn(second, now),
            Turn::AfterAnother,
            "also before the first has asked"
        );
        line.stand(first, Standing::Computes);
        assert_eq!(line.turn(second, now), Turn::AfterAnother);
        line.leave(first);
        assert_eq!(
            (line.turn(second, now), line.turn(third, now)),
            (Turn::Now, Turn::AfterAnother)
        );
    }

    #[test]
    fn an_idle_task_lets_the_next_one_past_after_a_while() {
        let mut line = Line::default();
        let now = Instant::now();
        let [first, second, third] = [2, 3, 4].map(|other| line.enter(with(other)));
        line.stand(first, Standing::Rests(now));
        assert_eq!(line.turn(second, now), Turn::NotBefore(now + PATIENCE));
        let then = now + PATIENCE;
        assert_eq!(line.turn(second, then), Turn::Now);
        line.stand(second, Standing::Rests(then));
        assert_eq!(
            line.turn(third, then),
            Turn::NotBefore(then + PATIENCE),
            "one at a time"
        );
        line.stand(first, Standing::Computes);
        assert_eq!(
            line.turn(third, then + PATIENCE),
            Turn::AfterAnother,
            "it came to compute after all"
        );
    }

    #[test]
    fn those_of_one_committee_wait_longer_for_what_the_first_makes() {
        let mut line = Line::default();
        let now = Instant::now();
        let [first, same, other] = [2, 2, 3].map(|other| line.enter(with(other)));
        line.stand(first, Standing::Rests(now));
        assert_eq!(
            line.turn(same, now + PATIENCE),
            Turn::NotBefore(now + PATIENCE_OF_SAME)
        );
        assert_eq!(line.turn(same, now + PATIENCE_OF_SAME), Turn::Now);
        assert_eq!(
            line.turn(other, now + PATIENCE_OF_SAME),
            Turn::AfterAnother,
            "it asks when its turn comes"
        );
    }

    #[tokio::test]
    async fn a_place_that_is_left_wakes_the_next() {
        let queue = Queue::new();
        let first = queue.enter(with(2));
        let second = queue.enter(with(2));
        first.turn().await;
        let mut waits = Box::pin(second.turn());
        assert!(waits.as_mut().now_or_never().is_none());
        drop(first);
        waits.await;
    }

    #[test]
    fn a_place_that_was_left_has_no_turn_and_holds_up_nobody() {
        let mut line = Line::default();
        let now = Instant::now();
        let [first, second] = [2, 3].map(|other| line.enter(with(other)));
        line.leave(first);
        line.stand(first, Standing::Computes);
        assert_eq!(line.turn(first, now), Turn::AfterAnother);
        assert_eq!(line.turn(second, now), Turn::Now);
    }

    #[test]
    fn a_place_that_is_taken_again_is_at_the_end() {
        let mut line = Line::default();
        let now = Instant::now();
        let [first, second] = [2, 3].map(|other| line.enter(with(other)));
        line.leave(first);
        let again = line.enter(with(2));
        assert_ne!(again, first);
        assert_eq!(
            [line.turn(second, now), line.turn(again, now)],
            [Turn::Now, Turn::AfterAnother]
        );
    }

    #[test]
    fn a_task_waits_for_the_latest_of_those_that_rest_ahead_of_it() {
        let mut line = Line::default();
        let now = Instant::now();
        let later = now + Duration::from_secs(7);
        let [first, second, third] = [2, 3, 4].map(|other| line.enter(with(other)));
        line.stand(first, Standing::Rests(later));
        line.stand(second, Standing::Rests(now));
        assert_eq!(line.turn(third, now), Turn::NotBefore(later + PATIENCE));
        line.leave(first);
        assert_eq!(line.turn(third, now), Turn::NotBefore(now + PATIENCE));
    }

    #[test]
    fn those_behind_do_not_change_the_turn_of_a_task() {
        let mut line = Line::default();
        let now = Instant::now();
        let [first, second] = [2, 3].map(|other| line.enter(with(other)));
        for standing in [Standing::Waits, Standing::Rests(now), Standing::Computes] {
            line.stand(second, standing);
            assert_eq!(line.turn(first, now), Turn::Now, "{standing:?}");
        }
    }

    #[test]
    fn a_task_that_computes_at_its_turn_keeps_the_next_waiting_until_it_leaves() {
        let queue = Queue::new();
        let first = queue.enter(with(2));
        let second = queue.enter(with(3));
        assert!(first.turn().now_or_never().is_some());
        first.computes();
        let long_after = Instant::now() + 2 * PATIENCE_OF_SAME;
        assert_eq!(queue.look(second.number, long_after), Turn::AfterAnother);
        first.rests(long_after - PATIENCE);
        assert_eq!(queue.look(second.number, long_after), Turn::Now);
    }

    #[test]
    fn a_task_at_its_turn_rests_from_then_on() {
        let queue = Queue::new();
        let first = queue.enter(with(2));
        let second = queue.enter(with(3));
        let before = Instant::now();
        assert_eq!(queue.look(second.number, before), Turn::AfterAnother);
        assert!(first.turn().now_or_never().is_some());
        assert!(matches!(
            queue.look(second.number, before),
            Turn::NotBefore(at) if at >= before + PATIENCE
        ));
    }
}
