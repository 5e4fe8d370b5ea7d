//! `countersign wallet`.

use clap::Subcommand;
use countersign_client::belief::{Belief, Ground};
use countersign_client::{CheckUp, Client, ClientError, Listed, NewWallet, ReshareOrder, Standing};
use countersign_protocol::{Announcement, Committee, NodeId, Scheme, Threshold};
use serde_json::{Value, json};

use super::describe;
use super::output::Output;
use super::progress::Progress;
use super::sign::Claims;
use super::trust;

/// What to do about wallets.
#[derive(Debug, Subcommand)]
pub enum WalletCommand {
    /// Order a new wallet and wait until all its nodes hold it.
    Create {
        /// A name for people.
        name: String,
        /// ecdsa-secp256k1, ed25519, schnorr-secp256k1 or taproot.
        #[arg(long)]
        scheme: Scheme,
        /// How many nodes must sign.
        #[arg(long, value_name = "T")]
        threshold: u16,
        /// Who will hold it: ids (csn1…), or names from the profile.
        #[arg(long, value_delimiter = ',', required = true, value_name = "NODE,NODE")]
        nodes: Vec<String>,
        /// A remark that the nodes' plugins and operators see.
        #[arg(long)]
        note: Option<String>,
        #[command(flatten)]
        claims: Claims,
    },
    /// Hand a wallet to other nodes, or deal new shares to the same ones. Key and addresses stay.
    ///
    /// As many of the present nodes as must sign take part, and all future ones. Each node's plugins decide. Afterwards the
    /// old shares are destroyed, and only the new nodes can sign.
    Reshare {
        /// Id (csk1…) or name.
        wallet: String,
        /// Who will hold it, those that stay included: ids (csn1…), or names from the profile.
        #[arg(long, value_delimiter = ',', required = true, value_name = "NODE,NODE")]
        nodes: Vec<String>,
        /// How many nodes must sign then.
        #[arg(long, value_name = "T")]
        threshold: u16,
        /// Which present nodes deal, as many as must sign now; default: the coordinator chooses among those on line.
        #[arg(long, value_delimiter = ',', value_name = "NODE,NODE")]
        dealers: Option<Vec<String>>,
        /// A remark that the nodes' plugins and operators see.
        #[arg(long)]
        note: Option<String>,
        #[command(flatten)]
        claims: Claims,
    },
    /// Let nodes prove that they hold their shares intact; nothing is signed.
    Check {
        /// Id (csk1…) or name.
        wallet: String,
        /// Whose shares; default: all that hold the wallet.
        #[arg(long, value_delimiter = ',', value_name = "NODE,NODE")]
        nodes: Option<Vec<String>>,
        /// A remark that the nodes' plugins and operators see.
        #[arg(long)]
        note: Option<String>,
    },
    /// List the wallets of the wallet book, and those that the coordinator tells of besides; each is verified.
    List,
    /// Show a wallet with its extended public key, and why it is believed.
    Show {
        /// Id (csk1…), or name in the wallet book.
        wallet: String,
    },
    /// Believe a wallet whose members or requester are not in the profile.
    ///
    /// Shows what would be trusted, and its fingerprint. Compare id, root key, node ids and requester with their owners by
    /// another way than the coordinator; then run it again with --confirm and --reason. The wallet book keeps who was trusted,
    /// and why.
    Trust(trust::TrustArgs),
}

/// Runs the command.
pub async fn execute(command: WalletCommand, client: &Client, output: &Output) -> Result<(), ClientError> {
    let mut progress = Progress::new(client.profile(), *output);
    match command {
        WalletCommand::Create { name, scheme, threshold, nodes, note, claims } => {
            let (committee, threshold) = holders(&nodes, threshold, client)?;
            let new = NewWallet { name, scheme, committee, threshold, note, claims: claims.by_name()? };
            let wallet = client.create_wallet(&new, |task| progress.show(task)).await?;
            show(&wallet, client, output)
        }
        WalletCommand::Reshare { wallet, nodes, threshold, dealers, note, claims } => {
            let (committee, threshold) = holders(&nodes, threshold, client)?;
            let dealers = dealers.map(|dealers| named_nodes(&dealers, client)).transpose()?;
            let claims = claims.by_name()?;
            let from = newest(&wallet, client).await?;
            let order = ReshareOrder { wallet: from.key, committee, threshold, dealers, note, claims };
            let lines = describe::reshare_lines(&from, &order, client.profile());
            lines.iter().for_each(|line| output.note(line));
            let wallet = client.reshare(&order, |task| progress.show(task)).await?;
            show(&wallet, client, output)
        }
        WalletCommand::Check { wallet, nodes, note } => {
            let nodes = nodes.map(|nodes| named_nodes(&nodes, client)).transpose()?;
            let wallet = client.find_wallet(&wallet).await?.key;
            let checked = client.check_up(wallet, nodes, note, |task| progress.show(task)).await?;
            show_check_up(&checked, client, output)
        }
        WalletCommand::List => list(client, output).await,
        WalletCommand::Show { wallet } => show(&newest(&wallet, client).await?, client, output),
        WalletCommand::Trust(args) => trust::execute(args, client, output).await,
    }
}

