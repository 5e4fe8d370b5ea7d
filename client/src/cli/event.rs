//! The commands of `countersign event`.

use clap::{Args, Subcommand};
use countersign_client::api::{EventData, EventKind, FeedEvent, FeedFilter};
use countersign_client::{Client, ClientError, News};
use serde_json::{Value, json};

use super::line::{Line, Tone};
use super::output::Output;
use super::time;
use super::words::kinds;

/// Subcommands for events.
#[derive(Debug, Subcommand)]
pub enum EventCommand {
    /// List events as reported by the coordinator, oldest first, from the oldest that it keeps.
    List {
        /// Number of events, 1 to 200.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
        limit: u16,
        #[command(flatten)]
        which: Which,
    },
    /// Follow events as they happen: one line for each, with --json one JSON object a line.
    ///
    /// From now on, or behind --after. Ends with --timeout, or never. Reconnects by itself, and
    /// misses nothing behind the first event.
    Follow {
        #[command(flatten)]
        which: Which,
    },
}

/// Selects events.
#[derive(Debug, Args)]
pub struct Which {
    /// Only events behind this cursor: `cursor` of an event, or `next` of a page.
    #[arg(long, value_name = "CURSOR")]
    pub after: Option<String>,
    /// Only events of these wallets: ids (csk1…), or names in the wallet book.
    #[arg(long, value_delimiter = ',', value_name = "WALLET,WALLET")]
    wallet: Vec<String>,
    /// Only events of these types.
    #[arg(long = "type", value_delimiter = ',', value_name = "TYPE,TYPE", value_parser = kinds())]
    kinds: Vec<EventKind>,
}

impl Which {
    /// The filter that the arguments describe.
    pub fn filter(&self, client: &Client) -> Result<FeedFilter, ClientError> {
        let wallets = self.wallet.iter().map(|wallet| client.find_id(wallet));
        Ok(FeedFilter {
            wallets: wallets.collect::<Result<_, _>>()?,
            kinds: self.kinds.clone(),
        })
    }
}

pub async fn execute(
    command: EventCommand,
    client: &Client,
    output: &Output,
) -> Result<(), ClientError> {
    match command {
        EventCommand::List { limit, which } => list(limit, &which, client, output).await,
        EventCommand::Follow { which } => {
            let filter = which.filter(client)?;
            let show = async |news| match news {
                News::Event(event) => output.item(&event.json(), line(&event)),
                News::Gap => Ok(()),
            };
            each(client, filter, which.after, output, show).await
        }
    }
}

async fn list(
    limit: u16,
    which: &Which,
    client: &Client,
    output: &Output,
) -> Result<(), ClientError> {
    let filter = which.filter(client)?;
    let after = which.after.as_deref();
    let page = client.api().events(&filter, after, limit.into(), None);
    let page = page.await?;
    let events: Vec<Value> = page.events.iter().map(FeedEvent::json).collect();
    let lines: Vec<Line> = page.events.iter().map(line).collect();
    if after != Some(page.next.as_str()) {
        output.note(format!("later events: --after {}", page.next));
    }
    output.result(&json!({"events": events, "next": page.next}), &lines)
}

/// Follows the feed until the client's time is over, or without end. Says if it may have missed
/// something.
pub async fn each(
    client: &Client,
    filter: FeedFilter,
    after: Option<String>,
    output: &Output,
    mut show: impl AsyncFnMut(News) -> Result<(), ClientError>,
) -> Result<(), ClientError> {
    let follow = async {
        let mut feed = client.feed(filter, after);
        loop {
            let news = feed.next().await?;
            if matches!(news, News::Gap) {
                let text = "the connection broke before the first event; look for what is missing here with `countersign event list`";
                output.note(Line::new("warning: ", Tone::Attention).and(text, Tone::Plain));
            }
            show(news).await?;
        }
    };
    match client.timeout() {
        Some(limit) => tokio::time::timeout(limit, follow).await.unwrap_or(Ok(())),
        None => follow.await,
    }
}

/// An event in one line.
pub fn line(event: &FeedEvent) -> Line {
    let Some(known) = &event.known else {
        return format!("{} {}", event.kind, event.id).into();
    };
    let subject = match &known.data {
        EventData::Task(task) => format!("task {}, wallet {}", task.id, task.wallet),
        EventData::Wallet(wallet) => format!(
            "wallet {} ({}), generation {}",
            wallet.id, wallet.name, wallet.generation
        ),
        EventData::Webhook(name) => format!("webhook {name}"),
    };
    let tone = match known.kind {
        EventKind::TaskCompleted | EventKind::WalletCreated | EventKind::WalletReshared => {
            Tone::Good
        }
        EventKind::TaskRejected
        | EventKind::TaskFailed
        | EventKind::TaskExpired
        | EventKind::TaskCancelled => Tone::Bad,
        EventKind::TaskPending => Tone::Attention,
        EventKind::TaskVoted
        | EventKind::TaskAccepted
        | EventKind::TaskOffered
        | EventKind::TaskStarted
        | EventKind::WalletImported
        | EventKind::WebhookTest => Tone::Plain,
    };
    Line::new(time::utc(known.at), Tone::Dim)
        .and(" ", Tone::Plain)
        .and(event.kind.clone(), tone)
        .and(format!(" {subject}"), Tone::Plain)
        .and(format!(" ({})", event.id), Tone::Dim)
}
