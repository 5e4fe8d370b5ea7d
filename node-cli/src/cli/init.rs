//! `init`: creates the store of a new node.

use std::io::{IsTerminal, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use countersign_host::rs256;
use countersign_node::config::{Config, EXAMPLE};
use countersign_node::primes;
use countersign_node::public;
use countersign_node::vault::Vault;
use countersign_protocol::NodeId;
use countersign_protocol::invitation::Token;
use countersign_store::journal::JOURNAL_FILE;
use countersign_store::{Journal, Passphrase};

use super::{Args, credential, join, passphrase, rules};

/// Name of the file of secrets.
const SECRETS: &str = "secrets.redb.age";

#[derive(Debug, clap::Args)]
pub struct Init {
    /// Do not generate primes now; the node generates them in the background once it runs.
    #[arg(long)]
    no_primes: bool,
    /// Generate no primes, now or later: this node serves no ECDSA wallets. A new configuration
    /// says so (`limits.prime_sets: 0`).
    #[arg(long)]
    no_ecdsa: bool,
    /// Register at the coordinator that made this token (`countersign-coordinator invite`), and
    /// name it in the configuration. Primes are then generated once the node runs. `-` reads the
    /// token from standard input, so that no other user of this machine can see it. You can run
    /// the command again with the same token.
    #[arg(long, value_name = "TOKEN")]
    join: Option<String>,
    /// Let the plugin `rules` decide by a copy of this file, `rules.yaml` beside the configuration.
    /// A node without risk control does not start.
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Give the passphrase of a new store to systemd, which encrypts it for this machine and
    /// decrypts it for the service of the package. Needs root.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true,
          default_missing_value = credential::FILE)]
    credential: Option<PathBuf>,
}

impl Init {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let token = self.join.as_deref().map(join::token).transpose()?;
        let example = self.example(token.as_ref());
        let wrote = write_example(&args.config, &example)?;
        if let Some(token) = &token {
            join::name_coordinator(&args.config, token)?;
        }
        if let Some(rules) = &self.rules {
            rules::put_in_force(&args.config, rules)?;
        }
        let config = Config::load(&args.config)?;
        let is_there = config.dir.join(SECRETS).exists();
        if is_there && self.credential.is_some() {
            bail!(
                "there is a store already: {}; give its passphrase to systemd with `systemd-creds encrypt`, and leave out --credential",
                config.dir.join(SECRETS).display()
            );
        }
        let vault = if is_there && (token.is_some() || lacks_journal(&config)) {
            let passphrase = passphrase::existing(args, &config)?;
            give_up_root(&config)?;
            let vault = Vault::open(&config.dir, &passphrase, &config.recipients)?;
            complete(&config, &vault)?;
            vault
        } else {
            let passphrase = self.new_passphrase(args, &config)?;
            give_up_root(&config)?;
            self.create(&passphrase, &config, token.is_none())?
        };
        if let Some(token) = &token {
            join::register(&config, &vault, token)?;
        }
        if wrote {
            println!(
                "Wrote {}: fill it in, then run `config check` to see what is missing",
                args.config.display()
            );
        }
        Ok(())
    }

    /// The configuration of a new node.
    fn example(&self, token: Option<&Token>) -> String {
        let example = match token {
            Some(token) => join::with_coordinator(EXAMPLE, token),
            None => EXAMPLE.to_owned(),
        };
        if self.no_ecdsa {
            join::without_ecdsa(&example)
        } else {
            example
        }
    }

    /// The passphrase of a new store, given to systemd if that is wanted.
    fn new_passphrase(&self, args: &Args, config: &Config) -> anyhow::Result<Passphrase> {
        let Some(file) = &self.credential else {
            return passphrase::new(args, config);
        };
        credential::check(file)?;
        let passphrase = passphrase::new(args, config)?;
        credential::keep(&passphrase, file)?;
        Ok(passphrase)
    }

    /// Creates the node's keys and data.
    fn create(
        &self,
        passphrase: &Passphrase,
        config: &Config,
        primes: bool,
    ) -> anyhow::Result<Vault> {
        println!(
            "Initialize database: {}",
            config.dir.join(SECRETS).display()
        );
        let callback_key = rs256::SigningKey::generate()?;
        let vault = Vault::create(
            &config.dir,
            passphrase,
            &config.recipients,
            callback_key.to_pkcs8()?,
        )?;
        complete(config, &vault)?;
        if primes && !self.no_primes && !self.no_ecdsa && config.prime_sets > 0 {
            fill_pool(&vault, config.prime_sets)?;
        }
        println!("Complete initialization of the node's keys and data");
        Ok(vault)
    }
}

