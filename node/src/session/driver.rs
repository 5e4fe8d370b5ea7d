//! The one driver: pumps bytes between the tunnels, the session state machine and an engine.
//!
//! A task is a sequence of steps: [`Run::meet`], one or more [`Run::phase`], and [`Run::store`]
//! where shares are made. Every error in a step is returned as the [`Failure`] that is journalled
//! and reported.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_engine::{Engine, EngineError, MessageKind, PartyIndex, Recipient};
use countersign_link::PeerKey;
use countersign_protocol::control::{Pace, Stage};
use countersign_protocol::session::{EngineMessage, SessionIndex, Setup};
use countersign_protocol::{
    Cause, Evidence, Failure, FailureCode, Hash, NodeId, Session, SessionEvent, SessionId,
    SignedAck, encode,
};
use tokio_util::sync::CancellationToken;

use super::router::{Arrival, Inbox, Router};
use super::worker::{CpuPool, Fault, FromEngine, Incoming, WorkError, Worker};
use crate::heavy::Place;

/// The interval of checks for tunnels that are not up yet.
const TUNNEL_POLL: Duration = Duration::from_millis(10);

/// The longest time for sending a frame to a peer. A slower peer no longer reads, and the run
/// treats it as lost.
const SEND_LIMIT: Duration = Duration::from_secs(2);

/// The interval of progress reports in a long stage.
const BEAT: Duration = Duration::from_secs(5);

/// Reports the progress of a run: its stage, the nodes that it waits for, and in a
/// long stage its pace.
pub type Progress = Box<dyn Fn(Stage, Vec<NodeId>, Option<Pace>) + Send + Sync>;

/// One run of one task.
pub struct Run {
    session: Session,
    me: NodeId,
    parties: Vec<NodeId>,
    router: Arc<Router>,
    inbox: Inbox,
    progress: Progress,
    cancelled: CancellationToken,
    /// Peers that missed a frame. They get no more: a session does not survive a gap.
    stalled: BTreeSet<NodeId>,
    /// An engine was started: from then on the others may hold what a signature needs.
    may_have_signed: bool,
    /// The task's place in the queue of those that may need auxiliary information.
    place: Option<Place>,
}

/// A phase that takes long: its parties report their progress, and nobody is blamed for a timeout.
#[derive(Debug, Clone, Copy)]
struct LongPhase {
    stage: Stage,
    began: Instant,
    limit: Duration,
    /// Steps of the protocol at this party; 0 if it only waits.
    steps: u32,
}

impl LongPhase {
    fn pace(&self, done: u32) -> Pace {
        let millis = |time: Duration| time.as_millis() as u64;
        Pace {
            elapsed_ms: millis(self.began.elapsed()),
            limit_ms: millis(self.limit),
            percent: (self.steps > 0).then(|| (done.min(self.steps) * 100 / self.steps) as u8),
        }
    }
}

/// Why a frame was not sent.
#[derive(Debug, thiserror::Error)]
enum TransmitError {
    #[error(transparent)]
    Mesh(#[from] countersign_link::mesh::SendError),
    #[error("the peer does not read")]
    Stalled,
}

/// The parties of a session that take part in a phase, as positions in the session's list. The
/// engine of the phase counts them in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participants(Vec<SessionIndex>);

impl Participants {
    /// Selects those of `parties` for which `participant` returns true.
    pub fn of(parties: &[NodeId], participant: impl Fn(&NodeId) -> bool) -> Self {
        Self(
            (0..)
                .map(SessionIndex)
                .zip(parties)
                .filter(|(_, node)| participant(node))
                .map(|(position, _)| position)
                .collect(),
        )
    }

    /// Returns the number of parties in the phase.
    pub fn count(&self) -> u16 {
        self.0.len() as u16
    }

    /// Returns the engine's index of a party; `None` if it takes no part in the phase.
    pub fn index(&self, position: SessionIndex) -> Option<PartyIndex> {
        let index = self.0.iter().position(|seat| *seat == position)?;
        Some(PartyIndex(index as u16))
    }

