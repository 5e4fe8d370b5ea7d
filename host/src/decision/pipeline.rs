//! The chain in force, replaceable while tasks are being judged. A replacement takes effect as a
//! whole or not at all.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use crate::component::host::Host;
use crate::contract::evaluation::Observation;
use crate::contract::services::Services;
use crate::contract::task::Task;
use crate::decision::chain::{Chain, ChainError, Decision};
use crate::decision::entry::{Entry, EntrySpec};
use crate::decision::lock::{DecisionGuard, DecisionLock};
use crate::decision::preview::Preview;
use crate::decision::shadow::ShadowRunner;
use crate::decision::status::EntryStatus;

/// Holds the chain that judges.
pub struct Pipeline {
    host: Host,
    /// Services for the next chain.
    services: RwLock<Arc<dyn Services>>,
    chain: ArcSwap<Chain>,
    /// One reload at a time: the last one that was asked for is the one in force.
    reloading: Mutex<()>,
    lock: DecisionLock,
    shadows: ShadowRunner,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("chain", &self.chain())
            .finish_non_exhaustive()
    }
}

impl Pipeline {
    /// Loads the first chain. An entry that cannot be loaded is broken: what it guards is refused,
    /// and [`status`](Self::status) says why.
    pub async fn load<C: Into<EntrySpec>>(
        host: Host,
        configured: Vec<C>,
        services: Arc<dyn Services>,
    ) -> Result<Self, ChainError> {
        let configured = configured.into_iter().map(Into::into).collect();
        let chain = Chain::load_what_can_be(&host, configured, services.clone(), None).await?;
        Ok(Self {
            host,
            services: RwLock::new(services),
            chain: ArcSwap::from_pointee(chain),
            reloading: Mutex::default(),
            lock: DecisionLock::default(),
            shadows: ShadowRunner::default(),
        })
    }

    /// The chain in force.
    pub fn chain(&self) -> Arc<Chain> {
        self.chain.load_full()
    }

    /// Judges `task` by the chain in force now, to the end. Keep the guard until
    /// the decision is durable.
    pub async fn decide(&self, task: &Task, deadline: Instant) -> (Decision, DecisionGuard) {
        let chain = self.chain();
        let (decision, guard) = chain.decide_under(task, deadline, &self.lock).await;
        self.shadows.run(&chain, &self.services(), task, &decision);
        (decision, guard)
    }

    /// Says what the chain in force now would answer, as far as it can without asking anybody
    /// outside the node. Shadows are not run.
    pub async fn preview(&self, task: &Task, deadline: Instant) -> Preview {
        self.chain().preview(task, deadline).await
    }

    /// Reports `task`, which others sign, to the plugins in force that count it: those that
    /// `wanted` names. Keep the guard until their writes are durable. Returns `None` if other
    /// decisions were under way until `deadline`.
    pub async fn observe(
        &self,
        task: &Task,
        wanted: impl Fn(&str) -> bool,
        deadline: Instant,
    ) -> Option<(Vec<Observation>, DecisionGuard)> {
        self.chain()
            .observe(task, wanted, deadline, &self.lock)
            .await
    }

    /// Loads a chain beside the one in force and replaces it. The old chain stays if an entry fails
    /// that is not broken now; one that is broken now may stay so. Files are read again; components
    /// that have not changed are not compiled again.
    pub async fn reload<C: Into<EntrySpec>>(
        &self,
        configured: Vec<C>,
    ) -> Result<Arc<Chain>, ChainError> {
        let _alone = self.reloading.lock().await;
        self.load_and_swap(configured, self.services()).await
    }

    /// The same with other services, such as other keys. Tasks under way finish with those that
    /// they began with, and if the old chain stays, so do its services.
    pub async fn renew<C: Into<EntrySpec>>(
        &self,
        configured: Vec<C>,
        services: Arc<dyn Services>,
    ) -> Result<Arc<Chain>, ChainError> {
        let _alone = self.reloading.lock().await;
        let chain = self.load_and_swap(configured, services.clone()).await?;
        *self
            .services
            .write()
            .unwrap_or_else(PoisonError::into_inner) = services;
        Ok(chain)
    }

    async fn load_and_swap<C: Into<EntrySpec>>(
        &self,
        configured: Vec<C>,
        services: Arc<dyn Services>,
    ) -> Result<Arc<Chain>, ChainError> {
        let before = self.chain();
        let configured = configured.into_iter().map(Into::into).collect();
        let chain =
            Chain::load_what_can_be(&self.host, configured, services, Some(&before)).await?;
        if let Some(error) = chain.worse_than(&before) {
            return Err(error);
        }
        let chain = Arc::new(chain);
        self.chain.store(chain.clone());
        Ok(chain)
    }

    fn services(&self) -> Arc<dyn Services> {
        self.services
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Status of each entry, in the order of the configuration.
    pub fn status(&self) -> Vec<EntryStatus> {
        self.chain().entries().iter().map(Entry::status).collect()
    }
}
