//! A run among parties that the test plays: its progress, its culprits and its log.

use std::collections::BTreeMap;
use std::sync::Mutex;

use countersign_engine::{CallerFault, Outgoing, PeerFault, Step};
use countersign_link::mesh::MeshConfig;
use countersign_link::{Identity, Mesh, MeshEvent};
use countersign_protocol::evidence::{Echoed, Signature};
use countersign_protocol::frame::{
    Abort, Body, Frame, Mark, Message, body_hash, broadcast_digest, echo_digest,
};
use countersign_protocol::session::{Limits, Room, Rooms};
use countersign_protocol::{IdentitySigner, TaskId, UnixMillis};
use futures_util::FutureExt;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::super::news::PeerNews;
use super::*;
use crate::node_key::NodeKey;

const TASK: TaskId = TaskId([5; 16]);
const TASK_HASH: Hash = Hash([1; 32]);
const DIGEST: Hash = Hash([6; 32]);
const ROOM: Room = Room {
    longest: 1000,
    total: 4000,
};
/// Never used up: the tests either end long before it, or fail.
const LONG: Duration = Duration::from_secs(60);
const RUNNING: (u8, Stage) = (0, Stage::Running);

/// A report of progress.
type Told = (Stage, Vec<NodeId>, Option<Pace>);

/// The first party is the run under test.
struct Table {
    run: Run,
    router: Arc<Router>,
    nodes: Vec<NodeId>,
    keys: Vec<NodeKey>,
    /// One for each party. That of the first speaks in place of the run, whose frames go nowhere:
    /// it has the same inputs, so it says the same.
    sessions: Vec<Session>,
    /// The number of frames from each party to the run.
    sent: Vec<u32>,
    told: Arc<Mutex<Vec<Told>>>,
    cancelled: CancellationToken,
}

fn keys(parties: u8) -> Vec<NodeKey> {
    let key = |seed| Identity::from_seed(&[seed; 32]).unwrap();
    let mut keys: Vec<NodeKey> = (1..=parties)
        .map(|seed| NodeKey::new(Arc::new(key(seed))).unwrap())
        .collect();
    keys.sort_by_key(NodeKey::id);
    keys
}

fn limits(ready: Duration, storing: Duration) -> Limits {
    Limits { ready, storing }
}

fn setup(keys: &[NodeKey], me: usize, limits: Limits) -> Setup {
    Setup {
        task: TASK,
        task_hash: TASK_HASH,
        parties: keys.iter().map(NodeKey::id).collect(),
        me: keys[me].id(),
        fresh: [me as u8; 32],
        holds: None,
        mark: Mark {
            at: UnixMillis(5),
            secrets: me as u64,
            audit: 7,
        },
        signer: Arc::new(keys[me].clone()),
        limits,
        rooms: Rooms::new([ROOM; 2]),
    }
}

fn router(keys: &[NodeKey]) -> Arc<Router> {
    let identity = keys[0].identity().clone();
    Router::new(
        Mesh::new(identity, MeshConfig::default()).0,
        BTreeMap::new(),
    )
}

fn peer_key(node: &NodeId) -> PeerKey {
    PeerKey(*node.as_bytes())
}

impl Table {
    fn new(parties: u8) -> Self {
        Self::with_limits(parties, limits(LONG, LONG))
    }

    fn with_limits(parties: u8, limits: Limits) -> Self {
        let keys = keys(parties);
        let nodes: Vec<NodeId> = keys.iter().map(NodeKey::id).collect();
        let router = router(&keys);
        let session = |party| Session::new(Instant::now(), setup(&keys, party, limits)).unwrap();
        let told = Arc::<Mutex<Vec<Told>>>::default();
        let log = told.clone();
        let cancelled = CancellationToken::new();
        let run = Run {
            session: session(0),
            me: nodes[0],
            parties: nodes.clone(),
            router: router.clone(),
            inbox: router.open(TASK, &nodes, Rooms::new([ROOM; 2])).unwrap(),
            progress: Box::new(move |stage, waiting_for, pace| {
                log.lock().unwrap().push((stage, waiting_for, pace));
            }),
            cancelled: cancelled.clone(),
            stalled: nodes[1..].iter().copied().collect(),
            may_have_signed: false,
            place: None,
        };
        Self {
            run,
            router,
            sessions: (0..keys.len()).map(session).collect(),
            sent: vec![0; keys.len()],
            nodes,
            keys,
            told,
            cancelled,
        }
    }

