//! The certificate of the API: two files, read at the start, at SIGHUP and whenever they change.
//!
//! A pair that cannot be used changes nothing: the present certificate stays in force, and the log
//! says what to do.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use countersign_door::{Certificate, Tls, TlsError};
use countersign_files::custody::read_secret;
use countersign_files::{Custody, CustodyError};
use countersign_protocol::{Hash, Hasher};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{error, info, warn};
use zeroize::Zeroizing;

use crate::run::stopped;

/// A note on certificates that some clients refuse.
pub const ISSUERS: &str = "the certificate is an issuer's (basicConstraints CA:TRUE), which many clients refuse from a server; have it issue a certificate for this host, \
     or make one with `openssl req -x509 … -addext basicConstraints=critical,CA:FALSE`";
/// Size limit of each file in bytes; a chain has a few KiB.
const LARGEST: u64 = 1 << 20;
/// Pause between two looks at the files.
pub(crate) const PERIOD: Duration = Duration::from_secs(5);
/// Time before its end at which a certificate should have been renewed.
const RENEWAL: Duration = Duration::from_secs(14 * 24 * 3600);
/// Pause between two reminders.
const REMINDER: Duration = Duration::from_secs(24 * 3600);

/// The two files, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, followed by those of its issuers.
    pub certificate: PathBuf,
    /// The certificate's private key, mode 0600.
    pub key: PathBuf,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFileError {
    /// A file cannot be read.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error(
        "{path}, named under `tls`, cannot be read ({reason}); correct `tls`, or the owner of the file"
    )]
    Unreadable { path: PathBuf, reason: String },
    /// A file could have been written, or the key read, by somebody else.
    #[error(transparent)]
    Custody(CustodyError),
    /// The contents are not a pair that can be used now.
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    #[error("{certificate} with {key}: {error}", certificate = files.certificate.display(), key = files.key.display())]
    Pair { files: TlsFiles, error: TlsError },
    /// The thread that reads files died.
    #[error("the files under `tls` could not be read ({0}); report this")]
    Died(String),
}

/// Reads the pair, and checks that it can be used now.
pub fn load(files: &TlsFiles) -> Result<Certificate, TlsFileError> {
    Contents::read(files)?.certificate(files)
}

/// What is in the two files.
struct Contents {
    chain: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Contents {
    fn read(files: &TlsFiles) -> Result<Self, TlsFileError> {
        let chain = Custody::Operator.read(&files.certificate, LARGEST);
        let key = read_secret(&files.key, LARGEST);
        Ok(Self {
            chain: chain.map_err(|error| unusable(&files.certificate, error))?,
            key: Zeroizing::new(key.map_err(|error| unusable(&files.key, error))?),
        })
    }

    fn certificate(&self, files: &TlsFiles) -> Result<Certificate, TlsFileError> {
        Certificate::from_pem(&self.chain, &self.key, SystemTime::now()).map_err(|error| {
            TlsFileError::Pair {
                files: files.clone(),
                error,
            }
        })
    }

    fn hash(&self) -> Hash {
        let hasher = Hasher::new("countersign/1 certificate files");
        hasher.field(&self.chain).field(&self.key).finish()
    }
}

fn unusable(path: &Path, error: CustodyError) -> TlsFileError {
    match error {
        CustodyError::Io(error) => TlsFileError::Unreadable {
            path: path.into(),
            reason: error.to_string(),
        },
        kept => TlsFileError::Custody(kept),
    }
}

/// Keeps the certificate in force up to date with its files.
pub(crate) struct Renewal {
    tls: Tls,
    files: watch::Receiver<TlsFiles>,
    certificate: Certificate,
    /// The contents in force.
    present: Hash,
    /// The contents of the last look. A pair is used once it has not changed between two looks, so
    /// that nobody reads a new certificate with the key of the old.
    last: Hash,
    /// The last error in the log, which is not repeated at each look.
    told: Option<String>,
    reminded: Option<Instant>,
}

impl Renewal {
    /// Reads the pair for the first time.
    pub(crate) fn begin(files: watch::Receiver<TlsFiles>) -> Result<(Tls, Self), TlsFileError> {
        let named = files.borrow().clone();
        let contents = Contents::read(&named)?;
        let certificate = contents.certificate(&named)?;
        let tls = Tls::new(certificate.clone()).map_err(|error| TlsFileError::Pair {
            files: named.clone(),
            error,
        })?;
        if certificate.is_an_issuers() {
            let certificate = named.certificate.display();
            warn!(%certificate, "{}", ISSUERS);
        }
        let renewal = Self {
            tls: tls.clone(),
            files,
            certificate,
            present: contents.hash(),
            last: contents.hash(),
            told: None,
            reminded: None,
        };
        Ok((tls, renewal))
    }

    /// Looks at the files now and then, and at once if they are named anew, until the stop.
    pub(crate) async fn run(mut self, period: Duration, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = ticks.tick() => false,
                named = self.files.changed() => match named {
                    Ok(()) => true,
                    Err(_) => return,
                },
                () = stopped(&mut stop) => return,
            };
            self.look(asked).await;
            self.remind();
        }
    }

    /// Takes up a new pair. `asked`: somebody waits for it, so each error is told.
    async fn look(&mut self, asked: bool) {
        let files = self.files.borrow_and_update().clone();
        let named = files.clone();
        let read = tokio::task::spawn_blocking(move || Contents::read(&named)).await;
        let read = read.unwrap_or_else(|died| Err(TlsFileError::Died(died.to_string())));
        let used = read.and_then(|contents| {
            let hash = contents.hash();
            let settled = std::mem::replace(&mut self.last, hash) == hash;
            if hash == self.present || !(asked || settled) {
                return Ok(None);
            }
            Ok(Some((hash, contents.certificate(&files)?)))
        });
        match used {
            Ok(Some((hash, certificate))) => {
                self.tls.replace(certificate.clone());
                self.certificate = certificate;
                self.present = hash;
                self.told = None;
                self.reminded = None;
                info!(certificate = %files.certificate.display(), "the API uses a new certificate");
            }
            Ok(None) => {
                if self.last == self.present {
                    self.told = None;
                }
            }
            Err(error) => self.tell(&error, asked),
        }
    }

    fn tell(&mut self, error: &TlsFileError, asked: bool) {
        let text = error.to_string();
        if asked || self.told.as_ref() != Some(&text) {
            error!(%error, "the API's new certificate is not used; the present one stays in force");
        }
        self.told = Some(text);
    }

    /// Says once a day that the certificate in force must be renewed.
    fn remind(&mut self) {
        if self.reminded.is_some_and(|at| at.elapsed() < REMINDER) {
            return;
        }
        self.reminded = Some(Instant::now());
        let now = SystemTime::now();
        if let Err(error) = self.certificate.check_time(now) {
            error!(%error, "clients refuse the API's certificate");
        } else if self.certificate.check_time(now + RENEWAL).is_err() {
            warn!(
                "the API's certificate expires within 14 days; renew it, and put it in its place"
            );
        }
    }
}
