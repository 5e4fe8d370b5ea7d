//! What a node and its coordinator say to each other on the control stream. Variants are appended,
//! never changed.

use serde::{Deserialize, Serialize};

use crate::evidence::Evidence;
use crate::id::{KeyId, NodeId, TaskId};
use crate::outcome::{Announcement, Outcome, PluginVerdict, Refusal, StoredMark};
use crate::task::SignedTask;
use crate::twin::{Instance, TwinMark};

/// Entries in one `Holds`.
pub const MAX_HELD: usize = 10_000;
/// Generations in one `Replaced`.
pub const MAX_GENERATIONS: usize = 64;
/// Keys in one `Show`.
pub const MAX_SHOWN: usize = 64;

/// From a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromNode {
    /// First frame of every connection.
    Hello {
        /// [`crate::PROTOCOL_VERSION`].
        protocol: u16,
        /// Program and version, for people.
        software: String,
        /// KeyGens and KeyReshares that this node has stored for and not yet seen confirmed by all.
        pending: Vec<TaskId>,
    },
    /// What the node decided. After an approval it waits for `Start`.
    Decision {
        /// Which task.
        task: TaskId,
        /// Absent: approved.
        refusal: Option<Refusal>,
        /// What each plugin that was asked said.
        verdicts: Vec<PluginVerdict>,
    },
    /// Where a task stands.
    Progress {
        /// Which task.
        task: TaskId,
        /// What is being done.
        stage: Stage,
        /// Whom the node waits for.
        waiting_for: Vec<NodeId>,
    },
    /// How the task ended here. Sent again whenever the task is offered again.
    Outcome {
        /// Which task.
        task: TaskId,
        /// How it ended.
        outcome: Outcome,
    },
    /// What this node will hold after a reshare is durable here, and it waits for the others. Said
    /// again until it is settled.
    Stored {
        /// Which task.
        task: TaskId,
        /// The next generation, with this node's mark alone.
        announcement: Box<Announcement>,
    },
    /// This node never stored anything for the reshare, and never will.
    Void {
        /// Which task.
        task: TaskId,
        /// Over [`crate::outcome::void_digest`].
        mark: StoredMark,
    },
    /// Which keys this node holds, once after every `Welcome`; long lists in several frames.
    Holds {
        /// At most [`MAX_HELD`].
        keys: Vec<Held>,
    },
    /// Answer to `Show`: generations with all their marks, those of one key in order. They prove
    /// themselves.
    Generations {
        /// At most [`MAX_GENERATIONS`].
        generations: Vec<Announcement>,
    },
    /// How many tasks this node works on at a time, once after every `Welcome`. It refuses further
    /// ones.
    Capacity {
        /// At least 1.
        tasks: u32,
    },
    /// Where a task stands in a stage that takes long; said every few seconds, so that silence
    /// means something.
    Working {
        /// Which task.
        task: TaskId,
        /// What is being done.
        stage: Stage,
        /// Whom the node waits for; nobody while it computes.
        waiting_for: Vec<NodeId>,
        /// How far it has come.
        pace: Pace,
    },
    /// Proof that a party cheated in a task; whoever reports it. Comes before the outcome that it
    /// explains.
    Evidence {
        /// Which task.
        task: TaskId,
        /// The proof, to be verified.
        evidence: Box<Evidence>,
    },
    /// First frame of every connection, of nodes that tell their processes apart: in the place of
    /// `Hello`.
    HelloAs {
        /// [`crate::PROTOCOL_VERSION`].
        protocol: u16,
        /// Program and version, for people.
        software: String,
        /// KeyGens and KeyReshares that this node has stored for and not yet seen confirmed by all.
        pending: Vec<TaskId>,
        /// Number of the process.
        instance: Instance,
    },
    /// Answer to `Probe` and to `Twin`: this process lives.
    Alive {
        /// With the number that it was put.
        mark: TwinMark,
    },
}

/// How far a node has come in a stage that takes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Since the stage began, in ms.
    pub elapsed_ms: u64,
    /// How long the stage may take at this node, in ms.
    pub limit_ms: u64,
    /// Share of the protocol's steps that are done, 0 to 100; absent where the node only waits.
    pub percent: Option<u8>,
}

/// A key and the generation of it that a node holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Which key.
    pub key: KeyId,
    /// Which generation.
    pub generation: u32,
}

/// To a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToNode {
    /// Answer to `Hello`: the link is up.
    Welcome {
        /// [`crate::PROTOCOL_VERSION`].
        protocol: u16,
        /// Program and version, for people.
        software: String,
    },
    /// May this be done? Also sent again after a reconnect, for tasks without outcome.
    Offer {
        /// The task, exactly as the requester signed it.
        task: SignedTask,
        /// Who is to take part, in the order of their ids.
        parties: Vec<NodeId>,
    },
    /// All parties approved: begin.
    Start {
        /// Which task.
        task: TaskId,
    },
    /// It will not be done: drop it.
    Cancel {
        /// Which task.
        task: TaskId,
        /// Why, for people.
        reason: String,
    },
    /// A key whose marks are complete; settles a KeyGen or KeyReshare whose last marks did not
    /// arrive.
    Settle {
        /// Which task.
        task: TaskId,
        /// The key with all marks.
        announcement: Box<Announcement>,
    },
    /// A party of a reshare never stored anything: drop what was stored for it.
    Void {
        /// Which task.
        task: TaskId,
        /// That party's word.
        mark: StoredMark,
    },
    /// A key has moved on without this node: its generations after the one that the node holds, in
    /// order. A later part follows when the node says that it holds the last of these.
    Replaced {
        /// At most [`MAX_GENERATIONS`].
        generations: Vec<Announcement>,
    },
    /// The node said that it holds these keys, and they are not known here: let it show what it has
    /// of them, from the given generations on. It answers with as many as fit into one
    /// `Generations`, and is asked again for the rest.
    Show {
        /// At most [`MAX_SHOWN`].
        keys: Vec<Held>,
    },
    /// Somebody else has connected under this node's identity, as this process: answer at once if
    /// you live.
    Probe {
        /// The other's number.
        other: Instance,
    },
    /// Another process lives under this node's identity. In the place of `Welcome` it means that
    /// the connection is refused.
    Twin {
        /// The other's word.
        mark: Box<TwinMark>,
    },
    /// Two processes live under the identity of another node.
    Twins {
        /// Which node.
        node: NodeId,
        /// The word of each.
        marks: Box<[TwinMark; 2]>,
    },
}

/// What a node is doing for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Waiting until every party is ready.
    Ready,
    /// Making auxiliary information for a new committee.
    AuxInfo,
    /// Running the protocol.
    Running,
    /// Waiting until every party has stored.
    Storing,
    /// Waiting until every member's turn has come to make auxiliary information.
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
