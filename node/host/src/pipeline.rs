//! The chain in force, replaceable while tasks are being judged. A replacement takes effect whole or not at all.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use crate::chain::{Chain, ChainError, Decision};
use crate::host::Host;
use crate::load::PluginSpec;
use crate::{Services, Task};

/// Holds the chain that judges.
pub struct Pipeline {
    host: Host,
    services: Arc<dyn Services>,
    chain: ArcSwap<Chain>,
    /// One reload at a time: the last one that was asked for is the one in force.
    reloading: Mutex<()>,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Pipeline").field("chain", &self.chain()).finish_non_exhaustive()
    }
}

impl Pipeline {
    /// Loads the first chain.
    pub async fn load(
        host: Host,
        specs: Vec<PluginSpec>,
        services: Arc<dyn Services>,
    ) -> Result<Self, ChainError> {
        let chain = Chain::load(&host, specs, services.clone()).await?;
        Ok(Self { host, services, chain: ArcSwap::from_pointee(chain), reloading: Mutex::new(()) })
    }

    /// The chain in force.
    pub fn chain(&self) -> Arc<Chain> {
        self.chain.load_full()
    }

    /// Judges `task` by the chain in force now, to the end.
    pub async fn decide(&self, task: &Task, deadline: Instant) -> Decision {
        self.chain().decide(task, deadline).await
    }

    /// Loads a chain beside the one in force and puts it in its place. On an error the old one stays. Files are read
    /// again; components that have not changed are not compiled again.
    pub async fn reload(&self, specs: Vec<PluginSpec>) -> Result<Arc<Chain>, ChainError> {
        let _one_at_a_time = self.reloading.lock().await;
        let chain = Arc::new(Chain::load(&self.host, specs, self.services.clone()).await?);
        self.chain.store(chain.clone());
        Ok(chain)
    }
}
