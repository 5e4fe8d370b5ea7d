//! Preparation for signing with a key that is ready for use.

use std::sync::Arc;

use countersign_protocol::Hash;

use crate::aux_cache::AuxCache;
use crate::off_thread::off_thread;
use crate::public::PublicFile;
use crate::session::worker::CpuPool;
use crate::vault::Vault;

/// Prepares for signing with keys, and keeps the public record up to date.
#[derive(Clone)]
pub struct Activation {
    pub auxes: AuxCache,
    pub vault: Arc<Vault>,
    pub pool: CpuPool,
    pub public: Arc<PublicFile>,
}

impl Activation {
    /// Called after a key has changed: prepares for signing with `aux` if the key has become active
    /// with it, and rewrites the public record.
    pub async fn activate(&self, aux: Option<Hash>) {
        if let Some(digest) = aux {
            self.auxes.confirmed(digest);
            self.build_tables(digest);
        }
        let public = self.public.clone();
        if let Err(error) = off_thread(move || public.update()).await {
            tracing::warn!(%error, "the public record is out of date");
        }
    }

    /// Builds the tables that speed up ECDSA, in the background.
    pub fn build_tables(&self, aux: Hash) {
        self.auxes
            .build_tables(aux, self.vault.clone(), self.pool.clone());
    }
}
