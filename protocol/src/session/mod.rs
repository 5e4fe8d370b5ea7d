//! A run of one protocol, as a state machine that is fed and polled. It never touches a socket, a
//! clock or a secret.
//!
//! A session goes through three stages, each with a deadline. **Ready**: the parties exchange their
//! view of the task and fresh randomness, signed; the session id is the hash over all of it, so a
//! split view ends before any message that depends on a secret. With more than two parties, each
//! passes on the ready messages of all others, so that nobody can tell two parties two things or
//! withhold its message from one of them. **Running**: one engine after the other (phases)
//! exchanges direct messages and reliable broadcasts (`broadcast.rs`). **Storing** (only where
//! shares are made): every party signs that its result is durable. A session that cannot go on
//! reports the reason and the parties that it waits for, and tells the others so that they need not
//! wait for it.
//!
//! A cheat is named by every party that saw it or can verify the proof ([`Evidence`]), which
//! travels with the abort. A party that hears another accused without proof sends nothing more, and
//! listens for a moment: proof against the accused may be on its way.

mod broadcast;
mod failure;
pub mod hold;
mod room;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::evidence::{Claim, Evidence, Misconduct, Signature};
use crate::frame::{Abort, Body, Frame, Mark, Message, Ready, SignedMark, result_digest};
use crate::hash::{Hash, Hasher};
use crate::id::{NodeId, SessionId, TaskId};
use crate::outcome::{Cause, Failure, SignedAck};
use crate::{IdentitySigner, control::Stage};
use broadcast::{Accepted, Broadcasts};
use failure::{
    Fault, aborted, frames_lost, misbehaved, overlong, peer_lost, split_view, timed_out, twin,
    wrong_result,
};
pub use room::{Room, Rooms};

/// The maximum number of engines that a session may run one after the other: one for each
/// signature of a task.
pub const MAX_PHASES: u8 = 64;
/// Grace period after a tunnel broke: long enough to use the frames that have arrived.
const LOST_GRACE: Duration = Duration::from_secs(2);
/// Listening time for proof of its own, once a party hears another accused.
const LISTEN: Duration = Duration::from_secs(2);
/// Maximum number of engine messages of one party in one phase, and of its messages that wait for
/// their phase or for the session to begin. The longest protocol here has ten.
const MAX_MESSAGES: u32 = 32;

/// Time limits for the stages of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the start until every party is ready.
    pub ready: Duration,
    /// From the local result until every party has stored.
    pub storing: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ready: Duration::from_secs(5),
            storing: Duration::from_secs(10),
        }
    }
}

/// The inputs of a new session.
pub struct Setup {
    /// The task that the session is for.
    pub task: TaskId,
    /// Hash of the task's exact bytes.
    pub task_hash: Hash,
    /// The participants, in the order of their ids.
    pub parties: Vec<NodeId>,
    /// This node, one of the parties.
    pub me: NodeId,
    /// 32 bytes from the system's generator, used once.
    pub fresh: [u8; 32],
    /// This node's holding, sent to the others as [`Ready::holds`].
    pub holds: Option<Hash>,
    /// This node's progress, for its ready message.
    pub mark: Mark,
    /// Signs broadcasts, acknowledgements and the ready message.
    pub signer: Arc<dyn IdentitySigner>,
    /// Time limits for ready and storing; each phase has its own.
    pub limits: Limits,
    /// The amount a party may send in each phase, as defined by the engines.
    pub rooms: Rooms,
}

/// An event for the driver of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// Everybody is ready with the same view. `holds` has one entry for each party.
    Begun {
        /// The agreed id of this run.
        session: SessionId,
        /// The holding that each party stated.
        holds: Vec<Option<Hash>>,
    },
    /// A message for the engine of the current phase.
    Message(EngineMessage),
    /// Everybody has stored; one acknowledgement for each party, in order.
    AllStored(Vec<SignedAck>),
    /// The session failed. Always the last event.
    Failed(Failure),
}

/// A party's position in the session's list of parties, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionIndex(pub u16);

/// A message for an engine. Its `Debug` omits the bytes, which can carry a share.
#[derive(Clone, PartialEq, Eq)]
pub struct EngineMessage {
    /// The party that sent it.
    pub from: SessionIndex,
    /// True for a broadcast that all parties received alike.
    pub broadcast: bool,
    /// The engine's own encoding.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for EngineMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "EngineMessage(from {}, broadcast {}, {} bytes)",
            self.from.0,
            self.broadcast,
            self.body.len()
        )
    }
}

