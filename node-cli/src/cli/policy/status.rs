//! `policy status`: who signed what, what is in force, and what waits until when.

use std::time::Duration;

use anyhow::bail;
use countersign_cli_kit::times;
use countersign_node::admin::{self, Answer, Question};
use countersign_node::bundle::schedule::millis;
use countersign_node::bundle::{BundleStatus, Placed, Waiting};
use countersign_protocol::UnixMillis;
use countersign_protocol::text::escaped;
use countersign_store::Journal;

use super::bundle_file;
use crate::cli::{Args, init, time};

#[derive(Debug, clap::Args)]
pub struct Status {
    /// Print the state as JSON.
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = bundle_file::own(args)?;
        let status = match admin::ask_running(&config.dir, &Question::Bundles)? {
            Some(Answer::Bundles(status)) => *status,
            Some(_) => bail!("unexpected answer from the node; update it, and restart it"),
            None => {
                init::give_up_root(&config)?;
                let journal = Journal::open(&config.dir)?;
                BundleStatus::at_rest(&config, &journal, times::now())?
            }
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&status)?);
        } else {
            show(&status);
        }
        Ok(())
    }
}

/// Prints the state of a node's bundles.
pub(super) fn show(status: &BundleStatus) {
    println!("Policy      {}", status.name);
    println!(
        "Publishers  {} of {}",
        status.needed,
        status.publishers.join(", ")
    );
    let delay = Duration::from_millis(status.delay_ms);
    println!("Delay       {}", times::span(delay));
    match &status.schedule.present {
        Some(present) => show_placed("In force", present),
        None => println!("In force    none; only the entries of policy.plugins decide"),
    }
    if status.taken_up == Some(false) {
        println!(
            "            NOT TAKEN UP YET: the running node still decides by the one before; see its log"
        );
    }
    for entry in &status.replaced {
        println!(
            "            `{}` of policy.plugins stands in its place",
            escaped(entry)
        );
    }
    if let Some(previous) = &status.schedule.previous {
        show_placed("Before", previous);
    }
    match &status.schedule.waiting {
        Some(waiting) => show_waiting(status, waiting),
        None => println!("Waiting     none"),
    }
}

fn show_placed(title: &str, placed: &Placed) {
    println!("{title:<12}version {} ({})", placed.version, placed.bundle);
    println!("            since {}", time(placed.since));
    println!("            signed by {}", placed.signers.join(", "));
}

fn show_waiting(status: &BundleStatus, waiting: &Waiting) {
    let rollback = if waiting.rollback { ", a rollback" } else { "" };
    println!(
        "Waiting     version {} ({}){rollback}",
        waiting.version, waiting.bundle
    );
    println!("            taken {}", time(waiting.taken));
    println!("            signed by {}", waiting.signers.join(", "));
    let left = waiting.left();
    let until = UnixMillis(status.now.0.saturating_add(millis(left)));
    if status.judging {
        println!("            is being judged; takes effect at once if it is shown to tighten");
    }
    println!(
        "            takes effect after {} more in which the node runs: not before {}",
        times::span(left),
        time(until)
    );
    for reason in waiting.reasons() {
        println!("            {}", escaped(&reason.to_string()));
    }
}
