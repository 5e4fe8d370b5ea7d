//! Places for answers that do not end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use countersign_protocol::Hash;

use super::error::ApiError;
use crate::share::has_room;

/// Streams at a time.
const STREAMS: usize = 128;

/// The streams that are open, by API key. Each key may have as many as there are places left.
#[derive(Debug, Clone, Default)]
pub struct Streams(Arc<Mutex<HashMap<Hash, usize>>>);

/// An open stream. Dropping it frees its place.
#[derive(Debug)]
pub struct Stay {
    streams: Streams,
    key: Hash,
}

impl Streams {
    /// The number of streams that are open.
    pub fn open(&self) -> usize {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.values().sum()
    }

    /// Takes a place for a stream of this API key.
    pub fn enter(&self, key: Hash) -> Result<Stay, ApiError> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.get(&key).copied().unwrap_or_default();
        if !has_room(STREAMS, open.values().sum(), own) {
            return Err(ApiError::later(
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-streams",
                "too many streams are open; close one, or read pages instead",
                5,
            ));
        }
        *open.entry(key).or_default() += 1;
        Ok(Stay {
            streams: self.clone(),
            key,
        })
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let mut open = self
            .streams
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.key) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.key);
            }
        }
    }
}
