//! The section `log` of a configuration.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tracing::Level;

/// Levels by name; these are all that the documentation lists.
const LEVELS: [(&str, Level); 4] = [
    ("error", Level::ERROR),
    ("warn", Level::WARN),
    ("info", Level::INFO),
    ("debug", Level::DEBUG),
];
/// Formats by name.
const FORMATS: [(&str, Format); 3] = [
    ("text", Format::Text),
    ("json", Format::Json),
    ("logfmt", Format::Logfmt),
];
/// Unit of `maxsize` in bytes.
const MEGABYTE: u64 = 1 << 20;
const MAX_SIZE: u64 = 10_000;
const MAX_BACKUPS: u64 = 1_000;

/// The section as an operator writes it.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct RawLog {
    /// Lines on standard error.
    pub std: RawStd,
    /// Lines in a file.
    pub file: RawFile,
}

/// The section `log.std`.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct RawStd {
    /// Turns the output on. Default: true.
    pub enable: bool,
    /// `error`, `warn`, `info` or `debug`. Default: `info`.
    pub level: String,
    /// `text`, `json` or `logfmt`. Default: `text`.
    pub format: String,
}

/// The section `log.file`.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct RawFile {
    /// Turns the output on. Default: false.
    pub enable: bool,
    /// `error`, `warn`, `info` or `debug`. Default: `info`.
    pub level: String,
    /// `text`, `json` or `logfmt`. Default: `logfmt`.
    pub format: String,
    /// Path, relative to the configuration file. Default: a file in `logs`, named after the
    /// service.
    pub filename: Option<PathBuf>,
    /// Largest size in megabytes. Default: 100.
    pub maxsize: u64,
    /// Number of earlier files that are kept. Default: 10.
    pub max_backups: u64,
}

impl Default for RawStd {
    fn default() -> Self {
        Self {
            enable: true,
            level: "info".into(),
            format: "text".into(),
        }
    }
}

impl Default for RawFile {
    fn default() -> Self {
        Self {
            enable: false,
            level: "info".into(),
            format: "logfmt".into(),
            filename: None,
            maxsize: 100,
            max_backups: 10,
        }
    }
}

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people, with colours on a terminal.
    Text,
    /// One JSON object.
    Json,
    /// `key=value` pairs.
    Logfmt,
}

/// The level and the format of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSettings {
    /// The least severe level that is written.
    pub level: Level,
    /// The form of each line.
    pub format: Format,
}

/// A file of limited size, and its predecessors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSettings {
    /// Its level and format.
    pub output: OutputSettings,
    /// The file. Its predecessors lie beside it, with `.1` and so on at the end.
    pub path: PathBuf,
    /// Largest size in bytes.
    pub limit: u64,
    /// Number of predecessors that are kept.
    pub backups: u64,
}

/// The validated section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Lines on standard error; `None`: none.
    pub std: Option<OutputSettings>,
    /// Lines in a file; `None`: none.
    pub file: Option<FileSettings>,
}

/// The section cannot be used.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum SettingsError {
    /// The text is not a level.
    #[error("log.{output}.level is `{level}`; choose error, warn, info or debug")]
    Level {
        /// `std` or `file`.
        output: &'static str,
        /// The text.
        level: String,
    },
    /// The text is not a format.
    #[error("log.{output}.format is `{format}`; choose text, json or logfmt")]
    Format {
        /// `std` or `file`.
        output: &'static str,
        /// The text.
        format: String,
    },
    /// A number is too small or too large.
    #[error("log.file.{key} is {value}; choose from {from} to {to}")]
    Range {
        /// `maxsize` or `max_backups`.
        key: &'static str,
        /// The number.
        value: u64,
        /// The smallest possible value.
        from: u64,
        /// The largest possible value.
        to: u64,
    },
}

impl RawLog {
    /// Validates the section. `base` is the folder of the configuration, and `service` the name of
    /// the program.
    ///
    /// # Errors
    ///
    /// If a value is not among those allowed. Outputs that are turned off are not looked at.
    pub fn settings(&self, base: &Path, service: &str) -> Result<Settings, SettingsError> {
        let RawStd {
            enable,
            level,
            format,
        } = &self.std;
        let std = enable.then(|| output("std", level, format)).transpose()?;
        let file = &self.file;
        let file = file.enable.then(|| file.settings(base, service));
        Ok(Settings {
            std,
            file: file.transpose()?,
        })
    }
}

impl RawFile {
    fn settings(&self, base: &Path, service: &str) -> Result<FileSettings, SettingsError> {
        let path = match &self.filename {
            Some(path) => base.join(path),
            None => base.join(format!("logs/{service}.log")),
        };
        Ok(FileSettings {
            output: output("file", &self.level, &self.format)?,
            path,
            limit: within("maxsize", self.maxsize, 1, MAX_SIZE)? * MEGABYTE,
            backups: within("max_backups", self.max_backups, 0, MAX_BACKUPS)?,
        })
    }
}

fn output(
    output: &'static str,
    level: &str,
    format: &str,
) -> Result<OutputSettings, SettingsError> {
    let no_level = || SettingsError::Level {
        output,
        level: level.into(),
    };
    let no_format = || SettingsError::Format {
        output,
        format: format.into(),
    };
    Ok(OutputSettings {
        level: named(&LEVELS, level).ok_or_else(no_level)?,
        format: named(&FORMATS, format).ok_or_else(no_format)?,
    })
}

fn named<T: Copy>(known: &[(&str, T)], wanted: &str) -> Option<T> {
    let found = known
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    found.map(|(_, value)| *value)
}

fn within(key: &'static str, value: u64, from: u64, to: u64) -> Result<u64, SettingsError> {
    let error = SettingsError::Range {
        key,
        value,
        from,
        to,
    };
    (from..=to).contains(&value).then_some(value).ok_or(error)
}
