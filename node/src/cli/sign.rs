//! `sign`: a check-up of this node's own shares, without network and without anybody's approval: it
//! signs nothing.

use anyhow::{Context, bail};
use countersign_protocol::{Announcement, Hash, NodeId};
use countersign_store::{Journal, KeyStatus};
use serde_json::json;

use super::{Args, passphrase};
use crate::check_ups;
use crate::config::Config;
use crate::vault::Vault;

/// Arguments of `sign`.
#[derive(Debug, clap::Args)]
pub struct Sign {
    /// Only the share of this key.
    #[arg(long, alias = "group-id", value_name = "ID")]
    key_id: Option<String>,
    /// What the proofs are made for, such as today's date or a text of somebody who is to verify
    /// them.
    #[arg(long, default_value = "")]
    message: String,
    /// Print the proofs, JSON.
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
            "a node that runs has its store open; stop it, or order `countersign wallet check`",
        )?;
        let me = NodeId::from_bytes(vault.identity()?.public().0)?;
        let message = Hash::of("countersign/1 check-up message", self.message.as_bytes());
        let mut proofs = Vec::new();
        for key in self.keys(&Journal::open(&config.dir)?)? {
            proofs.push(check_ups::check(&vault, me, &key, message).map_err(anyhow::Error::msg)?);
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

    fn keys(&self, journal: &Journal) -> anyhow::Result<Vec<Announcement>> {
        let active = journal
            .keys()?
            .into_iter()
            .filter(|record| record.status == KeyStatus::Active);
        let wanted = |key: &Announcement| {
            self.key_id
                .as_ref()
                .is_none_or(|id| key.key.to_string() == *id)
        };
        let keys: Vec<Announcement> = active
            .map(|record| record.announcement)
            .filter(wanted)
            .collect();
        if let (Some(id), true) = (&self.key_id, keys.is_empty()) {
            bail!("this node holds no share of {id}; `info key` lists what it holds");
        }
        Ok(keys)
    }
}
