//! All secrets of a node, in one file that is sealed and replaced whole.
//!
//! `secrets.redb.age` is a redb image and one page of proof (`trailer`), encrypted with age to the
//! node and its recovery recipients. `age -d` gives a file that redb opens. A commit copies live
//! values into a new image, so that a deleted secret is in no later file; then it writes, syncs and
//! renames. A large store gets new values as files beside it (`additions`) until it is next written
//! whole. No plaintext ever reaches a disk, and no older generation is kept. The node's age
//! identity is in `identity.age` under the operator's passphrase.
//!
//! Limit: nothing here notices that both files were replaced by older copies of themselves. Compare
//! [`Secrets::generation`] with the journal's and the peers' memory.

mod additions;
mod change;
mod database;
mod error;
mod folder;
mod identity;
mod renewal;
mod sealed;
mod section;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use redb::{ReadTransaction, ReadableDatabase, ReadableTable, TableError};
use zeroize::Zeroizing;

use crate::files::{self, Lock};
use crate::image::Image;
use crate::passphrase::Passphrase;
use crate::place::{MovedError, Place};
use crate::seal::{DEFAULT_WORK_FACTOR, NodeKey, Recipients};
use crate::trouble::{StoreEnded, Trouble};
use additions::Room;
pub use change::{Change, MAX_KEY, MAX_VALUE};
use database::{Open, open_image, rebuild, unversioned, write_secrets};
pub use error::{CommitError, CreateError, OpenError, ReadError, RenewError};
use folder::{FIRST_SECRETS, STAGED_SECRETS, finish_creation, holder, lock, places};
pub use folder::{IDENTITY_FILE, SECRETS_FILE, files_in};
use identity::{check_choice, open_identities, publish_identities};
pub use section::Section;

/// The open store of one node. Holds the lock of its directory until it is dropped.
pub struct Secrets {
    dir: PathBuf,
    key: NodeKey,
    recipients: Recipients,
    /// `None` after a write that may or may not have taken effect.
    state: RwLock<Option<Open>>,
    /// The places of the files, as this value opened or last wrote them. Whoever writes files holds
    /// it from beginning to end, and takes `state` later than this.
    places: Mutex<Vec<Place>>,
    trouble: Trouble,
    _lock: Lock,
}

impl Secrets {
    /// Creates an empty store of generation 1 in `dir`, which is made with mode 0700 if it does not
    /// exist. `recipients`: age recipients (`age1…`) that can open the store too, such as an
    /// offline recovery key. `work_factor`: base-2 logarithm of scrypt's N, see
    /// [`crate::DEFAULT_WORK_FACTOR`]. An interruption at any point leaves a whole store or none,
    /// and the call can be repeated.
    pub fn create(
        dir: &Path,
        passphrase: &Passphrase,
        recipients: &[String],
        work_factor: u8,
    ) -> Result<Self, CreateError> {
        let recipients = Recipients::parse(recipients)?;
        check_choice(passphrase, work_factor)?;
        files::private_dir(dir).map_err(|error| CreateError::directory(dir, error))?;
        let lock = lock(dir).map_err(CreateError::io(dir))?;
        let lock = lock.ok_or_else(|| CreateError::Locked {
            dir: dir.into(),
            holder: holder(dir),
        })?;
        finish_creation(dir).map_err(CreateError::io(dir))?;
        folder::refuse_existing(dir)?;
        let key = NodeKey::generate();
        let image = rebuild(None, &[])?;
        write_first(dir, &key, &recipients, &image, passphrase, work_factor)
            .map_err(CreateError::io(dir))?;
        let state = Open::new(image, 1)?;
        Self::start(dir, key, recipients, state, lock).map_err(CreateError::io(dir))
    }

    /// Opens the store in `dir`. `recipients` take effect with the next commit.
    pub fn open(
        dir: &Path,
        passphrase: &Passphrase,
        recipients: &[String],
    ) -> Result<Self, OpenError> {
        let recipients = Recipients::parse(recipients)?;
        if !dir.is_dir() {
            return Err(OpenError::Missing { path: dir.into() });
        }
        let lock = lock(dir).map_err(OpenError::io(dir))?;
        let lock = lock.ok_or_else(|| OpenError::Locked {
            dir: dir.into(),
            holder: holder(dir),
        })?;
        finish_creation(dir).map_err(OpenError::io(dir))?;
        files::check_private(dir).map_err(|error| OpenError::private(dir, error))?;
        let keys = open_identities(&dir.join(IDENTITY_FILE), passphrase)?;
        let (key, open) = open_with_one_of(&dir.join(SECRETS_FILE), keys, dir, passphrase)?;
        folder::remove_leftovers(dir).map_err(OpenError::io(dir))?;
        Self::start(dir, key, recipients, open, lock).map_err(OpenError::io(dir))
    }

