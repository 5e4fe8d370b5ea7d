//! The wallet book: every wallet that this client believes, in its newest generation, with the reason, in one JSON file.
//!
//! It is what makes a coordinator's second story noticed, and the only place where names of wallets are looked up. It holds
//! nothing secret, but whoever can write it can make the client trust another key. Version 1 had no reasons; its wallets are
//! compared with the profile once more before they are used.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_protocol::{Announcement, KeyId};
use serde::{Deserialize, Serialize};

use crate::belief::{Belief, Believed};
use crate::error::ClientError;
use crate::{profile, proof};

/// The file as written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pages {
    version: u16,
    wallets: BTreeMap<KeyId, Entry>,
}

/// The file as versions before 0.2 wrote it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PagesV1 {
    #[serde(rename = "version")]
    _version: u16,
    wallets: BTreeMap<KeyId, Announcement>,
}

#[derive(Debug, Deserialize)]
struct Version {
    version: u16,
}

/// A wallet in the book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its newest generation that this client has verified.
    pub wallet: Announcement,
    /// Why it is believed. Absent: an earlier version recorded it and compared it with nobody.
    pub belief: Option<Belief>,
    /// The generations before it, oldest first, as far as this client has seen them: with them and the order in `belief`
    /// whoever meets the wallet later can check all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Announcement>,
}

impl Entry {
    /// All generations that are known here, oldest first.
    pub fn generations(&self) -> Vec<Announcement> {
        self.earlier.iter().chain([&self.wallet]).cloned().collect()
    }
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
    wallets: BTreeMap<KeyId, Entry>,
    verified: BTreeSet<KeyId>,
}

impl Reading {
    fn verify(&mut self, id: KeyId) -> Result<Option<&Entry>, ClientError> {
        let Some(entry) = self.wallets.get(&id) else { return Ok(None) };
        if !self.verified.contains(&id) {
            proof::check_wallet(id, &entry.wallet)?;
            self.verified.insert(id);
        }
        Ok(Some(entry))
    }
}

impl Book {
    /// The book in this file. It need not exist yet.
    pub fn new(path: &Path) -> Book {
        Book { path: path.into(), last: Arc::default() }
    }

    /// All wallets. Each is verified, whoever wrote the file.
    pub fn wallets(&self) -> Result<BTreeMap<KeyId, Entry>, ClientError> {
        let mut reading = self.read()?;
        let ids: Vec<KeyId> = reading.wallets.keys().copied().collect();
        ids.into_iter().try_for_each(|id| reading.verify(id).map(drop))?;
        Ok(reading.wallets.clone())
    }

    /// One wallet, verified; the others are not looked at.
    pub fn wallet(&self, id: KeyId) -> Result<Option<Entry>, ClientError> {
        Ok(self.read()?.verify(id)?.cloned())
    }

    /// Adds a wallet that is believed, or the reason to one that had none. A wallet that is there with a reason is compared
    /// and stays.
    pub fn record(&self, believed: &Believed) -> Result<(), ClientError> {
        let (wallet, belief) = (believed.wallet(), believed.belief());
        let _lock = self.lock()?;
        let mut wallets = self.read()?.wallets.clone();
        if let Some(known) = wallets.get(&wallet.key) {
            if known.belief.is_some() {
                return check_same_or_newer(&known.wallet, wallet);
            }
            if !known.wallet.is_same_key(wallet) || known.wallet.generation > wallet.generation {
                return check_same(&known.wallet, wallet);
            }
        }
        let (wallet, earlier) = (wallet.clone(), believed.earlier().to_vec());
        wallets.insert(wallet.key, Entry { wallet, belief: Some(belief.clone()), earlier });
        self.write(wallets)
    }

    /// Puts a generation of a wallet in the place of the one that it succeeds. One that is as new or newer stays, if it is
    /// of the same key: another program may have been faster.
    pub fn replace(&self, wallet: &Announcement) -> Result<(), ClientError> {
        let _lock = self.lock()?;
        let mut wallets = self.read()?.wallets.clone();
        match wallets.get_mut(&wallet.key) {
            Some(known) if wallet.succeeds(&known.wallet) => {
                known.earlier.push(std::mem::replace(&mut known.wallet, wallet.clone()));
                self.write(wallets)
            }
            Some(known) => check_same_or_newer(&known.wallet, wallet),
            None => Err(ClientError::Wallet {
                wallet: wallet.key,
                reason: "the wallet book does not know what it succeeds".into(),
            }),
        }
    }

    /// What the file says now.
    fn read(&self) -> Result<MutexGuard<'_, Reading>, ClientError> {
        let text = match self.path.try_exists() {
            Ok(false) => None,
            Ok(true) => Some(profile::read_own(&self.path).map_err(|reason| self.unusable(reason))?),
            Err(error) => return Err(self.unusable(error.to_string())),
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.text != text {
            let wallets = text.as_deref().map(|text| self.parse(text)).transpose()?.unwrap_or_default();
            *last = Reading { text, wallets, verified: BTreeSet::new() };
        }
        Ok(last)
    }

    fn parse(&self, text: &str) -> Result<BTreeMap<KeyId, Entry>, ClientError> {
        let unreadable = |error: serde_json::Error| self.unusable(error.to_string());
        match serde_json::from_str::<Version>(text).map_err(unreadable)?.version {
            1 => {
                let old: PagesV1 = serde_json::from_str(text).map_err(unreadable)?;
                let entry = |(id, wallet)| (id, Entry { wallet, belief: None, earlier: Vec::new() });
                Ok(old.wallets.into_iter().map(entry).collect())
            }
            VERSION => Ok(serde_json::from_str::<Pages>(text).map_err(unreadable)?.wallets),
            other => Err(self.unusable(format!("it has version {other}, this program knows {VERSION}"))),
        }
    }

    /// Held while the file is read and replaced, so that two clients do not lose each other's wallets.
    fn lock(&self) -> Result<File, ClientError> {
        let lock = File::create(self.path.with_extension("lock")).and_then(|file| file.lock().map(|()| file));
        lock.map_err(|error| self.unusable(error.to_string()))
    }

    fn write(&self, wallets: BTreeMap<KeyId, Entry>) -> Result<(), ClientError> {
        let fresh = self.path.with_extension("new");
        let pages = Pages { version: VERSION, wallets };
        let text = serde_json::to_vec_pretty(&pages).map_err(|error| self.unusable(error.to_string()))?;
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh);
        let written = file.and_then(|mut file| {
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

/// Accepts what is known, and what is older of the same key.
fn check_same_or_newer(known: &Announcement, wallet: &Announcement) -> Result<(), ClientError> {
    if known.generation > wallet.generation && known.is_same_key(wallet) {
        return Ok(());
    }
    check_same(known, wallet)
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

/// Of the file.
const VERSION: u16 = 2;
