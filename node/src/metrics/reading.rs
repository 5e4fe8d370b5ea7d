//! One look at a node: everything that its metrics and its readiness are made of.

use std::sync::Arc;

use countersign_host::{Condition, EntryStatus};
use countersign_store::{Journal, ReadJournalError};

use super::tally::Ended;
use crate::check_ups::Round;
use crate::core::Core;
use crate::events::LiveReceiver;
use crate::task::handover;

/// What was seen.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The node was told to stop.
    pub stopping: bool,
    /// A part of it has died, and it is about to stop.
    pub failed: bool,
    /// Why the journal or the secrets can no longer be written, if they cannot.
    pub store: Result<(), String>,
    /// Another process runs with its identity, and its operator has not decided yet.
    pub twin: bool,
    /// There is a link to the coordinator.
    pub online: bool,
    /// What the journal says, or why it says nothing.
    pub journal: Result<JournalReading, String>,
    /// Sessions under way.
    pub sessions: usize,
    /// How each plugin fares.
    pub plugins: Vec<EntryStatus>,
    /// How each receiver fares.
    pub receivers: Vec<LiveReceiver>,
    /// Changes of plugins that were put in force, and that were refused.
    pub swaps: (u64, u64),
    /// Looks that were pushed to the InfluxDB, and that could not be; `None` if there is none.
    pub pushes: Option<(u64, u64)>,
    /// What the last check-up of all shares found.
    pub check_up: Option<Round>,
    /// Kind, end and number of tasks.
    pub tasks: Vec<(&'static str, Ended, u64)>,
}

/// What the journal says.
#[derive(Debug, Clone, Default)]
pub struct JournalReading {
    /// Keys that can be used.
    pub active_keys: usize,
    /// Keys that wait for their members' confirmation.
    pub pending_keys: usize,
    /// Keys that were handed over to others.
    pub released_keys: usize,
    /// Reshares that wait for other parties.
    pub unsettled: usize,
    /// Peers that are kept away from a key.
    pub quarantined: usize,
    /// Keys that are stopped, at all or with certain signers.
    pub stopped: usize,
    /// Deliveries of events that are kept, those that were given up among them.
    pub outbox: u64,
}

impl Reading {
    /// Looks at a node that runs.
    pub async fn of(core: Arc<Core>) -> Self {
        Self {
            stopping: core.stopping.is_cancelled(),
            failed: core.tally.has_failed(),
            store: [core.journal.trouble(), core.vault.trouble()]
                .iter()
                .find_map(|trouble| trouble.why())
                .map_or(Ok(()), |why| Err(why.to_owned())),
            twin: core.twins.is_known(),
            online: core.tally.is_online(),
            journal: core
                .journal(JournalReading::of)
                .await
                .map_err(|error| error.to_string()),
            sessions: core.router.sessions(),
            plugins: core.guard.status(),
            receivers: core.receivers.live(),
            swaps: core.tally.swaps(),
            pushes: core
                .config
                .metrics
                .influx
                .is_some()
                .then(|| core.tally.pushes()),
            check_up: core.check_ups.last(),
            tasks: core.tally.tasks(),
        }
    }

    /// Why the node cannot do its work now; nothing if it can.
    pub fn not_ready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.stopping {
            reasons.push("the node is stopping".into());
        }
        match (&self.store, &self.journal) {
            (Err(why), _) => reasons.push(format!("store: {why}")),
            (Ok(()), Err(error)) => reasons.push(format!("store: {error}")),
            (Ok(()), Ok(_)) if self.failed => {
                reasons.push(
                    "a part of the node has died, and it is about to stop; the log says which"
                        .into(),
                );
            }
            (Ok(()), Ok(_)) => {}
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

fn broken(entry: &EntryStatus) -> Option<String> {
    match &entry.condition {
        Condition::Broken { code, reason } => {
            Some(format!("plugin {}: {reason} [{code}]", entry.name))
        }
        Condition::InForce | Condition::Shadow => None,
    }
}

impl JournalReading {
    fn of(journal: &Journal) -> Result<Self, ReadJournalError> {
        let keys = journal.key_counts()?;
        Ok(Self {
            active_keys: keys.active,
            pending_keys: keys.pending,
            released_keys: keys.released + keys.leaving,
            unsettled: handover::waiting(journal)?.len(),
            quarantined: journal.quarantines()?.len(),
            stopped: journal.stops()?.len(),
            outbox: journal.outbox_len()?,
        })
    }
}