    /// A table at which all have met.
    async fn met(parties: u8) -> (Self, SessionId) {
        Self::met_with(parties, limits(LONG, LONG)).await
    }

    async fn met_with(parties: u8, limits: Limits) -> (Self, SessionId) {
        let mut table = Self::with_limits(parties, limits);
        table.talk().await;
        let (session, _) = table.run.meet().await.unwrap();
        for party in &mut table.sessions {
            assert!(matches!(
                party.poll_event(),
                Some(SessionEvent::Begun { .. })
            ));
            party.begin_phase(Instant::now(), 0, LONG);
        }
        (table, session)
    }

    /// Delivers what the parties have to say, to each other and to the run.
    async fn talk(&mut self) {
        let mut said = Vec::new();
        let mut quiet = false;
        while !quiet {
            quiet = true;
            for from in 0..self.nodes.len() {
                while let Some((to, frame)) = self.sessions[from].poll_transmit() {
                    quiet = false;
                    let to = self.nodes.iter().position(|node| *node == to).unwrap();
                    if to == 0 {
                        self.sent[from] += 1;
                        said.push((from, frame.clone()));
                    }
                    let from = self.nodes[from];
                    self.sessions[to].handle_frame(Instant::now(), &from, frame);
                }
            }
        }
        self.hand(said).await;
    }

    /// Sends the run bodies of this party that its session would not send.
    async fn craft(&mut self, from: usize, bodies: Vec<Body>) {
        let mut said = Vec::new();
        for body in bodies {
            let seq = self.sent[from];
            let task = TASK;
            said.push((from, Frame { task, seq, body }));
            self.sent[from] += 1;
        }
        self.hand(said).await;
    }

    async fn hand(&self, said: Vec<(usize, Frame)>) {
        let (events, receiver) = mpsc::channel(said.len().max(1));
        for (from, frame) in said {
            let event = MeshEvent::Frame(peer_key(&self.nodes[from]), encode(&frame));
            events.try_send(event).unwrap();
        }
        drop(events);
        self.router.run(receiver).await;
    }

    /// Makes the run handle all that has arrived, outside of a step.
    fn absorb_all(&mut self) {
        while let Some(arrival) = self.run.inbox.next().now_or_never() {
            self.run.absorb(Wake::<()>::Arrived(arrival)).unwrap();
        }
    }

    async fn hear_in(&mut self, phase: u8, limit: Duration) -> Result<Heard, Failure> {
        let pool = CpuPool::default();
        self.run
            .phase((phase, Stage::Running), limit, pool, || {
                Ok(Box::new(Hears(None)))
            })
            .await
    }

    /// Runs a phase whose worker ends in this way.
    async fn fail_with(&mut self, participants: &Participants, error: WorkError) -> Failure {
        let pool = CpuPool::default();
        let build = || Err(error);
        self.run
            .phase_of::<Heard, _>(participants, RUNNING, LONG, pool, build)
            .await
            .unwrap_err()
    }

    fn everybody(&self) -> Participants {
        Participants::of(&self.nodes, |_| true)
    }

    /// All but the party at this place.
    fn without(&self, party: usize) -> Participants {
        Participants::of(&self.nodes, |node| *node != self.nodes[party])
    }

    /// The last words of the run for the others.
    fn farewell(&mut self) -> Option<Abort> {
        std::iter::from_fn(|| self.run.session.poll_transmit()).find_map(|(_, frame)| {
            match frame.body {
                Body::Abort(abort) => Some(abort),
                _ => None,
            }
        })
    }

    fn last_told(&self) -> Told {
        self.told.lock().unwrap().last().unwrap().clone()
    }
}

type Heard = (PartyIndex, MessageKind, Vec<u8>);

/// Is done with the first message, which is its result.
struct Hears(Option<Heard>);

impl Engine for Hears {
    type Output = Heard;

    fn step(&mut self) -> Result<Step<Heard>, EngineError> {
        Ok(self.0.take().map_or(Step::NeedMessage, Step::Done))
    }

    fn receive(
        &mut self,
        from: PartyIndex,
        kind: MessageKind,
        body: &[u8],
    ) -> Result<(), EngineError> {
        self.0 = Some((from, kind, body.to_vec()));
        Ok(())
    }
}

/// Sends one message, then never ends.
struct Sends(Option<Recipient>);

impl Engine for Sends {
    type Output = Heard;

