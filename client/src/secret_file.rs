//! Files of secrets, readable by their owner alone.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::ClientError;

/// Size limit of secret files in bytes.
const MAX_SECRET: u64 = 1024;

/// Writes a secret as the one line of a new file of mode 0600. An existing file is left alone. If
/// this returns, the file survives a power cut; if it fails, there is none.
pub(crate) fn create_secret(path: &Path, secret: &str) -> Result<(), ClientError> {
    let line = Zeroizing::new(format!("{secret}\n"));
    countersign_files::create(path, line.as_bytes()).map_err(|error| {
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
    let bytes = countersign_files::read_opened(file, MAX_SECRET);
    let bytes = Zeroizing::new(bytes.map_err(|error| unusable(path, &error, advice))?);
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| unusable(path, &std::io::ErrorKind::InvalidData.into(), advice))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn unusable(path: &Path, error: &std::io::Error, advice: &'static str) -> ClientError {
    ClientError::File {
        path: path.into(),
        reason: error.to_string(),
        advice,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_is_too_long_is_refused_rather_than_cut() {
        let dir = tempfile::tempdir().unwrap();
        for (length, read) in [(1_023, true), (1_024, false)] {
            let path = dir.path().join(length.to_string());
            create_secret(&path, &"a".repeat(length)).unwrap();
            assert_eq!(
                read_secret(&path, "do").is_ok(),
                read,
                "{length} and a line feed"
            );
        }
    }
}
