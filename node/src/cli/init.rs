//! `init`: the store of a new node.

use super::{Args, passphrase};
use crate::config::Config;
use crate::primes;
use crate::public::{self, PublicRecord};
use crate::vault::Vault;
use countersign_host::rs256;
use countersign_protocol::NodeId;
use countersign_store::Journal;
use std::io::{IsTerminal, Write};
use std::time::Instant;

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub struct Init {
    /// Make no primes now; the node makes them in the background once it runs.
    #[arg(long)]
    no_primes: bool,
}

impl Init {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = Config::load(&args.config)?;
        let passphrase = passphrase::new(args, &config)?;
        println!("Initialize database: {}", config.dir.join("secrets.redb.age").display());
        let callback_key = rs256::SigningKey::generate()?;
        let vault = Vault::create(&config.dir, &passphrase, &config.recipients, callback_key.to_pkcs8()?)?;
        Journal::create(&config.dir)?;
        let node = NodeId::from_bytes(vault.identity()?.public().0)?;
        let pem = callback_key.verifying_key().to_pem();
        println!("Initialize Node ID: {node}");
        println!("Generate callback public key:\n{}", pem.trim_end());
        let record = PublicRecord {
            version: 1,
            node,
            callback_public_key: pem,
            generation: 0,
            keys: Vec::new(),
            check_up: None,
            plugins: Vec::new(),
        };
        public::write(&config.dir, &record)?;
        if !self.no_primes && config.prime_sets > 0 {
            fill_pool(&vault, config.prime_sets)?;
        }
        println!("Complete initialization of the node's keys and data");
        Ok(())
    }
}

/// Shows a live line on a terminal, and one line for each prime elsewhere.
fn fill_pool(vault: &Vault, sets: usize) -> anyhow::Result<()> {
    println!("Start to generate Paillier primes; this takes a few seconds");
    let (started, live) = (Instant::now(), std::io::stdout().is_terminal());
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
    println!("{}Complete generation of Paillier primes", if live { "\n" } else { "" });
    Ok(())
}
