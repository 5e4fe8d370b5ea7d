//! `export-share`: this node's share of a key in a recovery file, for the day on which the software
//! cannot be used.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::{Context, bail};
use countersign_protocol::{Announcement, NodeId, SignedTask};
use countersign_recover::{Password, Shape};
use countersign_store::{Journal, KeyStatus};

use super::{Args, passphrase, time};
use crate::config::Config;
use crate::vault::Vault;

/// Arguments of `export-share`.
#[derive(Debug, clap::Args)]
pub struct ExportShare {
    /// The file to write, mode 600. It must not be there.
    file: PathBuf,
    /// Which key.
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
                "{} is there already and is not overwritten; choose another name",
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
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.file)
            .with_context(unwritten)?;
        file.write_all(&bytes)
            .and_then(|()| file.sync_all())
            .with_context(unwritten)?;
        println!(
            "Share of {}, generation {}: {}. {} such files of different nodes make the private key; keep them apart.",
            key.key,
            key.generation,
            self.file.display(),
            key.threshold.get()
        );
        Ok(())
    }

    fn key(&self, journal: &Journal) -> anyhow::Result<Announcement> {
        let none = || {
            format!(
                "this node holds no share of {}; `info key` lists what it holds",
                self.key_id
            )
        };
        let known = journal.key(&self.key_id.parse().with_context(none)?)?;
        let active = known.filter(|record| record.status == KeyStatus::Active);
        active.map(|record| record.announcement).with_context(none)
    }
}

/// When the generation was ordered: the same at all its members, whose files must agree.
fn created(journal: &Journal, key: &Announcement) -> anyhow::Result<String> {
    let row = journal
        .row(&key.task)?
        .context("the task that made the key is not on record; restore the journal")?;
    let task = SignedTask {
        bytes: row.bytes,
        signature: [0; 64],
    }
    .parse()?;
    Ok(time(task.created))
}
