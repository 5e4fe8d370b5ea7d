//! `plugin rollback`: puts the previous release in force again.

use countersign_host::PluginStore;

use super::target;
use crate::cli::Args;

/// Shown below the help.
pub(super) const EXAMPLES: &str = "Example:
  countersign-node plugin rollback rules

A second rollback returns to the release that the first one replaced.";

#[derive(Debug, clap::Args)]
pub struct Rollback {
    /// Name of the installed plugin.
    name: String,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Rollback {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let store = PluginStore::new(target::policy(args)?.plugin_dir);
        let manifest = store.rollback(&self.name)?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&manifest)?);
            return Ok(());
        }
        let release = |release: &countersign_host::PluginRelease| {
            format!("{} sha256:{}", release.version, hex::encode(release.digest))
        };
        println!("Back to {} {}", manifest.name, release(&manifest.current));
        if let Some(left) = manifest.previous.first() {
            println!("  left       {}", release(left));
        }
        Ok(())
    }
}
