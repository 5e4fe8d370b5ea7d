//! What other members of a key's committee approve counts at this node too, though it does not
//! sign.
//!
//! A requester names the signers. If each node counted only what it signs itself, a limit would be
//! one of each node, and what a key signs would grow with the number of its holders. So each signer
//! [tells](super::uses) those who do not sign, and their plugins count it. Nobody asks for their
//! leave: what is told is believed as far as it proves itself, by the requester's signature and
//! this node's own record of the key, and can only make this node refuse more.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_link::PeerKey;
use countersign_protocol::frame::{
    Body, Frame, MAX_USE_PART, MAX_USE_PARTS, NO_TASK, Use, UsePart,
};
use countersign_protocol::{Authenticated, Hash, NodeId, Operation, TaskError, decode, encode};
use countersign_store::{Count, Counted, Journal, Written};

use super::admission::{self, Foreign};
use super::gossip::{Hearing, Said};
use super::throttle::Throttle;
use crate::core::{Core, now};
use crate::risk::Observed;

/// Tasks that one peer may be the first to tell of, as long as more may be heard of them.
const SHARE: usize = 65_536;
/// How long after the end of a task's life its release is heard; a session ends within that time.
const AFTERMATH_MS: u64 = 3600 * 1000;
/// How long plugins have, waiting for their turn included.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often what is over is forgotten, and how long a peer is not heard that told of what proves
/// nothing.
const FORGET: Duration = Duration::from_secs(3600);
const MUTE: Duration = Duration::from_secs(15);
/// The least time between two lines of the log about one peer.
const PAUSE: Duration = Duration::from_secs(60);
/// How long a peer may keep an answer waiting.
const SEND_LIMIT: Duration = Duration::from_secs(2);

/// Listens until the node stops.
pub async fn hear(core: Arc<Core>, mut told: Hearing) {
    let mut ledger = Ledger::default();
    let mut forget = tokio::time::interval(FORGET);
    forget.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = core.stopping.cancelled() => return,
            _ = forget.tick() => ledger.renew(&core).await,
            said = told.next() => match said {
                Some(Said::Told(peer, body)) => ledger.heed(&core, peer, *body).await,
                Some(Said::Up(_)) => {}
                None => return,
            }
        }
    }
}

/// What is kept of each peer between two frames.
#[derive(Default)]
struct Ledger {
    peers: HashMap<NodeId, Peer>,
}

struct Peer {
    /// How many tasks it was the first to tell of.
    tasks: usize,
    /// The use of which it has sent a part.
    half: Option<Half>,
    muted: Option<Instant>,
    lines: Throttle,
}

impl Default for Peer {
    fn default() -> Self {
        Self {
            tasks: 0,
            half: None,
            muted: None,
            lines: Throttle::every(PAUSE),
        }
    }
}

/// The first parts of a use.
struct Half {
    task: Hash,
    of: u8,
    next: u8,
    bytes: Vec<u8>,
}

/// Why a use does not count.
enum Doubt {
    /// What was told contradicts itself or is signed by nobody.
    Unproven(String),
    /// This node knows nothing by which it could believe it.
    Unknown(String),
}

impl Ledger {
    /// Forgets what is over, on the disk too.
    async fn renew(&mut self, core: &Core) {
        let now = core.now();
        let counted = core.journal(move |journal| {
            if let Err(error) = journal.forget_expired(now) {
                tracing::error!(%error, "what has expired was not removed");
            }
            journal.counted_by_teller()
        });
        let counted = counted.await.unwrap_or_else(|error| {
            tracing::error!(%error, "how much of others' signatures is counted cannot be read");
            HashMap::new()
        });
        self.peers.values_mut().for_each(|peer| peer.tasks = 0);
        for (node, tasks) in counted {
            self.peers.entry(node).or_default().tasks = tasks;
        }
    }

    async fn heed(&mut self, core: &Arc<Core>, peer: NodeId, body: Body) {
        let known = self.peers.entry(peer).or_default();
        match body {
            Body::Used(_) if known.muted.is_some_and(|since| since.elapsed() < MUTE) => {}
            Body::Used(part) => {
                let task = part.task;
                if let Some(used) = known.join(part) {
                    self.used(core, peer, task, used).await;
                }
            }
            Body::Released(task) => release(core, peer, task).await,
            // The router brings nothing else.
            Body::Ready(_)
            | Body::Run { .. }
            | Body::Abort(_)
            | Body::Met(_)
            | Body::HighWater(_)
            | Body::Behind(_)
            | Body::Generations(_)
            | Body::Heard(_)
            | Body::Lacks(_)
            | Body::Counted { .. } => {}
        }
    }