    fn position(&self, index: PartyIndex) -> Option<SessionIndex> {
        self.0.get(usize::from(index.0)).copied()
    }
}

/// The reason why the driver woke up.
enum Wake<T> {
    Arrived(Option<Arrival>),
    Engine(Option<FromEngine<T>>),
    Deadline,
    Beat,
    Cancelled,
}

fn beats() -> tokio::time::Interval {
    tokio::time::interval_at(tokio::time::Instant::now() + BEAT, BEAT)
}

/// An engine that is never built, for the steps that have none.
type NoEngine = Worker<std::convert::Infallible>;

impl Run {
    /// Waits for the tunnels to all parties, then opens the session.
    pub async fn begin(
        setup: Setup,
        router: Arc<Router>,
        inbox: Inbox,
        progress: Progress,
        cancelled: CancellationToken,
    ) -> Result<Self, Failure> {
        let parties = setup.parties.clone();
        let me = setup.me;
        let others: Vec<NodeId> = parties
            .iter()
            .copied()
            .filter(|party| *party != setup.me)
            .collect();
        progress(Stage::Ready, others.clone(), None);
        let tunnels = wait_for_tunnels(&router, &others, setup.limits.ready);
        cancelled
            .run_until_cancelled(tunnels)
            .await
            .unwrap_or_else(|| Err(called_off()))?;
        let session = Session::new(Instant::now(), setup).ok_or_else(not_a_party)?;
        let stalled = BTreeSet::new();
        let may_have_signed = false;
        let place = None;
        Ok(Self {
            session,
            me,
            parties,
            router,
            inbox,
            progress,
            cancelled,
            stalled,
            may_have_signed,
            place,
        })
    }

    /// Gives the run its task's place in the queue.
    pub fn set_place(&mut self, place: Option<Place>) {
        self.place = place;
    }

    /// Takes the place out, if there is one. It is given up when the caller drops it.
    pub fn take_place(&mut self) -> Option<Place> {
        self.place.take()
    }

    /// Exchanges views with the others. Returns the session id and the digest
    /// that each party holds.
    pub async fn meet(&mut self) -> Result<(SessionId, Vec<Option<Hash>>), Failure> {
        loop {
            match self.event(None).await? {
                SessionEvent::Begun { session, holds } => {
                    self.session
                        .marks()
                        .into_iter()
                        .for_each(|(node, mark)| self.router.marked(node, mark));
                    return Ok((session, holds));
                }
                event => self.unexpected(&event)?,
            }
        }
    }

