//! `sign`: checks this node's own shares, without network and without anybody's
//! approval. It signs nothing.

use anyhow::{Context, bail};
use countersign_node::check_ups;
use countersign_node::config::Config;
use countersign_node::vault::Vault;
use countersign_protocol::{Hash, KeyDescriptor, NodeId};
use countersign_store::{Journal, KeyStatus};
use serde_json::json;

use super::{Args, passphrase};

#[derive(Debug, clap::Args)]
pub struct Sign {
    /// Check the share of this key only.
    #[arg(long, alias = "group-id", value_name = "ID")]
    key_id: Option<String>,
    /// Text to bind the proofs to, such as today's date or a challenge from somebody who
    /// is to verify them.
    #[arg(long, default_value = "")]
    message: String,
    /// Print the proofs as JSON.
    #[arg(long)]
    json: bool,
}

impl Sign {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = Config::load(&args.config)?;
        let vault = Vault::open(
            &config.dir,
            &passphrase::existing(args, &config)?,
            &config.recipients,
        )
        .context(
            "a running node has its store open; stop it, or order `countersign wallet check`",
        )?;
        let me = NodeId::from_bytes(vault.identity()?.public().0)?;
        let message = Hash::of("countersign/1 check-up message", self.message.as_bytes());
        let mut proofs = Vec::new();
        for key in self.keys(&Journal::open(&config.dir)?)? {
            proofs.push(check_ups::check(&vault, me, &key, message)?);
            if !self.json {
                println!(
                    "intact  {}  generation {}  {}",
                    key.key, key.generation, key.name
                );
            }
        }
        if self.json {
            println!(
                "{}",
                serde_json::to_string_pretty(&json!({"context": message, "proofs": proofs}))?
            );
        }
        Ok(())
    }

    fn keys(&self, journal: &Journal) -> anyhow::Result<Vec<KeyDescriptor>> {
        let active = journal
            .keys()?
            .into_iter()
            .filter(|record| record.status == KeyStatus::Active);
        let wanted = |key: &KeyDescriptor| {
            self.key_id
                .as_ref()
                .is_none_or(|id| key.key.to_string() == *id)
        };
        let keys: Vec<KeyDescriptor> = active
            .map(|record| record.descriptor)
            .filter(wanted)
            .collect();
        if let (Some(id), true) = (&self.key_id, keys.is_empty()) {
            bail!("this node holds no share of {id}; `info key` lists the keys it holds");
        }
        Ok(keys)
    }
}
