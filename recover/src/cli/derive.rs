//! `derive`: child keys and addresses of an extended key, private or public.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use clap::Args;
use countersign_verify::ExtendedPublicKey;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::Outcome;
use super::files::{read_file, typed};
use super::output::Output;
use super::recover::key_json;
use crate::{Curve, ExtendedPrivateKey, KeyPath, Token};

/// The refusal of a private key given where others can read it. Does not show it.
const PRIVATE_ARGUMENT: &str = "a private key must not be an argument, others can read arguments and your shell keeps them: \
    move what it guards, and use --key-file";
/// Size limit of key files in bytes.
const MAX_KEY: usize = 1024;

/// From a private key (xprv, cprv), private and public children; from a public one
/// (xpub, cpub), public ones.
#[derive(Debug, Args)]
pub struct DeriveArgs {
    /// An extended public key: xpub or cpub. Private keys are typed, or come from --key-file.
    #[arg(value_name = "EXTENDED_PUBLIC_KEY", conflicts_with = "key_file")]
    key: Option<String>,
    /// File (mode 600) with an extended key on one line; - is stdin. Without it and without an
    /// argument the key is typed.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Paths of the children, separated by commas.
    #[arg(long, value_name = "PATHS", value_delimiter = ',', required = true)]
    paths: Vec<KeyPath>,
    /// Show the addresses, too: BTC, XTN (test networks), ETH, SETH, MNT, SMNT_MNT, SOL. For
    /// Bitcoin all of P2PKH, P2WPKH and P2TR (BIP-86); which one a wallet uses is not in its key.
    #[arg(long, value_name = "TOKEN")]
    token: Option<Token>,
}

/// An extended key of either kind.
enum Key {
    Private(ExtendedPrivateKey),
    Public(ExtendedPublicKey),
}

impl DeriveArgs {
    pub(super) fn run(self, output: Output) -> anyhow::Result<Outcome> {
        let key = self.key()?;
        let keys = self
            .paths
            .iter()
            .map(|path| self.child(&key, path).with_context(|| path.to_string()));
        let keys = keys.collect::<anyhow::Result<Vec<_>>>()?;
        let lines: Vec<_> = keys.iter().flat_map(lines).collect();
        output.result(&json!({ "keys": keys }), &lines)?;
        Ok(Outcome::Done)
    }

    fn key(&self) -> anyhow::Result<Key> {
        match (&self.key, &self.key_file) {
            (Some(text), _) if is_private(text) => bail!("{PRIVATE_ARGUMENT}"),
            (Some(text), _) => Key::parse(text),
            (None, Some(path)) => Key::parse(&read_key(path)?),
            (None, None) => Key::parse(&typed("Extended key: ", "--key-file")?),
        }
    }

    fn child(&self, key: &Key, path: &KeyPath) -> anyhow::Result<Value> {
        let (mut json, public) = match key {
            Key::Private(key) => {
                let child = key.derive(path)?;
                (key_json(&child), child.public_key())
            }
            Key::Public(key) => {
                let child = key.derive(path.steps())?;
                (
                    json!({ "extended_public_key": child.to_string() }),
                    child.public_key().to_vec(),
                )
            }
        };
        json["path"] = path.to_string().into();
        json["public_key"] = format!("0x{}", hex::encode(&public)).into();
        if let Some(token) = self.token {
            let addresses = token.addresses(key.curve(), &public)?;
            json["addresses"] = addresses
                .into_iter()
                .map(|(kind, it)| (kind, Value::from(it)))
                .collect::<Value>();
        }
        Ok(json)
    }
}

impl Key {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let text = text.trim();
        Ok(if is_private(text) {
            Self::Private(ExtendedPrivateKey::parse(text)?)
        } else {
            Self::Public(text.parse()?)
        })
    }

    fn curve(&self) -> Curve {
        match self {
            Self::Private(key) => key.secret().curve(),
            Self::Public(key) if key.fits(Curve::Ed25519.scheme()) => Curve::Ed25519,
            Self::Public(_) => Curve::Secp256k1,
        }
    }
}

fn is_private(text: &str) -> bool {
    text.starts_with("xprv") || text.starts_with("cprv")
}

/// Reads the key from stdin, or from a file that only its owner can read.
fn read_key(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let name = path.display();
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_KEY));
    if path == Path::new("-") {
        let read = std::io::stdin()
            .take(MAX_KEY as u64)
            .read_to_end(&mut bytes);
        read.map_err(|error| anyhow!("cannot read stdin ({error}): use a file"))?;
    } else {
        *bytes = read_file(path, MAX_KEY)?;
        let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
        ensure!(
            mode & 0o077 == 0,
            "the key file {name} has mode {mode:03o}, others can open it: run `chmod 600 {name}`"
        );
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| anyhow!("{name} is not text: give one key on one line"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn lines(key: &Value) -> Vec<String> {
    let line =
        |name: &str, value: &Value| format!("  {name:<20}  {}", value.as_str().unwrap_or_default());
    let mut lines = vec![key["path"].as_str().unwrap_or_default().to_owned()];
    let forms = [
        "private_key",
        "extended_private_key",
        "public_key",
        "extended_public_key",
    ];
    lines.extend(
        forms
            .into_iter()
            .filter_map(|form| key.get(form).map(|value| line(form, value))),
    );
    let addresses = key
        .get("addresses")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    lines.extend(addresses.map(|(kind, address)| line(kind, address)));
    lines
}
