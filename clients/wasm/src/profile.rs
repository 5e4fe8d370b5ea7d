//! The profile.

use countersign_requester::Profile;
use serde::Deserialize;

use crate::failure::Failure;

/// The text of a profile.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    text: String,
}

/// Reads a profile. Its paths stay as they are written.
pub fn read(Read { text }: Read) -> Result<Profile, Failure> {
    Profile::parse(&text)
        .map_err(|error| Failure::new("file", format!("{error}; correct the profile")))
}
