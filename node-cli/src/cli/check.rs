//! `config check`: checks everything that can be verified about a configuration without starting.

use std::sync::Arc;

use anyhow::Context;
use countersign_node::bundle::BundleFolder;
use countersign_node::config::{Config, Coordinator};
use countersign_node::{events, metrics, risk};
use countersign_store::Journal;

use super::{Args, bounds};

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let config = Config::load(&args.config)?;
    check_bundles(&config)?;
    println!("{} is readable", args.config.display());
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
    println!("  preflights   {}", preflights(&config));
    for note in &config.notes {
        println!("  WARNING      {note}");
    }
    if let Some(pusher) = metrics::pusher(&config)? {
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
        println!("\nThe file uses shorthands. They are equivalent to:\n\n{sections}");
    }
    config
        .check_complete()
        .map(drop)
        .context("no errors so far, but the node would not start")
}

/// Checks that the policy bundle is there that the journal knows of. A node that runs has done so,
/// and one that never ran has no journal.
fn check_bundles(config: &Config) -> anyhow::Result<()> {
    if config.policy.bundles.is_none() {
        return Ok(());
    }
    if let Ok(journal) = Journal::open(&config.dir) {
        BundleFolder::of(&config.dir).expected(&journal)?;
    }
    Ok(())
}

/// Those to whom the node says in advance how it would decide.
fn preflights(config: &Config) -> String {
    let rules = &config.preflights;
    let names: Vec<&str> = config
        .requesters
        .iter()
        .filter(|(id, _)| rules.allowed.contains(id))
        .map(|(_, name)| name.as_str())
        .collect();
    if names.is_empty() {
        return "answered to nobody (`preflight`)".into();
    }
    let names = names.join(", ");
    format!("answered to {names}; each {} a minute", rules.per_minute)
}

/// Loads the plugins and the receivers like `start`.
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
            // There may be no store yet: the node's own keys are stand-ins here.
            let digest = if risk::is_own_key(&anchor.name) {
                "the node's own, shown by `plugin list` while the node runs".into()
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
            "  event key    not checked: `event key info` asks for the passphrase and shows it"
        );
    }
    Ok(())
}
