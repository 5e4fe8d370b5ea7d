//! Three honest sessions of one task, whose frames are delivered in any order, twice, altered,
//! or not at all.
//!
//! Input: a list of events. Each begins with a byte for its kind, and one for the
//! recipient or the frame.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_protocol::frame::{Frame, Mark};
use countersign_protocol::session::{Limits, Room, Rooms, Session, SessionIndex, Setup};
use countersign_protocol::{
    Hash, IdentitySigner, NodeId, SessionEvent, SessionId, TaskId, decode, encode,
};
use ed25519_dalek::{Signer, SigningKey};

use super::people;
use crate::input::{Input, piece};

const TASK: TaskId = TaskId([5; 16]);
/// Limit on the events of one input, and on frames in flight.
const EVENTS: usize = 128;
const ON_THEIR_WAY: usize = 256;
const PHASES: u8 = 4;
const ROOM: Room = Room {
    longest: 1 << 15,
    total: 1 << 17,
};

struct Key(SigningKey);

impl IdentitySigner for Key {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

struct Node {
    id: NodeId,
    session: Session,
    begun: Option<SessionId>,
    phase: u8,
    failed: bool,
}

struct World {
    nodes: Vec<Node>,
    now: Instant,
    /// Sender, recipient, and frame.
    wire: VecDeque<(usize, usize, Frame)>,
}

pub(super) fn run(input: &[u8]) -> bool {
    let mut input = Input::new(input);
    let mut world = World::new();
    for _ in 0..EVENTS {
        if input.is_empty() {
            break;
        }
        world.happens(&mut input);
    }
    world.nodes.iter().all(|node| node.begun.is_some())
}

impl World {
    fn new() -> Self {
        let parties = people::nodes();
        // It moves only as the input says.
        let now = Instant::now();
        let node = |(index, key): (usize, &SigningKey)| {
            let setup = Setup {
                task: TASK,
                task_hash: Hash([1; 32]),
                parties: parties.clone(),
                me: parties[index],
                fresh: [index as u8; 32],
                holds: None,
                mark: Mark::default(),
                signer: Arc::new(Key(key.clone())),
                limits: Limits::default(),
                rooms: Rooms::new([ROOM; PHASES as usize]),
            };
            let session = Session::new(now, setup).expect("one of the parties");
            Node {
                id: parties[index],
                session,
                begun: None,
                phase: 0,
                failed: false,
            }
        };
        let nodes = people::keys().iter().enumerate().map(node).collect();
        let mut world = Self {
            nodes,
            now,
            wire: VecDeque::new(),
        };
        world.look();
        world
    }

    fn happens(&mut self, input: &mut Input) {
        let what = input.byte();
        let which = input.byte();
        let node = usize::from(which) % self.nodes.len();
        let now = self.now;
        let runs = self.nodes[node].phase > 0;
        let session = &mut self.nodes[node].session;
        match what % 10 {
            0 => return self.deliver_all(),
            1 | 2 => self.deliver(usize::from(which), what % 10 == 2),
            3 => drop(self.wire.remove(usize::from(which))),
            4 => self.deliver_altered(usize::from(which), input),
            5 => {
                self.now += Duration::from_millis(u64::from(input.byte()) * 50);
                session.handle_timeout(self.now);
            }
            6 => self.begin_phase(node),
            7 if runs => match input.byte() & 1 {
                0 => session.send_broadcast(input.piece().to_vec()),
                _ => session.send_direct(
                    SessionIndex(((node + 1) % 3) as u16),
                    input.piece().to_vec(),
                ),
            },
            8 if runs => match input.byte() & 3 {
                0 => session.finish(),
                // Honest nodes have one result.
                _ => session.stored(now, Hash([4; 32])),
            },
            9 => {
                let lost = self.nodes[(node + 1) % 3].id;
                self.nodes[node].session.handle_peer_lost(now, &lost);
            }
            _ => {}
        }
        self.look();
    }

    /// As an honest node does once the session has begun: each phase once.
    fn begin_phase(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        if node.begun.is_some() && node.phase < PHASES {
            node.session
                .begin_phase(self.now, node.phase, Duration::from_secs(5));
            node.phase += 1;
        }
    }

    fn deliver_all(&mut self) {
        for _ in 0..ON_THEIR_WAY {
            if self.wire.is_empty() {
                break;
            }
            self.deliver(0, false);
            self.look();
        }
    }

    fn deliver(&mut self, at: usize, again: bool) {
        let Some((from, to, frame)) = self.wire.remove(at) else {
            return;
        };
        if again {
            self.wire.push_back((from, to, frame.clone()));
        }
        let from = self.nodes[from].id;
        self.nodes[to].session.handle_frame(self.now, &from, frame);
    }

