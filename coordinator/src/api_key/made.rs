//! API keys that are made, changed and revoked while the coordinator runs.

use std::collections::BTreeMap;
use std::sync::MutexGuard;

use countersign_api::{
    ApiKeySettings, ApiKeySpec, ApiKeyView, ExpireApiKey, KeyOrigin, PreviousCredential,
    RotateApiKey,
};
use countersign_cli_kit::api_key_hash;
use countersign_protocol::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{ApiKey, ApiKeys, Credential, Scope};
use crate::store::{Act, KeyChange, Store, StoreError};
use crate::webhook::{WebhookError, check_name};

/// Most keys that are made through the API.
const MAX_KEYS: usize = 1_000;
/// Most wallets that a key is limited to.
const MAX_WALLETS: usize = 1_000;
/// For how long a replaced credential may be accepted, in seconds.
const LONGEST_OVERLAP: u32 = 7 * 24 * 3600;

/// A key that was made through the API, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeKey {
    /// The key.
    pub key: ApiKey,
    /// The key with its credential before the last rotation; it expires.
    pub previous: Option<ApiKey>,
}

impl MadeKey {
    /// Its credential, and the one before it.
    pub(crate) fn credentials(&self) -> impl Iterator<Item = &Credential> {
        let keys = std::iter::once(&self.key).chain(&self.previous);
        keys.map(|key| &key.credential)
    }
}

/// Why a key is not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The name is not allowed.
    #[error(
        "a key's name has 1 to 40 of a-z, 0-9 and `-`, and begins with a letter; choose another"
    )]
    Name,
    /// It is not clear who the key is.
    #[error("give either `sha256`, the hash of the key's text, or `requester`")]
    Credential,
    /// A passkey signs no requests.
    #[error(
        "`requester` is a passkey, which signs tasks and no requests; give its owner a key with `sha256`"
    )]
    Passkey,
    /// Whoever sends nothing would be the key's holder.
    #[error(
        "`sha256` is the hash of an empty text; make a secret with `countersign api-key create`, which sends its hash"
    )]
    Empty,
    /// It may do nothing, or everything for a part.
    #[error(
        "a key has at least one scope; if it is limited to wallets, 1 to {MAX_WALLETS} of them, and not the scope `admin`; correct it, or leave `wallets` out"
    )]
    Scopes,
    /// The overlap is too long.
    #[error(
        "a credential that was replaced is accepted for at most {LONGEST_OVERLAP} seconds; choose fewer"
    )]
    Overlap,
    /// The key is the operator's.
    #[error(
        "this key is in the coordinator's configuration, or in requesters.yaml in its data directory; change it there, and send the coordinator SIGHUP"
    )]
    InFile,
    /// Another key has the credential.
    #[error("another key has this credential; make a new one for each key")]
    Taken,
    /// The credential is another than before.
    #[error("the key has another credential; rotate it, or delete the key first")]
    Other,
    /// There are too many.
    #[error("there are {MAX_KEYS} keys, which is the limit; delete one first")]
    TooMany,
    /// There is none of this name.
    #[error("there is no such key; list the keys for their names")]
    Unknown,
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<WebhookError> for KeyError {
    fn from(_: WebhookError) -> Self {
        Self::Name
    }
}

impl ApiKeys {
    /// Returns all keys, by name.
    pub fn list(&self) -> Vec<ApiKeyView> {
        let known = self.known();
        let file = known.file.iter().map(|key| (key, None, KeyOrigin::File));
        let made = known
            .made
            .values()
            .map(|made| (&made.key, made.previous.as_ref(), KeyOrigin::Api));
        let mut views: Vec<ApiKeyView> = file
            .chain(made)
            .map(|(key, previous, origin)| view(key, previous, origin))
            .collect();
        views.sort_by(|one, other| one.name.cmp(&other.name));
        views
    }