    async fn used(&mut self, core: &Arc<Core>, peer: NodeId, task: Hash, used: Vec<u8>) {
        let row = match core.journal(move |journal| journal.counted(&task)).await {
            Ok(row) => row,
            Err(error) => return tracing::error!(%error, "what others sign is not counted"),
        };
        if row.as_ref().is_some_and(|row| is_known(row, &peer)) {
            return answer(core, peer, task, false).await;
        }
        let known = self.peers.entry(peer).or_default();
        if row.is_none() && known.tasks >= SHARE {
            return known.say(
                &peer,
                "it told of more tasks than are remembered of one peer",
            );
        }
        let node = core.clone();
        let checked = tokio::task::spawn_blocking(move || check(&node, &peer, task, &used)).await;
        let proven = match checked {
            Ok(Ok(proven)) => proven,
            Ok(Err(Doubt::Unproven(why))) => {
                known.muted = Some(Instant::now());
                return known.say(&peer, &why);
            }
            Ok(Err(Doubt::Unknown(why))) => return known.say(&peer, &why),
            Err(error) => return tracing::error!(%error, "a thread died; report this with the log"),
        };
        if count(core, peer, proven, row.as_ref()).await && row.is_none() {
            known.tasks += 1;
        }
    }
}

impl Peer {
    /// The use, if this is its last part. What does not follow on the parts before is dropped: it
    /// is told again.
    fn join(&mut self, part: UsePart) -> Option<Vec<u8>> {
        let UsePart {
            task,
            number,
            of,
            bytes,
        } = part;
        let half = self.half.take();
        if of > MAX_USE_PARTS || number >= of || bytes.len() > MAX_USE_PART {
            return None;
        }
        let mut half = match half {
            _ if number == 0 => Half {
                task,
                of,
                next: 0,
                bytes: Vec::new(),
            },
            Some(half) if (half.task, half.of, half.next) == (task, of, number) => half,
            Some(_) | None => return None,
        };
        half.bytes.extend(bytes);
        half.next += 1;
        if half.next == of {
            return Some(half.bytes);
        }
        self.half = Some(half);
        None
    }

    fn say(&self, peer: &NodeId, why: &str) {
        if let Some(before) = self.lines.pass(Instant::now()) {
            tracing::warn!(%peer, why, before, "a member tells of a use of a key that does not count here");
        }
    }
}

/// Nothing new can come of what this peer tells.
fn is_known(row: &Counted, peer: &NodeId) -> bool {
    row.teller(peer)
        .is_some_and(|teller| teller.released || row.owed.is_empty())
}

/// A use that proves itself.
struct Proven {
    task: Authenticated,
    foreign: Foreign,
}

/// Whose word counts: a requester's of this node, for a key that it holds, told by one of the
/// signers.
fn check(core: &Core, peer: &NodeId, hash: Hash, used: &[u8]) -> Result<Proven, Doubt> {
    let unproven = |why: &str| Doubt::Unproven(why.into());
    let used: Use = decode(used).map_err(|error| unproven(&error.to_string()))?;
    if used.task.hash() != hash {
        return Err(unproven("the task is another than the one that is named"));
    }
    let requesters = &core.config.requesters;
    let task = used
        .task
        .authenticate(|id| requesters.contains_key(id), core.now())
        .map_err(|error| {
            let why = error.to_string();
            match error {
                TaskError::UnknownRequester(_)
                | TaskError::Expired(_)
                | TaskError::FromTheFuture(_) => Doubt::Unknown(why),
                _ => Doubt::Unproven(why),
            }
        })?;
    let Operation::KeySign(keysign) = &task.operation else {
        return Err(unproven("the task uses no key"));
    };
    if !used.signers.contains(peer) || used.signers.contains(&core.me) {
        return Err(unproven(
            "a signer tells those who do not sign, and nobody else does",
        ));
    }
    let foreign = admission::admit_foreign(core, keysign, &used.signers)
        .map_err(|refusal| Doubt::Unknown(format!("{} [{}]", refusal.reason, refusal.code)))?;
    Ok(Proven { task, foreign })
}

