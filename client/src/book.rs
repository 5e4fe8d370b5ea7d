//! The wallet book: every wallet whose announcement this client has verified, in its newest generation, in one JSON file.
//!
//! It is what makes a coordinator's second story noticed. It holds nothing secret, but whoever can write it can make the
//! client trust another key.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_protocol::{Announcement, KeyId};
use serde::{Deserialize, Serialize};

use crate::error::ClientError;
use crate::proof;

/// The file as written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pages {
    version: u16,
    wallets: BTreeMap<KeyId, Announcement>,
}

/// Wallets that were verified, by id.
#[derive(Debug, Clone)]
pub struct Book {
    path: PathBuf,
    last: Arc<Mutex<Reading>>,
}

/// The file as it was last read. The same text is not parsed a second time, nor are its wallets verified: that costs as much
/// as the signature that is checked next.
#[derive(Debug, Default)]
struct Reading {
    /// `None`: there was no file.
    text: Option<String>,
    wallets: BTreeMap<KeyId, Announcement>,
    verified: BTreeSet<KeyId>,
}

impl Reading {
    fn verify(&mut self, id: KeyId) -> Result<Option<&Announcement>, ClientError> {
        let Some(wallet) = self.wallets.get(&id) else { return Ok(None) };
        if !self.verified.contains(&id) {
            proof::check_wallet(id, wallet)?;
            self.verified.insert(id);
        }
        Ok(Some(wallet))
    }
}

impl Book {
    /// The book in this file. It need not exist yet.
    pub fn new(path: &Path) -> Book {
        Book { path: path.into(), last: Arc::default() }
    }

    /// All wallets. Each is verified, whoever wrote the file.
    pub fn wallets(&self) -> Result<BTreeMap<KeyId, Announcement>, ClientError> {
        let mut reading = self.read()?;
        let ids: Vec<KeyId> = reading.wallets.keys().copied().collect();
        ids.into_iter().try_for_each(|id| reading.verify(id).map(drop))?;
        Ok(reading.wallets.clone())
    }

    /// One wallet, verified; the others are not looked at.
    pub fn wallet(&self, id: KeyId) -> Result<Option<Announcement>, ClientError> {
        Ok(self.read()?.verify(id)?.cloned())
    }

    /// Compares with what is known, and adds what is new. True if it was new.
    pub fn record(&self, wallet: &Announcement) -> Result<bool, ClientError> {
        let _lock = self.lock()?;
        let mut wallets = self.read()?.wallets.clone();
        match wallets.get(&wallet.key) {
            Some(known) => check_same(known, wallet).map(|()| false),
            None => {
                wallets.insert(wallet.key, wallet.clone());
                self.write(&Pages { version: 1, wallets })?;
                Ok(true)
            }
        }
    }

    /// Puts a generation of a wallet in the place of the one that it succeeds. One that is as new or newer stays, if it is
    /// of the same key: another program may have been faster.
    pub fn replace(&self, wallet: &Announcement) -> Result<(), ClientError> {
        let _lock = self.lock()?;
        let mut wallets = self.read()?.wallets.clone();
        match wallets.get(&wallet.key) {
            Some(known) if known.generation > wallet.generation && known.is_same_key(wallet) => Ok(()),
            Some(known) if wallet.succeeds(known) => {
                wallets.insert(wallet.key, wallet.clone());
                self.write(&Pages { version: 1, wallets })
            }
            Some(known) => check_same(known, wallet),
            None => Err(ClientError::Wallet {
                wallet: wallet.key,
                reason: "the wallet book does not know what it succeeds".into(),
            }),
        }
    }

    /// What the file says now.
    fn read(&self) -> Result<MutexGuard<'_, Reading>, ClientError> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(self.unusable(error.to_string())),
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.text != text {
            let wallets = text.as_deref().map(|text| self.parse(text)).transpose()?.unwrap_or_default();
            *last = Reading { text, wallets, verified: BTreeSet::new() };
        }
        Ok(last)
    }

    fn parse(&self, text: &str) -> Result<BTreeMap<KeyId, Announcement>, ClientError> {
        let pages: Pages = serde_json::from_str(text).map_err(|error| self.unusable(error.to_string()))?;
        match pages.version {
            1 => Ok(pages.wallets),
            other => Err(self.unusable(format!("it has version {other}, this program knows 1"))),
        }
    }

    /// Held while the file is read and replaced, so that two clients do not lose each other's wallets.
    fn lock(&self) -> Result<File, ClientError> {
        let lock = File::create(self.path.with_extension("lock")).and_then(|file| file.lock().map(|()| file));
        lock.map_err(|error| self.unusable(error.to_string()))
    }

    fn write(&self, pages: &Pages) -> Result<(), ClientError> {
        let fresh = self.path.with_extension("new");
        let text = serde_json::to_vec_pretty(pages).map_err(|error| self.unusable(error.to_string()))?;
        let written = File::create(&fresh).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&fresh, &self.path)
        });
        written.map_err(|error| self.unusable(error.to_string()))
    }

    fn unusable(&self, reason: String) -> ClientError {
        let advice = "restore the wallet book from a backup, or correct its directory";
        ClientError::File { path: self.path.clone(), reason, advice }
    }
}

/// Refuses another story about a wallet that is known.
pub fn check_same(known: &Announcement, told: &Announcement) -> Result<(), ClientError> {
    if known.digest() == told.digest() {
        return Ok(());
    }
    let what = if known.root_public_key == told.root_public_key { "facts" } else { "root key" };
    let reason = format!("its {what} differs from what this client has seen before");
    Err(ClientError::Wallet { wallet: known.key, reason })
}
