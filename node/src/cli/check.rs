//! `config check`: everything that can be known of a configuration without starting.

use super::Args;
use crate::config::Config;
use crate::risk;

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
    for line in runtime.block_on(risk::check(&config.policy))? {
        println!("  plugin       {line}");
    }
    if config.policy.allow_unguarded {
        println!(
            "  WARNING      policy.allow_unguarded is set: without plugins, every task of a requester is approved"
        );
    }
    if let Some(policy) = &config.expansion {
        println!(
            "\nThe file uses shorthands. They stand for this section, which could be written instead:\n\n{policy}"
        );
    }
    Ok(())
}
