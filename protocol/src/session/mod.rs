//! One run of one protocol, as a state machine that is fed and polled. It never touches a socket, a clock or a secret.
//!
//! A session goes through three stages, each with a deadline. **Ready**: the parties exchange their view of the task and
//! fresh randomness; the session id is the hash over all of it, so a split view dies before any message that depends on a
//! secret. **Running**: one engine after the other (phases) exchanges direct messages and reliable broadcasts (`broadcast.rs`).
//! **Storing** (only where shares are made): everybody signs that its result is durable. A session that cannot go on says
//! why and whom it waits for, and tells the others so that they need not wait.

mod broadcast;
mod failure;
pub mod hold;
#[cfg(test)]
mod tests;

use crate::frame::{Body, Frame, Message, Ready};
use crate::hash::{Hash, Hasher};
use crate::id::{NodeId, SessionId, TaskId};
use crate::outcome::{Failure, StoredMark};
use crate::{IdentitySigner, control::Stage};
use broadcast::{Accepted, Broadcasts};
use failure::{aborted, frames_lost, misbehaved, peer_lost, split_view, timed_out};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long each stage may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the start until every party is ready.
    pub ready: Duration,
    /// From the local result until every party has stored.
    pub storing: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { ready: Duration::from_secs(5), storing: Duration::from_secs(10) }
    }
}

/// Engines that a session may run one after the other: one for each signature of a task.
pub const MAX_PHASES: u8 = 64;

/// How long a session goes on after a tunnel broke: long enough to use what has arrived.
const LOST_GRACE: Duration = Duration::from_secs(2);
/// Engine messages of one party in one phase, and messages of one party that wait for their phase or for the session to
/// begin. The longest protocol here has ten.
const MAX_MESSAGES: u32 = 32;
/// Bytes of one party that wait. The largest honest message has 212 kB.
const MAX_WAITING_BYTES: usize = 2 * 1024 * 1024;

/// What a session is made from.
pub struct Setup {
    /// The task.
    pub task: TaskId,
    /// Hash of its exact bytes.
    pub task_hash: Hash,
    /// Who takes part, in the order of their ids.
    pub parties: Vec<NodeId>,
    /// This node.
    pub me: NodeId,
    /// 32 bytes from the system's generator, used once.
    pub fresh: [u8; 32],
    /// See [`Ready::holds`].
    pub holds: Option<Hash>,
    /// Signs broadcasts and marks.
    pub signer: Arc<dyn IdentitySigner>,
    /// Deadlines.
    pub limits: Limits,
}

/// What a session has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// Everybody is ready and sees the same. `holds` has one entry for each party.
    Begun {
        /// The id of this run.
        session: SessionId,
        /// What each party said it holds.
        holds: Vec<Option<Hash>>,
    },
    /// A message for the engine of the current phase.
    Message(EngineMessage),
    /// Everybody has stored; one mark for each party, in order.
    AllStored(Vec<StoredMark>),
    /// It came to nothing. Last event.
    Failed(Failure),
}

/// A message for an engine. Its `Debug` shows no bytes: they can carry a share.
#[derive(Clone, PartialEq, Eq)]
pub struct EngineMessage {
    /// Position of the sender among the parties.
    pub from: u16,
    /// True for a broadcast that all parties received alike.
    pub broadcast: bool,
    /// The engine's bytes.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for EngineMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "EngineMessage(from {}, broadcast {}, {} bytes)",
            self.from,
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

/// What is known of one party.
#[derive(Default)]
struct Party {
    ready: Option<Ready>,
    /// Next frame number expected from it.
    incoming: u32,
    /// Next frame number sent to it.
    outgoing: u32,
    /// Engine messages of the current phase that arrived from it.
    heard: u32,
    /// Its messages that wait, and their bytes.
    waiting: (u32, usize),
    mark: Option<(Hash, [u8; 64])>,
}

/// One run of one protocol for one task.
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
    transmits: VecDeque<(NodeId, Frame)>,
    events: VecDeque<SessionEvent>,
}

