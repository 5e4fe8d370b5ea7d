//! The node's HTTP client for plugins: TLS by rustls over aws-lc, no redirects, no proxy, no environment, and a limit
//! on everything the peer controls. It does not check grants: its callers did.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::services::{HttpError, HttpRequest, HttpResponse};

/// Settings of an [`HttpClient`].
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// PEM certificates of further authorities, besides those of the operating system.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// Limit of one exchange, whatever the plugin asks for.
    pub timeout: Duration,
    /// Limit of a response's body in bytes.
    pub body_bytes: usize,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self { extra_ca_pem: None, timeout: Duration::from_secs(60), body_bytes: 64 << 10 }
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpClientError {
    /// The extra authorities are not PEM certificates.
    #[error("the extra CA file holds no valid PEM certificate: {0}; export the authority as PEM")]
    Ca(String),
    /// The TLS stack could not be set up.
    #[error("cannot set up TLS: {0}; check the system's CA certificates (package ca-certificates)")]
    Tls(String),
}

/// Sends whole requests and reads whole responses.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: reqwest::Client,
    timeout: Duration,
    body_bytes: usize,
}

impl HttpClient {
    /// A client with its own connection pool.
    pub fn new(options: &HttpOptions) -> Result<Self, HttpClientError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(options)?)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .http1_only()
            .connect_timeout(options.timeout)
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| HttpClientError::Tls(chain(&error)))?;
        Ok(Self { client, timeout: options.timeout, body_bytes: options.body_bytes })
    }

    /// One exchange.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let limit = request.timeout.map_or(self.timeout, |timeout| timeout.min(self.timeout));
        let exchange = self.exchange(request);
        tokio::time::timeout(limit, exchange).await.unwrap_or(Err(HttpError::Timeout))
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|_| HttpError::Invalid("the method".into()))?;
        let sent =
            self.client.request(method, request.url).headers(headers(&request.headers)?).body(request.body);
        let response = sent.send().await.map_err(classify)?;
        let status = response.status().as_u16();
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.to_string(), value.to_str().ok()?.into()))
        };
        let headers = response.headers().iter().filter_map(text).collect();
        Ok(HttpResponse { status, headers, body: self.body(response).await? })
    }

    /// Reads the body piece by piece, so that a peer cannot make the node hold more than the limit.
    async fn body(&self, mut response: reqwest::Response) -> Result<Vec<u8>, HttpError> {
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(classify)? {
            if body.len() + piece.len() > self.body_bytes {
                return Err(HttpError::TooLarge(self.body_bytes as u64));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}

fn tls(options: &HttpOptions) -> Result<ClientConfig, HttpClientError> {
    let tls = |error: rustls::Error| HttpClientError::Tls(error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let extra = certificates(options.extra_ca_pem.as_deref())?;
    let verifier =
        rustls_platform_verifier::Verifier::new_with_extra_roots(extra, provider.clone()).map_err(tls)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        // The platform's verifier checks everything; "dangerous" is rustls' word for any verifier but its own.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}

fn certificates(pem: Option<&[u8]>) -> Result<Vec<CertificateDer<'static>>, HttpClientError> {
    let Some(pem) = pem else { return Ok(Vec::new()) };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(HttpClientError::Ca("no certificate in it".into())),
        Ok(found) => Ok(found),
        Err(error) => Err(HttpClientError::Ca(error.to_string())),
    }
}

fn headers(pairs: &[(String, String)]) -> Result<HeaderMap, HttpError> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let invalid = || HttpError::Invalid(format!("the header {name:?}"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        headers.append(name, HeaderValue::from_str(value).map_err(|_| invalid())?);
    }
    Ok(headers)
}

fn classify(error: reqwest::Error) -> HttpError {
    let text = chain(&error);
    if error.is_timeout() {
        HttpError::Timeout
    } else if caused_by_tls(&error) {
        HttpError::Tls(text)
    } else if error.is_connect() {
        HttpError::Connect(text)
    } else {
        HttpError::Protocol(text)
    }
}

fn caused_by_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    if error.is::<rustls::Error>() {
        return true;
    }
    // An I/O error skips what it wraps when it is asked for its source.
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inner) => caused_by_tls(inner),
        None => error.source().is_some_and(caused_by_tls),
    }
}

/// The error with its causes, without the URL (which may carry a token).
fn chain(error: &reqwest::Error) -> String {
    let mut source = error.source();
    let mut parts = Vec::new();
    while let Some(error) = source {
        parts.push(error.to_string());
        source = error.source();
    }
    if parts.is_empty() { "the exchange failed".into() } else { parts.join(": ") }
}