    /// Flips bits: one byte for the number of changes, each of two bytes for the place and
    /// one for the bits.
    fn deliver_altered(&mut self, at: usize, input: &mut Input) {
        let Some((from, to, frame)) = self.wire.remove(at) else {
            return;
        };
        let mut bytes = encode(&frame);
        for _ in 0..input.byte() & 7 {
            let place = usize::from(u16::from_be_bytes(input.array()));
            let bits = input.byte();
            let length = bytes.len();
            bytes[place % length] ^= bits;
        }
        let from = self.nodes[from].id;
        if let Ok(frame) = decode(&bytes) {
            self.nodes[to].session.handle_frame(self.now, &from, frame);
        }
    }

    /// Invariants that hold at all times, at every node.
    fn look(&mut self) {
        for index in 0..self.nodes.len() {
            while let Some((to, frame)) = self.nodes[index].session.poll_transmit() {
                let to = self
                    .nodes
                    .iter()
                    .position(|node| node.id == to)
                    .expect("one of the parties");
                assert!(to != index && frame.task == TASK, "frames go to the others");
                if self.wire.len() < ON_THEIR_WAY {
                    self.wire.push_back((index, to, frame));
                }
            }
            self.nodes[index].look();
        }
    }
}

impl Node {
    fn look(&mut self) {
        while let Some(event) = self.session.poll_event() {
            assert!(!self.failed, "nothing happens after a failure: {event:?}");
            match event {
                SessionEvent::Begun { session, holds } => {
                    assert!(
                        self.begun.replace(session).is_none(),
                        "a session begins once"
                    );
                    assert_eq!(holds, [None; 3]);
                }
                SessionEvent::Message(message) => assert!(message.from.0 < 3),
                SessionEvent::AllStored(acks) => {
                    assert_eq!(acks.len(), 3);
                    assert!(
                        acks.iter().all(|ack| is_signed(ack.node, &ack.signature)),
                        "acknowledgements are genuine"
                    );
                }
                SessionEvent::Failed(failure) => {
                    assert!(
                        !failure.culprits.contains(&self.id),
                        "a node does not accuse itself"
                    );
                    self.failed = true;
                }
            }
        }
        assert!(
            self.session.evidence().is_none(),
            "nobody signs what convicts him: {:?}",
            self.session.evidence()
        );
        assert!(
            !self.session.waiting_for().contains(&self.id),
            "a node does not wait for itself"
        );
    }
}

fn is_signed(node: NodeId, signature: &[u8]) -> bool {
    signature
        .try_into()
        .is_ok_and(|signature| node.verify(Hash([4; 32]).as_bytes(), signature))
}

/// Frames that honest nodes send, up to the end of a session.
pub(super) fn frames() -> Vec<Frame> {
    let mut world = World::new();
    let mut sent: Vec<Frame> = vec![];
    for step in [&[0, 0][..], &[6, 0], &[6, 1], &[6, 2]]
        .into_iter()
        .chain(spoken().iter().map(Vec::as_slice))
    {
        sent.extend(world.wire.iter().map(|(_, _, frame)| frame.clone()));
        world.happens(&mut Input::new(step));
        sent.extend(world.wire.iter().map(|(_, _, frame)| frame.clone()));
        world.deliver_all();
    }
    sent.dedup();
    sent
}

/// Everybody broadcasts, one party sends a direct message, and all have stored.
fn spoken() -> Vec<Vec<u8>> {
    let to_all = |node: u8| [&[7, node, 0][..], &piece(b"to all")].concat();
    let to_one = [&[7, 0, 1][..], &piece(b"to one")].concat();
    let stored = |node: u8| vec![8, node, 1];
    vec![
        to_all(0),
        to_all(1),
        to_all(2),
        to_one,
        stored(0),
        stored(1),
        stored(2),
    ]
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let begin: Vec<u8> = vec![0, 0, 6, 0, 6, 1, 6, 2];
    let spoken = spoken();
    let whole: Vec<u8> = spoken
        .iter()
        .flat_map(|step| [step.as_slice(), &[0, 0]].concat())
        .collect();
    let altered = |at: u8| {
        let change = [4, 0, 1, 0, at, 1];
        [
            &begin[..],
            &spoken[0],
            &change,
            &[0, 0],
            &spoken[1],
            &change,
            &[0, 0],
        ]
        .concat()
    };
    let mut seeds = vec![
        begin.clone(),
        [&begin[..], &whole].concat(),
        [&[2, 0, 2, 1, 1, 3][..], &begin, &whole].concat(),
        [&begin[..], &[5, 0, 255, 5, 0, 255]].concat(),
        [&begin[..], &spoken[0], &[3, 0, 9, 1, 5, 1, 60]].concat(),
        vec![4, 0, 1, 0, 20, 1, 0, 0],
    ];
    seeds.extend([18, 50, 55, 60, 90, 120].map(altered));
    seeds
}
