//! `restore`: recreates a node from its backup or, as a drill, proves that this would work.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use countersign_node::admin::Care;
use countersign_node::backup;
use countersign_node::check_ups;
use countersign_node::config::Config;
use countersign_node::key_switch;
use countersign_node::public::{self, PublicRecord};
use countersign_node::vault::Vault;
use countersign_node::world::now;
use countersign_protocol::text::escaped;
use countersign_protocol::{Hash, NodeId};
use countersign_store::backup::OpenWith;
use countersign_store::journal::JOURNAL_FILE;
use countersign_store::secrets::{IDENTITY_FILE, SECRETS_FILE, files_in};
use countersign_store::{Backup, Journal, KeyRecord, KeyStatus, Passphrase};

use super::backup::note;
use super::{Args, init, passphrase, time};

#[derive(Debug, clap::Args)]
pub struct Restore {
    /// The backup file to restore.
    file: PathBuf,
    /// File with the backup's passphrase, mode 600. Without it and without --identity, the
    /// passphrase is asked for.
    #[arg(long, value_name = "FILE", conflicts_with = "identity")]
    backup_key_file: Option<PathBuf>,
    /// Open the backup with this age identity file instead.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Only prove that the backup is usable: restore it into a scratch folder, open the store,
    /// verify the audit log, prove every share, and remove the folder. Works beside a running node.
    #[arg(long)]
    drill: bool,
    /// Restore although this folder's public record shows that the node had progressed further: the
    /// newer state is lost for good.
    #[arg(long, conflicts_with = "drill")]
    accept_older: bool,
}

impl Restore {
    pub(super) fn run(&self, args: &Args) -> anyhow::Result<()> {
        let config = Config::load(&args.config)?;
        let backup = self.open()?;
        let contents = &backup.contents;
        println!(
            "Backup of {}, generation {}, made {}",
            contents.node,
            contents.generation,
            time(contents.made)
        );
        if !self.drill {
            self.check_target(&config, &backup)?;
        }
        let compared = public::read(&config.dir).is_ok();
        // Read first: it may be in files that only root can read.
        let own = passphrase::existing(args, &config)?;
        init::give_up_root(&config)?;
        let scratch = scratch_for(&config.dir);
        backup::unstage(&scratch)?;
        let restored = backup
            .unpack(&scratch)
            .map_err(anyhow::Error::from)
            .and_then(|()| self.prove(&own, &config, &backup, &scratch))
            .and_then(|()| {
                if self.drill {
                    Ok(())
                } else {
                    put_in_place(&scratch, &config.dir)
                }
            });
        backup::unstage(&scratch)?;
        restored?;
        if !compared && !self.drill {
            println!(
                "Nothing there shows how far the node had progressed: anything it made after {} is not in this backup. Ask the other members for the generation of each key.",
                time(contents.made)
            );
        }
        if self.drill {
            note_drill(&config, &backup);
            println!("The drill succeeded; nothing was restored.")
        } else {
            println!(
                "Restored into {}. Tasks that were made before now are refused. Start the node; if a key was reshared since the backup was made, its other members must reshare it again.",
                config.dir.display()
            )
        }
        Ok(())
    }

    fn open(&self) -> anyhow::Result<Backup> {
        Ok(match &self.identity {
            Some(identity) => Backup::open(&self.file, &OpenWith::Identity(identity))?,
            None => {
                let passphrase = passphrase::of_backup(self.backup_key_file.as_deref(), false)?;
                Backup::open(&self.file, &OpenWith::Passphrase(&passphrase))?
            }
        })
    }

    /// Makes sure that nothing is overwritten, and that no other node's folder is touched.
    fn check_target(&self, config: &Config, backup: &Backup) -> anyhow::Result<()> {
        let dir = &config.dir;
        let mut there = if dir.exists() {
            files_in(dir)?
        } else {
            Vec::new()
        };
        there.extend(Some(dir.join(JOURNAL_FILE)).filter(|journal| journal.exists()));
        if let Some(path) = there.first() {
            bail!(
                "{} already exists and is not overwritten; move the old store away first",
                path.display()
            );
        }
        let Ok(known) = public::read(dir) else {
            return Ok(());
        };
        ensure!(
            known.node.to_string() == backup.contents.node,
            "the backup is of {}, and {} belongs to {}; use that node's backup, or another folder",
            backup.contents.node,
            dir.display(),
            known.node
        );
        ensure!(
            self.accept_older || known.generation <= backup.contents.generation,
            "the backup has generation {}, and the node had reached {}; use the newest backup, or --accept-older if there is none",
            backup.contents.generation,
            known.generation
        );
        Ok(())
    }

