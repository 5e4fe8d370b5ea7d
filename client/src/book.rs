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
use std::os::unix::fs::MetadataExt;
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

/// The file as it was last read. It is read again when it has changed. The part that is known is
/// not parsed a second time, nor are its wallets verified again: this costs as much as the
/// signature that is checked next.
#[derive(Debug, Default)]
struct Reading {
    pages: Pages,
    verified: BTreeSet<KeyId>,
    /// The file that was read. Absent: it is read at the next question.
    stamp: Option<Stamp>,
}

/// What changes of a file when somebody writes it, replaces it, or changes who may write it. An
/// edit in place that keeps the length, within a tick of the kernel's clock after the reading, is
/// missed until the next change. Programs here append or replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    mode: u32,
    /// User and group.
    owner: (u32, u32),
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Absent if there is no file, or if it cannot be examined: reading it says why.
    fn of(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        Some(Self {
            device: file.dev(),
            inode: file.ino(),
            length: file.len(),
            mode: file.mode(),
            owner: (file.uid(), file.gid()),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }
}

impl Reading {
    /// Takes in what this program has appended to the file, so that a new wallet does not have all
    /// the others read again.
    fn appended(&mut self, path: &Path, line: &str, entry: Entry) {
        self.verified.remove(&entry.wallet.key);
        self.pages.appended(line, entry);
        // Another length: somebody has written without the lock.
        let length = self.pages.text().len() as u64;
        self.stamp = Stamp::of(path).filter(|stamp| stamp.length == length);
    }

    fn verify_all(&mut self) -> Result<(), ClientError> {
        let ids: Vec<KeyId> = self.pages.wallets.keys().copied().collect();
        ids.into_iter().try_for_each(|id| self.verify(id).map(drop))
    }

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
        reading.verify_all()?;
        Ok(reading.pages.wallets.clone())
    }

    /// The text of the book, of which every wallet verifies; empty if there is none yet.
    pub(crate) fn verified_text(&self) -> Result<String, ClientError> {
        let mut reading = self.read()?;
        reading.verify_all()?;
        Ok(reading.pages.text().to_owned())
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
        let mut reading = self.read()?;
        match reading.pages.recorded(believed)? {
            Some(entry) => self.write(&mut reading, entry),
            None => Ok(()),
        }
    }

    /// Replaces a wallet by a generation that succeeds it. One that is as new or newer stays, if it
    /// is of the same key: another program may have been faster.
    pub fn replace(&self, wallet: &KeyDescriptor) -> Result<(), ClientError> {
        let _lock = self.lock()?;
        let mut reading = self.read()?;
        match reading.pages.replaced(wallet)? {
            Some(entry) => self.write(&mut reading, entry),
            None => Ok(()),
        }
    }

    /// The current contents of the file, which is read if it has changed.
    fn read(&self) -> Result<MutexGuard<'_, Reading>, ClientError> {
        // Taken before the file is read: what is written meanwhile is a change.
        let stamp = Stamp::of(&self.path);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if stamp.is_some() && last.stamp == stamp {
            return Ok(last);
        }
        last.stamp = None;
        let text = match self.path.try_exists() {
            Ok(false) => String::new(),
            Ok(true) => {
                profile::read_own(&self.path).map_err(|error| self.unusable(error.to_string()))?
            }
            Err(error) => return Err(self.unusable(error.to_string())),
        };
        #[cfg(test)]
        tests::READ.set(tests::READ.get() + 1);
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
                    ..Reading::default()
                };
            }
            Err(error) => {
                *last = Reading::default();
                return Err(self.unusable(error.to_string()));
            }
        }
        last.stamp = stamp;
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
    fn write(&self, reading: &mut Reading, entry: Entry) -> Result<(), ClientError> {
        let written = match reading.pages.line(&entry) {
            Ok(Some(line)) => self
                .append(&line)
                .map(|()| reading.appended(&self.path, &line, entry)),
            Ok(None) => reading
                .pages
                .with(&entry)
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::os::unix::fs::PermissionsExt;

    use countersign_protocol::{Committee, Hash, NodeId, Scheme, SessionId, TaskId, Threshold};

    use super::*;

    thread_local! {
        /// The number of files that this thread has read.
        pub(super) static READ: Cell<usize> = const { Cell::new(0) };
    }

    /// The wallet of this number, which nobody has a reason to believe.
    fn entry(number: u8) -> Entry {
        let node = |seed: u8| {
            let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]).verifying_key();
            NodeId::from_bytes(key.to_bytes()).unwrap()
        };
        let wallet = KeyDescriptor {
            key: KeyId::from_bytes([number; 16]).unwrap(),
            task: TaskId([number; 16]),
            session: SessionId([number; 32]),
            name: number.to_string(),
            scheme: Scheme::Ed25519,
            committee: Committee::new(vec![node(1), node(2)]).unwrap(),
            threshold: Threshold::try_from(2).unwrap(),
            generation: 0,
            root_public_key: vec![4; 32],
            chain_code: Hash([5; 32]),
            public_shares: Hash([6; 32]),
            aux: None,
            parties: Vec::new(),
            acks: Vec::new(),
        };
        Entry {
            wallet,
            belief: None,
            earlier: Vec::new(),
        }
    }

    /// A book of this many wallets.
    fn book(wallets: u8) -> (tempfile::TempDir, Book) {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::new(&dir.path().join("wallets.json"));
        for number in 1..=wallets {
            add(&book, number);
        }
        (dir, book)
    }

    fn add(book: &Book, number: u8) {
        let mut reading = book.read().unwrap();
        book.write(&mut reading, entry(number)).unwrap();
    }

    fn knows(book: &Book, number: u8) -> bool {
        book.named(&number.to_string()).unwrap() == [entry(number).wallet.key]
    }

    /// How often the file is read meanwhile.
    fn reads(of: impl FnOnce()) -> usize {
        let before = READ.get();
        of();
        READ.get() - before
    }

    #[test]
    fn a_book_that_nobody_writes_is_read_once() {
        let (_dir, book) = book(2);
        assert!(knows(&book, 1));
        assert_eq!(reads(|| assert!(knows(&book, 1) && knows(&book, 2))), 0);
    }

    #[test]
    fn a_new_wallet_has_no_other_read_again() {
        let (_dir, book) = book(2);
        assert!(knows(&book, 2));
        let added = || (3..=20).for_each(|number| add(&book, number));
        assert_eq!(reads(added), 0);
        assert_eq!(reads(|| assert!(knows(&book, 3) && knows(&book, 20))), 0);
        let again = Book::new(&book.path);
        assert!((1..=20).all(|number| knows(&again, number)));
    }

    #[test]
    fn what_others_write_is_seen_at_once() {
        let (dir, book) = book(2);
        let other = Book::new(&book.path);
        add(&other, 3);
        assert!(knows(&book, 3), "appended by another program");
        std::fs::remove_file(&book.path).unwrap();
        assert!(!knows(&book, 3), "removed");
        let text = Pages::default().with(&entry(7)).unwrap();
        std::fs::write(&book.path, text).unwrap();
        assert!(knows(&book, 7) && !knows(&book, 3), "made anew");
        let replaced = dir.path().join("replaced");
        let text = Pages::default().with(&entry(8)).unwrap();
        std::fs::write(&replaced, text).unwrap();
        std::fs::rename(&replaced, &book.path).unwrap();
        assert!(
            knows(&book, 8) && !knows(&book, 7),
            "replaced at one length"
        );
    }

    #[test]
    fn a_book_that_others_may_write_from_now_on_is_not_believed() {
        let (_dir, book) = book(2);
        assert!(knows(&book, 1));
        let all = std::fs::Permissions::from_mode(0o666);
        std::fs::set_permissions(&book.path, all).unwrap();
        assert!(book.named("1").is_err());
    }
}
