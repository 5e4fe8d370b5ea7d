//! Everything secret that a node keeps, in one file that is sealed and replaced whole.
//!
//! `secrets.redb.age` is a redb image and one page of proof (`trailer`), encrypted with age to the
//! node and its recovery recipients. `age -d` gives a file that redb opens. A commit copies what is
//! still alive into a new image, so that a deleted secret is in no later file; then writes, syncs
//! and renames. Beside a large store, new values come as files of their own (`additions`) until it
//! is written whole the next time. No plaintext ever reaches a disk, and no older generation is
//! kept. The node's age identity lies in `identity.age` under the operator's passphrase.
//!
//! What this file cannot do: notice that both files were replaced by an older copy of themselves.
//! Compare [`Secrets::generation`] with what the journal or the peers remember.

mod additions;
mod error;
mod identity;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use countersign_files::Holder;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition};
use zeroize::Zeroizing;

use crate::files::{self, Lock, NotPrivate};
use crate::image::Image;
use crate::passphrase::Passphrase;
use crate::place::{MovedError, Place};
use crate::seal::{MAX_WORK_FACTOR, NodeKey, Recipients, Unsealed};
use crate::trailer::{self, BadTrailer, Kind, Tag};
use crate::trouble::Trouble;
use additions::Room;
pub use error::{CommitError, CreateError, OpenError, ReadError, RenewError};
use identity::{open_identities, publish_identities};

/// The sealed database.
pub const SECRETS_FILE: &str = "secrets.redb.age";
/// The node's age identity under its passphrase.
pub const IDENTITY_FILE: &str = "identity.age";
const LOCK_FILE: &str = "store.lock";
/// Where a file is written before it gets its name.
const STAGED_SECRETS: &str = ".secrets.redb.age.tmp";
const STAGED_IDENTITY: &str = ".identity.age.tmp";
/// The first generation of a store whose identity may already have its name; see
/// [`Secrets::create`].
const FIRST_SECRETS: &str = ".secrets.redb.age.first";

/// The longest key within a section, in bytes.
pub const MAX_KEY: usize = 256;
/// The largest value, in bytes.
pub const MAX_VALUE: usize = 16 * 1024 * 1024;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 4 << 30;

/// In front of every value.
const VALUE_VERSION: u8 = 1;

type Table = TableDefinition<'static, &'static str, &'static [u8]>;
type Writable<'t> = redb::Table<'t, &'static str, &'static [u8]>;

/// What kind of secret it is. Sections are appended, never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Section {
    /// The node's Ed25519 identity on the network.
    Identity,
    /// RSA keys of approval callbacks.
    CallbackKey,
    /// Keys that sign event notifications.
    EventKey,
    /// Key shares in use.
    Share,
    /// Key shares that not every member has confirmed yet.
    PendingShare,
    /// Auxiliary information of a committee.
    Aux,
    /// Safe primes made in advance.
    Prime,
}

/// One step of a commit.
pub enum Change {
    /// Writes a value, over the old one if there is one.
    Put {
        /// Where.
        section: Section,
        /// Under which name: 1 to [`MAX_KEY`] bytes.
        key: String,
        /// What: at most [`MAX_VALUE`] bytes.
        value: Zeroizing<Vec<u8>>,
    },
    /// Removes a value; one that is not there stays not there.
    Delete {
        /// Where.
        section: Section,
        /// Which.
        key: String,
    },
}

/// The open store of one node. Holds the lock of its directory until it is dropped.
pub struct Secrets {
    dir: PathBuf,
    key: NodeKey,
    recipients: Recipients,
    /// `None` after a write of which nobody knows whether it took effect.
    state: RwLock<Option<Open>>,
    /// Of the files, as this value opened or last wrote them.
    places: Mutex<Vec<Place>>,
    trouble: Trouble,
    _lock: Lock,
}

struct Open {
    database: Database,
    image: Image,
    generation: u64,
    /// What may come as additions. None before this process has written the store whole.
    room: Option<Room>,
}

impl Secrets {
    /// Makes a new, empty store of generation 1 in `dir`, which is made with mode 0700 if it is not
    /// there.
    ///
    /// `recipients`: age recipients (`age1…`) that can open the store too, such as an offline
    /// recovery key. `work_factor`: base-2 logarithm of scrypt's N, see
    /// [`crate::DEFAULT_WORK_FACTOR`]. Interrupted at any point there is either a whole store or
    /// none, and the call can be repeated.
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
        refuse_existing(dir)?;
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
        remove_leftovers(dir).map_err(OpenError::io(dir))?;
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

