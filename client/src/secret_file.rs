//! Files of secrets, readable by their owner alone.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::ClientError;

/// Size limit of secret files in bytes.
const MAX_SECRET: usize = 1024;

/// Writes a secret as the one line of a new file of mode 0600. An existing file is left alone.
pub(crate) fn create_secret(path: &Path, secret: &str) -> Result<(), ClientError> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let written = file.and_then(|mut file| {
        file.write_all(secret.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    });
    written.map_err(|error| {
        unusable(
            path,
            &error,
            "choose a new file in a directory that you may write",
        )
    })
}

/// Reads a small secret file that only its owner can read.
pub(crate) fn read_secret(
    path: &Path,
    advice: &'static str,
) -> Result<Zeroizing<String>, ClientError> {
    let file = countersign_files::open(path).map_err(|error| unusable(path, &error, advice))?;
    let mode = file
        .metadata()
        .map_err(|error| unusable(path, &error, advice))?
        .mode();
    if mode & 0o077 != 0 {
        let advice = "run `chmod 600` on it, and make a new one if it may have leaked";
        return Err(ClientError::File {
            path: path.into(),
            reason: "others can read this secret".into(),
            advice,
        });
    }
    let mut text = Zeroizing::new(String::with_capacity(MAX_SECRET));
    file.take(MAX_SECRET as u64)
        .read_to_string(&mut text)
        .map_err(|error| unusable(path, &error, advice))?;
    Ok(text)
}

fn unusable(path: &Path, error: &std::io::Error, advice: &'static str) -> ClientError {
    ClientError::File {
        path: path.into(),
        reason: error.to_string(),
        advice,
    }
}
