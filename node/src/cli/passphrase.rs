//! Where the passphrase comes from: a key file, the service manager, or the terminal. Never an argument or the environment.

use super::Args;
use crate::config::Config;
use anyhow::{Context, bail};
use countersign_store::Passphrase;
use std::io::IsTerminal;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The name of the systemd credential (`LoadCredentialEncrypted=countersign-passphrase:…`).
const CREDENTIAL: &str = "countersign-passphrase";

/// The passphrase of an existing store.
pub(super) fn existing(args: &Args, config: &Config) -> anyhow::Result<Passphrase> {
    match from_file(args, config)? {
        Some(passphrase) => Ok(passphrase),
        None => ask("Type password: "),
    }
}

/// The passphrase of a store that is being made: typed twice.
pub(super) fn new(args: &Args, config: &Config) -> anyhow::Result<Passphrase> {
    if let Some(passphrase) = from_file(args, config)? {
        return Ok(passphrase);
    }
    let typed = typed(&format!("Type password (at least {} characters): ", Passphrase::MIN_CHARS))?;
    if *typed != *self::typed("Retype password: ")? {
        bail!("the two passwords differ; run the command again");
    }
    Ok(Passphrase::new(typed))
}

fn from_file(args: &Args, config: &Config) -> anyhow::Result<Option<Passphrase>> {
    let file = args.key_file.clone().or_else(|| config.key_file.clone()).or_else(credential);
    file.map(|file| Passphrase::from_file(&file).map_err(Into::into)).transpose()
}

fn credential() -> Option<PathBuf> {
    let file = PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY")?).join(CREDENTIAL);
    file.exists().then_some(file)
}

fn ask(prompt: &str) -> anyhow::Result<Passphrase> {
    Ok(Passphrase::new(typed(prompt)?))
}

fn typed(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    if !std::io::stdin().is_terminal() {
        bail!("there is no terminal to ask for the password on; give a file with --key-file or db.key_file");
    }
    rpassword::prompt_password(prompt)
        .map(Zeroizing::new)
        .context("the password could not be read; use --key-file")
}
