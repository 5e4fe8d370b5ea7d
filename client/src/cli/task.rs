//! The commands of `countersign task`.

use clap::{Args, Subcommand};
use countersign_client::api::{
    Explanation, PartyView, State, TaskFilter, TaskPage, TaskSummary, TaskView,
};
use countersign_client::{Client, ClientError};
use countersign_protocol::{KeyId, OperationKind, RequesterId, TaskId, UnixMillis};
use countersign_requester::describe::json as intent_json;
use serde_json::{Value, json};

use super::line::{Line, Table, Tone};
use super::output::Output;
use super::progress::{self, Progress};
use super::vote::{self, VoteArgs};
use super::votes;
use super::watch::{self, WatchArgs};
use super::words::{operations, states};
use super::{describe, sign, time};

/// Subcommands for tasks.
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// Show a task: its order and the votes on it, which are verified here, and each node's
    /// decision and outcome, as reported by the coordinator.
    Show {
        /// Id of the task.
        task: TaskId,
        /// Wait until it has ended.
        #[arg(long)]
        wait: bool,
    },
    /// List tasks as reported by the coordinator, newest first.
    ///
    /// Everything that is set must hold. A page may be shorter than its limit although more follow.
    List(Box<ListArgs>),
    /// Follow a task, or all tasks: one line for each change of a state, as reported by the
    /// coordinator.
    Watch(WatchArgs),
    /// Explain a task in plain words: what happened at each node, whom it waits for, what to do.
    ///
    /// It is the coordinator's word, with your profile's names for nodes. The votes on a task that
    /// waits for people are verified here.
    Explain {
        /// Id of the task.
        task: TaskId,
    },
    /// Vote on a task that collects votes (`--collect`), with your approver key.
    ///
    /// Verifies the order and shows all of it, decoded here, then asks for a confirmation. The vote
    /// is for exactly these bytes. Whoever has voted can vote again,
    /// until the votes are collected: the latest vote counts.
    Vote(VoteArgs),
    /// Cancel a task before its protocol begins; no node signs or stores anything then.
    Cancel {
        /// Id of the task.
        task: TaskId,
    },
}

/// Selects tasks.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Number of tasks, 1 to 200.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
    /// `next` of the page before.
    #[arg(long)]
    cursor: Option<String>,
    /// Only tasks of these wallets: ids (csk1…), or names in the wallet book.
    #[arg(long, value_delimiter = ',', value_name = "WALLET,WALLET")]
    wallet: Vec<String>,
    /// Only tasks in these states.
    #[arg(long, value_delimiter = ',', value_name = "STATE,STATE", value_parser = states())]
    state: Vec<State>,
    /// Only tasks of these kinds.
    #[arg(long, value_delimiter = ',', value_name = "KIND,KIND", ignore_case = true, value_parser = operations())]
    operation: Vec<OperationKind>,
    /// Only tasks of these requesters: ids (csr1…), names under `trusted_requesters`, or `me`.
    #[arg(long, value_delimiter = ',', value_name = "REQUESTER,REQUESTER")]
    requester: Vec<String>,
    /// Only tasks accepted at this time or later, such as 24h or 2026-07-01.
    #[arg(long, value_name = "TIME", value_parser = time::point)]
    since: Option<UnixMillis>,
    /// Only tasks accepted before this time.
    #[arg(long, value_name = "TIME", value_parser = time::point)]
    until: Option<UnixMillis>,
}

pub async fn execute(
    command: TaskCommand,
    client: &Client,
    output: &Output,
) -> Result<(), ClientError> {
    match command {
        TaskCommand::Show { task, wait: false } => {
            show(&client.task(task).await?, client, output).await
        }
        TaskCommand::Show { task, wait: true } => {
            let mut progress = Progress::new(client.profile(), *output);
            let ended = client.wait(task, |task| progress.show(task)).await?;
            show(&ended, client, output).await
        }
        TaskCommand::List(args) => list(&args, client, output).await,
        TaskCommand::Watch(args) => watch::execute(args, client, output).await,
        TaskCommand::Explain { task } => explain(task, client, output).await,
        TaskCommand::Vote(args) => vote::execute(args, client, output).await,
        TaskCommand::Cancel { task } => {
            let cancelled = client.cancel(task).await?;
            let (state, tone) = progress::state_of(&cancelled.summary);
            let mut lines = vec![Line::from(format!("{task}: ")).and(state, tone)];
            lines.extend(still_open(&cancelled, client).map(|(text, tone)| Line::new(text, tone)));
            output.result(&json!(cancelled), &lines)
        }
    }
}