    /// Runs one engine of all parties to its end.
    pub async fn phase<T, F>(
        &mut self,
        phase: (u8, Stage),
        limit: Duration,
        pool: CpuPool,
        build: F,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<Box<dyn Engine<Output = T>>, WorkError> + Send + 'static,
    {
        let everybody = Participants::of(&self.parties, |_| true);
        self.phase_of(&everybody, phase, limit, pool, build).await
    }

    /// Runs one engine of some parties to its end. The others go on without it.
    pub async fn phase_of<T, F>(
        &mut self,
        participants: &Participants,
        (number, stage): (u8, Stage),
        limit: Duration,
        pool: CpuPool,
        build: F,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<Box<dyn Engine<Output = T>>, WorkError> + Send + 'static,
    {
        let started = Worker::start(pool, build);
        let worker = started.map_err(|error| self.give_up(no_thread(&error)))?;
        self.may_have_signed = true;
        self.drive(participants, (number, stage), limit, None, worker)
            .await
    }

    /// Runs a worker of some parties to its end in a phase that takes long. `steps`: the messages
    /// that this party sends and receives; 0 if it only waits.
    pub async fn long_phase<T: Send + 'static>(
        &mut self,
        participants: &Participants,
        (number, stage): (u8, Stage),
        limit: Duration,
        steps: u32,
        worker: Worker<T>,
    ) -> Result<T, Failure> {
        self.may_have_signed = true;
        let long = LongPhase {
            stage,
            began: Instant::now(),
            limit,
            steps,
        };
        self.drive(participants, (number, stage), limit, Some(long), worker)
            .await
    }

    async fn drive<T: Send + 'static>(
        &mut self,
        participants: &Participants,
        (number, stage): (u8, Stage),
        limit: Duration,
        long: Option<LongPhase>,
        mut worker: Worker<T>,
    ) -> Result<T, Failure> {
        (self.progress)(stage, Vec::new(), long.map(|long| long.pace(0)));
        self.session.begin_phase(Instant::now(), number, limit);
        let mut beat = beats();
        loop {
            while let Some(event) = self.session.poll_event() {
                self.hand_over(&worker, participants, event)?;
            }
            self.transmit().await;
            let beat = long.is_some().then_some(&mut beat);
            match self.wake(Some(&mut worker), beat).await {
                Wake::Engine(Some(FromEngine::Send(message))) => match message.to {
                    Recipient::All => self.session.send_broadcast(message.body.to_vec()),
                    Recipient::One(party) => match participants.position(party) {
                        Some(position) => {
                            self.session.send_direct(position, message.body.to_vec());
                        }
                        None => return Err(self.give_up(not_a_party())),
                    },
                },
                Wake::Engine(Some(FromEngine::Done(result))) => {
                    self.transmit().await;
                    return result
                        .map_err(|error| self.give_up(self.engine_failure(participants, &error)));
                }
                wake @ (Wake::Beat | Wake::Deadline) => match long {
                    Some(long) => self.in_long_phase(long, &worker, wake)?,
                    None => self.absorb(wake)?,
                },
                other => self.absorb(other)?,
            }
        }
    }

    /// Reports progress, and ends the phase as nobody's fault when its time is over.
    fn in_long_phase<T: Send + 'static>(
        &mut self,
        long: LongPhase,
        worker: &Worker<T>,
        wake: Wake<T>,
    ) -> Result<(), Failure> {
        let waiting_for = if worker.computes() {
            Vec::new()
        } else {
            self.session.waiting_for()
        };
        (self.progress)(
            long.stage,
            waiting_for.clone(),
            Some(long.pace(worker.steps())),
        );
        match wake {
            Wake::Deadline if self.session.is_late(Instant::now()) => {
                Err(self.give_up(took_too_long(long, &waiting_for)))
            }
            Wake::Deadline => self.absorb(wake),
            Wake::Beat | Wake::Arrived(_) | Wake::Engine(_) | Wake::Cancelled => Ok(()),
        }
    }

    /// Returns the other party, if there is exactly one. It is to blame for anything wrong that
    /// this node did not do.
    pub fn counterpart(&self) -> Option<NodeId> {
        let everybody = Participants::of(&self.parties, |_| true);
        self.counterpart_in(&everybody)
    }

    fn counterpart_in(&self, participants: &Participants) -> Option<NodeId> {
        let participant = participants.0.iter();
        let participant: Vec<NodeId> = participant
            .filter_map(|position| self.parties.get(usize::from(position.0)))
            .copied()
            .collect();
        other_of_two(&participant, self.me)
    }

    /// Fails if another party has given up. To be called before storing anything that
    /// needs all of them.
    pub fn still_on(&self) -> Result<(), Failure> {
        self.session.is_called_off().cloned().map_or(Ok(()), Err)
    }

    /// Returns proof of the failure that ended the run, if it convinces third parties.
    pub fn evidence(&self) -> Option<Evidence> {
        self.session.evidence().cloned()
    }

    /// True once a share was put to use: from then on a signature may exist.
    pub fn may_have_signed(&self) -> bool {
        self.may_have_signed
    }

