//! `plugin install`: adds a component to the plugin store.

use std::future::Future;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use countersign_host::PluginStore;
use countersign_node::risk;

use super::target;
use crate::cli::Args;

/// Shown below the help.
pub(super) const EXAMPLES: &str = "Example:
  countersign-node plugin install rules.wasm

The component is compiled in a process of its own with the limits of policy.compile, and asked for its name. If \
policy.trusted_publishers is not empty, rules.wasm.sig must be a signature by one of them. An entry of policy.plugins \
without `file` uses what is installed under its name; an entry with `digest` must be changed before it does.";

#[derive(Debug, clap::Args)]
pub struct Install {
    /// The component to install.
    file: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Install {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let policy = target::policy(args)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let installed = runtime.block_on(async {
            let host = risk::sandbox(&policy, None)?;
            let store = PluginStore::new(&policy.plugin_dir);
            anyhow::Ok(
                with_progress("Checking and compiling", store.install(&host, &self.file)).await?,
            )
        })?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&installed)?);
            return Ok(());
        }
        let digest = hex::encode(installed.current.digest);
        println!("Installed {} {}", installed.name, installed.current.version);
        println!("  digest     sha256:{digest}");
        println!("  directory  {}", policy.plugin_dir.display());
        if let Some(publisher) = &installed.current.publisher {
            println!("  publisher  {publisher}");
        }
        if let Some(before) = installed.previous.first() {
            println!(
                "  before     {} sha256:{}",
                before.version,
                hex::encode(before.digest)
            );
        }
        let users: Vec<&str> = risk::users(&policy, &installed.name)
            .map(|entry| entry.name.as_str())
            .collect();
        if users.is_empty() {
            println!(
                "No entry of policy.plugins uses it yet; add: - {{ name: {} }}",
                installed.name
            )
        } else {
            println!(
                "Used by {}; a running node takes it up within a second.",
                users.join(", ")
            )
        }
        Ok(())
    }
}

/// Shows progress while `work` is running, if there is a terminal.
async fn with_progress<T>(what: &str, work: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let live = std::io::stderr().is_terminal();
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => {
                if live {
                    eprint!("\r\x1b[K");
                }
                return done;
            }
            _ = ticks.tick(), if live => {
                eprint!("\r{what}, {} s", started.elapsed().as_secs());
            }
        }
    }
}
