//! `countersign address`: addresses of a wallet's children on the chains that its scheme signs for.

use clap::Args;
use countersign_client::{Client, ClientError};
use countersign_protocol::DerivationPath;
use countersign_verify::DeriveError;
use countersign_verify::address::Network;
use countersign_verify::addresses::child;
use serde_json::json;

use super::line::{Table, Tone};
use super::output::Output;

/// The addresses to show.
#[derive(Debug, Args)]
pub struct AddressArgs {
    /// Id (csk1…), or name in the wallet book.
    wallet: String,
    /// Children, such as m/44/60/0/0/0; `m` is the root key itself.
    #[arg(
        long = "path",
        value_delimiter = ',',
        default_value = "m",
        value_name = "PATH,PATH"
    )]
    paths: Vec<DerivationPath>,
    /// Root of the outputs' script tree (BIP-341), for a taproot wallet whose outputs have scripts.
    #[arg(long, value_name = "HEX", value_parser = script_root)]
    script_root: Option<ScriptRoot>,
}

type ScriptRoot = [u8; 32];

/// A script root that is not 32 bytes in hexadecimal.
#[derive(Debug, thiserror::Error)]
#[error("give the 32 bytes of the root in hexadecimal")]
struct ScriptRootError;

fn script_root(text: &str) -> Result<ScriptRoot, ScriptRootError> {
    let bytes = hex::decode(text)
        .ok()
        .and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or(ScriptRootError)
}

/// Runs the command. Takes only a wallet that verifies from the coordinator.
pub async fn execute(
    args: AddressArgs,
    client: &Client,
    output: &Output,
) -> Result<(), ClientError> {
    let wallet = client.find_wallet(&args.wallet).await?;
    let network = network(client);
    let mut rows = Vec::new();
    let mut table = Table::without_heading();
    for path in &args.paths {
        let no_address =
            |error: DeriveError| ClientError::Usage(format!("{path} has no address: {error}"));
        let child = child(&(&wallet).into(), path, network, args.script_root.as_ref())
            .map_err(no_address)?;
        let found = child.addresses;
        for (kind, address) in &found {
            table.row(
                [
                    (*kind, Tone::Plain),
                    (address, Tone::Good),
                    (&path.to_string(), Tone::Plain),
                ]
                .map(cell),
            );
        }
        let found: serde_json::Map<_, _> = found
            .into_iter()
            .map(|(kind, text)| (kind.into(), text.into()))
            .collect();
        rows.push(json!({"path": path.to_string(), "public_key": hex::encode(&child.public_key), "addresses": found}));
    }
    output.result(
        &json!({"wallet": wallet.key, "children": rows}),
        &table.lines(),
    )
}

fn cell((text, tone): (&str, Tone)) -> (String, Tone) {
    (text.to_owned(), tone)
}

/// The network whose prefixes this profile's Bitcoin addresses have.
pub fn network(client: &Client) -> Network {
    // A profile with an unknown network is refused when it is read.
    client
        .networks()
        .bitcoin_addresses()
        .unwrap_or(Network::Testnet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_root_has_32_bytes() {
        assert!(script_root(&"5b".repeat(32)).is_ok());
        assert!(script_root("5b75").is_err() && script_root("root").is_err());
    }
}
