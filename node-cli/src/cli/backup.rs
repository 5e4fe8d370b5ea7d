//! `backup`: writes one age file with everything that the node needs to continue. Works
//! while the node runs.

use std::path::PathBuf;

use anyhow::{Context, bail};
use countersign_node::admin::{self, Answer, Care, Question};
use countersign_node::backup;
use countersign_node::config::Config;
use countersign_node::vault::Vault;
use countersign_protocol::NodeId;
use countersign_store::Journal;
use countersign_store::backup::SealTo;

use super::live::LiveLine;
use super::{Args, passphrase, time};

#[derive(Debug, clap::Args)]
pub struct BackupCommand {
    /// The file to write. It must not exist yet.
    file: PathBuf,
    /// Seal the backup to this age recipient (`age1…`), such as an offline recovery key;
    /// repeatable. Without any, the backup is sealed with a passphrase.
    #[arg(long = "recipient", value_name = "AGE1")]
    recipients: Vec<String>,
    /// File with the backup's passphrase, mode 600, at least 16 characters. Without it the
    /// passphrase is asked for.
    #[arg(long, value_name = "FILE", conflicts_with = "recipients")]
    backup_key_file: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl BackupCommand {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = Config::load(&args.config)?;
        if self.file.exists() {
            bail!(
                "{} already exists and is not overwritten; choose another name",
                self.file.display()
            );
        }
        let passphrase = if self.recipients.is_empty() {
            Some(passphrase::of_backup(
                self.backup_key_file.as_deref(),
                true,
            )?)
        } else {
            None
        };
        let staged = stage(args, &config)?;
        let to = passphrase
            .as_ref()
            .map_or(SealTo::Recipients(&self.recipients), SealTo::Passphrase);
        let mut live = LiveLine::new("Sealing the backup");
        let contents = backup::seal(&staged, &to, &self.file, &mut |done, all| {
            live.show(done, all);
        })?;
        drop(live);
        note(&config, Care::Backup);
        if self.json {
            println!("{}", serde_json::to_string_pretty(&contents)?)
        } else {
            println!(
                "Backup of {}, generation {}, made {}: {}",
                contents.node,
                contents.generation,
                time(contents.made),
                self.file.display()
            )
        }
        Ok(())
    }
}

/// Notes for the metrics that this was done now. It is done even if that cannot be noted.
pub(super) fn note(config: &Config, care: Care) {
    let asked = admin::ask(&config.dir, &Question::Note(care));
    if let Err(error) = asked {
        eprintln!("note: the time is not recorded, so the metrics show an older one: {error}");
    }
}

/// Copies the files as of one moment: by the running node, or by this program if none is running.
fn stage(args: &Args, config: &Config) -> anyhow::Result<backup::Staged> {
    match admin::ask_running(&config.dir, &Question::StageBackup)? {
        Some(Answer::Staged(staged)) => Ok(staged),
        Some(_) => bail!("unexpected answer from the node"),
        None => {
            let vault = Vault::open(
                &config.dir,
                &passphrase::existing(args, config)?,
                &config.recipients,
            )?;
            let node = NodeId::from_bytes(vault.identity()?.public().0)?;
            let journal = Journal::open(&config.dir)?;
            backup::stage(&vault, &journal, node, &config.dir)
                .with_context(|| format!("the files of {} cannot be copied", config.dir.display()))
        }
    }
}