    /// Acknowledges that the result with this digest is durable here, and waits for the
    /// acknowledgements of all parties.
    pub async fn store(&mut self, digest: Hash) -> Result<Vec<SignedAck>, Failure> {
        let began = Instant::now();
        self.session.stored(began, digest);
        let limit = self
            .session
            .poll_timeout()
            .map_or(Duration::ZERO, |end| end - began);
        // Slower parties may use all of a long phase before they store.
        let long = LongPhase {
            stage: Stage::Storing,
            began,
            limit,
            steps: 0,
        };
        (self.progress)(Stage::Storing, Vec::new(), None);
        loop {
            match self.event(Some(long)).await? {
                SessionEvent::AllStored(acks) => return Ok(acks),
                event => self.unexpected(&event)?,
            }
        }
    }

    /// Ends the run after its last step.
    pub async fn finish(mut self) {
        self.transmit().await;
        self.session.finish();
    }

    /// Ends the run because of a failure here, and tells the others.
    pub async fn abort(mut self, failure: Failure) {
        self.session.abort(failure);
        self.transmit().await;
    }

    /// Waits for the next event of the session, in a step without engine.
    async fn event(&mut self, long: Option<LongPhase>) -> Result<SessionEvent, Failure> {
        let mut beat = beats();
        loop {
            self.transmit().await;
            match self.session.poll_event() {
                Some(SessionEvent::Failed(failure)) => return Err(failure),
                Some(event) => return Ok(event),
                None => {}
            }
            let beat = long.is_some().then_some(&mut beat);
            match (self.wake(None::<&mut NoEngine>, beat).await, long) {
                (Wake::Beat, Some(long)) => {
                    (self.progress)(long.stage, self.session.waiting_for(), Some(long.pace(0)));
                }
                (wake, _) => self.absorb(wake)?,
            }
        }
    }

