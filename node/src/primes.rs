//! The pool of Paillier primes: filled by `init`, refilled at low priority while the node runs.
//!
//! Four safe primes make a set; a set serves one committee, once.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use countersign_engine::primes::{PrimeError, generate_safe_prime};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::harden::lower_priority;
use crate::vault::{Vault, VaultError};

/// Safe primes in a set.
pub const SET: usize = 4;

/// Why there are no primes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// The store failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The search failed or was stopped.
    #[error(transparent)]
    Prime(#[from] PrimeError),
}

/// Hands out sets and asks for more.
pub struct PrimePool {
    wanted: SyncSender<()>,
    wishes: Mutex<Option<Receiver<()>>>,
}

impl PrimePool {
    /// A pool without its refilling thread.
    pub fn new() -> Self {
        let (wanted, wishes) = sync_channel(1);
        Self {
            wanted,
            wishes: Mutex::new(Some(wishes)),
        }
    }

    /// A set from the store, as the engine writes it; `None` if the pool is empty.
    pub fn take(&self, vault: &Vault) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        let taken = vault.take_primes()?;
        self.wish();
        Ok(taken.map(|primes| primes.to_bytes()))
    }

    /// Asks for a refill. A full channel already holds the same wish.
    fn wish(&self) {
        if self.wanted.try_send(()).is_err() {
            tracing::debug!("a refill of the pool of primes is under way already");
        }
    }

    /// Starts the thread that keeps `sets` sets in the store. The future resolves when the thread
    /// has ended.
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
        let wishes =
            wishes.ok_or_else(|| std::io::Error::other("the pool is kept full already"))?;
        let (alive, gone) = tokio::sync::oneshot::channel::<()>();
        let refill = move || {
            // Dropped with the thread, however it ends.
            let _alive = alive;
            lower_priority();
            while !stopping.is_cancelled() {
                if let Err(error) = fill(&vault, sets, &mut |_, _| !stopping.is_cancelled()) {
                    tracing::warn!(%error, "the pool of primes was not refilled");
                }
                if wishes.recv().is_err() {
                    break;
                }
            }
        };
        std::thread::Builder::new()
            .name("primes".into())
            .spawn(refill)?;
        // While the node stops, the thread waits for wishes until the pool is dropped.
        Ok(async move { drop(gone.await) })
    }
}

impl Default for PrimePool {
    fn default() -> Self {
        Self::new()
    }
}

/// Fills the store up to `sets` sets. `progress` hears of each prime (how many there are, how many
/// there will be) and says whether to go on.
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
