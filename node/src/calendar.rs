//! Scheduled check-ups: at intervals, the node proves to itself that every share it holds is
//! intact. A share damaged on disk is thus found while the other members can still help, not
//! when it is needed.

use std::sync::Arc;
use std::time::Duration;

use countersign_protocol::NodeId;
use countersign_store::Journal;
use tokio_util::sync::CancellationToken;

use crate::check_ups::{self, CheckUps};
use crate::off_thread::{off_thread, record_alarm, with_journal};
use crate::public::PublicFile;
use crate::vault::Vault;
use crate::world::World;

/// Delay after a start, to stay out of the way of pending work.
const FIRST: Duration = Duration::from_secs(60);

/// Checks every share at a fixed interval.
pub struct Schedule {
    /// The interval; the first round runs soon after the start.
    pub every: Duration,
    pub me: NodeId,
    pub world: World,
    /// Lists the keys whose shares are checked.
    pub journal: Journal,
    pub vault: Arc<Vault>,
    pub results: Arc<CheckUps>,
    pub public: Arc<PublicFile>,
}

impl Schedule {
    pub async fn follow(self, stopping: CancellationToken) {
        let mut pause = FIRST.min(self.every);
        while stopping
            .run_until_cancelled(tokio::time::sleep(pause))
            .await
            .is_some()
        {
            self.round().await;
            pause = self.every;
        }
    }

    async fn round(&self) {
        let vault = self.vault.clone();
        let me = self.me;
        let now = self.world.now();
        let checked = with_journal(&self.journal, move |journal| {
            check_ups::check_all(&vault, journal, me, now)
        });
        let round = match checked.await {
            Ok(round) => round,
            Err(error) => return tracing::error!(%error, "the shares could not be checked"),
        };
        for (key, why) in &round.damaged {
            tracing::error!(%key, why, "a share is not intact; restore it from a backup, or have the key reshared");
            let text = format!("the share of {key} is not intact: {why}");
            record_alarm(&self.journal, self.world.now(), text).await;
        }
        tracing::info!(
            intact = round.intact,
            damaged = round.damaged.len(),
            "shares checked"
        );
        self.results.put(round);
        let public = self.public.clone();
        if let Err(error) = off_thread(move || public.update()).await {
            tracing::warn!(%error, "the public record is out of date");
        }
    }
}
