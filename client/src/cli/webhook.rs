//! The commands of `countersign webhook`.

use clap::{Args, Subcommand, ValueEnum};
use countersign_client::api::{
    Delivery, DeliveryState, EventKind, Open, Resend, WebhookFormat, WebhookKeys, WebhookSpec,
    WebhookView,
};
use countersign_client::{Client, ClientError};
use countersign_protocol::{KeyId, TaskId, UnixMillis};
use serde_json::json;

use super::line::{Line, Table, Tone};
use super::listen::{self, ListenArgs};
use super::output::Output;
use super::words::{delivery_states, kinds};
use super::{sign, time};

/// Subcommands for webhooks.
#[derive(Debug, Subcommand)]
pub enum WebhookCommand {
    /// List webhooks, and how their deliveries fare.
    List,
    /// Create a webhook, or replace its configuration.
    ///
    /// A new one gets the events from now on; earlier ones can be sent with `resend`.
    Put(PutArgs),
    /// Show a webhook.
    Show {
        /// Its name.
        name: String,
    },
    /// Delete a webhook with the log of its deliveries. It is an error if there is none of this
    /// name.
    Delete {
        /// Its name.
        name: String,
    },
    /// Send a test to a webhook; `deliveries` tells what became of it.
    Test {
        /// Its name.
        name: String,
    },
    /// Send events again, with the ids that they had. Everything that is set must hold.
    Resend(ResendArgs),
    /// List the deliveries of a webhook with their attempts, newest first.
    Deliveries {
        /// Its name.
        name: String,
        /// Only deliveries in these states.
        #[arg(long, value_delimiter = ',', value_name = "STATE,STATE", value_parser = delivery_states())]
        state: Vec<DeliveryState>,
        /// Number of deliveries, 1 to 200.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=200))]
        limit: u16,
        /// `next` of the page before.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show the public keys that sign deliveries, the current one first.
    Keys,
    /// Replace the key that signs deliveries. The one before signs beside it for a week.
    RotateKey {
        /// Id (`kid`) of the key to replace, so that a repeated command replaces one key only;
        /// default: the current one.
        #[arg(long)]
        kid: Option<String>,
    },
    /// Follow the events, and post each to a URL on this machine as a webhook would. For
    /// developers of receivers.
    ///
    /// Body and headers are those of a delivery in the format `standard`, under a key of this
    /// command (whpk_…, shown first). Each event is posted once, in order; a failure is shown and
    /// not repeated. From now on, or behind --after. Needs no webhook at the coordinator.
    Listen(ListenArgs),
}

/// A receiver.
#[derive(Debug, Args)]
pub struct PutArgs {
    /// 1 to 40 of a-z, 0-9 and -, beginning with a letter.
    name: String,
    /// Where events are sent: https, or http on the coordinator's own machine.
    #[arg(long)]
    url: String,
    /// Only events of these types; default: all.
    #[arg(long = "type", value_delimiter = ',', value_name = "TYPE,TYPE", value_parser = kinds())]
    kinds: Option<Vec<EventKind>>,
    /// Only events of these wallets: ids (csk1…), or names in the wallet book; default: all.
    #[arg(long, value_delimiter = ',', value_name = "WALLET,WALLET")]
    wallet: Option<Vec<String>>,
    /// How deliveries are signed.
    #[arg(long, value_enum, default_value_t = Format::Standard)]
    format: Format,
    /// Send nothing for now; events wait as long as the feed keeps them.
    #[arg(long)]
    disabled: bool,
}

/// Forms of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Standard Webhooks with Ed25519.
    Standard,
    /// BIZ_TIMESTAMP and BIZ_RESP_SIGNATURE.
    CoboV2,
}