    /// What ended this store, if anything did: nothing more is committed.
    pub fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// Whether the files are still those that this value opened or wrote. An error is the
    /// [`Trouble`] of the store from here on.
    pub fn check(&self) -> Result<(), String> {
        if let Err(moved) = self.check_places() {
            self.trouble.raise(moved.to_string());
        }
        self.trouble.why().map_or(Ok(()), |why| Err(why.to_owned()))
    }

    fn check_places(&self) -> Result<(), MovedError> {
        self.places().iter().try_for_each(Place::check)
    }

    fn places(&self) -> MutexGuard<'_, Vec<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A value, in memory that is wiped.
    pub fn get(
        &self,
        section: Section,
        key: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, ReadError> {
        self.read(|transaction| {
            let table = match transaction.open_table(section.table()) {
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
                table => table?,
            };
            table
                .get(key)?
                .map(|value| unversioned(value.value()))
                .transpose()
        })
    }

    /// The names in a section, in byte order.
    pub fn keys(&self, section: Section) -> Result<Vec<String>, ReadError> {
        self.read(|transaction| {
            let table = match transaction.open_table(section.table()) {
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                table => table?,
            };
            table
                .iter()?
                .map(|entry| Ok(entry?.0.value().to_owned()))
                .collect()
        })
    }

    /// Counts commits since creation. A node that sees an older one than before was rolled back.
    pub fn generation(&self) -> Result<u64, ReadError> {
        self.state
            .read()
            .ok()
            .and_then(|state| state.as_ref().map(|open| open.generation))
            .ok_or(ReadError::Closed)
    }

    /// Makes all changes durable, or none, and tells the new generation. An empty list seals the
    /// store anew, to the recipients that it was opened with. What fails before the new file gets
    /// its name leaves everything as it was; after [`CommitError::Unsure`] the store is closed.
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
        let mut state = self.state.write().map_err(|_| CommitError::Closed)?;
        let old = state.as_ref().ok_or(CommitError::Closed)?;
        if let Some(why) = self.trouble.why() {
            return Err(CommitError::Ended(why.into()));
        }
        // Held until the new file is at its place: whoever checks meanwhile must not find it there
        // as a stranger.
        let mut known = self.places();
        known.iter().try_for_each(Place::check)?;
        match old.room_for(changes)? {
            Some(room) => self.add(&mut state, &mut known, changes, room),
            None => self.replace(&mut state, &mut known, changes),
        }
    }

    /// Writes the store whole. What was added before is in it, and goes.
    fn replace(
        &self,
        state: &mut Option<Open>,
        known: &mut Vec<Place>,
        changes: &[Change],
    ) -> Result<u64, CommitError> {
        let old = state.as_ref().ok_or(CommitError::Closed)?;
        let generation = old.generation + 1;
        let image = rebuild(Some(old), changes)?;
        let staged = self.dir.join(STAGED_SECRETS);
        let written = write_secrets(&staged, &self.key, &self.recipients, &image, generation);
        let room = written.map_err(|error| self.unwritten(&staged, error))?;
        let new = Open {
            room,
            ..Open::new(image, generation)?
        };
        // Whatever goes wrong from here on leaves the store closed: the disk may hold the old state
        // or the new one.
        *state = None;
        *known = files::publish(&staged, &self.dir.join(SECRETS_FILE))
            .and_then(|()| additions::remove(&self.dir, generation))
            .and_then(|()| places(&self.dir))
            .map_err(|error| self.unsure(error))?;
        *state = Some(new);
        Ok(generation)
    }

