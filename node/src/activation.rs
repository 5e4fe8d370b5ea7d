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

#[cfg(test)]
mod tests {
    use crate::public;
    use crate::test_node::TestNode;

    #[tokio::test]
    async fn a_changed_key_brings_the_public_record_up_to_date() {
        let node = TestNode::build().await;
        assert_eq!(public::read(node.dir.path()).unwrap().generation, 0);
        node.parts.participant.activation.activate(None).await;
        let record = public::read(node.dir.path()).unwrap();
        assert_eq!(record.generation, node.parts.vault.generation().unwrap());
    }

    /// The key has changed already, so there is nobody to tell but the log.
    #[tokio::test]
    async fn a_public_record_that_is_lost_does_not_stop_a_key_from_being_used() {
        let node = TestNode::build().await;
        std::fs::remove_file(node.dir.path().join(public::FILE)).unwrap();
        node.parts.participant.activation.activate(None).await;
        assert!(
            public::read(node.dir.path()).is_err(),
            "never a made-up one"
        );
    }
}