/// Becomes the user of the store, if root has set up its folder for a service. What is written from
/// here on is that user's.
pub(super) fn give_up_root(config: &Config) -> anyhow::Result<()> {
    countersign_system::become_owner_of(&config.dir).with_context(|| {
        format!(
            "cannot become the owner of {}; run this as that user",
            config.dir.display()
        )
    })
}

fn lacks_journal(config: &Config) -> bool {
    !config.dir.join(JOURNAL_FILE).exists()
}

/// Makes the journal and the public record of a store that has only its secrets yet: it is new, or
/// an earlier `init` was cut off. A store that was in use lost them, and has to be restored.
fn complete(config: &Config, vault: &Vault) -> anyhow::Result<()> {
    if lacks_journal(config) {
        if !vault.held_keys()?.is_empty() {
            bail!(
                "{} is gone, and the store holds shares of keys; restore the store from a backup",
                config.dir.join(JOURNAL_FILE).display()
            );
        }
        Journal::create(&config.dir)?;
    }
    if public::read(&config.dir).is_ok() {
        return Ok(());
    }
    let node = NodeId::from_bytes(vault.identity()?.public().0)?;
    let pem = public::callback_pem(vault)?;
    println!("Initialize Node ID: {node}");
    println!("Six words of the ID: {}", super::id::words(&node));
    println!("Generate callback public key:\n{}", pem.trim_end());
    public::write(&config.dir, &public::new(node, pem))?;
    Ok(())
}

/// Writes an example configuration if there is none; returns true if it did.
fn write_example(file: &Path, example: &str) -> anyhow::Result<bool> {
    if file.exists() {
        return Ok(false);
    }
    let cannot = || format!("cannot write {}", file.display());
    if let Some(folder) = file.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(cannot)?;
    }
    countersign_files::create(file, example.as_bytes()).with_context(cannot)?;
    Ok(true)
}

/// Shows progress: a live line on a terminal, or one line per prime elsewhere.
fn fill_pool(vault: &Vault, sets: usize) -> anyhow::Result<()> {
    println!("Start to generate Paillier primes; this takes a few seconds");
    let started = Instant::now();
    let live = std::io::stdout().is_terminal();
    let mut shown = None;
    primes::fill(vault, sets, &mut |have, wanted| {
        let seconds = started.elapsed().as_secs();
        if shown != Some((have, if live { seconds } else { 0 })) {
            shown = Some((have, if live { seconds } else { 0 }));
            let (start, end) = if live { ("\r", "") } else { ("", "\n") };
            print!("{start}  {have} of {wanted} primes, {seconds} s{end}");
            // A progress line that cannot be shown is not worth stopping for.
            drop(std::io::stdout().flush());
        }
        true
    })?;
    println!(
        "{}Complete generation of Paillier primes",
        if live { "\n" } else { "" }
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use countersign_node::config::ConfigError;

    use super::*;

    #[test]
    fn the_example_is_a_configuration_that_only_start_minds() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("configs/node.yaml");
        assert!(write_example(&file, EXAMPLE).unwrap());
        assert!(!write_example(&file, EXAMPLE).unwrap());
        let config = Config::load(&file).unwrap();
        assert_eq!(config.dir, file.with_file_name("db"));
        assert!(matches!(
            config.check_complete(),
            Err(ConfigError::Unguarded)
        ));
    }
}
