//! How a client proves who it is to a coordinator, and by what it knows the coordinator.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use countersign_protocol::{CoordinatorId, UnixMillis};
use countersign_requester::request::Sent;
use rand::RngCore;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder, Request};
use zeroize::Zeroizing;

use crate::error::ClientError;
use crate::profile::{Profile, read_own};
use crate::requester_key::RequesterKey;
use crate::secret_file::read_secret;

/// The proof that a request is this client's.
pub enum Credentials {
    /// A bearer secret.
    ApiKey(Zeroizing<String>),
    /// A signature of each request, for this coordinator.
    Signed(Arc<RequesterKey>, CoordinatorId),
}

impl Credentials {
    /// The API key that the profile names, or the requester's key.
    pub fn of(
        profile: &Profile,
        requester: Option<&Arc<RequesterKey>>,
    ) -> Result<Self, ClientError> {
        match (&profile.api_key_file, requester) {
            (Some(file), _) => {
                let advice =
                    "write the key from `countersign-coordinator api-key new` there, mode 600";
                let key = read_secret(file, advice)?;
                Ok(Self::ApiKey(Zeroizing::new(key.trim().to_owned())))
            }
            (None, Some(key)) => match profile.coordinator_id {
                Some(coordinator) => Ok(Self::Signed(key.clone(), coordinator)),
                None => Err(ClientError::Usage(format!(
                    "{} does not say which coordinator requests are signed for; add its `coordinator_id` (csc1…), which its operator has from `countersign-coordinator init`, or `api_key_file`",
                    profile.path().display()
                ))),
            },
            (None, None) => Err(ClientError::Usage(format!(
                "{} names no key that the coordinator knows; add `requester_key_file`, or `api_key_file` to read only",
                profile.path().display()
            ))),
        }
    }

    /// Adds the proof to a request that is complete.
    pub(crate) fn apply(&self, request: &mut Request) -> Result<(), ClientError> {
        match self {
            Self::ApiKey(key) => {
                let text = Zeroizing::new(format!("Bearer {}", **key));
                let mut value = header(&text)?;
                value.set_sensitive(true);
                request.headers_mut().insert(AUTHORIZATION, value);
                Ok(())
            }
            Self::Signed(key, coordinator) => sign(key, *coordinator, request),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApiKey(_) => "ApiKey(..)",
            Self::Signed(..) => "Signed(..)",
        })
    }
}

fn sign(
    key: &RequesterKey,
    coordinator: CoordinatorId,
    request: &mut Request,
) -> Result<(), ClientError> {
    let body = request
        .body()
        .and_then(reqwest::Body::as_bytes)
        .unwrap_or_default();
    let mut random = [0; 16];
    rand::rngs::OsRng.fill_bytes(&mut random);
    let nonce = hex::encode(random);
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let sent = Sent {
        coordinator,
        method: request.method().as_str(),
        path: request.url().path(),
        query: request.url().query().unwrap_or_default(),
        body,
        time: UnixMillis(since.as_millis() as u64),
        nonce: &nonce,
    };
    let headers = sent
        .headers(key)
        .map_err(|error| ClientError::Usage(error.to_string()))?;
    for (name, value) in headers {
        request
            .headers_mut()
            .insert(HeaderName::from_static(name), header(&value)?);
    }
    Ok(())
}

fn header(text: &str) -> Result<HeaderValue, ClientError> {
    HeaderValue::from_str(text).map_err(|_| {
        ClientError::Usage(
            "the API key has characters that no header can hold; write it to its file again".into(),
        )
    })
}

/// A client for one coordinator, which believes only certificates that are in the file or issued by
/// one of them, if there is a file.
pub(crate) fn http(
    base: &str,
    ca: Option<&Path>,
    http: ClientBuilder,
) -> Result<Client, ClientError> {
    match ca {
        None => http
            .build()
            .map_err(|error| ClientError::Usage(format!("no HTTP client ({error}); reinstall"))),
        Some(_) if !base.starts_with("https://") => Err(ClientError::Usage(format!(
            "`coordinator_ca` has no effect on `{base}`; write an https URL, or remove `coordinator_ca` from the profile"
        ))),
        Some(file) => {
            let believed = certificates(file)?;
            let built = http.tls_certs_only(believed).build();
            built.map_err(|_| unusable(file, "a certificate in it cannot be read".into()))
        }
    }
}

fn certificates(file: &Path) -> Result<Vec<Certificate>, ClientError> {
    let text = read_own(file).map_err(|error| unusable(file, error.to_string()))?;
    match Certificate::from_pem_bundle(text.as_bytes()) {
        Ok(certificates) if certificates.is_empty() => {
            Err(unusable(file, "there is no certificate in it".into()))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(unusable(file, error.to_string())),
    }
}

fn unusable(file: &Path, reason: String) -> ClientError {
    ClientError::File {
        path: file.into(),
        reason,
        advice: "put the certificate of the coordinator or of its issuer there, in PEM, or remove `coordinator_ca` from the profile",
    }
}
