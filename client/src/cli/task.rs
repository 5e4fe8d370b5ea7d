//! `countersign task`.

use clap::Subcommand;
use countersign_client::api::{PartyView, TaskSummary, TaskView};
use countersign_client::{Client, ClientError};
use countersign_protocol::TaskId;
use serde_json::json;

use super::output::Output;
use super::progress::{self, Progress};

/// What to do about tasks.
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// Show a task: each node's decision and outcome, and its history, as the coordinator tells them.
    Show {
        /// Its id.
        task: TaskId,
        /// Wait until it has ended.
        #[arg(long)]
        wait: bool,
    },
    /// List tasks, newest first, as the coordinator tells them.
    List {
        /// How many, 1 to 200.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=200))]
        limit: u16,
        /// Only tasks older than this sequence number: `next` of the page before.
        #[arg(long, value_name = "SEQUENCE")]
        before: Option<u64>,
    },
}

/// Runs the command.
pub async fn execute(command: TaskCommand, client: &Client, output: &Output) -> Result<(), ClientError> {
    match command {
        TaskCommand::Show { task, wait: false } => show(&client.task(task).await?, client, output),
        TaskCommand::Show { task, wait: true } => {
            let mut progress = Progress::new(client.profile(), *output);
            show(&client.wait(task, |task| progress.show(task)).await?, client, output)
        }
        TaskCommand::List { limit, before } => {
            let page = client.tasks(limit.into(), before).await?;
            let mut lines: Vec<String> = page.tasks.iter().map(row).collect();
            lines.extend(page.next.map(|next| format!("more: countersign task list --before {next}")));
            output.result(&json!({"tasks": page.tasks, "next": page.next}), &lines)
        }
    }
}

fn row(task: &TaskSummary) -> String {
    let why = task.reason.as_ref().map_or(String::new(), |reason| format!("  [{}]", reason.code));
    format!("{}  {:<12} {}{why}", task.id, task.operation, progress::state(task.state))
}

fn show(task: &TaskView, client: &Client, output: &Output) -> Result<(), ClientError> {
    let summary = &task.summary;
    let mut lines = vec![
        format!("task        {}", summary.id),
        format!("operation   {} with wallet {}", summary.operation, summary.wallet),
        format!("requester   {}", summary.requester),
        format!("state       {}", progress::state(summary.state)),
    ];
    lines.extend(
        summary.reason.iter().map(|reason| format!("reason      {} [{}]", reason.message, reason.code)),
    );
    for party in &task.nodes {
        lines.push(format!("node        {}", client.profile().name_of(&party.node)));
        lines.extend(details(party));
    }
    let began = summary.submitted.0;
    let after = |at: u64| at.saturating_sub(began) as f64 / 1000.0;
    lines.extend(task.events.iter().map(|event| format!("+{:.3} s    {}", after(event.at.0), event.text)));
    output.result(&json!(task), &lines)
}

fn details(party: &PartyView) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(decision) = &party.decision {
        let said = decision
            .refusal
            .as_ref()
            .map_or("approved".into(), |r| format!("refused: {} [{}]", r.reason, r.code));
        lines.push(format!("  decision  {said}"));
        lines.extend(decision.verdicts.iter().map(|v| {
            let said = if v.approved { "yes".into() } else { format!("no: {} [{}]", v.reason, v.code) };
            format!("  plugin    {} {} {said} ({} us, digest {})", v.plugin, v.version, v.micros, v.digest)
        }));
    }
    lines.extend(party.progress.iter().map(|progress| format!("  stage     {}", progress.stage)));
    let words =
        [(party.stored, "has signed that it stored"), (party.void, "has signed that it never stored")];
    lines.extend(words.iter().filter(|(said, _)| *said).map(|(_, text)| format!("  mark      {text}")));
    lines.extend(party.outcome.iter().map(|at| format!("  outcome   {}", progress::ended(&at.outcome))));
    lines
}