    /// Makes a key, or changes what it may do. True if it is new.
    pub fn put(
        &self,
        store: &Store,
        name: &str,
        spec: ApiKeySpec,
        act: Act<'_>,
    ) -> Result<(ApiKeyView, bool), KeyError> {
        check_name(name)?;
        let key = asked(name, spec)?;
        let known = self.known();
        if known.is_only_in_a_file(name) {
            return Err(KeyError::InFile);
        }
        let before = known.made.get(name);
        match before {
            Some(before) if before.key.credential != key.credential => return Err(KeyError::Other),
            None if known.made.len() >= MAX_KEYS => return Err(KeyError::TooMany),
            Some(_) | None => {}
        }
        let new = before.is_none();
        if new && known.is_taken(&key.credential) {
            return Err(KeyError::Taken);
        }
        let previous = before.and_then(|before| before.previous.as_ref());
        let previous = previous.map(|previous| overlapping(previous, &key));
        let made = MadeKey { key, previous };
        Ok((self.keep(store, known, made, act)?, new))
    }

    /// Sets the end of a key that is there, and nothing else.
    pub fn expire(
        &self,
        store: &Store,
        name: &str,
        to: &ExpireApiKey,
        act: Act<'_>,
    ) -> Result<ApiKeyView, KeyError> {
        let known = self.known();
        if known.is_only_in_a_file(name) {
            return Err(KeyError::InFile);
        }
        let before = known.made.get(name).ok_or(KeyError::Unknown)?;
        let key = ApiKey {
            expires: to.expires,
            ..before.key.clone()
        };
        let previous = before.previous.as_ref();
        let previous = previous.map(|previous| overlapping(previous, &key));
        self.keep(store, known, MadeKey { key, previous }, act)
    }

    /// Replaces a key's credential, at the time of the act.
    pub fn rotate(
        &self,
        store: &Store,
        name: &str,
        to: &RotateApiKey,
        act: Act<'_>,
    ) -> Result<ApiKeyView, KeyError> {
        if to.overlap_seconds > LONGEST_OVERLAP {
            return Err(KeyError::Overlap);
        }
        let credential = credential(to.sha256, to.requester)?;
        let known = self.known();
        if known.is_only_in_a_file(name) {
            return Err(KeyError::InFile);
        }
        let before = known.made.get(name).ok_or(KeyError::Unknown)?;
        if before.key.credential == credential {
            store.audit(act)?;
            return Ok(view(&before.key, before.previous.as_ref(), KeyOrigin::Api));
        }
        if known.is_taken(&credential) {
            return Err(KeyError::Taken);
        }
        let until = UnixMillis(act.at.0 + u64::from(to.overlap_seconds) * 1000);
        let expires = before.key.expires.map_or(until, |end| end.min(until));
        let made = MadeKey {
            key: ApiKey {
                credential,
                ..before.key.clone()
            },
            previous: Some(ApiKey {
                expires: Some(expires),
                ..before.key.clone()
            }),
        };
        self.keep(store, known, made, act)
    }

    /// Revokes a key at once. False if there was none.
    pub fn remove(&self, store: &Store, name: &str, act: Act<'_>) -> Result<bool, KeyError> {
        let mut known = self.known();
        if known.is_only_in_a_file(name) {
            return Err(KeyError::InFile);
        }
        let Some(before) = known.made.remove(name) else {
            return Ok(false);
        };
        // Refused from now on, whether or not the store can write.
        self.apply(&known);
        store.put_api_key(KeyChange {
            name,
            before: Some(&before),
            after: None,
            act,
        })?;
        Ok(true)
    }

    fn keep(
        &self,
        store: &Store,
        mut known: MutexGuard<'_, Known>,
        made: MadeKey,
        act: Act<'_>,
    ) -> Result<ApiKeyView, KeyError> {
        let name = made.key.name.clone();
        store.put_api_key(KeyChange {
            name: &name,
            before: known.made.get(&name),
            after: Some(&made),
            act,
        })?;
        let shown = view(&made.key, made.previous.as_ref(), KeyOrigin::Api);
        known.made.insert(name, made);
        self.apply(&known);
        Ok(shown)
    }
}