enum State {
    Ready,
    Running,
    Storing(Hash),
    Done,
}

/// The state of one party.
#[derive(Default)]
struct Party {
    ready: Option<Ready>,
    /// It said itself that it is ready, and passed on what it heard.
    said: bool,
    met: bool,
    /// The next frame number expected from it.
    incoming: u32,
    /// The next frame number sent to it.
    outgoing: u32,
    /// Number of engine messages of the current phase received from it.
    heard: u32,
    /// Number and bytes of its waiting messages.
    waiting: (u32, usize),
    /// Bytes of its messages, by phase.
    carried: BTreeMap<u8, usize>,
    claim: Option<Claim>,
}

/// A run of one protocol for one task.
pub struct Session {
    setup: Setup,
    position: usize,
    parties: Vec<Party>,
    state: State,
    session: Option<SessionId>,
    phase: Option<u8>,
    broadcasts: Broadcasts,
    /// `Run` messages that arrived before the session id or their phase was known.
    early: VecDeque<(usize, SessionId, Message)>,
    /// Messages for the engine of a later phase.
    waiting: VecDeque<(u8, EngineMessage)>,
    deadline: Instant,
    lost: Option<(usize, Instant)>,
    /// Others gave up and accuse somebody: this is how the session ends unless it
    /// finds proof in time.
    told: Option<(Failure, Instant)>,
    /// Proof of the failure, if there is any.
    evidence: Option<Box<Evidence>>,
    transmits: VecDeque<(NodeId, Frame)>,
    events: VecDeque<SessionEvent>,
}

impl Session {
    /// Starts the ready stage. Returns `None` if this node is not among the parties.
    pub fn new(now: Instant, setup: Setup) -> Option<Self> {
        let position = setup.parties.iter().position(|party| *party == setup.me)?;
        let ready = Ready {
            task: setup.task_hash,
            parties: parties_hash(&setup.parties),
            fresh: setup.fresh,
            holds: setup.holds,
            mark: setup.mark,
            signature: [0; 64],
        };
        let ready = ready.sign(&setup.me, &*setup.signer);
        let mut parties: Vec<Party> = setup.parties.iter().map(|_| Party::default()).collect();
        parties[position].ready = Some(ready.clone());
        let mut session = Self {
            deadline: now + setup.limits.ready,
            broadcasts: Broadcasts::new(setup.task_hash, position, setup.parties.clone()),
            position,
            parties,
            setup,
            state: State::Ready,
            session: None,
            phase: None,
            early: VecDeque::new(),
            waiting: VecDeque::new(),
            lost: None,
            told: None,
            evidence: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        };
        session.transmit_all(&Body::Ready(ready));
        session.begin_if_all_are_ready(now);
        Some(session)
    }

    /// Handles a frame of this task that arrived in the tunnel from `from`.
    pub fn handle_frame(&mut self, now: Instant, from: &NodeId, frame: Frame) {
        let Some(sender) = self.setup.parties.iter().position(|party| party == from) else {
            return;
        };
        if sender == self.position || self.is_over() {
            return;
        }
        match frame.seq.cmp(&self.parties[sender].incoming) {
            std::cmp::Ordering::Less => return,
            std::cmp::Ordering::Greater => return self.fail(frames_lost(*from)),
            std::cmp::Ordering::Equal => self.parties[sender].incoming += 1,
        }
        if !self.has_room(sender, &frame) {
            return self.fail(overlong(*from));
        }
        match frame.body {
            Body::Ready(ready) => self.on_ready(now, sender, ready),
            Body::Run { session, message } => self.on_run(sender, session, message),
            Body::Met(readies) => self.on_met(now, sender, readies),
            Body::Abort(abort) => self.on_abort(now, sender, abort),
            // They belong to no session; the router removes them.
            Body::HighWater(_)
            | Body::Behind(_)
            | Body::Generations(_)
            | Body::Heard(_)
            | Body::Lacks(_)
            | Body::Used(_)
            | Body::Released(_)
            | Body::Counted { .. } => {}
        }
    }

