//! The members of a committee meet again when each has its turn, and say what auxiliary information
//! they hold by then. If all hold the same, nothing has to be made. Until then no limit runs: a
//! member that waits here waits for other wallets.

use std::future::Future;

use countersign_engine::{MessageKind, Outgoing, PartyIndex, Recipient};
use countersign_protocol::session::Room;
use countersign_protocol::{Cause, Hash, decode, encode};
use zeroize::Zeroizing;

use super::Place;
use crate::session::worker::{Fault, FromEngine, Incoming, Post, WorkError};

/// Message limits for one optional hash.
pub fn room() -> Room {
    Room::of([64])
}

/// The answers of all members, in their order.
pub type Here = Vec<Option<Hash>>;

/// Waits for the turn of `place`, broadcasts what `mine` finds then, and collects the answers of
/// the others. `me`: this member's index among `parties` members.
pub async fn roll_call<M>(
    place: &Place,
    (me, parties): (PartyIndex, u16),
    mine: impl FnOnce() -> M,
    mut post: Post<Here>,
) -> Result<Here, WorkError>
where
    M: Future<Output = Option<Hash>>,
{
    let stop = post.stop.clone();
    let call = async {
        place.turn().await;
        let mine = mine().await;
        let body = Zeroizing::new(encode(&mine));
        let said = FromEngine::Send(Outgoing {
            to: Recipient::All,
            body,
        });
        post.outbox
            .send(said)
            .await
            .map_err(|_| WorkError::Stopped)?;
        let mut heard = Heard::new(me, parties, mine);
        loop {
            if let Some(all) = heard.all() {
                return Ok(all);
            }
            heard.take(&post.inbox.recv().await.ok_or(WorkError::Stopped)?)?;
        }
    };
    stop.run_until_cancelled(call)
        .await
        .unwrap_or(Err(WorkError::Stopped))
}

/// The answers heard so far.
struct Heard(Vec<Option<Option<Hash>>>);

impl Heard {
    fn new(me: PartyIndex, parties: u16, mine: Option<Hash>) -> Self {
        Self(
            (0..parties)
                .map(|party| (party == me.0).then_some(mine))
                .collect(),
        )
    }

    fn all(&self) -> Option<Here> {
        self.0.iter().copied().collect()
    }

    fn take(&mut self, message: &Incoming) -> Result<(), WorkError> {
        let wrong = |what: &str| {
            let text = format!("a roll call was broken: {what}");
            WorkError::Protocol(Fault {
                cause: Cause::Peer,
                text,
                culprits: vec![message.from],
            })
        };
        let said = decode::<Option<Hash>>(&message.body)
            .map_err(|_| wrong("a message cannot be decoded"))?;
        match (message.kind, self.0.get_mut(usize::from(message.from.0))) {
            (MessageKind::Broadcast, Some(entry @ None)) => *entry = Some(said),
            (MessageKind::Broadcast, Some(Some(_))) => {
                return Err(wrong("two messages of one party"));
            }
            (MessageKind::Broadcast, None) => return Err(wrong("a message of an unknown party")),
            (MessageKind::Direct, _) => return Err(wrong("a message of the wrong kind")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use countersign_link::Identity;
    use countersign_protocol::{Committee, NodeId};
    use futures_util::FutureExt;

    use super::*;
    use crate::heavy::Queue;
    use crate::session::worker::Worker;

    fn says(from: u16, kind: MessageKind, held: Option<Hash>) -> Incoming {
        Incoming {
            from: PartyIndex(from),
            kind,
            body: encode(&held),
        }
    }

    #[test]
    fn it_ends_once_everybody_was_heard_and_names_who_breaks_it() {
        let held = Some(Hash([1; 32]));
        let mut heard = Heard::new(PartyIndex(1), 3, held);
        heard.take(&says(2, MessageKind::Broadcast, None)).unwrap();
        assert_eq!(heard.all(), None);
        for wrong in [
            says(2, MessageKind::Broadcast, held),
            says(1, MessageKind::Broadcast, held),
            says(0, MessageKind::Direct, held),
            says(3, MessageKind::Broadcast, held),
            Incoming {
                from: PartyIndex(0),
                kind: MessageKind::Broadcast,
                body: vec![9],
            },
        ] {
            let Err(WorkError::Protocol(fault)) = heard.take(&wrong) else {
                panic!("{}", wrong.from)
            };
            assert_eq!(
                (fault.cause, fault.culprits),
                (Cause::Peer, vec![wrong.from])
            );
        }
        heard.take(&says(0, MessageKind::Broadcast, held)).unwrap();
        assert_eq!(heard.all(), Some(vec![held, held, None]));
    }

    fn queue() -> Queue {
        Queue::new()
    }

    fn committee() -> Committee {
        let node = |seed| {
            NodeId::from_bytes(Identity::from_seed(&[seed; 32]).unwrap().public().0).unwrap()
        };
        Committee::new(vec![node(1), node(2)]).unwrap()
    }

    /// The call of the second of two members, in a run of its own.
    fn call(place: Place, held: Option<Hash>) -> Worker<Here> {
        Worker::spawn(move |post| async move {
            roll_call(&place, (PartyIndex(1), 2), || async move { held }, post).await
        })
    }

    #[tokio::test]
    async fn a_member_says_what_it_holds_and_ends_with_the_answers_in_order() {
        let held = Some(Hash([1; 32]));
        let mut worker = call(queue().enter(committee()), held);
        let Some(FromEngine::Send(said)) = worker.next().await else {
            panic!("it speaks first")
        };
        assert_eq!(said.to, Recipient::All);
        assert_eq!(decode::<Option<Hash>>(&said.body).unwrap(), held);
        assert!(worker.deliver(says(0, MessageKind::Broadcast, None)));
        let Some(FromEngine::Done(Ok(here))) = worker.next().await else {
            panic!("all were heard")
        };
        assert_eq!(here, [None, held]);
    }

    /// It says what it holds by then: the task ahead may be making it.
    #[tokio::test]
    async fn a_member_says_nothing_before_its_turn() {
        let queue = queue();
        let ahead = queue.enter(committee());
        let mut worker = call(queue.enter(committee()), None);
        for _ in 0..10 {
            tokio::task::yield_now().await;
            assert!(worker.next().now_or_never().is_none());
        }
        drop(ahead);
        assert!(matches!(worker.next().await, Some(FromEngine::Send(_))));
    }

    #[tokio::test]
    async fn a_broken_answer_ends_the_call_at_once() {
        let mut worker = call(queue().enter(committee()), None);
        assert!(worker.deliver(says(0, MessageKind::Direct, None)));
        assert!(matches!(worker.next().await, Some(FromEngine::Send(_))));
        assert!(matches!(
            worker.next().await,
            Some(FromEngine::Done(Err(WorkError::Protocol(_))))
        ));
    }

    #[tokio::test]
    async fn a_member_whose_session_has_ended_leaves_the_queue() {
        let queue = queue();
        let ahead = queue.enter(committee());
        let worker = call(queue.enter(committee()), None);
        let behind = queue.enter(committee());
        drop(worker);
        tokio::task::yield_now().await;
        drop(ahead);
        let turn = tokio::time::timeout(Duration::from_secs(20), behind.turn());
        turn.await.expect("nobody is ahead");
    }

    #[test]
    fn the_longest_answer_is_within_the_room_of_a_roll_call() {
        let longest = encode(&Some(Hash([0xff; 32]))).len();
        assert!(longest <= room().longest && longest <= room().total);
    }
}
