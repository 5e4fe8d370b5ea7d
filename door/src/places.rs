//! Allocation of connections, and the choice of one to close when all are taken: pure bookkeeping.
//!
//! An idle connection matters less than a new caller. So if all places are taken, the connection
//! that has been idle longest is closed; if the caller's address has used up its share, one of that
//! address. The new caller is refused only if all of them are busy.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::task::AbortHandle;

use crate::activity::Activity;

/// A bounded set of connections.
#[derive(Debug)]
pub struct Places {
    limit: usize,
    /// Maximum for one address, except for this machine's own, where a proxy may run.
    each: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    connections: BTreeMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    peer: IpAddr,
    activity: Arc<Activity>,
    task: Option<AbortHandle>,
}

impl Places {
    /// Allows at most `limit` connections at once, of which at most `each` for one address.
    pub fn new(limit: usize, each: usize) -> Self {
        Self {
            limit,
            each,
            held: Mutex::default(),
        }
    }

    /// Takes a place for a connection from `peer`, if need be that of an idle connection. `None`
    /// if all are busy.
    pub fn take(&self, peer: IpAddr, now: Instant) -> Option<(u64, Arc<Activity>)> {
        let mut held = self.held();
        let of_peer = held
            .connections
            .values()
            .filter(|connection| connection.peer == peer)
            .count();
        if !peer.is_loopback() && of_peer >= self.each {
            held.turn_out(|connection| connection.peer == peer)?;
        } else if held.connections.len() >= self.limit {
            held.turn_out(|_| true)?;
        }
        let activity = Arc::new(Activity::new(now));
        held.next += 1;
        let number = held.next;
        held.connections.insert(
            number,
            Connection {
                peer,
                activity: activity.clone(),
                task: None,
            },
        );
        Some((number, activity))
    }

    /// Registers the task that serves a connection, so that it can be aborted.
    pub fn served_by(&self, number: u64, task: AbortHandle) {
        match self.held().connections.get_mut(&number) {
            Some(connection) => connection.task = Some(task),
            // Its place was taken away before it was served.
            None => task.abort(),
        }
    }

    /// Frees the connection's place.
    pub fn leave(&self, number: u64) {
        self.held().connections.remove(&number);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn turn_out(&mut self, among: impl Fn(&Connection) -> bool) -> Option<()> {
        let idle = self
            .connections
            .iter()
            .filter(|(_, connection)| among(connection))
            .filter_map(|(number, connection)| Some((connection.activity.idle_since()?, *number)));
        let (_, number) = idle.min()?;
        if let Some(Connection {
            task: Some(task), ..
        }) = self.connections.remove(&number)
        {
            task.abort();
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn numbers(places: &Places) -> Vec<u64> {
        places.held().connections.keys().copied().collect()
    }

    #[test]
    fn the_longest_idle_connection_makes_room() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let places = Places::new(3, 3);
        let (_, first) = places.take(HERE, at(0)).unwrap();
        places.take(HERE, at(1)).unwrap();
        places.take(HERE, at(2)).unwrap();
        let mut asked = first.begin(MINUTE, at(3));
        assert_eq!(places.take(THERE, at(3)).unwrap().0, 4);
        assert_eq!(numbers(&places), [1, 3, 4], "the second was idle longest");
        asked.hand_over(1, at(4));
        places.take(THERE, at(5)).unwrap();
        assert_eq!(numbers(&places), [1, 4, 5]);
    }

    #[test]
    fn nobody_who_is_served_is_turned_out() {
        let start = Instant::now();
        let places = Places::new(2, 2);
        let busy = [(); 2].map(|()| places.take(HERE, start).unwrap().1.begin(MINUTE, start));
        assert!(places.take(THERE, start).is_none());
        places.leave(1);
        assert!(places.take(THERE, start).is_some());
        drop(busy);
    }

    #[test]
    fn one_address_has_its_share() {
        let start = Instant::now();
        let places = Places::new(10, 2);
        places.take(ELSEWHERE, start).unwrap();
        for _ in 0..5 {
            places.take(THERE, start).unwrap();
        }
        assert_eq!(
            numbers(&places),
            [1, 5, 6],
            "it turns out its own, not others"
        );
        for _ in 0..5 {
            places.take(HERE, start).unwrap();
        }
        assert_eq!(
            numbers(&places).len(),
            8,
            "a proxy on this machine speaks for many"
        );
    }
}
