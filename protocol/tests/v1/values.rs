//! A value of every frame of protocol version 1. It needs only what that version has, and is
//! compiled with its sources, too: `tests/fixtures/v1/make.sh` writes `frames.txt` with it.

use countersign_protocol::code::{FailureCode, RefusalCode};
use countersign_protocol::control::{FromNode, Held, Pace, Stage, ToNode};
use countersign_protocol::evidence::{Claim, Echoed, Evidence, Misconduct, Signature, SignedHash};
use countersign_protocol::frame::{
    Abort, Body, Frame, HighWater, Mark, Message, Ready, SignedMark, Use, UsePart,
};
use countersign_protocol::node_status::{Guards, NodeStatus, PluginState, PluginStatus};
use countersign_protocol::twin::TwinMark;
use countersign_protocol::{
    Cause, Committee, Failure, Forecast, GenerationProof, Hash, InputSignature, Intact,
    KeyDescriptor, KeyId, NodeId, NotAsked, Outcome, PluginVerdict, Point, Refusal, Scheme,
    SessionId, Signed, SignedAck, SignedTask, TaskId, Threshold, UnixMillis, encode,
};

/// Name and bytes of a frame.
pub type Row = (String, Vec<u8>);

fn row(name: String, value: &impl serde::Serialize) -> Row {
    (name, encode(value))
}

fn node(number: u8) -> NodeId {
    let key = ed25519_dalek::SigningKey::from_bytes(&[number; 32]);
    NodeId::from_bytes(key.verifying_key().to_bytes()).unwrap()
}

fn hash(number: u8) -> Hash {
    Hash([number; 32])
}

fn key() -> KeyId {
    KeyId::of_task(&hash(0x11))
}

fn task() -> TaskId {
    TaskId([0x12; 16])
}

fn session() -> SessionId {
    SessionId([0x13; 32])
}

fn signature(number: u8) -> Signature {
    Signature([number; 64])
}

fn order() -> SignedTask {
    SignedTask {
        bytes: br#"{"version":1}"#.to_vec(),
        signature: [0x14; 64].into(),
    }
}

fn ack(number: u8) -> SignedAck {
    SignedAck {
        node: node(number),
        signature: vec![number; 64],
    }
}

fn descriptor(scheme: Scheme, generation: u32) -> KeyDescriptor {
    KeyDescriptor {
        key: key(),
        task: task(),
        session: session(),
        name: "treasury".into(),
        scheme,
        committee: Committee::new(vec![node(1), node(2), node(3)]).unwrap(),
        threshold: Threshold::try_from(2).unwrap(),
        generation,
        root_public_key: vec![0x15; 33],
        chain_code: hash(0x16),
        public_shares: hash(0x17),
        aux: scheme.needs_aux().then(|| hash(0x18)),
        parties: if generation == 0 {
            Vec::new()
        } else {
            vec![node(1), node(4)]
        },
        acks: vec![ack(1), ack(2)],
    }
}

fn held() -> Vec<Held> {
    let of = |generation| Held {
        key: key(),
        generation,
    };
    vec![of(0), of(300)]
}

fn proof() -> GenerationProof {
    GenerationProof {
        descriptor: descriptor(Scheme::Taproot, 7),
        in_force: vec![ack(3)],
    }
}

fn verdict(approved: bool) -> PluginVerdict {
    PluginVerdict {
        plugin: "rules".into(),
        version: "1.2".into(),
        digest: hash(0x21),
        config: hash(0x22),
        approved,
        code: "limit".into(),
        reason: "too much".into(),
        micros: 70_000,
    }
}

fn refusal() -> Refusal {
    Refusal {
        code: RefusalCode::TaskExpired,
        reason: "late".into(),
        plugin: Some("rules".into()),
    }
}

fn failure() -> Failure {
    Failure {
        cause: Cause::Peer,
        code: FailureCode::Equivocation,
        text: "two words".into(),
        culprits: vec![node(2)],
    }
}

fn mark() -> Mark {
    Mark {
        at: UnixMillis(1_700_000_000_000),
        secrets: 5,
        audit: 600,
    }
}

