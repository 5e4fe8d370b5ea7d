//! Messages between a node and its coordinator on the control stream. Variants
//! are appended, never changed.

use serde::{Deserialize, Serialize};

use crate::contact::Contact;
use crate::evidence::Evidence;
use crate::forecast::Forecast;
use crate::id::{KeyId, NodeId, TaskId};
use crate::invitation::Token;
use crate::node_status::NodeStatus;
use crate::outcome::{KeyDescriptor, Outcome, PluginVerdict, Refusal, SignedAck};
use crate::task::SignedTask;
use crate::twin::{Instance, TwinMark};
use crate::vote::Vote;

/// The maximum number of entries in `Holds`.
pub const MAX_HELD: usize = 10_000;
/// The maximum number of generations in `Replaced`.
pub const MAX_GENERATIONS: usize = 64;
/// The maximum number of keys in one `Show`.
pub const MAX_SHOWN: usize = 64;

/// A message from a node to its coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "fields without a comment are named for what they hold"
)]
pub enum FromNode {
    /// The first frame of every connection.
    Hello {
        /// [`crate::PROTOCOL_VERSION`] of the sender.
        protocol: u16,
        /// Program and version, for display only.
        software: String,
        /// KeyGens and KeyReshares that this node has stored but not yet seen acknowledged by all.
        pending: Vec<TaskId>,
    },
    /// The node's decision on an offer. After an approval it waits for `Start`.
    Decision {
        task: TaskId,
        /// Absent if the node approved.
        refusal: Option<Refusal>,
        /// The verdict of each plugin that was asked.
        verdicts: Vec<PluginVerdict>,
    },
    /// A task's present stage.
    Progress {
        task: TaskId,
        stage: Stage,
        waiting_for: Vec<NodeId>,
    },
    /// The task's outcome at this node. Sent again whenever the task is offered again.
    Outcome { task: TaskId, outcome: Outcome },
    /// The node's part of a reshare is durable, and it waits for the others. Repeated until
    /// the reshare is settled.
    Stored {
        task: TaskId,
        /// The next generation, with this node's acknowledgement alone.
        descriptor: Box<KeyDescriptor>,
    },
    /// This node never stored anything for the reshare, and never will.
    AbortVote {
        task: TaskId,
        /// Signed over [`crate::outcome::abort_vote_digest`].
        ack: SignedAck,
    },
    /// The keys that this node holds, once after every `Welcome`; long lists take several frames.
    Holds {
        /// At most [`MAX_HELD`] of them.
        keys: Vec<Held>,
    },
    /// The answer to `Show`: generations with all their acknowledgements, those of each key in
    /// order. They prove themselves.
    Generations {
        /// At most [`MAX_GENERATIONS`] of them.
        generations: Vec<KeyDescriptor>,
    },
    /// The number of tasks that this node works on at a time, once after every `Welcome`.
    /// It refuses further ones.
    Capacity {
        /// Never less than 1.
        tasks: u32,
    },
    /// A task's progress in a slow stage; sent every few seconds, so that silence is significant.
    Working {
        task: TaskId,
        stage: Stage,
        /// Empty while the node computes.
        waiting_for: Vec<NodeId>,
        pace: Pace,
    },
    /// Proof that a party cheated in a task, reported by any party. Precedes the
    /// outcome that it explains.
    Evidence {
        task: TaskId,
        /// Unverified until the receiver verifies it.
        evidence: Box<Evidence>,
    },
    /// Replaces `Hello` at nodes that tell their processes apart.
    HelloAs {
        /// [`crate::PROTOCOL_VERSION`] of the sender.
        protocol: u16,
        /// Program and version, for display only.
        software: String,
        /// KeyGens and KeyReshares that this node has stored but not yet seen acknowledged by all.
        pending: Vec<TaskId>,
        /// The random number of the sending process.
        instance: Instance,
    },
    /// The answer to `Probe` and to `Twin`: this process is alive.
    Alive {
        /// Contains the number that it was asked about.
        mark: TwinMark,
    },
    /// The answer to `Preflight`. A node that is asked too much at a time does not answer.
    Preflight {
        /// The number of the question.
        ask: u64,
        forecast: Box<Forecast>,
    },
    /// The node's description of itself, after every `Welcome`, whenever it has changed, and every
    /// few minutes.
    Status {
        /// For display only. Its bundles are not sent.
        #[serde(with = "crate::node_status::without_bundles")]
        status: Box<NodeStatus>,
    },
    /// The first and only frame of a guest, which asks to be registered. Answered by `Contacts` or
    /// `NotJoined`.
    Join {
        /// Admits the guest, once.
        token: Box<Token>,
    },
    /// Asks for the contacts that the coordinator knows, and for news of them while the connection
    /// lasts; asking again changes nothing. As the first frame of a connection it is the only one.
    AskContacts,
    /// The node's operator wants it to finish its tasks and to begin no others, or has withdrawn
    /// that. Sent after every `Welcome` while it is true.
    Draining { draining: bool },
    /// Replaces `Status` at nodes that know policy bundles.
    StatusWithBundles {
        /// For display only.
        status: Box<NodeStatus>,
    },
}

