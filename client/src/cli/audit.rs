//! `countersign audit`.

use clap::Args;
use countersign_client::api::AuditEntry;
use countersign_client::{Client, ClientError};
use serde_json::json;

use super::line::{Line, Tone};
use super::output::Output;
use super::{sign, time};

/// Selects a part of the audit log.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Number of entries, 1 to 200.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
    /// Only entries behind this cursor: `cursor` of an entry, or `next` of a page.
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
}

pub async fn execute(args: AuditArgs, client: &Client, output: &Output) -> Result<(), ClientError> {
    let after = args.after.as_deref();
    let page = client.api().audit(args.limit.into(), after).await?;
    let lines: Vec<Line> = page.entries.iter().map(line).collect();
    if page.entries.len() == usize::from(args.limit) {
        let next = sign::with_option(std::env::args(), "--after", &page.next);
        output.note(format!("later entries: {next}"));
    }
    output.result(&json!(page), &lines)
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
