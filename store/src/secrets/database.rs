//! The database in memory: read from the store's files, changed, and written whole.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use redb::{
    Database, DatabaseError, Error, ReadTransaction, ReadableDatabase, ReadableTable, Table,
    TableError,
};
use zeroize::Zeroizing;

use super::additions::{self, Room};
use super::change::Change;
use super::error::{OpenError, ReadError};
use super::sealed::open_private;
use super::section::Section;
use crate::files;
use crate::image::Image;
use crate::seal::{NodeKey, Recipients};
use crate::trailer::{self, Kind, Tag};

/// The version in front of every stored value.
const VALUE_VERSION: u8 = 1;

type Writable<'t> = Table<'t, &'static str, &'static [u8]>;

/// The open database in memory.
pub(super) struct Open {
    pub(super) database: Database,
    pub(super) image: Image,
    pub(super) generation: u64,
    /// The room for additions. None before this process has written the store whole.
    pub(super) room: Option<Room>,
}

impl Open {
    pub(super) fn new(image: Image, generation: u64) -> Result<Self, DatabaseError> {
        Ok(Self {
            database: image.database()?,
            image,
            generation,
            room: None,
        })
    }

    /// The room that is left after the changes, if they may be written as an addition.
    pub(super) fn room_for(&self, changes: &[Change]) -> Result<Option<Room>, Error> {
        let Some(room) = &self.room else {
            return Ok(None);
        };
        let transaction = self.database.begin_read()?;
        room.take(changes, |section, key| {
            Ok(transaction.open_table(section.table())?.get(key)?.is_some())
        })
    }

    /// Applies an addition to the database in memory.
    pub(super) fn take_in(&self, changes: &[Change]) -> Result<(), Error> {
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

/// Seals an image on which no database is open. Returns the room for additions to it.
pub(super) fn write_secrets(
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

/// Opens the store's file and its additions.
pub(super) fn open_image(path: &Path, key: &NodeKey) -> Result<Open, OpenError> {
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
    // A process may have ended before it removed additions that are already part of the store.
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

/// Makes a new, closed image of the values after the changes. Nothing that was deleted or
/// overwritten is in it.
pub(super) fn rebuild(old: Option<&Open>, changes: &[Change]) -> Result<Image, Error> {
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

/// The last change of each key in a section. Earlier changes of the same key never enter an image.
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
) -> Result<(), Error> {
    let old = match old.open_table(section.table()) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
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

fn insert(table: &mut Writable<'_>, key: &str, value: &[u8]) -> Result<(), Error> {
    let mut place = table.insert_reserve(key, value.len() + 1)?;
    let place = place.as_mut();
    place[0] = VALUE_VERSION;
    place[1..].copy_from_slice(value);
    Ok(())
}

pub(super) fn unversioned(value: &[u8]) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    match value.split_first() {
        Some((&VALUE_VERSION, rest)) => Ok(Zeroizing::new(rest.to_vec())),
        Some((&version, _)) => Err(ReadError::NewerFormat { version }),
        None => Err(ReadError::NewerFormat { version: 0 }),
    }
}
