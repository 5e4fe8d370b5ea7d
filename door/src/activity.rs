//! A connection's requests and whose turn each of them is.
//!
//! A request is ours while a handler works on it or its answer waits for the program, such as a
//! stream of events between two of them. It is the caller's while the caller has yet to take in
//! what was handed over. A connection of which nothing is ours is idle: it may be closed to make
//! room, and is closed once the caller has used up its time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Limits;
use crate::pace::Pace;

/// The requests of one connection.
#[derive(Debug)]
pub struct Activity {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u64,
    /// Number of requests that are ours.
    ours: usize,
    /// For each request that is the caller's, the time by which the caller must have gone on.
    theirs: BTreeMap<u64, Instant>,
    /// The time of the last change; the connection is idle since then if nothing is ours.
    changed: Instant,
}

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Nothing was asked for some time.
    Idle,
    /// An answer was not taken in.
    Stalled,
}

impl Activity {
    /// A connection without requests.
    pub fn new(now: Instant) -> Self {
        Self {
            state: Mutex::new(State {
                next: 0,
                ours: 0,
                theirs: BTreeMap::new(),
                changed: now,
            }),
        }
    }

    /// Begins a request, which is ours at first.
    pub fn begin(self: &Arc<Self>, stall: Duration, now: Instant) -> Turn {
        let mut state = self.state();
        state.next += 1;
        state.ours += 1;
        state.changed = now;
        Turn {
            activity: self.clone(),
            number: state.next,
            ours: true,
            pace: Pace::new(stall),
            handed: 0,
        }
    }

    /// The time since which the connection is idle. `None` if a request is ours.
    pub fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.ours == 0).then_some(state.changed)
    }

    /// Resolves once the connection must be closed, up to one period of inspection late.
    pub async fn overdue(&self, limits: &Limits) -> End {
        let period = limits.head.min(limits.stall);
        loop {
            let now = Instant::now();
            let deadline = self.deadline(limits);
            if let Some((end, _)) = deadline.filter(|(_, at)| *at <= now) {
                return end;
            }
            let next = deadline.map_or(now + period, |(_, at)| at.min(now + period));
            tokio::time::sleep_until(next.into()).await;
        }
    }

    /// The reason and the time at which the connection must be closed if nothing happens.
    fn deadline(&self, limits: &Limits) -> Option<(End, Instant)> {
        let state = self.state();
        match state.theirs.values().min() {
            Some(at) => Some((End::Stalled, *at)),
            None if state.ours == 0 => Some((End::Idle, state.changed + limits.head)),
            None => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request and its answer, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    activity: Arc<Activity>,
    number: u64,
    ours: bool,
    pace: Pace,
    /// Bytes handed over and not yet taken in.
    handed: usize,
}

impl Turn {
    /// The caller must now take in this many bytes.
    pub fn hand_over(&mut self, bytes: usize, now: Instant) {
        let deadline = self.pace.wait(now);
        self.handed = bytes;
        let mut state = self.activity.state();
        state.changed = now;
        state.theirs.insert(self.number, deadline);
        if std::mem::take(&mut self.ours) {
            state.ours -= 1;
        }
    }

    /// The caller took in what was handed over; it is our turn.
    pub fn take_back(&mut self, now: Instant) {
        if std::mem::replace(&mut self.ours, true) {
            return;
        }
        self.pace.moved(std::mem::take(&mut self.handed), now);
        let mut state = self.activity.state();
        state.changed = now;
        state.theirs.remove(&self.number);
        state.ours += 1;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.changed = Instant::now();
        state.theirs.remove(&self.number);
        if self.ours {
            state.ours -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            connections: 1,
            of_one_address: 1,
            streams: 1,
            head: Duration::from_secs(10),
            stall: Duration::from_secs(5),
            life: None,
            grace: Duration::ZERO,
        }
    }

    #[test]
    fn a_connection_is_busy_as_long_as_one_of_its_requests_waits_for_the_program() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let activity = Arc::new(Activity::new(start));
        assert_eq!(activity.deadline(&limits()), Some((End::Idle, at(10))));
        let mut one = activity.begin(limits().stall, at(1));
        let two = activity.begin(limits().stall, at(2));
        assert_eq!(activity.idle_since(), None);
        one.hand_over(1, at(3));
        assert_eq!(activity.idle_since(), None, "the second is still ours");
        assert_eq!(activity.deadline(&limits()), Some((End::Stalled, at(8))));
        drop(two);
        assert!(activity.idle_since().is_some());
        one.take_back(at(4));
        assert_eq!(activity.deadline(&limits()), None);
        drop(one);
        assert!(matches!(activity.deadline(&limits()), Some((End::Idle, _))));
    }

    #[test]
    fn whoever_takes_in_a_little_at_a_time_uses_up_its_time() {
        let start = Instant::now();
        let activity = Arc::new(Activity::new(start));
        let mut turn = activity.begin(limits().stall, start);
        let mut now = start;
        let mut taken = 0;
        loop {
            turn.hand_over(16 * 1024, now);
            let (_, deadline) = activity.deadline(&limits()).unwrap();
            now += Duration::from_secs(2);
            if deadline <= now {
                break;
            }
            turn.take_back(now);
            taken += 1;
            assert!(taken < 10, "it is waited for without end");
        }
        assert!(taken > 0);
    }
}
