//! Who may make a request: holders of an API key, and requesters that sign it.
//!
//! Cheap checks come first. A signature over the body's hash is verified before the body is read.
//! Where the body itself is signed, it is read before anything is proven, so all such bodies share
//! one bounded place.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{OriginalUri, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use sha2::{Digest, Sha256};

use super::bodies::{Room, busy};
use super::error::{self, ApiError};
use super::{App, MAX_BODY, exists};
use crate::api_key::{Caller, Denied, Place, Scope};
use crate::clock;
use crate::signed_request::{Claim, RequestError};

/// Of what users do, `read` for reading, `vote` for votes and `create` for everything else; `admin`
/// for all that is not listed here, so that a new route is closed until somebody opens it. `None`
/// where there is nothing, which anybody with a key may hear.
pub(super) fn scope_of(method: &Method, path: &str) -> Option<Scope> {
    let first = path.split('/').nth(1);
    let of_users = ["tasks", "wallets", "nodes", "requesters", "events"];
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if !exists(path) {
        None
    } else if !first.is_some_and(|first| of_users.contains(&first)) {
        Some(Scope::Admin)
    } else if reads {
        Some(Scope::Read)
    } else if first == Some("tasks") && path.ends_with("/votes") {
        Some(Scope::Vote)
    } else {
        Some(Scope::Create)
    }
}

/// An admitted request with its whole body.
struct Admitted {
    caller: Caller,
    place: Place,
    room: Room,
    request: Request,
}

/// Requires an API key or a signature with the scope of the request.
pub(super) async fn authorise(
    State(app): State<Arc<App>>,
    OriginalUri(uri): OriginalUri,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let scope = scope_of(request.method(), request.uri().path());
    let admitted = match Claim::read(request.headers())? {
        None => by_key(&app, scope, request).await?,
        Some(claim) => signed(&app, &claim, &uri, scope, request).await?,
    };
    let Admitted {
        caller,
        place,
        room,
        mut request,
    } = admitted;
    let scope = scope.ok_or_else(error::nowhere)?;
    tracing::debug!(key = %caller.name, method = %request.method(), path = uri.path(), "request");
    request.extensions_mut().insert(caller.clone());
    let response = next.run(request).await;
    drop(room);
    // The key may have been revoked while the answer was waited for. What was changed stays so, and
    // is answered.
    if scope == Scope::Read && !app.keys.may_still_read(&caller, clock::now()) {
        return Err(Denied::Unauthorised.into());
    }
    Ok(response.map(|body| {
        Body::new(Held {
            body,
            _place: place,
        })
    }))
}

/// Admits the holder of an API key.
async fn by_key(app: &App, scope: Option<Scope>, request: Request) -> Result<Admitted, ApiError> {
    let presented = bearer(request.headers())?;
    let (caller, place) = app.keys.admit(presented, scope, clock::now())?;
    let (head, body) = request.into_parts();
    let (room, body) = receive(app, &caller, body).await?;
    Ok(Admitted {
        caller,
        place,
        room,
        request: Request::from_parts(head, body.into()),
    })
}

/// The secret that a request presents. The name of the scheme has no case (RFC 9110 11.1).
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, RequestError> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let first = all.next();
    if all.next().is_some() {
        return Err(RequestError::Ambiguous);
    }
    let text = first.and_then(|value| value.to_str().ok());
    let parts = text.and_then(|text| text.split_once(' '));
    let secret = parts.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let secret = secret.map(|(_, secret)| secret.trim_start_matches(' '));
    Ok(secret.filter(|secret| !secret.is_empty()))
}

