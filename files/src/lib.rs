//! Opens regular files, and refuses everything that only looks like one; creates and replaces files
//! as a whole.
//!
//! Opening a pipe instead of a file blocks until a writer comes, possibly for ever, and a
//! device can be read without end. All files that people pass to our programs, and all files
//! that our programs left behind, are opened here: nothing blocks, and anything but a regular
//! file is refused. Links are followed. Critical files are read by [`custody`], which also
//! checks their owners and permissions.

mod create;
pub mod custody;
mod holder;
mod lock;
mod replace;

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub use create::create;
pub use custody::{Custody, CustodyError};
pub use holder::Holder;
pub use lock::lock_beside;
pub use replace::replace;

/// Opens a regular file for reading. Anything else fails with [`io::ErrorKind::InvalidInput`].
pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
    open_with(OpenOptions::new().read(true), path.as_ref())
}

/// Opens an existing regular file for reading and writing.
pub fn open_writable(path: impl AsRef<Path>) -> io::Result<File> {
    open_with(OpenOptions::new().read(true).write(true), path.as_ref())
}

/// Reads a whole regular file. Fails above `limit` bytes: [`io::ErrorKind::FileTooLarge`].
pub fn read(path: impl AsRef<Path>, limit: u64) -> io::Result<Vec<u8>> {
    read_opened(open(path)?, limit)
}

/// Reads a whole regular file of UTF-8 text. Fails above `limit` bytes, as [`read`] does.
pub fn read_to_string(path: impl AsRef<Path>, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// Reads the rest of a file that was opened elsewhere, if it is a regular one.
pub fn read_opened(file: File, limit: u64) -> io::Result<Vec<u8>> {
    let file = regular(file)?;
    let length = file.metadata()?.len();
    if length > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    // Readers of secrets wipe these bytes, so the buffer must not be reallocated, leaving a copy.
    let mut bytes = Vec::with_capacity(
        usize::try_from(length)
            .unwrap_or_default()
            .saturating_add(1),
    );
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        Err(io::ErrorKind::FileTooLarge.into())
    } else {
        Ok(bytes)
    }
}

fn open_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // Has no effect on a regular file, but lets a pipe open at once, with or without a writer.
    regular(options.custom_flags(libc::O_NONBLOCK).open(path)?)
}

/// Returns the file if it is a regular one, regardless of the way it was opened.
pub fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    use super::*;

    /// Nobody writes to the pipe, and the devices never end.
    #[test]
    fn anything_but_a_regular_file_is_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(
            Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        for path in [
            &pipe,
            &link,
            dir.path(),
            Path::new("/dev/zero"),
            Path::new("/dev/tty"),
        ] {
            let (said, heard) = sync_channel(1);
            let there = path.to_path_buf();
            std::thread::spawn(move || {
                said.send((read(&there, 10), open_writable(&there).is_ok()))
            });
            let (read, writable) = heard
                .recv_timeout(Duration::from_secs(20))
                .expect("it waits");
            assert!(read.is_err() && !writable, "{}", path.display());
        }
    }

    #[test]
    fn a_file_is_read_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        let link = dir.path().join("link");
        std::fs::write(&file, "four").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read(&file, 4).unwrap(), b"four");
        assert_eq!(read_to_string(&link, 4).unwrap(), "four");
        assert_eq!(
            read(&file, 3).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        std::fs::write(&file, [0xff]).unwrap();
        assert_eq!(
            read_to_string(&file, 4).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        // Files that the system generates on reading have no length, but count as regular files.
        assert!(
            read_to_string("/proc/self/status", 1 << 20)
                .unwrap()
                .contains("Name:")
        );
    }
}
