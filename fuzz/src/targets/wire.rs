//! Frames: between nodes, and between a node and its coordinator.

use countersign_protocol::contact::Role;
use countersign_protocol::control::{FromNode, Held, Pace, Stage, ToNode};
use countersign_protocol::evidence::{Claim, Misconduct, Signature, SignedHash};
use countersign_protocol::frame::{Abort, Body, Frame, HighWater, Mark, NO_TASK, SignedMark, Use};
use countersign_protocol::invitation::{Invitation, InvitationId, Token};
use countersign_protocol::node_status::{
    BundleState, BundleStatus, Guards, NodeStatus, PluginState, PluginStatus,
};
use countersign_protocol::{
    Cause, Choice, Contact, CoordinatorId, DerivationPath, Evidence, Failure, Forecast,
    GenerationProof, Hash, InputSignature, Intact, KeyId, NotAsked, OrderAssertion, Outcome,
    PluginVerdict, Point, Refusal, SessionId, Signed, SignedAck, SignedTask, TaskId, UnixMillis,
    encode,
};
use countersign_vote::testing::{Key, Passkey};

use super::{descriptor, people};
use crate::check;

const TASK: TaskId = TaskId([5; 16]);
pub(super) const HASH: Hash = Hash([6; 32]);

/// Frames between two nodes.
pub(super) fn frames(input: &[u8]) -> bool {
    let Some(frame) = check::postcard::<Frame>(input) else {
        return false;
    };
    if let Body::Abort(Abort {
        evidence: Some(evidence),
        ..
    }) = &frame.body
    {
        convicts_nobody(evidence);
    }
    true
}

/// Frames from a node to its coordinator.
pub(super) fn from_nodes(input: &[u8]) -> bool {
    let Some(frame) = check::postcard::<FromNode>(input) else {
        return false;
    };
    if let FromNode::Evidence { evidence, .. } = &frame {
        convicts_nobody(evidence);
    }
    true
}

/// Frames from a coordinator to a node.
pub(super) fn to_nodes(input: &[u8]) -> bool {
    match check::postcard::<ToNode>(input) {
        Some(
            ToNode::Offer { task, .. }
            | ToNode::OfferVoted { task, .. }
            | ToNode::Preflight { task, .. },
        ) => super::task::run(&task.bytes),
        other => other.is_some(),
    }
}

fn used() -> Use {
    let task = SignedTask {
        bytes: b"{}".to_vec(),
        signature: [7; 64].into(),
    };
    Use {
        task,
        signers: people::nodes().to_vec(),
    }
}

fn held() -> Vec<Held> {
    vec![Held {
        key: KeyId::of_task(&HASH),
        generation: 3,
    }]
}

fn ack() -> SignedAck {
    SignedAck {
        node: people::nodes()[0],
        signature: vec![7; 64],
    }
}

pub(super) fn frame_seeds() -> Vec<Vec<u8>> {
    let node = people::nodes()[0];
    let proof = GenerationProof {
        descriptor: descriptor::sample(),
        in_force: vec![ack()],
    };
    let signed = SignedMark {
        mark: Mark::default(),
        about: HASH,
        signature: [7; 64],
    };
    let told = Claim {
        digest: HASH,
        ack: Signature([1; 64]),
        signature: Signature([2; 64]),
    };
    let abort = Abort {
        cause: Cause::Peer,
        code: "equivocation".into(),
        text: "two results".into(),
        accused: vec![node],
        evidence: Some(Box::new(evidence())),
        result: Some((node, told)),
    };
    let bodies = [
        Body::Abort(abort),
        Body::HighWater(HighWater {
            signed,
            keys: held(),
        }),
        Body::Behind(signed),
        Body::Generations(vec![proof]),
        Body::Heard(held()),
        Body::Lacks(held()),
        Body::Used(used().parts().remove(0)),
        Body::Released(HASH),
        Body::Counted {
            task: HASH,
            released: true,
        },
    ];
    let alone = bodies.map(|body| {
        encode(&Frame {
            task: NO_TASK,
            seq: 1,
            body,
        })
    });
    super::session::frames()
        .iter()
        .map(encode)
        .chain(alone)
        .collect()
}

fn evidence() -> Evidence {
    let said = |byte| SignedHash {
        hash: Hash([byte; 32]),
        signature: Signature([byte; 64]),
    };
    let session = SessionId([8; 32]);
    let signed = [said(1), said(2)];
    let misconduct = Misconduct::Broadcasts {
        session,
        phase: 0,
        number: 3,
        signed,
    };
    Evidence {
        task: HASH,
        node: people::nodes()[1],
        misconduct,
    }
}

/// Evidence against a node whose key is not at hand convicts nobody.
fn convicts_nobody(evidence: &Evidence) {
    let convicts = evidence.verify(evidence.task, &[evidence.node]);
    assert!(
        !convicts,
        "words that nobody signed convict {}",
        evidence.node
    );
    assert!(!evidence.failure().culprits.is_empty());
}

