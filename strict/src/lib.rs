//! Parses YAML and JSON written by people. A document with more than one meaning is refused.
//!
//! Two parsers may disagree on which of two equal keys counts, and a reader may see only one of
//! them. So a duplicate key in a mapping is an error, at any depth and for any type. In YAML so are
//! merge keys, anchors, aliases and tags: every value must be written in its place. Errors give
//! line and column, and the nearest known key if one is misspelt.
//!
//! Nothing here opens a file, and nothing is lenient.

mod error;
mod json;
mod read;
mod tree;

use serde::de::DeserializeOwned;

pub use error::{DocumentError, Place};
pub use json::json;
pub use tree::Document;

/// Parses YAML, of which JSON is a subset.
pub fn yaml<T: DeserializeOwned>(text: &str) -> Result<T, DocumentError> {
    Document::parse(text)?.read()
}
