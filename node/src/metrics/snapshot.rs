//! A snapshot of a node, from which its metrics and its readiness are derived.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use countersign_host::{Condition, EntryStatus};
use countersign_link::PeerKey;
use countersign_metrics::Histogram;
use countersign_metrics::disk::{self, Space};
use countersign_protocol::{NodeId, UnixMillis};
use countersign_store::journal::JOURNAL_FILE;
use countersign_store::secrets::files_in;
use countersign_store::{Journal, ReadJournalError};
use tokio_util::sync::CancellationToken;

use super::counters::{Counters, Ended, Stage};
use crate::bundle::{BundleBoard, PostedBundle};
use crate::check_ups::{CheckUps, Round};
use crate::config::LiveConfig;
use crate::events::{LiveReceiver, Receivers};
use crate::off_thread::{off_thread, with_journal};
use crate::risk::Guard;
use crate::session::Router;
use crate::task::{AuxMaker, history};
use crate::twins::Twins;
use crate::vault::Vault;

/// The state of a node at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The node was told to stop.
    pub stopping: bool,
    /// A vital part has died, and the node is about to stop.
    pub failed: bool,
    /// Why the journal or the secrets can no longer be written; `None` if they can.
    pub trouble: Option<String>,
    /// Another process uses this node's identity, and the operator has not decided yet.
    pub twin: bool,
    /// There is a link to the coordinator.
    pub online: bool,
    /// Figures from the journal, or the reason why it cannot be read.
    pub journal: Result<JournalSnapshot, Arc<ReadJournalError>>,
    /// The number of running sessions.
    pub sessions: usize,
    /// The state of each configured plugin.
    pub plugins: Vec<EntryStatus>,
    /// The state of each configured event receiver.
    pub receivers: Vec<LiveReceiver>,
    /// Changes of plugins that were put in force, and changes that were refused.
    pub swaps: (u64, u64),
    /// The policy bundle in force and the one that waits.
    pub bundles: Vec<PostedBundle>,
    /// The number of refused policy bundles, by code.
    pub bundles_refused: Vec<(&'static str, u64)>,
    /// Successful and failed pushes to InfluxDB; `None` if none is configured.
    pub pushes: Option<(u64, u64)>,
    /// The result of the last check-up of all shares.
    pub check_up: Option<Round>,
    /// The last check-up at which every share was intact.
    pub all_intact: Option<UnixMillis>,
    /// The number of tasks, by kind and outcome.
    pub tasks: Vec<(&'static str, Ended, u64)>,
    /// The number of refusals by code.
    pub refusals: Vec<(&'static str, u64)>,
    /// The number of failures by code.
    pub failures: Vec<(&'static str, u64)>,
    /// The time that tasks spent, by kind and stage.
    pub stages: Vec<((&'static str, Stage), Histogram)>,
    /// Offers that are being handled, and offers that were dropped.
    pub offers: (u64, u64),
    /// The length of the queue for auxiliary information.
    pub aux_queue: usize,
    /// Every other node of the roster.
    pub peers: Vec<Peer>,
    /// Tries to deliver events, by receiver and success.
    pub deliveries: Vec<((String, bool), u64)>,
    /// Durations of tries by receiver.
    pub delivery_times: Vec<(String, Histogram)>,
    /// The files of the store.
    pub files: Files,
}

/// A node of the roster.
#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    /// The operator's name for it.
    pub name: String,
    /// True if there is a tunnel to it.
    pub present: bool,
    /// Milliseconds by which its clock was ahead when it was last heard.
    pub skew: Option<i64>,
}

/// Sizes in bytes; `None` if they cannot be determined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Files {
    /// The file of the journal.
    pub journal: Option<u64>,
    /// The secrets and the identity.
    pub secrets: Option<u64>,
    /// The file system of the store.
    pub disk: Option<Space>,
}

/// Figures from the journal.
#[derive(Debug, Clone, Default)]
pub struct JournalSnapshot {
    /// Keys that can be used for signing.
    pub active_keys: usize,
    /// Keys that wait for their members' confirmation.
    pub pending_keys: usize,
    /// Keys that were handed over to other nodes.
    pub released_keys: usize,
    /// Reshares that wait for other parties.
    pub unsettled: usize,
    /// Quarantined peers, one for each peer and key.
    pub quarantined: usize,
    /// Keys that are stopped, entirely or with certain signers.
    pub stopped: usize,
    /// Deliveries of events that are kept, including those that were given up.
    pub outbox: u64,
    /// Time of the last backup.
    pub backup: Option<UnixMillis>,
    /// Time of the last drill that succeeded.
    pub drill: Option<UnixMillis>,
}

/// The parts of a node that a snapshot is taken of.
#[derive(Clone)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct Sources {
    pub me: NodeId,
    pub dir: PathBuf,
    pub config: Arc<LiveConfig>,
    pub counters: Arc<Counters>,
    pub journal: Journal,
    pub vault: Arc<Vault>,
    pub twins: Arc<Twins>,
    pub router: Arc<Router>,
    pub guard: Arc<Guard>,
    pub receivers: Arc<Receivers>,
    pub check_ups: Arc<CheckUps>,
    pub aux: Arc<AuxMaker>,
    pub board: Arc<BundleBoard>,
    /// True if an InfluxDB is configured.
    pub pushes: bool,
    /// Cancelled when the node has to stop.
    pub stopping: CancellationToken,
}

impl Snapshot {
    /// Takes a snapshot of a running node.
    pub async fn of(node: Sources) -> Self {
        let dir = node.dir.clone();
        Self {
            files: off_thread(move || Files::of(&dir)).await,
            peers: peers(&node),
            stopping: node.stopping.is_cancelled(),
            failed: node.counters.has_failed(),
            trouble: [node.journal.trouble(), node.vault.trouble()]
                .iter()
                .find_map(|trouble| trouble.why().map(str::to_owned)),
            twin: node.twins.is_known(),
            online: node.counters.is_online(),
            journal: with_journal(&node.journal, JournalSnapshot::of)
                .await
                .map_err(Arc::new),
            sessions: node.router.sessions(),
            plugins: node.guard.status(),
            receivers: node.receivers.live(),
            swaps: node.counters.swaps(),
            bundles: node.board.read(),
            bundles_refused: node.board.refused(),
            pushes: node.pushes.then(|| node.counters.pushes()),
            check_up: node.check_ups.last(),
            all_intact: node.check_ups.all_intact(),
            tasks: node.counters.tasks(),
            refusals: node.counters.refusals(),
            failures: node.counters.failures(),
            stages: node.counters.stages(),
            offers: node.counters.offers(),
            aux_queue: node.aux.queue.places(),
            deliveries: node.counters.deliveries(),
            delivery_times: node.counters.delivery_times(),
        }
    }

    /// Returns the reasons why the node cannot do its work now; empty if it can.
    pub fn not_ready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.stopping {
            reasons.push("the node is stopping".into());
        }
        match (&self.trouble, &self.journal) {
            (Some(why), _) => reasons.push(format!("store: {why}")),
            (None, Err(error)) => reasons.push(format!("store: {error}")),
            (None, Ok(_)) if self.failed => {
                reasons.push(
                    "a part of the node has died, and the node is about to stop; the log says which"
                        .into(),
                );
            }
            (None, Ok(_)) => {}
        }
        if self.twin {
            reasons.push("another process runs with the identity of this node: end the one that is not the original, then run `countersign-node quarantine lift-twin`".into());
        }
        if !self.online {
            reasons.push("coordinator: there is no link; the log says why".into());
        }
        reasons.extend(self.plugins.iter().filter_map(broken));
        reasons
    }
}

fn peers(node: &Sources) -> Vec<Peer> {
    let skews = node.counters.skews();
    let config = node.config.now();
    let others = config.roster.iter().filter(|(id, _)| **id != node.me);
    let peer = |(id, name): (&NodeId, &String)| Peer {
        name: name.clone(),
        present: node.router.mesh().connected(&PeerKey(*id.as_bytes())),
        skew: skews.get(id).copied(),
    };
    others.map(peer).collect()
}

impl Files {
    fn of(dir: &Path) -> Self {
        let sum = |files: Vec<PathBuf>| files.iter().filter_map(|file| disk::size(file)).sum();
        Self {
            journal: disk::size(&dir.join(JOURNAL_FILE)),
            // A folder that cannot be read has no size to show. The node stops by itself when it
            // cannot use its secrets.
            secrets: files_in(dir).map(sum).ok(),
            disk: disk::space(dir),
        }
    }
}

fn broken(entry: &EntryStatus) -> Option<String> {
    match &entry.condition {
        Condition::Broken { code, reason } => {
            Some(format!("plugin {}: {reason} [{code}]", entry.name))
        }
        Condition::InForce | Condition::Shadow => None,
    }
}

impl JournalSnapshot {
    pub(super) fn of(journal: &Journal) -> Result<Self, ReadJournalError> {
        let keys = journal.key_counts()?;
        Ok(Self {
            active_keys: keys.active,
            pending_keys: keys.pending,
            released_keys: keys.released + keys.leaving,
            unsettled: history::waiting(journal)?.len(),
            quarantined: journal.quarantines()?.len(),
            stopped: journal.stops()?.len(),
            outbox: journal.outbox_len()?,
            backup: journal.backed_up_at()?,
            drill: journal.drilled_at()?,
        })
    }
}
