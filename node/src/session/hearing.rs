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
}