pub(super) fn from_node_seeds() -> Vec<Vec<u8>> {
    let node = ack().node;
    let pace = Pace {
        elapsed_ms: 1000,
        limit_ms: 60_000,
        percent: Some(40),
    };
    let descriptor = descriptor::sample;
    let refusal = Refusal {
        code: "rules".into(),
        reason: "too much".into(),
        plugin: Some("rules".into()),
    };
    let failure = Failure {
        cause: Cause::Peer,
        code: "peer-lost".into(),
        text: "ask".into(),
        culprits: vec![node],
    };
    let signature = InputSignature {
        path: "m/0/7".parse::<DerivationPath>().expect("a path"),
        public_key: vec![2; 33],
        signed_bytes: vec![4; 32],
        signature: vec![5; 64],
        recovery_id: Some(1),
    };
    let outcomes = [
        Outcome::Created(descriptor()),
        Outcome::Signed(Signed {
            session: SessionId([8; 32]),
            signatures: vec![signature],
        }),
        Outcome::Refused(refusal.clone()),
        Outcome::Failed(failure),
        Outcome::Reshared(descriptor()),
        Outcome::Intact(Intact {
            node,
            key: KeyId::of_task(&HASH),
            generation: 1,
            public_shares: vec![Point(vec![2; 33])],
            proof: Point(vec![3; 65]),
        }),
    ];
    let frames = [
        FromNode::Hello {
            protocol: 1,
            software: "node 1".into(),
            pending: vec![TASK],
        },
        FromNode::Decision {
            task: TASK,
            refusal: Some(refusal),
            verdicts: vec![],
        },
        FromNode::Progress {
            task: TASK,
            stage: Stage::Running,
            waiting_for: vec![node],
        },
        FromNode::Stored {
            task: TASK,
            descriptor: Box::new(descriptor()),
        },
        FromNode::AbortVote {
            task: TASK,
            ack: ack(),
        },
        FromNode::Holds { keys: held() },
        FromNode::Generations {
            generations: vec![descriptor()],
        },
        FromNode::Capacity { tasks: 16 },
        FromNode::Evidence {
            task: TASK,
            evidence: Box::new(evidence()),
        },
        FromNode::Working {
            task: TASK,
            stage: Stage::AuxInfo,
            waiting_for: vec![],
            pace,
        },
        FromNode::Preflight {
            ask: 7,
            forecast: Box::new(forecast()),
        },
        FromNode::Status {
            status: Box::new(status()),
        },
        FromNode::Join {
            token: Box::new(token()),
        },
        FromNode::AskContacts,
        FromNode::Draining { draining: true },
        FromNode::StatusWithBundles {
            status: Box::new(status()),
        },
    ];
    let ends = outcomes.into_iter().map(|outcome| {
        encode(&FromNode::Outcome {
            task: TASK,
            outcome,
        })
    });
    frames.iter().map(encode).chain(ends).collect()
}

fn forecast() -> Forecast {
    Forecast {
        refusal: None,
        verdicts: vec![PluginVerdict {
            plugin: "rules".into(),
            version: "1".into(),
            digest: HASH,
            config: HASH,
            approved: true,
            code: String::new(),
            reason: String::new(),
            micros: 80,
        }],
        not_asked: vec![NotAsked {
            plugin: "desk".into(),
            why: "far".into(),
        }],
    }
}

fn token() -> Token {
    Token {
        invitation: Invitation {
            coordinator: CoordinatorId::from_bytes(*people::nodes()[0].as_bytes()).unwrap(),
            address: "coordinator.example:7443".into(),
            id: InvitationId([9; 16]),
            role: Role::Node,
            name: "bob".into(),
            expires: UnixMillis(1000),
        },
        mac: [7; 32],
    }
}

fn status() -> NodeStatus {
    NodeStatus {
        software: "node 1".into(),
        clock: UnixMillis(1000),
        schemes: vec!["ed25519".into()],
        plugins: vec![PluginStatus {
            name: "rules".into(),
            state: PluginState::InForce,
            version: Some("1".into()),
            digest: Some(HASH),
            config: Some(HASH),
            remote: false,
            guards: Guards {
                operations: vec!["keysign".into()],
                ..Guards::default()
            },
        }],
        more_plugins: 0,
        bundles: vec![BundleStatus {
            name: "treasury".into(),
            version: 7,
            digest: HASH,
            state: BundleState::Waiting,
            until: Some(UnixMillis(2000)),
            signed: 2,
            needed: 2,
        }],
    }
}

pub(super) fn to_node_seeds() -> Vec<Vec<u8>> {
    let descriptor = descriptor::sample;
    let offers = super::task::seeds().into_iter().map(|bytes| ToNode::Offer {
        task: SignedTask {
            bytes,
            signature: [1; 64].into(),
        },
        parties: vec![ack().node],
    });
    let assertion = Passkey::new(3).assertion(&[7; 32]);
    let frames = [
        ToNode::Welcome {
            protocol: 1,
            software: "coordinator 1".into(),
        },
        ToNode::Offer {
            task: SignedTask {
                signature: OrderAssertion::new(assertion).expect("it is one").into(),
                ..used().task
            },
            parties: vec![ack().node],
        },
        ToNode::OfferVoted {
            task: used().task,
            parties: vec![ack().node],
            votes: vec![Key::new(1).vote(HASH, Choice::Approve, 1000)],
        },
        ToNode::Start { task: TASK },
        ToNode::Cancel {
            task: TASK,
            reason: "too late".into(),
        },
        ToNode::Settle {
            task: TASK,
            descriptor: Box::new(descriptor()),
        },
        ToNode::AbortVote {
            task: TASK,
            ack: ack(),
        },
        ToNode::Replaced {
            generations: vec![descriptor()],
        },
        ToNode::Show { keys: held() },
        ToNode::Preflight {
            ask: 7,
            task: used().task,
            parties: vec![ack().node],
        },
        ToNode::Contacts {
            contacts: vec![Contact::Node {
                name: "bob".into(),
                id: ack().node,
            }],
        },
        ToNode::NotJoined {
            reason: "used".into(),
        },
        ToNode::Draining { draining: true },
    ];
    frames
        .into_iter()
        .chain(offers)
        .map(|frame| encode(&frame))
        .collect()
}
