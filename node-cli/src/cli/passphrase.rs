//! Sources of the passphrase: a key file, the service manager, or the terminal. Never an
//! argument or the environment.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use countersign_node::config::Config;
use countersign_store::Passphrase;
use zeroize::Zeroizing;

use super::Args;

/// Name of the systemd credential (`LoadCredentialEncrypted=countersign-passphrase:…`).
pub(super) const CREDENTIAL: &str = "countersign-passphrase";

/// Returns the passphrase of an existing store.
pub(super) fn existing(args: &Args, config: &Config) -> anyhow::Result<Passphrase> {
    match from_file(args, config)? {
        Some(passphrase) => Ok(passphrase),
        None => ask("Type password: "),
    }
}

/// Returns the passphrase for a new store; on a terminal, it is typed twice.
pub(super) fn new(args: &Args, config: &Config) -> anyhow::Result<Passphrase> {
    if let Some(passphrase) = from_file(args, config)? {
        return Ok(passphrase);
    }
    typed_twice("password")
}

/// Asks twice for a passphrase that cannot be corrected later.
pub(super) fn typed_twice(what: &str) -> anyhow::Result<Passphrase> {
    let what = format!("{what} (at least {} characters)", Passphrase::MIN_CHARS);
    Ok(Passphrase::new(typed_text_twice(&what)?))
}

/// Asks twice for a password that does not protect a store.
pub(super) fn typed_text_twice(what: &str) -> anyhow::Result<Zeroizing<String>> {
    let typed = typed(&format!("Type {what}: "))?;
    if *typed != *self::typed(&format!("Retype {what}: "))? {
        bail!("the two passwords differ; run the command again");
    }
    Ok(typed)
}

/// Returns the passphrase of a backup. On a terminal, that of a new backup is typed twice.
pub(super) fn of_backup(file: Option<&Path>, new: bool) -> anyhow::Result<Passphrase> {
    match (file, new) {
        (Some(file), _) => Ok(Passphrase::from_file(file)?),
        (None, true) => typed_twice("password of the backup"),
        (None, false) => ask("Type password of the backup: "),
    }
}

fn from_file(args: &Args, config: &Config) -> anyhow::Result<Option<Passphrase>> {
    let file = args.key_file.as_ref().or(config.key_file.as_ref());
    let read = match file {
        Some(file) => Some(Passphrase::from_file(file)),
        None => credential().map(|file| Passphrase::from_credential(&file)),
    };
    Ok(read.transpose()?)
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
        bail!("there is no terminal to ask for the password; provide it in a file");
    }
    rpassword::prompt_password(prompt)
        .map(Zeroizing::new)
        .context("the password could not be read; use --key-file")
}