    /// Peers can delay neither the deadline nor the engine, however much they send.
    async fn wake<T: Send + 'static>(
        &mut self,
        worker: Option<&mut Worker<T>>,
        beat: Option<&mut tokio::time::Interval>,
    ) -> Wake<T> {
        let deadline = self.session.poll_timeout().unwrap_or_else(Instant::now);
        let engine = async {
            match worker {
                Some(worker) => worker.next().await,
                None => std::future::pending().await,
            }
        };
        let input = async {
            // Unbiased, so that neither starves the other.
            tokio::select! {
                arrival = self.inbox.next() => Wake::Arrived(arrival),
                from_engine = engine => Wake::Engine(from_engine),
            }
        };
        let beat = async {
            match beat {
                Some(beat) => drop(beat.tick().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.cancelled.cancelled() => Wake::Cancelled,
            () = tokio::time::sleep_until(deadline.into()) => Wake::Deadline,
            () = beat => Wake::Beat,
            wake = input => wake,
        }
    }

    /// Handles a wake-up in the way that is common to all steps.
    fn absorb<T>(&mut self, wake: Wake<T>) -> Result<(), Failure> {
        let now = Instant::now();
        match wake {
            Wake::Arrived(Some(Arrival::Frame(from, frame))) => {
                self.session.handle_frame(now, &from, *frame)
            }
            Wake::Arrived(Some(Arrival::Overlong(peer))) => self.session.handle_overlong(&peer),
            Wake::Arrived(Some(Arrival::Lost(peer))) => self.session.handle_peer_lost(now, &peer),
            Wake::Arrived(Some(Arrival::Flood(peer))) => return Err(self.give_up(peer_flood(peer))),
            Wake::Arrived(None) => return Err(self.give_up(cut_off())),
            Wake::Engine(_) => return Err(self.give_up(engine_died())),
            Wake::Deadline => {
                (self.progress)(self.session.stage(), self.session.waiting_for(), None);
                self.session.handle_timeout(now);
            }
            // Only long phases have beats, and they handle them themselves.
            Wake::Beat => {}
            Wake::Cancelled => return Err(self.give_up(called_off())),
        }
        Ok(())
    }

    fn hand_over<T: Send + 'static>(
        &mut self,
        worker: &Worker<T>,
        participants: &Participants,
        event: SessionEvent,
    ) -> Result<(), Failure> {
        match event {
            SessionEvent::Message(EngineMessage {
                from,
                broadcast,
                body,
            }) => {
                let kind = if broadcast {
                    MessageKind::Broadcast
                } else {
                    MessageKind::Direct
                };
                let taken = participants
                    .index(from)
                    .is_some_and(|from| worker.deliver(Incoming { from, kind, body }));
                if taken {
                    return Ok(());
                }
                let peer = self.parties.get(usize::from(from.0)).copied();
                Err(self.give_up(peer.map_or_else(cut_off, peer_flood)))
            }
            SessionEvent::Failed(failure) => Err(failure),
            event => self.unexpected(&event),
        }
    }

    fn unexpected(&mut self, event: &SessionEvent) -> Result<(), Failure> {
        tracing::error!(?event, "session event out of turn");
        Err(self.give_up(Failure::new(
            FailureCode::EventOutOfTurn,
            "the session lost its order; report this",
        )))
    }

    /// Makes the session tell the others that this node gives up. The frames leave
    /// with the next transmission.
    fn give_up(&mut self, failure: Failure) -> Failure {
        self.session.abort(failure.clone());
        failure
    }

    async fn transmit(&mut self) {
        while let Some((to, frame)) = self.session.poll_transmit() {
            if self.stalled.contains(&to) {
                continue;
            }
            if let Err(error) = self.send(&to, encode(&frame)).await {
                tracing::debug!(%to, %error, "a frame could not be sent");
                self.stalled.insert(to);
                self.session.handle_peer_lost(Instant::now(), &to);
            }
        }
    }

    async fn send(&self, to: &NodeId, frame: Vec<u8>) -> Result<(), TransmitError> {
        let key = PeerKey(*to.as_bytes());
        tokio::time::timeout(SEND_LIMIT, self.router.mesh().send(&key, frame))
            .await
            .map_err(|_| TransmitError::Stalled)??;
        Ok(())
    }

    fn engine_failure(&self, participants: &Participants, error: &WorkError) -> Failure {
        match error {
            WorkError::Engine(error) => self.protocol_failed(participants, &Fault::from(error)),
            WorkError::Protocol(fault) => self.protocol_failed(participants, fault),
            WorkError::Secrets(text) => Failure::new(FailureCode::Secrets, text),
            WorkError::Process(text) => Failure::new(FailureCode::AuxProcess, text),
            WorkError::Stopped => engine_died(),
        }
    }

    fn protocol_failed(&self, participants: &Participants, fault: &Fault) -> Failure {
        Failure {
            cause: fault.cause,
            code: FailureCode::Protocol,
            text: format!("the protocol failed: {}{}", fault.text, advice(fault.cause)),
            culprits: self.culprits(participants, fault),
        }
    }

    fn culprits(&self, participants: &Participants, fault: &Fault) -> Vec<NodeId> {
        let position = |party: &PartyIndex| Some(usize::from(participants.position(*party)?.0));
        let named = fault
            .culprits
            .iter()
            .filter_map(|party| self.parties.get(position(party)?));
        blamed(
            fault.cause,
            named.copied().collect(),
            self.counterpart_in(participants),
        )
    }
}

impl From<&EngineError> for Fault {
    fn from(error: &EngineError) -> Self {
        Self {
            cause: cause(error),
            text: error.to_string(),
            culprits: error.culprits().to_vec(),
        }
    }
}

/// Returns the other one, if `me` is one of two.
fn other_of_two(participant: &[NodeId], me: NodeId) -> Option<NodeId> {
    match *participant {
        [one, other] if one == me => Some(other),
        [other, one] if one == me => Some(other),
        _ => None,
    }
}

/// Returns the parties that the engine names. If it names nobody for a peer's fault and there is
/// only one peer, it is that one's.
fn blamed(cause: Cause, named: Vec<NodeId>, counterpart: Option<NodeId>) -> Vec<NodeId> {
    match (cause, named.is_empty()) {
        (Cause::Peer, true) => counterpart.into_iter().collect(),
        (Cause::Peer | Cause::Caller | Cause::Environment | Cause::Bug, _) => named,
    }
}