    /// Writes the changes beside the store.
    fn add(
        &self,
        state: &mut Option<Open>,
        known: &mut Vec<Place>,
        changes: &[Change],
        room: Room,
    ) -> Result<u64, CommitError> {
        let old = state.as_ref().ok_or(CommitError::Closed)?;
        let generation = old.generation + 1;
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
        // As above.
        let Some(old) = state.take() else {
            return Err(CommitError::Closed);
        };
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

    /// Half a file only takes up space; if it cannot be removed, the next commit replaces it.
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

    /// Sees to it that the store's file alone is the whole store, for whoever copies it. Tells the
    /// generation.
    pub fn make_whole(&self) -> Result<u64, CommitError> {
        let state = self.state.read().map_err(|_| CommitError::Closed)?;
        let generation = state.as_ref().ok_or(CommitError::Closed)?.generation;
        drop(state);
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

    /// Puts the identity under another passphrase. The identity and the sealed database stay what
    /// they are: whoever has an old copy of `identity.age` and the old passphrase can still open
    /// the store.
    pub fn change_passphrase(&self, new: &Passphrase, work_factor: u8) -> Result<(), CreateError> {
        check_choice(new, work_factor)?;
        // One at a time: two writers would share one temporary name.
        let _exclusive = self.state.write().unwrap_or_else(PoisonError::into_inner);
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

impl Open {
    fn new(image: Image, generation: u64) -> Result<Self, redb::DatabaseError> {
        Ok(Self {
            database: image.database()?,
            image,
            generation,
            room: None,
        })
    }

    /// The room that is left if the changes may come as an addition.
    fn room_for(&self, changes: &[Change]) -> Result<Option<Room>, redb::Error> {
        let Some(room) = &self.room else {
            return Ok(None);
        };
        let transaction = self.database.begin_read()?;
        room.take(changes, |section, key| {
            Ok(transaction.open_table(section.table())?.get(key)?.is_some())
        })
    }

    /// Takes an addition into the database in memory.
    fn take_in(&self, changes: &[Change]) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        for change in changes {
            let (section, key) = change.place();
            let value = change.value();
            let mut table = transaction.open_table(section.table())?;
            value.map_or(Ok(()), |value| insert(&mut table, key, value))?;
        }
        Ok(transaction.commit()?)
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl Section {
    /// Every section there is.
    pub const ALL: [Self; 7] = [
        Self::Identity,
        Self::CallbackKey,
        Self::EventKey,
        Self::Share,
        Self::PendingShare,
        Self::Aux,
        Self::Prime,
    ];

    /// The name of its table in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::CallbackKey => "callback-key",
            Self::EventKey => "event-key",
            Self::Share => "share",
            Self::PendingShare => "pending-share",
            Self::Aux => "aux",
            Self::Prime => "prime",
        }
    }

    fn table(self) -> Table {
        TableDefinition::new(self.name())
    }
}

impl Change {
    fn place(&self) -> (Section, &str) {
        match self {
            Self::Put { section, key, .. } | Self::Delete { section, key } => (*section, key),
        }
    }

    /// What the key holds after this change.
    fn value(&self) -> Option<&[u8]> {
        match self {
            Self::Put { value, .. } => Some(value),
            Self::Delete { .. } => None,
        }
    }

    fn check(&self) -> Result<(), CommitError> {
        let (section, key) = self.place();
        let rejected = |what| {
            Err(CommitError::Rejected {
                section,
                key: key.into(),
                what,
            })
        };
        match self {
            _ if key.is_empty() || key.len() > MAX_KEY => rejected("its name is empty or too long"),
            Self::Put { value, .. } if value.len() > MAX_VALUE => {
                rejected("its value is too large")
            }
            _ => Ok(()),
        }
    }
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (section, key) = self.place();
        let verb = if matches!(self, Self::Put { .. }) {
            "Put"
        } else {
            "Delete"
        };
        write!(f, "{verb}({}/{key}, ..)", section.name())
    }
}

fn check_choice(passphrase: &Passphrase, work_factor: u8) -> Result<(), CreateError> {
    if !passphrase.is_long_enough() {
        return Err(CreateError::ShortPassphrase);
    }
    if !(1..=MAX_WORK_FACTOR).contains(&work_factor) {
        return Err(CreateError::WorkFactor(work_factor));
    }
    Ok(())
}

/// Of the files that make the store, and of the lock that keeps others out.
fn places(dir: &Path) -> io::Result<Vec<Place>> {
    let named = [IDENTITY_FILE, SECRETS_FILE, LOCK_FILE]
        .iter()
        .map(|name| dir.join(name));
    let added = additions::list(dir)?.into_iter().map(|(_, path)| path);
    named.chain(added).map(|path| Place::look(&path)).collect()
}

fn lock(dir: &Path) -> io::Result<Option<Lock>> {
    files::try_lock(&dir.join(LOCK_FILE))
}

fn holder(dir: &Path) -> Holder {
    Holder::of(&dir.join(LOCK_FILE))
}

/// Writes both files of a new store. The identity's name is the moment of creation: the sealed
/// database is on the disk before it, and [`finish_creation`] gives it its name if we do not come
/// to it.
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

/// Completes a creation that was interrupted after its point of no return.
fn finish_creation(dir: &Path) -> io::Result<()> {
    let first = dir.join(FIRST_SECRETS);
    let secrets = dir.join(SECRETS_FILE);
    if dir.join(IDENTITY_FILE).exists() && first.exists() && !secrets.exists() {
        files::publish(&first, &secrets)?;
    }
    Ok(())
}

/// The files of a store in this folder, what was added to it among them.
pub fn files_in(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let named = [SECRETS_FILE, IDENTITY_FILE]
        .iter()
        .map(|name| dir.join(name));
    let named = named.filter(|path| path.exists());
    Ok(named
        .chain(additions::list(dir)?.into_iter().map(|(_, path)| path))
        .collect())
}

fn refuse_existing(dir: &Path) -> Result<(), CreateError> {
    match files_in(dir)
        .map_err(CreateError::io(dir))?
        .into_iter()
        .next()
    {
        Some(path) => Err(CreateError::Exists { path }),
        None => Ok(()),
    }
}

fn remove_leftovers(dir: &Path) -> io::Result<()> {
    [
        STAGED_SECRETS,
        STAGED_IDENTITY,
        FIRST_SECRETS,
        additions::STAGED,
    ]
    .iter()
    .try_for_each(|name| files::remove_if_there(&dir.join(name)))
}

/// Seals an image on which no database is open, and tells what may be added to it.
fn write_secrets(
    path: &Path,
    key: &NodeKey,
    recipients: &Recipients,
    image: &Image,
    generation: u64,
) -> io::Result<Option<Room>> {
    let bytes = image.bytes();
    let kind = if bytes.len() > additions::SMALL {
        Kind::Extensible
    } else {
        Kind::Whole
    };
    let trailer = trailer::make(&key.mac_key(), kind, &bytes, generation);
    files::stage(path, |file| {
        key.seal_file(recipients, file, |writer| {
            writer.write_all(&bytes)?;
            writer.write_all(&trailer)
        })
    })?;
    Ok(Room::behind(trailer::tag(&trailer), bytes.len()))
}

/// Two identities mean that a renewal was interrupted: the one that opens the secrets stays.
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
                    publish_identities(dir, &[&key], passphrase, crate::DEFAULT_WORK_FACTOR)
                        .map_err(OpenError::io(dir))?;
                }
                return Ok((key, open));
            }
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| OpenError::damaged(path, "there is no identity for it")))
}

