//! An overview of a running node for its operator. It has no secret and no content of a task.

use std::sync::Arc;

use countersign_host::{Condition, EntryStatus};
use countersign_protocol::node_status::BundleStatus;
use countersign_protocol::{OperationKind, Outcome, TaskId, UnixMillis};
use countersign_store::{Journal, ReadJournalError, Row, State};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::metrics::{JournalSnapshot, Peer, Snapshot};

/// The most tasks in an overview.
const TASKS: usize = 5;

/// Takes a snapshot of the node.
pub type Look = Arc<dyn Fn() -> BoxFuture<'static, Snapshot> + Send + Sync>;

/// The state of a node at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// Reasons why the node cannot do its work; empty if it can.
    pub not_ready: Vec<String>,
    /// True if it takes no new tasks.
    pub draining: bool,
    /// Number of tasks under way.
    pub under_way: u64,
    /// Things that wait for somebody, in words.
    pub waits_for: Vec<String>,
    /// Keys that can be used.
    pub keys: usize,
    /// The newest tasks, newest first.
    pub tasks: Vec<TaskLine>,
    /// The other nodes of the roster.
    pub peers: Vec<PeerLine>,
    /// The plugins in the order in which they are asked.
    pub plugins: Vec<PluginLine>,
    /// The policy bundle in force and the one that waits.
    #[serde(default)]
    pub bundles: Vec<BundleStatus>,
    /// Time of the last backup.
    pub backup: Option<UnixMillis>,
    /// Time of the last drill that succeeded.
    pub drill: Option<UnixMillis>,
    /// Time of the last check-up that found every share intact.
    pub all_intact: Option<UnixMillis>,
    /// Bytes of the journal; absent if unknown.
    pub journal_bytes: Option<u64>,
    /// Free bytes on the disk of the store; absent if unknown.
    pub free_bytes: Option<u64>,
}

/// A task that the node decided on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLine {
    /// The task's id.
    pub task: TaskId,
    /// Its kind.
    pub kind: OperationKind,
    /// The time at which the node first saw it.
    pub received: UnixMillis,
    /// Its progress or end, in words.
    pub state: String,
}

/// Another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerLine {
    /// The operator's name for it.
    pub name: String,
    /// True if there is a tunnel to it. Tunnels are opened when there is something to say.
    pub connected: bool,
    /// Milliseconds by which its clock was ahead when it was last heard.
    pub skew_ms: Option<i64>,
}

/// A plugin entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginLine {
    /// The entry's name.
    pub name: String,
    /// The version by which the component describes itself.
    pub version: Option<String>,
    /// `in force`, `shadow` or `broken`.
    pub state: String,
    /// The decisions since the start: approved, rejected, without an answer.
    pub decisions: [u64; 3],
}

impl Overview {
    /// Describes a node whose clock shows `now`. `recent` are its newest tasks.
    pub fn of(snapshot: &Snapshot, recent: &[Row], draining: bool, now: UnixMillis) -> Self {
        // `not_ready` says why a journal cannot be read.
        let journal = snapshot.journal.as_ref().ok();
        let (under_way, _) = snapshot.offers;
        Self {
            not_ready: snapshot.not_ready(),
            draining,
            under_way,
            waits_for: journal.map(waits_for).into_iter().flatten().collect(),
            keys: journal.map_or(0, |journal| journal.active_keys),
            tasks: recent.iter().map(TaskLine::of).collect(),
            peers: snapshot.peers.iter().map(PeerLine::of).collect(),
            plugins: snapshot.plugins.iter().map(PluginLine::of).collect(),
            bundles: snapshot
                .bundles
                .iter()
                .map(|bundle| bundle.status(now))
                .collect(),
            backup: journal.and_then(|journal| journal.backup),
            drill: journal.and_then(|journal| journal.drill),
            all_intact: snapshot.all_intact,
            journal_bytes: snapshot.files.journal,
            free_bytes: snapshot.files.disk.map(|disk| disk.free),
        }
    }

    /// The newest tasks of a journal.
    pub fn recent(journal: &Journal) -> Result<Vec<Row>, ReadJournalError> {
        journal.recent(TASKS)
    }
}

fn waits_for(journal: &JournalSnapshot) -> Vec<String> {
    let some = |count: usize, [one, many]: [&str; 2], advice: &str| {
        let what = if count == 1 { one } else { many };
        (count > 0).then(|| format!("{count} {what}: {advice}"))
    };
    let all = [
        some(
            journal.pending_keys,
            [
                "key waits for its members' confirmation",
                "keys wait for their members' confirmation",
            ],
            "`info moved`, and see that the other nodes are online",
        ),
        some(
            journal.unsettled,
            [
                "reshare waits for other parties",
                "reshares wait for other parties",
            ],
            "`task unsettled`",
        ),
        some(
            journal.quarantined,
            ["peer is quarantined", "peers are quarantined"],
            "`quarantine list`, and examine those nodes",
        ),
        some(
            journal.stopped,
            ["key is stopped", "keys are stopped"],
            "`quarantine list`, and examine their nodes",
        ),
    ];
    all.into_iter().flatten().collect()
}

