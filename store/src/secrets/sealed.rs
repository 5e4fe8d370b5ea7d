//! The store's files as they are on the disk: private, sealed to the node, and with a trailer.

use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use super::error::OpenError;
use crate::files::{self, NotPrivate};
use crate::seal::{NodeKey, Unsealed};
use crate::trailer::{self, BadTrailer, Kind};

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 4 << 30;

/// Decrypts one of the store's files. Returns the plaintext with its trailer, the length of the
/// image in it, and the generation.
pub(super) fn open_private(
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

pub(super) fn read_private(path: &Path) -> Result<Vec<u8>, OpenError> {
    files::check_private(path).map_err(|error| match error {
        NotPrivate::Io(error) if error.kind() == io::ErrorKind::NotFound => {
            OpenError::Missing { path: path.into() }
        }
        other => OpenError::private(path, other),
    })?;
    countersign_files::read(path, MAX_FILE).map_err(OpenError::io(path))
}