impl Session {
    /// Begins to meet the others. `None` if this node is not among the parties.
    pub fn new(now: Instant, setup: Setup) -> Option<Session> {
        let position = setup.parties.iter().position(|party| *party == setup.me)?;
        let ready = Ready {
            task: setup.task_hash,
            parties: parties_hash(&setup.parties),
            fresh: setup.fresh,
            holds: setup.holds,
        };
        let mut parties: Vec<Party> = setup.parties.iter().map(|_| Party::default()).collect();
        parties[position].ready = Some(ready.clone());
        let mut session = Session {
            deadline: now + setup.limits.ready,
            broadcasts: Broadcasts::new(position, setup.parties.clone()),
            position,
            parties,
            setup,
            state: State::Ready,
            session: None,
            phase: None,
            early: VecDeque::new(),
            waiting: VecDeque::new(),
            lost: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        };
        session.transmit_all(&Body::Ready(ready));
        session.begin_if_all_are_ready(now);
        Some(session)
    }

    /// A frame of this task arrived in the tunnel from `from`.
    pub fn handle_frame(&mut self, now: Instant, from: &NodeId, frame: Frame) {
        let Some(sender) = self.setup.parties.iter().position(|party| party == from) else { return };
        if sender == self.position || self.is_over() {
            return;
        }
        match frame.seq.cmp(&self.parties[sender].incoming) {
            std::cmp::Ordering::Less => return,
            std::cmp::Ordering::Greater => return self.fail(frames_lost(*from)),
            std::cmp::Ordering::Equal => self.parties[sender].incoming += 1,
        }
        match frame.body {
            Body::Ready(ready) => self.on_ready(now, sender, ready),
            Body::Run { session, message } => self.on_run(sender, session, message),
            Body::Abort { code, text } => self.end(aborted(*from, code, &text)),
            // Of no session; the router takes them out.
            Body::HighWater(_) | Body::Behind(_) | Body::Generations(_) | Body::Heard(_) | Body::Lacks(_) => {
            }
        }
    }

    /// The tunnel to `peer` broke. What has arrived may still be enough; if not, the session ends soon.
    pub fn handle_peer_lost(&mut self, now: Instant, peer: &NodeId) {
        let position = self.setup.parties.iter().position(|party| party == peer);
        if let (Some(position), None) = (position, self.lost) {
            self.lost = Some((position, now + LOST_GRACE));
        }
    }