async fn list(args: &ListArgs, client: &Client, output: &Output) -> Result<(), ClientError> {
    let filter = args.filter(client)?;
    let cursor = args.cursor.as_deref();
    let page = client
        .api()
        .tasks(&filter, args.limit.into(), cursor)
        .await?;
    let mut table = Table::new(&["task", "operation", "wallet", "state", "code"]);
    for task in &page.tasks {
        table.row(row(task, client)?);
    }
    let mut lines = table.lines();
    lines.extend(more(&page).map(Line::from));
    output.result(&json!({"tasks": page.tasks, "next": page.next}), &lines)
}

impl ListArgs {
    fn filter(&self, client: &Client) -> Result<TaskFilter, ClientError> {
        let wallets = self.wallet.iter().map(|wallet| client.find_id(wallet));
        let requesters = self.requester.iter().map(|text| requester(text, client));
        Ok(TaskFilter {
            wallets: wallets.collect::<Result<_, _>>()?,
            states: self.state.clone(),
            operations: self.operation.clone(),
            requesters: requesters.collect::<Result<_, _>>()?,
            since: self.since,
            until: self.until,
        })
    }
}

fn requester(text: &str, client: &Client) -> Result<RequesterId, ClientError> {
    let known = client.profile().trusted_requesters.get(text).copied();
    let own = client.requester().filter(|_| text == "me");
    if let Some(id) = known.or(own) {
        return Ok(id);
    }
    text.parse().map_err(|_| {
        ClientError::Usage(format!(
            "`{text}` is neither a requester's id nor a name under `trusted_requesters`; write the id (csr1…), or `me` for your own key"
        ))
    })
}

/// The command for the next page, with the same filters.
fn more(page: &TaskPage) -> Option<String> {
    let next = page.next.as_deref()?;
    Some(format!(
        "more: {}",
        sign::with_option(std::env::args(), "--cursor", next)
    ))
}

async fn explain(task: TaskId, client: &Client, output: &Output) -> Result<(), ClientError> {
    let explained = client.api().explain(task).await?;
    let mut lines = explanation(&explained, client);
    let mut told = json!(explained);
    if explained.state == State::Pending {
        let view = client.task(task).await?;
        let (votes, count) = votes::of(&view, client).await;
        lines.extend(votes::asked(&view));
        lines.extend(votes);
        told["votes"] = json!(count);
        output.note("As the coordinator tells it; only the votes are verified.");
    } else {
        output.note("As the coordinator tells it; nothing of it is verified.");
    }
    output.result(&told, &lines)
}

fn explanation(explained: &Explanation, client: &Client) -> Vec<Line> {
    let profile = client.profile();
    let (state, tone) = progress::state(&explained.state);
    let mut lines = vec![
        Line::from(format!("task {}: ", explained.task)).and(state, tone),
        profile.with_names(&explained.summary).into(),
    ];
    if !explained.waiting_for.is_empty() {
        let names = explained.waiting_for.iter();
        let names: Vec<String> = names.map(|node| profile.name_of(node)).collect();
        let until = explained.until.map(time::utc);
        let until = until.map_or(String::new(), |until| format!(", until {until}"));
        let text = format!("waits for {}{until}", names.join(", "));
        lines.push(Line::new(text, Tone::Attention));
    }
    lines.extend(explained.nodes.iter().map(|node| {
        let name = profile.short_name(&node.node);
        format!("  {name}: {}", profile.with_names(&node.text)).into()
    }));
    let advice = explained.advice.iter();
    lines.extend(advice.map(|advice| format!("what to do: {}", profile.with_names(advice)).into()));
    lines
}

