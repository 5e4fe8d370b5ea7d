//! Sessions among simulated parties: one thread, one clock, every frame in our hands.
#![expect(clippy::disallowed_methods, reason = "the tests own the clock")]

use ed25519_dalek::{Signer, SigningKey};

use super::*;
use crate::code::FailureCode;
use crate::evidence::Echoed;
use crate::frame::{body_hash, broadcast_digest, echo_digest};
use crate::outcome::Cause;
use crate::task::UnixMillis;

/// The room of every phase except the last possible one.
const ROOM: Room = Room {
    longest: 2_000,
    total: 20_000,
};
const TASK: TaskId = TaskId([5; 16]);

struct Key(SigningKey);
impl IdentitySigner for Key {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

struct World {
    now: Instant,
    nodes: Vec<NodeId>,
    keys: Vec<Arc<Key>>,
    sessions: Vec<Session>,
    /// Frames in transit: from, to, frame.
    wire: VecDeque<(NodeId, NodeId, Frame)>,
}

impl World {
    fn new(n: u8) -> Self {
        Self::with_views(&vec![Hash([1; 32]); n.into()])
    }

    fn with_views(views: &[Hash]) -> Self {
        let mut keys: Vec<Arc<Key>> = (0..views.len())
            .map(|i| Arc::new(Key(SigningKey::from_bytes(&[i as u8 + 1; 32]))))
            .collect();
        let id = |key: &Arc<Key>| NodeId::from_bytes(key.0.verifying_key().to_bytes()).unwrap();
        keys.sort_by_key(id);
        let nodes: Vec<NodeId> = keys.iter().map(id).collect();
        let now = Instant::now();
        let session = |i: usize| {
            let setup = Setup {
                task: TASK,
                task_hash: views[i],
                parties: nodes.clone(),
                me: nodes[i],
                fresh: [i as u8; 32],
                holds: (i == 0).then_some(Hash([9; 32])),
                mark: Mark {
                    at: UnixMillis(5),
                    secrets: i as u64,
                    audit: 7,
                },
                signer: keys[i].clone(),
                limits: Limits::default(),
                rooms: Rooms::new([ROOM; MAX_PHASES as usize - 1]),
            };
            Session::new(now, setup).unwrap()
        };
        let sessions = (0..views.len()).map(session).collect();
        Self {
            now,
            nodes,
            keys,
            sessions,
            wire: VecDeque::new(),
        }
    }

    /// Moves the sessions' outgoing frames onto the wire.
    fn collect(&mut self) {
        for (i, session) in self.sessions.iter_mut().enumerate() {
            while let Some((to, frame)) = session.poll_transmit() {
                self.wire.push_back((self.nodes[i], to, frame));
            }
        }
    }

    /// Delivers everything until the world is quiet; `alter` may change or drop each frame.
    fn run_with(&mut self, mut alter: impl FnMut(NodeId, NodeId, Frame) -> Option<Frame>) {
        self.collect();
        while let Some((from, to, frame)) = self.wire.pop_front() {
            if let Some(frame) = alter(from, to, frame) {
                let index = self.nodes.iter().position(|node| *node == to).unwrap();
                self.sessions[index].handle_frame(self.now, &from, frame);
            }
            self.collect();
        }
    }

    fn run(&mut self) {
        self.run_with(|_, _, frame| Some(frame));
    }

    fn begin(&mut self) -> SessionId {
        self.run();
        let mut ids = Vec::new();
        for session in &mut self.sessions {
            let Some(SessionEvent::Begun { session: id, holds }) = session.poll_event() else {
                panic!("not begun")
            };
            assert_eq!(holds[0], Some(Hash([9; 32])));
            ids.push(id);
            session.begin_phase(self.now, 0, Duration::from_secs(5));
        }
        assert!(ids.windows(2).all(|pair| pair[0] == pair[1]));
        ids[0]
    }

    fn failure(&mut self, i: usize) -> Failure {
        while let Some(event) = self.sessions[i].poll_event() {
            if let SessionEvent::Failed(failure) = event {
                return failure;
            }
        }
        panic!("session {i} has not failed")
    }

