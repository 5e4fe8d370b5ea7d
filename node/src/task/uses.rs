//! Reports the uses of a key that this node approved to the key's other holders, so that limits
//! apply to the key and not to each node.
//!
//! Holders that do not sign have no say: they are told alongside the task, and nobody waits for
//! them. A report is repeated for a while, and whenever a tunnel comes up within the task's life,
//! until it is acknowledged. The memory for reports is bounded.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use countersign_link::PeerKey;
use countersign_protocol::frame::{Body, Frame, NO_TASK, Use, UsePart};
use countersign_protocol::{Hash, NodeId, UnixMillis, encode};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::session::Router;
use crate::session::hearing::{Hearing, Said};
use crate::world::World;

/// The longest wait for an answer before more is sent to the same peer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause before the first repetition; each further one is twice as long.
const AGAIN: Duration = Duration::from_secs(2);
/// The most times that a report is sent to a peer within one tunnel.
const TRIES: u32 = 6;
/// The most unanswered frames to one peer: it has room for no more from each peer.
const WINDOW: usize = 3;
/// The most tasks that are remembered, and their bytes. The oldest give way.
const MAX_TASKS: usize = 1024;
const MAX_BYTES: usize = 64 << 20;
/// The time after the end of a task's life in which its release is sent: a session ends within it.
const AFTERMATH_MS: u64 = 3600 * 1000;
/// The interval of the checks for reports to repeat.
const LOOK: Duration = Duration::from_secs(1);
/// The longest time for sending a frame to a peer.
const SEND_LIMIT: Duration = Duration::from_secs(2);

/// Uses that this node approved and other holders have yet to hear of.
#[derive(Default)]
pub struct Uses {
    told: Mutex<Told>,
    news: Notify,
}

impl Uses {
    /// Queues the report of a use of a key, whose approval is on the disk. `holders`: the holders
    /// of the key that do not sign.
    pub fn approved(&self, used: &Use, holders: Vec<NodeId>, until: UnixMillis) {
        if !holders.is_empty() {
            self.lock().add(used, holders, until);
            self.news.notify_one();
        }
    }

    /// Notes the end of a task. If no share was in use, its counts are taken back, here
    /// and at other holders.
    pub fn ended(&self, task: Hash, used: bool) {
        self.lock().end(task, used);
        self.news.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends reports until the node stops.
pub async fn tell(
    uses: Arc<Uses>,
    world: World,
    router: Arc<Router>,
    mut answers: Hearing,
    stopping: CancellationToken,
) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let up = |peer: &NodeId| router.mesh().connected(&PeerKey(*peer.as_bytes()));
        let due = uses.lock().due(Instant::now(), world.now(), up);
        let sending = due
            .into_iter()
            .map(|(peer, bodies)| send(&router, peer, bodies));
        futures_util::future::join_all(sending).await;
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = look.tick() => {}
            () = uses.news.notified() => {}
            said = answers.next() => match said {
                Some(Said::Up(peer)) => uses.lock().up(&peer),
                Some(Said::Told(peer, body)) => uses.lock().hear(&peer, &body),
                None => return,
            }
        }
    }
}

/// A frame that cannot be sent is sent again later.
async fn send(router: &Router, peer: NodeId, bodies: Vec<Body>) {
    let key = PeerKey(*peer.as_bytes());
    for body in bodies {
        let sent = router.mesh().send(
            &key,
            encode(&Frame {
                task: NO_TASK,
                seq: 0,
                body,
            }),
        );
        if !matches!(tokio::time::timeout(SEND_LIMIT, sent).await, Ok(Ok(()))) {
            return tracing::debug!(%peer, "a holder of a key was not told of its use");
        }
    }
}

/// The tasks to report, by hash.
#[derive(Default)]
struct Told {
    tasks: HashMap<Hash, Telling>,
    /// The `order` of the next task.
    next: u64,
    bytes: usize,
}

/// A task to report.
struct Telling {
    /// The task's number among those approved.
    order: u64,
    parts: Vec<UsePart>,
    until: UnixMillis,
    end: End,
    holders: BTreeMap<NodeId, Holder>,
}

/// The end of a task at this node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    /// A signature may exist.
    Kept,
    /// No share was in use.
    Released,
}

/// The state of the report to one holder of the key.
#[derive(Default)]
struct Holder {
    /// It was told, and may have counted the task.
    told: bool,
    counted: bool,
    released: bool,
    /// The attempts since the tunnel came up, or since there was something new.
    tries: u32,
    /// When it was told last.
    last: Option<Instant>,
}

