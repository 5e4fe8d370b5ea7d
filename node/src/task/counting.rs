//! Counts the uses of a key that other members of its committee approve, though this node does not
//! sign.
//!
//! A requester names the signers. If each node counted only what it signs itself, limits would
//! apply to each node, and the total of a key would grow with the number of its holders. So each
//! signer [reports](super::uses) to the holders that do not sign, and their plugins count the use.
//! Their consent is not asked: a report is believed as far as it proves itself, by the requester's
//! signature and this node's own record of the key, and can only make this node refuse more.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_link::PeerKey;
use countersign_protocol::frame::{
    Body, Frame, MAX_USE_PART, MAX_USE_PARTS, NO_TASK, Use, UsePart,
};
use countersign_protocol::{
    Authenticated, Hash, NodeId, Operation, RequesterId, TaskError, UnixMillis, decode, encode,
};
use countersign_store::{Count, Counted, Journal, Written};
use tokio_util::sync::CancellationToken;

use super::admission::{self, AdmissionControl, Foreign};
use super::throttle::Throttle;
use crate::off_thread::{off_thread, with_journal};
use crate::risk::{Asker, Guard, Observed};
use crate::session::Router;
use crate::session::hearing::{Hearing, Said};
use crate::world::World;

/// The most unexpired tasks that one peer may have been the first to report.
const SHARE: usize = 65_536;
/// The time after the end of a task's life in which its release counts: a session ends within it.
const AFTERMATH_MS: u64 = 3600 * 1000;
/// The time limit for plugins, including the wait for their turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// The interval for forgetting expired tasks, and the time that a peer is muted for
/// a report without proof.
const FORGET: Duration = Duration::from_secs(3600);
const MUTE: Duration = Duration::from_secs(15);
/// The least time between two lines of the log about one peer.
const PAUSE: Duration = Duration::from_secs(60);
/// The longest time for sending an answer to a peer.
const SEND_LIMIT: Duration = Duration::from_secs(2);

/// The parts of the node that verify reports and let the plugins count them.
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct Counter {
    pub world: World,
    pub journal: Journal,
    pub admission: Arc<AdmissionControl>,
    pub asker: Arc<Asker>,
    pub guard: Arc<Guard>,
    pub router: Arc<Router>,
}

/// Takes in reports until the node stops.
pub async fn hear(counter: Counter, mut told: Hearing, stopping: CancellationToken) {
    let mut ledger = Ledger::default();
    let mut forget = tokio::time::interval(FORGET);
    forget.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = forget.tick() => ledger.renew(&counter).await,
            said = told.next() => match said {
                Some(Said::Told(peer, body)) => ledger.heed(&counter, peer, *body).await,
                Some(Said::Up(_)) => {}
                None => return,
            }
        }
    }
}

/// The state of each peer between two frames.
#[derive(Default)]
struct Ledger {
    peers: HashMap<NodeId, Peer>,
}

struct Peer {
    /// The number of tasks that it was the first to report.
    tasks: usize,
    /// The use that it has sent a part of.
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
    /// The report contradicts itself, or has no valid signature.
    Unproven(String),
    /// This node cannot verify the report with what it knows.
    Unknown(String),
}

impl Ledger {
    /// Forgets what is over, on the disk too.
    async fn renew(&mut self, counter: &Counter) {
        let now = counter.world.now();
        let counted = with_journal(&counter.journal, move |journal| {
            if let Err(error) = journal.forget_expired(now) {
                tracing::error!(%error, "expired counts were not removed");
            }
            journal.counted_by_teller()
        });
        let counted = counted.await.unwrap_or_else(|error| {
            tracing::error!(%error, "cannot read the counted uses of other signers");
            HashMap::new()
        });
        self.peers.values_mut().for_each(|peer| peer.tasks = 0);
        for (node, tasks) in counted {
            self.peers.entry(node).or_default().tasks = tasks;
        }
    }

    async fn heed(&mut self, counter: &Counter, peer: NodeId, body: Body) {
        let known = self.peers.entry(peer).or_default();
        match body {
            Body::Used(_) if known.muted.is_some_and(|since| since.elapsed() < MUTE) => {}
            Body::Used(part) => {
                let task = part.task;
                if let Some(used) = known.join(part) {
                    self.used(counter, peer, task, used).await;
                }
            }
            Body::Released(task) => release(counter, peer, task).await,
            // The router delivers nothing else.
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

    async fn used(&mut self, counter: &Counter, peer: NodeId, task: Hash, used: Vec<u8>) {
        let row = match with_journal(&counter.journal, move |journal| journal.counted(&task)).await
        {
            Ok(row) => row,
            Err(error) => {
                return tracing::error!(%error, "cannot look up a reported use; it is not counted");
            }
        };
        if row.as_ref().is_some_and(|row| is_known(row, &peer)) {
            return answer(counter, peer, task, false).await;
        }
        let known = self.peers.entry(peer).or_default();
        if row.is_none() && known.tasks >= SHARE {
            return known.say(&peer, "it reported more tasks than are remembered per peer");
        }
        let admission = counter.admission.clone();
        let now = counter.world.now();
        let checked = off_thread(move || check(&admission, now, &peer, task, &used)).await;
        let proven = match checked {
            Ok(proven) => proven,
            Err(Doubt::Unproven(why)) => {
                known.muted = Some(Instant::now());
                return known.say(&peer, &why);
            }
            Err(Doubt::Unknown(why)) => return known.say(&peer, &why),
        };
        if count(counter, peer, proven, row.as_ref()).await && row.is_none() {
            known.tasks += 1;
        }
    }
}

impl Peer {
    /// Returns the use, if this is its last part. A part out of sequence is dropped:
    /// it is sent again.
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
            tracing::warn!(%peer, why, before, "a member reported a use of a key that does not count here");
        }
    }
}

