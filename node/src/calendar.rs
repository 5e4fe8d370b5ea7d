//! Scheduled check-ups: at intervals, the node proves to itself that every share it holds is
//! intact. A share damaged on disk is thus found while the other members can still help, not
//! when it is needed.

use std::sync::Arc;
use std::time::Duration;

use countersign_protocol::NodeId;
use countersign_store::Journal;
use tokio_util::sync::CancellationToken;

use crate::check_ups::{self, CheckUps, RoundError};
use crate::off_thread::{in_background, off_thread, record_alarm};
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
            self.round(&stopping).await;
            pause = self.every;
        }
    }

    async fn round(&self, stopping: &CancellationToken) {
        let vault = self.vault.clone();
        let journal = self.journal.clone();
        let me = self.me;
        let now = self.world.now();
        let stopping = stopping.clone();
        let checked = in_background(move || {
            check_ups::check_all(&vault, &journal, me, now, || !stopping.is_cancelled())
        });
        let round = match checked.await {
            Ok(Ok(round)) => round,
            Ok(Err(RoundError::Stopping)) => return,
            Ok(Err(RoundError::Journal(error))) => {
                return tracing::error!(%error, "the shares could not be checked");
            }
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

#[cfg(test)]
mod tests {
    use countersign_protocol::KeyId;

    use super::*;
    use crate::public;
    use crate::test_node::{NOW, TestNode, key, key_record};

    fn schedule(node: &TestNode) -> Schedule {
        let participant = &node.parts.participant;
        Schedule {
            every: Duration::from_secs(3600),
            me: participant.own.id(),
            world: participant.world.clone(),
            journal: node.journal.clone(),
            vault: node.parts.vault.clone(),
            results: node.check_ups.clone(),
            public: node.parts.public.clone(),
        }
    }

    #[tokio::test]
    async fn a_round_without_shares_is_published() {
        let node = TestNode::build().await;
        schedule(&node).round(&CancellationToken::new()).await;
        let round = public::read(node.dir.path()).unwrap().check_up.unwrap();
        assert_eq!((round.at, round.intact), (NOW, 0));
        assert_eq!(node.check_ups.last(), Some(round));
    }

    #[tokio::test]
    async fn a_share_that_is_lost_is_published_and_in_the_audit_log() {
        let node = TestNode::build().await;
        node.journal.put_key(key_record(1, 0)).unwrap();
        schedule(&node).round(&CancellationToken::new()).await;
        let round = node.check_ups.last().unwrap();
        let damaged: Vec<KeyId> = round.damaged.iter().map(|(key, _)| *key).collect();
        assert_eq!((round.intact, damaged), (0, vec![key(1)]));
        let audit = node.journal.audit(0, 100).unwrap();
        let start = format!("the share of {} is not intact: ", key(1));
        assert!(audit.iter().any(|entry| entry.text.starts_with(&start)));
        assert_eq!(public::read(node.dir.path()).unwrap().check_up, Some(round));
    }

    #[tokio::test]
    async fn no_round_begins_once_the_node_stops() {
        let node = TestNode::build().await;
        let stopping = CancellationToken::new();
        stopping.cancel();
        schedule(&node).follow(stopping).await;
        assert_eq!(node.check_ups.last(), None);
    }
}
