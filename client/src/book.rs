//! The wallet book: every wallet that this client believes, in its newest generation, with the
//! reason, in one file.
//!
//! It exposes a coordinator that changes its story, and is the only place where names of wallets
//! are looked up. It holds no secrets, but anybody who can write it can make the client trust
//! another key. Version 1 had no reasons; its wallets are compared with the profile once more
//! before they are used.

mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_protocol::{KeyDescriptor, KeyId};
use serde::{Deserialize, Serialize};

use crate::belief::{Belief, Believed};
use crate::error::ClientError;
use crate::{profile, proof};
use pages::Pages;

/// A wallet in the book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its newest generation that this client has verified.
    pub wallet: KeyDescriptor,
    /// The reason to believe it. Absent: recorded by an earlier version, without any comparison.
    pub belief: Option<Belief>,
    /// The generations before it, oldest first, as far as this client has seen them: together with
    /// the order in `belief` they let anybody who meets the wallet later check all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<KeyDescriptor>,
}

impl Entry {
    /// All known generations, oldest first.
    pub fn generations(&self) -> Vec<KeyDescriptor> {
        self.earlier.iter().chain([&self.wallet]).cloned().collect()
    }
}

/// Wallets that were verified, by id.
#[derive(Debug, Clone)]
pub struct Book {
    path: PathBuf,
    last: Arc<Mutex<Reading>>,
}

/// The file as it was last read. That part is not parsed a second time, nor are its wallets
/// verified again: this costs as much as the signature that is checked next.
#[derive(Debug, Default)]
struct Reading {
    pages: Pages,
    verified: BTreeSet<KeyId>,
}

impl Reading {
    fn verify(&mut self, id: KeyId) -> Result<Option<&Entry>, ClientError> {
        let Some(entry) = self.pages.wallets.get(&id) else {
            return Ok(None);
        };
        if !self.verified.contains(&id) {
            proof::check_wallet(id, &entry.wallet)?;
            self.verified.insert(id);
        }
        Ok(Some(entry))
    }
}