fn signed_mark() -> SignedMark {
    SignedMark {
        mark: mark(),
        about: hash(0x23),
        signature: [0x24; 64],
    }
}

fn ready(holds: Option<Hash>) -> Ready {
    Ready {
        task: hash(0x25),
        parties: hash(0x26),
        fresh: [0x27; 32],
        holds,
        mark: mark(),
        signature: [0x28; 64],
    }
}

fn claim(number: u8) -> Claim {
    Claim {
        digest: hash(number),
        ack: signature(number + 1),
        signature: signature(number + 2),
    }
}

fn misconducts() -> Vec<(&'static str, Misconduct)> {
    let signed = |number| SignedHash {
        hash: hash(number),
        signature: signature(number + 1),
    };
    let echo = Echoed {
        of: node(3),
        phase: 4,
        number: 500,
        body: hash(0x31),
        claimed: signature(0x32),
        signature: signature(0x33),
    };
    let session = session();
    vec![
        (
            "readies",
            Misconduct::Readies(Box::new([ready(None), ready(Some(hash(0x34)))])),
        ),
        (
            "broadcasts",
            Misconduct::Broadcasts {
                session,
                phase: 2,
                number: 300,
                signed: [signed(0x35), signed(0x37)],
            },
        ),
        (
            "results",
            Misconduct::Results {
                session,
                claims: Box::new([claim(0x39), claim(0x3c)]),
            },
        ),
        (
            "false ack",
            Misconduct::FalseAck {
                session,
                claim: Box::new(claim(0x3f)),
            },
        ),
        (
            "false echo",
            Misconduct::FalseEcho {
                session,
                echo: Box::new(echo),
            },
        ),
    ]
}

fn evidence(misconduct: Misconduct) -> Box<Evidence> {
    Box::new(Evidence {
        task: hash(0x41),
        node: node(2),
        misconduct,
    })
}

fn outcomes() -> Vec<(&'static str, Outcome)> {
    let input = |recovery_id| InputSignature {
        path: "m/44/501/0".parse().unwrap(),
        public_key: vec![0x42; 33],
        signed_bytes: vec![0x43; 32],
        signature: vec![0x44; 64],
        recovery_id,
    };
    let intact = Intact {
        node: node(1),
        key: key(),
        generation: 3,
        public_shares: vec![Point(vec![0x45; 33]), Point(vec![0x46; 33])],
        proof: Point(vec![0x47; 65]),
    };
    vec![
        ("created", Outcome::Created(descriptor(Scheme::Ed25519, 0))),
        (
            "signed",
            Outcome::Signed(Signed {
                session: session(),
                signatures: vec![input(None), input(Some(1))],
            }),
        ),
        ("refused", Outcome::Refused(refusal())),
        ("failed", Outcome::Failed(failure())),
        (
            "reshared",
            Outcome::Reshared(descriptor(Scheme::EcdsaSecp256k1, 2)),
        ),
        ("intact", Outcome::Intact(intact)),
    ]
}

fn twin(number: u8) -> TwinMark {
    TwinMark {
        instance: [number; 16],
        other: [number + 1; 16],
        signature: signature(number + 2),
    }
}

fn status() -> NodeStatus {
    let plugin = |state, known: bool| PluginStatus {
        name: "rules".into(),
        state,
        version: known.then(|| "1.2".into()),
        digest: known.then(|| hash(0x51)),
        config: known.then(|| hash(0x52)),
        remote: !known,
        guards: Guards {
            operations: vec!["keysign".into()],
            keys: vec!["csk1".into()],
            more_keys: 300,
            schemes: vec!["taproot".into()],
        },
    };
    NodeStatus {
        software: "countersign-node 0.1.0".into(),
        clock: UnixMillis(1_700_000_000_001),
        schemes: vec!["ed25519".into(), "taproot".into()],
        plugins: vec![
            plugin(PluginState::InForce, true),
            plugin(PluginState::Shadow, true),
            plugin(PluginState::Broken, false),
        ],
        more_plugins: 4,
        // What later versions have more.
        ..NodeStatus::default()
    }
}

