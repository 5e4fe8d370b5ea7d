//! Check-ups: the node proves to itself that the shares it holds are intact.

use std::sync::{Mutex, PoisonError};

use countersign_engine::check_up;
use countersign_protocol::{Hash, Intact, KeyDescriptor, KeyId, NodeId, Point, UnixMillis};
use countersign_store::{Journal, KeyStatus, ReadJournalError};
use countersign_verify::IntactError;
use serde::{Deserialize, Serialize};

use crate::vault::{Vault, VaultError};

/// The result of a round of check-ups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// The start of the round.
    pub at: UnixMillis,
    /// The number of shares that were proven intact.
    pub intact: usize,
    /// The keys of the damaged shares, each with the reason.
    pub damaged: Vec<(KeyId, String)>,
}

/// Holder of the latest round's result.
#[derive(Debug, Default)]
pub struct CheckUps(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    last: Option<Round>,
    all_intact: Option<UnixMillis>,
}

impl CheckUps {
    /// Returns the latest result; `None` before the first round.
    pub fn last(&self) -> Option<Round> {
        self.lock().last.clone()
    }

    /// The last round in which every share proved itself: no share has gone unproven for longer.
    /// `None` before the first such round since the start.
    pub fn all_intact(&self) -> Option<UnixMillis> {
        self.lock().all_intact
    }

    /// Replaces the latest result.
    pub fn put(&self, round: Round) {
        let mut known = self.lock();
        if round.damaged.is_empty() {
            known.all_intact = Some(round.at);
        }
        known.last = Some(round);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reasons why a round has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoundError {
    /// The keys cannot be listed.
    #[error(transparent)]
    Journal(#[from] ReadJournalError),
    /// The round was broken off.
    #[error("the node is stopping")]
    Stopping,
}

/// Checks this node's share of every active key, one after the other, as long as `go_on` holds:
/// with many keys this takes a while.
pub fn check_all(
    vault: &Vault,
    journal: &Journal,
    me: NodeId,
    now: UnixMillis,
    go_on: impl Fn() -> bool,
) -> Result<Round, RoundError> {
    let message = Hash::of("countersign/1 scheduled check-up", &now.0.to_be_bytes());
    let mut round = Round {
        at: now,
        intact: 0,
        damaged: Vec::new(),
    };
    journal.for_each_key(|record| {
        if !go_on() {
            return Err(RoundError::Stopping);
        }
        if record.status == KeyStatus::Active {
            match check(vault, me, &record.descriptor, message) {
                Ok(_) => round.intact += 1,
                Err(error) => round.damaged.push((record.key(), error.to_string())),
            }
        }
        Ok(())
    })?;
    Ok(round)
}

/// Reasons why a share could not be proven intact.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The share cannot be opened, or yields no proof.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The proof was made but does not verify.
    #[error(transparent)]
    Proof(#[from] IntactError),
}

/// Proves that this node's share is intact, and verifies the proof with an independent library.
pub fn check(
    vault: &Vault,
    me: NodeId,
    key: &KeyDescriptor,
    message: Hash,
) -> Result<Intact, CheckError> {
    let context = Intact::context(message, key.key, key.generation, &me);
    let (public, proof) = vault.check_up(key, context)?;
    let intact = intact(me, key, (public.public_shares, proof));
    countersign_verify::verify_intact(key, message, &intact)?;
    Ok(intact)
}

/// The public shares of all members, and a proof of the node's own share.
pub type Proven = (Vec<Vec<u8>>, check_up::Proof);

/// Assembles everything that is needed to verify the proof.
pub fn intact(node: NodeId, key: &KeyDescriptor, (public_shares, proof): Proven) -> Intact {
    Intact {
        node,
        key: key.key,
        generation: key.generation,
        public_shares: public_shares.into_iter().map(Point).collect(),
        proof: Point(proof.bytes),
    }
}

#[cfg(test)]
mod tests {
    use countersign_store::KeyRecord;

    use super::*;
    use crate::task::gossip::tests::{empty_journal, empty_vault, generation, node};

    const NOW: UnixMillis = UnixMillis(7);

    fn round(intact: usize) -> Round {
        Round {
            at: NOW,
            intact,
            damaged: Vec::new(),
        }
    }

    /// A journal with one key in this status, of which the store has no share.
    fn checked(status: KeyStatus) -> Round {
        checked_while(status, || true).unwrap()
    }

    fn checked_while(status: KeyStatus, go_on: impl Fn() -> bool) -> Result<Round, RoundError> {
        let (dir, journal) = empty_journal();
        let descriptor = generation(0, &[1, 2]);
        journal
            .put_key(KeyRecord {
                descriptor,
                status,
                created: NOW,
            })
            .unwrap();
        check_all(&empty_vault(&dir), &journal, node(1), NOW, go_on)
    }

    #[test]
    fn the_latest_round_replaces_the_one_before() {
        let check_ups = CheckUps::default();
        assert_eq!(check_ups.last(), None);
        check_ups.put(round(1));
        check_ups.put(round(2));
        assert_eq!(check_ups.last(), Some(round(2)));
    }

    #[test]
    fn a_share_that_is_damaged_ages_since_the_last_round_without_damage() {
        let check_ups = CheckUps::default();
        assert_eq!(check_ups.all_intact(), None);
        check_ups.put(round(2));
        let damaged = vec![(generation(0, &[1, 2]).key, "cut".into())];
        check_ups.put(Round {
            at: UnixMillis(9),
            intact: 1,
            damaged,
        });
        assert_eq!(check_ups.all_intact(), Some(NOW));
        check_ups.put(Round {
            at: UnixMillis(11),
            ..round(2)
        });
        assert_eq!(check_ups.all_intact(), Some(UnixMillis(11)));
    }

    #[test]
    fn a_share_that_cannot_be_opened_is_reported_as_damaged_with_the_reason() {
        let round = checked(KeyStatus::Active);
        assert_eq!((round.at, round.intact), (NOW, 0));
        let [(key, why)] = &round.damaged[..] else {
            panic!("one key: {round:?}")
        };
        assert_eq!(*key, generation(0, &[1, 2]).key);
        assert!(!why.is_empty());
    }

    /// A node that stops cannot wait for all of many keys, and half a round says nothing.
    #[test]
    fn a_round_that_is_broken_off_has_no_result() {
        let broken_off = checked_while(KeyStatus::Active, || false);
        assert!(matches!(broken_off, Err(RoundError::Stopping)));
    }

    /// Its share is gone, or not confirmed yet: nobody relies on it.
    #[test]
    fn only_active_keys_are_checked() {
        for status in [KeyStatus::Pending, KeyStatus::Leaving, KeyStatus::Released] {
            let round = checked(status);
            assert_eq!((round.intact, round.damaged.len()), (0, 0), "{status:?}");
        }
    }
}