/// Admits a signed request.
async fn signed(
    app: &App,
    claim: &Claim,
    uri: &axum::http::Uri,
    scope: Option<Scope>,
    request: Request,
) -> Result<Admitted, ApiError> {
    app.keys.accepted().check_time(claim.time, clock::now())?;
    if !app.keys.lists(&claim.requester, clock::now()) {
        return Err(RequestError::Unauthorised.into());
    }
    let (head, body) = request.into_parts();
    // What is signed as a whole is read before anything is proven.
    let (proven, body) = match claim.body_sha256() {
        Some(_) => (Bytes::new(), body),
        None => {
            let read = receive_unproven(app, &head.headers, body).await?;
            (read.clone(), read.into())
        }
    };
    let verified = claim.verify(&app.id, &head.method, uri, &proven)?;
    app.keys.accepted().accept(&verified, clock::now())?;
    let (caller, place) = app
        .keys
        .admit_requester(&claim.requester, scope, clock::now())?;
    let (room, body) = receive(app, &caller, body).await?;
    let signed = claim.body_sha256();
    if signed.is_some_and(|hash| Sha256::digest(&body)[..] != hash[..]) {
        return Err(RequestError::Body.into());
    }
    Ok(Admitted {
        caller,
        place,
        room,
        request: Request::from_parts(head, body.into()),
    })
}

/// Reads a whole body of somebody who has proven nothing yet.
async fn receive_unproven(app: &App, headers: &HeaderMap, body: Body) -> Result<Bytes, ApiError> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let Some(length) = length else {
        return Err(ApiError::new(
            StatusCode::LENGTH_REQUIRED,
            "length-required",
            "the body of a request that is signed in this way needs a `Content-Length`; send it",
        ));
    };
    if length > MAX_BODY {
        return Err(too_large("its length is declared as too much"));
    }
    let Some(_room) = app.keys.room_for_unproven(length) else {
        return Err(busy("too many bodies of signed requests are under way"));
    };
    read(app, body).await
}

/// Reads a whole body of an admitted caller, once there is room for it.
async fn receive(app: &App, caller: &Caller, body: Body) -> Result<(Room, Bytes), ApiError> {
    let room = app.bodies.enter(caller.key, &body)?;
    Ok((room, read(app, body).await?))
}

/// Reads a whole body, within its limits of size and time.
async fn read(app: &App, body: Body) -> Result<Bytes, ApiError> {
    let late = |_| {
        ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "body-timeout",
            "the body did not arrive in time; send it at once",
        )
    };
    tokio::time::timeout(app.patience.body, to_bytes(body, MAX_BODY))
        .await
        .map_err(late)?
        .map_err(too_large)
}

fn too_large(reason: impl std::fmt::Display) -> ApiError {
    let message = format!(
        "the body could not be read ({reason}); send at most {} KiB",
        MAX_BODY / 1024
    );
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", message)
}

/// An answer that holds its request's place until its caller has taken it in.
struct Held {
    body: Body,
    _place: Place,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        let message = error.to_string();
        let refused = |code| Self::new(StatusCode::UNAUTHORIZED, code, message.clone());
        match error {
            RequestError::Header(_) | RequestError::Ambiguous | RequestError::Separator => {
                Self::bad("signed-request", message)
            }
            RequestError::Old(_) | RequestError::Ahead(_) => refused("request-time"),
            RequestError::Started => {
                Self::later(StatusCode::SERVICE_UNAVAILABLE, "just-started", message, 1)
            }
            RequestError::Unauthorised => refused("unauthorised"),
            RequestError::Repeated => refused("request-repeated"),
            RequestError::Body => refused("request-body"),
            RequestError::Full => Self::later(
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-requests",
                message,
                1,
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_for_users_is_for_admins() {
        for (method, path, expected) in [
            (Method::GET, "/tasks", Some(Scope::Read)),
            (Method::HEAD, "/tasks/00/explain", Some(Scope::Read)),
            (Method::POST, "/tasks", Some(Scope::Create)),
            (Method::POST, "/tasks/00/votes", Some(Scope::Vote)),
            (Method::GET, "/tasks/00/votes", Some(Scope::Read)),
            (Method::DELETE, "/wallets/x", Some(Scope::Create)),
            (Method::GET, "/webhooks", Some(Scope::Admin)),
            (Method::GET, "/api-keys", Some(Scope::Admin)),
            (Method::GET, "/audit", Some(Scope::Admin)),
            (Method::GET, "/drain", Some(Scope::Admin)),
            (Method::PUT, "/drain", Some(Scope::Admin)),
            (Method::GET, "/tasks-of-tomorrow", None),
            (Method::GET, "/tasks/", None),
            (Method::GET, "/", None),
            (Method::GET, "", None),
        ] {
            assert_eq!(scope_of(&method, path), expected, "{method} {path}");
        }
    }
}
