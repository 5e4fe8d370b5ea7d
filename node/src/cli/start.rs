//! `start`: the daemon.

use super::{Args, passphrase};
use crate::config::Config;
use crate::daemon;
use crate::vault::Vault;
use anyhow::Context;
use std::io::IsTerminal;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let config = Config::load(&args.config)?;
    log_to_terminal(&config);
    let passphrase = passphrase::existing(args, &config)?;
    let vault = Vault::open(&config.dir, &passphrase, &config.recipients)?;
    drop(passphrase);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let shutdown = CancellationToken::new();
        tokio::spawn(wait_for_signal(shutdown.clone()));
        daemon::run(config, vault, shutdown).await.context("the node stopped")
    })
}

fn log_to_terminal(config: &Config) {
    if let Some(level) = config.log_level {
        let log = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr);
        log.with_target(false).with_ansi(std::io::stderr().is_terminal()).init();
    }
}

async fn wait_for_signal(shutdown: CancellationToken) {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return tracing::error!("SIGTERM cannot be handled; stop the node with Ctrl-C");
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    shutdown.cancel();
}
