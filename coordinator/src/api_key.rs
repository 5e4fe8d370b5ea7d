//! API keys: random bearer secrets of which only the SHA-256 is kept, and requesters that sign
//! their requests, each with scopes.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use countersign_protocol::{Hash, RequesterId, UnixMillis};
use rand::RngCore;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use crate::clock;
use crate::share::has_room;
use crate::signed_request::Accepted;

/// Bound on concurrent requests, long polls included. Each key may use as many as
/// there are places left.
pub const REQUESTS: usize = 512;
/// Bound on the bodies of requests that are read before their signature is verified, all together.
const UNPROVEN_KIB: usize = 32 * 1024;
/// Lets secret scanners find a key that leaked into a file.
const PREFIX: &str = "csapi_";

/// Permissions of an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Read access to tasks, wallets and nodes.
    Read,
    /// Submission of tasks. Nodes obey the requester's signature, not this scope.
    Create,
}

/// An API key as stored in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawApiKey", into = "RawApiKey")]
pub struct ApiKey {
    /// The owner, as shown in logs.
    pub name: String,
    /// The proof that a request is the owner's.
    pub credential: Credential,
    /// Everything else is answered with 403.
    pub scopes: Vec<Scope>,
}

/// The proof that a request is the owner's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// A secret text, of which this is the SHA-256.
    Secret(Hash),
    /// A signature by this requester.
    Requester(RequesterId),
}

impl ApiKey {
    /// Identifies the key: the SHA-256 of its secret text, or a hash of its requester.
    pub fn id(&self) -> Hash {
        match &self.credential {
            Credential::Secret(hash) => *hash,
            Credential::Requester(requester) => {
                Hash::of("countersign/1 requester as API key", requester.as_bytes())
            }
        }
    }
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(hash) => write!(f, "sha256 {hash}"),
            Self::Requester(requester) => write!(f, "requester {requester}"),
        }
    }
}

/// An entry as the operator writes it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApiKey {
    name: String,
    /// SHA-256 of the key's text form, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<Hash>,
    /// The requester that signs.
    #[serde(skip_serializing_if = "Option::is_none")]
    requester: Option<RequesterId>,
    scopes: Vec<Scope>,
}

/// An entry with no credential, or with two.
#[derive(Debug, thiserror::Error)]
#[error("the API key `{0}` needs either `sha256` or `requester`; keep one of them")]
struct CredentialError(String);

impl TryFrom<RawApiKey> for ApiKey {
    type Error = CredentialError;

    fn try_from(raw: RawApiKey) -> Result<Self, CredentialError> {
        let credential = match (raw.sha256, raw.requester) {
            (Some(hash), None) => Credential::Secret(hash),
            (None, Some(requester)) => Credential::Requester(requester),
            (Some(_), Some(_)) | (None, None) => return Err(CredentialError(raw.name)),
        };
        Ok(Self {
            name: raw.name,
            credential,
            scopes: raw.scopes,
        })
    }
}

impl From<ApiKey> for RawApiKey {
    fn from(key: ApiKey) -> Self {
        let (sha256, requester) = match key.credential {
            Credential::Secret(hash) => (Some(hash), None),
            Credential::Requester(requester) => (None, Some(requester)),
        };
        Self {
            name: key.name,
            sha256,
            requester,
            scopes: key.scopes,
        }
    }
}

/// The accepted keys, with the number of requests in progress for each.
#[derive(Debug)]
pub struct ApiKeys {
    listed: ArcSwap<Vec<ApiKey>>,
    in_flight: Mutex<HashMap<Hash, usize>>,
    accepted: Accepted,
    /// In KiB.
    unproven: Arc<Semaphore>,
}

/// A request in progress. Dropping it frees its place.
#[derive(Debug)]
pub struct Place {
    keys: Arc<ApiKeys>,
    key: Hash,
}

impl ApiKeys {
    /// Accepts the listed keys.
    pub fn new(listed: Vec<ApiKey>) -> Self {
        Self::since(listed, clock::now())
    }

    /// Accepts the listed keys, and signatures from a while after the start on.
    pub(crate) fn since(listed: Vec<ApiKey>, start: UnixMillis) -> Self {
        Self {
            listed: ArcSwap::from_pointee(listed),
            in_flight: Mutex::default(),
            accepted: Accepted::since(start),
            unproven: Arc::new(Semaphore::new(UNPROVEN_KIB)),
        }
    }

    /// Replaces the accepted keys; requests in progress are not interrupted.
    pub fn set(&self, listed: Vec<ApiKey>) {
        self.listed.store(Arc::new(listed));
    }

    /// Returns the name of the presented key, and a place for its request.
    pub fn admit(
        self: &Arc<Self>,
        presented: Option<&str>,
        scope: Scope,
    ) -> Result<(String, Place), Denied> {
        let listed = self.listed.load();
        self.place(check(&listed, presented, scope)?)
    }

    /// Returns the name of a requester whose signature was verified, and a place for its request.
    pub fn admit_requester(
        self: &Arc<Self>,
        requester: &RequesterId,
        scope: Scope,
    ) -> Result<(String, Place), Denied> {
        let listed = self.listed.load();
        let key = find(&listed, requester).ok_or(Denied::Unauthorised)?;
        if key.scopes.contains(&scope) {
            self.place(key)
        } else {
            Err(Denied::Scope)
        }
    }

    /// True if the requester may sign requests.
    pub fn lists(&self, requester: &RequesterId) -> bool {
        find(&self.listed.load(), requester).is_some()
    }

    /// The signed requests that were accepted.
    pub fn accepted(&self) -> &Accepted {
        &self.accepted
    }

