//! What every task of a node shares. Wired once, in the daemon.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use countersign_link::Identity;
use countersign_protocol::{Committee, Hash, IdentitySigner, NodeId, UnixMillis};
use countersign_store::Journal;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::aux_cache::AuxCache;
use crate::check_ups::CheckUps;
use crate::config::{Config, Coordinator};
use crate::events::{Events, Receivers};
use crate::heavy::{Program, Queue};
use crate::high_water::OwnMark;
use crate::key_switch::KeySwitch;
use crate::metrics::Tally;
use crate::primes::PrimePool;
use crate::public::PublicFile;
use crate::report::Reporter;
use crate::risk::{Asker, Guard};
use crate::session::{Lanes, Router};
use crate::task::Register;
use crate::task::uses::Uses;
use crate::twins::Twins;
use crate::vault::Vault;

/// The parts of a running node.
pub struct Core {
    /// What the operator wrote.
    pub config: Config,
    /// Whom the node dials.
    pub coordinator: Coordinator,
    /// Who this node is.
    pub me: NodeId,
    /// Signs broadcasts and marks.
    pub signer: Arc<dyn IdentitySigner>,
    /// Secrets.
    pub vault: Arc<Vault>,
    /// Decisions and outcomes.
    pub journal: Journal,
    /// When the node was last restored from a backup: earlier tasks are refused.
    pub restored: Option<UnixMillis>,
    /// What receivers are told.
    pub events: Arc<Events>,
    /// The receivers.
    pub receivers: Receivers,
    /// Risk control.
    pub guard: Guard,
    /// What its questions have in common.
    pub asker: Asker,
    /// Sessions and tunnels.
    pub router: Arc<Router>,
    /// How engines share the processor.
    pub lanes: Lanes,
    /// Tasks that wait for their turn to make auxiliary information.
    pub queue: Queue,
    /// The program that makes it.
    pub aux_program: Program,
    /// Auxiliary information in memory.
    pub auxes: AuxCache,
    /// Primes in store.
    pub primes: PrimePool,
    /// The way to the coordinator.
    pub reporter: Reporter,
    /// What the last check-up of all shares found.
    pub check_ups: CheckUps,
    /// What is counted for operators.
    pub tally: Arc<Tally>,
    /// Where tasks are written.
    pub register: Register,
    /// The public record.
    pub public: PublicFile,
    /// How far this node has come.
    pub own_mark: OwnMark,
    /// Brings the secrets file to what the journal says of a key.
    pub switch: KeySwitch,
    /// What this node approved and other holders of the key have yet to hear.
    pub uses: Uses,
    /// Told when something about a generation is to be told to others.
    pub gossip: Notify,
    /// Which process this is, and whether it has a twin.
    pub twins: Twins,
    /// Cancelled when the node is to stop.
    pub stopping: CancellationToken,
}

impl Core {
    /// The one clock of the node.
    pub fn now(&self) -> UnixMillis {
        now()
    }

    /// Uses the journal off the network's threads: it waits for the disk.
    pub async fn journal<T, F>(&self, use_it: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(&Journal) -> T + Send + 'static,
    {
        let journal = self.journal.clone();
        let used = tokio::task::spawn_blocking(move || use_it(&journal)).await;
        match used.map_err(tokio::task::JoinError::try_into_panic) {
            Ok(used) => used,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // Cancelled: the runtime is shutting down, and nobody will poll this again.
            Err(Err(_)) => std::future::pending().await,
        }
    }

    /// Auxiliary information that all members of a committee are known to hold: that of its newest
    /// active ECDSA key.
    pub fn aux_of(&self, committee: &Committee) -> Option<Hash> {
        // It only saves making another one.
        self.journal.newest_aux(committee).unwrap_or_default()
    }

    /// Prepares for signing with a key that has become active, and shows it in the public record.
    pub async fn key_active(self: &Arc<Self>, aux: Option<Hash>) {
        if let Some(digest) = aux {
            self.auxes.confirmed(digest);
            self.auxes
                .build_tables(digest, self.vault.clone(), self.lanes.aux.clone());
        }
        let core = self.clone();
        let written = tokio::task::spawn_blocking(move || crate::public::update(&core)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "the public record is out of date");
        }
    }
}

/// Milliseconds since 1970. A clock before that reads 0, and every task is then from the future.
pub fn now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The link's identity as a session's signer.
pub struct Signer(pub Arc<Identity>);

impl IdentitySigner for Signer {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
}
