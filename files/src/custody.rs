//! Reads critical files only if nobody but their operator could have written them: each file, each
//! folder on the way to it and each link must belong to root or to the user that runs this program,
//! and nobody else may be able to write it.
//!
//! A world-writable folder is accepted if it has the sticky bit, like `/tmp`: others can neither
//! remove nor rename files of root or of this user there, and files of anybody else are refused.
//! The path is walked by descriptors from `/`, including links, and the checked object is the
//! opened one, so nothing can be exchanged between check and use. Access control lists count, since
//! their mask shows up in the mode as the rights of the group.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use countersign_system::{LOOK, link_target};
use rustix::fs::{Mode, OFlags, openat};

use crate::{read, read_opened};

/// Maximum number of links followed on the way to one file, as in Linux.
const LINKS: usize = 40;
/// Write permission for the group and for others.
const OTHERS_WRITE: u32 = 0o022;
/// All permissions of the group and of others.
const OTHERS: u32 = 0o077;
const STICKY: u32 = 0o1000;

/// The requirement on a file's custody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Custody {
    /// The file is critical, so only its operator may be able to write it.
    Operator,
    /// The file is not critical, for instance while an author tries something out.
    #[default]
    Anyone,
}

/// The reason why a file was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CustodyError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Others could have written the file.
    #[error(
        "{path} may be written by more than its owner (mode {mode:o}), so somebody else could change it; look \
         at its contents, then run `chmod go-w {path}`", path = path.display()
    )]
    Writable {
        /// The file, or the folder or link on the way to it.
        path: PathBuf,
        /// The permission bits of that object.
        mode: u32,
    },
    /// Others can read the secret in the file.
    #[error(
        "{path} may be read by more than its owner (mode {mode:o}); run `chmod 600 {path}`, and replace the \
         secret if it may have leaked", path = path.display()
    )]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file belongs to another user.
    #[error(
        "{path} belongs to user {owner}, but must belong to root or to the user that runs this program \
         ({me} here); look at its contents, then change its owner with `chown`, or run this as user {owner}", path = path.display()
    )]
    Foreign {
        /// The file, or the folder or link on the way to it.
        path: PathBuf,
        /// The user id of the object's owner.
        owner: u32,
        /// The user id of this process.
        me: u32,
    },
}

impl Custody {
    /// Reads the whole regular file at `path`, following links. More than
    /// `limit` bytes are [`io::ErrorKind::FileTooLarge`].
    pub fn read(self, path: &Path, limit: u64) -> Result<Vec<u8>, CustodyError> {
        match self {
            Self::Anyone => Ok(read(path, limit)?),
            Self::Operator => Ok(read_opened(Walk::as_this_user().to(path)?, limit)?),
        }
    }
}

/// Reads the whole secret at `path` as [`Custody::Operator`] does, if nobody but its owner can read
/// it.
pub fn read_secret(path: &Path, limit: u64) -> Result<Vec<u8>, CustodyError> {
    let file = Walk::as_this_user().to(path)?;
    let mode = file.metadata()?.mode();
    if mode & OTHERS != 0 {
        return Err(CustodyError::Readable {
            path: path.into(),
            mode: mode & 0o7777,
        });
    }
    Ok(read_opened(file, limit)?)
}

/// Opens the folder at `path`, following links, if only its operator can write it.
pub fn open_folder(path: &Path) -> Result<File, CustodyError> {
    let folder = Walk::as_this_user().to(path)?;
    if folder.metadata()?.is_dir() {
        Ok(folder)
    } else {
        Err(io::Error::from(io::ErrorKind::NotADirectory).into())
    }
}

/// Checks that only its operator can write `file`, which was opened at `place`. The path to
/// it is not checked.
pub fn check_opened(file: &File, place: &Path) -> Result<(), CustodyError> {
    Walk {
        at: place.into(),
        ..Walk::as_this_user()
    }
    .check(file)
}

/// The walk from `/` to a file.
struct Walk {
    /// The user besides root that files may belong to.
    me: u32,
    /// The names that are still to be walked.
    ahead: VecDeque<OsString>,
    /// The current place, for messages.
    at: PathBuf,
    links: usize,
}

impl Walk {
    fn as_this_user() -> Self {
        Self::of(rustix::process::geteuid().as_raw())
    }

    fn of(me: u32) -> Self {
        Self {
            me,
            ahead: VecDeque::new(),
            at: PathBuf::new(),
            links: 0,
        }
    }