impl Book {
    /// The book in this file. It need not exist yet.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.into(),
            last: Arc::default(),
        }
    }

    /// All wallets, each verified whoever wrote the file.
    pub fn wallets(&self) -> Result<BTreeMap<KeyId, Entry>, ClientError> {
        let mut reading = self.read()?;
        let ids: Vec<KeyId> = reading.pages.wallets.keys().copied().collect();
        ids.into_iter()
            .try_for_each(|id| reading.verify(id).map(drop))?;
        Ok(reading.pages.wallets.clone())
    }

    /// The ids recorded under this name. Their wallets are verified when they are used.
    pub fn named(&self, name: &str) -> Result<Vec<KeyId>, ClientError> {
        let reading = self.read()?;
        let named = reading
            .pages
            .wallets
            .iter()
            .filter(|(_, entry)| entry.wallet.name == name);
        Ok(named.map(|(id, _)| *id).collect())
    }

    /// One wallet, verified; the others are not looked at.
    pub fn wallet(&self, id: KeyId) -> Result<Option<Entry>, ClientError> {
        Ok(self.read()?.verify(id)?.cloned())
    }

    /// Adds a wallet that is believed, or the reason to one that had none. A wallet recorded with a
    /// reason is compared and stays.
    pub fn record(&self, believed: &Believed) -> Result<(), ClientError> {
        let wallet = believed.wallet();
        let belief = believed.belief();
        let _lock = self.lock()?;
        let reading = self.read()?;
        if let Some(known) = reading.pages.wallets.get(&wallet.key) {
            if known.belief.is_some() {
                return check_same_or_newer(&known.wallet, wallet);
            }
            if !known.wallet.is_same_key(wallet) || known.wallet.generation > wallet.generation {
                return check_same(&known.wallet, wallet);
            }
        }
        let wallet = wallet.clone();
        let earlier = believed.earlier().to_vec();
        self.write(
            &reading.pages,
            &Entry {
                wallet,
                belief: Some(belief.clone()),
                earlier,
            },
        )
    }

    /// Replaces a wallet by a generation that succeeds it. One that is as new or newer stays, if it
    /// is of the same key: another program may have been faster.
    pub fn replace(&self, wallet: &KeyDescriptor) -> Result<(), ClientError> {
        let _lock = self.lock()?;
        let reading = self.read()?;
        match reading.pages.wallets.get(&wallet.key) {
            Some(known) if wallet.succeeds(&known.wallet) => {
                let mut entry = known.clone();
                entry
                    .earlier
                    .push(std::mem::replace(&mut entry.wallet, wallet.clone()));
                self.write(&reading.pages, &entry)
            }
            Some(known) => check_same_or_newer(&known.wallet, wallet),
            None => Err(ClientError::Wallet {
                wallet: wallet.key,
                reason: "the wallet book does not know what it succeeds".into(),
            }),
        }
    }

    /// Reads the current contents of the file.
    fn read(&self) -> Result<MutexGuard<'_, Reading>, ClientError> {
        let text = match self.path.try_exists() {
            Ok(false) => String::new(),
            Ok(true) => {
                profile::read_own(&self.path).map_err(|error| self.unusable(error.to_string()))?
            }
            Err(error) => return Err(self.unusable(error.to_string())),
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match last.pages.follow(&text) {
            Ok(Some(changed)) => {
                for id in &changed {
                    last.verified.remove(id);
                }
            }
            Ok(None) => {
                let pages = if text.is_empty() {
                    Pages::default()
                } else {
                    Pages::parse(&text).map_err(|error| self.unusable(error.to_string()))?
                };
                *last = Reading {
                    pages,
                    verified: BTreeSet::new(),
                };
            }
            Err(error) => {
                *last = Reading::default();
                return Err(self.unusable(error.to_string()));
            }
        }
        Ok(last)
    }

    /// Held while the file is read and appended to, so that two clients do not
    /// lose each other's wallets.
    fn lock(&self) -> Result<File, ClientError> {
        let lock = File::create(self.path.with_extension("lock"))
            .and_then(|file| file.lock().map(|()| file));
        lock.map_err(|error| self.unusable(error.to_string()))
    }

    /// Adds an entry to what was read under the lock.
    fn write(&self, pages: &Pages, entry: &Entry) -> Result<(), ClientError> {
        let written = match pages.line(entry) {
            Ok(Some(line)) => self.append(&line),
            Ok(None) => pages
                .with(entry)
                .map_err(Into::into)
                .and_then(|text| self.rewrite(&text)),
            Err(error) => Err(error.into()),
        };
        written.map_err(|error| self.unusable(error.to_string()))
    }

    fn append(&self, line: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).open(&self.path)?;
        file.write_all(line.as_bytes())?;
        file.sync_all()
    }

    fn rewrite(&self, text: &str) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, &self.path)
    }

    fn unusable(&self, reason: String) -> ClientError {
        let advice = "restore the wallet book from a backup, or correct its directory";
        ClientError::File {
            path: self.path.clone(),
            reason,
            advice,
        }
    }
}

/// Accepts the known generation, and older ones of the same key.
fn check_same_or_newer(known: &KeyDescriptor, wallet: &KeyDescriptor) -> Result<(), ClientError> {
    if known.generation > wallet.generation && known.is_same_key(wallet) {
        return Ok(());
    }
    check_same(known, wallet)
}

/// Refuses a wallet that contradicts the known one.
pub fn check_same(known: &KeyDescriptor, told: &KeyDescriptor) -> Result<(), ClientError> {
    if known.digest() == told.digest() {
        return Ok(());
    }
    let what = if known.root_public_key == told.root_public_key {
        "facts"
    } else {
        "root key"
    };
    let reason = format!("its {what} differs from what this client has seen before");
    Err(ClientError::Wallet {
        wallet: known.key,
        reason,
    })
}