fn from_nodes() -> Vec<(String, FromNode)> {
    let task = task();
    let stages = [
        ("ready", Stage::Ready),
        ("aux info", Stage::AuxInfo),
        ("running", Stage::Running),
        ("storing", Stage::Storing),
        ("queued", Stage::Queued),
    ];
    let mut frames = vec![
        (
            "hello".to_owned(),
            FromNode::Hello {
                protocol: 1,
                software: "countersign-node 0.1.0".into(),
                pending: vec![task],
            },
        ),
        (
            "decision: approved".into(),
            FromNode::Decision {
                task,
                refusal: None,
                verdicts: vec![verdict(true)],
            },
        ),
        (
            "decision: refused".into(),
            FromNode::Decision {
                task,
                refusal: Some(refusal()),
                verdicts: vec![verdict(true), verdict(false)],
            },
        ),
        (
            "stored".into(),
            FromNode::Stored {
                task,
                descriptor: Box::new(descriptor(Scheme::SchnorrSecp256k1, 1)),
            },
        ),
        (
            "abort vote".into(),
            FromNode::AbortVote { task, ack: ack(1) },
        ),
        ("holds".into(), FromNode::Holds { keys: held() }),
        (
            "generations".into(),
            FromNode::Generations {
                generations: vec![
                    descriptor(Scheme::Taproot, 0),
                    descriptor(Scheme::Taproot, 1),
                ],
            },
        ),
        ("capacity".into(), FromNode::Capacity { tasks: 256 }),
        (
            "hello as".into(),
            FromNode::HelloAs {
                protocol: 1,
                software: "countersign-node 0.1.0".into(),
                pending: vec![task],
                instance: [0x53; 16],
            },
        ),
        ("alive".into(), FromNode::Alive { mark: twin(0x54) }),
        (
            "preflight".into(),
            FromNode::Preflight {
                ask: 301,
                forecast: Box::new(Forecast {
                    refusal: Some(refusal()),
                    verdicts: vec![verdict(false)],
                    not_asked: vec![NotAsked {
                        plugin: "desk".into(),
                        why: "far".into(),
                    }],
                }),
            },
        ),
        (
            "status".into(),
            FromNode::Status {
                status: Box::new(status()),
            },
        ),
    ];
    for (name, stage) in stages {
        let waiting_for = vec![node(3)];
        frames.push((
            format!("progress: {name}"),
            FromNode::Progress {
                task,
                stage,
                waiting_for: waiting_for.clone(),
            },
        ));
        let pace = Pace {
            elapsed_ms: 1_000,
            limit_ms: 900_000,
            percent: (name == "running").then_some(40),
        };
        frames.push((
            format!("working: {name}"),
            FromNode::Working {
                task,
                stage,
                waiting_for,
                pace,
            },
        ));
    }
    for (name, outcome) in outcomes() {
        frames.push((
            format!("outcome: {name}"),
            FromNode::Outcome { task, outcome },
        ));
    }
    for (name, misconduct) in misconducts() {
        let evidence = evidence(misconduct);
        frames.push((
            format!("evidence: {name}"),
            FromNode::Evidence { task, evidence },
        ));
    }
    frames
}

fn to_nodes() -> Vec<(String, ToNode)> {
    let task = task();
    let parties = vec![node(1), node(2)];
    let frames = vec![
        (
            "welcome",
            ToNode::Welcome {
                protocol: 1,
                software: "countersign-coordinator 0.1.0".into(),
            },
        ),
        (
            "offer",
            ToNode::Offer {
                task: order(),
                parties: parties.clone(),
            },
        ),
        ("start", ToNode::Start { task }),
        (
            "cancel",
            ToNode::Cancel {
                task,
                reason: "cancelled".into(),
            },
        ),
        (
            "settle",
            ToNode::Settle {
                task,
                descriptor: Box::new(descriptor(Scheme::Ed25519, 1)),
            },
        ),
        ("abort vote", ToNode::AbortVote { task, ack: ack(2) }),
        (
            "replaced",
            ToNode::Replaced {
                generations: vec![descriptor(Scheme::Ed25519, 4)],
            },
        ),
        ("show", ToNode::Show { keys: held() }),
        ("probe", ToNode::Probe { other: [0x61; 16] }),
        (
            "twin",
            ToNode::Twin {
                mark: Box::new(twin(0x62)),
            },
        ),
        (
            "twins",
            ToNode::Twins {
                node: node(3),
                marks: Box::new([twin(0x65), twin(0x68)]),
            },
        ),
        (
            "preflight",
            ToNode::Preflight {
                ask: 302,
                task: order(),
                parties,
            },
        ),
    ];
    let named = |(name, frame): (&str, _)| (name.to_owned(), frame);
    frames.into_iter().map(named).collect()
}

