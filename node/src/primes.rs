//! The pool of Paillier primes: filled by `init`, and refilled at low priority while the node runs.
//!
//! Four safe primes make a set; each set serves one committee, once.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use countersign_engine::primes::{PrimeError, generate_safe_prime};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::priority::lower_priority;
use crate::vault::{Vault, VaultError};

/// Number of safe primes in a set.
pub const SET: usize = 4;

/// Reasons why the pool could not be filled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// The store could not be read or written.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The search for a prime failed or was stopped.
    #[error(transparent)]
    Prime(#[from] PrimeError),
}

/// Hands out sets of primes and requests refills.
pub struct PrimePool {
    wanted: SyncSender<()>,
    wishes: Mutex<Option<Receiver<()>>>,
}

impl PrimePool {
    /// Creates a pool whose refilling thread is not running yet; see [`Self::keep_full`].
    pub fn new() -> Self {
        let (wanted, wishes) = sync_channel(1);
        Self {
            wanted,
            wishes: Mutex::new(Some(wishes)),
        }
    }

    /// Takes a set from the store, as the engine writes it; `None` if the pool is empty.
    pub fn take(&self, vault: &Vault) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        let taken = vault.take_primes()?;
        self.wish();
        Ok(taken.map(|primes| primes.to_bytes()))
    }

    /// Requests a refill. A full channel already holds the same request.
    fn wish(&self) {
        if self.wanted.try_send(()).is_err() {
            tracing::debug!("a refill of the prime pool is already under way");
        }
    }

    /// Starts the thread that keeps `sets` sets in the store. The future resolves when
    /// the thread has ended.
    pub fn keep_full(
        &self,
        vault: Arc<Vault>,
        sets: usize,
        stopping: CancellationToken,
    ) -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
        let wishes = self
            .wishes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let wishes = wishes
            .ok_or_else(|| std::io::Error::other("the refilling thread was started already"))?;
        let (alive, gone) = tokio::sync::oneshot::channel::<()>();
        let refill = move || {
            // Dropped with the thread, however it ends.
            let _alive = alive;
            lower_priority();
            while !stopping.is_cancelled() {
                let mut told = None;
                let mut progress = |have, wanted| {
                    if told.replace(have) != Some(have) && have > 0 {
                        tracing::info!(have, wanted, "Paillier primes for ECDSA wallets");
                    }
                    !stopping.is_cancelled()
                };
                if let Err(error) = fill(&vault, sets, &mut progress) {
                    tracing::warn!(%error, "the prime pool was not refilled");
                }
                if wishes.recv().is_err() {
                    break;
                }
            }
        };
        std::thread::Builder::new()
            .name("primes".into())
            .spawn(refill)?;
        // While the node stops, the thread waits for requests until the pool is dropped.
        Ok(async move { drop(gone.await) })
    }
}

impl Default for PrimePool {
    fn default() -> Self {
        Self::new()
    }
}

/// Fills the store up to `sets` sets. `progress` receives the current and the final number of
/// primes after each one, and returns false to stop.
pub fn fill(
    vault: &Vault,
    sets: usize,
    progress: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<(), PoolError> {
    let wanted = sets * SET;
    let mut have = vault.prime_count()?;
    while have < wanted {
        let prime = generate_safe_prime(&mut rand::rngs::OsRng, &mut || progress(have, wanted));
        match prime {
            Err(PrimeError::Cancelled) => return Ok(()),
            prime => vault.put_prime(&prime?)?,
        }
        have += 1;
    }
    progress(have, wanted);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_node::empty_vault;

    #[test]
    fn an_empty_pool_yields_nothing_and_asks_for_more_once() {
        let (_dir, vault) = empty_vault();
        let pool = PrimePool::new();
        for _ in 0..3 {
            assert!(pool.take(&vault).unwrap().is_none());
        }
        let wishes = pool.wishes.lock().unwrap().take().unwrap();
        assert_eq!(wishes.try_recv(), Ok(()));
        assert!(wishes.try_recv().is_err(), "one request is enough");
    }

    #[test]
    fn a_search_that_is_told_to_stop_leaves_the_pool_as_it_was() {
        let (_dir, vault) = empty_vault();
        let mut asked = Vec::new();
        let mut stop = |have, wanted| {
            asked.push((have, wanted));
            false
        };
        fill(&vault, 2, &mut stop).unwrap();
        assert_eq!(asked, [(0, 2 * SET)]);
        assert_eq!(vault.prime_count().unwrap(), 0);
    }

    #[test]
    fn a_pool_that_is_to_hold_nothing_is_full() {
        let (_dir, vault) = empty_vault();
        let mut told = Vec::new();
        let mut note = |have, wanted| {
            told.push((have, wanted));
            true
        };
        fill(&vault, 0, &mut note).unwrap();
        assert_eq!(told, [(0, 0)]);
    }

    #[tokio::test]
    async fn a_pool_is_filled_by_one_thread_which_ends_with_it() {
        let (_dir, vault) = empty_vault();
        let vault = Arc::new(vault);
        let pool = PrimePool::new();
        let stopping = CancellationToken::new();
        let ended = pool.keep_full(vault.clone(), 0, stopping.clone()).unwrap();
        let again = pool.keep_full(vault, 0, stopping).err().unwrap();
        assert!(again.to_string().contains("started already"), "{again}");
        drop(pool);
        ended.await;
    }
}
