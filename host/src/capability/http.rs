//! `http`: requests to servers. Needs a grant for each URL prefix.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use wasmtime::component::{HasSelf, Linker};

use crate::capability::interface::{Capability, Interface, Need, PreInit};
use crate::contract::anchor::Anchor;
use crate::contract::bindings::countersign::policy::http;
use crate::contract::grants::{Grants, UrlPrefix};
use crate::contract::services::{HttpError, HttpRequest, HttpResponse, Services};
use crate::contract::text::printable;
use crate::contract::trace::{AnswerSize, Asked};
use crate::sandbox::call_state::CallState;
use crate::sandbox::terms::{Budget, Reach};

/// Headers that belong to the client: a plugin that sets them could make two parties
/// read two different requests.
const RESERVED: [&str; 8] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

pub(crate) enum Http {}

impl Capability for Http {
    const INTERFACES: &'static [Interface] = &[Interface {
        name: "countersign:policy/http",
        pre_init: PreInit::Forbidden,
    }];
    const NEED: Need = Need::Grant(
        "list the URL prefixes that it may ask under grants.http (`--http URL` on the command line)",
    );
    const REACH: Reach = Reach::Outside;
    const BUDGET: Budget = Budget {
        most: 256,
        of: "HTTP requests",
    };

    type Grant = [UrlPrefix];

    fn granted(grants: &Grants) -> Option<&[UrlPrefix]> {
        (!grants.http.is_empty()).then_some(&grants.http)
    }

    fn revoke(grants: &mut Grants) {
        grants.http = Vec::new();
    }

    fn anchors(grants: &Grants, services: &dyn Services) -> Vec<Anchor> {
        let authorities = Self::granted(grants).and_then(|_| services.authorities());
        authorities.into_iter().collect()
    }

    fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
        http::add_to_linker::<CallState, HasSelf<CallState>>(linker, |call| call)
    }
}

impl http::Host for CallState {
    async fn send(
        &mut self,
        request: http::Request,
    ) -> wasmtime::Result<Result<http::Response, http::Error>> {
        let mut answers = self.send_all(vec![request]).await?;
        Ok(answers.pop().unwrap_or_else(cut_off))
    }

    async fn send_all(
        &mut self,
        requests: Vec<http::Request>,
    ) -> wasmtime::Result<Vec<Result<http::Response, http::Error>>> {
        let asked = asked_of(&requests);
        self.answer_later::<Http, _, _>(requests.len(), asked, |context, node| {
            exchange(requests, &context.grants.http, node.services())
        })
        .await
    }
}

/// Sends the requests that are granted, and waits for all answers.
fn exchange(
    requests: Vec<http::Request>,
    prefixes: &[UrlPrefix],
    services: &dyn Services,
) -> impl Future<Output = Vec<Result<http::Response, http::Error>>> + use<> {
    let mut answers = Vec::with_capacity(requests.len());
    // On tasks of their own: polled here they would run, TLS handshake and all, on the guest's
    // small stack. The set aborts what is under way when the call is dropped.
    let mut exchanges = JoinSet::new();
    for (at, request) in requests.into_iter().enumerate() {
        answers.push(cut_off());
        match granted(request, prefixes) {
            Ok(request) => {
                let sending = services.send(request);
                exchanges.spawn(async move { (at, sending.await) });
            }
            Err(error) => answers[at] = Err(error.into()),
        }
    }
    async move {
        while let Some(done) = exchanges.join_next().await {
            if let Ok((at, answer)) = done {
                answers[at] = answer.map(Into::into).map_err(Into::into);
            }
        }
        answers
    }
}

fn asked_of(requests: &[http::Request]) -> Asked {
    let first = requests.first().map_or("", |request| request.url.as_str());
    let mut rest: Vec<&[u8]> = Vec::new();
    for request in requests {
        rest.extend([
            request.method.as_bytes(),
            request.url.as_bytes(),
            request.body.as_slice(),
        ]);
        rest.extend(
            request
                .headers
                .iter()
                .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]),
        );
    }
    Asked::new("http.send", printable(first, 256), &rest)
}

/// The answer of an exchange that gave none.
fn cut_off() -> Result<http::Response, http::Error> {
    Err(http::Error::Protocol("the exchange was cut off".into()))
}

fn granted(request: http::Request, prefixes: &[UrlPrefix]) -> Result<HttpRequest, HttpError> {
    let url =
        url::Url::parse(&request.url).map_err(|error| HttpError::Invalid(error.to_string()))?;
    if !prefixes.iter().any(|prefix| prefix.covers(&url)) {
        return Err(HttpError::Denied(printable(&request.url, 256)));
    }
    let reserved = |name: &str| {
        RESERVED
            .iter()
            .any(|reserved| name.eq_ignore_ascii_case(reserved))
    };
    if let Some((name, _)) = request.headers.iter().find(|(name, _)| reserved(name)) {
        return Err(HttpError::Denied(format!("the header {name}")));
    }
    Ok(HttpRequest {
        method: request.method,
        url,
        headers: request.headers,
        body: request.body,
        timeout: request
            .timeout_ms
            .map(|ms| Duration::from_millis(ms.into())),
    })
}

impl From<HttpResponse> for http::Response {
    fn from(response: HttpResponse) -> Self {
        Self {
            status: response.status,
            headers: response.headers,
            body: response.body,
        }
    }
}

impl From<HttpError> for http::Error {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Denied(text) => Self::Denied(text),
            HttpError::Invalid(text) => Self::Invalid(text),
            HttpError::Timeout => Self::Timeout,
            HttpError::Connect(text) => Self::Connect(text),
            HttpError::Tls(text) => Self::Tls(text),
            HttpError::TooLarge(limit) => Self::TooLarge(limit),
            HttpError::Protocol(text) => Self::Protocol(text),
        }
    }
}

impl AnswerSize for Vec<Result<http::Response, http::Error>> {
    fn size(&self) -> usize {
        self.iter().flatten().map(response_size).sum()
    }
}

fn response_size(response: &http::Response) -> usize {
    let headers: usize = response
        .headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    headers + response.body.len()
}
