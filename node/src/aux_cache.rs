//! Auxiliary information in memory, with the tables that make ECDSA a quarter faster once they are built.

use crate::harden::lower_priority;
use crate::session::worker::Lane;
use crate::vault::{Vault, VaultError};
use countersign_engine::Aux;
use countersign_protocol::Hash;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// By public digest.
#[derive(Clone, Default)]
pub struct AuxCache(Arc<Mutex<Cached>>);

#[derive(Default)]
struct Cached {
    auxes: HashMap<Hash, Arc<Aux>>,
    building: HashSet<Hash>,
}

impl AuxCache {
    /// Remembers fresh auxiliary information.
    pub fn put(&self, digest: Hash, aux: Aux) {
        self.with(|cached| cached.auxes.insert(digest, Arc::new(aux)));
    }

    /// From memory, or from the store.
    pub fn get(&self, digest: Hash, vault: &Vault) -> Result<Arc<Aux>, VaultError> {
        if let Some(aux) = self.with(|cached| cached.auxes.get(&digest).cloned()) {
            return Ok(aux);
        }
        let aux = Arc::new(vault.aux(digest)?);
        self.with(|cached| cached.auxes.insert(digest, aux.clone()));
        Ok(aux)
    }

    /// Builds the tables in the background, once. Signing goes on without them meanwhile.
    pub fn build_tables(&self, digest: Hash, vault: Arc<Vault>, lane: Lane) {
        if !self.with(|cached| cached.building.insert(digest)) {
            return;
        }
        let cache = self.clone();
        let build = move || {
            lower_priority();
            let _turn = lane.enter();
            let built = cache.get(digest, &vault).map_err(|error| error.to_string());
            match built.and_then(|aux| aux.with_multiexp_tables().map_err(|error| error.to_string())) {
                Ok(aux) => cache.put(digest, aux),
                Err(error) => tracing::warn!(%error, "ECDSA signs without tables"),
            }
        };
        if let Err(error) = std::thread::Builder::new().name("tables".into()).spawn(build) {
            tracing::warn!(%error, "ECDSA signs without tables");
        }
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Cached) -> T) -> T {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
