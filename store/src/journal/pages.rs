//! Verifies every page of a journal's file by the database's checksums, without changing the file.
//!
//! The database itself checks them only after a crash. Otherwise it believes what it reads, and a
//! flipped bit becomes another record, or a panic. So the whole file is read once when it is
//! opened. The database repairs the file that it verifies, so its changes stay in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Error, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::{Builder, Database, StorageBackend};

/// Bytes per changed page.
const PAGE: usize = 4096;
/// Bytes of pages kept in memory: each is read a few times.
const CACHE: usize = 16 * 1024 * 1024;

/// A file, overlaid with changed pages in memory.
#[derive(Debug)]
pub(super) struct Pages {
    file: File,
    changed: Mutex<Changed>,
}

#[derive(Debug)]
struct Changed {
    len: u64,
    /// The least length so far: beyond it the file's bytes no longer count.
    kept: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
}

impl Pages {
    /// The present content of the file, which nobody may write meanwhile.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        let changed = Mutex::new(Changed {
            len,
            kept: len,
            pages: BTreeMap::new(),
        });
        Ok(Self {
            file: file.try_clone()?,
            changed,
        })
    }

    /// Opens the database. Fails unless every page in use is as it was written.
    pub(super) fn verify(self) -> Result<Database, redb::Error> {
        let mut database = Builder::new()
            .set_cache_size(CACHE)
            .create_with_backend(self)?;
        if database.check_integrity()? {
            Ok(database)
        } else {
            Err(redb::Error::Corrupted(
                "checksums do not fit, and the last commits are lost".into(),
            ))
        }
    }

    fn changed(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changed {
    /// A page, padded with zeros beyond the end of the file.
    fn page(&self, file: &File, number: u64) -> io::Result<Box<[u8; PAGE]>> {
        if let Some(page) = self.pages.get(&number) {
            return Ok(page.clone());
        }
        let mut page = Box::new([0; PAGE]);
        let start = number * PAGE as u64;
        let there = self.kept.saturating_sub(start).min(PAGE as u64) as usize;
        file.read_exact_at(&mut page[..there], start)?;
        Ok(page)
    }

    fn end(&self, offset: u64, length: usize) -> io::Result<u64> {
        let end = offset
            .checked_add(length as u64)
            .filter(|end| *end <= self.len);
        end.ok_or_else(|| Error::from(ErrorKind::UnexpectedEof))
    }
}

impl StorageBackend for Pages {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changed().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changed = self.changed();
        let end = changed.end(offset, out.len())?;
        let mut at = offset;
        while at < end {
            let number = at / PAGE as u64;
            let within = (at % PAGE as u64) as usize;
            let take = (PAGE - within).min((end - at) as usize);
            let done = (at - offset) as usize;
            out[done..done + take]
                .copy_from_slice(&changed.page(&self.file, number)?[within..within + take]);
            at += take as u64;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut changed = self.changed();
        changed.kept = changed.kept.min(len);
        changed.len = len;
        // Bytes that are cut off read as zeros when the file grows again.
        let kept = len.div_ceil(PAGE as u64);
        changed.pages.retain(|number, _| *number < kept);
        if let Some(last) = changed.pages.get_mut(&(len / PAGE as u64)) {
            last[(len % PAGE as u64) as usize..].fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut changed = self.changed();
        let end = changed.end(offset, data.len())?;
        let mut at = offset;
        while at < end {
            let number = at / PAGE as u64;
            let within = (at % PAGE as u64) as usize;
            let take = (PAGE - within).min((end - at) as usize);
            let done = (at - offset) as usize;
            let mut page = changed.page(&self.file, number)?;
            page[within..within + take].copy_from_slice(&data[done..done + take]);
            changed.pages.insert(number, page);
            at += take as u64;
        }
        Ok(())
    }
}
