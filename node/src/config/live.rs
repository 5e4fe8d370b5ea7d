//! The configuration as parts see it that follow changes while the node runs.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Config;

/// Sections that take effect when an operator asks for it (SIGHUP). All others need a restart.
pub const LIVE_SECTIONS: [&str; 6] = ["chains", "keys", "log", "preflight", "requesters", "roster"];

/// The configuration in force.
#[derive(Debug)]
pub struct LiveConfig(ArcSwap<Config>);

impl LiveConfig {
    /// The configuration in force now. Ask again for the next decision.
    pub fn now(&self) -> Arc<Config> {
        self.0.load_full()
    }

    /// Takes the [live sections](LIVE_SECTIONS) of another configuration and keeps the others.
    pub fn take(&self, other: Config) {
        let present = self.now();
        self.0.store(Arc::new(Config {
            networks: other.networks,
            allow_blind: other.allow_blind,
            allow_binary: other.allow_binary,
            log: other.log,
            preflights: other.preflights,
            requesters: other.requesters,
            roster: other.roster,
            ..Config::clone(&present)
        }));
    }
}

impl From<Config> for LiveConfig {
    fn from(config: Config) -> Self {
        Self(ArcSwap::from_pointee(config))
    }
}