    fn step(&mut self) -> Result<Step<Heard>, EngineError> {
        let send = |to| {
            Step::Send(Outgoing {
                to,
                body: Zeroizing::new(vec![1]),
            })
        };
        Ok(self.0.take().map_or(Step::NeedMessage, send))
    }

    fn receive(&mut self, _: PartyIndex, _: MessageKind, _: &[u8]) -> Result<(), EngineError> {
        Ok(())
    }
}

fn direct(session: SessionId, phase: u8, length: usize) -> Body {
    let message = Message::Direct {
        phase,
        body: vec![0; length],
    };
    Body::Run { session, message }
}

fn code<T>(ended: Result<T, Failure>) -> String {
    ended.err().expect("it fails").code.as_str().into()
}

/// Asserts that a failure names these nodes, under this code.
#[track_caller]
fn assert_names(failure: &Failure, code: FailureCode, culprits: &[NodeId]) {
    assert_eq!(
        (&failure.code, &failure.culprits[..]),
        (&code, culprits),
        "{failure:?}"
    );
}

#[test]
fn of_two_parties_the_other_one_did_what_the_engine_blames_on_nobody() {
    let [me, other, third] = [0, 1, 2].map(|party| keys(3)[party].id());
    assert_eq!(other_of_two(&[me, other], me), Some(other));
    assert_eq!(other_of_two(&[other, me], me), Some(other));
    for participant in [&[me][..], &[other, third], &[me, other, third]] {
        assert_eq!(other_of_two(participant, me), None);
    }
    assert_eq!(blamed(Cause::Peer, vec![], Some(other)), [other]);
    assert_eq!(
        blamed(Cause::Peer, vec![third], Some(other)),
        [third],
        "the engine knows better"
    );
    assert_eq!(
        blamed(Cause::Peer, vec![], None),
        [],
        "among more nobody is named"
    );
    for cause in [Cause::Caller, Cause::Environment, Cause::Bug] {
        assert_eq!(blamed(cause, vec![], Some(other)), [], "{cause:?}");
    }
}

#[test]
fn the_participants_of_a_phase_are_counted_in_the_order_of_the_session() {
    let table = Table::new(4);
    let three = table.without(1);
    assert_eq!(three.count(), 3);
    let index = |position| three.index(SessionIndex(position)).map(|index| index.0);
    assert_eq!(
        [0, 1, 2, 3, 4].map(index),
        [Some(0), None, Some(1), Some(2), None]
    );
    let position = |index| three.position(PartyIndex(index)).map(|position| position.0);
    assert_eq!(
        [0, 1, 2, 3].map(position),
        [Some(0), Some(2), Some(3), None]
    );
}

#[test]
fn the_pace_is_in_percent_of_the_steps_and_never_above_a_hundred() {
    let percent = |steps, done| {
        let long = LongPhase {
            stage: Stage::AuxInfo,
            began: Instant::now(),
            limit: LONG,
            steps,
        };
        long.pace(done).percent
    };
    assert_eq!(
        [percent(8, 0), percent(8, 4), percent(8, 8), percent(8, 9)],
        [Some(0), Some(50), Some(100), Some(100)]
    );
    assert_eq!(percent(0, 3), None, "a party that only waits has no pace");
}

#[tokio::test]
async fn a_run_without_a_tunnel_does_not_begin_and_names_who_is_missing() {
    let keys = keys(2);
    let router = router(&keys);
    let other = keys[1].id();
    let inbox = router.open(TASK, &[keys[0].id(), other], Rooms::default());
    let told = Arc::<Mutex<Vec<Told>>>::default();
    let log = told.clone();
    let begun = Run::begin(
        setup(&keys, 0, limits(Duration::ZERO, LONG)),
        router,
        inbox.unwrap(),
        Box::new(move |stage, waiting, pace| log.lock().unwrap().push((stage, waiting, pace))),
        CancellationToken::new(),
    );
    let failure = begun.await.err().unwrap();
    assert_names(&failure, FailureCode::SessionTimeout, &[other]);
    assert!(
        failure.text.starts_with("no tunnel to "),
        "{}",
        failure.text
    );
    assert_eq!(*told.lock().unwrap(), [(Stage::Ready, vec![other], None)]);
}

