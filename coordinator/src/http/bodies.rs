//! Room for the bodies of requests, counted before they are read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, HttpBody};
use axum::http::StatusCode;
use countersign_protocol::Hash;

use super::MAX_BODY;
use super::error::ApiError;
use crate::share::has_room_for;

/// Bytes of all bodies of requests that are under way.
pub(crate) const BODIES: usize = 64 * 1024 * 1024;

/// The bytes of bodies that are under way, by API key. Each key may have as many as are left.
#[derive(Debug, Clone, Default)]
pub struct Bodies(Arc<Mutex<HashMap<Hash, usize>>>);

/// Room for one body. Dropping it frees the room.
#[derive(Debug)]
pub struct Room {
    bodies: Bodies,
    key: Hash,
    bytes: usize,
}

impl Bodies {
    /// Takes room for a body of this API key: as much as it announces, or as a body may have if it
    /// announces nothing.
    pub(super) fn enter(&self, key: Hash, body: &Body) -> Result<Room, ApiError> {
        let bytes = announced(body);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.get(&key).copied().unwrap_or_default();
        if bytes > 0 {
            if !has_room_for(bytes, BODIES, all.values().sum(), own) {
                return Err(busy(
                    "too many bodies are under way with this API key, or by all",
                ));
            }
            all.insert(key, own + bytes);
        }
        Ok(Room {
            bodies: self.clone(),
            key,
            bytes,
        })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut all = self.bodies.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = all.get_mut(&self.key) {
            *own -= self.bytes;
            if *own == 0 {
                all.remove(&self.key);
            }
        }
    }
}

fn announced(body: &Body) -> usize {
    if body.is_end_stream() {
        return 0;
    }
    let upper = body.size_hint().upper();
    let upper = upper.and_then(|bytes| usize::try_from(bytes).ok());
    upper.map_or(MAX_BODY, |bytes| bytes.min(MAX_BODY))
}

/// A refusal for want of room.
pub(super) fn busy(reason: &str) -> ApiError {
    let message = format!("{reason}; send it again later");
    ApiError::later(StatusCode::SERVICE_UNAVAILABLE, "busy", message, 1)
}
