//! `event`: manages the key that signs events for receivers.

use anyhow::bail;
use countersign_host::rs256;
use countersign_node::config::Config;
use countersign_node::vault::Vault;

use super::{Args, passphrase};

#[derive(Debug, clap::Subcommand)]
pub enum EventCommand {
    /// Work with the key that signs events.
    #[command(subcommand)]
    Key(KeyCommand),
}

#[derive(Debug, clap::Subcommand)]
pub enum KeyCommand {
    /// Generate the RSA-2048 key, and print its public half for the receivers. Stop the node first.
    Create,
    /// Print the public half of the key as PEM.
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
                    "the store already has an event key, which receivers know; see `countersign-node event key info`"
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
