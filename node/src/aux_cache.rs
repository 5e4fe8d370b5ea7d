//! Auxiliary information in memory: with the tables that make ECDSA a quarter faster once they
//! are built, and the leftovers of failed runs for their committee's next attempt. The leftovers
//! never reach the disk.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use countersign_engine::Aux;
use countersign_protocol::{Committee, Hash};
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use crate::priority::lower_priority;
use crate::session::worker::CpuPool;
use crate::vault::{Vault, VaultError};

/// Committees with leftovers. Evicting the oldest only costs time.
const MAX_KEPT: usize = 16;

/// Auxiliary information by public digest.
#[derive(Clone, Default)]
pub struct AuxCache(Arc<Mutex<Cached>>);

#[derive(Default)]
struct Cached {
    auxes: HashMap<Hash, Arc<Aux>>,
    building: HashSet<Hash>,
    /// Leftovers of committees, oldest first.
    kept: VecDeque<(Committee, Kept)>,
}

/// The leftovers of a committee's last run.
#[derive(Default)]
struct Kept {
    /// A set of primes, as the engine writes it, from a run that broke off. It serves the same
    /// committee only: the proofs that left this node reveal nothing about it.
    primes: Option<Zeroizing<Vec<u8>>>,
    /// Made by a run for a key that was not created, or is not confirmed yet.
    aux: Option<(Hash, Arc<Aux>)>,
}

impl AuxCache {
    pub fn put(&self, digest: Hash, aux: Arc<Aux>) {
        self.with(|cached| cached.auxes.insert(digest, aux));
    }

    /// Returns the entry from memory, or loads it from the store.
    pub fn get(&self, digest: Hash, vault: &Vault) -> Result<Arc<Aux>, VaultError> {
        if let Some(aux) = self.with(|cached| cached.auxes.get(&digest).cloned()) {
            return Ok(aux);
        }
        let aux = Arc::new(vault.aux(digest)?);
        self.with(|cached| cached.auxes.insert(digest, aux.clone()));
        Ok(aux)
    }

    /// Keeps a set of primes for the next attempt; called before the first attempt already.
    pub fn keep_primes(&self, committee: &Committee, primes: Zeroizing<Vec<u8>>) {
        self.with(|cached| cached.kept(committee).primes = Some(primes));
    }

    pub fn kept_primes(&self, committee: &Committee) -> Option<Zeroizing<Vec<u8>>> {
        self.with(|cached| cached.find(committee)?.primes.clone())
    }

    pub fn forget_primes(&self, committee: &Committee) {
        self.with(|cached| cached.kept(committee).primes = None);
    }

    /// Keeps the result of a run until a key is confirmed with it. It contains the primes,
    /// which serve nothing else.
    pub fn keep_aux(&self, committee: &Committee, digest: Hash, aux: Arc<Aux>) {
        self.with(|cached| {
            *cached.kept(committee) = Kept {
                primes: None,
                aux: Some((digest, aux)),
            }
        });
    }

    /// Returns the result of the committee's last run unless a key is confirmed with it.
    pub fn kept_aux(&self, committee: &Committee) -> Option<(Hash, Arc<Aux>)> {
        self.with(|cached| cached.find(committee)?.aux.clone())
    }

    /// Drops the leftover `digest`: a confirmed key's record refers to it from now on.
    pub fn confirmed(&self, digest: Hash) {
        self.with(|cached| {
            cached
                .kept
                .retain(|(_, kept)| kept.aux.as_ref().is_none_or(|(known, _)| *known != digest));
        });
    }

