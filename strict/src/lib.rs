//! Parses YAML and JSON written by people. A document with more than one meaning is refused.
//!
//! Two parsers may disagree on which of two equal keys counts, and a reader may see only one of
//! them. So a duplicate key in a mapping is an error, at any depth and for any type. In YAML so are
//! merge keys, anchors, aliases and tags: every value must be written in its place. Errors give
//! line and column, and the nearest known key if one is misspelt.
//!
//! Where such a document names an address, [`Reach`] and [`is_this_machine`] say where it leads.
//!
//! Nothing here opens a file, and nothing is lenient.

mod error;
mod json;
mod reach;
mod read;
mod tree;

use serde::de::DeserializeOwned;

pub use error::{DocumentError, Place};
pub use json::json;
pub use reach::{Reach, is_this_machine};
pub use tree::Document;

/// Parses YAML, of which JSON is a subset.
pub fn yaml<T: DeserializeOwned>(text: &str) -> Result<T, DocumentError> {
    Document::parse(text)?.read()
}
