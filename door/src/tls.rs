//! TLS 1.3 for HTTP: the server's certificate, which can be replaced while it is in use.
//!
//! There are no tickets, no resumption and no early data: each connection is a full handshake with
//! the present certificate, and no request can be replayed before it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{CertificateError, Error, InconsistentKeys, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// ALPN of HTTP/2 and HTTP/1.1 (RFC 9113, RFC 7301).
const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";
/// Bytes that a connection may hold before they are encrypted.
const BUFFER: usize = 64 * 1024;
/// Time since 1970 at which no certificate is valid any more: the end of the year 9999, the last
/// that X.509 knows, and a day.
const FOREVER: Duration = Duration::from_secs(253_402_300_800 + 86_400);

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The first file has no certificate.
    #[error(
        "the certificate file holds no certificate in PEM; put the server's certificate there, followed by those of its issuers"
    )]
    NoCertificate,
    /// A certificate cannot be parsed.
    #[error("the certificate cannot be read ({0}); get it again from its issuer, in PEM")]
    Certificate(String),
    /// The second file has no key.
    #[error(
        "the key file holds no private key in PEM; put the certificate's key there, without a passphrase (PKCS#8, SEC 1 or PKCS#1)"
    )]
    NoKey,
    /// The key cannot be parsed, or is of a kind that TLS 1.3 does not know.
    #[error("the key cannot be used ({0}); make one of ECDSA P-256, with a certificate for it")]
    Key(String),
    /// The two do not belong together.
    #[error(
        "the key does not belong to the first certificate; put the matching pair there, the server's certificate first"
    )]
    Mismatch,
    /// A certificate of the chain is too old.
    #[error("a certificate of the chain expired {0}; renew it")]
    Expired(String),
    /// A certificate of the chain is too new.
    #[error(
        "a certificate of the chain is valid only in {0}; check the clock, or use the certificate that is valid now"
    )]
    NotYetValid(String),
    /// The TLS library refuses its settings.
    #[error("TLS cannot be set up ({0}); report this")]
    Library(String),
}

/// A chain of certificates that are valid now, with the key of the first.
#[derive(Clone)]
pub struct Certificate(Arc<CertifiedKey>);