    /// Opens the object at `path` for reading.
    fn to(mut self, path: &Path) -> Result<File, CustodyError> {
        let mut here = self.start_from_root(&std::path::absolute(path)?)?;
        while let Some(name) = self.ahead.pop_front() {
            here = self.step(here, &name)?;
        }
        Ok(here)
    }

    /// Walks one name further: into a folder, to the start of a link's target, or to the file.
    fn step(&mut self, here: File, name: &OsStr) -> Result<File, CustodyError> {
        let place = self.at.join(name);
        let found = File::from(openat(&here, name, LOOK, Mode::empty()).map_err(io::Error::from)?);
        let seen = found.metadata()?;
        if seen.is_symlink() {
            self.check_owner(&place, seen.uid())?;
            return self.follow(here, &link_target(&found)?);
        }
        // Only the checked descriptor is used from here on.
        let opened = if self.ahead.is_empty() {
            File::from(openat(&here, name, to_read(), Mode::empty()).map_err(io::Error::from)?)
        } else {
            found
        };
        self.at = if name == ".." {
            self.at.parent().unwrap_or(Path::new("/")).into()
        } else {
            place
        };
        self.check(&opened)?;
        Ok(opened)
    }

    fn follow(&mut self, here: File, target: &Path) -> Result<File, CustodyError> {
        self.links += 1;
        if self.links > LINKS {
            return Err(io::Error::from(rustix::io::Errno::LOOP).into());
        }
        if target.is_absolute() {
            return self.start_from_root(target);
        }
        self.put_ahead(target);
        Ok(here)
    }

    fn start_from_root(&mut self, path: &Path) -> Result<File, CustodyError> {
        self.put_ahead(path);
        self.at = "/".into();
        let flags = if self.ahead.is_empty() {
            to_read()
        } else {
            LOOK
        };
        let root =
            File::from(rustix::fs::open("/", flags, Mode::empty()).map_err(io::Error::from)?);
        self.check(&root)?;
        Ok(root)
    }

    fn put_ahead(&mut self, path: &Path) {
        let names = path.components().filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        });
        let names: Vec<_> = names.collect();
        names
            .into_iter()
            .rev()
            .for_each(|name| self.ahead.push_front(name));
    }

    /// Checks that only the operator can write the object opened here.
    fn check(&self, opened: &File) -> Result<(), CustodyError> {
        let seen = opened.metadata()?;
        self.check_owner(&self.at, seen.uid())?;
        let passed = seen.is_dir() && seen.mode() & STICKY != 0 && !self.ahead.is_empty();
        if seen.mode() & OTHERS_WRITE != 0 && !passed {
            Err(CustodyError::Writable {
                path: self.at.clone(),
                mode: seen.mode() & 0o7777,
            })
        } else {
            Ok(())
        }
    }

    fn check_owner(&self, place: &Path, owner: u32) -> Result<(), CustodyError> {
        if owner == 0 || owner == self.me {
            Ok(())
        } else {
            Err(CustodyError::Foreign {
                path: place.into(),
                owner,
                me: self.me,
            })
        }
    }
}

