//! Queries: lists of words, and cursors.

use std::str::FromStr;

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, IntoDeserializer};

use super::error::ApiError;

/// Entries of a page, unless the caller asks for another number.
pub const PAGE: usize = 50;
/// The longest page.
pub const MAX_PAGE: usize = 200;
/// The longest list of words in a query.
const MAX_WORDS: usize = 100;

/// The query of a request. Unknown and repeated parameters are refused.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        let Query(params) = query.map_err(|error| malformed(&error))?;
        Ok(Self(params))
    }
}

/// The innermost cause names the parameter.
fn malformed(error: &QueryRejection) -> ApiError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let message = format!("the query cannot be read ({cause}); correct it");
    ApiError::bad("query-malformed", message)
}

/// Deserializes words that are separated by commas.
pub fn words<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let text = String::deserialize(deserializer)?;
    if text.split(',').count() > MAX_WORDS {
        let message = format_args!("more than {MAX_WORDS} words in a list").to_string();
        return Err(D::Error::custom(message));
    }
    let word = |word: &str| T::deserialize(word.into_deserializer());
    text.split(',')
        .map(word)
        .collect::<Result<_, _>>()
        .map(Some)
}

/// A list whose cursors are places. They are opaque to callers, and each list refuses those of all
/// others. The first release gave out plain numbers in every list; programs have kept them, and
/// nothing tells of which list they were.
#[derive(Debug, Clone, Copy)]
pub struct Places(&'static str);

impl Places {
    /// Events have had plain numbers from the beginning, also in deliveries and in the store.
    pub const EVENTS: Self = Self("");
    /// The list of tasks.
    pub const TASKS: Self = Self("tasks-");
    /// The list of a webhook's deliveries.
    pub const DELIVERIES: Self = Self("deliveries-");
    /// The audit log.
    pub const AUDIT: Self = Self("audit-");

    /// The cursor of a place.
    pub fn cursor(self, place: u64) -> String {
        format!("{}{place}", self.0)
    }

    /// The place of a cursor.
    pub fn read(self, text: Option<&str>) -> Result<Option<u64>, ApiError> {
        let read = |text: &str| {
            let number = text.strip_prefix(self.0).unwrap_or(text);
            let place: u64 = number.parse().ok()?;
            let written = [self.cursor(place), place.to_string()];
            written
                .iter()
                .any(|written| *written == *text)
                .then_some(place)
        };
        text.map(|text| read(text).ok_or_else(not_of_this_list))
            .transpose()
    }

    /// The place of a cursor of a list that is read from the newest entry on.
    pub fn before(self, text: Option<&str>, newest: u64) -> Result<Option<u64>, ApiError> {
        match self.read(text)? {
            Some(place) if place > newest => Err(not_of_this_list()),
            place => Ok(place),
        }
    }
}

/// Reads a cursor that is the id of an entry, as it is written.
pub fn entry<T: FromStr + ToString>(text: Option<&str>) -> Result<Option<T>, ApiError> {
    let read = |text: &str| {
        let id: T = text.parse().ok()?;
        (id.to_string() == text).then_some(id)
    };
    text.map(|text| read(text).ok_or_else(not_of_this_list))
        .transpose()
}

fn not_of_this_list() -> ApiError {
    ApiError::bad(
        "cursor-malformed",
        "the cursor is not one of this list; take it from `next` of a page, or leave it out",
    )
}

/// The number of entries of a page.
pub fn page_size(limit: Option<usize>) -> Result<usize, ApiError> {
    match limit.unwrap_or(PAGE) {
        limit @ 1..=MAX_PAGE => Ok(limit),
        _ => Err(ApiError::bad(
            "query-malformed",
            format!("`limit` is out of range; choose 1 to {MAX_PAGE}"),
        )),
    }
}
