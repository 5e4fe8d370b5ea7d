//! A queue for reports of peers about high-water marks and tunnels. Each peer has a share of its
//! own, so a talkative one crowds out nobody but itself.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Mutex, PoisonError};

use countersign_protocol::NodeId;
use countersign_protocol::frame::{HighWater, SignedMark};
use tokio::sync::Notify;

/// The most waiting news of one peer. The oldest makes room: the latest is worth most.
const SHARE: usize = 8;

/// A report about a peer that concerns no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerNews {
    /// Its tunnel is up.
    Up,
    /// It sent its own high-water mark, with its keys.
    Said(HighWater),
    /// It showed a high-water mark that this node had reached before.
    Behind(SignedMark),
    /// It showed its high-water mark when it met this node for a task. The signature is verified.
    Marked(SignedMark),
}

/// The queue of news that wait to be handled.
#[derive(Default)]
pub struct News {
    waiting: Mutex<Waiting>,
    fresh: Notify,
}

#[derive(Default)]
struct Waiting {
    of: BTreeMap<NodeId, VecDeque<PeerNews>>,
    /// The peer whose turn it was last.
    last: Option<NodeId>,
}

impl News {
    /// Queues news of a peer.
    pub fn put(&self, peer: NodeId, news: PeerNews) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let share = waiting.of.entry(peer).or_default();
        if share.len() >= SHARE {
            share.pop_front();
        }
        share.push_back(news);
        self.fresh.notify_one();
    }

    /// Waits for the next news; peers take turns. Safe to cancel.
    pub async fn next(&self) -> (NodeId, PeerNews) {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            self.fresh.notified().await;
        }
    }

    fn take(&self) -> Option<(NodeId, PeerNews)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let after = waiting.last.map_or(Unbounded, Excluded);
        let later = waiting.of.range((after, Unbounded)).next();
        let peer = *later.or_else(|| waiting.of.first_key_value())?.0;
        waiting.last = Some(peer);
        let share = waiting.of.get_mut(&peer)?;
        let news = share.pop_front();
        if share.is_empty() {
            waiting.of.remove(&peer);
        }
        news.map(|news| (peer, news))
    }
}

#[cfg(test)]
mod tests {
    use countersign_link::Identity;
    use countersign_protocol::frame::{Mark, NOTHING};
    use futures_util::FutureExt;

    use super::*;

    fn node(seed: u8) -> NodeId {
        NodeId::from_bytes(Identity::from_seed(&[seed; 32]).unwrap().public().0).unwrap()
    }

    fn marked(audit: u64) -> PeerNews {
        let mark = Mark {
            audit,
            ..Mark::default()
        };
        PeerNews::Marked(SignedMark {
            mark,
            about: NOTHING,
            signature: [0; 64],
        })
    }

    #[test]
    fn a_peer_that_says_much_crowds_out_nobody_and_keeps_its_newest() {
        let news = News::default();
        news.put(node(2), PeerNews::Up);
        (0..10_000).for_each(|audit| news.put(node(1), marked(audit)));
        news.put(node(3), PeerNews::Up);
        let mut all = Vec::new();
        while let Some(next) = news.next().now_or_never() {
            all.push(next);
        }
        assert_eq!(all.len(), SHARE + 2);
        let quiet = |seed| {
            all.iter()
                .position(|next| *next == (node(seed), PeerNews::Up))
                .unwrap()
        };
        assert!(quiet(2) < 3 && quiet(3) < 3, "they take turns");
        assert_eq!(all.last(), Some(&(node(1), marked(9_999))));
    }

    #[test]
    fn news_of_one_peer_keep_their_order() {
        let news = News::default();
        (0..3).for_each(|audit| news.put(node(1), marked(audit)));
        for audit in 0..3 {
            let next = news.next().now_or_never();
            assert_eq!(next, Some((node(1), marked(audit))));
        }
        assert!(news.next().now_or_never().is_none());
    }

    #[test]
    fn news_wake_the_reader_that_waits() {
        let news = News::default();
        let mut waits = Box::pin(news.next());
        assert!(waits.as_mut().now_or_never().is_none());
        news.put(node(1), PeerNews::Up);
        assert_eq!(waits.now_or_never(), Some((node(1), PeerNews::Up)));
    }

    /// The reader waits for other things at the same time, and gives up this wait for them.
    #[test]
    fn a_reader_that_stopped_waiting_misses_nothing() {
        let news = News::default();
        let mut waits = Box::pin(news.next());
        assert!(waits.as_mut().now_or_never().is_none());
        news.put(node(1), PeerNews::Up);
        drop(waits);
        assert_eq!(news.next().now_or_never(), Some((node(1), PeerNews::Up)));
    }
}
