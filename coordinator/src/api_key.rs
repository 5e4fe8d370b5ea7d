//! API keys: random bearer secrets of which only the SHA-256 is kept, and requesters that sign
//! their requests, each with scopes.

mod locked;
mod made;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
pub use countersign_api::Scope;
use countersign_api::Submitter;
use countersign_cli_kit::{ApiKeySecret, api_key_hash};
use countersign_protocol::{Hash, KeyId, RequesterId, UnixMillis};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::clock;
use crate::share::has_room;
use crate::signed_request::Accepted;
use crate::store::{Store, StoreError};
pub(crate) use locked::{LeftOut, LockedKeys};
use made::Known;
pub(crate) use made::check as check_key;
pub use made::{KeyError, MadeKey};

/// Bound on concurrent requests, long polls included. Each key may use as many as
/// there are places left.
pub const REQUESTS: usize = 512;
/// Bound on the bodies of requests that are read before their signature is verified, all together.
const UNPROVEN_KIB: usize = 32 * 1024;

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
    /// Only these wallets, their tasks and their events; all if absent.
    pub wallets: Option<Vec<KeyId>>,
    /// Refused from this time on.
    pub expires: Option<UnixMillis>,
}

/// The proof that a request is the owner's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// A secret text, of which this is the SHA-256.
    Secret(Hash),
    /// A signature by this requester.
    Requester(RequesterId),
}

impl Credential {
    /// The hash of a secret text, or the requester.
    pub fn parts(&self) -> (Option<Hash>, Option<RequesterId>) {
        match self {
            Self::Secret(hash) => (Some(*hash), None),
            Self::Requester(requester) => (None, Some(*requester)),
        }
    }

    /// Identifies the credential: the SHA-256 of the secret text, or a hash of the requester.
    pub fn id(&self) -> Hash {
        match self {
            Self::Secret(hash) => *hash,
            Self::Requester(requester) => {
                Hash::of("countersign/1 requester as API key", requester.as_bytes())
            }
        }
    }
}

impl ApiKey {
    pub(crate) fn is_valid(&self, now: UnixMillis) -> bool {
        self.expires.is_none_or(|end| now < end)
    }

    /// The key, if it has the scope.
    fn with(&self, scope: Option<Scope>) -> Result<&Self, Denied> {
        if scope.is_none_or(|scope| self.scopes.contains(&scope)) {
            Ok(self)
        } else {
            Err(Denied::Scope)
        }
    }

    /// Identifies the key, by its credential.
    pub fn id(&self) -> Hash {
        self.credential.id()
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wallets: Option<Vec<KeyId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<UnixMillis>,
}

/// An entry without a credential that can prove a request.
#[derive(Debug, thiserror::Error)]
enum CredentialError {
    /// No credential, or two.
    #[error("the API key `{0}` needs either `sha256` or `requester`; keep one of them")]
    Count(String),
    /// A passkey.
    #[error(
        "the API key `{0}` names a passkey, which signs tasks and no requests; give its owner a key with `sha256`"
    )]
    Passkey(String),
}

impl TryFrom<RawApiKey> for ApiKey {
    type Error = CredentialError;

    fn try_from(raw: RawApiKey) -> Result<Self, CredentialError> {
        let credential = match (raw.sha256, raw.requester) {
            (Some(hash), None) => Credential::Secret(hash),
            (None, Some(requester)) if requester.is_passkey() => {
                return Err(CredentialError::Passkey(raw.name));
            }
            (None, Some(requester)) => Credential::Requester(requester),
            (Some(_), Some(_)) | (None, None) => return Err(CredentialError::Count(raw.name)),
        };
        Ok(Self {
            name: raw.name,
            credential,
            scopes: raw.scopes,
            wallets: raw.wallets,
            expires: raw.expires,
        })
    }
}

impl From<ApiKey> for RawApiKey {
    fn from(key: ApiKey) -> Self {
        let (sha256, requester) = key.credential.parts();
        Self {
            name: key.name,
            sha256,
            requester,
            scopes: key.scopes,
            wallets: key.wallets,
            expires: key.expires,
        }
    }
}

