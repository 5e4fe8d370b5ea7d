//! `countersign address`: what a wallet's children are called on the chains that its scheme signs for.

use clap::Args;
use countersign_client::{Client, ClientError};
use countersign_protocol::{Announcement, DerivationPath, Scheme};
use countersign_verify::address::{self, Network};
use countersign_verify::{DeriveError, derive_public};
use serde_json::json;

use super::output::Output;

/// Which addresses to show.
#[derive(Debug, Args)]
pub struct AddressArgs {
    /// Id (csk1…) or name.
    wallet: String,
    /// Children, such as m/44/60/0/0/0; `m` is the root key itself.
    #[arg(long = "path", value_delimiter = ',', default_value = "m", value_name = "PATH,PATH")]
    paths: Vec<DerivationPath>,
}

/// Runs the command. Nothing is taken from the coordinator but a wallet that verifies.
pub async fn execute(args: AddressArgs, client: &Client, output: &Output) -> Result<(), ClientError> {
    let wallet = client.find_wallet(&args.wallet).await?;
    let network = match client.profile().chains.bitcoin.as_str() {
        "mainnet" => Network::Mainnet,
        _ => Network::Testnet,
    };
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for path in &args.paths {
        let no_address = |error: DeriveError| ClientError::Usage(format!("{path} has no address: {error}"));
        let (child, _) =
            derive_public(wallet.scheme, &wallet.root_public_key, wallet.chain_code.as_bytes(), path.steps())
                .map_err(no_address)?;
        let found = addresses(&wallet, network, &child).map_err(no_address)?;
        lines.extend(found.iter().map(|(kind, address)| format!("{kind:<16} {address}  {path}")));
        let found: serde_json::Map<_, _> =
            found.into_iter().map(|(kind, text)| (kind.into(), text.into())).collect();
        rows.push(json!({"path": path.to_string(), "public_key": hex::encode(&child), "addresses": found}));
    }
    output.result(&json!({"wallet": wallet.key, "children": rows}), &lines)
}

/// By the chain's name for the kind of address.
fn addresses(
    wallet: &Announcement,
    network: Network,
    child: &[u8],
) -> Result<Vec<(&'static str, String)>, DeriveError> {
    Ok(match wallet.scheme {
        Scheme::EcdsaSecp256k1 => vec![
            ("evm", address::evm(child)?),
            ("bitcoin-p2wpkh", network.p2wpkh(child)?),
            ("bitcoin-p2pkh", network.p2pkh(child)?),
        ],
        Scheme::Taproot => vec![("bitcoin-p2tr", network.p2tr(child)?)],
        Scheme::Ed25519 => vec![("solana", address::solana(child)?)],
        // RFC 9591 signatures are of no chain that is known here.
        Scheme::SchnorrSecp256k1 => vec![("public-key", hex::encode(child))],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_has_the_addresses_of_its_chains() {
        let kinds = |scheme, child: &str| -> Vec<(&'static str, String)> {
            let wallet = Announcement { scheme, ..wallet() };
            addresses(&wallet, Network::Mainnet, &hex::decode(child).unwrap()).unwrap()
        };
        // The generator: the key of the private key 1, whose addresses are widely published.
        let one = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        let expected = [
            ("evm", "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"),
            ("bitcoin-p2wpkh", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
            ("bitcoin-p2pkh", "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH"),
        ];
        assert_eq!(kinds(Scheme::EcdsaSecp256k1, one), expected.map(|(kind, text)| (kind, text.to_owned())));
        let taproot = kinds(Scheme::Taproot, one);
        assert_eq!(taproot[0].0, "bitcoin-p2tr");
        assert!(taproot[0].1.starts_with("bc1p"));
        let generator = "5866666666666666666666666666666666666666666666666666666666666666";
        assert_eq!(kinds(Scheme::Ed25519, generator).len(), 1);
    }

    fn wallet() -> Announcement {
        serde_json::from_value(json!({
            "key": countersign_protocol::KeyId::from_bytes([1; 16]).unwrap(),
            "task": countersign_protocol::TaskId([2; 16]),
            "session": countersign_protocol::SessionId([3; 32]),
            "name": "n", "scheme": "taproot", "committee": [node(1), node(2)], "threshold": 2, "generation": 0,
            "root_public_key": "00", "chain_code": countersign_protocol::Hash([4; 32]),
            "public_shares": countersign_protocol::Hash([5; 32]), "aux": null, "stored": []
        }))
        .unwrap()
    }

    fn node(seed: u8) -> countersign_protocol::NodeId {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]).verifying_key();
        countersign_protocol::NodeId::from_bytes(key.to_bytes()).unwrap()
    }
}