    fn messages(&mut self, i: usize) -> Vec<(u16, bool, Vec<u8>)> {
        std::iter::from_fn(|| self.sessions[i].poll_event())
            .map(|event| match event {
                SessionEvent::Message(EngineMessage {
                    from,
                    broadcast,
                    body,
                }) => (from.0, broadcast, body),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    /// A second ready message, for a cheat that tells different parties different things.
    fn another_ready(&self, i: usize) -> Ready {
        let ready = self.sessions[i].parties[i].ready.clone().unwrap();
        Ready {
            fresh: [0xee; 32],
            ..ready
        }
        .sign(&self.nodes[i], &*self.keys[i])
    }

    /// Asserts that all but the cheat name it, each with a proof that anybody can verify.
    fn all_convict(&mut self, cheat: usize, code: &str) {
        for i in (0..self.nodes.len()).filter(|i| *i != cheat) {
            let failure = self.failure(i);
            assert_eq!(
                (failure.code.as_str(), failure.cause),
                (code, Cause::Peer),
                "{failure:?}"
            );
            assert_eq!(failure.culprits, [self.nodes[cheat]], "at {i}: {failure:?}");
            let evidence = self.sessions[i]
                .evidence()
                .unwrap_or_else(|| panic!("no proof at {i}"));
            assert!(
                evidence.verify(Hash([1; 32]), &self.nodes) && evidence.node == self.nodes[cheat]
            );
            assert!(
                !evidence.verify(Hash([2; 32]), &self.nodes),
                "of another task"
            );
        }
    }

    fn after(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        let now = self.now;
        self.sessions
            .iter_mut()
            .for_each(|session| session.handle_timeout(now));
    }
}

#[test]
fn all_parties_meet_and_messages_arrive_alike() {
    let mut world = World::new(4);
    world.begin();
    world.sessions[1].send_broadcast(b"to all".to_vec());
    world.sessions[2].send_direct(SessionIndex(0), b"to one".to_vec());
    world.run();
    assert_eq!(
        world.messages(0),
        [
            (2, false, b"to one".to_vec()),
            (1, true, b"to all".to_vec())
        ]
    );
    assert_eq!(world.messages(3), [(1, true, b"to all".to_vec())]);
    assert!(world.messages(1).is_empty());
}

#[test]
fn fresh_randomness_gives_every_run_its_own_id() {
    let mut one = World::new(2);
    let mut two = World::new(2);
    let other = two.another_ready(0);
    two.sessions[0]
        .transmits
        .iter_mut()
        .for_each(|(_, frame)| frame.body = Body::Ready(other.clone()));
    two.sessions[0].parties[0].ready = Some(other);
    assert_ne!(one.begin(), two.begin());
}

#[test]
fn a_split_view_dies_before_the_first_message_and_names_both_views_and_nobody() {
    let mut world = World::with_views(&[Hash([1; 32]), Hash([1; 32]), Hash([2; 32])]);
    world.run();
    let mut codes = Vec::new();
    for i in 0..3 {
        let failure = world.failure(i);
        assert_eq!(failure.culprits, [], "{failure:?}");
        if failure.code == "split-view" {
            let views = [Hash([1; 32]), Hash([2; 32])];
            assert!(
                views
                    .iter()
                    .all(|view| failure.text.contains(&view.to_string())),
                "{failure:?}"
            );
        }
        codes.push(failure.code);
        assert!(world.sessions[i].session.is_none());
    }
    assert!(codes.contains(&FailureCode::SplitView), "{codes:?}");
}

#[test]
fn whoever_is_ready_in_two_ways_is_convicted_by_all_others() {
    for (n, cheat, victim) in [(3, 0, 2), (3, 2, 0), (4, 1, 3)] {
        let mut world = World::new(n);
        let other = world.another_ready(cheat);
        let from = world.nodes[cheat];
        let to = world.nodes[victim];
        world.run_with(|sender, receiver, mut frame| {
            if let (true, true, Body::Ready(ready)) =
                (sender == from, receiver == to, &mut frame.body)
            {
                *ready = other.clone();
            }
            Some(frame)
        });
        world.all_convict(cheat, "equivocation");
    }
}

#[test]
fn a_ready_that_is_not_signed_counts_for_nothing() {
    let mut world = World::new(2);
    world.run_with(|_, _, mut frame| {
        if let Body::Ready(ready) = &mut frame.body {
            ready.mark.audit += 1;
        }
        Some(frame)
    });
    assert_eq!(world.failure(1).code, "peer-misbehaved");
}

#[test]
fn a_ready_that_is_kept_from_one_reaches_it_through_the_others() {
    let mut world = World::new(3);
    let from = world.nodes[1];
    let to = world.nodes[0];
    world.run_with(|sender, receiver, frame| {
        let kept = sender == from && receiver == to && matches!(frame.body, Body::Ready(_));
        (!kept).then_some(frame)
    });
    // The gap is noticed only later; by then all have begun.
    assert!(
        world
            .sessions
            .iter()
            .all(|session| session.session.is_some())
    );
}

#[test]
fn words_of_this_node_that_it_never_said_reveal_another_process() {
    let mut world = World::new(3);
    let twin = world.another_ready(0);
    let carrier = world.nodes[1];
    let me = world.nodes[0];
    world.run_with(|from, to, mut frame| {
        if let (true, true, Body::Met(readies)) = (from == carrier, to == me, &mut frame.body) {
            readies[0] = twin.clone();
        }
        Some(frame)
    });
    let failure = world.failure(0);
    assert_eq!(
        (failure.code.as_str(), &failure.culprits[..]),
        ("identity-twin", &[][..])
    );
}

#[test]
fn whoever_passes_on_what_nobody_said_is_named() {
    let mut world = World::new(3);
    let liar = world.nodes[0];
    let victim = world.nodes[1];
    world.run_with(|from, to, mut frame| {
        if let (true, true, Body::Met(readies)) = (from == liar, to == victim, &mut frame.body) {
            readies[2].fresh = [0xee; 32];
        }
        Some(frame)
    });
    assert_eq!(world.failure(1).culprits, [liar]);
}

#[test]
fn an_absent_party_is_named_at_the_deadline() {
    let mut world = World::new(3);
    let absent = world.nodes[2];
    world.run_with(|from, _, frame| (from != absent).then_some(frame));
    world.after(4);
    assert!(world.sessions[0].poll_event().is_none());
    world.after(1);
    let failure = world.failure(0);
    assert_eq!(
        (failure.code.as_str(), failure.cause),
        ("session-timeout", Cause::Environment)
    );
    assert_eq!(failure.culprits, [absent]);
    assert!(
        failure.text.contains(&absent.to_string()),
        "{}",
        failure.text
    );
}

#[test]
fn a_party_that_falls_silent_in_mid_run_is_named() {
    let mut world = World::new(3);
    world.begin();
    let silent = world.nodes[1];
    for session in &mut world.sessions {
        session.send_broadcast(b"round one".to_vec());
    }
    world.run_with(|from, _, frame| (from != silent).then_some(frame));
    assert_eq!(world.sessions[0].waiting_for(), [silent]);
    world.after(5);
    assert_eq!(world.failure(0).culprits, [silent]);
}

#[test]
fn two_different_broadcasts_under_one_number_prove_who_cheats() {
    let mut world = World::new(3);
    let session = world.begin();
    let cheat = world.nodes[0];
    let victim = world.nodes[2];
    let key = world.keys[0].clone();
    world.sessions[0].send_broadcast(b"one story".to_vec());
    world.run_with(|from, to, mut frame| {
        if let (
            true,
            true,
            Body::Run {
                message:
                    Message::Broadcast {
                        body, signature, ..
                    },
                ..
            },
        ) = (from == cheat, to == victim, &mut frame.body)
        {
            *body = b"another story".to_vec();
            let digest = broadcast_digest(Hash([1; 32]), session, &cheat, 0, 0, body_hash(body));
            *signature = key.sign(digest.as_bytes());
        }
        Some(frame)
    });
    world.all_convict(0, "equivocation");
}

#[test]
fn a_broadcast_with_a_foreign_signature_is_refused() {
    let mut world = World::new(2);
    world.begin();
    world.sessions[0].send_broadcast(b"signed".to_vec());
    world.run_with(|_, _, mut frame| {
        if let Body::Run {
            message: Message::Broadcast { signature, .. },
            ..
        } = &mut frame.body
        {
            signature[3] ^= 1;
        }
        Some(frame)
    });
    assert_eq!(world.failure(1).code, "peer-misbehaved");
}

#[test]
fn a_false_echo_convicts_whoever_passed_it_on() {
    let mut world = World::new(4);
    let session = world.begin();
    let cheat = world.nodes[0];
    let victim = world.nodes[2];
    let key = world.keys[0].clone();
    world.sessions[1].send_broadcast(b"one story".to_vec());
    let of = world.nodes[1];
    world.run_with(|from, to, mut frame| {
        if let (
            true,
            true,
            Body::Run {
                message:
                    Message::Echo {
                        body,
                        signature,
                        by,
                        ..
                    },
                ..
            },
        ) = (from == cheat, to == victim, &mut frame.body)
        {
            *body = Hash([0xee; 32]);
            let claimed = Signature(*signature);
            let signature = Signature([0; 64]);
            let echo = Echoed {
                of,
                phase: 0,
                number: 0,
                body: *body,
                claimed,
                signature,
            };
            *by = key.sign(echo_digest(Hash([1; 32]), session, &cheat, &echo).as_bytes());
        }
        Some(frame)
    });
    world.all_convict(0, "peer-misbehaved");
}

#[test]
fn a_message_of_another_session_is_its_senders_doing() {
    let mut world = World::new(3);
    world.begin();
    world.sessions[0].send_direct(SessionIndex(1), b"x".to_vec());
    world.run_with(|_, _, mut frame| {
        if let Body::Run { session, .. } = &mut frame.body {
            session.0[0] ^= 1;
        }
        Some(frame)
    });
    let failure = world.failure(1);
    assert_eq!(
        (failure.code.as_str(), failure.culprits),
        ("peer-misbehaved", vec![world.nodes[0]])
    );
}

/// A node that withholds a message from one party delays that party and everybody waiting for it.
/// Nobody can tell these apart.
#[test]
fn a_message_that_is_kept_from_one_names_none_of_its_victims() {
    let mut world = World::new(3);
    world.begin();
    for session in &mut world.sessions {
        session.send_broadcast(b"round one".to_vec());
    }
    let cheat = world.nodes[0];
    let victim = world.nodes[1];
    let third = world.nodes[2];
    world.run_with(|from, to, frame| {
        let kept = from == cheat && to == victim && matches!(frame.body, Body::Run { .. });
        (!kept).then_some(frame)
    });
    // The third waits for the victim's echo of the message that the victim never got.
    assert_eq!(world.sessions[2].waiting_for(), [victim]);
    world.after(5);
    let failure = world.failure(2);
    assert_eq!(
        (failure.code.as_str(), &failure.culprits[..]),
        ("session-timeout", &[][..]),
        "{failure:?}"
    );
    assert!(
        failure.text.contains(&victim.to_string()),
        "the text names those waited for: {failure:?}"
    );
    assert!(!world.failure(1).culprits.contains(&third));
}

#[test]
fn what_one_says_of_another_convicts_neither() {
    let mut world = World::new(3);
    world.begin();
    let accused = world.nodes[2];
    let messenger = world.nodes[0];
    world.sessions[0].abort(failure::misbehaved(accused, "sent nonsense"));
    world.run();
    assert!(
        world.sessions[1].poll_event().is_none(),
        "it listens for a moment"
    );
    world.sessions[1].send_broadcast(b"and says nothing more".to_vec());
    world.sessions[1].send_direct(SessionIndex(2), b"to anybody".to_vec());
    world.collect();
    assert!(world.wire.is_empty(), "{:?}", world.wire);
    world.after(2);
    for i in [1, 2] {
        let failure = world.failure(i);
        assert_eq!(
            (failure.code.as_str(), &failure.culprits[..]),
            ("peer-aborted", &[][..])
        );
        for node in [messenger, accused] {
            assert!(
                failure.text.contains(&node.to_string()),
                "the text states accuser and accused: {failure:?}"
            );
        }
        assert!(world.sessions[i].evidence().is_none());
    }
}

#[test]
fn whoever_hears_of_a_cheat_and_sees_it_too_names_the_cheat() {
    let mut world = World::new(3);
    world.begin();
    let cheat = world.nodes[2];
    world.sessions[2].send_broadcast(b"a wrong proof".to_vec());
    world.run();
    assert_eq!(world.messages(0).len(), 1);
    // One engine finds it first.
    world.sessions[0].abort(failure::misbehaved(cheat, "sent a wrong proof"));
    world.run();
    assert_eq!(
        world.messages(1),
        [(2, true, b"a wrong proof".to_vec())],
        "the other one still gets it"
    );
    world.sessions[1].abort(failure::misbehaved(cheat, "sent a wrong proof"));
    assert_eq!(world.failure(1).culprits, [cheat]);
}

#[test]
fn nothing_is_begun_or_stored_while_somebody_is_accused() {
    for store in [false, true] {
        let mut world = World::new(3);
        world.begin();
        world.sessions[0].abort(failure::misbehaved(world.nodes[2], "sent nonsense"));
        world.run();
        let now = world.now;
        assert!(world.sessions[1].is_called_off().is_some());
        if store {
            world.sessions[1].stored(now, Hash([4; 32]))
        } else {
            world.sessions[1].begin_phase(now, 1, Duration::from_secs(5))
        }
        assert_eq!(world.failure(1).code, "peer-aborted");
        world.collect();
        assert!(
            world.wire.iter().all(|(from, ..)| *from != world.nodes[1]),
            "no acknowledgement leaves"
        );
    }
}

#[test]
fn a_proof_that_does_not_hold_names_who_brought_it() {
    let mut world = World::new(3);
    world.begin();
    let liar = world.nodes[0];
    let accused = world.nodes[2];
    let readies = Box::new([world.another_ready(2), world.another_ready(1)]);
    let misconduct = Misconduct::Readies(readies);
    let evidence = Evidence {
        task: Hash([1; 32]),
        node: accused,
        misconduct,
    };
    world.sessions[0].fail(evidence);
    world.run();
    for i in [1, 2] {
        let failure = world.failure(i);
        assert_eq!(
            (failure.code.as_str(), failure.culprits),
            ("peer-misbehaved", vec![liar])
        );
    }
}

#[test]
fn proof_against_this_node_itself_reveals_another_process() {
    let mut world = World::new(3);
    world.begin();
    let [one, two] = [
        world.sessions[0].parties[0].ready.clone().unwrap(),
        world.another_ready(0),
    ];
    let misconduct = Misconduct::Readies(Box::new([one, two]));
    world.sessions[1].fail(Evidence {
        task: Hash([1; 32]),
        node: world.nodes[0],
        misconduct,
    });
    world.run();
    let failure = world.failure(0);
    assert_eq!(
        (failure.code.as_str(), &failure.culprits[..]),
        ("identity-twin", &[][..])
    );
    assert!(world.sessions[0].evidence().is_none());
    assert_eq!(
        world.failure(2).culprits,
        [world.nodes[0]],
        "for the others it is proof"
    );
}

#[test]
fn a_confirmation_that_is_brought_counts_only_if_its_author_signed_it() {
    let mut world = World::new(3);
    let session = world.begin();
    let now = world.now;
    let liar = world.nodes[0];
    let accused = world.nodes[2];
    world.sessions[1].stored(now, Hash([4; 32]));
    let claim = world.sessions[0].claim(session, Hash([5; 32]));
    let cause = Cause::Peer;
    let code = FailureCode::ResultMismatch;
    let text = String::from("look");
    let abort = Abort {
        cause,
        code,
        text,
        accused: vec![accused],
        evidence: None,
        result: Some((accused, claim)),
    };
    let me = 1;
    let seq = world.sessions[1].parties[0].incoming;
    world.sessions[me].handle_frame(
        now,
        &liar,
        Frame {
            task: TASK,
            seq,
            body: Body::Abort(abort),
        },
    );
    world.after(2);
    let failure = world.failure(me);
    assert_eq!(
        (failure.code.as_str(), &failure.culprits[..]),
        ("peer-aborted", &[][..])
    );
    assert!(world.sessions[me].evidence().is_none());
}

#[test]
fn a_false_echo_that_its_author_did_not_sign_is_seen_by_one_and_proven_to_nobody() {
    let mut world = World::new(4);
    world.begin();
    let cheat = world.nodes[0];
    let victim = world.nodes[2];
    world.sessions[1].send_broadcast(b"one story".to_vec());
    world.run_with(|from, to, mut frame| {
        if let (
            true,
            true,
            Body::Run {
                message: Message::Echo { body, .. },
                ..
            },
        ) = (from == cheat, to == victim, &mut frame.body)
        {
            *body = Hash([0xee; 32]);
        }
        Some(frame)
    });
    let failure = world.failure(2);
    assert_eq!(
        (failure.code.as_str(), failure.culprits),
        ("peer-misbehaved", vec![cheat])
    );
    assert!(world.sessions[2].evidence().is_none());
    world.after(2);
    for i in [1, 3] {
        let failure = world.failure(i);
        assert_eq!(
            (failure.code.as_str(), &failure.culprits[..]),
            ("peer-aborted", &[][..]),
            "at {i}"
        );
    }
}

#[test]
fn whoever_says_twice_that_it_is_ready_is_named() {
    let mut world = World::new(3);
    world.begin();
    let now = world.now;
    let from = world.nodes[1];
    let ready = world.sessions[1].parties[1].ready.clone().unwrap();
    let seq = world.sessions[0].parties[1].incoming;
    world.sessions[0].handle_frame(
        now,
        &from,
        Frame {
            task: TASK,
            seq,
            body: Body::Ready(ready),
        },
    );
    let failure = world.failure(0);
    assert_eq!(
        (failure.code.as_str(), failure.culprits),
        ("peer-misbehaved", vec![from])
    );
}

#[test]
fn a_mark_contradicts_an_earlier_one_only_if_it_is_later_and_less() {
    let mark = |at, secrets, audit| Mark {
        at: UnixMillis(at),
        secrets,
        audit,
    };
    let earlier = mark(10, 5, 100);
    for (later, contradicts) in [
        (mark(11, 4, 100), true),
        (mark(11, 5, 99), true),
        (mark(11, 5, 100), false),
        (mark(11, 6, 101), false),
        (mark(10, 4, 99), false),
        (mark(9, 4, 99), false),
    ] {
        assert_eq!(later.contradicts(&earlier), contradicts, "{later:?}");
    }
}

#[test]
fn duplicates_are_dropped_and_gaps_end_the_session() {
    let mut world = World::new(2);
    world.begin();
    world.sessions[0].send_direct(SessionIndex(1), b"once".to_vec());
    world.collect();
    let (from, _, frame) = world.wire.pop_front().unwrap();
    let now = world.now;
    world.sessions[1].handle_frame(now, &from, frame.clone());
    world.sessions[1].handle_frame(now, &from, frame.clone());
    assert_eq!(world.messages(1).len(), 1);
    world.sessions[1].handle_frame(
        now,
        &from,
        Frame {
            seq: frame.seq + 2,
            ..frame
        },
    );
    assert_eq!(world.failure(1).code, "frames-lost");
}

#[test]
fn messages_of_a_later_phase_wait_for_it() {
    let mut world = World::new(2);
    world.begin();
    let now = world.now;
    world.sessions[0].begin_phase(now, 1, Duration::from_secs(1));
    world.sessions[0].send_broadcast(b"second engine".to_vec());
    world.run();
    assert!(world.messages(1).is_empty());
    world.sessions[1].begin_phase(now, 1, Duration::from_secs(1));
    assert_eq!(world.messages(1), [(0, true, b"second engine".to_vec())]);
}

#[test]
fn as_many_engines_as_a_task_may_have_run_one_after_the_other() {
    let mut world = World::new(3);
    world.begin();
    for phase in 0..MAX_PHASES - 1 {
        let now = world.now;
        for (i, session) in world.sessions.iter_mut().enumerate() {
            session.begin_phase(now, phase, Duration::from_secs(1));
            session.send_broadcast(vec![phase, i as u8]);
        }
        world.run();
        for i in 0..3 {
            let mut bodies: Vec<Vec<u8>> = world
                .messages(i)
                .into_iter()
                .map(|(_, _, body)| body)
                .collect();
            bodies.sort();
            let others = (0..3).filter(|other| *other != i);
            assert_eq!(
                bodies,
                others
                    .map(|other| vec![phase, other as u8])
                    .collect::<Vec<_>>()
            );
        }
    }
}

#[test]
fn what_one_engine_did_not_take_is_not_given_to_the_next() {
    let mut world = World::new(2);
    world.begin();
    let now = world.now;
    world.sessions[0].send_direct(SessionIndex(1), b"late".to_vec());
    world.run();
    world.sessions[1].begin_phase(now, 1, Duration::from_secs(1));
    assert!(world.messages(1).is_empty());
}

/// A session queues as many messages of a party as its engines can take, and no more, from
/// the first frame on.
#[test]
fn a_message_that_its_phase_has_no_room_for_convicts_its_sender() {
    let direct = |phase, length| Message::Direct {
        phase,
        body: vec![0; length],
    };
    let broadcast = |phase, length| Message::Broadcast {
        phase,
        number: 0,
        body: vec![0; length],
        signature: [0; 64],
    };
    let without = MAX_PHASES - 1;
    let echo = Message::Echo {
        phase: without,
        sender: 2,
        number: 0,
        body: Hash([1; 32]),
        signature: [0; 64],
        by: [0; 64],
    };
    let wrong = [
        direct(0, ROOM.longest + 1),
        direct(1, 1 << 20),
        direct(without, 0),
        broadcast(0, ROOM.longest + 1),
        broadcast(without, 0),
        echo,
    ];
    for message in wrong {
        for begun in [false, true] {
            let mut world = World::new(3);
            let session = if begun {
                world.begin()
            } else {
                SessionId([9; 32])
            };
            let sender = world.nodes[1];
            let now = world.now;
            let seq = world.sessions[0].parties[1].incoming;
            let frame = Frame {
                task: TASK,
                seq,
                body: Body::Run {
                    session,
                    message: message.clone(),
                },
            };
            world.sessions[0].handle_frame(now, &sender, frame);
            assert!(world.sessions[0].early.is_empty() && world.sessions[0].waiting.is_empty());
            let failure = world.failure(0);
            assert_eq!(
                (failure.code.as_str(), failure.cause),
                ("peer-misbehaved", Cause::Peer),
                "{message:?}"
            );
            assert_eq!(failure.culprits, [sender]);
            assert!(failure.text.contains("has room for"), "{}", failure.text);
        }
    }
}

#[test]
fn the_messages_of_a_phase_have_room_together_or_their_sender_is_named() {
    let fitting = ROOM.total / ROOM.longest;
    // Before the session has begun, before the phase has, and during it.
    for (begun, phase) in [(false, 0), (true, 1), (true, 0)] {
        let mut world = World::new(3);
        let session = if begun {
            world.begin()
        } else {
            SessionId([9; 32])
        };
        let sender = world.nodes[1];
        let now = world.now;
        let first = world.sessions[0].parties[1].incoming;
        for count in 0..=fitting {
            assert!(!world.sessions[0].is_over(), "{count} messages");
            let message = Message::Direct {
                phase,
                body: vec![0; ROOM.longest],
            };
            let body = Body::Run { session, message };
            let frame = Frame {
                task: TASK,
                seq: first + count as u32,
                body,
            };
            world.sessions[0].handle_frame(now, &sender, frame);
        }
        assert_eq!(
            world.failure(0).culprits,
            [sender],
            "begun {begun}, phase {phase}"
        );
    }
}

#[test]
fn who_sent_what_was_dropped_for_its_length_is_named() {
    let mut world = World::new(3);
    world.begin();
    let stranger = SigningKey::from_bytes(&[99; 32]).verifying_key().to_bytes();
    let sender = world.nodes[1];
    let stranger = NodeId::from_bytes(stranger).unwrap();
    let me = world.nodes[0];
    for nobody in [stranger, me] {
        world.sessions[0].handle_overlong(&nobody);
        assert!(!world.sessions[0].is_over());
    }
    world.sessions[0].handle_overlong(&sender);
    let failure = world.failure(0);
    assert_eq!(
        (failure.code.as_str(), failure.culprits),
        ("peer-misbehaved", vec![sender])
    );
    world.run();
    world.after(3);
    assert_eq!(
        world.failure(2).code,
        "peer-aborted",
        "it is told, and does not believe it"
    );
}

#[test]
fn long_words_of_a_party_convict_it() {
    let mut world = World::new(2);
    world.begin();
    let sender = world.nodes[1];
    let now = world.now;
    let seq = world.sessions[0].parties[1].incoming;
    let frame = Frame {
        task: TASK,
        seq,
        body: abort("x".repeat(70_000)),
    };
    world.sessions[0].handle_frame(now, &sender, frame);
    let failure = world.failure(0);
    assert_eq!(
        (failure.code.as_str(), failure.culprits),
        ("peer-misbehaved", vec![sender])
    );
}

#[test]
fn whoever_floods_is_named_for_it() {
    for phase in [0, 1] {
        let mut world = World::new(3);
        world.begin();
        let now = world.now;
        world.sessions[0].begin_phase(now, phase, Duration::from_secs(1));
        for _ in 0..=MAX_MESSAGES {
            world.sessions[0].send_direct(SessionIndex(1), vec![0; 10]);
        }
        world.run();
        let failure = world.failure(1);
        assert_eq!(
            (failure.code.as_str(), failure.culprits),
            ("peer-misbehaved", vec![world.nodes[0]])
        );
    }
}

#[test]
fn broadcasts_that_wait_for_echoes_are_few_and_in_turn() {
    let mut world = World::new(3);
    world.begin();
    for _ in 0..4 {
        world.sessions[0].send_broadcast(vec![0; 1000]);
    }
    let sender = world.nodes[0];
    let victim = world.nodes[1];
    world.run_with(|from, to, frame| (from == sender && to == victim).then_some(frame));
    let failure = world.failure(1);
    assert_eq!(
        (failure.code.as_str(), failure.culprits),
        ("peer-misbehaved", vec![sender])
    );

    let mut world = World::new(2);
    world.begin();
    world.sessions[0].send_broadcast(b"first".to_vec());
    world.run_with(|_, _, mut frame| {
        if let Body::Run {
            message: Message::Broadcast { number, .. },
            ..
        } = &mut frame.body
        {
            *number = 1;
        }
        Some(frame)
    });
    assert_eq!(world.failure(1).culprits, [world.nodes[0]]);
}

#[test]
fn a_message_after_the_end_of_its_engine_is_dropped_and_never_shown() {
    let mut world = World::new(2);
    world.begin();
    let now = world.now;
    world.sessions[1].stored(now, Hash([4; 32]));
    world.sessions[0].send_direct(SessionIndex(1), b"secret".to_vec());
    world.run();
    assert!(world.messages(1).is_empty());
    let message = EngineMessage {
        from: SessionIndex(0),
        broadcast: false,
        body: b"secret".to_vec(),
    };
    assert!(
        !format!("{:?}", SessionEvent::Message(message)).contains("115"),
        "the bytes are shown"
    );
}

#[test]
fn storing_waits_for_a_party_that_is_still_within_its_engine_time() {
    let mut world = World::new(2);
    world.begin();
    let now = world.now;
    world
        .sessions
        .iter_mut()
        .for_each(|session| session.begin_phase(now, 1, Duration::from_secs(60)));
    world.sessions[0].stored(now, Hash([4; 32]));
    world.run();
    world.after(50);
    let now = world.now;
    world.sessions[1].stored(now, Hash([4; 32]));
    world.run();
    assert!(matches!(
        world.sessions[0].poll_event(),
        Some(SessionEvent::AllStored(_))
    ));
}

#[test]
fn after_a_failure_nothing_else_is_said() {
    let mut world = World::new(3);
    let now = world.now;
    let from = world.nodes[1];
    let foreign = Message::Direct {
        phase: 0,
        body: b"early".to_vec(),
    };
    world.run_with(|from, to, frame| {
        (from != to)
            .then_some(frame)
            .filter(|frame| frame.seq == u32::MAX)
    });
    world.sessions[0].keep_early(1, SessionId([9; 32]), foreign);
    let ready: Vec<Ready> = (1..3)
        .map(|i| world.sessions[i].parties[i].ready.clone().unwrap())
        .collect();
    for (i, ready) in ready.into_iter().enumerate() {
        let frame = Frame {
            task: TASK,
            seq: 0,
            body: Body::Ready(ready),
        };
        let node = world.nodes[i + 1];
        world.sessions[0].handle_frame(now, &node, frame);
    }
    let events: Vec<SessionEvent> = std::iter::from_fn(|| world.sessions[0].poll_event()).collect();
    assert!(
        matches!(&events[..], [SessionEvent::Failed(failure)] if failure.culprits == [from]),
        "{events:?}"
    );
    world.sessions[0].stored(now, Hash([4; 32]));
    assert!(world.sessions[0].poll_event().is_none());
}

#[test]
fn a_key_counts_only_when_all_have_stored_the_same() {
    let mut world = World::new(3);
    world.begin();
    let now = world.now;
    for i in 0..2 {
        world.sessions[i].stored(now, Hash([4; 32]));
    }
    world.run();
    assert!(world.sessions[0].poll_event().is_none());
    assert_eq!(world.sessions[0].waiting_for(), [world.nodes[2]]);
    world.sessions[2].stored(now, Hash([4; 32]));
    world.run();
    for i in 0..3 {
        let Some(SessionEvent::AllStored(marks)) = world.sessions[i].poll_event() else {
            panic!("not stored")
        };
        assert!(marks.iter().all(|mark| mark.verifies(&Hash([4; 32]))));
        assert_eq!(marks.len(), 3);
    }
}

#[test]
fn whoever_confirms_another_result_is_named_by_all_others() {
    let mut world = World::new(3);
    world.begin();
    let now = world.now;
    let cheat = world.nodes[2];
    world.sessions[2].stored(now, Hash([5; 32]));
    // It reaches only one of them; the other hears of it.
    world.run_with(|from, to, frame| (from != cheat || to == world_node(0)).then_some(frame));
    world.sessions[0].stored(now, Hash([4; 32]));
    world.run_with(|from, _, frame| (from != cheat).then_some(frame));
    world.sessions[1].stored(now, Hash([4; 32]));
    for i in [0, 1] {
        let failure = world.failure(i);
        assert_eq!(
            (failure.code.as_str(), failure.culprits),
            ("result-mismatch", vec![cheat])
        );
        let both = [Hash([4; 32]), Hash([5; 32])];
        assert!(
            both.iter()
                .all(|digest| failure.text.contains(&digest.to_string())),
            "{}",
            failure.text
        );
    }
}

/// The node at an index of a world of three.
fn world_node(i: usize) -> NodeId {
    World::new(3).nodes[i]
}

/// The acknowledgement makes others destroy a share: the session's check is the
/// only one before that.
#[test]
fn a_false_acknowledgement_convicts_its_author_at_all_parties() {
    let mut world = World::new(3);
    let session = world.begin();
    let now = world.now;
    let cheat = world.nodes[2];
    let victim = world.nodes[0];
    let key = world.keys[2].clone();
    for session in &mut world.sessions {
        session.stored(now, Hash([4; 32]));
    }
    // Only one party gets the false one.
    world.run_with(|from, to, mut frame| {
        if let (
            true,
            true,
            Body::Run {
                message: Message::Stored(claim),
                ..
            },
        ) = (from == cheat, to == victim, &mut frame.body)
        {
            claim.ack.0[3] ^= 1;
            let digest = result_digest(Hash([1; 32]), session, &cheat, claim);
            claim.signature = Signature(key.sign(digest.as_bytes()));
        }
        // The others have not completed when they hear of it.
        let echo = from == cheat && to != victim && matches!(frame.body, Body::Run { .. });
        (!echo).then_some(frame)
    });
    world.all_convict(2, "peer-misbehaved");
}

#[test]
fn a_confirmation_that_is_not_signed_counts_for_nothing() {
    for part in [0, 1] {
        let mut world = World::new(2);
        world.begin();
        let now = world.now;
        world.sessions[0].stored(now, Hash([4; 32]));
        world.sessions[1].stored(now, Hash([4; 32]));
        let cheat = world.nodes[0];
        world.run_with(|from, _, mut frame| {
            if let (
                true,
                Body::Run {
                    message: Message::Stored(claim),
                    ..
                },
            ) = (from == cheat, &mut frame.body)
            {
                let signature = if part == 0 {
                    &mut claim.ack
                } else {
                    &mut claim.signature
                };
                signature.0[3] ^= 1;
            }
            Some(frame)
        });
        let failure = world.failure(1);
        assert_eq!(
            (failure.code.as_str(), failure.culprits),
            ("peer-misbehaved", vec![cheat])
        );
    }
}

#[test]
fn two_confirmed_results_convict_whoever_signed_both() {
    let mut world = World::new(3);
    world.begin();
    let now = world.now;
    world.sessions[0].stored(now, Hash([4; 32]));
    world.run();
    world.sessions[0].state = State::Running;
    world.sessions[0].stored(now, Hash([5; 32]));
    world.run();
    world.all_convict(0, "equivocation");
}

#[test]
fn a_lost_peer_ends_the_session_after_a_moment() {
    let mut world = World::new(2);
    world.begin();
    let now = world.now;
    let peer = world.nodes[1];
    world.sessions[0].handle_peer_lost(now, &peer);
    assert_eq!(world.sessions[0].poll_timeout(), Some(now + LOST_GRACE));
    world.after(2);
    let failure = world.failure(0);
    assert_eq!(
        (failure.code.as_str(), failure.culprits),
        ("peer-lost", vec![peer])
    );
}

#[test]
fn whoever_gives_up_tells_the_others_why() {
    let mut world = World::new(3);
    world.begin();
    world.sessions[1].abort(Failure::new(FailureCode::EngineDied, "it broke\u{1b}[31m"));
    world.run();
    let failure = world.failure(0);
    assert_eq!(
        (failure.code.as_str(), &failure.culprits[..]),
        ("peer-aborted", &[][..])
    );
    assert!(failure.text.contains(&world.nodes[1].to_string()));
    assert!(
        failure.text.contains("it broke") && !failure.text.contains('\u{1b}'),
        "{}",
        failure.text
    );
}

fn abort(text: String) -> Body {
    let cause = Cause::Environment;
    let code = FailureCode::Cancelled;
    Body::Abort(Abort {
        cause,
        code,
        text,
        accused: vec![],
        evidence: None,
        result: None,
    })
}

#[test]
fn early_frames_are_held_in_small_numbers() {
    let mut hold = hold::Hold::default();
    let world = World::new(2);
    let frame = |seq| Frame {
        task: TASK,
        seq,
        body: abort(String::new()),
    };
    for seq in 0..100 {
        hold.put(world.now, world.nodes[0], frame(seq), 10);
    }
    hold.put(world.now, world.nodes[1], frame(0), 10);
    let taken = hold.take(TASK);
    assert_eq!(taken.len(), 65);
    assert_eq!(taken[0].1.seq, 36);
    assert!(hold.take(TASK).is_empty());
}
