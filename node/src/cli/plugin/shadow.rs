//! `plugin shadow`: what plugins that decide nothing would have decided otherwise.

use countersign_store::Difference;

use crate::admin::{self, Answer, Question};
use crate::cli::{Args, time};
use crate::config::Config;

/// Arguments of `plugin shadow`.
#[derive(Debug, clap::Args)]
pub struct ShadowReport {
    /// At most so many, newest first.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl ShadowReport {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = Config::load(&args.config)?;
        let answer = admin::ask(&config.dir, &Question::Differences(self.limit))?;
        let Answer::Differences(differences) = answer else {
            anyhow::bail!("the node answered something else")
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&differences)?);
            return Ok(());
        }
        if config
            .policy
            .plugins
            .iter()
            .all(|entry| entry.shadow.is_none())
        {
            println!(
                "No entry of policy.plugins is a shadow now; write shadow: true, or shadows: NAME."
            );
        }
        println!("Differences: {}", differences.len());
        differences.iter().for_each(show);
        Ok(())
    }
}

fn show(difference: &Difference) {
    let against = difference.against.as_deref().unwrap_or("all that decide");
    println!("\n{}  task {}", time(difference.at), difference.task);
    println!(
        "  {against:<16} {}",
        difference.decided.as_deref().unwrap_or("approved")
    );
    let would = difference
        .would_have
        .as_deref()
        .map_or("approve".into(), |code| {
            format!("{code}: {}", difference.reason)
        });
    println!("  {:<16} would have said {would}", difference.shadow);
}