/// Selects events.
#[derive(Debug, Args)]
#[group(multiple = true)]
pub struct ResendArgs {
    /// Name of the webhook.
    name: String,
    /// These events, by id (evt_…).
    #[arg(long, value_delimiter = ',', value_name = "ID,ID")]
    event: Option<Vec<String>>,
    /// Events of this task.
    #[arg(long)]
    task: Option<TaskId>,
    /// Events of this wallet: its id (csk1…), or its name in the wallet book.
    #[arg(long)]
    wallet: Option<String>,
    /// Events of this time or later, such as 24h or 2026-07-01.
    #[arg(long, value_name = "TIME", value_parser = time::point)]
    since: Option<UnixMillis>,
    /// Events before this time.
    #[arg(long, value_name = "TIME", value_parser = time::point)]
    until: Option<UnixMillis>,
    /// Deliveries in this state.
    #[arg(long, value_parser = delivery_states())]
    state: Option<DeliveryState>,
}

pub async fn execute(
    command: WebhookCommand,
    client: &Client,
    output: &Output,
) -> Result<(), ClientError> {
    let api = client.api();
    match command {
        WebhookCommand::List => list(&api.webhooks().await?, output),
        WebhookCommand::Put(args) => {
            let spec = args.spec(client)?;
            show(&api.put_webhook(&args.name, &spec).await?, client, output)
        }
        WebhookCommand::Show { name } => show(&api.webhook(&name).await?, client, output),
        WebhookCommand::Delete { name } => {
            // The coordinator says nothing of a name that it never knew.
            api.webhook(&name).await?;
            api.delete_webhook(&name).await?;
            let line = format!("there is no webhook {name} any more").into();
            output.result(&json!({"name": name, "deleted": true}), &[line])
        }
        WebhookCommand::Test { name } => {
            let delivery = api.test_webhook(&name).await?;
            output.note(format!(
                "see what became of it: countersign webhook deliveries {name}"
            ));
            let line = format!("{} is on its way", delivery.event).into();
            output.result(&json!(delivery), &[line])
        }
        WebhookCommand::Resend(args) => resend(&args, client, output).await,
        WebhookCommand::Deliveries {
            name,
            state,
            limit,
            cursor,
        } => {
            let page = api.deliveries(&name, &state, limit.into(), cursor.as_deref());
            let page = page.await?;
            let mut lines: Vec<Line> = page.deliveries.iter().flat_map(delivery).collect();
            lines.extend(page.next.as_ref().map(|next| {
                let again = sign::with_option(std::env::args(), "--cursor", next);
                format!("more: {again}").into()
            }));
            let json = json!({"deliveries": page.deliveries, "next": page.next});
            output.result(&json, &lines)
        }
        WebhookCommand::Keys => keys(&api.webhook_keys().await?, output),
        WebhookCommand::RotateKey { kid } => {
            let kid = match kid {
                Some(kid) => kid,
                None => current(&api.webhook_keys().await?)?,
            };
            keys(&api.rotate_webhook_key(&kid).await?, output)
        }
        WebhookCommand::Listen(args) => listen::execute(args, client, output).await,
    }
}

impl PutArgs {
    fn spec(&self, client: &Client) -> Result<WebhookSpec, ClientError> {
        let ids = |names: &Vec<String>| {
            let ids = names.iter().map(|name| client.find_id(name));
            ids.collect::<Result<Vec<KeyId>, _>>()
        };
        Ok(WebhookSpec {
            url: self.url.clone(),
            kinds: self.kinds.clone(),
            wallets: self.wallet.as_ref().map(ids).transpose()?,
            format: match self.format {
                Format::Standard => WebhookFormat::Standard,
                Format::CoboV2 => WebhookFormat::CoboV2,
            },
            enabled: !self.disabled,
        })
    }
}

async fn resend(args: &ResendArgs, client: &Client, output: &Output) -> Result<(), ClientError> {
    let wallet = args.wallet.as_ref().map(|name| client.find_id(name));
    let what = Resend {
        events: args.event.clone(),
        task: args.task,
        wallet: wallet.transpose()?,
        since: args.since,
        until: args.until,
        state: args.state,
    };
    if what == Resend::default() {
        let nothing =
            "nothing is selected; give --event, --task, --wallet, --since, --until or --state";
        return Err(ClientError::Usage(nothing.into()));
    }
    let resent = client.api().resend(&args.name, &what).await?;
    if resent.more {
        output.note("there are more; repeat this with a later --since");
    }
    let line = format!("deliveries that are on their way: {}", resent.deliveries);
    output.result(&json!(resent), &[line.into()])
}

