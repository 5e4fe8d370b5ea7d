//! The requester's key in its file.

use countersign_requester::RequesterKey as Key;
use zeroize::Zeroizing;

use crate::key_file::{KeyFile, Role};

/// Signs tasks. Not `Clone`, not printable; its memory is wiped on drop.
pub type RequesterKey = KeyFile<Key>;

impl Role for Key {
    const WHAT: &'static str = "a requester key";
    const IF_ABSENT: &'static str =
        "make one with `countersign requester new`, or correct the profile";
    const IF_OTHER: &'static str =
        "restore it from a backup, or make a new one with `countersign requester new`";

    fn shown_id(&self) -> String {
        self.id().to_string()
    }

    fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        Self::from_seed(seed).ok()
    }

    fn text_of(seed: &[u8; 32]) -> Option<Zeroizing<String>> {
        Self::text_of(seed).ok()
    }

    fn parse(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }
}
