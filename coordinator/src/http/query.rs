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
        let Query(params) = query.map_err(|error| {
            ApiError::bad(
                "query-malformed",
                format!("{}; correct the query", error.body_text()),
            )
        })?;
        Ok(Self(params))
    }
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

/// Reads a cursor, which is opaque to callers.
pub fn cursor<T: FromStr>(text: Option<&str>) -> Result<Option<T>, ApiError> {
    let unknown = |_| {
        ApiError::bad(
            "cursor-malformed",
            "the cursor is not one of this list; take it from `next` of a page, or leave it out",
        )
    };
    text.map(str::parse).transpose().map_err(unknown)
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
