//! Reads YAML and JSON that people write, so that a document means one thing or is refused.
//!
//! Two readers may disagree on which of two equal keys counts, and a person sees only one of them.
//! So a key that stands twice in a mapping is an error at any depth, whatever type is read. In YAML
//! so are merge keys, anchors, aliases and tags: what a place says must stand there. Errors give
//! line and column, and the nearest key where one is misspelt.
//!
//! Nothing here reads a file, and nothing is lenient.

mod error;
mod json;
mod read;
mod tree;

use serde::de::DeserializeOwned;

pub use error::{DocumentError, Place};
pub use json::json;
pub use tree::Document;

/// Reads YAML, of which JSON is a part.
pub fn yaml<T: DeserializeOwned>(text: &str) -> Result<T, DocumentError> {
    Document::parse(text)?.read()
}