    /// Checks everything that can be verified before the node runs: the store opens and belongs to
    /// that node, and every share is intact.
    fn prove(
        &self,
        own: &Passphrase,
        config: &Config,
        backup: &Backup,
        dir: &Path,
    ) -> anyhow::Result<()> {
        let vault = Vault::open(dir, own, &config.recipients)?;
        let me = NodeId::from_bytes(vault.identity()?.public().0)?;
        ensure!(
            me.to_string() == backup.contents.node,
            "the store in the backup is of {me}, and the backup says {}; do not use it",
            backup.contents.node
        );
        let journal = Journal::open(dir)?;
        let head = journal.verify_audit()?;
        println!("  audit log   {} entries, intact", head.entries);
        key_switch::align_all(&journal, &vault, now())?;
        if let (false, Ok(known)) = (self.accept_older || self.drill, public::read(&config.dir)) {
            check_generations(&journal, &known)?;
        }
        let all = journal.key_counts()?.active;
        let mut proven = 0;
        journal.for_each_key(|record| match record.status {
            KeyStatus::Active => {
                proven += 1;
                prove_share(&vault, me, &record, &format!("{proven} of {all}"))
            }
            KeyStatus::Pending | KeyStatus::Released | KeyStatus::Leaving => Ok(()),
        })?;
        if !self.drill {
            journal.restored(now())?;
        }
        Ok(())
    }
}

/// A folder on the disk of the store that the node's user can make: in the store's own folder,
/// since only root can write beside that of a package; or beside it, if it is not there yet.
fn scratch_for(store: &Path) -> PathBuf {
    if store.is_dir() {
        store.join("restoring")
    } else {
        store.with_extension("restoring")
    }
}

/// Notes the drill where the node whose backup it is has its store. On another machine there is
/// nothing to note it in.
fn note_drill(config: &Config, backup: &Backup) {
    let known = public::read(&config.dir);
    if known.is_ok_and(|known| known.node.to_string() == backup.contents.node) {
        note(config, Care::Drill);
    } else {
        println!("This folder is not that node's, so its metrics do not show the drill.");
    }
}

/// Refuses a backup with an older generation of a key: the key has other shares now.
fn check_generations(journal: &Journal, known: &PublicRecord) -> anyhow::Result<()> {
    for key in &known.keys {
        let id = key.descriptor.key;
        let generation = key.descriptor.generation;
        let restored = journal.key(&id)?.map(|record| record.descriptor.generation);
        ensure!(
            restored >= Some(generation),
            "{id} had reached generation {generation}, and the backup has it at {}; use the newest backup, or --accept-older if there is none",
            restored.map_or("none".into(), |generation| generation.to_string())
        );
    }
    Ok(())
}

fn prove_share(vault: &Vault, me: NodeId, record: &KeyRecord, which: &str) -> anyhow::Result<()> {
    let key = &record.descriptor;
    let message = Hash::of("countersign/1 drill", key.key.as_bytes());
    check_ups::check(vault, me, key, message)
        .with_context(|| format!("the share of {} is not intact; use another backup", key.key))?;
    println!(
        "  intact      {which}  {}  generation {}  {}",
        key.key,
        key.generation,
        escaped(&key.name)
    );
    Ok(())
}

/// Moves the identity last: without it there is no store.
fn put_in_place(scratch: &Path, dir: &Path) -> anyhow::Result<()> {
    if !dir.exists() {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(dir)?;
    }
    for name in [JOURNAL_FILE, SECRETS_FILE, IDENTITY_FILE] {
        let from = scratch.join(name);
        let to = dir.join(name);
        if to.exists() {
            bail!(
                "{} appeared meanwhile and is not overwritten; move it away",
                to.display()
            );
        }
        std::fs::rename(from, to)?;
    }
    std::fs::File::open(dir)?.sync_all()?;
    Ok(())
}
