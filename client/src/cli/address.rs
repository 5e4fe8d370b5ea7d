//! `countersign address`: addresses of a wallet's children on the chains that its scheme signs for.

use clap::Args;
use countersign_client::{Client, ClientError};
use countersign_protocol::{DerivationPath, KeyDescriptor, Scheme};
use countersign_verify::address::{self, Network};
use countersign_verify::{DeriveError, derive_public};
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
        let (child, _) = derive_public(
            wallet.scheme,
            &wallet.root_public_key,
            wallet.chain_code.as_bytes(),
            path.steps(),
        )
        .map_err(no_address)?;
        let found =
            addresses(&wallet, network, &child, args.script_root.as_ref()).map_err(no_address)?;
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
        rows.push(json!({"path": path.to_string(), "public_key": hex::encode(&child), "addresses": found}));
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

/// Maps the name of each kind of address to the address.
fn addresses(
    wallet: &KeyDescriptor,
    network: Network,
    child: &[u8],
    script_root: Option<&ScriptRoot>,
) -> Result<Vec<(&'static str, String)>, DeriveError> {
    if script_root.is_some() && wallet.scheme != Scheme::Taproot {
        return Err(DeriveError::ScriptRoot);
    }
    Ok(match wallet.scheme {
        Scheme::EcdsaSecp256k1 => vec![
            ("evm", address::evm(child)?),
            ("bitcoin-p2wpkh", network.p2wpkh(child)?),
            ("bitcoin-p2sh", network.p2sh_p2wpkh(child)?),
            ("bitcoin-p2pkh", network.p2pkh(child)?),
        ],
        Scheme::Taproot => vec![("bitcoin-p2tr", network.p2tr(child, script_root)?)],
        Scheme::Ed25519 => vec![("solana", address::solana(child)?)],
        // RFC 9591 signatures belong to no chain known here.
        Scheme::SchnorrSecp256k1 => vec![("public-key", hex::encode(child))],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_has_the_addresses_of_its_chains() {
        let kinds = |scheme, child: &str| addresses_of(scheme, child, None).unwrap();
        // The generator: the key of the private key 1, whose addresses are widely published.
        let one = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        let expected = [
            ("evm", "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"),
            (
                "bitcoin-p2wpkh",
                "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            ),
            ("bitcoin-p2sh", "3JvL6Ymt8MVWiCNHC7oWU6nLeHNJKLZGLN"),
            ("bitcoin-p2pkh", "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH"),
        ];
        assert_eq!(
            kinds(Scheme::EcdsaSecp256k1, one),
            expected.map(|(kind, text)| (kind, text.to_owned()))
        );
        let taproot = kinds(Scheme::Taproot, one);
        assert_eq!(taproot[0].0, "bitcoin-p2tr");
        assert!(taproot[0].1.starts_with("bc1p"));
        let generator = "5866666666666666666666666666666666666666666666666666666666666666";
        assert_eq!(kinds(Scheme::Ed25519, generator).len(), 1);
    }

    /// BIP-341, wallet-test-vectors.json, scriptPubKey 1.
    #[test]
    fn only_taproot_wallets_have_outputs_with_scripts() {
        let internal = "02187791b6f712a8ea41c8ecdd0ee77fab3e85263b37e1ec18a3651926b3a6cf27";
        let root = script_root("5b75adecf53548f3ec6ad7d78383bf84cc57b55a3127c72b9a2481752dd88b21")
            .unwrap();
        let address = "bc1pz37fc4cn9ah8anwm4xqqhvxygjf9rjf2resrw8h8w4tmvcs0863sa2e586";
        let found = addresses_of(Scheme::Taproot, internal, Some(root)).unwrap();
        assert_eq!(found, [("bitcoin-p2tr", address.to_owned())]);
        for scheme in Scheme::ALL
            .into_iter()
            .filter(|scheme| *scheme != Scheme::Taproot)
        {
            assert_eq!(
                addresses_of(scheme, internal, Some(root)),
                Err(DeriveError::ScriptRoot)
            );
        }
        assert!(script_root("5b75").is_err() && script_root("root").is_err());
    }

    fn addresses_of(
        scheme: Scheme,
        child: &str,
        script_root: Option<ScriptRoot>,
    ) -> Result<Vec<(&'static str, String)>, DeriveError> {
        let wallet = KeyDescriptor { scheme, ..wallet() };
        addresses(
            &wallet,
            Network::Mainnet,
            &hex::decode(child).unwrap(),
            script_root.as_ref(),
        )
    }

    fn wallet() -> KeyDescriptor {
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