/// A node's progress in a slow stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pace {
    /// Milliseconds since the stage began.
    pub elapsed_ms: u64,
    /// The stage's time limit at this node, in ms.
    pub limit_ms: u64,
    /// Percentage of the protocol's steps completed, 0 to 100; absent while the node only waits.
    pub percent: Option<u8>,
}

/// A key and the generation of it that a node holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct Held {
    pub key: KeyId,
    pub generation: u32,
}

/// A message from a coordinator to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "fields without a comment are named for what they hold"
)]
pub enum ToNode {
    /// The answer to `Hello`: the link is up.
    Welcome {
        /// [`crate::PROTOCOL_VERSION`] of the sender.
        protocol: u16,
        /// Program and version, for display only.
        software: String,
    },
    /// Asks for approval of a task. Also sent again after a reconnect, for tasks without outcome.
    Offer {
        /// The task, exactly as the requester signed it.
        task: SignedTask,
        /// The proposed participants, in the order of their ids.
        parties: Vec<NodeId>,
    },
    /// All parties approved: begin.
    Start { task: TaskId },
    /// The task is cancelled: drop it.
    Cancel { task: TaskId, reason: String },
    /// A key whose acknowledgements are complete; settles a KeyGen or KeyReshare whose last
    /// acknowledgements did not arrive.
    Settle {
        task: TaskId,
        /// Carries all acknowledgements of its generation.
        descriptor: Box<KeyDescriptor>,
    },
    /// A party of a reshare never stored anything: drop anything stored for it.
    AbortVote {
        task: TaskId,
        /// Signed by that party.
        ack: SignedAck,
    },
    /// The generations of a key that moved on without this node, from the one after its own, in
    /// order. More follow when the node reports that it holds the last of these.
    Replaced {
        /// At most [`MAX_GENERATIONS`] of them.
        generations: Vec<KeyDescriptor>,
    },
    /// The node said that it holds these keys, and they are unknown here: asks for their
    /// generations from the given ones on. It answers with as many as fit into one `Generations`,
    /// and is asked again for the rest.
    Show {
        /// At most [`MAX_SHOWN`] of them.
        keys: Vec<Held>,
    },
    /// Another process has connected under this node's identity: answer at once if
    /// this process is alive.
    Probe {
        /// The number of the other process.
        other: Instance,
    },
    /// Another process is alive under this node's identity. Instead of `Welcome` it means that
    /// the connection is refused.
    Twin {
        /// Signed by the other process.
        mark: Box<TwinMark>,
    },
    /// Two processes are alive under another node's identity.
    Twins {
        node: NodeId,
        /// One signed by each process.
        marks: Box<[TwinMark; 2]>,
    },
    /// Asks how the node would decide on a task that nobody has ordered yet. The node keeps and
    /// reserves nothing, and the task's id remains unused.
    Preflight {
        /// Repeated in the answer. Chosen by the coordinator, never twice on one connection.
        ask: u64,
        /// The task, exactly as the requester signed it.
        task: SignedTask,
        /// The parties that the offer would name, in the order of their ids.
        parties: Vec<NodeId>,
    },
    /// The other nodes and requesters that the coordinator knows. They are proposals for the node's
    /// operator, and nothing follows from them. Only sent to those who asked.
    Contacts {
        /// At most [`crate::contact::MAX_CONTACTS`] of them.
        contacts: Vec<Contact>,
    },
    /// The guest is not registered.
    NotJoined {
        /// For display only.
        reason: String,
    },
    /// The answer to each `Draining`: if true, no offer of a task that is new to the node follows.
    Draining { draining: bool },
    /// Replaces `Offer` for a task on which people have voted. A node that has decided on the task
    /// answers with its decision, whatever the votes are now.
    OfferVoted {
        /// The task, exactly as the requester signed it.
        task: SignedTask,
        /// The proposed participants, in the order of their ids.
        parties: Vec<NodeId>,
        /// The votes as the coordinator has them, for plugins to verify. At most
        /// [`Vote::MAX_OF_TASK`], or the frame is malformed.
        #[serde(deserialize_with = "crate::vote::bounded")]
        votes: Vec<Vote>,
    },
}

