//! `countersign sign`.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use countersign_client::{Client, ClientError, SignOrder, Signature};
use countersign_protocol::{DerivationPath, Payload, PayloadKind};
use serde_json::json;

use super::output::Output;
use super::progress::Progress;

/// What to sign, with what.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// Id (csk1…) or name of the wallet.
    wallet: String,
    /// The child that signs, such as m/44/60/0/0/7; m is the root key itself.
    #[arg(long, default_value = "m")]
    path: DerivationPath,
    #[command(flatten)]
    what: What,
    /// Who signs: as many nodes as the wallet's threshold; default: the coordinator chooses among those on line.
    #[arg(long, value_delimiter = ',', value_name = "NODE,NODE")]
    signers: Option<Vec<String>>,
    /// A remark that the nodes' plugins and operators see.
    #[arg(long)]
    note: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Sign this text.
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// Sign the bytes of this file.
    #[arg(long, value_name = "FILE")]
    message_file: Option<PathBuf>,
    /// Sign these bytes.
    #[arg(long, value_name = "HEX")]
    message_hex: Option<String>,
    /// Sign this 32-byte hash blindly; nodes refuse unless their operators allow it for the wallet.
    #[arg(long, value_name = "HEX")]
    digest: Option<String>,
}

/// Runs the command.
pub async fn execute(args: SignArgs, client: &Client, output: &Output) -> Result<(), ClientError> {
    let payload = payload(args.what)?;
    let nodes = |names: Vec<String>| names.iter().map(|name| client.profile().node(name)).collect();
    let signers = args.signers.map(nodes).transpose()?;
    let wallet = client.find_wallet(&args.wallet).await?.key;
    let order = SignOrder { wallet, path: args.path, payload, signers, note: args.note };
    let mut progress = Progress::new(client.profile(), *output);
    let signature = client.sign(&order, |task| progress.show(task)).await?;
    print(&signature, &order, output)
}

fn print(signature: &Signature, order: &SignOrder, output: &Output) -> Result<(), ClientError> {
    let signed = &signature.signed;
    let json = json!({
        "task": signature.task, "wallet": signature.wallet, "scheme": signature.scheme, "path": order.path,
        "blind": order.payload.is_blind(), "signature": hex::encode(&signed.signature),
        "recovery_id": signed.recovery_id, "public_key": hex::encode(&signed.public_key),
        "signed_bytes": hex::encode(&signed.signed_bytes), "session": signed.session,
    });
    output.note(&format!("verified under {}", hex::encode(&signed.public_key)));
    output.result(&json, &[hex::encode(&signed.signature)])
}

fn payload(what: What) -> Result<Payload, ClientError> {
    let kind = if what.digest.is_some() { PayloadKind::Digest } else { PayloadKind::Message };
    let bytes = match (what.message, what.message_file, what.message_hex.or(what.digest)) {
        (Some(text), _, _) => text.into_bytes(),
        (None, Some(path), _) => read(&path)?,
        (None, None, hex) => hex::decode(hex.unwrap_or_default()).map_err(|error| {
            ClientError::Usage(format!(
                "this is no hexadecimal text ({error}); give two digits for each byte"
            ))
        })?,
    };
    let payload = Payload::new(kind, bytes);
    payload.check().map_err(|error| ClientError::Usage(error.to_string()))?;
    Ok(payload)
}

/// At most one byte more than a payload may have, so that a larger file is refused and not loaded.
fn read(path: &Path) -> Result<Vec<u8>, ClientError> {
    let mut bytes = Vec::new();
    let limit = Payload::MAX_BYTES as u64 + 1;
    let read = std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    read.map_err(|error| {
        let advice = "name a file that you may read";
        ClientError::File { path: path.into(), reason: error.to_string(), advice }
    })?;
    Ok(bytes)
}
