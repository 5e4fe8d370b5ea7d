//! `plugin shadow`: lists the decisions with which shadow plugins would have disagreed.

use countersign_node::admin::{self, Answer, Question};
use countersign_node::config::Config;
use countersign_store::Difference;

use crate::cli::{Args, time};

#[derive(Debug, clap::Args)]
pub struct ShadowReport {
    /// Maximum number of differences, newest first.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Print the differences as JSON.
    #[arg(long)]
    json: bool,
}

impl ShadowReport {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = Config::load(&args.config)?;
        let answer = admin::ask(&config.dir, &Question::Differences(self.limit))?;
        let Answer::Differences(differences) = answer else {
            anyhow::bail!("unexpected answer from the node")
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
                "No entry of policy.plugins is currently a shadow; write shadow: true, or shadows: NAME."
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
