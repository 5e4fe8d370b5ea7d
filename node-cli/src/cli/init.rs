//! `init`: creates the store of a new node.

use std::io::{IsTerminal, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use countersign_host::rs256;
use countersign_node::config::{Config, EXAMPLE};
use countersign_node::primes;
use countersign_node::public;
use countersign_node::vault::Vault;
use countersign_protocol::NodeId;
use countersign_store::Journal;

use super::{Args, passphrase};

#[derive(Debug, clap::Args)]
pub struct Init {
    /// Do not generate primes now; the node generates them in the background once it runs.
    #[arg(long)]
    no_primes: bool,
}

impl Init {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let wrote = write_example(&args.config)?;
        let config = Config::load(&args.config)?;
        let passphrase = passphrase::new(args, &config)?;
        println!(
            "Initialize database: {}",
            config.dir.join("secrets.redb.age").display()
        );
        let callback_key = rs256::SigningKey::generate()?;
        let vault = Vault::create(
            &config.dir,
            &passphrase,
            &config.recipients,
            callback_key.to_pkcs8()?,
        )?;
        Journal::create(&config.dir)?;
        let node = NodeId::from_bytes(vault.identity()?.public().0)?;
        let pem = callback_key.verifying_key().to_pem();
        println!("Initialize Node ID: {node}");
        println!("Generate callback public key:\n{}", pem.trim_end());
        public::write(&config.dir, &public::new(node, pem))?;
        if !self.no_primes && config.prime_sets > 0 {
            fill_pool(&vault, config.prime_sets)?;
        }
        println!("Complete initialization of the node's keys and data");
        if wrote {
            println!(
                "Wrote {}: fill it in, then run `config check` to see what is missing",
                args.config.display()
            );
        }
        Ok(())
    }
}

/// Writes an example configuration if there is none; returns true if it did.
fn write_example(file: &Path) -> anyhow::Result<bool> {
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
    let new = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    new.and_then(|mut new| new.write_all(EXAMPLE.as_bytes()))
        .with_context(cannot)?;
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
        assert!(write_example(&file).unwrap() && !write_example(&file).unwrap());
        let config = Config::load(&file).unwrap();
        assert_eq!(config.dir, file.with_file_name("db"));
        assert!(matches!(
            config.check_complete(),
            Err(ConfigError::Unguarded)
        ));
    }
}
