//! Matches the two ends of a pair: `a` asks for `b`, `b` asks for `a`. The newest stream
//! of each side wins.
//!
//! Pure bookkeeping: no stream is read or written here, and no node is admitted here. Holds at most
//! one waiting end per ordered pair, and hubs bound the streams of a connection, so one node cannot
//! make it grow.

use std::collections::HashMap;

use tokio_util::sync::CancellationToken;

use crate::identity::PeerKey;

/// One side's stream of a pair.
#[derive(Debug)]
pub(crate) struct End<S> {
    /// The node that opened the stream.
    pub(crate) owner: PeerKey,
    /// The connection it came on, so that the end of an old connection cannot remove the streams
    /// of a newer one.
    pub(crate) connection: usize,
    pub(crate) stream: S,
}

/// Waiting ends and live splices.
#[derive(Debug)]
pub(crate) struct Switchboard<S> {
    waiting: HashMap<(PeerKey, PeerKey), End<S>>,
    live: HashMap<(PeerKey, PeerKey), CancellationToken>,
}

/// Two matching ends, and the token that ends them when either side opens a newer stream.
#[derive(Debug)]
pub(crate) struct Match<S> {
    pub(crate) ends: [End<S>; 2],
    pub(crate) replaced: CancellationToken,
}

impl<S> Default for Switchboard<S> {
    fn default() -> Self {
        Self {
            waiting: HashMap::new(),
            live: HashMap::new(),
        }
    }
}

impl<S> Switchboard<S> {
    /// Offers `end`'s stream for a pair with `peer`. Ends an older splice or waiting stream
    /// of the same side.
    pub(crate) fn offer(&mut self, end: End<S>, peer: PeerKey) -> Option<Match<S>> {
        let pair = ordered(end.owner, peer);
        if let Some(older) = self.live.remove(&pair) {
            older.cancel();
        }
        let Some(other) = self.waiting.remove(&(peer, end.owner)) else {
            self.waiting.insert((end.owner, peer), end);
            return None;
        };
        let replaced = CancellationToken::new();
        self.live.insert(pair, replaced.clone());
        Some(Match {
            ends: [end, other],
            replaced,
        })
    }

    /// Removes a finished splice. Does nothing if a newer one already took its place.
    pub(crate) fn finished(&mut self, a: PeerKey, b: PeerKey, replaced: &CancellationToken) {
        if !replaced.is_cancelled() {
            self.live.remove(&ordered(a, b));
        }
    }

    /// Forgets the waiting streams of a connection that is gone.
    pub(crate) fn forget(&mut self, connection: usize) {
        self.waiting.retain(|_, end| end.connection != connection);
    }
}

fn ordered(a: PeerKey, b: PeerKey) -> (PeerKey, PeerKey) {
    (a.min(b), a.max(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PeerKey = PeerKey([1; 32]);
    const B: PeerKey = PeerKey([2; 32]);
    const C: PeerKey = PeerKey([3; 32]);

    fn end(owner: PeerKey, connection: usize, stream: &'static str) -> End<&'static str> {
        End {
            owner,
            connection,
            stream,
        }
    }

    fn streams(found: &Match<&'static str>) -> [&'static str; 2] {
        [found.ends[0].stream, found.ends[1].stream]
    }

    #[test]
    fn only_the_two_that_name_each_other_meet() {
        let mut board = Switchboard::default();
        assert!(board.offer(end(A, 1, "a for b"), B).is_none());
        assert!(board.offer(end(C, 3, "c for b"), B).is_none());
        assert!(board.offer(end(C, 3, "c for a"), A).is_none());
        let found = board.offer(end(B, 2, "b for a"), A).unwrap();
        assert_eq!(streams(&found), ["b for a", "a for b"]);
    }

    #[test]
    fn newest_stream_of_a_side_wins() {
        let mut board = Switchboard::default();
        assert!(board.offer(end(A, 1, "old"), B).is_none());
        assert!(board.offer(end(A, 1, "new"), B).is_none());
        let first = board.offer(end(B, 2, "b"), A).unwrap();
        assert_eq!(streams(&first), ["b", "new"]);
        assert!(board.offer(end(A, 1, "newer"), B).is_none());
        assert!(first.replaced.is_cancelled());
    }

    #[test]
    fn end_of_a_replaced_splice_leaves_its_successor() {
        let mut board = Switchboard::default();
        board.offer(end(A, 1, "a1"), B);
        let first = board.offer(end(B, 2, "b1"), A).unwrap();
        board.offer(end(A, 1, "a2"), B);
        let second = board.offer(end(B, 2, "b2"), A).unwrap();
        board.finished(A, B, &first.replaced);
        board.offer(end(B, 2, "b3"), A);
        assert!(second.replaced.is_cancelled());
    }

    #[test]
    fn a_gone_connection_takes_only_its_own_waiting_streams() {
        let mut board = Switchboard::default();
        board.offer(end(A, 1, "old connection"), B);
        board.offer(end(A, 7, "new connection"), B);
        board.forget(1);
        assert_eq!(
            streams(&board.offer(end(B, 2, "b"), A).unwrap()),
            ["b", "new connection"]
        );
        board.offer(end(C, 3, "c"), B);
        board.forget(3);
        assert!(board.offer(end(B, 2, "b"), C).is_none());
    }
}
