//! `start`: runs the node as a daemon.

use std::sync::Arc;

use anyhow::Context;
use countersign_log::{Log, OpenError, Rewrite};
use countersign_node::config::Config;
use countersign_node::daemon::{self, OnReload};
use countersign_node::names::Names;
use countersign_node::patience;
use countersign_node::vault::Vault;
use countersign_node::world::now;
use countersign_store::Passphrase;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Args, passphrase};

/// Time for threads to end after everything else has ended.
const STUCK: std::time::Duration = std::time::Duration::from_secs(5);

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    countersign_system::outlive_file_limits();
    countersign_system::outlive_hangups();
    countersign_door::take_all_descriptors();
    let config = Config::load(&args.config)?;
    let complete = config.check_complete().map(drop);
    complete.with_context(|| format!("{} is not complete", args.config.display()))?;
    // Kept until the end: it writes the lines that are still queued.
    let (_log, told) = start_log(&config)?;
    for what in countersign_system::missing() {
        tracing::warn!("this system protects less than Linux does: {what}");
    }
    config
        .notes
        .iter()
        .for_each(|note| tracing::warn!("{note}"));
    let passphrase = passphrase::existing(args, &config)?;
    let vault = patience::open_vault(&config, &passphrase)?;
    let vault = renew_key_if_due(vault, &config, &passphrase)?;
    drop(passphrase);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let terminate = signal(SignalKind::terminate())
            .context("SIGTERM cannot be handled; run the node on Linux")?;
        let interrupt = signal(SignalKind::interrupt())
            .context("Ctrl-C cannot be handled; run the node on Linux")?;
        tokio::spawn(wait_for_signal(terminate, interrupt, shutdown.clone()));
        daemon::run_with(config, vault, shutdown, told)
            .await
            .context("the node stopped")
    });
    // A thread that waits for a dead disk must not keep the process running: monitoring would take
    // it to be alive.
    runtime.shutdown_timeout(STUCK);
    ended
}

/// Renews the storage key after a share was destroyed, so that earlier copies of the key
/// open nothing new. It happens at startup because the passphrase that protects the new key
/// is available only then.
fn renew_key_if_due(
    vault: Vault,
    config: &Config,
    passphrase: &Passphrase,
) -> anyhow::Result<Vault> {
    let journal = patience::open_journal(&config.dir)?;
    if journal.rekey_due()?.is_none() {
        return Ok(vault);
    }
    let vault = vault.renew_key(passphrase)?;
    journal.rekeyed(now())?;
    tracing::info!(
        "shares were destroyed since the last start: the storage key was renewed; make a new backup"
    );
    Ok(vault)
}

/// Starts the log, and returns what puts changes of the configuration in force.
fn start_log(config: &Config) -> Result<(Arc<Log>, OnReload), OpenError> {
    let names = Names::of(&config.roster);
    let shown = names.clone();
    let rewrite: Rewrite = Arc::new(move |line| shown.put_into(line));
    let log = Arc::new(Log::start(&config.log, rewrite)?);
    let running = log.clone();
    let told = move |config: &Config| {
        names.set(&config.roster);
        if let Err(error) = running.apply(&config.log) {
            tracing::warn!(%error, "the settings of the log did not change");
        }
    };
    Ok((log, Arc::new(told)))
}

async fn wait_for_signal(
    mut terminate: Signal,
    mut interrupt: Signal,
    shutdown: CancellationToken,
) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    shutdown.cancel();
}