    fn start(
        dir: &Path,
        key: NodeKey,
        recipients: Recipients,
        open: Open,
        lock: Lock,
    ) -> io::Result<Self> {
        let state = RwLock::new(Some(open));
        let places = Mutex::new(places(dir)?);
        Ok(Self {
            dir: dir.into(),
            key,
            recipients,
            state,
            places,
            trouble: Trouble::default(),
            _lock: lock,
        })
    }

    /// The trouble that ended this store, if any did. Nothing more is committed then.
    pub fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// Checks that the files are still those that this value opened or wrote. An error ends the
    /// store: it is its [`Trouble`] from here on.
    pub fn check(&self) -> Result<(), StoreEnded> {
        if let Err(moved) = self.check_places() {
            self.trouble.raise(moved.to_string());
        }
        self.trouble.check()
    }

    fn check_places(&self) -> Result<(), MovedError> {
        self.places().iter().try_for_each(Place::check)
    }

    fn places(&self) -> MutexGuard<'_, Vec<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value with this name, in memory that is wiped.
    pub fn get(
        &self,
        section: Section,
        key: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, ReadError> {
        self.read(|transaction| {
            let table = match transaction.open_table(section.table()) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                table => table?,
            };
            table
                .get(key)?
                .map(|value| unversioned(value.value()))
                .transpose()
        })
    }