#[tokio::test]
async fn a_run_that_was_called_off_before_it_began_waits_for_no_tunnel() {
    let keys = keys(2);
    let router = router(&keys);
    let inbox = router.open(TASK, &[], Rooms::default()).unwrap();
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    let setup = setup(&keys, 0, limits(LONG, LONG));
    let begun = Run::begin(setup, router, inbox, Box::new(|_, _, _| {}), cancelled);
    assert_eq!(code(begun.await), "cancelled");
}

#[tokio::test]
async fn a_node_that_is_not_among_the_parties_runs_nothing() {
    let keys = keys(1);
    let router = router(&keys);
    let inbox = router.open(TASK, &[], Rooms::default()).unwrap();
    let setup = Setup {
        parties: Vec::new(),
        ..setup(&keys, 0, limits(LONG, LONG))
    };
    let stop = CancellationToken::new();
    let begun = Run::begin(setup, router, inbox, Box::new(|_, _, _| {}), stop);
    assert_eq!(code(begun.await), "not-a-party");
}

#[tokio::test]
async fn the_marks_that_parties_show_when_they_meet_are_passed_on() {
    let (table, _) = Table::met(3).await;
    let mut shown = Vec::new();
    while let Some((peer, PeerNews::Marked(mark))) = table.router.news().next().now_or_never() {
        shown.push((peer, mark.mark.secrets));
    }
    assert_eq!(shown, [(table.nodes[1], 1), (table.nodes[2], 2)]);
}

#[tokio::test]
async fn who_does_not_come_to_the_meeting_is_named() {
    let mut table = Table::with_limits(3, limits(Duration::ZERO, LONG));
    let failure = table.run.meet().await.unwrap_err();
    assert_names(&failure, FailureCode::SessionTimeout, &table.nodes[1..]);
    assert!(!failure.is_proof_of_cheating());
    let (stage, waiting_for, _) = table.last_told();
    assert_eq!((stage, &waiting_for[..]), (Stage::Ready, &table.nodes[1..]));
}

#[tokio::test]
async fn an_event_out_of_turn_ends_the_run() {
    let mut table = Table::new(2);
    table.talk().await;
    assert_eq!(code(table.run.store(DIGEST).await), "event-out-of-turn");
    assert!(table.farewell().is_some());
}

