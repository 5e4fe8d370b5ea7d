//! `countersign wallet descriptor`: output descriptors for watch-only wallets to find
//! a wallet's Bitcoin addresses.

use clap::Args;
use countersign_client::{Client, ClientError};
use countersign_protocol::{DerivationPath, KeyDescriptor, Scheme};
use countersign_verify::descriptor::{Form, ranged};
use countersign_verify::{DeriveError, ExtendedPublicKey};
use serde_json::{Value, json};

use super::address::network;
use super::output::Output;

/// The account to describe.
#[derive(Debug, Args)]
pub struct DescriptorArgs {
    /// Id (csk1…), or name in the wallet book.
    wallet: String,
    /// Path of the account, such as m/84/0/0. Its addresses are the children 0/* (to
    /// receive) and 1/* (change).
    #[arg(long, default_value = "m")]
    path: DerivationPath,
}

pub async fn execute(
    args: DescriptorArgs,
    client: &Client,
    output: &Output,
) -> Result<(), ClientError> {
    let wallet = client.find_wallet(&args.wallet).await?;
    let network = network(client);
    let bad = |error: DeriveError| {
        ClientError::Usage(format!("{} has no descriptor: {error}", args.path))
    };
    let root = ExtendedPublicKey::root(
        wallet.scheme,
        &wallet.root_public_key,
        wallet.chain_code.as_bytes(),
    )
    .map_err(bad)?;
    let account = root.derive(args.path.steps()).map_err(bad)?;
    let no_bitcoin = "the wallet's scheme signs for no output of Bitcoin that has a descriptor; use a wallet of \
                      ecdsa-secp256k1 or taproot";
    let forms = forms(&wallet);
    let Some(key) = account.bitcoin_text(network).filter(|_| !forms.is_empty()) else {
        return Err(ClientError::Usage(no_bitcoin.into()));
    };
    let mut rows = Vec::new();
    let mut lines = Vec::new();
    for (name, form) in forms {
        let of = |branch| ranged(*form, &root, args.path.steps(), branch, network).map_err(bad);
        let receive = of(0)?;
        let change = of(1)?;
        lines.extend([
            format!("{name:<16} receive  {receive}").into(),
            format!("{name:<16} change   {change}").into(),
        ]);
        rows.push(json!({"kind": name, "receive": receive, "change": change}));
    }
    let json: Value = json!({
        "wallet": wallet.key, "path": args.path.to_string(), "fingerprint": hex::encode(root.fingerprint()),
        "extended_public_key": key, "descriptors": rows,
    });
    output.result(&json, &lines)
}

/// The forms, under the names that `countersign address` uses for them.
fn forms(wallet: &KeyDescriptor) -> &'static [(&'static str, Form)] {
    match wallet.scheme {
        Scheme::EcdsaSecp256k1 => &[
            ("bitcoin-p2wpkh", Form::Wpkh),
            ("bitcoin-p2sh", Form::ShWpkh),
            ("bitcoin-p2pkh", Form::Pkh),
        ],
        Scheme::Taproot => &[("bitcoin-p2tr", Form::Tr)],
        Scheme::Ed25519 | Scheme::SchnorrSecp256k1 => &[],
    }
}