impl Telling {
    fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.bytes.len()).sum()
    }

    /// Returns the frames that this holder has yet to acknowledge.
    fn owed(&self, task: Hash, holder: &Holder) -> Vec<Body> {
        match self.end {
            End::Released if holder.told && !holder.released => vec![Body::Released(task)],
            End::Open | End::Kept if !holder.counted => {
                self.parts.iter().cloned().map(Body::Used).collect()
            }
            End::Open | End::Kept | End::Released => Vec::new(),
        }
    }

    /// True if nobody has to hear more of it, or nobody would listen any more.
    fn is_over(&self, task: Hash, now: UnixMillis) -> bool {
        let late = match self.end {
            End::Kept => now > self.until,
            End::Open | End::Released => now.0 > self.until.0.saturating_add(AFTERMATH_MS),
        };
        let heard = self.end != End::Open
            && self
                .holders
                .values()
                .all(|holder| self.owed(task, holder).is_empty());
        late || heard
    }
}

impl Holder {
    fn waits(&self, now: Instant) -> bool {
        self.last
            .is_some_and(|last| now.saturating_duration_since(last) < PATIENCE)
    }

    fn is_due(&self, now: Instant) -> bool {
        let pause = |tries: u32| AGAIN * 2_u32.pow(tries.saturating_sub(1).min(TRIES));
        let rested = |last| now.saturating_duration_since(last) >= pause(self.tries);
        self.tries < TRIES && self.last.is_none_or(rested)
    }

    fn anew(&mut self) {
        (self.tries, self.last) = (0, None);
    }
}

impl Told {
    fn add(&mut self, used: &Use, holders: Vec<NodeId>, until: UnixMillis) {
        let holders = holders
            .into_iter()
            .map(|node| (node, Holder::default()))
            .collect();
        let telling = Telling {
            order: self.next,
            parts: used.parts(),
            until,
            end: End::Open,
            holders,
        };
        self.next += 1;
        self.bytes += telling.bytes();
        if let Some(before) = self.tasks.insert(used.task.hash(), telling) {
            self.bytes -= before.bytes();
        }
        while self.tasks.len() > MAX_TASKS || self.bytes > MAX_BYTES {
            let oldest = self
                .tasks
                .iter()
                .min_by_key(|(_, telling)| telling.order)
                .map(|(task, _)| *task);
            let Some(oldest) = oldest else { return };
            self.remove(&oldest);
            tracing::warn!(task = %oldest, "too many tasks wait for holders of keys that do not answer; they are not told of the oldest, and do not count it");
        }
    }

    fn remove(&mut self, task: &Hash) {
        if let Some(gone) = self.tasks.remove(task) {
            self.bytes -= gone.bytes();
        }
    }

    fn end(&mut self, task: Hash, used: bool) {
        let Some(telling) = self.tasks.get_mut(&task) else {
            return;
        };
        telling.end = if used { End::Kept } else { End::Released };
        if !used {
            telling.holders.values_mut().for_each(Holder::anew);
        }
    }

    /// The peer may have lost frames of the previous tunnel.
    fn up(&mut self, peer: &NodeId) {
        self.tasks
            .values_mut()
            .filter_map(|telling| telling.holders.get_mut(peer))
            .for_each(Holder::anew);
    }

    fn hear(&mut self, peer: &NodeId, body: &Body) {
        let Body::Counted { task, released } = body else {
            return;
        };
        let Some(holder) = self
            .tasks
            .get_mut(task)
            .and_then(|telling| telling.holders.get_mut(peer))
        else {
            return;
        };
        if *released {
            holder.released = true;
        } else {
            holder.counted = true;
        }
        holder.last = None;
    }

    /// Returns the frames to send now, in the order of the tasks, and forgets tasks that are over.
    fn due(
        &mut self,
        now: Instant,
        time: UnixMillis,
        up: impl Fn(&NodeId) -> bool,
    ) -> BTreeMap<NodeId, Vec<Body>> {
        let over = self
            .tasks
            .iter()
            .filter(|(task, telling)| telling.is_over(**task, time));
        let over: Vec<Hash> = over.map(|(task, _)| *task).collect();
        over.iter().for_each(|task| self.remove(task));
        let mut tasks: Vec<_> = self.tasks.iter_mut().collect();
        tasks.sort_by_key(|(_, telling)| telling.order);
        let mut waiting: BTreeMap<NodeId, usize> = BTreeMap::new();
        for (task, telling) in &tasks {
            for (node, holder) in telling
                .holders
                .iter()
                .filter(|(_, holder)| holder.waits(now))
            {
                *waiting.entry(*node).or_default() += telling.owed(**task, holder).len();
            }
        }
        let mut due: BTreeMap<NodeId, Vec<Body>> = BTreeMap::new();
        for (task, telling) in tasks {
            let mut holders = std::mem::take(&mut telling.holders);
            for (node, holder) in holders
                .iter_mut()
                .filter(|(node, holder)| holder.is_due(now) && up(node))
            {
                let owed = telling.owed(*task, holder);
                let waits = waiting.entry(*node).or_default();
                if owed.is_empty() || *waits + owed.len() > WINDOW {
                    continue;
                }
                *waits += owed.len();
                holder.told = true;
                (holder.tries, holder.last) = (holder.tries + 1, Some(now));
                due.entry(*node).or_default().extend(owed);
            }
            telling.holders = holders;
        }
        due
    }
}

#[cfg(test)]
#[path = "uses_tests.rs"]
mod tests;
