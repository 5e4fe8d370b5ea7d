//! `export-share`: writes this node's share of a key to a recovery file, for the day on which the
//! software cannot be used.

use std::path::PathBuf;

use anyhow::{Context, bail};
use countersign_node::config::Config;
use countersign_node::vault::Vault;
use countersign_protocol::{KeyDescriptor, NodeId, SignedTask};
use countersign_recover::{Password, Shape};
use countersign_store::{Journal, KeyStatus};

use super::{Args, passphrase, time};

#[derive(Debug, clap::Args)]
pub struct ExportShare {
    /// The file to write, mode 600. It must not exist yet.
    file: PathBuf,
    /// Id of the key whose share is exported.
    #[arg(long, alias = "group-id", value_name = "ID")]
    key_id: String,
    /// File with the password of the recovery file, mode 600, at least 8 characters. Without it the
    /// password is asked for.
    #[arg(long, value_name = "FILE")]
    export_key_file: Option<PathBuf>,
}

impl ExportShare {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = Config::load(&args.config)?;
        if self.file.exists() {
            bail!(
                "{} already exists and is not overwritten; choose another name",
                self.file.display()
            );
        }
        let vault = Vault::open(
            &config.dir,
            &passphrase::existing(args, &config)?,
            &config.recipients,
        )?;
        let me = NodeId::from_bytes(vault.identity()?.public().0)?;
        let journal = Journal::open(&config.dir)?;
        let key = self.key(&journal)?;
        let created = created(&journal, &key)?;
        let password = match &self.export_key_file {
            Some(file) => Password::from_file(file)?,
            None => Password::new(&passphrase::typed_text_twice(
                "password of the recovery file",
            )?)?,
        };
        let share = vault.export_share(me, &key, &created, &password)?;
        let bytes = countersign_recover::write(&[share], Shape::Groups);
        let unwritten = || {
            format!(
                "{} cannot be written; choose another place",
                self.file.display()
            )
        };
        countersign_files::create(&self.file, &bytes).with_context(unwritten)?;
        println!(
            "Share of {}, generation {}: {}. {} such files of different nodes yield the private key; keep them apart.",
            key.key,
            key.generation,
            self.file.display(),
            key.threshold.get()
        );
        Ok(())
    }

    fn key(&self, journal: &Journal) -> anyhow::Result<KeyDescriptor> {
        let none = || {
            format!(
                "this node holds no share of {}; `info key` lists the keys it holds",
                self.key_id
            )
        };
        let known = journal.key(&self.key_id.parse().with_context(none)?)?;
        let active = known.filter(|record| record.status == KeyStatus::Active);
        active.map(|record| record.descriptor).with_context(none)
    }
}

/// Returns the time at which the generation was ordered. It is the same at all members,
/// whose files must agree.
fn created(journal: &Journal, key: &KeyDescriptor) -> anyhow::Result<String> {
    let row = journal
        .row(&key.task)?
        .context("the task that made the key is not on record; restore the journal")?;
    let task = SignedTask {
        bytes: row.bytes,
        signature: [0; 64].into(),
    }
    .parse()?;
    Ok(time(task.created))
}
