//! `change-password`: puts the store's identity under another passphrase.

use std::path::PathBuf;

use countersign_node::config::Config;
use countersign_node::vault::Vault;
use countersign_store::Passphrase;

use super::{Args, passphrase};

#[derive(Debug, clap::Args)]
pub struct ChangePassword {
    /// File with the new passphrase, mode 600. Without it the passphrase is asked for.
    #[arg(long, value_name = "FILE")]
    new_key_file: Option<PathBuf>,
}

impl ChangePassword {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = Config::load(&args.config)?;
        let vault = Vault::open(
            &config.dir,
            &passphrase::existing(args, &config)?,
            &config.recipients,
        )?;
        let new = match &self.new_key_file {
            Some(file) => Passphrase::from_file(file)?,
            None => passphrase::typed_twice("new password")?,
        };
        vault.change_passphrase(&new)?;
        println!(
            "The store is under the new password. Anyone with an old copy of identity.age and the old password can still open it: make new backups, and destroy the old ones."
        );
        Ok(())
    }
}
