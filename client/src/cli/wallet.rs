//! The commands of `countersign wallet`.

use clap::Subcommand;
use countersign_client::belief::{Belief, Ground};
use countersign_client::{
    CheckUp, Client, ClientError, Listed, NewWallet, Pushed, ReshareOrder, Standing,
};
use countersign_protocol::{Committee, KeyDescriptor, KeyId, NodeId, Scheme, Threshold};
use serde_json::{Value, json};

use super::collect::{self, Collecting};
use super::describe;
use super::descriptor;
use super::exit::Exit;
use super::line::{Line, Table, Tone};
use super::output::Output;
use super::preflight;
use super::progress::Progress;
use super::sign::Claims;
use super::trust;

/// Subcommands for wallets.
#[derive(Debug, Subcommand)]
pub enum WalletCommand {
    /// Order a new wallet and wait until all its nodes hold it.
    Create {
        /// Name for people, at most 64 bytes.
        name: String,
        #[arg(long, help = schemes())]
        scheme: Scheme,
        /// Number of nodes that must sign.
        #[arg(long, value_name = "T")]
        threshold: u16,
        /// The nodes that will hold it: ids (csn1…), or names from the profile.
        #[arg(long, value_delimiter = ',', required = true, value_name = "NODE,NODE")]
        nodes: Vec<String>,
        /// A remark that the nodes' plugins and operators see.
        #[arg(long)]
        note: Option<String>,
        /// Only ask who would approve, who not, and why; nothing is ordered. Shows the coordinator
        /// the signed task, which lives for a minute: a dishonest one could order it.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        claims: Claims,
        #[command(flatten)]
        collecting: Collecting,
    },
    /// Move a wallet to other nodes, or deal new shares to the same ones. Key and addresses stay.
    ///
    /// As many of the present nodes as must sign take part, and all future ones. Each node's
    /// plugins decide. Afterwards the old shares are destroyed, and only the new nodes can sign.
    Reshare {
        /// Id (csk1…), or name in the wallet book.
        wallet: String,
        /// The nodes that will hold it, including those that stay: ids (csn1…), or
        /// names from the profile.
        #[arg(long, value_delimiter = ',', required = true, value_name = "NODE,NODE")]
        nodes: Vec<String>,
        /// Number of nodes that must sign then.
        #[arg(long, value_name = "T")]
        threshold: u16,
        /// Present nodes that deal, as many as must sign now; default: the coordinator chooses
        /// among those online.
        #[arg(long, value_delimiter = ',', value_name = "NODE,NODE")]
        dealers: Option<Vec<String>>,
        /// A remark that the nodes' plugins and operators see.
        #[arg(long)]
        note: Option<String>,
        /// Only ask who would approve, who not, and why; nothing is ordered. Shows the coordinator
        /// the signed task, which lives for a minute: a dishonest one could order it.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        claims: Claims,
        #[command(flatten)]
        collecting: Collecting,
    },
    /// Let nodes prove that they hold their shares intact; nothing is signed.
    Check {
        /// Id (csk1…), or name in the wallet book.
        wallet: String,
        /// Nodes to check; default: all that hold the wallet.
        #[arg(long, value_delimiter = ',', value_name = "NODE,NODE")]
        nodes: Option<Vec<String>>,
        /// A remark that the nodes' plugins and operators see.
        #[arg(long)]
        note: Option<String>,
        /// Only ask who would approve, who not, and why; nothing is ordered. Shows the coordinator
        /// the signed task, which lives for a minute: a dishonest one could order it.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        collecting: Collecting,
    },
    /// List the wallets of the wallet book, and any others that the coordinator reports;
    /// each is verified.
    List,
    /// Show a wallet with its extended public key, and why it is believed.
    Show {
        /// Id (csk1…), or name in the wallet book.
        wallet: String,
    },
    /// Import wallets of the wallet book into a coordinator that does not know them, such
    /// as a new one.
    ///
    /// The coordinator compares them with its own nodes. One that it knows already is
    /// left as it is.
    Push {
        /// Ids (csk1…), or names in the wallet book; none: all.
        wallets: Vec<String>,
    },
    /// Print what a watch-only wallet needs: output descriptors (BIP-380) with
    /// key origin and checksum.
    Descriptor(descriptor::DescriptorArgs),
    /// Believe a wallet whose members or requester are not in the profile.
    ///
    /// Shows what would be trusted, and its fingerprint. Compare id, root key, node ids and
    /// requester with their owners through another channel than the coordinator; then run it again
    /// with --confirm and --reason. The wallet book keeps who was trusted, and why.
    Trust(trust::TrustArgs),
}

impl WalletCommand {
    /// The approvals that the command's order collects, if it orders something.
    pub fn collecting(&self) -> Option<&Collecting> {
        match self {
            Self::Create { collecting, .. }
            | Self::Reshare { collecting, .. }
            | Self::Check { collecting, .. } => Some(collecting),
            Self::List
            | Self::Show { .. }
            | Self::Push { .. }
            | Self::Descriptor(_)
            | Self::Trust(_) => None,
        }
    }
}