/// A name leads to what the book has, which may have moved on since.
async fn newest(wallet: &str, client: &Client) -> Result<Announcement, ClientError> {
    client.newest_wallet(client.find_id(wallet)?).await
}

/// Who will hold a wallet, and how many of them must sign.
fn holders(nodes: &[String], threshold: u16, client: &Client) -> Result<(Committee, Threshold), ClientError> {
    let usage = |error: countersign_protocol::CommitteeError| ClientError::Usage(error.to_string());
    let committee = Committee::new(named_nodes(nodes, client)?).map_err(usage)?;
    let threshold = Threshold::try_from(threshold).map_err(usage)?;
    committee.threshold(threshold).map_err(usage)?;
    Ok((committee, threshold))
}

fn named_nodes(nodes: &[String], client: &Client) -> Result<Vec<NodeId>, ClientError> {
    nodes.iter().map(|node| client.profile().node(node)).collect()
}

async fn list(client: &Client, output: &Output) -> Result<(), ClientError> {
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for Listed { wallet, standing } in client.wallets().await? {
        let (t, n) = (wallet.threshold.get(), wallet.committee.members().len());
        let (word, problem) = match standing {
            Standing::Believed => ("", None),
            Standing::Untold => ("the coordinator does not tell of it", None),
            Standing::New => ("new; used as soon as you give its id", None),
            Standing::Refused(error) => ("NOT TRUSTED", Some(error)),
        };
        if let Some(error) = &problem {
            output.note(&format!("warning: {error}"));
        }
        lines.push(format!("{}  {:<18} {t} of {n}  {}  {word}", wallet.key, wallet.scheme, wallet.name));
        rows.push(json!({
            "wallet": wallet, "valid": problem.is_none(), "remark": word, "problem": problem.map(|e| e.to_string()),
        }));
    }
    output.result(&json!({"wallets": rows}), &lines)
}

fn show(wallet: &Announcement, client: &Client, output: &Output) -> Result<(), ClientError> {
    let extended = client.extended_public_key(wallet)?;
    let belief = client.belief(wallet.key)?;
    let json: Value =
        json!({"id": wallet.key, "extended_public_key": extended, "wallet": wallet, "belief": belief});
    let members = wallet.committee.members();
    let mut lines = vec![
        format!("wallet      {}", wallet.key),
        format!("name        {}", wallet.name),
        format!("scheme      {}", wallet.scheme),
        format!("threshold   {} of {}", wallet.threshold.get(), members.len()),
        format!("generation  {}", wallet.generation),
        format!("root key    {}", hex::encode(&wallet.root_public_key)),
        format!("extended    {extended}"),
        format!("made by     task {}", wallet.task),
    ];
    lines.extend(members.iter().map(|node| format!("held by     {node} {}", named(client, node))));
    lines.extend(belief.map(|belief| format!("believed    {}", ground(&belief))));
    output.result(&json, &lines)
}

fn show_check_up(checked: &CheckUp, client: &Client, output: &Output) -> Result<(), ClientError> {
    let CheckUp { task, wallet, intact } = checked;
    let json = json!({"task": task, "wallet": wallet.key, "generation": wallet.generation, "intact": intact});
    let mut lines = vec![format!("wallet      {}", wallet.key), format!("generation  {}", wallet.generation)];
    lines.extend(intact.iter().map(|one| format!("intact      {} {}", one.node, named(client, &one.node))));
    output.result(&json, &lines)
}

fn named(client: &Client, node: &NodeId) -> String {
    let name = client.profile().name_of(node);
    if name == node.to_string() { String::new() } else { format!("({name})") }
}

/// Why a wallet is believed, in words.
fn ground(belief: &Belief) -> String {
    let reason = belief.reason.as_deref().unwrap_or_default();
    match belief.ground {
        Ground::Ordered => "ordered here".into(),
        Ground::Profile => "its members and its requester are in the profile".into(),
        Ground::Trusted => format!("trusted by hand: {reason}"),
    }
}
