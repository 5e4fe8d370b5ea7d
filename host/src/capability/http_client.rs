//! The node's HTTP client for plugins: TLS by rustls over aws-lc, no redirects, no proxy, no
//! environment, and a limit on everything the peer controls. It relies on its callers to have
//! checked the grants.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

use crate::capability::resolve::{Guarded, Lookup, Misleading, System};
use crate::contract::anchor::{Anchor, AnchorKind};
use crate::contract::services::{HttpError, HttpRequest, HttpResponse};

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
        Self {
            extra_ca_pem: None,
            timeout: Duration::from_secs(60),
            body_bytes: 64 << 10,
        }
    }
}

/// The reason for which a client cannot be made.
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
    /// SHA-256 of the extra authorities' file.
    authorities: Option<[u8; 32]>,
}

impl HttpClient {
    /// A client with its own connection pool.
    pub fn new(options: &HttpOptions) -> Result<Self, HttpClientError> {
        Self::resolving_by(Arc::new(System), options)
    }

    fn resolving_by(
        lookup: Arc<dyn Lookup>,
        options: &HttpOptions,
    ) -> Result<Self, HttpClientError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(options)?)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .dns_resolver(Arc::new(Guarded(lookup)))
            .referer(false)
            .http1_only()
            .connect_timeout(options.timeout)
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| HttpClientError::Tls(chain(&error)))?;
        let authorities = options
            .extra_ca_pem
            .as_ref()
            .map(|pem| Sha256::digest(pem).into());
        Ok(Self {
            client,
            timeout: options.timeout,
            body_bytes: options.body_bytes,
            authorities,
        })
    }

    /// Implements [`Services::authorities`](crate::Services::authorities) for this client.
    pub fn authorities(&self) -> Option<Anchor> {
        let anchor = |sha256| Anchor {
            kind: AnchorKind::Authorities,
            name: "ca_file".into(),
            sha256: Some(sha256),
        };
        self.authorities.map(anchor)
    }

    /// Sends one request and reads the whole response.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let limit = request
            .timeout
            .map_or(self.timeout, |timeout| timeout.min(self.timeout));
        let exchange = self.exchange(request);
        tokio::time::timeout(limit, exchange)
            .await
            .unwrap_or(Err(HttpError::Timeout))
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|_| HttpError::Invalid("the method".into()))?;
        let sent = self
            .client
            .request(method, request.url)
            .headers(headers(&request.headers)?)
            .body(request.body);
        let response = sent.send().await.map_err(classify)?;
        let status = response.status().as_u16();
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.to_string(), value.to_str().ok()?.into()))
        };
        let headers = response.headers().iter().filter_map(text).collect();
        Ok(HttpResponse {
            status,
            headers,
            body: self.body(response).await?,
        })
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
        rustls_platform_verifier::Verifier::new_with_extra_roots(extra, provider.clone())
            .map_err(tls)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        // The platform's verifier checks everything; "dangerous" is rustls' word for any verifier
        // but its own.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}

fn certificates(pem: Option<&[u8]>) -> Result<Vec<CertificateDer<'static>>, HttpClientError> {
    let Some(pem) = pem else {
        return Ok(Vec::new());
    };
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
    if let Some(misleading) = cause::<Misleading>(&error) {
        HttpError::Denied(misleading.to_string())
    } else if error.is_timeout() {
        HttpError::Timeout
    } else if cause::<rustls::Error>(&error).is_some() {
        HttpError::Tls(text)
    } else if error.is_connect() {
        HttpError::Connect(text)
    } else {
        HttpError::Protocol(text)
    }
}

/// The first cause of this type.
fn cause<'e, E: std::error::Error + 'static>(
    error: &'e (dyn std::error::Error + 'static),
) -> Option<&'e E> {
    if let Some(found) = error.downcast_ref::<E>() {
        return Some(found);
    }
    // An I/O error skips what it wraps when it is asked for its source.
    match error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
    {
        Some(inner) => cause(inner),
        None => error.source().and_then(cause),
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
    if parts.is_empty() {
        "the exchange failed".into()
    } else {
        parts.join(": ")
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::net::IpAddr;
    use std::pin::Pin;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A resolver that an attacker controls.
    struct Fixed(IpAddr);

    impl Lookup for Fixed {
        fn lookup(
            &self,
            _: String,
        ) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> {
            let address = self.0;
            Box::pin(async move { Ok(vec![address]) })
        }
    }

    /// Asks a server on this machine's loopback by `host`, whose name the
    /// resolver answers with `address`.
    async fn get(host: &str, address: &str) -> Result<HttpResponse, HttpError> {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.unwrap();
            assert_ne!(
                stream.read(&mut [0; 1024]).await.unwrap(),
                0,
                "there is a request"
            );
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .await
                .unwrap();
        });
        let lookup = Arc::new(Fixed(address.parse().unwrap()));
        let client = HttpClient::resolving_by(lookup, &HttpOptions::default()).unwrap();
        let url = format!("http://{host}:{port}/").parse().unwrap();
        let headers = Vec::new();
        let body = Vec::new();
        client
            .send(HttpRequest {
                method: "GET".into(),
                url,
                headers,
                body,
                timeout: None,
            })
            .await
    }

    #[tokio::test]
    async fn a_name_that_is_turned_to_this_machine_is_denied() {
        let error = get("risk.example.com", "127.0.0.1").await.unwrap_err();
        assert!(
            matches!(&error, HttpError::Denied(text) if text.contains("leads to 127.0.0.1")),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn what_the_operator_wrote_is_dialled() {
        assert_eq!(get("127.0.0.1", "192.0.2.1").await.unwrap().status, 200);
        assert_eq!(get("localhost", "127.0.0.1").await.unwrap().status, 200);
    }
}