    /// Room for a body that is read before its request is proven, if there is as much.
    pub(crate) fn room_for_unproven(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(1024).max(1)).ok()?;
        self.unproven.clone().try_acquire_many_owned(kib).ok()
    }

    fn place(self: &Arc<Self>, key: &ApiKey) -> Result<(String, Place), Denied> {
        let id = key.id();
        let mut in_flight = self
            .in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let open = in_flight.values().sum();
        let own = in_flight.get(&id).copied().unwrap_or_default();
        if !has_room(REQUESTS, open, own) {
            return Err(Denied::Crowded);
        }
        *in_flight.entry(id).or_default() += 1;
        let place = Place {
            keys: self.clone(),
            key: id,
        };
        Ok((key.name.clone(), place))
    }
}

impl Place {
    /// Identifies the key, as [`ApiKey::id`] does.
    pub fn key(&self) -> Hash {
        self.key
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut in_flight = self
            .keys
            .in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = in_flight.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                in_flight.remove(&self.key);
            }
        }
    }
}

/// Why a request is not admitted.
#[allow(missing_docs, reason = "the messages describe the variants")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    #[error(
        "no valid API key; send `Authorization: Bearer` with a key made by `countersign-coordinator api-key new`, or sign the request as a listed requester"
    )]
    Unauthorised,
    #[error(
        "the API key lacks the scope for this; use one that has it, or add the scope in the configuration"
    )]
    Scope,
    #[error(
        "too many requests with this API key are under way; wait for their answers, then ask again"
    )]
    Crowded,
}

/// Generates a key. The text is shown once; the entry belongs in the configuration.
pub fn generate(name: &str, scopes: Vec<Scope>) -> (Zeroizing<String>, ApiKey) {
    let mut secret = Zeroizing::new([0; 32]);
    rand::rngs::OsRng.fill_bytes(&mut secret[..]);
    let text = Zeroizing::new(format!(
        "{PREFIX}{}",
        *Zeroizing::new(hex::encode(&secret[..]))
    ));
    let entry = ApiKey {
        name: name.into(),
        credential: Credential::Secret(fingerprint(&text)),
        scopes,
    };
    (text, entry)
}

/// Finds the entry of the presented key, if it has the scope. Compares every
/// entry, in constant time.
pub fn check<'a>(
    keys: &'a [ApiKey],
    presented: Option<&str>,
    scope: Scope,
) -> Result<&'a ApiKey, Denied> {
    let hash = fingerprint(presented.ok_or(Denied::Unauthorised)?);
    let mut found = None;
    for key in keys {
        if let Credential::Secret(listed) = &key.credential
            && bool::from(listed.as_bytes().ct_eq(hash.as_bytes()))
        {
            found = Some(key);
        }
    }
    let key = found.ok_or(Denied::Unauthorised)?;
    if key.scopes.contains(&scope) {
        Ok(key)
    } else {
        Err(Denied::Scope)
    }
}

fn find<'a>(keys: &'a [ApiKey], requester: &RequesterId) -> Option<&'a ApiKey> {
    keys.iter()
        .find(|key| key.credential == Credential::Requester(*requester))
}

fn fingerprint(text: &str) -> Hash {
    Hash(Sha256::digest(text.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_key_with_the_scope_is_let_in() {
        let (text, entry) = generate("ops", vec![Scope::Read]);
        let (other, _) = generate("ops", vec![Scope::Read]);
        let keys = [entry.clone()];
        assert_eq!(check(&keys, Some(&text), Scope::Read), Ok(&entry));
        assert_eq!(check(&keys, Some(&text), Scope::Create), Err(Denied::Scope));
        for wrong in [
            None,
            Some(""),
            Some(&text[..text.len() - 1]),
            Some(other.as_str()),
        ] {
            assert_eq!(check(&keys, wrong, Scope::Read), Err(Denied::Unauthorised));
        }
    }

    #[test]
    fn neither_one_key_nor_two_can_take_all_places() {
        let (text, entry) = generate("ops", vec![Scope::Read]);
        let (other, others) = generate("desk", vec![Scope::Read]);
        let (third, late) = generate("late", vec![Scope::Read]);
        let keys = Arc::new(ApiKeys::new(vec![entry, others, late]));
        let mut places = Vec::new();
        let mut fill = |text: &str| {
            let admitted = || keys.admit(Some(text), Scope::Read).map(|(_, place)| place);
            places.extend(std::iter::repeat_with(admitted).map_while(Result::ok));
            places.len()
        };
        assert_eq!(fill(&text), REQUESTS / 2);
        assert_eq!(fill(&other), REQUESTS / 4 * 3);
        assert_eq!(
            keys.admit(Some(&text), Scope::Read).err(),
            Some(Denied::Crowded)
        );
        assert_eq!(keys.admit(Some(&third), Scope::Read).unwrap().0, "late");
        places.clear();
        assert!(keys.admit(Some(&text), Scope::Read).is_ok());
    }

    #[test]
    fn a_key_that_was_taken_away_is_not_let_in() {
        let (text, entry) = generate("ops", vec![Scope::Read]);
        let keys = Arc::new(ApiKeys::new(vec![entry]));
        assert!(keys.admit(Some(&text), Scope::Read).is_ok());
        keys.set(Vec::new());
        assert_eq!(
            keys.admit(Some(&text), Scope::Read).err(),
            Some(Denied::Unauthorised)
        );
    }

    #[test]
    fn the_entry_does_not_hold_the_key() {
        let (text, entry) = generate("ops", vec![Scope::Read]);
        let shown = serde_json::to_string(&entry).unwrap();
        assert!(!shown.contains(&text[PREFIX.len()..]), "{shown}");
    }
}