pub async fn execute(
    command: WalletCommand,
    client: &Client,
    output: &Output,
) -> Result<Exit, ClientError> {
    let mut progress = Progress::new(client.profile(), *output);
    collect::note(client, output);
    match command {
        WalletCommand::Create {
            name,
            scheme,
            threshold,
            nodes,
            note,
            dry_run,
            claims,
            collecting: _,
        } => {
            let (committee, threshold) = holders(&nodes, threshold, client)?;
            warn_of_strangers(&committee, client, output);
            let new = NewWallet {
                name,
                scheme,
                committee,
                threshold,
                note,
                claims: claims.by_name()?,
            };
            if dry_run {
                return preflight::show(&client.preflight_wallet(&new).await?, client, output);
            }
            let wallet = client
                .create_wallet(&new, |task| progress.show(task))
                .await?;
            show(&wallet, client, output)
        }
        WalletCommand::Reshare {
            wallet,
            nodes,
            threshold,
            dealers,
            note,
            dry_run,
            claims,
            collecting: _,
        } => {
            let (committee, threshold) = holders(&nodes, threshold, client)?;
            let dealers = dealers
                .map(|dealers| named_nodes(&dealers, client))
                .transpose()?;
            let claims = claims.by_name()?;
            let from = newest(&wallet, client).await?;
            let order = ReshareOrder {
                wallet: from.key,
                committee,
                threshold,
                dealers,
                note,
                claims,
            };
            warn_of_strangers(&order.committee, client, output);
            let lines = describe::reshare_lines(&from, &order, client.profile());
            lines.into_iter().for_each(|line| output.note(line));
            if dry_run {
                return preflight::show(&client.preflight_reshare(&order).await?, client, output);
            }
            let wallet = client.reshare(&order, |task| progress.show(task)).await?;
            show(&wallet, client, output)
        }
        WalletCommand::Check {
            wallet,
            nodes,
            note,
            dry_run,
            collecting: _,
        } => {
            let nodes = nodes.map(|nodes| named_nodes(&nodes, client)).transpose()?;
            let wallet = client.find_wallet(&wallet).await?.key;
            if dry_run {
                let asked = client.preflight_check_up(wallet, nodes, note).await?;
                return preflight::show(&asked, client, output);
            }
            let checked = client
                .check_up(wallet, nodes, note, |task| progress.show(task))
                .await?;
            show_check_up(&checked, client, output)
        }
        WalletCommand::List => list(client, output).await,
        WalletCommand::Show { wallet } => show(&newest(&wallet, client).await?, client, output),
        WalletCommand::Push { wallets } => push(&wallets, client, output).await,
        WalletCommand::Descriptor(args) => descriptor::execute(args, client, output).await,
        WalletCommand::Trust(args) => trust::execute(args, client, output).await,
    }
    .map(|()| Exit::Done)
}

/// A name leads to the generation in the book, which may have been succeeded since.
async fn newest(wallet: &str, client: &Client) -> Result<KeyDescriptor, ClientError> {
    client.newest_wallet(client.find_id(wallet)?).await
}

/// The future holders of a wallet, and how many of them must sign.
fn holders(
    nodes: &[String],
    threshold: u16,
    client: &Client,
) -> Result<(Committee, Threshold), ClientError> {
    let usage = |error: countersign_protocol::CommitteeError| ClientError::Usage(error.to_string());
    let committee = Committee::new(named_nodes(nodes, client)?).map_err(usage)?;
    let threshold = Threshold::try_from(threshold).map_err(usage)?;
    committee.threshold(threshold).map_err(usage)?;
    Ok((committee, threshold))
}

/// Warns that another machine with this profile will not believe a wallet of nodes that
/// it does not name.
fn warn_of_strangers(committee: &Committee, client: &Client, output: &Output) {
    for node in committee
        .members()
        .iter()
        .filter(|node| !client.profile().names_node(node))
    {
        let warning = format!(
            "{node} is not under `nodes` in the profile; add it, or other machines will not believe the wallet"
        );
        output.note(Line::new("warning: ", Tone::Attention).and(warning, Tone::Plain));
    }
}

fn named_nodes(nodes: &[String], client: &Client) -> Result<Vec<NodeId>, ClientError> {
    nodes
        .iter()
        .map(|node| client.profile().node(node))
        .collect()
}

