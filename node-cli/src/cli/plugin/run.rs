//! `plugin run`: asks one plugin about one task, and explains the verdict. Signs nothing.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use countersign_host::{Evaluation, HttpRequest, Level, LogLine, Services, StateWrite, Verdict};
use countersign_node::risk;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::target::{self, Target};
use super::task_file::{self, Example};
use super::trial::Trial;
use crate::cli::Args;

/// Exit code of a verdict that refuses the task.
const REFUSED: u8 = 3;

/// Shown below the help.
pub(super) const EXAMPLES: &str = "Examples:
  countersign-node plugin run --example keysign > task.json     # then edit it
  countersign-node plugin run rules --task task.json
  countersign-node plugin run rules --task task.json --at 2026-01-31T23:30:00Z
  countersign-node plugin run ./limits.wasm --plugin-config limits.yaml --task task.json

The task file is the `task` record of wit/policy.wit as JSON, with the contract's names; bytes are 0x and hexadecimal \
digits; omitted fields are empty. The plugin starts with empty state, and signs requests with a throw-away key: a real \
callback server will not accept them.

Exit codes: 0 approved, 3 refused, 1 error, 2 wrong usage.";

#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Run {
    #[command(flatten)]
    target: Target,
    /// The task to judge (JSON).
    #[arg(long, value_name = "FILE", required_unless_present = "example")]
    task: Option<PathBuf>,
    /// Print a task to start from, and do nothing else.
    #[arg(long, value_name = "KIND")]
    example: Option<Example>,
    /// Time shown by the plugin's clock, as RFC 3339, such as
    /// 2026-01-31T23:30:00Z. Default: the present.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Send the plugin's requests. Without this, they are shown and fail.
    #[arg(long)]
    network: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Run {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<ExitCode> {
        if let Some(example) = self.example {
            print!("{}", example.to_json());
            return Ok(ExitCode::SUCCESS);
        }
        let (policy, entry) = self.target.find(args)?;
        let at = self.at.as_deref().map(instant).transpose()?;
        let trial = Arc::new(Trial::new(risk::scratch(&policy)?, at, self.network));
        let task = self
            .task
            .as_deref()
            .context("name a task with --task FILE")?;
        let text =
            countersign_files::read_to_string(task, crate::cli::MAX_INPUT).with_context(|| {
                format!(
                    "cannot read {}; `plugin run --example keysign` prints a task",
                    task.display()
                )
            })?;
        let mut task = task_file::parse(&text).with_context(|| {
            format!(
                "{} is not a task; `plugin run --example keysign` prints one",
                task.display()
            )
        })?;
        if task.received_at == 0 {
            task.received_at = trial.now();
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let evaluation = runtime.block_on(async {
            let host = risk::sandbox(&policy, None)?;
            let (spec, _) = target::spec(&host, &policy, &entry).await?;
            let plugin = host.load(&spec, trial.clone()).await?;
            let wall = Duration::from_millis(policy.wall_ms(&entry));
            anyhow::Ok(plugin.evaluate(&task, Instant::now() + wall).await)
        })?;
        if self.json {
            println!(
                "{}",
                serde_json::to_string_pretty(&as_json(&evaluation, &trial.requests()))?
            )
        } else {
            show(&evaluation, &trial.requests(), self.network)
        }
        let approved = evaluation.verdict == Verdict::Approve;
        Ok(if approved {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(REFUSED)
        })
    }
}

/// Parses a time into milliseconds since 1970.
fn instant(text: &str) -> anyhow::Result<u64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok();
    let millis = time.and_then(|time| u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok());
    millis
        .with_context(|| format!("`{text}` is not a time; write one such as 2026-01-31T23:30:00Z"))
}

fn show(evaluation: &Evaluation, requests: &[HttpRequest], network: bool) {
    println!(
        "{} {} sha256:{}",
        evaluation.plugin,
        evaluation.version,
        hex::encode(evaluation.digest)
    );
    for line in &evaluation.logs {
        println!("  {:<5}  {}", level(line.level), line.message);
        // Many plugins repeat their fields in the message.
        let unsaid = line
            .fields
            .iter()
            .filter(|(_, value)| !line.message.contains(value));
        unsaid.for_each(|(name, value)| println!("         {name}: {value}"));
    }
    if !requests.is_empty() {
        println!(
            "\n{}:",
            if network {
                "Requests it sent"
            } else {
                "Requests it would send"
            }
        );
        for request in requests {
            println!(
                "  {} {} ({} bytes)",
                request.method,
                request.url,
                request.body.len()
            );
        }
    }
    if !evaluation.writes.is_empty() {
        println!("\nState it would write:");
        evaluation
            .writes
            .iter()
            .for_each(|write| println!("  {}", describe(write)));
    }
    println!();
    match &evaluation.verdict {
        Verdict::Approve => println!("Verdict  approve"),
        Verdict::Reject { code, reason } => {
            println!("Verdict  reject\nCode     {code}\nReason   {reason}")
        }
        Verdict::Failed { code, reason } => {
            println!(
                "Verdict  no usable answer, which refuses the task\nCode     {code}\nReason   {reason}"
            );
        }
    }
    println!("Elapsed  {:.3} ms", evaluation.elapsed.as_secs_f64() * 1e3);
}

fn describe(write: &StateWrite) -> String {
    let kept = write
        .ttl_seconds
        .map_or("for good".into(), |seconds| format!("for {seconds} s"));
    match &write.value {
        None => format!("delete {}", write.key),
        Some(value) => format!("{} = {} ({kept})", write.key, text_or_hex(value)),
    }
}

fn text_or_hex(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if countersign_protocol::text::is_plain(text) => text.into(),
        _ => format!("0x{}", hex::encode(bytes)),
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

fn as_json(evaluation: &Evaluation, requests: &[HttpRequest]) -> serde_json::Value {
    let log = |line: &LogLine| json!({ "level": level(line.level), "message": line.message, "fields": line.fields });
    let request = |request: &HttpRequest| json!({ "method": request.method, "url": request.url.as_str(), "body_bytes": request.body.len() });
    let write = |write: &StateWrite| json!({ "key": write.key, "value": write.value.as_deref().map(text_or_hex), "ttl_seconds": write.ttl_seconds });
    let refusal = evaluation.verdict.refusal();
    json!({
        "plugin": evaluation.plugin,
        "version": evaluation.version,
        "digest": format!("sha256:{}", hex::encode(evaluation.digest)),
        "config": format!("sha256:{}", hex::encode(evaluation.revision)),
        "approved": refusal.is_none(),
        "code": refusal.map(|(code, _)| code),
        "reason": refusal.map(|(_, reason)| reason),
        "micros": evaluation.elapsed.as_micros() as u64,
        "logs": evaluation.logs.iter().map(log).collect::<Vec<_>>(),
        "requests": requests.iter().map(request).collect::<Vec<_>>(),
        "writes": evaluation.writes.iter().map(write).collect::<Vec<_>>(),
    })
}
