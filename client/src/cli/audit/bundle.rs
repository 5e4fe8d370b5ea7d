//! `audit export` and `audit verify`: bundles for auditors.

use std::path::{Path, PathBuf};

use clap::Args;
use countersign_client::audit::{Bundle, NodeLog};
use countersign_client::auditing::{Fact, Finding, Report, Standing, Subject};
use countersign_client::{Client, ClientError, Profile, verify_audit};
use countersign_protocol::UnixMillis;
use serde_json::{Value, json};

use crate::cli::exit::Exit;
use crate::cli::line::{Line, Tone};
use crate::cli::output::Output;
use crate::cli::time;

/// The largest file, in bytes.
const LARGEST: u64 = countersign_client::audit::MAX_BYTES as u64;

/// Shown below the help.
pub const EXAMPLES: &str = "\
Examples:
  countersign audit --limit 200
  countersign audit export --from 2026-07-01 --to 2026-08-01 --node alice.audit --node bob.audit --out july.audit
  countersign audit verify july.audit --from 2026-07-01 --to 2026-08-01

Each node's operator makes a file by `countersign-node audit export`, for the same time or more.

Exit codes of verify: 0 everything is proven; 3 something is missing, such as a time of your own;
1 something is wrong, or the file cannot be read. The profile of the auditor names nodes, requesters,
approvers and the coordinator (`coordinator_id`), each id as its owner told it. Nothing in a bundle
vouches for itself.";

#[derive(Debug, Args)]
pub struct Export {
    /// The beginning: an age such as 90d, or a date such as 2026-07-01 or 2026-07-01T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time::point)]
    from: UnixMillis,
    /// The end, which is not part of it; if absent, the earliest end of the nodes' files, or now.
    #[arg(long, value_name = "TIME", value_parser = time::point)]
    to: Option<UnixMillis>,
    /// The file of a node, from `countersign-node audit export`. Once for each node.
    #[arg(long = "node", value_name = "FILE", required = true)]
    nodes: Vec<PathBuf>,
    /// The file to write, which must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// The bundle.
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// The beginning of the time that you ask about; if absent, what the bundle says, which nobody
    /// signs, so that something is missing.
    #[arg(long, value_name = "TIME", value_parser = time::point)]
    from: Option<UnixMillis>,
    /// Its end, which is not part of it; if absent, what the bundle says.
    #[arg(long, value_name = "TIME", value_parser = time::point)]
    to: Option<UnixMillis>,
    /// Leave out what is proven.
    #[arg(long)]
    quiet: bool,
}

/// Makes a bundle.
pub async fn export(args: &Export, client: &Client, output: &Output) -> Result<(), ClientError> {
    let mut logs = Vec::new();
    for path in &args.nodes {
        let log = NodeLog::read(&read(path)?).map_err(|error| unusable(path, error.to_string()))?;
        logs.push(log);
    }
    // Beyond its own end no file proves anything, and nobody proves what is to come.
    let ends = logs.iter().map(|log| log.time.1.min(log.head.at));
    let to = args
        .to
        .unwrap_or_else(|| ends.fold(time::now(), UnixMillis::min));
    if args.from >= to {
        return Err(ClientError::Usage("--from has to be before --to".into()));
    }
    let bundle = client.audit_bundle((args.from, to), logs).await?;
    let file = bundle.write();
    // What would not be read again is no evidence.
    Bundle::read(&file).map_err(|error| unusable(&args.out, error.to_string()))?;
    countersign_files::create(&args.out, &file).map_err(|error| ClientError::File {
        path: args.out.clone(),
        reason: error.to_string(),
        advice: "name a new file in a folder that you may write to",
    })?;
    let told = bundle.coordinator.as_ref();
    let acts = told.map_or(0, |told| told.acts.len());
    let tasks = told.map_or(0, |told| told.tasks.len());
    let nodes = bundle.nodes.len();
    let text = format!(
        "{}: {nodes} nodes, {tasks} tasks, {acts} acts; see `countersign audit verify`",
        args.out.display()
    );
    let json = json!({"file": args.out, "nodes": nodes, "tasks": tasks, "acts": acts});
    output.result(&json, &[Line::from(text)])
}

