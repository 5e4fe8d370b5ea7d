//! `event`: the key that signs what receivers are told.

use anyhow::bail;
use countersign_host::rs256;

use super::{Args, passphrase};
use crate::config::Config;
use crate::vault::Vault;

/// What `event` can do.
#[derive(Debug, clap::Subcommand)]
pub enum EventCommand {
    /// The key that signs events.
    #[command(subcommand)]
    Key(KeyCommand),
}

/// What `event key` can do.
#[derive(Debug, clap::Subcommand)]
pub enum KeyCommand {
    /// Make the RSA-2048 key, and print its public half for the receivers. Stop the node first.
    Create,
    /// Print the public half, PEM.
    Info,
}

impl EventCommand {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = Config::load(&args.config)?;
        let vault = Vault::open(
            &config.dir,
            &passphrase::existing(args, &config)?,
            &config.recipients,
        )?;
        let Self::Key(command) = self;
        let key = match (command, vault.event_key()?) {
            (KeyCommand::Info, Some(key)) => rs256::SigningKey::from_pkcs8(&key)?,
            (KeyCommand::Info, None) => {
                bail!(
                    "the store has no event key; make one with `countersign-node event key create`"
                )
            }
            (KeyCommand::Create, Some(_)) => {
                bail!(
                    "the store has an event key already, which receivers know; see `countersign-node event key info`"
                )
            }
            (KeyCommand::Create, None) => {
                let key = rs256::SigningKey::generate()?;
                vault.put_event_key(key.to_pkcs8()?)?;
                println!("Generate event public key:");
                key
            }
        };
        print!("{}", key.verifying_key().to_pem());
        Ok(())
    }
}