async fn list(client: &Client, output: &Output) -> Result<(), ClientError> {
    let mut rows = Vec::new();
    let mut table = Table::new(&["name", "scheme", "signers", "held by", "remark", "id"]);
    for Listed { wallet, standing } in client.wallets().await? {
        let (word, tone, problem) = match standing {
            Standing::Believed => ("-", Tone::Dim, None),
            Standing::Untold => ("not known to the coordinator", Tone::Attention, None),
            Standing::New => ("new: give its id once", Tone::Attention, None),
            Standing::Refused(error) => ("NOT TRUSTED", Tone::Bad, Some(error)),
        };
        if let Some(error) = &problem {
            output
                .note(Line::new("warning: ", Tone::Attention).and(error.to_string(), Tone::Plain));
        }
        let members = wallet.committee.members();
        let names: Vec<String> = members
            .iter()
            .map(|node| client.profile().short_name(node))
            .collect();
        table.row([
            (wallet.name.clone(), Tone::Plain),
            (wallet.scheme.to_string(), Tone::Plain),
            (
                format!("{} of {}", wallet.threshold.get(), members.len()),
                Tone::Plain,
            ),
            (names.join(", "), Tone::Plain),
            (word.into(), tone),
            (wallet.key.to_string(), Tone::Dim),
        ]);
        rows.push(json!({
            "wallet": wallet, "valid": problem.is_none(), "remark": word, "problem": problem.map(|e| e.to_string()),
        }));
    }
    output.result(&json!({"wallets": rows}), &table.lines())
}

/// Tries all wallets, and ends in an error if one was refused.
async fn push(wallets: &[String], client: &Client, output: &Output) -> Result<(), ClientError> {
    let ids: Vec<KeyId> = wallets
        .iter()
        .map(|text| client.find_id(text))
        .collect::<Result<_, _>>()?;
    let mut rows = Vec::new();
    let mut table = Table::new(&["name", "generation", "coordinator", "id"]);
    let mut refused = None;
    for (wallet, pushed) in client.push(&ids).await? {
        let (word, tone) = match pushed {
            Pushed::Taken => ("has it now".into(), Tone::Good),
            Pushed::Known => ("had it already".into(), Tone::Plain),
            Pushed::Refused(error) => {
                let word = error.to_string();
                refused = refused.or(Some(error));
                (word, Tone::Bad)
            }
        };
        rows.push(json!({"id": wallet.key, "name": wallet.name, "coordinator": word}));
        let name = wallet.name.clone();
        let generation = wallet.generation.to_string();
        let id = (wallet.key.to_string(), Tone::Dim);
        table.row([
            (name, Tone::Plain),
            (generation, Tone::Plain),
            (word, tone),
            id,
        ]);
    }
    match refused {
        None => output.result(&json!({ "wallets": rows }), &table.lines()),
        Some(error) => {
            table.lines().into_iter().for_each(|line| output.note(line));
            Err(error)
        }
    }
}

fn show(wallet: &KeyDescriptor, client: &Client, output: &Output) -> Result<(), ClientError> {
    let extended = client.extended_public_key(wallet)?;
    let belief = client.belief(wallet.key)?;
    let json: Value = json!({"id": wallet.key, "extended_public_key": extended, "wallet": wallet, "belief": belief});
    let members = wallet.committee.members();
    let mut lines: Vec<Line> = vec![
        format!("wallet      {}", wallet.key).into(),
        format!("name        {}", wallet.name).into(),
        format!("scheme      {}", wallet.scheme).into(),
        format!(
            "threshold   {} of {}",
            wallet.threshold.get(),
            members.len()
        )
        .into(),
        format!("generation  {}", wallet.generation).into(),
        format!("root key    {}", hex::encode(&wallet.root_public_key)).into(),
        format!("extended    {extended}").into(),
        format!("made by     task {}", wallet.task).into(),
    ];
    lines.extend(members.iter().map(|node| held_by(client, node)));
    if let Some(Belief {
        order: Some(order), ..
    }) = &belief
    {
        let requester = client
            .profile()
            .describe_requester(client.requester(), &order.requester);
        lines.push(format!("ordered by  {requester}").into());
    }
    lines.extend(belief.map(|belief| format!("believed    {}", ground(&belief)).into()));
    output.result(&json, &lines)
}

fn show_check_up(checked: &CheckUp, client: &Client, output: &Output) -> Result<(), ClientError> {
    let CheckUp {
        task,
        wallet,
        intact,
    } = checked;
    let json = json!({"task": task, "wallet": wallet.key, "generation": wallet.generation, "intact": intact});
    let mut lines: Vec<Line> = vec![
        format!("wallet      {} ({})", wallet.name, wallet.key).into(),
        format!("generation  {}", wallet.generation).into(),
    ];
    lines.extend(intact.iter().map(|one| {
        Line::new("intact      ", Tone::Good).and(client.profile().name_of(&one.node), Tone::Plain)
    }));
    output.result(&json, &lines)
}

fn held_by(client: &Client, node: &NodeId) -> Line {
    let tone = if client.profile().names_node(node) {
        Tone::Plain
    } else {
        Tone::Attention
    };
    Line::from("held by     ").and(client.profile().describe_node(node), tone)
}

/// The ground of a belief, in words.
fn ground(belief: &Belief) -> String {
    let reason = belief.reason.as_deref().unwrap_or_default();
    match belief.ground {
        Ground::Ordered => "ordered here".into(),
        Ground::Profile => "its members and its requester are in the profile".into(),
        Ground::Trusted => format!("trusted by you: {reason}"),
    }
}

/// The help of `--scheme`: `a, b or c`.
fn schemes() -> String {
    let [others @ .., last] = Scheme::ALL.map(Scheme::name);
    format!("{} or {last}", others.join(", "))
}