/// Says what a bundle proves.
pub fn verify(args: &Verify, profile: &Profile, output: &Output) -> Result<Exit, ClientError> {
    let path = &args.bundle;
    let bundle = Bundle::read(&read(path)?).map_err(|error| unusable(path, error.to_string()))?;
    let from = args.from.unwrap_or(bundle.time.0);
    let to = args.to.unwrap_or(bundle.time.1);
    if from >= to {
        return Err(ClientError::Usage("--from has to be before --to".into()));
    }
    let report = verify_audit(&bundle, (args.from, args.to), profile)?;
    let standing = report.standing();
    let time_of = match (args.from, args.to) {
        (Some(_), Some(_)) => "you",
        (None, _) | (_, None) => "bundle",
    };
    let shown = |one: &&Finding| !args.quiet || one.fact.standing() != Standing::Proven;
    let findings: Vec<&Finding> = report.findings.iter().filter(shown).collect();
    let mut lines = vec![Line::from(format!(
        "from {} to {}, {} nodes",
        time::utc(from),
        time::utc(to),
        bundle.nodes.len()
    ))];
    let mut last = None;
    for one in &findings {
        if last.replace(one.subject) != Some(one.subject) {
            lines.push(Line::new(name(&one.subject, profile), Tone::Plain));
        }
        lines.push(line(&one.fact, profile));
    }
    lines.push(conclusion(&report));
    let findings = findings.into_iter().map(as_json);
    let json = json!({
        "from": from,
        "to": to,
        "time_of": time_of,
        "standing": standing.name(),
        "findings": findings.collect::<Vec<_>>(),
    });
    output.result(&json, &lines)?;
    Ok(match standing {
        Standing::Proven => Exit::Done,
        Standing::Missing => Exit::Missing,
        Standing::Wrong => Exit::Wrong,
    })
}

/// A finding for programs. Of chains, the numbers and hashes by which bundles are joined.
fn as_json(one: &Finding) -> Value {
    let mut json = json!({
        "subject": id(&one.subject),
        "standing": one.fact.standing().name(),
        "text": one.fact.to_string(),
    });
    if let Some(span) = one.fact.span() {
        json["chain"] = json!({
            "first": span.first,
            "last": span.last,
            "previous": span.previous,
            "hash": span.hash,
        });
    }
    json
}

fn line(fact: &Fact, profile: &Profile) -> Line {
    let (word, tone) = match fact.standing() {
        Standing::Proven => ("proven   ", Tone::Good),
        Standing::Missing => ("missing  ", Tone::Attention),
        Standing::Wrong => ("WRONG    ", Tone::Bad),
    };
    let text = profile.with_names(&fact.to_string());
    Line::new(format!("  {word}"), tone).and(text, Tone::Plain)
}

fn conclusion(report: &Report) -> Line {
    let number = |standing| {
        let facts = report.findings.iter();
        facts.filter(|one| one.fact.standing() == standing).count()
    };
    let wrong = number(Standing::Wrong);
    let missing = number(Standing::Missing);
    match report.standing() {
        Standing::Proven => Line::new("everything is proven", Tone::Good),
        Standing::Missing => Line::new(
            format!("nothing is wrong, and {missing} facts are missing"),
            Tone::Attention,
        ),
        Standing::Wrong => Line::new(
            format!("{wrong} facts are wrong, and {missing} are missing"),
            Tone::Bad,
        ),
    }
}

/// A heading for people.
fn name(subject: &Subject, profile: &Profile) -> String {
    match subject {
        Subject::Time => "the time".into(),
        Subject::Profile => "the profile".into(),
        Subject::Coordinator => "the coordinator".into(),
        Subject::Wallet(wallet) => format!("wallet {wallet}"),
        Subject::Node(node) => format!("node {}", profile.describe_node(node)),
        Subject::Task(task) => format!("task {task}"),
    }
}

/// The subject for programs.
fn id(subject: &Subject) -> String {
    match subject {
        Subject::Time => "time".into(),
        Subject::Profile => "profile".into(),
        Subject::Coordinator => "coordinator".into(),
        Subject::Wallet(wallet) => wallet.to_string(),
        Subject::Node(node) => node.to_string(),
        Subject::Task(task) => task.to_string(),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ClientError> {
    countersign_files::read(path, LARGEST).map_err(|error| unusable(path, error.to_string()))
}

fn unusable(path: &Path, reason: String) -> ClientError {
    ClientError::File {
        path: path.into(),
        reason,
        advice: "give a file from `audit export`",
    }
}