    /// Handles a frame of this task from `peer` that [does not fit](Rooms::fits) and was
    /// dropped by its receiver.
    pub fn handle_overlong(&mut self, peer: &NodeId) {
        if self.setup.parties.contains(peer) && *peer != self.setup.me {
            self.fail(overlong(*peer));
        }
    }

    /// Handles the loss of the tunnel to `peer`. Messages already received may still be enough; if
    /// not, the session ends soon.
    pub fn handle_peer_lost(&mut self, now: Instant, peer: &NodeId) {
        let position = self.setup.parties.iter().position(|party| party == peer);
        if let (Some(position), None) = (position, self.lost) {
            self.lost = Some((position, now + LOST_GRACE));
        }
    }

    /// Ends the session if a deadline has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.is_over() {
            return;
        }
        if let Some((failure, _)) = self.told.take_if(|(_, deadline)| *deadline <= now) {
            self.end(failure.into());
        } else if let Some((party, _)) = self.lost.filter(|(_, deadline)| *deadline <= now) {
            self.fail(peer_lost(self.setup.parties[party]));
        } else if self.deadline <= now {
            self.fail(timed_out(self.stage(), &self.waiting_for(), self.silent()));
        }
    }

    /// Begins the next engine: its messages are delivered from now on, and it has `limit` to
    /// finish. Phases count from 0 to [`MAX_PHASES`] - 1, upwards.
    pub fn begin_phase(&mut self, now: Instant, phase: u8, limit: Duration) {
        if self.is_over() {
            return;
        }
        if let Some((failure, _)) = self.told.take() {
            return self.end(failure.into());
        }
        self.phase = Some(phase);
        self.deadline = now + limit;
        // Messages that an ended engine did not take are not for the next one.
        self.events
            .retain(|event| !matches!(event, SessionEvent::Message(_)));
        self.parties
            .iter_mut()
            .for_each(|party| (party.heard, party.waiting) = (0, (0, 0)));
        for (of, message) in std::mem::take(&mut self.waiting) {
            self.deliver(of, message);
        }
    }

    /// Sends an engine's message to one party.
    pub fn send_direct(&mut self, to: SessionIndex, body: Vec<u8>) {
        let known = usize::from(to.0) < self.parties.len() && self.told.is_none();
        let (Some(phase), true) = (self.phase, known) else {
            return;
        };
        self.run_to(usize::from(to.0), Message::Direct { phase, body });
    }

    /// Sends an engine's message to all parties.
    pub fn send_broadcast(&mut self, body: Vec<u8>) {
        let (Some(phase), Some(session)) = (self.phase, self.session) else {
            return;
        };
        if self.told.is_some() {
            return;
        }
        let message = self
            .broadcasts
            .make(session, phase, body, &*self.setup.signer);
        self.run_all(message);
    }

    /// Announces that the local result with this digest is durable, and waits for the others.
    pub fn stored(&mut self, now: Instant, digest: Hash) {
        let Some(session) = self.session.filter(|_| !self.is_over()) else {
            return;
        };
        self.state = State::Storing(digest);
        // A slower party may use all of the last engine's time before it stores.
        self.deadline = self.deadline.max(now + self.setup.limits.storing);
        if self.told.is_none() {
            let claim = self.claim(session, digest);
            self.parties[self.position].claim = Some(claim);
            self.run_all(Message::Stored(claim));
        }
        self.check_claims();
        if let Some((failure, _)) = self.told.take() {
            self.end(failure.into());
        }
    }

    /// Returns the failure if others gave up: nothing that depends on them may begin. A result that
    /// was just finished may still be of use.
    pub fn is_called_off(&self) -> Option<&Failure> {
        self.told.as_ref().map(|(failure, _)| failure)
    }

    /// Transferable proof of the failure that ended the session.
    pub fn evidence(&self) -> Option<&Evidence> {
        self.evidence.as_deref()
    }

    /// The other parties' signed progress, as far as received.
    pub fn marks(&self) -> Vec<(NodeId, SignedMark)> {
        let said = |(position, party): (usize, &Party)| {
            Some((
                self.setup.parties[position],
                party.ready.as_ref()?.signed_mark(),
            ))
        };
        self.others().filter_map(said).collect()
    }

    fn claim(&self, session: SessionId, digest: Hash) -> Claim {
        let ack = Signature(self.setup.signer.sign(digest.as_bytes()));
        let claim = Claim {
            digest,
            ack,
            signature: Signature([0; 64]),
        };
        let bound = result_digest(self.setup.task_hash, session, &self.setup.me, &claim);
        Claim {
            signature: Signature(self.setup.signer.sign(bound.as_bytes())),
            ..claim
        }
    }

    /// Gives up and tells the others.
    pub fn abort(&mut self, failure: Failure) {
        self.fail(failure);
    }

    /// Ends the session; the result is there and nothing is left to wait for.
    pub fn finish(&mut self) {
        self.state = State::Done;
    }

    /// The next frame to send, with its receiver.
    pub fn poll_transmit(&mut self) -> Option<(NodeId, Frame)> {
        self.transmits.pop_front()
    }

    /// The next event for the driver.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// The time at which [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let lost = self.lost.map(|(_, deadline)| deadline);
        let told = self.told.as_ref().map(|(_, deadline)| *deadline);
        let first = [lost, told]
            .into_iter()
            .flatten()
            .fold(self.deadline, Instant::min);
        (!self.is_over()).then_some(first)
    }

    /// True once the stage has used up its time. Not because a tunnel broke.
    pub fn is_late(&self, now: Instant) -> bool {
        !self.is_over()
            && self.deadline <= now
            && self.lost.is_none_or(|(_, deadline)| deadline > now)
    }

    /// The session's present stage, for reports.
    pub fn stage(&self) -> Stage {
        match self.state {
            State::Ready => Stage::Ready,
            State::Storing(_) => Stage::Storing,
            State::Running | State::Done => Stage::Running,
        }
    }

    /// The parties that are behind the others, in the order of their ids.
    pub fn waiting_for(&self) -> Vec<NodeId> {
        let least = self
            .others()
            .map(|(_, party)| party.heard)
            .min()
            .unwrap_or(0);
        let silent = self.broadcasts.silent(self.phase);
        self.others()
            .filter(|(position, party)| match self.state {
                State::Ready => party.ready.is_none(),
                State::Storing(_) => party.claim.is_none(),
                State::Running if !silent.is_empty() => silent.contains(position),
                State::Running => party.heard == least,
                State::Done => false,
            })
            .map(|(position, _)| self.setup.parties[position])
            .collect()
    }

    /// Those of [`waiting_for`](Self::waiting_for) whose silence nobody else can have caused:
    /// with only two parties, if all that they had to say depends on no other party's message,
    /// or if they say nothing at all. A party that has begun may be waiting for a message that
    /// a third one withholds.
    fn silent(&self) -> Vec<NodeId> {
        let quiet = |node: &NodeId| match self.state {
            State::Ready => true,
            State::Running => self.phase.is_none_or(|phase| phase == 0) && !self.has_begun(node),
            State::Storing(_) | State::Done => false,
        };
        let alone = self.parties.len() == 2;
        self.waiting_for()
            .into_iter()
            .filter(|node| alone || quiet(node))
            .collect()
    }

    fn has_begun(&self, node: &NodeId) -> bool {
        let position = self.setup.parties.iter().position(|party| party == node);
        position.is_some_and(|position| {
            self.parties[position].heard > 0 || self.broadcasts.has_spoken(position, 0)
        })
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Done)
    }

    fn others(&self) -> impl Iterator<Item = (usize, &Party)> {
        self.parties
            .iter()
            .enumerate()
            .filter(|(position, _)| *position != self.position)
    }

    fn on_ready(&mut self, now: Instant, sender: usize, ready: Ready) {
        let node = self.setup.parties[sender];
        if std::mem::replace(&mut self.parties[sender].said, true) {
            return self.fail(misbehaved(node, "said twice that it is ready"));
        }
        if !ready.verifies(&node) {
            return self.fail(misbehaved(node, "did not sign that it is ready"));
        }
        self.take_ready(sender, ready);
        self.begin_if_all_are_ready(now);
    }

    /// Handles another party's list of ready messages: it equals this node's, or
    /// somebody said two things.
    fn on_met(&mut self, now: Instant, sender: usize, readies: Vec<Ready>) {
        let node = self.setup.parties[sender];
        let signed = readies.len() == self.parties.len()
            && readies
                .iter()
                .zip(&self.setup.parties)
                .all(|(ready, party)| ready.verifies(party));
        if !signed || std::mem::replace(&mut self.parties[sender].met, true) {
            return self.fail(misbehaved(node, "passed on what the parties did not say"));
        }
        for (party, ready) in readies.into_iter().enumerate() {
            self.take_ready(party, ready);
        }
        self.begin_if_all_are_ready(now);
    }

    /// Compares a party's signed ready message with this node's own view, and with that party's
    /// message as seen elsewhere.
    fn take_ready(&mut self, party: usize, ready: Ready) {
        if self.is_over() {
            return;
        }
        let node = self.setup.parties[party];
        match self.parties[party].ready.take() {
            Some(known) if known == ready => self.parties[party].ready = Some(known),
            Some(_) if party == self.position => self.fail(twin()),
            Some(known) if ready.task == known.task => {
                let misconduct = Misconduct::Readies(Box::new([known, ready]));
                self.fail(Evidence {
                    task: self.setup.task_hash,
                    node,
                    misconduct,
                });
            }
            known => {
                let mine = self.parties[self.position].ready.clone();
                match mine.filter(|mine| (mine.task, mine.parties) != (ready.task, ready.parties)) {
                    Some(mine) => self.fail(split_view(node, &mine, &ready)),
                    None => self.parties[party].ready = known.or(Some(ready)),
                }
            }
        }
    }

    fn on_abort(&mut self, now: Instant, sender: usize, abort: Abort) {
        let node = self.setup.parties[sender];
        match &abort.evidence {
            Some(evidence) if !evidence.verify(self.setup.task_hash, &self.setup.parties) => {
                return self.fail(misbehaved(
                    node,
                    "accused another with a proof that does not hold",
                ));
            }
            Some(evidence) if evidence.node == self.setup.me => return self.fail(twin()),
            Some(evidence) => return self.fail((**evidence).clone()),
            None => {}
        }
        let failure = aborted(node, &abort);
        if let Some((of, claim)) = abort.result {
            self.on_foreign_claim(&of, claim);
        }
        if self.is_over() {
            return;
        }
        // More may follow about a cheat that is a third party or is not known.
        let mine = abort.accused[..] == [self.setup.me];
        if abort.cause == Cause::Peer && !mine && self.parties.len() > 2 {
            self.told.get_or_insert((failure, now + LISTEN));
        } else {
            let first = self.told.take().map_or(failure, |(first, _)| first);
            self.end(first.into());
        }
    }

    /// A third party's confirmation, delivered by another.
    fn on_foreign_claim(&mut self, of: &NodeId, claim: Claim) {
        let position = self.setup.parties.iter().position(|party| party == of);
        let (Some(position), Some(session)) = (position, self.session) else {
            return;
        };
        if position != self.position && claim.is_of(self.setup.task_hash, session, of) {
            self.on_stored(session, position, claim);
        }
    }

    /// A single party is ready at once.
    fn begin_if_all_are_ready(&mut self, now: Instant) {
        let all = self.parties.iter().all(|party| party.ready.is_some());
        if all && self.session.is_none() && !self.is_over() {
            self.begin(now);
        }
    }

    /// All views are equal: fixes the session id.
    fn begin(&mut self, now: Instant) {
        let readies: Vec<&Ready> = self
            .parties
            .iter()
            .filter_map(|party| party.ready.as_ref())
            .collect();
        let session = session_id(self.setup.task_hash, &self.setup.parties, &readies);
        let holds = readies.iter().map(|ready| ready.holds).collect();
        self.session = Some(session);
        self.state = State::Running;
        self.deadline = now + self.setup.limits.ready;
        if self.parties.len() > 2 {
            let heard = self
                .parties
                .iter()
                .filter_map(|party| party.ready.clone())
                .collect();
            self.transmit_all(&Body::Met(heard));
        }
        self.events
            .push_back(SessionEvent::Begun { session, holds });
        self.parties
            .iter_mut()
            .for_each(|party| party.waiting = (0, 0));
        for (sender, claimed, message) in std::mem::take(&mut self.early) {
            self.on_run(sender, claimed, message);
        }
    }

    fn on_run(&mut self, sender: usize, claimed: SessionId, message: Message) {
        if self.is_over() {
            return;
        }
        let Some(session) = self.session else {
            return self.keep_early(sender, claimed, message);
        };
        // All have heard the same, so the id follows from it.
        if claimed != session {
            let what = "names a session other than the one that follows from all ready messages";
            return self.fail(misbehaved(self.setup.parties[sender], what));
        }
        match message {
            Message::Direct { phase, body } => {
                self.deliver(
                    phase,
                    EngineMessage {
                        from: SessionIndex(sender as u16),
                        broadcast: false,
                        body,
                    },
                );
            }
            Message::Stored(claim)
                if claim.is_of(self.setup.task_hash, session, &self.setup.parties[sender]) =>
            {
                self.on_stored(session, sender, claim);
            }
            Message::Stored(_) => {
                self.fail(misbehaved(
                    self.setup.parties[sender],
                    "did not sign its confirmation",
                ));
            }
            Message::Broadcast { .. } | Message::Echo { .. } => {
                match self
                    .broadcasts
                    .handle(session, sender, message, &*self.setup.signer)
                {
                    Ok(accepted) => self.on_accepted(accepted),
                    Err(fault) => self.fail(fault),
                }
            }
        }
    }

    /// True if a frame fits into the phase's remaining room for its sender. Called once for
    /// each frame, on arrival.
    fn has_room(&mut self, sender: usize, frame: &Frame) -> bool {
        if !self.setup.rooms.fits(frame) {
            return false;
        }
        let Body::Run {
            message: Message::Direct { phase, body } | Message::Broadcast { phase, body, .. },
            ..
        } = &frame.body
        else {
            return true;
        };
        let carried = self.parties[sender].carried.entry(*phase).or_default();
        *carried += body.len();
        self.setup
            .rooms
            .of(*phase)
            .is_some_and(|room| *carried <= room.total)
    }

    fn keep_early(&mut self, sender: usize, claimed: SessionId, message: Message) {
        let bytes = size_of_message(&message);
        self.early.push_back((sender, claimed, message));
        self.count_waiting(sender, bytes);
    }

    fn on_accepted(&mut self, accepted: Accepted) {
        for (to, echo) in accepted.echoes {
            self.run_to(to, echo);
        }
        for (phase, from, body) in accepted.deliver {
            self.deliver(
                phase,
                EngineMessage {
                    from: SessionIndex(from as u16),
                    broadcast: true,
                    body,
                },
            );
        }
    }

    /// Hands a message to the engine, or keeps it for the engine of a later phase. Messages that
    /// arrive after their engine has ended are of no use to anybody.
    fn deliver(&mut self, phase: u8, message: EngineMessage) {
        let from = usize::from(message.from.0);
        match self.phase {
            Some(current) if phase == current => {
                self.parties[from].heard += 1;
                if self.parties[from].heard > MAX_MESSAGES {
                    self.fail(misbehaved(
                        self.setup.parties[from],
                        "sent more messages than the protocol has",
                    ));
                } else if matches!(self.state, State::Running) {
                    self.events.push_back(SessionEvent::Message(message));
                }
            }
            Some(current) if phase < current => {}
            _ => {
                let bytes = message.body.len();
                self.waiting.push_back((phase, message));
                self.count_waiting(from, bytes);
            }
        }
    }

    /// Bounds the waiting messages. A party that sends far ahead of the protocol is itself named.
    fn count_waiting(&mut self, sender: usize, bytes: usize) {
        let (messages, total) = &mut self.parties[sender].waiting;
        (*messages, *total) = (*messages + 1, *total + bytes);
        if *messages > MAX_MESSAGES || *total > self.setup.rooms.waiting() {
            self.fail(misbehaved(
                self.setup.parties[sender],
                "sent far ahead of the protocol",
            ));
        }
    }

    /// Handles a signed confirmation. Its acknowledgement becomes part of the next generation's
    /// descriptor, so it is verified here.
    fn on_stored(&mut self, session: SessionId, sender: usize, claim: Claim) {
        let task = self.setup.task_hash;
        let node = self.setup.parties[sender];
        if !claim.is_acked(&node) {
            let misconduct = Misconduct::FalseAck {
                session,
                claim: Box::new(claim),
            };
            return self.fail(Evidence {
                task,
                node,
                misconduct,
            });
        }
        match self.parties[sender].claim {
            Some(known) if known.digest != claim.digest => {
                let misconduct = Misconduct::Results {
                    session,
                    claims: Box::new([known, claim]),
                };
                return self.fail(Evidence {
                    task,
                    node,
                    misconduct,
                });
            }
            Some(_) => {}
            None => self.parties[sender].claim = Some(claim),
        }
        self.check_claims();
    }

    /// Compares the confirmations received; the last one completes the session.
    fn check_claims(&mut self) {
        let State::Storing(digest) = self.state else {
            return;
        };
        let differs = |party: &Party| party.claim.filter(|claim| claim.digest != digest);
        let differing = self
            .parties
            .iter()
            .enumerate()
            .find_map(|(at, party)| Some((at, differs(party)?)));
        if let Some((party, claim)) = differing {
            let node = self.setup.parties[party];
            return self.fail_with(
                wrong_result(node, digest, claim.digest).into(),
                Some((node, claim)),
            );
        }
        let acks: Vec<SignedAck> = self.stored_acks().collect();
        if acks.len() == self.parties.len() {
            self.state = State::Done;
            self.events.push_back(SessionEvent::AllStored(acks));
        }
    }

    fn stored_acks(&self) -> impl Iterator<Item = SignedAck> {
        self.setup
            .parties
            .iter()
            .zip(&self.parties)
            .filter_map(|(node, party)| {
                let claim = party.claim?;
                Some(SignedAck {
                    node: *node,
                    signature: claim.ack.0.to_vec(),
                })
            })
    }

    fn run_to(&mut self, to: usize, message: Message) {
        let Some(session) = self.session else { return };
        self.transmit(to, Body::Run { session, message });
    }

    fn run_all(&mut self, message: Message) {
        let Some(session) = self.session else { return };
        self.transmit_all(&Body::Run { session, message });
    }

    fn transmit_all(&mut self, body: &Body) {
        for to in (0..self.parties.len())
            .filter(|to| *to != self.position)
            .collect::<Vec<_>>()
        {
            self.transmit(to, body.clone());
        }
    }

    fn transmit(&mut self, to: usize, body: Body) {
        let seq = self.parties[to].outgoing;
        self.parties[to].outgoing += 1;
        self.transmits.push_back((
            self.setup.parties[to],
            Frame {
                task: self.setup.task,
                seq,
                body,
            },
        ));
    }

    /// Ends the session and tells the others why.
    fn fail(&mut self, fault: impl Into<Fault>) {
        self.fail_with(fault.into(), None);
    }

    fn fail_with(&mut self, fault: Fault, result: Option<(NodeId, Claim)>) {
        if !self.is_over() {
            let Fault { failure, evidence } = &fault;
            let accused = if failure.cause == Cause::Peer {
                failure.culprits.clone()
            } else {
                Vec::new()
            };
            self.transmit_all(&Body::Abort(Abort {
                cause: failure.cause,
                code: failure.code.clone(),
                text: failure.text.clone(),
                accused,
                evidence: evidence.clone(),
                result,
            }));
            self.end(fault);
        }
    }

    /// Ends the session silently: the others know, or need not.
    fn end(&mut self, fault: Fault) {
        if !self.is_over() {
            self.state = State::Done;
            self.evidence = fault.evidence;
            self.events.clear();
            self.events.push_back(SessionEvent::Failed(fault.failure));
        }
    }
}

fn size_of_message(message: &Message) -> usize {
    match message {
        Message::Direct { body, .. } | Message::Broadcast { body, .. } => body.len(),
        // Of fixed size, and their number is bounded.
        Message::Echo { .. } | Message::Stored(_) => 0,
    }
}

fn parties_hash(parties: &[NodeId]) -> Hash {
    parties
        .iter()
        .fold(Hasher::new("countersign/1 parties"), |hash, node| {
            hash.field(node.as_bytes())
        })
        .finish()
}

/// The hash over everything that all parties said in the ready stage.
fn session_id(task: Hash, parties: &[NodeId], readies: &[&Ready]) -> SessionId {
    let start = Hasher::new("countersign/1 session").field(task.as_bytes());
    let hash = parties
        .iter()
        .zip(readies)
        .fold(start, |hash, (node, ready)| {
            let holds: &[u8] = ready.holds.as_ref().map_or(&[], |holds| holds.as_bytes());
            hash.field(node.as_bytes()).field(&ready.fresh).field(holds)
        });
    SessionId(hash.finish().0)
}
