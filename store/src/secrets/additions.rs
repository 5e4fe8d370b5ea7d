//! Additions to a large store since its file was last written whole: a small file for each commit,
//! so that the cost of a new key does not grow with their number.
//!
//! `secrets.<generation, 20 digits>.added.age` is sealed as the store's file is. Its plaintext
//! begins with the proof of the file that it follows, the store or the addition before, so that
//! none can be left out, repeated or put behind another store:
//!
//! ```text
//! 0..32   last 32 bytes of the plaintext before
//! then, for each value: length (1) and name of the section, length (2) and name, length (4) and value; numbers big-endian
//! last    trailer with the generation, as in the store's file, under a magic of its own
//! ```
//!
//! Only new values are added, and only in sections that grow with the keys. A deleted or
//! overwritten value must be in no later file, so such a commit writes the store whole and removes
//! the additions. So does the first commit after the store was opened, since its recipients may
//! have changed, and the one after [`MAX_COUNT`] additions.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use redb::Error;
use zeroize::Zeroizing;

use super::change::Change;
use super::error::OpenError;
use super::sealed::open_private;
use super::section::Section;
use crate::files;
use crate::seal::{NodeKey, Recipients};
use crate::trailer::{self, Kind, Tag};

/// The largest image that is always written whole, in bytes: about a hundred keys.
pub(super) const SMALL: usize = 512 * 1024;
/// The most additions before the store is written whole.
const MAX_COUNT: usize = 256;
/// Temporary name of an addition that is being written.
pub(super) const STAGED: &str = ".secrets.added.age.tmp";

const PREFIX: &str = "secrets.";
const SUFFIX: &str = ".added.age";
const DIGITS: usize = 20;

/// The additions that may still follow before the store is written whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Proof of the file that the next one follows.
    pub(super) tag: Tag,
    count: usize,
    bytes: usize,
}

impl Room {
    /// The room behind a store whose image has this many bytes; none behind a small one.
    pub(super) fn behind(tag: Tag, image: usize) -> Option<Self> {
        (image > SMALL).then_some(Self {
            tag,
            count: MAX_COUNT,
            bytes: image,
        })
    }

    /// The same room behind the file that was just added.
    pub(super) fn after(self, tag: Tag) -> Self {
        Self { tag, ..self }
    }

    /// The room that is left after these changes; `None` if they must not be an addition. `known`
    /// tells if a value exists.
    pub(super) fn take(
        &self,
        changes: &[Change],
        known: impl Fn(Section, &str) -> Result<bool, Error>,
    ) -> Result<Option<Self>, Error> {
        let mut names = BTreeSet::new();
        let mut bytes = 0;
        for change in changes {
            let Change::Put {
                section,
                key,
                value,
            } = change
            else {
                return Ok(None);
            };
            if !grows(*section) || !names.insert((section.name(), key)) || known(*section, key)? {
                return Ok(None);
            }
            bytes += key.len() + value.len();
        }
        let fits = !changes.is_empty() && self.count > 0 && bytes <= self.bytes;
        Ok(fits.then(|| Self {
            tag: self.tag,
            count: self.count - 1,
            bytes: self.bytes - bytes,
        }))
    }
}

/// True for sections that have entries for each key or committee.
fn grows(section: Section) -> bool {
    match section {
        Section::Share | Section::PendingShare | Section::Aux | Section::Prime => true,
        Section::Identity | Section::CallbackKey | Section::EventKey => false,
    }
}

pub(super) fn name(generation: u64) -> String {
    format!("{PREFIX}{generation:0DIGITS$}{SUFFIX}")
}

/// The additions in a folder, the oldest first.
pub(super) fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(generation_of);
        found.extend(number.map(|number| (number, entry.path())));
    }
    found.sort_unstable();
    Ok(found)
}

fn generation_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    (digits.len() == DIGITS).then(|| digits.parse().ok())?
}

/// Removes the additions that are part of a store of this generation.
pub(super) fn remove(dir: &Path, generation: u64) -> io::Result<()> {
    let mut old = list(dir)?;
    old.retain(|(number, _)| *number <= generation);
    if old.is_empty() {
        return Ok(());
    }
    old.iter()
        .try_for_each(|(_, path)| files::remove_if_there(path))?;
    files::sync_dir(dir)
}

/// Writes an addition under its temporary name. Returns its proof.
pub(super) fn stage(
    dir: &Path,
    key: &NodeKey,
    recipients: &Recipients,
    follows: &Tag,
    generation: u64,
    changes: &[Change],
) -> io::Result<Tag> {
    let body = encode(follows, changes);
    let trailer = trailer::make(&key.mac_key(), Kind::Addition, &body, generation);
    files::stage(&dir.join(STAGED), |file| {
        key.seal_file(recipients, file, |writer| {
            writer.write_all(&body)?;
            writer.write_all(&trailer)
        })
    })?;
    Ok(trailer::tag(&trailer))
}

/// Reads an addition, which must have this generation and follow that file.
pub(super) fn read(
    path: &Path,
    key: &NodeKey,
    follows: &Tag,
    generation: u64,
) -> Result<(Vec<Change>, Tag), OpenError> {
    let (plaintext, length, said) = open_private(path, key, Kind::Addition)?;
    if said != generation {
        return Err(OpenError::damaged(path, "its name says another generation"));
    }
    let (body, trailer) = plaintext.split_at(length);
    match body.strip_prefix(follows) {
        None => Err(OpenError::damaged(
            path,
            "it does not follow the files before it",
        )),
        Some(entries) => {
            let changes =
                decode(entries).ok_or_else(|| OpenError::damaged(path, "a value in it is cut"))?;
            Ok((changes, trailer::tag(trailer)))
        }
    }
}

