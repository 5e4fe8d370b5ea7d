//! JSON bodies, read strictly.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// A JSON body. Unknown fields and repeated keys are refused.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|error| malformed(&error.body_text()))?;
        countersign_strict::json(&bytes)
            .map(Self)
            .map_err(|error| malformed(&error.to_string()))
    }
}

fn malformed(reason: &str) -> ApiError {
    ApiError::bad(
        "body-malformed",
        format!("the body cannot be read ({reason}); correct it"),
    )
}