/// The store's file, and what was added to it since.
fn open_image(path: &Path, key: &NodeKey) -> Result<Open, OpenError> {
    let (mut plaintext, len, generation) = open_private(path, key, Kind::Whole)?;
    let tag = trailer::tag(&plaintext);
    plaintext.truncate(len);
    let open = Open::new(Image::new(plaintext), generation)
        .map_err(|error| OpenError::damaged(path, error))?;
    let dir = path.parent().unwrap_or(Path::new("."));
    open_additions(dir, key, open, tag)
}

fn open_additions(
    dir: &Path,
    key: &NodeKey,
    mut open: Open,
    mut tag: Tag,
) -> Result<Open, OpenError> {
    // Those that the store has in it were left behind by a process that ended before it removed
    // them.
    additions::remove(dir, open.generation).map_err(OpenError::io(dir))?;
    for (number, path) in additions::list(dir).map_err(OpenError::io(dir))? {
        if number != open.generation + 1 {
            return Err(OpenError::damaged(&path, "the file before it is missing"));
        }
        let (changes, its) = additions::read(&path, key, &tag, number)?;
        open.take_in(&changes)
            .map_err(|error| OpenError::damaged(&path, error))?;
        (open.generation, tag) = (number, its);
    }
    Ok(open)
}

/// The plaintext of one of the store's files with its trailer, the length without it, and the
/// generation.
fn open_private(
    path: &Path,
    key: &NodeKey,
    kind: Kind,
) -> Result<(Zeroizing<Vec<u8>>, usize, u64), OpenError> {
    let sealed = read_private(path)?;
    let plaintext = key.unseal_file(&sealed).map_err(|error| match error {
        Unsealed::NotForUs => OpenError::damaged(path, "it is not sealed to this node's identity"),
        Unsealed::WrongKey => OpenError::damaged(path, "its header was changed"),
        Unsealed::Damaged(what) => OpenError::damaged(path, what),
    })?;
    let (len, generation) =
        trailer::check(&key.mac_key(), kind, &plaintext).map_err(|error| match error {
            BadTrailer::Absent => OpenError::damaged(path, "it has no trailer"),
            BadTrailer::Forged => OpenError::damaged(path, "it was not written by this node"),
            BadTrailer::Newer(version) => OpenError::NewerFormat {
                path: path.into(),
                version,
            },
        })?;
    Ok((plaintext, len, generation))
}

