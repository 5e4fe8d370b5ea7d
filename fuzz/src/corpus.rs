//! The kept inputs of a target: `corpus/<name>.txt`, one a line in hexadecimal. Text after
//! `#` is for people.
//!
//! One text for each target rather than a file for each input, so that a change of a
//! corpus can be reviewed.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::Target;

/// The inputs of one target.
#[derive(Debug, Default)]
pub struct Corpus(BTreeSet<Vec<u8>>);

/// Why a corpus was not read or written.
#[allow(missing_docs, reason = "the variants are named for what they say")]
#[derive(Debug)]
pub enum CorpusError {
    Io(PathBuf, io::Error),
    /// A line that is not hexadecimal; counted from 1.
    Line(PathBuf, usize),
}

impl std::fmt::Display for CorpusError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Line(path, line) => {
                write!(
                    f,
                    "{}:{line}: write an input in hexadecimal, or a comment after #",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for CorpusError {}

impl Corpus {
    /// Reads the corpus of `target`; empty if there is no file.
    pub fn kept(target: &Target) -> Result<Self, CorpusError> {
        let path = path(target);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(CorpusError::Io(path, error)),
        };
        let lines = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim())
            .enumerate();
        let inputs = lines
            .filter(|(_, line)| !line.is_empty())
            .map(|(index, line)| {
                hex::decode(line).map_err(|_| CorpusError::Line(path.clone(), index + 1))
            });
        Ok(Self(inputs.collect::<Result<_, _>>()?))
    }

    /// Adds the seeds of `target`.
    pub fn with_seeds(mut self, target: &Target) -> Self {
        self.0.extend((target.seeds)());
        self
    }

    /// All inputs, the shortest first.
    pub fn inputs(&self) -> Vec<&[u8]> {
        let mut inputs: Vec<&[u8]> = self.0.iter().map(Vec::as_slice).collect();
        inputs.sort_by_key(|input| input.len());
        inputs
    }

    /// Writes each input into a file of its own, as libFuzzer wants it.
    pub fn unpack(&self, dir: &Path) -> Result<(), CorpusError> {
        let failed = |error| CorpusError::Io(dir.to_path_buf(), error);
        std::fs::create_dir_all(dir).map_err(failed)?;
        (0..)
            .zip(&self.0)
            .try_for_each(|(number, input): (u32, _)| {
                std::fs::write(dir.join(format!("kept-{number:04}")), input).map_err(failed)
            })
    }
}

/// The corpus file of `target`.
fn path(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(format!("{}.txt", target.name))
}