/// Flags to read a file: pipes do not block, and a link that replaced the file is not followed.
fn to_read() -> OFlags {
    OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    /// A folder of ours with a file of ours, each with the given mode.
    fn world() -> (tempfile::TempDir, PathBuf) {
        let private = PermissionsExt::from_mode(0o755);
        let dir = tempfile::Builder::new()
            .permissions(private)
            .tempdir()
            .unwrap();
        let file = dir.path().join("key.pem");
        std::fs::write(&file, "key").unwrap();
        chmod(&file, 0o644);
        (dir, file)
    }

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    fn kept(path: &Path) -> Result<Vec<u8>, CustodyError> {
        Custody::Operator.read(path, 100)
    }

    #[test]
    fn what_is_the_operators_alone_is_read_through_links_too() {
        let (dir, file) = world();
        assert_eq!(kept(&file).unwrap(), b"key");
        let way = dir.path().join("way");
        symlink(dir.path(), &way).unwrap();
        symlink("way/../key.pem", dir.path().join("roundabout")).unwrap();
        symlink("./key.pem", dir.path().join("beside")).unwrap();
        assert_eq!(kept(&way.join("beside")).unwrap(), b"key");
        let parent = dir.path().file_name().unwrap();
        assert_eq!(
            kept(&dir.path().join("..").join(parent).join("key.pem")).unwrap(),
            b"key"
        );
        assert!(matches!(
            kept(&dir.path().join("none")),
            Err(CustodyError::Io(_))
        ));
        assert!(
            matches!(kept(dir.path()), Err(CustodyError::Io(_))),
            "a folder"
        );
        symlink("circle", dir.path().join("circle")).unwrap();
        assert!(matches!(
            kept(&dir.path().join("circle")),
            Err(CustodyError::Io(_))
        ));
    }

    #[test]
    fn what_others_may_write_is_refused_wherever_it_lies_on_the_way() {
        for mode in [0o664, 0o646, 0o666] {
            let (_dir, file) = world();
            chmod(&file, mode);
            let error = kept(&file).unwrap_err();
            assert!(
                matches!(&error, CustodyError::Writable { path, .. } if *path == file),
                "{error}"
            );
            assert!(error.to_string().contains("chmod go-w"), "{error}");
        }
        for mode in [0o775, 0o757, 0o777] {
            let (dir, file) = world();
            chmod(dir.path(), mode);
            assert!(
                matches!(kept(&file), Err(CustodyError::Writable { .. })),
                "{mode:o}"
            );
        }
        let (dir, _) = world();
        let (elsewhere, file) = world();
        symlink(&file, dir.path().join("link")).unwrap();
        chmod(elsewhere.path(), 0o777);
        let behind = kept(&dir.path().join("link")).unwrap_err();
        assert!(matches!(behind, CustodyError::Writable { path, .. } if path == elsewhere.path()));
    }

    #[test]
    fn a_sticky_folder_is_passed_and_never_holds_files_that_we_write() {
        let (dir, file) = world();
        chmod(dir.path(), 0o1777);
        assert_eq!(kept(&file).unwrap(), b"key");
        assert!(matches!(
            open_folder(dir.path()),
            Err(CustodyError::Writable { .. })
        ));
        chmod(dir.path(), 0o700);
        assert!(open_folder(dir.path()).is_ok());
        assert!(open_folder(&file).is_err());
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let (dir, file) = world();
        for mode in [0o644, 0o640, 0o604, 0o610] {
            chmod(&file, mode);
            let error = read_secret(&file, 100).unwrap_err();
            assert!(matches!(error, CustodyError::Readable { .. }), "{error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        for mode in [0o600, 0o400] {
            chmod(&file, mode);
            assert_eq!(read_secret(&file, 100).unwrap(), b"key");
        }
        chmod(dir.path(), 0o777);
        let error = read_secret(&file, 100).unwrap_err();
        assert!(matches!(error, CustodyError::Writable { .. }), "{error}");
    }

    /// Only root can give files away; for others there is nothing to test.
    #[test]
    fn what_belongs_to_somebody_else_is_refused() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("skipped: needs root");
        }
        let foreign = |at: &dyn Fn(&Path) -> PathBuf| {
            let (dir, file) = world();
            let link = dir.path().join("link");
            symlink(&file, &link).unwrap();
            std::os::unix::fs::lchown(at(dir.path()), Some(65_534), Some(65_534)).unwrap();
            let error = kept(&link).unwrap_err();
            assert!(
                matches!(
                    error,
                    CustodyError::Foreign {
                        owner: 65_534,
                        me: 0,
                        ..
                    }
                ),
                "{error}"
            );
            // For that user it is its own, as long as everything on the way is root's.
            assert!(Walk::of(65_534).to(&link).is_ok());
        };
        foreign(&|dir| dir.to_path_buf());
        foreign(&|dir| dir.join("key.pem"));
        foreign(&|dir| dir.join("link"));
        let (dir, file) = world();
        chmod(dir.path(), 0o1777);
        chown(&file, Some(65_534), None).unwrap();
        assert!(
            matches!(kept(&file), Err(CustodyError::Foreign { .. })),
            "planted in a sticky folder"
        );
    }

    #[test]
    fn a_pipe_is_not_waited_for_and_a_long_file_not_read() {
        let (dir, file) = world();
        let pipe = dir.path().join("pipe");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        chmod(&pipe, 0o600);
        assert!(matches!(kept(&pipe), Err(CustodyError::Io(_))));
        let long = Custody::Operator.read(&file, 2).unwrap_err();
        assert!(
            matches!(long, CustodyError::Io(error) if error.kind() == io::ErrorKind::FileTooLarge)
        );
    }
}