fn read_private(path: &Path) -> Result<Vec<u8>, OpenError> {
    files::check_private(path).map_err(|error| match error {
        NotPrivate::Io(error) if error.kind() == io::ErrorKind::NotFound => {
            OpenError::Missing { path: path.into() }
        }
        other => OpenError::private(path, other),
    })?;
    countersign_files::read(path, MAX_FILE).map_err(OpenError::io(path))
}

/// A new image of all that is alive after the changes, closed. Nothing deleted or overwritten is in
/// it.
fn rebuild(old: Option<&Open>, changes: &[Change]) -> Result<Image, redb::Error> {
    let capacity = old.map_or(0, |old| old.image.bytes().len());
    let image = Image::new(Zeroizing::new(Vec::with_capacity(capacity)));
    let mut database = image.database()?;
    let transaction = database.begin_write()?;
    for section in Section::ALL {
        let mut table = transaction.open_table(section.table())?;
        let last = last_changes(section, changes);
        if let Some(old) = old {
            copy_untouched(&old.database.begin_read()?, section, &last, &mut table)?;
        }
        for (key, value) in last {
            value.map_or(Ok(()), |value| insert(&mut table, key, value))?;
        }
    }
    let stats = transaction.stats()?;
    let used = stats.allocated_pages() * stats.page_size() as u64;
    transaction.commit()?;
    if image.bytes().len() as u64 > used + used / 4 {
        database.compact()?;
    }
    drop(database);
    Ok(image)
}

/// What each changed key of a section ends as. An earlier change of the same key never enters an
/// image.
fn last_changes(section: Section, changes: &[Change]) -> BTreeMap<&str, Option<&[u8]>> {
    let mine = changes.iter().filter(|change| change.place().0 == section);
    mine.map(|change| (change.place().1, change.value()))
        .collect()
}

fn copy_untouched(
    old: &ReadTransaction,
    section: Section,
    touched: &BTreeMap<&str, Option<&[u8]>>,
    table: &mut Writable<'_>,
) -> Result<(), redb::Error> {
    let old = match old.open_table(section.table()) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
        old => old?,
    };
    for entry in old.iter()? {
        let (key, value) = entry?;
        if !touched.contains_key(key.value()) {
            table.insert(key.value(), value.value())?;
        }
    }
    Ok(())
}

fn insert(table: &mut Writable<'_>, key: &str, value: &[u8]) -> Result<(), redb::Error> {
    let mut place = table.insert_reserve(key, value.len() + 1)?;
    let place = place.as_mut();
    place[0] = VALUE_VERSION;
    place[1..].copy_from_slice(value);
    Ok(())
}

fn unversioned(value: &[u8]) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    match value.split_first() {
        Some((&VALUE_VERSION, rest)) => Ok(Zeroizing::new(rest.to_vec())),
        Some((&version, _)) => Err(ReadError::NewerFormat { version }),
        None => Err(ReadError::NewerFormat { version: 0 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files that are looked at would have ended the commit before it came to this.
    #[test]
    fn a_write_of_unknown_effect_closes_the_store() {
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        let dir = tempfile::Builder::new()
            .permissions(private)
            .tempdir()
            .unwrap();
        let passphrase = Passphrase::new(Zeroizing::new("correct horse battery staple".into()));
        let share = |key: &str| Change::Put {
            section: Section::Share,
            key: key.into(),
            value: Zeroizing::new(b"1".to_vec()),
        };
        let secrets = Secrets::create(dir.path(), &passphrase, &[], 1).unwrap();
        secrets.commit(vec![share("a")]).unwrap();
        // A directory under the name of the database: a file is not renamed over it, even by root.
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