    /// Builds the tables in the background, once. Signing continues without them meanwhile.
    ///
    /// They are built in a thread of this process: every number in them had the right length and
    /// was proven when it was made, so no peer can increase their cost.
    pub fn build_tables(&self, digest: Hash, vault: Arc<Vault>, pool: CpuPool) {
        if !self.with(|cached| cached.building.insert(digest)) {
            return;
        }
        let cache = self.clone();
        let runtime = Handle::current();
        let build = move || {
            lower_priority();
            let _turn = runtime.block_on(pool.enter());
            let built = cache.get(digest, &vault).map_err(|error| error.to_string());
            match built.and_then(|aux| {
                aux.with_multiexp_tables()
                    .map_err(|error| error.to_string())
            }) {
                Ok(aux) => cache.put(digest, Arc::new(aux)),
                Err(error) => tracing::warn!(%error, "ECDSA signs without its tables"),
            }
        };
        if let Err(error) = std::thread::Builder::new()
            .name("tables".into())
            .spawn(build)
        {
            tracing::warn!(%error, "ECDSA signs without its tables");
        }
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Cached) -> T) -> T {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Cached {
    fn find(&self, committee: &Committee) -> Option<&Kept> {
        self.kept
            .iter()
            .find(|(known, _)| known == committee)
            .map(|(_, kept)| kept)
    }

    /// Returns the committee's entry and moves it to the newest place.
    fn kept(&mut self, committee: &Committee) -> &mut Kept {
        let known = self.kept.iter().position(|(known, _)| known == committee);
        let entry = known.and_then(|index| self.kept.remove(index));
        if self.kept.len() >= MAX_KEPT {
            self.kept.pop_front();
        }
        self.kept
            .push_back(entry.unwrap_or_else(|| (committee.clone(), Kept::default())));
        let newest = self.kept.len() - 1;
        &mut self.kept[newest].1
    }
}

#[cfg(test)]
mod tests {
    use countersign_link::Identity;
    use countersign_protocol::NodeId;

    use super::*;

    fn with(other: u8) -> Committee {
        let node = |seed| {
            NodeId::from_bytes(Identity::from_seed(&[seed; 32]).unwrap().public().0).unwrap()
        };
        Committee::new(vec![node(1), node(other)]).unwrap()
    }

    fn aux() -> Arc<Aux> {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../engine/tests/fixtures/aux/3-0.cbor"
        );
        Arc::new(Aux::from_bytes(&std::fs::read(file).unwrap()).unwrap())
    }

    #[test]
    fn what_a_run_leaves_serves_its_own_committee_and_primes_never_twice_with_success() {
        let cache = AuxCache::default();
        let digest = Hash([7; 32]);
        let primes =
            |committee: &Committee| cache.kept_primes(committee).map(|primes| primes.to_vec());
        cache.keep_primes(&with(2), Zeroizing::new(vec![9]));
        assert_eq!((primes(&with(2)), primes(&with(3))), (Some(vec![9]), None));
        cache.keep_aux(&with(2), digest, aux());
        assert_eq!(primes(&with(2)), None, "they are in what was made");
        assert_eq!(cache.kept_aux(&with(2)).map(|(name, _)| name), Some(digest));
        assert!(cache.kept_aux(&with(3)).is_none());
        cache.confirmed(digest);
        assert!(
            cache.kept_aux(&with(2)).is_none(),
            "the key's record leads to it"
        );
        cache.keep_primes(&with(2), Zeroizing::new(vec![9]));
        cache.forget_primes(&with(2));
        assert_eq!(primes(&with(2)), None);
    }

    #[test]
    fn the_oldest_committee_makes_room() {
        let cache = AuxCache::default();
        for other in 2..=u8::try_from(MAX_KEPT).unwrap() + 2 {
            cache.keep_primes(&with(other), Zeroizing::new(vec![other]));
            assert!(cache.kept_primes(&with(2)).is_some() || other == 18);
        }
        assert!(cache.kept_primes(&with(2)).is_none());
        assert!(cache.kept_primes(&with(18)).is_some());
    }

    #[test]
    fn a_committee_that_tries_again_is_not_the_next_to_make_room() {
        let cache = AuxCache::default();
        let keep = |other| cache.keep_primes(&with(other), Zeroizing::new(vec![other]));
        let last = u8::try_from(MAX_KEPT).unwrap() + 1;
        (2..=last).for_each(keep);
        keep(2);
        assert!(cache.kept_primes(&with(3)).is_some(), "nobody made room");
        keep(last + 1);
        assert!(cache.kept_primes(&with(2)).is_some());
        assert!(cache.kept_primes(&with(3)).is_none());
    }

    #[test]
    fn the_key_of_another_run_takes_no_leftovers_away() {
        let cache = AuxCache::default();
        cache.keep_aux(&with(2), Hash([7; 32]), aux());
        cache.keep_primes(&with(3), Zeroizing::new(vec![9]));
        cache.confirmed(Hash([8; 32]));
        assert!(cache.kept_aux(&with(2)).is_some());
        cache.confirmed(Hash([7; 32]));
        assert!(cache.kept_aux(&with(2)).is_none());
        assert!(cache.kept_primes(&with(3)).is_some());
    }
}