fn current(keys: &WebhookKeys) -> Result<String, ClientError> {
    let first = keys.keys.first().map(|key| key.kid.clone());
    first.ok_or_else(|| ClientError::Answer("it has no key for webhooks".into()))
}

fn list(webhooks: &[WebhookView], output: &Output) -> Result<(), ClientError> {
    let mut table = Table::new(&["name", "state", "pending", "url"]);
    for webhook in webhooks {
        let name = (webhook.name.clone(), Tone::Plain);
        let pending = (webhook.pending.to_string(), Tone::Plain);
        let url = (webhook.spec.url.clone(), Tone::Plain);
        table.row([name, state(webhook), pending, url]);
    }
    output.result(&json!({ "webhooks": webhooks }), &table.lines())
}

fn state(webhook: &WebhookView) -> (String, Tone) {
    match (webhook.spec.enabled, webhook.failing_since) {
        (false, _) => ("disabled".into(), Tone::Attention),
        (true, Some(since)) => (format!("failing since {}", time::utc(since)), Tone::Bad),
        (true, None) => ("enabled".into(), Tone::Good),
    }
}

fn show(webhook: &WebhookView, client: &Client, output: &Output) -> Result<(), ClientError> {
    let spec = &webhook.spec;
    let all = || "all".to_owned();
    let kinds = spec.kinds.as_ref().map(|kinds| {
        let words: Vec<String> = kinds.iter().map(ToString::to_string).collect();
        words.join(", ")
    });
    let name = |id: &KeyId| {
        Ok(client
            .name_of_wallet(*id)?
            .unwrap_or_else(|| id.to_string()))
    };
    let wallets = spec.wallets.as_ref().map(|wallets| {
        let names: Result<Vec<String>, ClientError> = wallets.iter().map(name).collect();
        names.map(|names| names.join(", "))
    });
    let (state, tone) = state(webhook);
    let lines = [
        format!("webhook     {}", webhook.name).into(),
        format!("url         {}", spec.url).into(),
        Line::from("state       ").and(state, tone),
        format!("types       {}", kinds.unwrap_or_else(all)).into(),
        format!("wallets     {}", wallets.transpose()?.unwrap_or_else(all)).into(),
        format!("format      {}", spec.format).into(),
        format!("created     {}", time::utc(webhook.created)).into(),
        format!("pending     {}", webhook.pending).into(),
    ];
    output.result(&json!(webhook), &lines)
}

fn delivery(delivery: &Delivery) -> Vec<Line> {
    let tone = match &delivery.state {
        Open::Known(DeliveryState::Pending) | Open::Unknown(_) => Tone::Attention,
        Open::Known(DeliveryState::Delivered) => Tone::Good,
        Open::Known(DeliveryState::Failed) => Tone::Bad,
    };
    let at = time::utc(delivery.at);
    let kind = &delivery.kind;
    let mut lines = vec![
        Line::new(at, Tone::Dim)
            .and(format!(" {kind} {}: ", delivery.event), Tone::Plain)
            .and(delivery.state.to_string(), tone),
    ];
    lines.extend(delivery.attempts.iter().map(|attempt| {
        let answer = match (attempt.status, &attempt.error) {
            (_, Some(error)) => error.clone(),
            (Some(status), None) => format!("answered {status}"),
            (None, None) => "no answer".into(),
        };
        format!(
            "  {} {answer} ({} ms)",
            time::utc(attempt.at),
            attempt.millis
        )
        .into()
    }));
    let next = delivery.next_attempt.map(time::utc);
    lines.extend(next.map(|next| format!("  next attempt {next}").into()));
    lines
}

fn keys(keys: &WebhookKeys, output: &Output) -> Result<(), ClientError> {
    let mut table = Table::new(&["kid", "created", "key"]);
    for key in &keys.keys {
        let created = time::utc(key.created);
        table.row([key.kid.clone(), created, key.whpk.clone()].map(|text| (text, Tone::Plain)));
    }
    output.result(&json!(keys), &table.lines())
}
