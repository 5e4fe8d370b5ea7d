//! `audit`: what the node did, in a log in which every line vouches for the one before. Works while
//! the node runs.

use anyhow::bail;
use countersign_store::AuditEntry;

use super::{Args, time};
use crate::admin::{self, Answer, Question};
use crate::config::Config;

/// What `audit` can do.
#[derive(Debug, clap::Subcommand)]
pub enum AuditCommand {
    /// Check that no line was changed, removed or put in, and that every task's record and
    /// recording is the one that the log vouches for. Prints number and hash of the last line:
    /// compare them with an earlier run.
    Verify {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the log.
    Show {
        /// From this line on, counted from 0; absent: the last lines.
        #[arg(long)]
        from: Option<u64>,
        /// At most so many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1000))]
        limit: u64,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl AuditCommand {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = Config::load(&args.config)?;
        let question = match self {
            Self::Verify { .. } => Question::VerifyAudit,
            Self::Show { from, limit, .. } => Question::Audit {
                from: *from,
                limit: *limit,
            },
        };
        match (self, admin::ask(&config.dir, &question)?) {
            (Self::Verify { json: true }, Answer::AuditHead(head)) => {
                println!("{}", serde_json::to_string_pretty(&head)?);
            }
            (Self::Verify { .. }, Answer::AuditHead(head)) => {
                println!(
                    "The audit log is whole: {} lines, the last has hash {}",
                    head.entries, head.hash
                );
            }
            (Self::Show { json: true, .. }, Answer::Audit(entries)) => {
                println!("{}", serde_json::to_string_pretty(&entries)?);
            }
            (Self::Show { .. }, Answer::Audit(entries)) => entries.iter().for_each(show),
            _ => bail!("the node answered something else"),
        }
        Ok(())
    }
}

fn show(entry: &AuditEntry) {
    let task = entry.task.map_or("-".into(), |task| task.to_string());
    println!(
        "{:>8}  {}  {:<9}  {task:<32}  {}",
        entry.seq,
        time(entry.time),
        entry.kind.name(),
        entry.text
    );
}
