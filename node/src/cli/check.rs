//! `config check`: everything that can be known of a configuration without starting.

use super::Args;
use crate::config::Config;
use crate::{events, risk};
use std::sync::Arc;

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let config = Config::load(&args.config)?;
    println!("{} can be read", args.config.display());
    println!("  store        {}", config.dir.display());
    println!("  coordinator  {} at {}", config.coordinator, config.coordinator_address);
    println!("  requesters   {}", config.requesters.values().cloned().collect::<Vec<_>>().join(", "));
    println!("  roster       {}", config.roster.values().cloned().collect::<Vec<_>>().join(", "));
    for note in &config.notes {
        println!("  WARNING      {note}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(load(&config))?;
    if config.policy.allow_unguarded {
        println!(
            "  WARNING      policy.allow_unguarded is set: without plugins, every task of a requester is approved"
        );
    }
    if let Some(sections) = &config.expansion {
        println!("\nThe file uses shorthands. What they stand for could be written instead:\n\n{sections}");
    }
    Ok(())
}

/// Loads plugins and receivers as `start` would.
async fn load(config: &Config) -> anyhow::Result<()> {
    let policy = &config.policy;
    let host = risk::sandbox(policy, None)?;
    let services = Arc::new(risk::scratch(policy)?);
    for line in risk::check(policy, &host, services.clone()).await? {
        println!("  plugin       {line}");
    }
    let receivers = events::check(policy, &config.receivers, &host, services).await;
    for line in
        receivers.map_err(|(name, error)| anyhow::Error::new(error).context(format!("receiver `{name}`")))?
    {
        println!("  receiver     {line}");
    }
    if !config.receivers.is_empty() {
        println!("  event key    not looked at: `event key info` asks for the passphrase and shows it");
    }
    Ok(())
}