/// True if a row was written.
async fn count(core: &Arc<Core>, peer: NodeId, proven: Proven, row: Option<&Counted>) -> bool {
    let Proven { task, foreign } = proven;
    let hash = task.hash();
    let id = task.id;
    let key = foreign.key;
    // Those that counted it are not told twice.
    let counted = row.filter(|row| row.counts());
    let owed: Option<BTreeSet<String>> = counted.map(|row| row.owed.iter().cloned().collect());
    let wanted = |name: &str| owed.as_ref().is_none_or(|owed| owed.contains(name));
    let question = core
        .asker
        .question(core.now(), &task, foreign.operation, foreign.facts);
    let Some(observed) = core
        .guard
        .observe(now, question, wanted, Instant::now() + PATIENCE)
        .await
    else {
        tracing::debug!(%peer, "other decisions were under way; the use is counted when it is told again");
        return false;
    };
    let Observed {
        writes,
        owed,
        warnings,
        turn,
    } = observed;
    if row.is_none() && writes.is_empty() && owed.is_empty() {
        // No plugin here counts anything of it.
        answer(core, peer, hash, false).await;
        return false;
    }
    let text = warnings
        .iter()
        .map(|warning| format!("; {warning}"))
        .collect();
    let until = countersign_protocol::UnixMillis(task.not_after.0.saturating_add(AFTERMATH_MS));
    let complete = owed.is_empty();
    let new = Count {
        hash,
        task: id,
        key,
        until,
        teller: peer,
        state: writes,
        owed,
        text,
    };
    let now = core.now();
    let written = core.journal(move |journal| journal.count(now, new)).await;
    turn.end();
    match written {
        Ok(_) => {
            tracing::info!(task = %id, %key, %peer, "another member approved a use of the key; it counts here too");
            if complete {
                answer(core, peer, hash, false).await;
            }
            true
        }
        Err(error) => {
            tracing::error!(task = %id, %error, "what others sign was not counted");
            false
        }
    }
}

async fn release(core: &Core, peer: NodeId, task: Hash) {
    let now = core.now();
    let take_back = move |journal: &Journal| {
        let row = journal.counted(&task)?;
        let told = row.is_some_and(|row| row.teller(&peer).is_some_and(|teller| !teller.released));
        // Whoever says so for nothing costs no write.
        if told {
            journal.uncount(now, task, peer)
        } else {
            Ok(Written::Already)
        }
    };
    match core.journal(take_back).await {
        Ok(Written::Now) => {
            tracing::info!(%task, "nothing came of a task of other members; it counts no more")
        }
        Ok(_) => {}
        Err(error) => {
            return tracing::error!(%task, %error, "that nothing came of a task was not recorded");
        }
    }
    answer(core, peer, task, true).await;
}

async fn answer(core: &Core, peer: NodeId, task: Hash, released: bool) {
    let frame = encode(&Frame {
        task: NO_TASK,
        seq: 0,
        body: Body::Counted { task, released },
    });
    let key = PeerKey(*peer.as_bytes());
    let sent = tokio::time::timeout(SEND_LIMIT, core.router.mesh().send(&key, frame)).await;
    if !matches!(sent, Ok(Ok(()))) {
        tracing::debug!(%peer, "a signer does not learn that its task counts here; it tells again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u8, of: u8, task: u8) -> UsePart {
        UsePart {
            task: Hash([task; 32]),
            number,
            of,
            bytes: vec![number],
        }
    }

    #[test]
    fn parts_are_joined_in_their_order_and_nothing_else_is() {
        let mut peer = Peer::default();
        assert_eq!(peer.join(part(0, 1, 1)), Some(vec![0]));
        assert_eq!(peer.join(part(0, 3, 1)), None);
        assert_eq!(peer.join(part(1, 3, 1)), None);
        assert_eq!(peer.join(part(2, 3, 1)), Some(vec![0, 1, 2]));
        for stray in [
            part(2, 3, 1),
            part(1, 3, 2),
            part(1, 2, 1),
            part(3, 3, 1),
            part(0, 4, 1),
            part(0, 0, 1),
        ] {
            peer.join(part(0, 3, 1));
            assert_eq!(peer.join(stray), None);
            assert!(peer.half.is_none());
        }
        let large = UsePart {
            bytes: vec![0; MAX_USE_PART + 1],
            ..part(0, 1, 1)
        };
        assert_eq!(peer.join(large), None);
    }
}