    /// Time has passed: ends the session if a deadline has.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.is_over() {
            return;
        }
        if let Some((party, _)) = self.lost.filter(|(_, deadline)| *deadline <= now) {
            self.fail(peer_lost(self.setup.parties[party]));
        } else if self.deadline <= now {
            self.fail(timed_out(self.stage(), self.waiting_for()));
        }
    }

    /// Begins the next engine: its messages are delivered from now on, and it has `limit` to finish. Phases count from 0 to
    /// [`MAX_PHASES`] - 1, upwards.
    pub fn begin_phase(&mut self, now: Instant, phase: u8, limit: Duration) {
        if self.is_over() {
            return;
        }
        self.phase = Some(phase);
        self.deadline = now + limit;
        // What an ended engine did not take is not for the next one.
        self.events.retain(|event| !matches!(event, SessionEvent::Message(_)));
        self.parties.iter_mut().for_each(|party| (party.heard, party.waiting) = (0, (0, 0)));
        for (of, message) in std::mem::take(&mut self.waiting) {
            self.deliver(of, message);
        }
    }

    /// The engine has a message for one party.
    pub fn send_direct(&mut self, to: u16, body: Vec<u8>) {
        let (Some(phase), true) = (self.phase, usize::from(to) < self.parties.len()) else { return };
        self.run_to(usize::from(to), Message::Direct { phase, body });
    }

    /// The engine has a message for all.
    pub fn send_broadcast(&mut self, body: Vec<u8>) {
        let (Some(phase), Some(session)) = (self.phase, self.session) else { return };
        let message = self.broadcasts.make(session, phase, body, &*self.setup.signer);
        self.run_all(message);
    }

    /// The local result with this digest is durable: says so, and waits for the others.
    pub fn stored(&mut self, now: Instant, digest: Hash) {
        if self.is_over() {
            return;
        }
        self.state = State::Storing(digest);
        // A slower party may use all of the last engine's time before it stores.
        self.deadline = self.deadline.max(now + self.setup.limits.storing);
        let signature = self.setup.signer.sign(digest.as_bytes());
        self.parties[self.position].mark = Some((digest, signature));
        self.run_all(Message::Stored { digest, signature });
        self.check_marks();
    }

    /// Gives up and tells the others.
    pub fn abort(&mut self, failure: Failure) {
        self.fail(failure);
    }

    /// The result is there and nothing is left to wait for.
    pub fn finish(&mut self) {
        self.state = State::Done;
    }

    /// The next frame to send.
    pub fn poll_transmit(&mut self) -> Option<(NodeId, Frame)> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let lost = self.lost.map_or(self.deadline, |(_, deadline)| deadline.min(self.deadline));
        (!self.is_over()).then_some(lost)
    }

    /// True once the stage has used up its time. Not because a tunnel broke.
    pub fn is_late(&self, now: Instant) -> bool {
        !self.is_over() && self.deadline <= now && self.lost.is_none_or(|(_, deadline)| deadline > now)
    }

    /// What the session is doing.
    pub fn stage(&self) -> Stage {
        match self.state {
            State::Ready => Stage::Ready,
            State::Storing(_) => Stage::Storing,
            State::Running | State::Done => Stage::Running,
        }
    }

    /// The parties that are behind the others, in the order of their ids.
    pub fn waiting_for(&self) -> Vec<NodeId> {
        let least = self.others().map(|(_, party)| party.heard).min().unwrap_or(0);
        let silent = self.broadcasts.silent(self.phase);
        self.others()
            .filter(|(position, party)| match self.state {
                State::Ready => party.ready.is_none(),
                State::Storing(_) => party.mark.is_none(),
                State::Running if !silent.is_empty() => silent.contains(position),
                State::Running => party.heard == least,
                State::Done => false,
            })
            .map(|(position, _)| self.setup.parties[position])
            .collect()
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Done)
    }

    fn others(&self) -> impl Iterator<Item = (usize, &Party)> {
        self.parties.iter().enumerate().filter(|(position, _)| *position != self.position)
    }

    fn on_ready(&mut self, now: Instant, sender: usize, ready: Ready) {
        let mine = self.parties[self.position].ready.as_ref();
        if mine.is_none_or(|mine| mine.task != ready.task || mine.parties != ready.parties) {
            return self.fail(split_view(self.setup.parties[sender]));
        }
        if self.parties[sender].ready.replace(ready).is_some() {
            return self.fail(misbehaved(self.setup.parties[sender], "said twice that it is ready"));
        }
        self.begin_if_all_are_ready(now);
    }

    /// A party alone is ready at once.
    fn begin_if_all_are_ready(&mut self, now: Instant) {
        if self.parties.iter().all(|party| party.ready.is_some()) {
            self.begin(now);
        }
    }

    /// All views are equal: fixes the session id.
    fn begin(&mut self, now: Instant) {
        let readies: Vec<&Ready> = self.parties.iter().filter_map(|party| party.ready.as_ref()).collect();
        let session = session_id(self.setup.task_hash, &self.setup.parties, &readies);
        let holds = readies.iter().map(|ready| ready.holds).collect();
        self.session = Some(session);
        self.state = State::Running;
        self.deadline = now + self.setup.limits.ready;
        self.events.push_back(SessionEvent::Begun { session, holds });
        self.parties.iter_mut().for_each(|party| party.waiting = (0, 0));
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
        if claimed != session {
            return self.fail(split_view(self.setup.parties[sender]));
        }
        match message {
            Message::Direct { phase, body } => {
                self.deliver(phase, EngineMessage { from: sender as u16, broadcast: false, body });
            }
            Message::Stored { digest, signature } => self.on_stored(sender, digest, signature),
            Message::Broadcast { .. } | Message::Echo { .. } => {
                match self.broadcasts.handle(session, sender, message) {
                    Ok(accepted) => self.on_accepted(accepted),
                    Err(failure) => self.fail(failure),
                }
            }
        }
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
            self.deliver(phase, EngineMessage { from: from as u16, broadcast: true, body });
        }
    }

    /// Hands a message to the engine, or keeps it for the engine of a later phase. What comes after its engine has ended is
    /// of no use to anybody.
    fn deliver(&mut self, phase: u8, message: EngineMessage) {
        let from = usize::from(message.from);
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

    /// Whoever sends far ahead of the protocol is the one who is named for it.
    fn count_waiting(&mut self, sender: usize, bytes: usize) {
        let (messages, total) = &mut self.parties[sender].waiting;
        (*messages, *total) = (*messages + 1, *total + bytes);
        if *messages > MAX_MESSAGES || *total > MAX_WAITING_BYTES {
            self.fail(misbehaved(self.setup.parties[sender], "sent far ahead of the protocol"));
        }
    }

    fn on_stored(&mut self, sender: usize, digest: Hash, signature: [u8; 64]) {
        let node = self.setup.parties[sender];
        if !node.verify(digest.as_bytes(), &signature) {
            return self.fail(misbehaved(node, "signed its confirmation wrongly"));
        }
        self.parties[sender].mark = Some((digest, signature));
        self.check_marks();
    }

    /// Compares the marks that are there; the last one completes the session.
    fn check_marks(&mut self) {
        let State::Storing(digest) = self.state else { return };
        let differing =
            self.parties.iter().position(|party| party.mark.is_some_and(|(other, _)| other != digest));
        if let Some(party) = differing {
            return self.fail(split_view(self.setup.parties[party]));
        }
        let marks: Vec<StoredMark> = self.marks().collect();
        if marks.len() == self.parties.len() {
            self.state = State::Done;
            self.events.push_back(SessionEvent::AllStored(marks));
        }
    }

    fn marks(&self) -> impl Iterator<Item = StoredMark> {
        self.setup.parties.iter().zip(&self.parties).filter_map(|(node, party)| {
            let (_, signature) = party.mark?;
            Some(StoredMark { node: *node, signature: signature.to_vec() })
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
        for to in (0..self.parties.len()).filter(|to| *to != self.position).collect::<Vec<_>>() {
            self.transmit(to, body.clone());
        }
    }

    fn transmit(&mut self, to: usize, body: Body) {
        let seq = self.parties[to].outgoing;
        self.parties[to].outgoing += 1;
        self.transmits.push_back((self.setup.parties[to], Frame { task: self.setup.task, seq, body }));
    }

    /// Ends the session and tells the others why.
    fn fail(&mut self, failure: Failure) {
        if !self.is_over() {
            self.transmit_all(&Body::Abort { code: failure.code.clone(), text: failure.text.clone() });
            self.end(failure);
        }
    }

    /// Ends the session in silence: the others know, or need not.
    fn end(&mut self, failure: Failure) {
        if !self.is_over() {
            self.state = State::Done;
            self.events.clear();
            self.events.push_back(SessionEvent::Failed(failure));
        }
    }
}

fn size_of_message(message: &Message) -> usize {
    match message {
        Message::Direct { body, .. } | Message::Broadcast { body, .. } => body.len(),
        Message::Echo { .. } | Message::Stored { .. } => 128,
    }
}

fn parties_hash(parties: &[NodeId]) -> Hash {
    parties
        .iter()
        .fold(Hasher::new("countersign/1 parties"), |hash, node| hash.field(node.as_bytes()))
        .finish()
}

/// The hash over everything that all parties said when they met.
fn session_id(task: Hash, parties: &[NodeId], readies: &[&Ready]) -> SessionId {
    let start = Hasher::new("countersign/1 session").field(task.as_bytes());
    let hash = parties.iter().zip(readies).fold(start, |hash, (node, ready)| {
        let holds: &[u8] = ready.holds.as_ref().map_or(&[], |holds| holds.as_bytes());
        hash.field(node.as_bytes()).field(&ready.fresh).field(holds)
    });
    SessionId(hash.finish().0)
}
