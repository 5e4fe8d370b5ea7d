//! API keys: random bearer secrets of which only the SHA-256 is kept, each with scopes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use countersign_protocol::Hash;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::share::has_room;

/// Bound on concurrent requests, long polls included. Each key may use as many as
/// there are places left.
pub const REQUESTS: usize = 512;
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
    /// Webhooks and everything else that concerns all users of the coordinator.
    Admin,
}

/// An API key as stored in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// The owner, as shown in logs.
    pub name: String,
    /// SHA-256 of the key's text form, in hexadecimal.
    pub sha256: Hash,
    /// Everything else is answered with 403.
    pub scopes: Vec<Scope>,
}

/// The accepted keys, with the number of requests in progress for each.
#[derive(Debug, Default)]
pub struct ApiKeys {
    listed: ArcSwap<Vec<ApiKey>>,
    in_flight: Mutex<HashMap<Hash, usize>>,
}

/// A request in progress. Dropping it frees its place.
#[derive(Debug)]
pub struct Place<'a> {
    keys: &'a ApiKeys,
    key: Hash,
}

impl ApiKeys {
    /// Accepts the listed keys.
    pub fn new(listed: Vec<ApiKey>) -> Self {
        Self {
            listed: ArcSwap::from_pointee(listed),
            in_flight: Mutex::default(),
        }
    }

    /// Replaces the accepted keys; requests in progress are not interrupted.
    pub fn set(&self, listed: Vec<ApiKey>) {
        self.listed.store(Arc::new(listed));
    }

    /// Returns the name of the presented key, and a place for its request.
    pub fn admit(
        &self,
        presented: Option<&str>,
        scope: Scope,
    ) -> Result<(String, Place<'_>), Denied> {
        let listed = self.listed.load();
        let key = check(&listed, presented, scope)?;
        let mut in_flight = self
            .in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let open = in_flight.values().sum();
        let own = in_flight.get(&key.sha256).copied().unwrap_or_default();
        if !has_room(REQUESTS, open, own) {
            return Err(Denied::Crowded);
        }
        *in_flight.entry(key.sha256).or_default() += 1;
        Ok((
            key.name.clone(),
            Place {
                keys: self,
                key: key.sha256,
            },
        ))
    }
}

impl Place<'_> {
    /// Identifies the key by the SHA-256 of its text.
    pub fn key(&self) -> Hash {
        self.key
    }
}

impl Drop for Place<'_> {
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
        "no valid API key; send `Authorization: Bearer` with a key made by `countersign-coordinator api-key new`"
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
        sha256: fingerprint(&text),
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
        if bool::from(key.sha256.as_bytes().ct_eq(hash.as_bytes())) {
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
        let keys = ApiKeys::new(vec![entry, others, late]);
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
        let keys = ApiKeys::new(vec![entry]);
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