impl Certificate {
    /// Reads a chain and a key in PEM (RFC 7468), and checks that they belong together and are
    /// valid at `now`. The chain begins with the server's certificate.
    pub fn from_pem(chain: &[u8], key: &[u8], now: SystemTime) -> Result<Self, TlsError> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| TlsError::Certificate(error.to_string()))?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsError::NoKey,
            other => TlsError::Key(other.to_string()),
        })?;
        let key = provider()
            .key_provider
            .load_private_key(key)
            .map_err(|error| TlsError::Key(error.to_string()))?;
        let pair = CertifiedKey::new(chain, key);
        pair.keys_match().map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch,
            other => TlsError::Certificate(other.to_string()),
        })?;
        let certificate = Self(Arc::new(pair));
        certificate.check_time(now)?;
        Ok(certificate)
    }

    /// Checks that each certificate of the chain is valid at this time.
    pub fn check_time(&self, at: SystemTime) -> Result<(), TlsError> {
        match self.verify(at) {
            Err(CertificateError::ExpiredContext { time, not_after }) => {
                Err(TlsError::Expired(format!("{} ago", span(not_after, time))))
            }
            Err(CertificateError::NotValidYetContext { time, not_before }) => {
                Err(TlsError::NotYetValid(span(time, not_before)))
            }
            Err(CertificateError::BadEncoding) => {
                Err(TlsError::Certificate("it is not X.509".into()))
            }
            Err(CertificateError::Expired) => Err(TlsError::Certificate(
                "its time ends before it begins".into(),
            )),
            // Only clients know whom they trust.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The first instant at which a certificate of the chain is no longer valid.
    pub fn expiry(&self) -> Option<SystemTime> {
        expiry(&self.0.cert)
    }

    /// True if clients that use WebPKI refuse it, because it is an issuer's and not a server's.
    pub fn is_an_issuers(&self) -> bool {
        matches!(
            self.verify(SystemTime::now()),
            Err(CertificateError::Other(other)) if format!("{other:?}").contains("CaUsedAsEndEntity")
        )
    }

    /// Verifies the chain as far as that is possible without knowing whom a client trusts. Times
    /// are checked before issuers.
    fn verify(&self, at: SystemTime) -> Result<(), CertificateError> {
        let Some((first, issuers)) = self.0.cert.split_first() else {
            return Err(CertificateError::BadEncoding);
        };
        verify(first, issuers, at)
    }
}

fn verify(
    first: &CertificateDer<'_>,
    issuers: &[CertificateDer<'_>],
    at: SystemTime,
) -> Result<(), CertificateError> {
    let since = match at.duration_since(UNIX_EPOCH) {
        Ok(since) => since,
        // A clock before 1970 is wrong; no certificate that is in use is valid so early.
        Err(_) => Duration::ZERO,
    };
    let verified = ParsedCertificate::try_from(first).and_then(|first| {
        let algorithms = provider().signature_verification_algorithms.all;
        let nobody = RootCertStore::empty();
        let now = UnixTime::since_unix_epoch(since);
        verify_server_cert_signed_by_trust_anchor(&first, &nobody, issuers, now, algorithms)
    });
    match verified {
        Err(Error::InvalidCertificate(error)) => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A certificate's time is checked before everything else, so long after its end the verifier says
/// when that was.
fn expiry(chain: &[CertificateDer<'_>]) -> Option<SystemTime> {
    let one = |certificate| match verify(certificate, &[], UNIX_EPOCH + FOREVER) {
        Err(CertificateError::ExpiredContext { not_after, .. }) => {
            Some(UNIX_EPOCH + Duration::from_secs(not_after.as_secs()))
        }
        Ok(()) | Err(_) => None,
    };
    chain.iter().filter_map(one).min()
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate(..)")
    }
}

/// The server side of TLS for one listener.
#[derive(Debug, Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    present: Arc<Present>,
}

impl Tls {
    /// Presents this certificate.
    pub fn new(certificate: Certificate) -> Result<Self, TlsError> {
        let present = Arc::new(Present(ArcSwap::new(certificate.0)));
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| TlsError::Library(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(present.clone());
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
        Ok(Self {
            config: Arc::new(config),
            present,
        })
    }

    /// Presents another certificate from the next handshake on. Open connections go on.
    pub fn replace(&self, certificate: Certificate) {
        self.present.0.store(certificate.0);
    }

    /// The first instant at which a certificate of the chain in use is no longer valid.
    pub fn expiry(&self) -> Option<SystemTime> {
        expiry(&self.present.0.load().cert)
    }

    /// Performs the handshake.
    pub(crate) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.config.clone())
            .accept_with(stream, |connection| {
                connection.set_buffer_limit(Some(BUFFER))
            })
            .await
    }
}

/// True if the client chose HTTP/2.
pub(crate) fn speaks_h2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(H2)
}

/// The certificate in use.
struct Present(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Present {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl fmt::Debug for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Present(..)")
    }
}

/// The hybrid group comes first; the others are for clients that do not have it yet.
fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![
            aws_lc_rs::kx_group::X25519MLKEM768,
            aws_lc_rs::kx_group::X25519,
            aws_lc_rs::kx_group::SECP256R1,
            aws_lc_rs::kx_group::SECP384R1,
        ],
        ..aws_lc_rs::default_provider()
    }
}

/// The time between two moments, for people.
fn span(from: UnixTime, to: UnixTime) -> String {
    let seconds = to.as_secs().saturating_sub(from.as_secs());
    let days = Duration::from_secs(seconds).as_secs() / 86_400;
    match days {
        0 => format!("{} minutes", seconds.div_ceil(60)),
        1 => "1 day".into(),
        days => format!("{days} days"),
    }
}