/// Advice for the operator. Engines give it themselves if the fault is in this program.
fn advice(cause: Cause) -> &'static str {
    match cause {
        Cause::Caller => "; correct this, then try again with a new task",
        Cause::Peer => "; examine the named nodes and their logs before trying again",
        Cause::Environment => "; then try again with a new task",
        Cause::Bug => "",
    }
}

fn cause(error: &EngineError) -> Cause {
    match error.cause() {
        countersign_engine::Cause::Caller => Cause::Caller,
        countersign_engine::Cause::Peer => Cause::Peer,
        countersign_engine::Cause::Environment => Cause::Environment,
        countersign_engine::Cause::Bug => Cause::Bug,
    }
}

/// Tunnels come and go with the coordinator. A run begins when all that it needs are up.
async fn wait_for_tunnels(
    router: &Router,
    others: &[NodeId],
    limit: Duration,
) -> Result<(), Failure> {
    let deadline = Instant::now() + limit;
    loop {
        let up = |node: &NodeId| router.mesh().connected(&PeerKey(*node.as_bytes()));
        let missing: Vec<NodeId> = others.iter().copied().filter(|node| !up(node)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(no_tunnel(missing));
        }
        tokio::time::sleep(TUNNEL_POLL).await;
    }
}

fn no_tunnel(missing: Vec<NodeId>) -> Failure {
    let names: Vec<String> = missing.iter().map(NodeId::to_string).collect();
    let text = format!(
        "no tunnel to {}; see that it runs, is online and has this node on its roster, then try again",
        names.join(" and ")
    );
    Failure::new(FailureCode::SessionTimeout, text).naming(missing)
}

fn no_thread(error: &std::io::Error) -> Failure {
    Failure::new(
        FailureCode::NoThread,
        format!("no thread could be started ({error}); lower limits.tasks, then try again"),
    )
}

/// The time of a long phase is over. A party that is still computing is slow, not a cheat: it is
/// mentioned, but not blamed.
fn took_too_long(long: LongPhase, waiting_for: &[NodeId]) -> Failure {
    let names: Vec<String> = waiting_for.iter().map(NodeId::to_string).collect();
    let names = names.join(" and ");
    let limit = long.limit.as_secs();
    let (code, text) = match (long.stage, waiting_for) {
        (Stage::Queued, _) => (
            FailureCode::QueueTimeout,
            format!(
                "other wallets kept the nodes busy for {limit} s, and {names} did not get to this one; order it again when there is less to do"
            ),
        ),
        (_, []) => (
            FailureCode::AuxTimeout,
            format!(
                "this node was still computing auxiliary information after {limit} s; free its processors or raise limits.aux_seconds, then try again: what is finished is kept"
            ),
        ),
        (_, _) => (
            FailureCode::AuxTimeout,
            format!(
                "auxiliary information was not made in {limit} s, and the messages of {names} are missing; see that their processors are free and that limits.aux_seconds is long enough at all members, then try again: what is finished is kept"
            ),
        ),
    };
    Failure::new(code, text)
}

/// The failure of a session whose list lacks a party that one of its phases needs.
pub fn not_a_party() -> Failure {
    Failure::new(
        FailureCode::NotAParty,
        "a node is missing among the parties of a session; report this with the log",
    )
}

fn engine_died() -> Failure {
    Failure::new(
        FailureCode::EngineDied,
        "the thread of the protocol died; report this with the log",
    )
}

/// A party sent faster than its messages could be handled, which an honest one never does.
fn peer_flood(peer: NodeId) -> Failure {
    let text = format!(
        "{peer} sent more than its part of the protocol; examine that node before trying again"
    );
    Failure::new(FailureCode::PeerFlood, text).naming(vec![peer])
}

fn cut_off() -> Failure {
    Failure::new(
        FailureCode::CutOff,
        "the session lost its place at the router; report this with the log",
    )
}

fn called_off() -> Failure {
    Failure::new(
        FailureCode::Cancelled,
        "the task was cancelled or the node is stopping; try again with a new task",
    )
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
