//! `countersign wallet`.

use clap::Subcommand;
use countersign_client::{Client, ClientError, NewWallet};
use countersign_protocol::{Announcement, Committee, Scheme, Threshold};
use serde_json::{Value, json};

use super::output::Output;
use super::progress::Progress;
use super::sign::Claims;

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
    /// List the wallets that the coordinator or the wallet book knows; each is verified.
    List,
    /// Show a wallet with its extended public key.
    Show {
        /// Id (csk1…) or name.
        wallet: String,
    },
}

/// Runs the command.
pub async fn execute(command: WalletCommand, client: &Client, output: &Output) -> Result<(), ClientError> {
    match command {
        WalletCommand::Create { name, scheme, threshold, nodes, note, claims } => {
            let usage = |error: countersign_protocol::CommitteeError| ClientError::Usage(error.to_string());
            let nodes = nodes.iter().map(|node| client.profile().node(node)).collect::<Result<_, _>>()?;
            let committee = Committee::new(nodes).map_err(usage)?;
            let threshold = Threshold::try_from(threshold).map_err(usage)?;
            committee.threshold(threshold).map_err(usage)?;
            let mut progress = Progress::new(client.profile(), *output);
            let new = NewWallet { name, scheme, committee, threshold, note, claims: claims.by_name()? };
            let wallet = client.create_wallet(&new, |task| progress.show(task)).await?;
            show(&wallet, client, output)
        }
        WalletCommand::List => list(client, output).await,
        WalletCommand::Show { wallet } => show(&client.find_wallet(&wallet).await?, client, output),
    }
}

async fn list(client: &Client, output: &Output) -> Result<(), ClientError> {
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for (wallet, wrong) in client.wallets().await? {
        if let Some(error) = &wrong {
            output.note(&format!("warning: {error}"));
        }
        let trust = if wrong.is_some() { "NOT VALID" } else { "" };
        let (t, n) = (wallet.threshold.get(), wallet.committee.members().len());
        lines.push(format!("{}  {:<18} {t} of {n}  {}  {trust}", wallet.key, wallet.scheme, wallet.name));
        rows.push(
            json!({"wallet": wallet, "valid": wrong.is_none(), "problem": wrong.map(|e| e.to_string())}),
        );
    }
    output.result(&json!({"wallets": rows}), &lines)
}

fn show(wallet: &Announcement, client: &Client, output: &Output) -> Result<(), ClientError> {
    let extended = client.extended_public_key(wallet)?;
    let json: Value = json!({"id": wallet.key, "extended_public_key": extended, "wallet": wallet});
    let members = wallet.committee.members();
    let mut lines = vec![
        format!("wallet      {}", wallet.key),
        format!("name        {}", wallet.name),
        format!("scheme      {}", wallet.scheme),
        format!("threshold   {} of {}", wallet.threshold.get(), members.len()),
        format!("root key    {}", hex::encode(&wallet.root_public_key)),
        format!("extended    {extended}"),
        format!("made by     task {}", wallet.task),
    ];
    lines.extend(members.iter().map(|node| format!("held by     {node} {}", named(client, node))));
    output.result(&json, &lines)
}

fn named(client: &Client, node: &countersign_protocol::NodeId) -> String {
    let name = client.profile().name_of(node);
    if name == node.to_string() { String::new() } else { format!("({name})") }
}