/// The accepted keys, with the number of requests in progress for each.
#[derive(Debug)]
pub struct ApiKeys {
    known: Mutex<Known>,
    listed: ArcSwap<Vec<ApiKey>>,
    /// Changes with the list.
    changes: watch::Sender<()>,
    in_flight: Mutex<HashMap<Hash, usize>>,
    accepted: Accepted,
    /// In KiB.
    unproven: Arc<Semaphore>,
}

/// An admitted caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Identifies the key, as [`ApiKey::id`] does.
    pub key: Hash,
    /// The key's name.
    pub name: String,
    /// The credential that proved it.
    pub credential: Credential,
    /// Only these wallets; all if absent.
    pub wallets: Option<Vec<KeyId>>,
    /// True if it has the scope `admin`.
    pub is_admin: bool,
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
        let known = Known {
            file: listed,
            ..Known::default()
        };
        Self {
            listed: ArcSwap::from_pointee(known.all()),
            known: Mutex::new(known),
            changes: watch::Sender::new(()),
            in_flight: Mutex::default(),
            accepted: Accepted::since(start),
            unproven: Arc::new(Semaphore::new(UNPROVEN_KIB)),
        }
    }

    /// Accepts the keys that were made through the API as well.
    pub fn load(&self, store: &Store) -> Result<(), StoreError> {
        let mut known = self.known();
        known.made = store.api_keys()?;
        self.apply(&known);
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, known: &Known) {
        self.listed.store(Arc::new(known.all()));
        self.changes.send_replace(());
    }

    /// Admits the holder of a key. Without a scope, the key may have any.
    pub fn admit(
        self: &Arc<Self>,
        presented: Option<&str>,
        scope: impl Into<Option<Scope>>,
        now: UnixMillis,
    ) -> Result<(Caller, Place), Denied> {
        let listed = self.listed.load();
        self.place(check(&listed, presented, scope.into(), now)?)
    }

    /// Admits a requester whose signature was verified.
    pub fn admit_requester(
        self: &Arc<Self>,
        requester: &RequesterId,
        scope: Option<Scope>,
        now: UnixMillis,
    ) -> Result<(Caller, Place), Denied> {
        let listed = self.listed.load();
        let key = find(&listed, requester, now).ok_or(Denied::Unauthorised)?;
        self.place(key.with(scope)?)
    }

    /// True if the requester may sign requests.
    pub fn lists(&self, requester: &RequesterId, now: UnixMillis) -> bool {
        find(&self.listed.load(), requester, now).is_some()
    }

    /// True if the caller may still read, and of the same wallets as when it was admitted.
    pub fn may_still_read(&self, caller: &Caller, now: UnixMillis) -> bool {
        let same = |key: &ApiKey| {
            key.id() == caller.key
                && key.wallets == caller.wallets
                && key.scopes.contains(&Scope::Read)
        };
        let listed = self.listed.load();
        listed.iter().any(|key| same(key) && key.is_valid(now))
    }

    /// Changes whenever keys do.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
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

    fn place(self: &Arc<Self>, key: &ApiKey) -> Result<(Caller, Place), Denied> {
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
        let caller = Caller {
            key: id,
            name: key.name.clone(),
            credential: key.credential,
            wallets: key.wallets.clone(),
            is_admin: key.scopes.contains(&Scope::Admin),
        };
        Ok((caller, place))
    }
}

impl Caller {
    /// The caller as tasks and the audit log name it.
    pub fn submitter(&self) -> Submitter {
        let (sha256, requester) = self.credential.parts();
        Submitter {
            name: self.name.clone(),
            sha256,
            requester,
        }
    }

    /// Somebody's submission as this caller may see it. The hash of an API key is for admins: a
    /// secret that is not random could be guessed by it.
    pub fn sees_submitter(&self, by: Submitter) -> Submitter {
        Submitter {
            sha256: by.sha256.filter(|_| self.is_admin),
            ..by
        }
    }

    /// True if the caller may know of this wallet.
    pub fn sees(&self, wallet: &KeyId) -> bool {
        self.wallets
            .as_ref()
            .is_none_or(|wallets| wallets.contains(wallet))
    }

