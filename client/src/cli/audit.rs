//! `countersign audit`: what was done with API keys, and bundles for auditors.

mod bundle;

use clap::{Args, Subcommand};
use countersign_client::api::AuditEntry;
use countersign_client::{Client, ClientError};
use serde_json::json;

use super::exit::Exit;
use super::line::{Line, Tone};
use super::output::Output;
use super::{sign, time};
pub use bundle::verify;

/// Selects a part of the audit log.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = bundle::EXAMPLES)]
pub struct AuditArgs {
    #[command(subcommand)]
    pub command: Option<AuditCommand>,
    /// Number of entries, 1 to 200.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
    /// Only entries behind this cursor: `cursor` of an entry, or `next` of a page.
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Join the files of nodes, and what the coordinator tells of a time, into one bundle for an
    /// auditor. Needs the scope `admin`.
    Export(bundle::Export),
    /// Say what a bundle proves, what is missing and what is wrong. Asks nobody: whom to believe
    /// is in the profile.
    Verify(bundle::Verify),
}

pub async fn execute(
    args: AuditArgs,
    client: &Client,
    output: &Output,
) -> Result<Exit, ClientError> {
    match &args.command {
        Some(AuditCommand::Export(export)) => {
            bundle::export(export, client, output).await?;
            return Ok(Exit::Done);
        }
        Some(AuditCommand::Verify(args)) => return verify(args, client.profile(), output),
        None => {}
    }
    let after = args.after.as_deref();
    let page = client.api().audit(args.limit.into(), after).await?;
    let lines: Vec<Line> = page.entries.iter().map(line).collect();
    if page.entries.len() == usize::from(args.limit) {
        let next = sign::with_option(std::env::args(), "--after", &page.next);
        output.note(format!("later entries: {next}"));
    }
    output.result(&json!(page), &lines)?;
    Ok(Exit::Done)
}

fn line(entry: &AuditEntry) -> Line {
    let proof = match (&entry.requester, &entry.sha256) {
        (Some(requester), _) => format!(" (requester {requester})"),
        (None, Some(hash)) => format!(" (sha256 {hash})"),
        (None, None) => String::new(),
    };
    Line::new(time::utc(entry.at), Tone::Dim)
        .and(
            format!(" {} {} by {}", entry.action, entry.target, entry.by),
            Tone::Plain,
        )
        .and(proof, Tone::Dim)
}