/// True if a report by this peer adds nothing new.
fn is_known(row: &Counted, peer: &NodeId) -> bool {
    row.teller(peer)
        .is_some_and(|teller| teller.released || row.owed.is_empty())
}

/// A use that proves itself.
struct Proven {
    task: Authenticated,
    foreign: Foreign,
}

/// Verifies a report: the task is ordered by a requester of this node, for a key that it holds, and
/// reported by one of the signers.
fn check(
    admission: &AdmissionControl,
    now: UnixMillis,
    peer: &NodeId,
    hash: Hash,
    used: &[u8],
) -> Result<Proven, Doubt> {
    let unproven = |why: &str| Doubt::Unproven(why.into());
    let used: Use = decode(used).map_err(|error| unproven(&error.to_string()))?;
    if used.task.hash() != hash {
        return Err(unproven("the task is not the one that is named"));
    }
    let rules = admission.rules();
    let listed = |id: &RequesterId| rules.requesters.contains_key(id);
    let task = used
        .task
        .authenticate(listed, rules.passkeys(), now)
        .map_err(|error| {
            let why = error.to_string();
            match error {
                // The peer may have other pages than this node.
                TaskError::NoPasskeys(_)
                | TaskError::ForeignPage(_)
                | TaskError::UnknownRequester(_)
                | TaskError::Expired(_)
                | TaskError::FromTheFuture(_) => Doubt::Unknown(why),
                _ => Doubt::Unproven(why),
            }
        })?;
    let keysign = match &task.operation {
        Operation::KeySign(keysign) => keysign,
        // Limits count signatures, and none of these makes one.
        Operation::KeyGen(_) | Operation::KeyReshare(_) | Operation::KeyShareSign(_) => {
            return Err(unproven("the task uses no key"));
        }
    };
    if !used.signers.contains(peer) || used.signers.contains(&admission.me) {
        return Err(unproven(
            "only a signer may report a use, and only to holders that do not sign",
        ));
    }
    let foreign = admission::admit_foreign(admission, keysign, &used.signers)
        .map_err(|refusal| Doubt::Unknown(format!("{} [{}]", refusal.reason, refusal.code)))?;
    Ok(Proven { task, foreign })
}

/// True if a row was written.
async fn count(counter: &Counter, peer: NodeId, proven: Proven, row: Option<&Counted>) -> bool {
    let Proven { task, foreign } = proven;
    let hash = task.hash();
    let id = task.id;
    let key = foreign.key;
    // Plugins that counted it are not asked twice.
    let counted = row.filter(|row| row.counts());
    let owed: Option<BTreeSet<String>> = counted.map(|row| row.owed.iter().cloned().collect());
    let wanted = |name: &str| owed.as_ref().is_none_or(|owed| owed.contains(name));
    let question =
        counter
            .asker
            .question(counter.world.now(), &task, foreign.operation, foreign.facts);
    let Some(observed) = counter
        .guard
        .observe(&counter.world, question, wanted, Instant::now() + PATIENCE)
        .await
    else {
        tracing::debug!(%peer, "other decisions were under way; the use is counted when it is reported again");
        return false;
    };
    let Observed {
        writes,
        owed,
        warnings,
        guard,
    } = observed;
    if row.is_none() && writes.is_empty() && owed.is_empty() {
        // No plugin here counts anything of it.
        answer(counter, peer, hash, false).await;
        return false;
    }
    let text = warnings
        .iter()
        .map(|warning| format!("; {warning}"))
        .collect();
    let until = UnixMillis(task.not_after.0.saturating_add(AFTERMATH_MS));
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
    let now = counter.world.now();
    let written = with_journal(&counter.journal, move |journal| journal.count(now, new)).await;
    guard.release();
    match written {
        Ok(_) => {
            tracing::info!(task = %id, %key, %peer, "another member approved a use of the key; it counts here too");
            if complete {
                answer(counter, peer, hash, false).await;
            }
            true
        }
        Err(error) => {
            tracing::error!(task = %id, %error, "a reported use was not counted");
            false
        }
    }
}

async fn release(counter: &Counter, peer: NodeId, task: Hash) {
    let now = counter.world.now();
    let take_back = move |journal: &Journal| {
        let row = journal.counted(&task)?;
        let told = row.is_some_and(|row| row.teller(&peer).is_some_and(|teller| !teller.released));
        // An unfounded release costs no write.
        if told {
            journal.uncount(now, task, peer)
        } else {
            Ok(Written::Already)
        }
    };
    match with_journal(&counter.journal, take_back).await {
        Ok(Written::Now) => {
            tracing::info!(%task, "a task of other members ended without a share in use; it no longer counts")
        }
        Ok(_) => {}
        Err(error) => {
            return tracing::error!(%task, %error, "the release of a task was not recorded");
        }
    }
    answer(counter, peer, task, true).await;
}

async fn answer(counter: &Counter, peer: NodeId, task: Hash, released: bool) {
    let frame = encode(&Frame {
        task: NO_TASK,
        seq: 0,
        body: Body::Counted { task, released },
    });
    let key = PeerKey(*peer.as_bytes());
    let sent = tokio::time::timeout(SEND_LIMIT, counter.router.mesh().send(&key, frame)).await;
    if !matches!(sent, Ok(Ok(()))) {
        tracing::debug!(%peer, "could not tell a signer that its task counts here; it will report again");
    }
}

#[cfg(test)]
#[path = "counting_tests.rs"]
mod tests;
