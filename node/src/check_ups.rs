//! Check-ups by the calendar: the node proves to itself, now and then, that every share it holds is
//! intact. A share that was damaged on the disk is found while the other members can still help,
//! not when it is needed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use countersign_protocol::{Announcement, Hash, Intact, KeyId, NodeId, UnixMillis};
use countersign_store::{Journal, KeyStatus};
use serde::{Deserialize, Serialize};

use crate::core::Core;
use crate::task::check_up;
use crate::vault::Vault;

/// After a start, so that it does not get in the way of what waits for the node.
const FIRST: Duration = Duration::from_secs(60);

/// What the last round found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// When it ended.
    pub at: UnixMillis,
    /// How many shares proved themselves.
    pub intact: usize,
    /// The keys whose shares did not, and why.
    pub damaged: Vec<(KeyId, String)>,
}

/// The last round.
#[derive(Debug, Default)]
pub struct CheckUps(Mutex<Option<Round>>);

impl CheckUps {
    /// What the last round found; `None` before the first.
    pub fn last(&self) -> Option<Round> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Round>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks every share, again and again, until the node stops. Does nothing if the operator turned
/// it off.
pub async fn follow(core: Arc<Core>) {
    let Some(every) = core.config.check_up else {
        return;
    };
    let mut pause = FIRST.min(every);
    while core
        .stopping
        .run_until_cancelled(tokio::time::sleep(pause))
        .await
        .is_some()
    {
        round(&core).await;
        pause = every;
    }
}

/// One round.
pub async fn round(core: &Arc<Core>) {
    let checking = core.clone();
    let checked = tokio::task::spawn_blocking(move || {
        check_all(
            &checking.vault,
            &checking.journal,
            checking.me,
            checking.now(),
        )
    });
    let round = match checked.await {
        Ok(Ok(round)) => round,
        Ok(Err(error)) => return tracing::error!(%error, "the shares could not be checked"),
        Err(error) => {
            return tracing::error!(%error, "the thread that checks shares died; report this");
        }
    };
    for (key, why) in &round.damaged {
        tracing::error!(%key, why, "a share is not intact; restore it from a backup, or have the key reshared");
        let now = core.now();
        let text = format!("the share of {key} is not intact: {why}");
        if let Err(error) = core
            .journal(move |journal| journal.alarm(now, None, &text))
            .await
        {
            tracing::error!(%error, "the alarm was not recorded");
        }
    }
    tracing::info!(
        intact = round.intact,
        damaged = round.damaged.len(),
        "shares checked"
    );
    *core.check_ups.lock() = Some(round);
    // Shows it; nothing else changed.
    core.key_active(None).await;
}

fn check_all(
    vault: &Vault,
    journal: &Journal,
    me: NodeId,
    now: UnixMillis,
) -> Result<Round, countersign_store::ReadJournalError> {
    let active = journal
        .keys()?
        .into_iter()
        .filter(|record| record.status == KeyStatus::Active);
    let mut round = Round {
        at: now,
        intact: 0,
        damaged: Vec::new(),
    };
    for key in active.map(|record| record.announcement) {
        match check(
            vault,
            me,
            &key,
            Hash::of("countersign/1 scheduled check-up", &now.0.to_be_bytes()),
        ) {
            Ok(_) => round.intact += 1,
            Err(why) => round.damaged.push((key.key, why)),
        }
    }
    Ok(round)
}

/// A proof that this node's share is intact, verified by another library than the one that made it.
pub fn check(
    vault: &Vault,
    me: NodeId,
    key: &Announcement,
    message: Hash,
) -> Result<Intact, String> {
    let context = Intact::context(message, key.key, key.generation, &me);
    let (public, proof) = vault
        .check_up(key, context)
        .map_err(|error| error.to_string())?;
    let intact = check_up::intact(me, key, (public.public_shares, proof));
    countersign_verify::verify_intact(key, message, &intact).map_err(|error| error.to_string())?;
    Ok(intact)
}
