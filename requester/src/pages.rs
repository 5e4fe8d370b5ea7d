//! The wallet book as text: a line with the version, then a line of JSON for each entry. The last
//! entry of a wallet counts, so a wallet is added or updated by appending one line, however
//! long the book is.
//!
//! An incomplete last line was left by a program that was stopped while it wrote: nobody was told
//! that it is recorded.

use std::collections::BTreeMap;

use countersign_protocol::{KeyDescriptor, KeyId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::book::Entry;

/// The version written by this program.
const VERSION: u16 = 3;
/// Number of lines, beyond two for each wallet, after which the book is rewritten.
const SPARE_LINES: usize = 64;

/// Why a wallet book cannot be read.
#[allow(missing_docs, reason = "the messages describe the variants")]
#[derive(Debug, Error)]
pub enum PagesError {
    #[error("line {line}: {error}")]
    Line {
        line: usize,
        error: serde_json::Error,
    },
    #[error("{0}")]
    Document(serde_json::Error),
    #[error("it has version {0}, this program knows {VERSION}")]
    Version(u16),
}

/// The contents of a book.
#[derive(Debug, Default)]
pub struct Pages {
    /// All complete lines. Empty: there was no file.
    text: String,
    lines: usize,
    form: Form,
    /// The newest entry of each wallet.
    pub wallets: BTreeMap<KeyId, Entry>,
}

/// Ways to continue a book.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Append one more line.
    Lines,
    /// Write it as a whole: it ends in a broken line, was written by an earlier
    /// version, or is missing.
    #[default]
    Whole,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    version: u16,
}

/// A book of version 2: one document.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PagesV2 {
    #[serde(rename = "version")]
    _version: u16,
    wallets: BTreeMap<KeyId, Entry>,
}

/// A book of version 1, which had no reasons.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PagesV1 {
    #[serde(rename = "version")]
    _version: u16,
    wallets: BTreeMap<KeyId, KeyDescriptor>,
}

#[derive(Debug, Deserialize)]
struct AnyVersion {
    version: u16,
}

impl Pages {
    /// Reads a whole book.
    pub fn parse(text: &str) -> Result<Self, PagesError> {
        match text
            .split_once('\n')
            .map(|(head, _)| serde_json::from_str::<Head>(head))
        {
            Some(Ok(Head { version: VERSION })) => {}
            Some(Ok(Head { version })) => return Err(PagesError::Version(version)),
            Some(Err(_)) | None => return Self::parse_document(text),
        }
        let end = text.find('\n').map_or(0, |end| end + 1);
        let head = text[..end].to_owned();
        let mut pages = Self {
            text: head,
            lines: 1,
            form: Form::Lines,
            wallets: BTreeMap::new(),
        };
        pages.follow(text)?;
        Ok(pages)
    }

    /// Reads what was appended to the book, and returns the wallets concerned. `None`:
    /// this is another book.
    pub fn follow(&mut self, text: &str) -> Result<Option<Vec<KeyId>>, PagesError> {
        if self.text == text {
            return Ok(Some(Vec::new()));
        }
        let Some(added) = text.strip_prefix(&self.text).filter(|_| self.lines > 0) else {
            return Ok(None);
        };
        let mut changed = Vec::new();
        let mut read = self.text.len();
        self.form = Form::Lines;
        for line in added.split_inclusive('\n') {
            if !line.ends_with('\n') {
                self.form = Form::Whole;
                break;
            }
            let number = self.lines + 1;
            let entry: Entry = serde_json::from_str(line).map_err(|error| PagesError::Line {
                line: number,
                error,
            })?;
            (self.lines, read) = (number, read + line.len());
            changed.push(entry.wallet.key);
            self.wallets.insert(entry.wallet.key, entry);
        }
        self.text.push_str(&text[self.text.len()..read]);
        Ok(Some(changed))
    }

    fn parse_document(text: &str) -> Result<Self, PagesError> {
        let wallets = match serde_json::from_str::<AnyVersion>(text)
            .map_err(PagesError::Document)?
            .version
        {
            1 => {
                let old: PagesV1 = serde_json::from_str(text).map_err(PagesError::Document)?;
                let entry = |(id, wallet)| {
                    (
                        id,
                        Entry {
                            wallet,
                            belief: None,
                            earlier: Vec::new(),
                        },
                    )
                };
                old.wallets.into_iter().map(entry).collect()
            }
            2 => {
                serde_json::from_str::<PagesV2>(text)
                    .map_err(PagesError::Document)?
                    .wallets
            }
            other => return Err(PagesError::Version(other)),
        };
        Ok(Self {
            text: text.into(),
            lines: 0,
            form: Form::Whole,
            wallets,
        })
    }

    /// The line to append for an entry, or nothing if the book has to be rewritten.
    pub fn line(&self, entry: &Entry) -> serde_json::Result<Option<String>> {
        if self.form == Form::Whole || self.lines > 2 * self.wallets.len() + SPARE_LINES {
            return Ok(None);
        }
        Ok(Some(serde_json::to_string(entry)? + "\n"))
    }

    /// Takes in a [line](Self::line) that the caller has appended to the book.
    pub fn appended(&mut self, line: &str, entry: Entry) {
        self.text += line;
        self.lines += 1;
        self.wallets.insert(entry.wallet.key, entry);
    }

    /// All complete lines; empty if there was no file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The whole book with this entry in it.
    pub fn with(&self, entry: &Entry) -> serde_json::Result<String> {
        let mut text = serde_json::to_string(&Head { version: VERSION })? + "\n";
        let others = self
            .wallets
            .iter()
            .filter(|(id, _)| **id != entry.wallet.key)
            .map(|(_, other)| other);
        for entry in others.chain([entry]) {
            text += &serde_json::to_string(entry)?;
            text.push('\n');
        }
        Ok(text)
    }
}
