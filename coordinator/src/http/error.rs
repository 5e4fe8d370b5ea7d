//! Errors of the API, as problems (RFC 9457). Codes are stable; details are for people.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use countersign_api::Problem;

use crate::api_key::{Denied, KeyError};
use crate::registry::{CancelError, IntakeError, PreflightError, SubmitError, VoteError};
use crate::store::{FeedError, StoreError};
use crate::webhook::{PutError, WebhookError};

/// `Retry-After` of refusals for lack of room: some tasks will have ended by then.
const BUSY_SECONDS: u32 = 5;
/// `Retry-After` while the store does not answer, or an answer took too long.
const AWAY_SECONDS: u32 = 2;

/// A response other than success.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    detail: String,
    /// Seconds after which the request may succeed.
    retry_after: Option<u32>,
}

impl ApiError {
    /// Creates an error with a stable code and a sentence that ends with what to do.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// A refusal of a request that may be repeated later.
    pub fn later(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<String>,
        seconds: u32,
    ) -> Self {
        Self {
            retry_after: Some(seconds),
            ..Self::new(status, code, detail)
        }
    }

    /// 503 Service Unavailable, for a while.
    pub fn away(code: &'static str, detail: impl Into<String>) -> Self {
        Self::later(StatusCode::SERVICE_UNAVAILABLE, code, detail, AWAY_SECONDS)
    }

    /// 400 Bad Request.
    pub fn bad(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 404 Not Found.
    pub fn missing(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = Problem {
            title: self.status.canonical_reason().unwrap_or("Error").into(),
            status: self.status.as_u16(),
            detail: self.detail,
            code: self.code.into(),
        };
        let mut response = (self.status, axum::Json(problem)).into_response();
        let headers = response.headers_mut();
        let media_type = HeaderValue::from_static(Problem::MEDIA_TYPE);
        headers.insert(header::CONTENT_TYPE, media_type);
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unauthorised | Denied::Expired => {
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
            SubmitError::Task(_)
            | SubmitError::UnknownWallet(_)
            | SubmitError::UnknownNode(_)
            | SubmitError::Signers { .. }
            | SubmitError::Approvers { .. }
            | SubmitError::Holders(_) => StatusCode::BAD_REQUEST,
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

impl From<PreflightError> for ApiError {
    fn from(error: PreflightError) -> Self {
        let code = error.code();
        let detail = error.to_string();
        match error {
            PreflightError::Task(error) => error.into(),
            PreflightError::Submitted(_) => Self::new(StatusCode::CONFLICT, code, detail),
            PreflightError::Busy(_) | PreflightError::Share(_) => {
                Self::later(StatusCode::TOO_MANY_REQUESTS, code, detail, 1)
            }
        }
    }
}

impl From<CancelError> for ApiError {
    fn from(error: CancelError) -> Self {
        let detail = error.to_string();
        match error {
            CancelError::Unknown => Self::missing("task-unknown", detail),
            CancelError::Running => Self::new(StatusCode::CONFLICT, "task-running", detail),
            CancelError::Ended => Self::new(StatusCode::CONFLICT, "task-ended", detail),
            CancelError::Store(error) => error.into(),
        }
    }
}

impl From<VoteError> for ApiError {
    fn from(error: VoteError) -> Self {
        let code = error.code();
        let detail = error.to_string();
        match error {
            VoteError::UnknownTask => Self::missing(code, detail),
            VoteError::NotPending | VoteError::TooMany => {
                Self::new(StatusCode::CONFLICT, code, detail)
            }
            VoteError::UnknownApprover(_)
            | VoteError::NotGenuine(_)
            | VoteError::FromTheFuture(_) => Self::bad(code, detail),
            VoteError::Store(error) => error.into(),
        }
    }
}

impl From<FeedError> for ApiError {
    fn from(error: FeedError) -> Self {
        let detail = error.to_string();
        match error {
            FeedError::Gone | FeedError::Ahead => {
                Self::new(StatusCode::GONE, "cursor-gone", detail)
            }
            FeedError::Store(error) => error.into(),
        }
    }
}

impl From<WebhookError> for ApiError {
    fn from(error: WebhookError) -> Self {
        let detail = error.to_string();
        match error {
            WebhookError::Unknown => Self::missing("webhook-unknown", detail),
            WebhookError::TooMany => Self::new(StatusCode::CONFLICT, "too-many-webhooks", detail),
            WebhookError::Name => Self::bad("webhook-name", detail),
            WebhookError::EmptyList(_) => Self::bad("webhook-filter", detail),
            WebhookError::Url(_) | WebhookError::Reach(_) => Self::bad("webhook-url", detail),
            WebhookError::NothingSelected => Self::bad("nothing-selected", detail),
        }
    }
}

impl From<KeyError> for ApiError {
    fn from(error: KeyError) -> Self {
        let detail = error.to_string();
        let conflict = |code| Self::new(StatusCode::CONFLICT, code, detail.clone());
        match error {
            KeyError::Name => Self::bad("api-key-name", detail),
            KeyError::Credential | KeyError::Passkey | KeyError::Empty => {
                Self::bad("api-key-credential", detail)
            }
            KeyError::Scopes => Self::bad("api-key-scopes", detail),
            KeyError::Overlap => Self::bad("api-key-overlap", detail),
            KeyError::InFile => conflict("api-key-in-file"),
            KeyError::Taken => conflict("api-key-taken"),
            KeyError::Other => conflict("api-key-other"),
            KeyError::TooMany => conflict("too-many-api-keys"),
            KeyError::Unknown => Self::missing("api-key-unknown", detail),
            KeyError::Store(error) => error.into(),
        }
    }
}

impl From<PutError> for ApiError {
    fn from(error: PutError) -> Self {
        match error {
            PutError::Webhook(error) => error.into(),
            PutError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::away("store", error.to_string())
    }
}

/// There is nothing at the path.
pub fn nowhere() -> ApiError {
    ApiError::missing(
        "no-such-path",
        "there is nothing at this path; /v1/openapi.json lists what there is",
    )
}

/// Handles unknown paths.
pub async fn no_such_path() -> ApiError {
    nowhere()
}

/// Handles unknown methods of known paths.
pub async fn no_such_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "no-such-method",
        "this path does not support the method; /v1/openapi.json lists those that it does",
    )
}
