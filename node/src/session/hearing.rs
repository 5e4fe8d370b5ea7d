//! Queues for frames of peers that belong to no session.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_protocol::NodeId;
use countersign_protocol::frame::Body;
use tokio::sync::Notify;

/// The most waiting frames of one peer. More are dropped: the peer sends them again.
const SHARE: usize = 4;

/// A message from the network that belongs to no session.
#[derive(Debug)]
pub enum Said {
    /// The tunnel to this peer is up.
    Up(NodeId),
    /// This peer sent a frame with this body.
    Told(NodeId, Box<Body>),
}

/// The sending end. One peer can neither fill the queue nor hold up another.
pub struct Ears(Arc<Queue>);

/// The receiving end of [`Ears`].
pub struct Hearing(Arc<Queue>);

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    fresh: Notify,
}

/// Bounded by the shares of all peers, and so by the roster, which may grow while the node runs:
/// nobody else has a tunnel.
#[derive(Default)]
struct Waiting {
    queue: VecDeque<Said>,
    /// Number in the queue of each peer that has any.
    of: HashMap<NodeId, usize>,
    /// The sending end is gone.
    closed: bool,
}

/// Creates a queue.
pub fn queue() -> (Ears, Hearing) {
    let queue = Arc::<Queue>::default();
    (Ears(queue.clone()), Hearing(queue))
}

impl Said {
    fn peer(&self) -> NodeId {
        let (Self::Up(peer) | Self::Told(peer, _)) = self;
        *peer
    }
}

impl Ears {
    /// Queues a message, or drops it if the peer's share is used up: it will be sent again.
    pub fn take(&self, said: Said) {
        let mut waiting = self.0.lock();
        let count = waiting.of.entry(said.peer()).or_default();
        if *count < SHARE {
            *count += 1;
            waiting.queue.push_back(said);
            self.0.fresh.notify_one();
        }
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.fresh.notify_one();
    }
}

impl Hearing {
    /// Waits for the next message; `None` once the sending end is gone. Safe to cancel.
    pub async fn next(&mut self) -> Option<Said> {
        loop {
            {
                let mut waiting = self.0.lock();
                if let Some(said) = waiting.next() {
                    return Some(said);
                }
                if waiting.closed {
                    return None;
                }
            }
            self.0.fresh.notified().await;
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn next(&mut self) -> Option<Said> {
        let said = self.queue.pop_front()?;
        let peer = said.peer();
        if let Some(count) = self.of.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.of.remove(&peer);
            }
        }
        Some(said)
    }
}

#[cfg(test)]
mod tests {
    use countersign_protocol::Hash;
    use futures_util::FutureExt;

    use super::*;

    fn node(seed: u8) -> NodeId {
        let identity = countersign_link::Identity::from_seed(&[seed; 32]).unwrap();
        NodeId::from_bytes(identity.public().0).unwrap()
    }

    #[tokio::test]
    async fn a_peer_that_floods_takes_only_its_own_share_of_the_queue() {
        let (ears, mut hearing) = queue();
        (0..100).for_each(|_| ears.take(Said::Told(node(1), Box::new(Body::Heard(Vec::new())))));
        ears.take(Said::Up(node(2)));
        let mut heard = Vec::new();
        for _ in 0..=SHARE {
            let (Said::Up(peer) | Said::Told(peer, _)) = hearing.next().await.unwrap();
            heard.push(peer);
        }
        assert_eq!(heard[..SHARE], [node(1); SHARE]);
        assert_eq!(heard[SHARE], node(2));
        ears.take(Said::Told(node(1), Box::new(Body::Heard(Vec::new()))));
        assert!(hearing.next().await.is_some(), "what was heard makes room");
    }

    fn told(seed: u8, count: u8) -> Said {
        Said::Told(node(seed), Box::new(Body::Released(Hash([count; 32]))))
    }

    fn taken(hearing: &mut Hearing) -> Option<Option<Said>> {
        hearing.next().now_or_never()
    }

    #[test]
    fn what_exceeds_a_share_is_dropped_and_the_first_frames_are_kept() {
        let (ears, mut hearing) = queue();
        (0..100).for_each(|count| ears.take(told(1, count)));
        for count in 0..SHARE as u8 {
            let Some(Some(Said::Told(_, body))) = taken(&mut hearing) else {
                panic!("frame {count} waits")
            };
            assert_eq!(*body, Body::Released(Hash([count; 32])));
        }
        assert!(taken(&mut hearing).is_none());
    }

    /// The roster may grow to any size while the node runs.
    #[test]
    fn every_peer_has_its_share_however_many_there_are() {
        let (ears, mut hearing) = queue();
        let peers: Vec<NodeId> = (0..250).map(node).collect();
        for count in 0..=SHARE as u8 {
            for peer in &peers {
                let body = Body::Released(Hash([count; 32]));
                ears.take(Said::Told(*peer, Box::new(body)));
            }
        }
        let waiting = (0..).take_while(|_| taken(&mut hearing).is_some()).count();
        assert_eq!(waiting, peers.len() * SHARE);
        let nothing = hearing.0.lock().of.is_empty();
        assert!(nothing, "nothing is kept of peers that wait for nothing");
    }

    #[test]
    fn tunnels_that_come_up_use_up_the_share_of_their_peer_too() {
        let (ears, mut hearing) = queue();
        (0..100).for_each(|_| ears.take(Said::Up(node(1))));
        let waiting = (0..).take_while(|_| taken(&mut hearing).is_some()).count();
        assert_eq!(waiting, SHARE);
    }

    #[test]
    fn the_reader_learns_that_the_sending_end_is_gone_after_the_last_frame() {
        let (ears, mut hearing) = queue();
        ears.take(told(1, 0));
        drop(ears);
        assert!(matches!(taken(&mut hearing), Some(Some(_))));
        assert!(matches!(taken(&mut hearing), Some(None)));
    }
}