    /// The names of a section's values, in byte order.
    pub fn keys(&self, section: Section) -> Result<Vec<String>, ReadError> {
        self.read(|transaction| {
            let table = match transaction.open_table(section.table()) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                table => table?,
            };
            table
                .iter()?
                .map(|entry| Ok(entry?.0.value().to_owned()))
                .collect()
        })
    }

    /// The number of commits since creation. If it is less than before, the store was rolled back.
    pub fn generation(&self) -> Result<u64, ReadError> {
        self.state
            .read()
            .ok()
            .and_then(|state| state.as_ref().map(|open| open.generation))
            .ok_or(ReadError::Closed)
    }

    /// Makes all changes durable, or none, and returns the new generation. An empty list seals the
    /// store anew, to the recipients that it was opened with. A failure before the new file gets
    /// its name leaves the old state; after [`CommitError::Unsure`] the store is closed.
    pub fn commit(&self, changes: Vec<Change>) -> Result<u64, CommitError> {
        let committed = self.write(&changes);
        if let Err(error) = &committed
            && error.ends_the_store()
        {
            self.trouble.raise(error.to_string());
        }
        committed
    }

    fn write(&self, changes: &[Change]) -> Result<u64, CommitError> {
        changes.iter().try_for_each(Change::check)?;
        // Held until the new file is at its place: a check must not take it for a foreign one. It
        // also keeps other writers out, so that the state is exclusive only while files change.
        let mut known = self.places();
        match self.room(&known, changes)? {
            Some(room) => self.add(&mut known, changes, room),
            None => self.replace(&mut known, changes),
        }
    }

    /// The room that is left after the changes, if they may be written as an addition. Fails if
    /// nothing may be written.
    fn room(&self, known: &[Place], changes: &[Change]) -> Result<Option<Room>, CommitError> {
        let state = self.state.read().map_err(|_| CommitError::Closed)?;
        let old = state.as_ref().ok_or(CommitError::Closed)?;
        if let Some(why) = self.trouble.why() {
            return Err(CommitError::Ended(why.into()));
        }
        known.iter().try_for_each(Place::check)?;
        Ok(old.room_for(changes)?)
    }

    /// Writes the store whole, and removes the additions that are now part of it.
    fn replace(&self, known: &mut Vec<Place>, changes: &[Change]) -> Result<u64, CommitError> {
        let staged = self.dir.join(STAGED_SECRETS);
        let new = self.stage_whole(&staged, changes)?;
        let generation = new.generation;
        let mut state = self.state.write().map_err(|_| CommitError::Closed)?;
        // Any failure from here on leaves the store closed: the disk may hold either state.
        let old = state.take();
        *known = files::publish(&staged, &self.dir.join(SECRETS_FILE))
            .and_then(|()| additions::remove(&self.dir, generation))
            .and_then(|()| places(&self.dir))
            .map_err(|error| self.unsure(error))?;
        *state = Some(new);
        // Wiping the old image takes as long as its size, and readers need not wait for it.
        drop(state);
        drop(old);
        Ok(generation)
    }

    /// Writes the store whole under its temporary name. Takes as long as the store is large, so
    /// values are read meanwhile.
    fn stage_whole(&self, staged: &Path, changes: &[Change]) -> Result<Open, CommitError> {
        let state = self.state.read().map_err(|_| CommitError::Closed)?;
        let old = state.as_ref().ok_or(CommitError::Closed)?;
        let generation = old.generation + 1;
        let image = rebuild(Some(old), changes)?;
        let written = write_secrets(staged, &self.key, &self.recipients, &image, generation);
        let room = written.map_err(|error| self.unwritten(staged, error))?;
        Ok(Open {
            room,
            ..Open::new(image, generation)?
        })
    }

    /// Writes the changes into a file beside the store.
    fn add(
        &self,
        known: &mut Vec<Place>,
        changes: &[Change],
        room: Room,
    ) -> Result<u64, CommitError> {
        let generation = self.present()? + 1;
        let staged = self.dir.join(additions::STAGED);
        let written = additions::stage(
            &self.dir,
            &self.key,
            &self.recipients,
            &room.tag,
            generation,
            changes,
        );
        let tag = written.map_err(|error| self.unwritten(&staged, error))?;
        let mut state = self.state.write().map_err(|_| CommitError::Closed)?;
        // As in `replace`, a failure from here on leaves the store closed.
        let old = state.take().ok_or(CommitError::Closed)?;
        let addition = self.dir.join(additions::name(generation));
        let place = files::publish(&staged, &addition).and_then(|()| Place::look(&addition));
        known.push(place.map_err(|error| self.unsure(error))?);
        old.take_in(changes)
            .map_err(|error| self.unsure(io::Error::other(error)))?;
        *state = Some(Open {
            generation,
            room: Some(room.after(tag)),
            ..old
        });
        Ok(generation)
    }

    /// The present generation, unless the store is closed.
    fn present(&self) -> Result<u64, CommitError> {
        self.generation().map_err(|_| CommitError::Closed)
    }

    /// Removes half a file. If that fails, it only takes up space, and the next commit replaces it.
    fn unwritten(&self, staged: &Path, error: io::Error) -> CommitError {
        let _ = files::remove_if_there(staged);
        CommitError::Io {
            dir: self.dir.clone(),
            error,
        }
    }

    fn unsure(&self, error: io::Error) -> CommitError {
        CommitError::Unsure {
            dir: self.dir.clone(),
            error,
        }
    }

    /// Writes the store whole if there are additions, so that its file can be copied alone. Returns
    /// the present generation.
    pub fn make_whole(&self) -> Result<u64, CommitError> {
        let generation = self.present()?;
        let added = additions::list(&self.dir).map_err(|error| CommitError::Io {
            dir: self.dir.clone(),
            error,
        })?;
        if added.is_empty() {
            Ok(generation)
        } else {
            self.commit(Vec::new())
        }
    }

    /// Puts the identity under another passphrase. The identity itself stays, so an old copy of
    /// `identity.age` still opens the store with the old passphrase.
    pub fn change_passphrase(&self, new: &Passphrase, work_factor: u8) -> Result<(), CreateError> {
        check_choice(new, work_factor)?;
        // Keeps other writers out: two at once would share one temporary name.
        let mut known = self.places();
        publish_identities(&self.dir, &[&self.key], new, work_factor)
            .map_err(CreateError::io(&self.dir))?;
        *known = places(&self.dir).map_err(CreateError::io(&self.dir))?;
        Ok(())
    }

    fn read<T>(
        &self,
        read: impl FnOnce(ReadTransaction) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let state = self.state.read().map_err(|_| ReadError::Closed)?;
        let open = state.as_ref().ok_or(ReadError::Closed)?;
        read(open.database.begin_read()?)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

/// Writes both files of a new store. It exists once the identity has its name. The sealed database
/// is on the disk before; [`finish_creation`] names it, if need be after an interruption.
fn write_first(
    dir: &Path,
    key: &NodeKey,
    recipients: &Recipients,
    image: &Image,
    passphrase: &Passphrase,
    work_factor: u8,
) -> io::Result<()> {
    write_secrets(&dir.join(FIRST_SECRETS), key, recipients, image, 1).map(drop)?;
    publish_identities(dir, &[key], passphrase, work_factor)?;
    finish_creation(dir)
}

/// Opens the store with one of several identities. Two mean that a renewal was interrupted: the one
/// that opens the secrets stays.
fn open_with_one_of(
    path: &Path,
    keys: Vec<NodeKey>,
    dir: &Path,
    passphrase: &Passphrase,
) -> Result<(NodeKey, Open), OpenError> {
    let interrupted = keys.len() > 1;
    let mut failed = None;
    for key in keys {
        match open_image(path, &key) {
            Ok(open) => {
                if interrupted {
                    publish_identities(dir, &[&key], passphrase, DEFAULT_WORK_FACTOR)
                        .map_err(OpenError::io(dir))?;
                }
                return Ok((key, open));
            }
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| OpenError::damaged(path, "there is no identity for it")))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// A store with one share, `a`.
    fn store() -> (tempfile::TempDir, Passphrase, Secrets) {
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        let dir = tempfile::Builder::new()
            .permissions(private)
            .tempdir()
            .unwrap();
        let passphrase = Passphrase::new(Zeroizing::new("correct horse battery staple".into()));
        let secrets = Secrets::create(dir.path(), &passphrase, &[], 1).unwrap();
        secrets.commit(vec![share("a")]).unwrap();
        (dir, passphrase, secrets)
    }

    fn share(key: &str) -> Change {
        Change::Put {
            section: Section::Share,
            key: key.into(),
            value: Zeroizing::new(b"1".to_vec()),
        }
    }

    /// Writing a large store takes a while, and nobody who signs waits for it.
    #[test]
    fn values_are_read_while_the_store_is_written_whole() {
        let (dir, _, secrets) = store();
        let staged = dir.path().join(STAGED_SECRETS);
        let (tell, told) = sync_channel(1);
        let reading = secrets.state.read().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let new = secrets.stage_whole(&staged, &[share("b")]);
                tell.send(new.map(|new| new.generation)).unwrap();
            });
            let written = told.recv_timeout(Duration::from_secs(20));
            drop(reading);
            assert!(matches!(written, Ok(Ok(3))), "{written:?}");
        });
        assert!(staged.exists());
        assert_eq!(secrets.keys(Section::Share).unwrap(), ["a"]);
    }

    /// Clears the known places, since checking them would end the commit earlier.
    #[test]
    fn a_write_of_unknown_effect_closes_the_store() {
        let (dir, passphrase, secrets) = store();
        // Not even root can rename a file over a directory.
        let name = dir.path().join(SECRETS_FILE);
        let kept = dir.path().join("kept");
        std::fs::rename(&name, &kept).unwrap();
        std::fs::create_dir(&name).unwrap();
        secrets.places().clear();
        let error = secrets.commit(vec![share("b")]).unwrap_err();
        assert!(matches!(error, CommitError::Unsure { .. }), "{error}");
        std::fs::remove_dir(&name).unwrap();
        std::fs::rename(&kept, &name).unwrap();
        assert!(matches!(secrets.commit(vec![]), Err(CommitError::Closed)));
        assert!(
            secrets
                .trouble()
                .why()
                .is_some_and(|why| why.contains("restart the node"))
        );
        assert!(matches!(
            secrets.get(Section::Share, "a"),
            Err(ReadError::Closed)
        ));
        assert!(matches!(
            secrets.keys(Section::Share),
            Err(ReadError::Closed)
        ));
        assert!(matches!(secrets.generation(), Err(ReadError::Closed)));
        drop(secrets);
        let secrets = Secrets::open(dir.path(), &passphrase, &[]).unwrap();
        assert_eq!(secrets.keys(Section::Share).unwrap(), ["a"]);
        assert_eq!(secrets.generation().unwrap(), 2);
    }
}