/// A stage of a node's work on a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Waiting until every party is ready.
    Ready,
    /// Making auxiliary information for a new committee.
    AuxInfo,
    /// Running the threshold protocol of the operation.
    Running,
    /// Waiting until every party has stored.
    Storing,
    /// Waiting until it is every member's turn to make auxiliary information.
    Queued,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Ready => "meeting the others",
            Self::AuxInfo => "making auxiliary information",
            Self::Running => "running the protocol",
            Self::Storing => "storing",
            Self::Queued => "waiting for its turn",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RequesterId;
    use crate::contact::Role;
    use crate::forecast::NotAsked;
    use crate::hash::Hash;
    use crate::id::CoordinatorId;
    use crate::invitation::{Invitation, InvitationId};
    use crate::node_status::{BundleState, BundleStatus, Guards, PluginState, PluginStatus};
    use crate::{UnixMillis, decode, encode};

    fn frozen<T: Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(
        frame: &T,
        expected: &str,
    ) {
        assert_eq!(hex::encode(encode(frame)), expected);
        assert_eq!(
            &decode::<T>(&hex::decode(expected).unwrap()).unwrap(),
            frame
        );
    }

    fn text(text: &str) -> String {
        format!("{:02x}{}", text.len(), hex::encode(text))
    }

    /// A coordinator can carry as many votes as a task can have, even with the largest task.
    #[test]
    fn the_largest_offer_fits_into_a_frame() {
        let task = SignedTask::MAX_PSBT_BYTES + crate::OrderProof::MAX_BYTES;
        let votes = Vote::MAX_OF_TASK * (Vote::MAX_BYTES + 2);
        let parties = 9 * 32;
        assert!(task + votes + parties + 100 <= crate::codec::MAX_FRAME);
    }

    #[test]
    fn an_offer_with_more_votes_than_a_task_can_have_is_malformed() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
        let ballot = crate::Ballot {
            task: Hash([1; 32]),
            choice: crate::Choice::Approve,
            approver: crate::ApproverId::new(crate::ApproverKey::Ed25519(key.to_bytes())).unwrap(),
            time: UnixMillis(1),
        };
        let signature = crate::evidence::Signature([7; 64]);
        let vote = Vote::new(ballot, crate::Proof::Ed25519(signature)).unwrap();
        let offer = |count: usize| {
            let offer = ToNode::OfferVoted {
                task: SignedTask {
                    bytes: b"{}".to_vec(),
                    signature: [7; 64].into(),
                },
                parties: vec![],
                votes: vec![vote.clone(); count],
            };
            decode::<ToNode>(&encode(&offer))
        };
        assert!(offer(Vote::MAX_OF_TASK).is_ok());
        assert!(offer(Vote::MAX_OF_TASK + 1).is_err());
    }

    /// Programs of different versions exchange them.
    #[test]
    fn the_bytes_of_a_preflight_are_frozen() {
        let node = NodeId::from_bytes([
            0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64,
            0x07, 0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68,
            0xf7, 0x07, 0x51, 0x1a,
        ]);
        let node = node.unwrap();
        let asked = ToNode::Preflight {
            ask: 300,
            task: SignedTask {
                bytes: b"{}".to_vec(),
                signature: [7; 64].into(),
            },
            parties: vec![node],
        };
        let parties = hex::encode(encode(&vec![node]));
        let task = format!("027b7d40{}", "07".repeat(64));
        frozen(&asked, &format!("0bac02{task}{parties}"));
        let verdict = PluginVerdict {
            plugin: "rules".into(),
            version: "1".into(),
            digest: Hash([1; 32]),
            config: Hash([2; 32]),
            approved: false,
            code: "limit".into(),
            reason: "too much".into(),
            micros: 5,
        };
        let answer = FromNode::Preflight {
            ask: 300,
            forecast: Box::new(Forecast {
                refusal: Some(Refusal {
                    code: "limit".into(),
                    reason: "too much".into(),
                    plugin: Some("rules".into()),
                }),
                verdicts: vec![verdict],
                not_asked: vec![NotAsked {
                    plugin: "desk".into(),
                    why: "far".into(),
                }],
            }),
        };
        let refusal = format!("01{}{}01{}", text("limit"), text("too much"), text("rules"));
        let hashes = format!("{}{}", "01".repeat(32), "02".repeat(32));
        let said = format!("00{}{}05", text("limit"), text("too much"));
        let verdict = format!("01{}{}{hashes}{said}", text("rules"), text("1"));
        let not_asked = format!("01{}{}", text("desk"), text("far"));
        frozen(&answer, &format!("0dac02{refusal}{verdict}{not_asked}"));
    }

    #[test]
    fn the_bytes_of_a_status_are_frozen() {
        let plugin = PluginStatus {
            name: "rules".into(),
            state: PluginState::Shadow,
            version: Some("1".into()),
            digest: Some(Hash([1; 32])),
            config: None,
            remote: true,
            guards: Guards {
                operations: vec!["keysign".into()],
                keys: vec!["k".into()],
                more_keys: 3,
                schemes: Vec::new(),
            },
        };
        let status = NodeStatus {
            software: "node 1".into(),
            clock: UnixMillis(300),
            schemes: vec!["ed25519".into()],
            plugins: vec![plugin],
            more_plugins: 2,
            bundles: Vec::new(),
        };
        let head = format!("{}ac0201{}", text("node 1"), text("ed25519"));
        let digest = "01".repeat(32);
        let plugin = format!("01{}0101{}01{digest}0001", text("rules"), text("1"));
        let guards = format!("01{}01{}0300", text("keysign"), text("k"));
        let first = format!("{head}{plugin}{guards}02");
        let frame = |status: &NodeStatus| FromNode::Status {
            status: Box::new(status.clone()),
        };
        frozen(&frame(&status), &format!("0e{first}"));

        let bundle = |state, until| BundleStatus {
            name: "t".into(),
            version: 300,
            digest: Hash([2; 32]),
            state,
            until,
            signed: 2,
            needed: 3,
        };
        let status = NodeStatus {
            bundles: vec![
                bundle(BundleState::InForce, None),
                bundle(BundleState::Waiting, Some(UnixMillis(300))),
            ],
            ..status
        };
        let named = format!("{}ac02{}", text("t"), "02".repeat(32));
        let bundles = format!("02{named}00000203{named}0101ac020203");
        // A reader of version 1 accepts nothing more.
        let earlier = encode(&frame(&status));
        assert_eq!(hex::encode(&earlier), format!("0e{first}"));
        let status = FromNode::StatusWithBundles {
            status: Box::new(status),
        };
        frozen(&status, &format!("12{first}{bundles}"));
    }

    /// A node of this version tells a coordinator of the one before nothing that it refuses.
    #[test]
    fn bundles_travel_only_in_a_frame_of_version_2() {
        let status = Box::<NodeStatus>::default;
        let earlier = FromNode::Status { status: status() };
        let later = FromNode::StatusWithBundles { status: status() };
        assert_eq!((earlier.since(), later.since()), (1, 2));
    }

    /// Nodes of this version say it to coordinators of the next.
    #[test]
    fn the_bytes_of_draining_are_frozen() {
        for (draining, last) in [(false, "00"), (true, "01")] {
            frozen(&FromNode::Draining { draining }, &format!("11{last}"));
            frozen(&ToNode::Draining { draining }, &format!("0e{last}"));
        }
    }

    /// A guest of this version shows its token to coordinators of the next.
    #[test]
    fn the_bytes_of_a_join_are_frozen() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
        let key = key.to_bytes();
        let token = Token {
            invitation: Invitation {
                coordinator: CoordinatorId::from_bytes(key).unwrap(),
                address: "c:1".into(),
                id: InvitationId([9; 16]),
                role: Role::Requester,
                name: "bob".into(),
                expires: UnixMillis(300),
            },
            mac: [0x5a; 32],
        };
        let join = FromNode::Join {
            token: Box::new(token),
        };
        let id = hex::encode(key);
        let place = format!("{}{}01{}ac02", text("c:1"), "09".repeat(16), text("bob"));
        frozen(&join, &format!("0f{id}{place}{}", "5a".repeat(32)));
        frozen(&FromNode::AskContacts, "10");
        let contacts = vec![
            Contact::Node {
                name: "a".into(),
                id: NodeId::from_bytes(key).unwrap(),
            },
            Contact::Requester {
                name: "b".into(),
                id: RequesterId::from_bytes(key).unwrap(),
            },
        ];
        let bytes = format!("0c0200{}{id}01{}{id}", text("a"), text("b"));
        frozen(&ToNode::Contacts { contacts }, &bytes);
        let reason = "no".to_owned();
        frozen(&ToNode::NotJoined { reason }, &format!("0d{}", text("no")));
    }
}
