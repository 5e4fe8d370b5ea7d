//! The wallet book: every wallet that this client believes, in its newest generation, with the
//! reason, in one file.
//!
//! It exposes a coordinator that changes its story, and is the only place where names of wallets
//! are looked up. It holds no secrets, but anybody who can write it can make the client trust
//! another key. Version 1 had no reasons; its wallets are compared with the profile once more
//! before they are used.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_protocol::{KeyDescriptor, KeyId};
use countersign_requester::belief::Believed;
pub use countersign_requester::book::Entry;
use countersign_requester::book::Pages;
use countersign_requester::proof;

use crate::error::ClientError;
use crate::profile;

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

    /// The text of the book, of which every wallet verifies; empty if there is none yet. Whoever
    /// gets it verifies what she uses once more: it may have been written meanwhile.
    pub(crate) fn verified_text(&self) -> Result<String, ClientError> {
        self.wallets()?;
        match self.path.try_exists() {
            Ok(false) => Ok(String::new()),
            Ok(true) => {
                profile::read_own(&self.path).map_err(|error| self.unusable(error.to_string()))
            }
            Err(error) => Err(self.unusable(error.to_string())),
        }
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
        let _lock = self.lock()?;
        let reading = self.read()?;
        match reading.pages.recorded(believed)? {
            Some(entry) => self.write(&reading.pages, &entry),
            None => Ok(()),
        }
    }

    /// Replaces a wallet by a generation that succeeds it. One that is as new or newer stays, if it
    /// is of the same key: another program may have been faster.
    pub fn replace(&self, wallet: &KeyDescriptor) -> Result<(), ClientError> {
        let _lock = self.lock()?;
        let reading = self.read()?;
        match reading.pages.replaced(wallet)? {
            Some(entry) => self.write(&reading.pages, &entry),
            None => Ok(()),
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
        countersign_files::replace(&self.path, text.as_bytes())
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
