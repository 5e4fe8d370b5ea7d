//! The programs that a process is started from: those of this build, or of an earlier release.

use std::path::PathBuf;

use crate::process;

/// A set of programs that belong together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Release {
    /// This build.
    #[default]
    Today,
    /// The programs in this folder.
    Earlier(PathBuf),
}

impl Release {
    /// Path of one of its programs.
    pub fn program(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = match self {
            Self::Today => return process::program(name),
            Self::Earlier(folder) => folder,
        };
        let path = folder.join(name);
        anyhow::ensure!(
            path.exists(),
            "{} does not exist; give the folder with the programs of the earlier release",
            path.display()
        );
        Ok(path)
    }
}