#[tokio::test]
async fn a_message_reaches_the_engine_with_its_senders_place_in_the_phase() {
    let (mut table, _) = Table::met(3).await;
    let participants = table.without(1);
    table.sessions[2].send_direct(SessionIndex(0), b"direct".to_vec());
    table.talk().await;
    let pool = CpuPool::default();
    let build = || Ok(Box::new(Hears(None)) as Box<dyn Engine<Output = Heard>>);
    let phase = table
        .run
        .phase_of(&participants, RUNNING, LONG, pool, build);
    let heard = phase.await.unwrap();
    let expected = (PartyIndex(1), MessageKind::Direct, b"direct".to_vec());
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn a_broadcast_reaches_the_engine_as_one() {
    let (mut table, _) = Table::met(3).await;
    table.sessions[1].send_broadcast(b"all".to_vec());
    table.talk().await;
    let heard = table.hear_in(0, LONG).await.unwrap();
    let expected = (PartyIndex(1), MessageKind::Broadcast, b"all".to_vec());
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn a_party_that_takes_no_part_in_a_phase_must_not_speak_in_it() {
    let (mut table, _) = Table::met(3).await;
    let participants = table.without(1);
    table.sessions[1].send_direct(SessionIndex(0), b"direct".to_vec());
    table.talk().await;
    let pool = CpuPool::default();
    let build = || Ok(Box::new(Hears(None)) as Box<dyn Engine<Output = Heard>>);
    let phase = table
        .run
        .phase_of(&participants, RUNNING, LONG, pool, build);
    let failure = phase.await.unwrap_err();
    assert_names(&failure, FailureCode::PeerFlood, &table.nodes[1..2]);
    assert_eq!(table.farewell().unwrap().accused, table.nodes[1..2]);
}

#[tokio::test]
async fn a_message_for_a_later_phase_waits_for_it() {
    let (mut table, _) = Table::met(2).await;
    table.sessions[1].begin_phase(Instant::now(), 1, LONG);
    table.sessions[1].send_direct(SessionIndex(0), b"later".to_vec());
    table.talk().await;
    table.absorb_all();
    let pool = CpuPool::default();
    let build = || Ok(Box::new(super::super::worker::Immediate::new(7)) as _);
    assert_eq!(table.run.phase(RUNNING, LONG, pool, build).await, Ok(7));
    assert_eq!(table.hear_in(1, LONG).await.unwrap().2, b"later");
}

#[tokio::test]
async fn what_an_ended_phase_did_not_hear_is_not_given_to_the_next() {
    let (mut table, _) = Table::met(2).await;
    table.sessions[1].send_direct(SessionIndex(0), b"too late".to_vec());
    table.sessions[1].begin_phase(Instant::now(), 1, LONG);
    table.sessions[1].send_direct(SessionIndex(0), b"next".to_vec());
    table.talk().await;
    table.run.session.begin_phase(Instant::now(), 0, LONG);
    table.absorb_all();
    assert_eq!(table.hear_in(1, LONG).await.unwrap().2, b"next");
}

#[tokio::test]
async fn who_is_silent_from_the_start_is_named_and_does_not_count_as_a_cheat() {
    let (mut table, _) = Table::met(3).await;
    let failure = table.hear_in(0, Duration::ZERO).await.unwrap_err();
    assert_names(&failure, FailureCode::SessionTimeout, &table.nodes[1..]);
    assert!(!failure.is_proof_of_cheating() && table.run.evidence().is_none());
    let (stage, waiting_for, _) = table.last_told();
    assert_eq!(
        (stage, &waiting_for[..]),
        (Stage::Running, &table.nodes[1..])
    );
}

/// A party that has begun may be waiting for what a third one withholds.
#[tokio::test]
async fn among_more_than_two_who_is_silent_later_is_waited_for_but_not_named() {
    let (mut table, _) = Table::met(3).await;
    table.sessions[2].send_direct(SessionIndex(0), b"first".to_vec());
    table.talk().await;
    table.hear_in(0, LONG).await.unwrap();
    let failure = table.hear_in(1, Duration::ZERO).await.unwrap_err();
    assert_names(&failure, FailureCode::SessionTimeout, &[]);
    for silent in &table.nodes[1..] {
        assert!(failure.text.contains(&silent.to_string()), "{failure:?}");
    }
}

#[tokio::test]
async fn a_task_that_is_cancelled_ends_its_engine_and_the_others_are_told() {
    let (mut table, _) = Table::met(2).await;
    table.cancelled.cancel();
    assert_eq!(code(table.hear_in(0, LONG).await), "cancelled");
    let farewell = table.farewell().unwrap();
    assert_eq!(farewell.code, FailureCode::Cancelled);
    assert!(farewell.accused.is_empty());
}

#[tokio::test]
async fn a_party_that_floods_is_named_to_the_others_but_nothing_is_proven() {
    let (mut table, session) = Table::met(2).await;
    table.craft(1, vec![direct(session, 0, 1); 300]).await;
    let failure = table.hear_in(0, LONG).await.unwrap_err();
    assert_names(&failure, FailureCode::PeerFlood, &table.nodes[1..]);
    assert!(!failure.is_proof_of_cheating() && table.run.evidence().is_none());
    assert_eq!(table.farewell().unwrap().accused, table.nodes[1..]);
}

#[tokio::test]
async fn a_message_of_another_session_convicts_its_sender() {
    let (mut table, _) = Table::met(2).await;
    table.craft(1, vec![direct(SessionId([9; 32]), 0, 1)]).await;
    let failure = table.hear_in(0, LONG).await.unwrap_err();
    assert_names(&failure, FailureCode::PeerMisbehaved, &table.nodes[1..]);
    assert!(failure.is_proof_of_cheating());
}

#[tokio::test]
async fn a_message_that_is_too_long_or_of_an_unknown_phase_convicts_its_sender() {
    for (phase, length) in [(0, ROOM.longest + 1), (2, 1)] {
        let (mut table, session) = Table::met(2).await;
        table.craft(1, vec![direct(session, phase, length)]).await;
        let failure = table.hear_in(0, LONG).await.unwrap_err();
        assert_names(&failure, FailureCode::PeerMisbehaved, &table.nodes[1..]);
    }
}

/// A frame that the tunnel lost is nobody's doing.
#[tokio::test]
async fn a_gap_in_the_frames_of_a_party_ends_the_run_without_a_verdict() {
    let (mut table, session) = Table::met(2).await;
    table.sent[1] += 1;
    table.craft(1, vec![direct(session, 0, 1)]).await;
    let failure = table.hear_in(0, LONG).await.unwrap_err();
    assert_names(&failure, FailureCode::FramesLost, &table.nodes[1..]);
    assert!(!failure.is_proof_of_cheating());
}

#[tokio::test]
async fn who_tells_two_parties_two_things_is_convicted_with_proof_for_everybody() {
    let (mut table, session) = Table::met(3).await;
    let [cheat, witness] = [1, 2].map(|party| table.keys[party].clone());
    let signed = |body: &[u8]| {
        let hash = body_hash(body);
        let digest = broadcast_digest(TASK_HASH, session, &cheat.id(), 0, 0, hash);
        cheat.sign(digest.as_bytes())
    };
    let echo = Echoed {
        of: cheat.id(),
        phase: 0,
        number: 0,
        body: body_hash(b"two"),
        claimed: Signature(signed(b"two")),
        signature: Signature([0; 64]),
    };
    let digest = echo_digest(TASK_HASH, session, &witness.id(), &echo);
    let said = Message::Broadcast {
        phase: 0,
        number: 0,
        body: b"one".to_vec(),
        signature: signed(b"one"),
    };
    let passed_on = Message::Echo {
        phase: 0,
        sender: 1,
        number: 0,
        body: echo.body,
        signature: echo.claimed.0,
        by: witness.sign(digest.as_bytes()),
    };
    for (from, message) in [(1, said), (2, passed_on)] {
        table
            .craft(from, vec![Body::Run { session, message }])
            .await;
    }
    let failure = table.hear_in(0, LONG).await.unwrap_err();
    assert_names(&failure, FailureCode::Equivocation, &[cheat.id()]);
    assert!(failure.is_proof_of_cheating());
    let proof = table.run.evidence().unwrap();
    assert!(proof.node == cheat.id() && proof.verify(TASK_HASH, &table.nodes));
}

#[tokio::test]
async fn a_party_that_gives_up_ends_the_run_and_convicts_nobody() {
    let (mut table, _) = Table::met(2).await;
    let why = Failure::new(FailureCode::PeerMisbehaved, "t").naming(table.nodes[..1].to_vec());
    table.sessions[1].abort(why);
    table.talk().await;
    let failure = table.hear_in(0, LONG).await.unwrap_err();
    assert_names(&failure, FailureCode::PeerAborted, &[]);
    assert!(!failure.is_proof_of_cheating() && table.run.evidence().is_none());
}

#[tokio::test]
async fn while_somebody_is_accused_nothing_is_stored_and_no_phase_begins() {
    let (mut table, _) = Table::met(3).await;
    assert_eq!(table.run.still_on(), Ok(()));
    let why = Failure::new(FailureCode::PeerMisbehaved, "t").naming(table.nodes[2..].to_vec());
    table.sessions[1].abort(why);
    table.talk().await;
    table.absorb_all();
    assert_eq!(code(table.run.still_on()), "peer-aborted");
    assert_eq!(code(table.hear_in(0, LONG).await), "peer-aborted");
}

/// The messages that the engine has sent may suffice for a signature.
#[tokio::test]
async fn a_share_counts_as_used_once_an_engine_was_started_whatever_becomes_of_it() {
    let (mut table, _) = Table::met(2).await;
    assert!(!table.run.may_have_signed());
    assert!(table.hear_in(0, Duration::ZERO).await.is_err());
    assert!(table.run.may_have_signed());
}

#[tokio::test]
async fn an_engine_that_addresses_nobody_of_its_phase_ends_the_run() {
    let (mut table, _) = Table::met(3).await;
    let participants = table.without(1);
    let pool = CpuPool::default();
    let build = || Ok(Box::new(Sends(Some(Recipient::One(PartyIndex(2))))) as _);
    let ended: Result<Heard, _> = table
        .run
        .phase_of(&participants, RUNNING, LONG, pool, build)
        .await;
    assert_eq!(code(ended), "not-a-party");
}

#[tokio::test]
async fn the_fault_of_a_party_is_that_of_the_node_behind_the_engines_number() {
    let (mut table, _) = Table::met(4).await;
    let participants = table.without(1);
    let fault = Fault {
        cause: Cause::Peer,
        text: "two messages for one round".into(),
        culprits: vec![PartyIndex(1), PartyIndex(3)],
    };
    let error = WorkError::Protocol(fault);
    let failure = table.fail_with(&participants, error).await;
    assert_names(&failure, FailureCode::Protocol, &table.nodes[2..3]);
    assert!(failure.is_proof_of_cheating());
    assert_eq!(table.farewell().unwrap().accused, table.nodes[2..3]);
}

#[tokio::test]
async fn a_fault_that_no_engine_can_attribute_is_the_other_ones_of_two_in_the_phase() {
    let (mut table, _) = Table::met(3).await;
    let unnamed = || {
        WorkError::Engine(EngineError::Peer {
            fault: PeerFault::Malformed,
            culprits: Vec::new(),
        })
    };
    let among_all = table.run.engine_failure(&table.everybody(), &unnamed());
    assert_names(&among_all, FailureCode::Protocol, &[]);
    let pair = table.without(1);
    let failure = table.fail_with(&pair, unnamed()).await;
    assert_names(&failure, FailureCode::Protocol, &table.nodes[2..]);
}

#[test]
fn a_failure_of_this_node_itself_does_not_convict_others() {
    let table = Table::new(2);
    let environment = Fault {
        cause: Cause::Environment,
        text: "no memory".into(),
        culprits: Vec::new(),
    };
    let stray = CallerFault::NotInSession(PartyIndex(9));
    for (error, code) in [
        (WorkError::Secrets("damaged".into()), FailureCode::Secrets),
        (WorkError::Process("ended".into()), FailureCode::AuxProcess),
        (WorkError::Stopped, FailureCode::EngineDied),
        (WorkError::Protocol(environment), FailureCode::Protocol),
        (WorkError::Engine(stray.into()), FailureCode::Protocol),
        (
            WorkError::Engine(EngineError::Bug("b".into())),
            FailureCode::Protocol,
        ),
    ] {
        let failure = table.run.engine_failure(&table.everybody(), &error);
        assert_names(&failure, code, &[]);
        assert!(!failure.is_proof_of_cheating(), "{failure:?}");
    }
}

#[tokio::test]
async fn an_engine_whose_thread_died_ends_the_run() {
    let (mut table, _) = Table::met(2).await;
    let (worker, post) = Worker::<u8>::pair();
    drop(post);
    let everybody = table.everybody();
    let phase = table.run.long_phase(&everybody, RUNNING, LONG, 0, worker);
    assert_eq!(code(phase.await), "engine-died");
    assert!(table.farewell().unwrap().accused.is_empty());
}

/// The primes of a slow machine take as long as they take.
#[tokio::test]
async fn a_long_phase_that_is_over_is_nobodys_fault() {
    let (mut table, _) = Table::met(3).await;
    let (worker, post) = Worker::<u8>::pair();
    (0..2).for_each(|_| post.pulse.step());
    let everybody = table.everybody();
    let phase = (0, Stage::AuxInfo);
    let ended = table
        .run
        .long_phase(&everybody, phase, Duration::ZERO, 8, worker);
    let failure = ended.await.unwrap_err();
    assert_names(&failure, FailureCode::AuxTimeout, &[]);
    let (stage, waiting_for, pace) = table.last_told();
    assert_eq!((stage, &waiting_for[..]), (phase.1, &table.nodes[1..]));
    assert_eq!(pace.and_then(|pace| pace.percent), Some(25));
}

#[tokio::test]
async fn a_node_that_still_computes_when_a_long_phase_is_over_says_so() {
    let (mut table, _) = Table::met(2).await;
    let (worker, post) = Worker::<u8>::pair();
    post.pulse.set_computing(true);
    let everybody = table.everybody();
    let phase = (0, Stage::AuxInfo);
    let ended = table
        .run
        .long_phase(&everybody, phase, Duration::ZERO, 8, worker);
    let text = ended.await.unwrap_err().text;
    assert!(text.starts_with("this node was still computing"), "{text}");
    assert_eq!(table.last_told().1, [], "the others wait for this node");
}

#[test]
fn a_task_that_did_not_get_its_turn_in_time_is_ordered_again() {
    let waits = |stage| LongPhase {
        stage,
        began: Instant::now(),
        limit: LONG,
        steps: 0,
    };
    let other = keys(2)[1].id();
    let queued = took_too_long(waits(Stage::Queued), &[other]);
    assert_names(&queued, FailureCode::QueueTimeout, &[]);
    assert!(queued.text.contains(&other.to_string()) && queued.text.contains("order it again"));
    let made = took_too_long(waits(Stage::AuxInfo), &[other]);
    assert_names(&made, FailureCode::AuxTimeout, &[]);
    assert!(made.text.contains(&other.to_string()) && made.text.contains("limits.aux_seconds"));
}

#[tokio::test]
async fn a_frame_that_cannot_be_sent_stops_all_others_to_that_peer_and_shortens_the_wait() {
    let mut table = Table::new(2);
    table.run.stalled.clear();
    table.run.transmit().await;
    assert!(table.run.stalled.contains(&table.nodes[1]));
    let due = table.run.session.poll_timeout().unwrap();
    assert!(due < Instant::now() + LONG / 2);
    assert!(
        !table.run.session.is_late(due),
        "a broken tunnel is not lateness"
    );
}

#[tokio::test]
async fn what_had_arrived_before_a_tunnel_broke_is_still_used() {
    let (mut table, _) = Table::met(2).await;
    table.sessions[1].send_direct(SessionIndex(0), b"last".to_vec());
    table.talk().await;
    let peer = table.nodes[1];
    let lost = Wake::<()>::Arrived(Some(Arrival::Lost(peer)));
    assert_eq!(table.run.absorb(lost), Ok(()));
    assert_eq!(table.hear_in(0, LONG).await.unwrap().2, b"last");
}

#[tokio::test]
async fn the_acknowledgements_of_all_parties_are_returned_in_their_order() {
    let (mut table, _) = Table::met(3).await;
    for party in &mut table.sessions[1..] {
        party.stored(Instant::now(), DIGEST);
    }
    table.talk().await;
    let acks = table.run.store(DIGEST).await.unwrap();
    let nodes: Vec<NodeId> = acks.iter().map(|ack| ack.node).collect();
    assert_eq!(nodes, table.nodes);
    for ack in acks {
        let signature = ack.signature.try_into().unwrap();
        assert!(ack.node.verify(DIGEST.as_bytes(), &signature));
    }
}

#[tokio::test]
async fn who_stored_another_result_is_named_and_nothing_is_acknowledged() {
    let (mut table, _) = Table::met(2).await;
    table.sessions[1].stored(Instant::now(), Hash([7; 32]));
    table.talk().await;
    let failure = table.run.store(DIGEST).await.unwrap_err();
    assert_names(&failure, FailureCode::ResultMismatch, &table.nodes[1..]);
    assert!(failure.is_proof_of_cheating());
}

#[tokio::test]
async fn a_missing_acknowledgement_is_waited_for_until_the_stage_is_over() {
    let (mut table, _) = Table::met_with(3, limits(LONG, Duration::ZERO)).await;
    table.sessions[1].stored(Instant::now(), DIGEST);
    table.talk().await;
    table.absorb_all();
    let began = Instant::now();
    table.run.session.begin_phase(began, 1, Duration::ZERO);
    let failure = table.run.store(DIGEST).await.unwrap_err();
    assert_names(&failure, FailureCode::SessionTimeout, &[]);
    let (stage, waiting_for, _) = table.last_told();
    assert_eq!(
        (stage, &waiting_for[..]),
        (Stage::Storing, &table.nodes[2..])
    );
}

#[test]
fn every_failure_of_a_run_says_what_to_do() {
    let node = keys(1)[0].id();
    let no_threads = std::io::Error::other("too many");
    for (failure, advice) in [
        (no_tunnel(vec![node]), "try again"),
        (no_thread(&no_threads), "try again"),
        (not_a_party(), "report this with the log"),
        (engine_died(), "report this with the log"),
        (peer_flood(node), "before trying again"),
        (cut_off(), "report this with the log"),
        (called_off(), "try again with a new task"),
    ] {
        assert!(failure.text.ends_with(advice), "{}", failure.text);
    }
}

#[test]
fn the_advice_for_a_failed_protocol_depends_on_who_has_to_act() {
    let table = Table::new(2);
    let text = |cause| {
        let fault = Fault {
            cause,
            text: "it broke".into(),
            culprits: Vec::new(),
        };
        let failure = table.run.protocol_failed(&table.everybody(), &fault);
        failure.text
    };
    let begins = "the protocol failed: it broke";
    assert_eq!(text(Cause::Bug), begins, "engines advise themselves");
    for (cause, advice) in [
        (Cause::Caller, "correct this"),
        (Cause::Peer, "examine the named nodes"),
        (Cause::Environment, "then try again"),
    ] {
        let expected = format!("{begins}; {advice}");
        assert!(text(cause).starts_with(&expected), "{}", text(cause));
    }
}