fn bodies() -> Vec<(String, Body)> {
    let told = Use {
        task: order(),
        signers: vec![node(1), node(2)],
    };
    let part = UsePart {
        task: hash(0x71),
        number: 1,
        of: 3,
        bytes: encode(&told),
    };
    let abort = |evidence, result| {
        Body::Abort(Abort {
            cause: Cause::Environment,
            code: FailureCode::SessionTimeout,
            text: "carol is silent".into(),
            accused: vec![node(3)],
            evidence,
            result,
        })
    };
    let misconduct = misconducts().remove(1).1;
    let run = |message| Body::Run {
        session: session(),
        message,
    };
    let body = vec![0x72; 40];
    let bodies = vec![
        ("ready", Body::Ready(ready(None))),
        ("ready: holds", Body::Ready(ready(Some(hash(0x73))))),
        (
            "run: direct",
            run(Message::Direct {
                phase: 1,
                body: body.clone(),
            }),
        ),
        (
            "run: broadcast",
            run(Message::Broadcast {
                phase: 2,
                number: 300,
                body,
                signature: [0x74; 64],
            }),
        ),
        (
            "run: echo",
            run(Message::Echo {
                phase: 2,
                sender: 300,
                number: 301,
                body: hash(0x75),
                signature: [0x76; 64],
                by: [0x77; 64],
            }),
        ),
        ("run: stored", run(Message::Stored(claim(0x78)))),
        ("abort", abort(None, None)),
        (
            "abort: proven",
            abort(Some(evidence(misconduct)), Some((node(2), claim(0x7b)))),
        ),
        (
            "high water",
            Body::HighWater(HighWater {
                signed: signed_mark(),
                keys: held(),
            }),
        ),
        ("behind", Body::Behind(signed_mark())),
        ("generations", Body::Generations(vec![proof()])),
        ("heard", Body::Heard(held())),
        ("lacks", Body::Lacks(held())),
        ("met", Body::Met(vec![ready(None), ready(Some(hash(0x7e)))])),
        ("used", Body::Used(part)),
        ("released", Body::Released(hash(0x7f))),
        (
            "counted",
            Body::Counted {
                task: hash(0x80),
                released: true,
            },
        ),
    ];
    let named = |(name, body): (&str, _)| (name.to_owned(), body);
    bodies.into_iter().map(named).collect()
}

/// All frames of version 1, and all codes.
pub fn frames() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, frame) in from_nodes() {
        rows.push(row(format!("from node: {name}"), &frame));
    }
    for (name, frame) in to_nodes() {
        rows.push(row(format!("to node: {name}"), &frame));
    }
    for (seq, (name, body)) in (300..).zip(bodies()) {
        let task = task();
        rows.push(row(format!("tunnel: {name}"), &Frame { task, seq, body }));
    }
    // Codes travel as text, so that those of another version are readable.
    let codes = FailureCode::ALL;
    let made_up = FailureCode::from("of-a-later-version");
    for code in codes.iter().chain([&made_up]) {
        rows.push(row(format!("failure code: {code}"), code));
    }
    let codes = RefusalCode::ALL;
    let made_up = RefusalCode::from("of-a-later-version");
    for code in codes.iter().chain([&made_up]) {
        rows.push(row(format!("refusal code: {code}"), code));
    }
    rows
}
