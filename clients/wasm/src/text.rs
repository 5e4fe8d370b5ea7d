//! Texts from elsewhere, made fit for a screen or a log.

use countersign_protocol::text;
use serde::Deserialize;

use crate::failure::Failure;

/// Text that a coordinator or a node wrote.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Foreign {
    texts: Vec<String>,
}

/// The same texts, with a blank in place of each hidden character.
pub fn clean(foreign: Foreign) -> Result<Vec<String>, Failure> {
    Ok(foreign.texts.iter().map(|one| text::clean(one)).collect())
}
