//! The commands of `countersign task`.

use clap::Subcommand;
use countersign_client::api::{PartyView, TaskSummary, TaskView};
use countersign_client::{Client, ClientError};
use countersign_protocol::{KeyId, TaskId};
use serde_json::json;

use super::line::{Line, Table, Tone};
use super::output::Output;
use super::progress::{self, Progress};

/// Subcommands for tasks.
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// Show a task: its order, which is verified here, and each node's decision and outcome, as
    /// reported by the coordinator.
    Show {
        /// Id of the task.
        task: TaskId,
        /// Wait until it has ended.
        #[arg(long)]
        wait: bool,
    },
    /// List tasks as reported by the coordinator, newest first.
    List {
        /// Number of tasks, 1 to 200.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=200))]
        limit: u16,
        /// `next` of the page before.
        #[arg(long)]
        cursor: Option<String>,
    },
}

pub async fn execute(
    command: TaskCommand,
    client: &Client,
    output: &Output,
) -> Result<(), ClientError> {
    match command {
        TaskCommand::Show { task, wait: false } => show(&client.task(task).await?, client, output),
        TaskCommand::Show { task, wait: true } => {
            let mut progress = Progress::new(client.profile(), *output);
            show(
                &client.wait(task, |task| progress.show(task)).await?,
                client,
                output,
            )
        }
        TaskCommand::List { limit, cursor } => {
            let page = client.tasks(limit.into(), cursor.as_deref()).await?;
            let mut table = Table::new(&["task", "operation", "wallet", "state", "code"]);
            for task in &page.tasks {
                table.row(row(task, client)?);
            }
            let mut lines = table.lines();
            lines.extend(
                page.next
                    .as_ref()
                    .map(|next| format!("more: countersign task list --cursor {next}").into()),
            );
            output.result(&json!({"tasks": page.tasks, "next": page.next}), &lines)
        }
    }
}

fn row(task: &TaskSummary, client: &Client) -> Result<[(String, Tone); 5], ClientError> {
    let (state, tone) = progress::state(task.state);
    let code = task
        .reason
        .as_ref()
        .map_or(String::new(), |reason| reason.code.clone());
    Ok([
        (task.id.to_string(), Tone::Plain),
        (task.operation.title().into(), Tone::Plain),
        (
            wallet_name(&task.wallet, client)?.unwrap_or_else(|| task.wallet.to_string()),
            Tone::Plain,
        ),
        (state.into(), tone),
        (code, Tone::Dim),
    ])
}

fn wallet_name(wallet: &KeyId, client: &Client) -> Result<Option<String>, ClientError> {
    client.name_of_wallet(*wallet)
}

fn show(task: &TaskView, client: &Client, output: &Output) -> Result<(), ClientError> {
    let summary = &task.summary;
    let profile = client.profile();
    let wallet = match wallet_name(&summary.wallet, client)? {
        Some(name) => format!("{name} ({})", summary.wallet),
        None => summary.wallet.to_string(),
    };
    let (state, tone) = progress::state(summary.state);
    let mut lines = vec![
        format!("task        {}", summary.id).into(),
        format!(
            "operation   {} with wallet {wallet}",
            summary.operation.title()
        )
        .into(),
        format!(
            "requester   {}",
            profile.describe_requester(client.requester(), &summary.requester)
        )
        .into(),
        Line::from("state       ").and(state, tone),
    ];
    lines.extend(summary.reason.iter().map(|reason| {
        Line::from("reason      ")
            .and(profile.with_names(&reason.message), Tone::Bad)
            .and(format!(" [{}]", reason.code), Tone::Dim)
    }));
    for party in &task.nodes {
        lines.push(format!("node        {}", profile.name_of(&party.node)).into());
        lines.extend(details(party).into_iter().map(|(what, text, tone)| {
            Line::from(format!("  {what:<9} ")).and(profile.with_names(&text), tone)
        }));
    }
    let began = summary.submitted.0;
    let after = |at: u64| at.saturating_sub(began) as f64 / 1000.0;
    let event =
        |at: u64, text: &str| format!("+{:.3} s    {}", after(at), profile.with_names(text)).into();
    lines.extend(task.history.iter().map(|one| event(one.at.0, &one.text)));
    output.result(&json!(task), &lines)
}

fn details(party: &PartyView) -> Vec<(&'static str, String, Tone)> {
    let mut lines = Vec::new();
    if let Some(decision) = &party.decision {
        lines.push(match &decision.refusal {
            None => ("decision", "approved".into(), Tone::Good),
            Some(refusal) => (
                "decision",
                format!("refused: {} [{}]", refusal.reason, refusal.code),
                Tone::Bad,
            ),
        });
        lines.extend(decision.verdicts.iter().map(|v| {
            let said = if v.approved {
                "yes".into()
            } else {
                format!("no: {} [{}]", v.reason, v.code)
            };
            let text = format!(
                "{} {} {said} ({} us, digest {})",
                v.plugin, v.version, v.micros, v.digest
            );
            ("plugin", text, Tone::Plain)
        }));
    }
    lines.extend(
        party
            .progress
            .iter()
            .map(|progress| ("stage", progress.stage.to_string(), Tone::Plain)),
    );
    let words = [
        (party.stored, "has signed that it stored"),
        (party.abort_vote, "has signed that it never stored"),
    ];
    let said = words.iter().filter(|(said, _)| *said);
    lines.extend(said.map(|(_, text)| ("statement", (*text).to_owned(), Tone::Plain)));
    lines.extend(party.outcome.iter().map(|at| {
        let (text, tone) = progress::ended(&at.outcome);
        ("outcome", text, tone)
    }));
    lines
}
