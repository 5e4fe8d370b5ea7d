//! `countersign task watch`.

use clap::Args;
use countersign_client::api::{EventData, EventKind, FeedFilter, TaskSummary};
use countersign_client::{Client, ClientError, News};
use countersign_protocol::TaskId;
use serde_json::json;

use super::line::{Line, Tone};
use super::output::Output;
use super::{event, progress, task, time};

const TASKS: [EventKind; 10] = [
    EventKind::TaskPending,
    EventKind::TaskVoted,
    EventKind::TaskAccepted,
    EventKind::TaskOffered,
    EventKind::TaskStarted,
    EventKind::TaskCompleted,
    EventKind::TaskRejected,
    EventKind::TaskFailed,
    EventKind::TaskExpired,
    EventKind::TaskCancelled,
];

/// What is followed.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Id of the task; ends when the task has ended, and the exit code tells how. Absent: all
    /// tasks, from now on and without end.
    task: Option<TaskId>,
    /// Without a task: only tasks of these wallets, by id (csk1…) or by name in the wallet book.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "WALLET,WALLET",
        conflicts_with = "task"
    )]
    wallet: Vec<String>,
}

pub async fn execute(args: WatchArgs, client: &Client, output: &Output) -> Result<(), ClientError> {
    match args.task {
        Some(task) => one(task, client, output).await,
        None => all(&args.wallet, client, output).await,
    }
}

async fn one(id: TaskId, client: &Client, output: &Output) -> Result<(), ClientError> {
    let told = |task: &TaskSummary| tell(task, client, output);
    let ended = client.watch(id, told).await?;
    client.judge(&ended)
}

async fn all(wallets: &[String], client: &Client, output: &Output) -> Result<(), ClientError> {
    let wallets = wallets.iter().map(|wallet| client.find_id(wallet));
    let filter = FeedFilter {
        wallets: wallets.collect::<Result<_, _>>()?,
        kinds: TASKS.to_vec(),
    };
    event::each(client, filter, None, output, async |news| match news {
        News::Event(event) => match event.known.map(|event| event.data) {
            Some(EventData::Task(task)) => tell(&task, client, output),
            Some(EventData::Wallet(_) | EventData::Webhook(_)) | None => Ok(()),
        },
        News::Gap => Ok(()),
    })
    .await
}

fn tell(task: &TaskSummary, client: &Client, output: &Output) -> Result<(), ClientError> {
    let (state, tone) = progress::state_of(task);
    let operation = progress::operation(&task.operation);
    let wallet = task::wallet_name(&task.wallet, client)?;
    let wallet = wallet.unwrap_or_else(|| task.wallet.to_string());
    let at = task.ended.or(task.started).or(task.offered);
    let at = time::utc(at.unwrap_or(task.submitted));
    let mut line = Line::new(at, Tone::Dim)
        .and(format!(" {} {operation} {wallet}: ", task.id), Tone::Plain)
        .and(state, tone);
    if let Some(reason) = &task.reason {
        let message = client.profile().with_names(&reason.message);
        line = line.and(format!(": {message} [{}]", reason.code), Tone::Plain);
    }
    output.item(&json!(task), line)
}