fn encode(follows: &Tag, changes: &[Change]) -> Zeroizing<Vec<u8>> {
    let size = |change: &Change| {
        let (section, key) = change.place();
        7 + section.name().len() + key.len() + change.value().map_or(0, <[u8]>::len)
    };
    let length = follows.len() + changes.iter().map(size).sum::<usize>();
    let mut body = Zeroizing::new(Vec::with_capacity(length));
    body.extend_from_slice(follows);
    for change in changes {
        let (section, key) = change.place();
        let value = change.value().unwrap_or_default();
        body.push(section.name().len() as u8);
        body.extend_from_slice(section.name().as_bytes());
        body.extend_from_slice(&(key.len() as u16).to_be_bytes());
        body.extend_from_slice(key.as_bytes());
        body.extend_from_slice(&(value.len() as u32).to_be_bytes());
        body.extend_from_slice(value);
    }
    body
}

fn decode(mut entries: &[u8]) -> Option<Vec<Change>> {
    let mut changes = Vec::new();
    while !entries.is_empty() {
        let section = str::from_utf8(take::<1>(&mut entries)?).ok()?;
        let section = Section::ALL
            .into_iter()
            .find(|known| known.name() == section)?;
        let key = str::from_utf8(take::<2>(&mut entries)?).ok()?.to_owned();
        let value = Zeroizing::new(take::<4>(&mut entries)?.to_vec());
        changes.push(Change::Put {
            section,
            key,
            value,
        });
    }
    Some(changes)
}

/// Takes a value that is preceded by its length in `N` bytes.
fn take<'b, const N: usize>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let (length, rest) = bytes.split_first_chunk::<N>()?;
    let length = length
        .iter()
        .fold(0, |number, byte| number << 8 | usize::from(*byte));
    let (value, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(section: Section, key: &str, value: &[u8]) -> Change {
        Change::Put {
            section,
            key: key.into(),
            value: value.to_vec().into(),
        }
    }

    fn content(changes: &[Change]) -> Vec<(Section, &str, &[u8])> {
        changes
            .iter()
            .map(|change| (change.place().0, change.place().1, change.value().unwrap()))
            .collect()
    }

    #[test]
    fn the_bytes_are_frozen_and_no_cut_is_read() {
        let changes = [
            change(Section::Share, "k", b"secret"),
            change(Section::Aux, "", b""),
        ];
        let body = encode(&[7; 32], &changes);
        let expected =
            "0573686172650001 6b 00000006 736563726574 03617578 0000 00000000".replace(' ', "");
        assert_eq!(hex::encode(&body[32..]), expected);
        assert_eq!(body[..32], [7; 32]);
        assert_eq!(content(&decode(&body[32..]).unwrap()), content(&changes));
        let whole: Vec<usize> = (32..body.len())
            .filter(|end| decode(&body[32..*end]).is_some())
            .collect();
        assert_eq!(whole, [32, 32 + 19], "nothing, or the first value alone");
        assert!(
            decode(b"\x05other\x00\x01k\x00\x00\x00\x00").is_none(),
            "an unknown section"
        );
    }

    #[test]
    fn only_new_values_that_come_with_keys_are_added_and_only_so_many() {
        let room = Room {
            tag: [0; 32],
            count: 2,
            bytes: 10,
        };
        let known = |_: Section, key: &str| Ok(key == "known");
        let left = |room: &Room, changes: &[Change]| room.take(changes, known).unwrap();
        let fits = [change(Section::Share, "a", b"1234")];
        let after = left(&room, &fits).unwrap();
        assert_eq!((after.count, after.bytes), (1, 5));
        assert!(
            left(&left(&after, &fits).unwrap(), &fits).is_none(),
            "there is no more room"
        );
        assert!(
            left(&after, &[change(Section::Share, "a", b"12345")]).is_none(),
            "it is too large"
        );
        assert!(
            left(&room, &[]).is_none(),
            "who commits nothing wants the store sealed anew"
        );
        assert!(left(&room, &[change(Section::Share, "known", b"1")]).is_none());
        assert!(
            left(
                &room,
                &[
                    change(Section::Share, "a", b"1"),
                    change(Section::Share, "a", b"2")
                ]
            )
            .is_none()
        );
        assert!(
            left(
                &room,
                &[Change::Delete {
                    section: Section::Prime,
                    key: "a".into()
                }]
            )
            .is_none()
        );
        for section in Section::ALL {
            assert_eq!(
                left(&room, &[change(section, "a", b"1")]).is_some(),
                grows(section)
            );
        }
        assert!(
            Room::behind([0; 32], SMALL).is_none() && Room::behind([0; 32], SMALL + 1).is_some()
        );
    }

    #[test]
    fn names_are_exact() {
        assert_eq!(name(7), "secrets.00000000000000000007.added.age");
        assert_eq!(generation_of(&name(u64::MAX)), Some(u64::MAX));
        for other in [
            "secrets.redb.age",
            "secrets.7.added.age",
            "secrets.0000000000000000000x.added.age",
        ] {
            assert_eq!(generation_of(other), None);
        }
    }
}
