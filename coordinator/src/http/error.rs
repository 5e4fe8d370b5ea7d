//! Errors of the API: `{"error": {"code": …, "message": …}}`. Codes are stable; messages are for people.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::api_key::Denied;
use crate::desk::SubmitError;
use crate::store::StoreError;

/// An answer that is no success.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl ApiError {
    /// An error with a stable code and a sentence that ends with what to do.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { status, code, message: message.into() }
    }

    /// The request is wrong.
    pub fn bad(code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// There is no such thing.
    pub fn missing(code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, code, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Json(json!({"error": {"code": self.code, "message": self.message}}));
        let mut response = (self.status, body).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = header::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> ApiError {
        let (status, code) = match denied {
            Denied::Unauthorised => (StatusCode::UNAUTHORIZED, "unauthorised"),
            Denied::Scope => (StatusCode::FORBIDDEN, "scope"),
        };
        ApiError::new(status, code, denied.to_string())
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> ApiError {
        let status = match &error {
            SubmitError::Conflict(_) | SubmitError::StaleWallet { .. } | SubmitError::Moving { .. } => {
                StatusCode::CONFLICT
            }
            SubmitError::Busy(_) | SubmitError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        ApiError::new(status, error.code(), error.to_string())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "store", error.to_string())
    }
}

/// Answer to an unknown path.
pub async fn no_such_path() -> ApiError {
    ApiError::missing("no-such-path", "there is nothing at this path; the API begins with /v1/tasks")
}

/// Answer to a known path with an unknown method.
pub async fn no_such_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "no-such-method",
        "this path does not know the method; use GET",
    )
}