impl TaskLine {
    fn of(row: &Row) -> Self {
        let state = match &row.state {
            State::Approved => "approved, under way".into(),
            State::Ended { outcome, .. } => end(outcome),
        };
        Self {
            task: row.task,
            kind: row.kind,
            received: row.received_at,
            state,
        }
    }
}

fn end(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Created(_) => "key created".into(),
        Outcome::Signed(_) => "signed".into(),
        Outcome::Reshared(_) => "reshared".into(),
        Outcome::Intact(_) => "shares intact".into(),
        Outcome::Refused(refusal) => match &refusal.plugin {
            Some(plugin) => format!("refused by plugin {plugin} [{}]", refusal.code),
            None => format!("refused [{}]", refusal.code),
        },
        Outcome::Failed(failure) => format!("failed [{}]", failure.code),
    }
}

impl PeerLine {
    fn of(peer: &Peer) -> Self {
        Self {
            name: peer.name.clone(),
            connected: peer.present,
            skew_ms: peer.skew,
        }
    }
}

impl PluginLine {
    fn of(entry: &EntryStatus) -> Self {
        let state = match &entry.condition {
            Condition::InForce => "in force",
            Condition::Shadow => "shadow",
            Condition::Broken { .. } => "broken",
        };
        let counts = &entry.counts;
        Self {
            name: entry.name.clone(),
            version: entry.version.clone(),
            state: state.into(),
            decisions: [counts.approved, counts.rejected, counts.failed],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::snapshot;
    use crate::task::fixtures::{decided, nodes};

    const NOW: UnixMillis = UnixMillis(1_000);

    fn row(task: u8, state: State) -> Row {
        let row = decided(TaskId([task; 16]), OperationKind::KeySign, nodes(&[1, 2]));
        let mut whole = Row {
            task: row.task,
            hash: row.hash,
            kind: row.kind,
            received_at: row.received_at,
            state,
            verdicts: row.verdicts,
            parties: row.parties,
            bytes: row.bytes,
            recording: None,
            chain: None,
        };
        whole.bytes = b"secret content".to_vec();
        whole
    }

    #[test]
    fn a_node_that_is_well_is_ready_and_waits_for_nobody() {
        let mut well = snapshot();
        well.plugins.clear();
        well.journal = Ok(JournalSnapshot::default());
        let overview = Overview::of(&well, &[], false, NOW);
        assert_eq!(overview.not_ready, Vec::<String>::new());
        assert_eq!(overview.waits_for, Vec::<String>::new());
    }

    #[test]
    fn everything_that_keeps_it_from_its_work_is_named() {
        let mut ill = snapshot();
        ill.online = false;
        ill.journal = Ok(JournalSnapshot {
            pending_keys: 2,
            unsettled: 1,
            quarantined: 3,
            stopped: 4,
            ..JournalSnapshot::default()
        });
        let overview = Overview::of(&ill, &[], true, NOW);
        let said = overview.not_ready.join("\n");
        assert!(said.contains("coordinator"), "{said}");
        assert!(overview.draining);
        let starts: Vec<&str> = overview
            .waits_for
            .iter()
            .map(|line| &line[..line.find(':').unwrap()])
            .collect();
        let expected = [
            "2 keys wait for their members' confirmation",
            "1 reshare waits for other parties",
            "3 peers are quarantined",
            "4 keys are stopped",
        ];
        assert_eq!(starts, expected);
    }

    #[test]
    fn a_bundle_that_waits_is_told_with_the_end_of_its_wait() {
        let overview = Overview::of(&snapshot(), &[], false, NOW);
        let ends: Vec<_> = overview
            .bundles
            .iter()
            .map(|bundle| (bundle.version, bundle.until))
            .collect();
        let end = UnixMillis(NOW.0 + 83_400_500);
        assert_eq!(ends, [(6, None), (7, Some(end))]);
    }

    #[test]
    fn tasks_are_told_without_their_content() {
        let overview = Overview::of(&snapshot(), &[row(1, State::Approved)], false, NOW);
        let text = serde_json::to_string(&overview).unwrap();
        assert!(text.contains("approved, under way"), "{text}");
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(serde_json::from_str::<Overview>(&text).unwrap(), overview);
    }
}
