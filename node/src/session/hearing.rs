//! Queues for frames of peers that belong to no session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use countersign_protocol::NodeId;
use countersign_protocol::frame::Body;
use tokio::sync::mpsc;

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
pub struct Ears {
    queue: mpsc::Sender<Said>,
    waiting: Arc<Mutex<HashMap<NodeId, usize>>>,
}

/// The receiving end of [`Ears`].
pub struct Hearing {
    queue: mpsc::Receiver<Said>,
    waiting: Arc<Mutex<HashMap<NodeId, usize>>>,
}

/// Creates a queue with room for this many peers.
pub fn queue(peers: usize) -> (Ears, Hearing) {
    let (sender, receiver) = mpsc::channel((peers + 1) * (SHARE + 1));
    let waiting: Arc<Mutex<HashMap<NodeId, usize>>> = Arc::default();
    (
        Ears {
            queue: sender,
            waiting: waiting.clone(),
        },
        Hearing {
            queue: receiver,
            waiting,
        },
    )
}

impl Ears {
    /// Queues a message, or drops it if the peer's share is used up: it will be sent again.
    pub fn take(&self, said: Said) {
        let (Said::Up(peer) | Said::Told(peer, _)) = &said;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.entry(*peer).or_default();
        if *count < SHARE && self.queue.try_send(said).is_ok() {
            *count += 1;
        }
    }
}

impl Hearing {
    /// Waits for the next message; `None` once the sending end is gone.
    pub async fn next(&mut self) -> Option<Said> {
        let said = self.queue.recv().await?;
        let (Said::Up(peer) | Said::Told(peer, _)) = &said;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = waiting.get_mut(peer) {
            *count = count.saturating_sub(1);
        }
        drop(waiting);
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
        let (ears, mut hearing) = queue(2);
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
        let (ears, mut hearing) = queue(1);
        (0..100).for_each(|count| ears.take(told(1, count)));
        for count in 0..SHARE as u8 {
            let Some(Some(Said::Told(_, body))) = taken(&mut hearing) else {
                panic!("frame {count} waits")
            };
            assert_eq!(*body, Body::Released(Hash([count; 32])));
        }
        assert!(taken(&mut hearing).is_none());
    }

    /// Else a peer whose frames were dropped could never be heard again.
    #[test]
    fn what_the_full_queue_did_not_take_uses_up_no_share() {
        let (ears, mut hearing) = queue(0);
        for seed in [1, 2] {
            (0..SHARE as u8).for_each(|count| ears.take(told(seed, count)));
        }
        while taken(&mut hearing).is_some() {}
        (0..SHARE as u8).for_each(|count| ears.take(told(2, count)));
        let again = (0..).take_while(|_| taken(&mut hearing).is_some()).count();
        assert_eq!(again, SHARE);
    }

    #[test]
    fn tunnels_that_come_up_use_up_the_share_of_their_peer_too() {
        let (ears, mut hearing) = queue(1);
        (0..100).for_each(|_| ears.take(Said::Up(node(1))));
        let waiting = (0..).take_while(|_| taken(&mut hearing).is_some()).count();
        assert_eq!(waiting, SHARE);
    }

    #[test]
    fn the_reader_learns_that_the_sending_end_is_gone_after_the_last_frame() {
        let (ears, mut hearing) = queue(1);
        ears.take(told(1, 0));
        drop(ears);
        assert!(matches!(taken(&mut hearing), Some(Some(_))));
        assert!(matches!(taken(&mut hearing), Some(None)));
    }
}
