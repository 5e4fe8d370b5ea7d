//! A redb database in memory, wiped when dropped. Its bytes can be read; none reach a disk.
//!
//! Limit: redb copies pages while it works, and frees the copies without wiping them. The zeroizing
//! allocator of the node's binary covers those; this file cannot.

use std::fmt;
use std::io::{Error, ErrorKind};
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::{Builder, Database, StorageBackend};
use zeroize::{Zeroize, Zeroizing};

type Bytes = Zeroizing<Vec<u8>>;

/// The bytes of one database, shared with redb while it is open.
#[derive(Clone)]
pub(crate) struct Image(Arc<RwLock<Bytes>>);

impl Image {
    /// Takes the bytes of a database; none for a new one.
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self(Arc::new(RwLock::new(bytes)))
    }

    /// Opens the database. It has no page cache: the image is in memory already, and every copy is
    /// a risk to its secrets.
    pub(crate) fn database(&self) -> Result<Database, redb::DatabaseError> {
        Builder::new()
            .set_cache_size(0)
            .create_with_backend(self.clone())
    }

    /// The bytes. They are a whole database only while none is open on them.
    pub(crate) fn bytes(&self) -> RwLockReadGuard<'_, Bytes> {
        // redb's own checks judge bytes that a panic left behind, so poison does not matter.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes_mut(&self) -> RwLockWriteGuard<'_, Bytes> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({} bytes)", self.bytes().len())
    }
}

impl StorageBackend for Image {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.bytes().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let bytes = self.bytes();
        let range = range(offset, out.len(), bytes.len())?;
        out.copy_from_slice(&bytes[range]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        let len = usize::try_from(len).map_err(|_| Error::from(ErrorKind::OutOfMemory))?;
        resize(&mut self.bytes_mut(), len);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        let mut bytes = self.bytes_mut();
        let range = range(offset, data.len(), bytes.len())?;
        bytes[range].copy_from_slice(data);
        Ok(())
    }
}

fn range(offset: u64, len: usize, size: usize) -> Result<Range<usize>, Error> {
    let start = usize::try_from(offset).map_err(|_| Error::from(ErrorKind::UnexpectedEof))?;
    let end = start.checked_add(len).filter(|end| *end <= size);
    end.map(|end| start..end)
        .ok_or_else(|| ErrorKind::UnexpectedEof.into())
}

/// Does the same as `Vec::resize` with zeros, but wipes every byte that is given up.
fn resize(bytes: &mut Bytes, len: usize) {
    if len <= bytes.len() {
        bytes[len..].zeroize();
        bytes.truncate(len);
        return;
    }
    if len > bytes.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(len));
        larger.extend_from_slice(bytes);
        *bytes = larger;
    }
    bytes.resize(len, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_off_reads_as_zeros_when_it_comes_back() {
        let image = Image::new(Zeroizing::new(vec![7; 100]));
        image.set_len(10).unwrap();
        image.set_len(1000).unwrap();
        let mut out = [1; 100];
        image.read(0, &mut out).unwrap();
        assert_eq!((&out[..10], &out[10..]), (&[7; 10][..], &[0; 90][..]));
    }

    #[test]
    fn nothing_is_read_or_written_past_the_end() {
        let image = Image::new(Zeroizing::new(vec![0; 100]));
        assert!(image.read(90, &mut [0; 11]).is_err());
        assert!(image.write(90, &[0; 11]).is_err());
        assert!(image.read(u64::MAX, &mut [0; 2]).is_err());
    }

    #[test]
    fn debug_shows_no_content() {
        assert_eq!(
            format!("{:?}", Image::new(Zeroizing::new(b"canary".to_vec()))),
            "Image(6 bytes)"
        );
    }
}