    /// Of the wallets that the caller asks for, or of all, those that it may know of.
    pub fn narrow(&self, asked: Option<Vec<KeyId>>) -> Option<Vec<KeyId>> {
        match (asked, &self.wallets) {
            (asked, None) => asked,
            (None, Some(own)) => Some(own.clone()),
            (Some(asked), Some(_)) => Some(
                asked
                    .into_iter()
                    .filter(|wallet| self.sees(wallet))
                    .collect(),
            ),
        }
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
    #[error("the API key has expired; have an admin set another end, or use another key")]
    Expired,
    #[error("the API key lacks the scope for this; use one that has it, or have an admin add it")]
    Scope,
    #[error(
        "too many requests with this API key are under way; wait for their answers, then ask again"
    )]
    Crowded,
}

/// Generates a key. The secret is shown once; the entry belongs in the configuration.
pub fn generate(name: &str, scopes: Vec<Scope>) -> (ApiKeySecret, ApiKey) {
    let secret = ApiKeySecret::generate();
    let entry = ApiKey {
        name: name.into(),
        credential: Credential::Secret(secret.sha256()),
        scopes,
        wallets: None,
        expires: None,
    };
    (secret, entry)
}

/// Finds the entry of the presented key, if it has the scope. Compares every
/// entry, in constant time.
pub fn check<'a>(
    keys: &'a [ApiKey],
    presented: Option<&str>,
    scope: Option<Scope>,
    now: UnixMillis,
) -> Result<&'a ApiKey, Denied> {
    let hash = api_key_hash(presented.ok_or(Denied::Unauthorised)?);
    let mut found = None;
    for key in keys {
        if let Credential::Secret(listed) = &key.credential
            && bool::from(listed.as_bytes().ct_eq(hash.as_bytes()))
        {
            found = Some(key);
        }
    }
    let key: &ApiKey = found.ok_or(Denied::Unauthorised)?;
    if key.is_valid(now) {
        key.with(scope)
    } else {
        Err(Denied::Expired)
    }
}

fn find<'a>(keys: &'a [ApiKey], requester: &RequesterId, now: UnixMillis) -> Option<&'a ApiKey> {
    keys.iter()
        .find(|key| key.credential == Credential::Requester(*requester) && key.is_valid(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000);

    #[test]
    fn only_the_whole_key_with_the_scope_is_let_in() {
        let (text, entry) = generate("ops", vec![Scope::Read]);
        let (other, _) = generate("ops", vec![Scope::Read]);
        let keys = [entry.clone()];
        assert_eq!(
            check(&keys, Some(text.expose()), Some(Scope::Read), NOW),
            Ok(&entry)
        );
        assert_eq!(
            check(&keys, Some(text.expose()), Some(Scope::Create), NOW),
            Err(Denied::Scope)
        );
        for wrong in [
            None,
            Some(""),
            Some(&text.expose()[..69]),
            Some(other.expose()),
        ] {
            assert_eq!(
                check(&keys, wrong, Some(Scope::Read), NOW),
                Err(Denied::Unauthorised)
            );
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
            let admitted = || {
                keys.admit(Some(text), Scope::Read, NOW)
                    .map(|(_, place)| place)
            };
            places.extend(std::iter::repeat_with(admitted).map_while(Result::ok));
            places.len()
        };
        assert_eq!(fill(text.expose()), REQUESTS / 2);
        assert_eq!(fill(other.expose()), REQUESTS / 4 * 3);
        assert_eq!(
            keys.admit(Some(text.expose()), Scope::Read, NOW).err(),
            Some(Denied::Crowded)
        );
        assert_eq!(
            keys.admit(Some(third.expose()), Scope::Read, NOW)
                .unwrap()
                .0
                .name,
            "late"
        );
        places.clear();
        assert!(keys.admit(Some(text.expose()), Scope::Read, NOW).is_ok());
    }

    #[test]
    fn a_key_that_was_taken_away_is_not_let_in() {
        let (text, entry) = generate("ops", vec![Scope::Read]);
        let keys = Arc::new(ApiKeys::new(vec![entry]));
        assert!(keys.admit(Some(text.expose()), Scope::Read, NOW).is_ok());
        keys.lock().set(Vec::new());
        assert_eq!(
            keys.admit(Some(text.expose()), Scope::Read, NOW).err(),
            Some(Denied::Unauthorised)
        );
    }

    #[test]
    fn the_entry_does_not_hold_the_key() {
        let (text, entry) = generate("ops", vec![Scope::Read]);
        let shown = serde_json::to_string(&entry).unwrap();
        assert!(!shown.contains(&text.expose()[6..]), "{shown}");
    }
}
