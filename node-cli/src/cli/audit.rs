//! `audit`: the log of the node's actions, in which every line vouches for the one before. Works
//! while the node runs.

mod export;

use anyhow::bail;
use countersign_node::admin::{self, Answer, Question};
use countersign_node::config::Config;
use countersign_store::AuditEntry;

use super::{Args, time};

#[derive(Debug, clap::Subcommand)]
pub enum AuditCommand {
    /// Verify that no line was changed, removed or inserted, and that the record and the recording
    /// of every task are those that the log vouches for. Prints the number and the hash of the last
    /// line: compare them with an earlier run.
    Verify {
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write what an auditor needs of a time into a file: the log, signed, with the records, votes
    /// and configurations for which it vouches.
    #[command(after_help = export::EXAMPLES)]
    Export(export::Export),
    /// Show entries of the log, one per line.
    Show {
        /// First line to show, counted from 0; the last lines if absent.
        #[arg(long)]
        from: Option<u64>,
        /// Maximum number of lines to show.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1000))]
        limit: u64,
        /// Print the entries as JSON.
        #[arg(long)]
        json: bool,
    },
}

impl AuditCommand {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = Config::load(&args.config)?;
        let question = match self {
            Self::Export(export) => return export.run(&config),
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
                    "The audit log is intact: {} lines, the last has hash {}",
                    head.entries, head.hash
                );
            }
            (Self::Show { json: true, .. }, Answer::Audit(entries)) => {
                println!("{}", serde_json::to_string_pretty(&entries)?);
            }
            (Self::Show { .. }, Answer::Audit(entries)) => entries.iter().for_each(show),
            _ => bail!("unexpected answer from the node"),
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