fn row(task: &TaskSummary, client: &Client) -> Result<[(String, Tone); 5], ClientError> {
    let (state, tone) = progress::state_of(task);
    let code = task
        .reason
        .as_ref()
        .map_or(String::new(), |reason| reason.code.clone());
    Ok([
        (task.id.to_string(), Tone::Plain),
        (progress::operation(&task.operation), Tone::Plain),
        (
            wallet_name(&task.wallet, client)?.unwrap_or_else(|| task.wallet.to_string()),
            Tone::Plain,
        ),
        (state, tone),
        (code, Tone::Dim),
    ])
}

pub fn wallet_name(wallet: &KeyId, client: &Client) -> Result<Option<String>, ClientError> {
    client.name_of_wallet(*wallet)
}

async fn show(task: &TaskView, client: &Client, output: &Output) -> Result<(), ClientError> {
    let summary = &task.summary;
    let profile = client.profile();
    let wallet = match wallet_name(&summary.wallet, client)? {
        Some(name) => format!("{name} ({})", summary.wallet),
        None => summary.wallet.to_string(),
    };
    let (state, tone) = progress::state_of(summary);
    let (votes, count) = votes::of(task, client).await;
    let (order, intent) = reviewed(task, client).await;
    let mut lines = vec![
        format!("task        {}", summary.id).into(),
        format!(
            "operation   {} with wallet {wallet}",
            progress::operation(&summary.operation)
        )
        .into(),
        format!(
            "requester   {}",
            profile.describe_requester(client.requester(), &summary.requester)
        )
        .into(),
        Line::from("state       ").and(state, tone),
    ];
    lines.extend(
        still_open(task, client).map(|(text, tone)| Line::from("            ").and(text, tone)),
    );
    lines.extend(task.submitted_by.iter().map(|by| {
        let proof = match (&by.requester, &by.sha256) {
            (Some(requester), _) => format!("requester {requester}"),
            (None, Some(hash)) => format!("sha256 {hash}"),
            (None, None) => "of an unknown kind".into(),
        };
        Line::from(format!("handed in   with API key {} ({proof})", by.name))
    }));
    lines.extend(summary.reason.iter().map(|reason| {
        Line::from("reason      ")
            .and(profile.with_names(&reason.message), Tone::Bad)
            .and(format!(" [{}]", reason.code), Tone::Dim)
    }));
    lines.extend(votes);
    lines.extend(order);
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
    let mut told = json!(task);
    if let Some(count) = count {
        told["votes"] = count;
    }
    if let Some(intent) = intent {
        told["intent"] = intent;
    }
    output.result(&told, &lines)
}

/// The whole order of a task that people vote on, and its effect for programs. Its hash is shown
/// only beside what it vouches for.
async fn reviewed(task: &TaskView, client: &Client) -> (Vec<Line>, Option<Value>) {
    match client.review(task).await {
        Ok(None) => (Vec::new(), None),
        Ok(Some(examined)) => {
            let mut lines: Vec<Line> =
                vec!["order       as its requester signed it, decoded here:".into()];
            lines.extend(describe::task_lines(&examined, client));
            let intent = examined
                .decoded()
                .map(|decoded| intent_json(&decoded.intent));
            (lines, intent)
        }
        Err(error) => {
            let mut lines = Vec::from_iter(votes::asked(task));
            let text = format!("NOT SHOWN, so do not vote on it: {error}");
            lines.push(Line::from("order       ").and(text, Tone::Bad));
            (lines, None)
        }
    }
}

/// A warning that a task of which the coordinator says that it has no result may still get one.
fn still_open(task: &TaskView, client: &Client) -> Option<(String, Tone)> {
    let until = client.judge(task).err()?.open_until()?;
    let until = time::utc(until);
    let text = format!(
        "by the coordinator's word alone: until {until} the nodes may still begin with the order"
    );
    Some((text, Tone::Attention))
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
            .map(|progress| ("stage", progress::stage(&progress.stage), Tone::Plain)),
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
