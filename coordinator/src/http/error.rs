//! Errors of the API: `{"error": {"code": …, "message": …}}`. Codes are stable;
//! messages are for people.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::api_key::Denied;
use crate::registry::{IntakeError, SubmitError};
use crate::store::StoreError;

/// `Retry-After` of refusals for lack of room: some tasks will have ended by then.
const BUSY_SECONDS: u32 = 5;

/// A response other than success.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Seconds after which the request may succeed.
    retry_after: Option<u32>,
}

impl ApiError {
    /// Creates an error with a stable code and a sentence that ends with what to do.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after: None,
        }
    }

    /// A refusal of a request that may be repeated later.
    pub fn later(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        seconds: u32,
    ) -> Self {
        Self {
            retry_after: Some(seconds),
            ..Self::new(status, code, message)
        }
    }

    /// 400 Bad Request.
    pub fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 404 Not Found.
    pub fn missing(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Json(json!({"error": {"code": self.code, "message": self.message}}));
        let mut response = (self.status, body).into_response();
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = header::HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unauthorised => {
                Self::new(StatusCode::UNAUTHORIZED, "unauthorised", denied.to_string())
            }
            Denied::Scope => Self::new(StatusCode::FORBIDDEN, "scope", denied.to_string()),
            Denied::Crowded => Self::later(
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-requests",
                denied.to_string(),
                1,
            ),
        }
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        let status = match &error {
            SubmitError::Conflict(_)
            | SubmitError::StaleWallet { .. }
            | SubmitError::Moving { .. } => StatusCode::CONFLICT,
            SubmitError::Busy(_) | SubmitError::Share(_) | SubmitError::Store(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::BAD_REQUEST,
        };
        let retry_after =
            matches!(error, SubmitError::Busy(_) | SubmitError::Share(_)).then_some(BUSY_SECONDS);
        Self {
            retry_after,
            ..Self::new(status, error.code(), error.to_string())
        }
    }
}

impl From<IntakeError> for ApiError {
    fn from(error: IntakeError) -> Self {
        let status = match &error {
            IntakeError::Conflict { .. } => StatusCode::CONFLICT,
            IntakeError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            IntakeError::Count
            | IntakeError::Unproven(_)
            | IntakeError::UnknownNode(_)
            | IntakeError::Gap(_)
            | IntakeError::Order(_) => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.code(), error.to_string())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store", error.to_string())
    }
}

/// Handles unknown paths.
pub async fn no_such_path() -> ApiError {
    ApiError::missing(
        "no-such-path",
        "there is nothing at this path; the API begins with /v1/tasks",
    )
}

/// Handles unknown methods of known paths.
pub async fn no_such_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "no-such-method",
        "this path does not support the method; use GET",
    )
}
