//! `migrate`: rewrites the store in the format and for the recipients of today, after a backup.

use std::path::PathBuf;

use countersign_node::backup;
use countersign_node::config::Config;
use countersign_node::vault::Vault;
use countersign_node::world::now;
use countersign_protocol::NodeId;
use countersign_store::Journal;
use countersign_store::backup::SealTo;

use super::live::LiveLine;
use super::{Args, passphrase, time};

#[derive(Debug, clap::Args)]
pub struct Migrate {
    /// File for the backup that is made first, under the store's own password. Default: a new
    /// file beside the store.
    #[arg(long, value_name = "FILE")]
    backup: Option<PathBuf>,
}

impl Migrate {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = Config::load(&args.config)?;
        let passphrase = passphrase::existing(args, &config)?;
        let vault = Vault::open(&config.dir, &passphrase, &config.recipients)?;
        let journal = Journal::open(&config.dir)?;
        journal.verify_audit()?;
        let file = self.backup.clone().unwrap_or_else(|| {
            config.dir.join(format!(
                "before-migrate-{}.age",
                time(now()).replace(':', "-")
            ))
        });
        let node = NodeId::from_bytes(vault.identity()?.public().0)?;
        let staged = backup::stage(&vault, &journal, node, &config.dir)?;
        let mut live = LiveLine::new("Sealing the backup");
        let to = SealTo::Passphrase(&passphrase);
        backup::seal(&staged, &to, &file, &mut |done, all| live.show(done, all))?;
        drop(live);
        println!("Backup: {}", file.display());
        let vault = vault.renew_key(&passphrase)?;
        journal.rekeyed(now())?;
        println!(
            "The store is in the newest format, under a new storage key, sealed to the node and {} recovery recipients; generation {}.",
            config.recipients.len(),
            vault.generation()?
        );
        Ok(())
    }
}
