//! `config check`: everything that can be known of a configuration without starting.

use std::sync::Arc;

use anyhow::Context;

use super::{Args, bounds};
use crate::config::{Config, Coordinator};
use crate::metrics::influx::Pusher;
use crate::{events, risk};

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let config = Config::load(&args.config)?;
    println!("{} can be read", args.config.display());
    println!("  sha256       {}", hex::encode(config.digest()));
    println!("  store        {}", config.dir.display());
    if let Some(Coordinator { address, id }) = &config.coordinator {
        println!("  coordinator  {id} at {address}");
    }
    println!(
        "  requesters   {}",
        config
            .requesters
            .values()
            .cloned()
            .collect::<Vec<_>>()
            .join(", ")
    );
    println!(
        "  roster       {}",
        config
            .roster
            .values()
            .cloned()
            .collect::<Vec<_>>()
            .join(", ")
    );
    for note in &config.notes {
        println!("  WARNING      {note}");
    }
    if let Some(pusher) = Pusher::of(&config)? {
        println!("  influxdb     {}", pusher.place());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(load(&config))?;
    for (at, line) in bounds::describe(&config)?.into_iter().enumerate() {
        println!("  {:<12} {line}", if at == 0 { "limits" } else { "" });
    }
    if config.policy.allow_unguarded {
        println!(
            "  WARNING      policy.allow_unguarded is set: without plugins, every task of a requester is approved"
        );
    }
    if let Some(sections) = &config.expansion {
        println!(
            "\nThe file uses shorthands. What they stand for could be written instead:\n\n{sections}"
        );
    }
    config
        .check_complete()
        .map(drop)
        .context("so far all is well, but the node would not start")
}

/// Loads plugins and receivers as `start` would.
async fn load(config: &Config) -> anyhow::Result<()> {
    let policy = &config.policy;
    let host = risk::sandbox(policy, None)?;
    let services = Arc::new(risk::scratch(policy)?);
    let chain = risk::check(policy, &host, services.clone()).await?;
    for plugin in chain.plugins() {
        let digest = hex::encode(plugin.digest());
        println!(
            "  plugin       {} {} sha256:{digest}",
            plugin.name(),
            plugin.info().version
        );
        for anchor in plugin.anchors() {
            // There is no store yet, perhaps: the node's own keys are stand-ins here.
            let digest = if risk::is_own_key(&anchor.name) {
                "the node's own, which `plugin list` shows while it runs".into()
            } else {
                anchor.digest()
            };
            println!(
                "               {} {}: {digest}",
                anchor.kind.name(),
                anchor.name
            );
        }
    }
    let receivers = events::check(policy, &config.receivers, &host, services).await;
    for line in receivers
        .map_err(|(name, error)| anyhow::Error::new(error).context(format!("receiver `{name}`")))?
    {
        println!("  receiver     {line}");
    }
    if !config.receivers.is_empty() {
        println!(
            "  event key    not looked at: `event key info` asks for the passphrase and shows it"
        );
    }
    Ok(())
}