/// The keys as they are kept.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// In the configuration, and those of requesters who joined.
    pub(super) file: Vec<ApiKey>,
    /// Made through the API, by name.
    pub(super) made: BTreeMap<String, MadeKey>,
}

impl Known {
    /// All keys that may be accepted.
    pub(super) fn all(&self) -> Vec<ApiKey> {
        self.file.iter().chain(self.made()).cloned().collect()
    }

    /// Those made through the API, with the credentials that they had before.
    pub(super) fn made(&self) -> impl Iterator<Item = &ApiKey> {
        let made = self.made.values();
        made.flat_map(|made| std::iter::once(&made.key).chain(&made.previous))
    }

    /// True of a key that is changed in its file. A key that was made is changed here, whatever a
    /// file says.
    fn is_only_in_a_file(&self, name: &str) -> bool {
        !self.made.contains_key(name) && self.file.iter().any(|key| key.name == name)
    }

    fn is_taken(&self, credential: &Credential) -> bool {
        self.all().iter().any(|key| key.credential == *credential)
    }
}

/// The credential before the last rotation may do what the key may, and ends with it or earlier.
fn overlapping(previous: &ApiKey, key: &ApiKey) -> ApiKey {
    let ends = [previous.expires, key.expires];
    ApiKey {
        credential: previous.credential,
        expires: ends.into_iter().flatten().min(),
        ..key.clone()
    }
}

fn asked(name: &str, spec: ApiKeySpec) -> Result<ApiKey, KeyError> {
    let key = ApiKey {
        name: name.into(),
        credential: credential(spec.sha256, spec.requester)?,
        scopes: spec.scopes,
        wallets: spec.wallets,
        expires: spec.expires,
    };
    check(&key)?;
    Ok(key)
}

/// Checks what a key may do, and that its credential is one.
pub(crate) fn check(key: &ApiKey) -> Result<(), KeyError> {
    if key.credential == Credential::Secret(api_key_hash("")) {
        return Err(KeyError::Empty);
    }
    let is_admin = key.scopes.contains(&Scope::Admin);
    let limit = key.wallets.as_ref().map(Vec::len);
    let limited_well =
        limit.is_none_or(|wallets| (1..=MAX_WALLETS).contains(&wallets) && !is_admin);
    if limited_well && !key.scopes.is_empty() {
        Ok(())
    } else {
        Err(KeyError::Scopes)
    }
}

fn credential(
    sha256: Option<countersign_protocol::Hash>,
    requester: Option<countersign_protocol::RequesterId>,
) -> Result<Credential, KeyError> {
    match (sha256, requester) {
        (Some(hash), None) if hash == api_key_hash("") => Err(KeyError::Empty),
        (Some(hash), None) => Ok(Credential::Secret(hash)),
        (None, Some(requester)) if requester.is_passkey() => Err(KeyError::Passkey),
        (None, Some(requester)) => Ok(Credential::Requester(requester)),
        (Some(_), Some(_)) | (None, None) => Err(KeyError::Credential),
    }
}

fn view(key: &ApiKey, previous: Option<&ApiKey>, origin: KeyOrigin) -> ApiKeyView {
    let (sha256, requester) = key.credential.parts();
    let previous = previous.and_then(|previous| {
        let (sha256, requester) = previous.credential.parts();
        Some(PreviousCredential {
            sha256,
            requester,
            expires: previous.expires?,
        })
    });
    ApiKeyView {
        name: key.name.clone(),
        spec: ApiKeySettings {
            sha256,
            requester,
            scopes: key.scopes.iter().copied().map(Into::into).collect(),
            wallets: key.wallets.clone(),
            expires: key.expires,
        },
        previous,
        origin: origin.into(),
    }
}
