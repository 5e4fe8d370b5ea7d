//! The keys while nobody else changes them: those of the files and those made through the API never
//! have a name or a credential in common, or one could not be revoked.

use std::sync::MutexGuard;

use super::made::Known;
use super::{ApiKey, ApiKeys};

/// A key of the files that was made through the API as well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the API key `{0}` is listed in the configuration or in requesters.yaml in the data directory, and was made through the API under this name or with this credential; revoke one with `countersign api-key revoke`, or remove the entry"
)]
pub struct Shadowed(String);

/// Nobody else changes the keys while this exists.
pub(crate) struct LockedKeys<'a> {
    keys: &'a ApiKeys,
    known: MutexGuard<'a, Known>,
}

impl ApiKeys {
    pub(crate) fn lock(&self) -> LockedKeys<'_> {
        LockedKeys {
            keys: self,
            known: self.known(),
        }
    }
}

impl LockedKeys<'_> {
    /// The keys that were made through the API, with the credentials that they had before and that
    /// are still accepted.
    pub(crate) fn made(&self) -> impl Iterator<Item = &ApiKey> {
        self.known.made()
    }

    /// Replaces the keys of the files. Requests that wait for something notice.
    pub(crate) fn set(&mut self, file: Vec<ApiKey>) -> Result<(), Shadowed> {
        let shadows = |key: &&ApiKey| {
            let same = |made: &ApiKey| made.name == key.name || made.credential == key.credential;
            self.known.made().any(same)
        };
        if let Some(key) = file.iter().find(shadows) {
            return Err(Shadowed(key.name.clone()));
        }
        self.known.file = file;
        self.keys.apply(&self.known);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use countersign_api::{ApiKeySpec, ExpireApiKey};
    use countersign_protocol::UnixMillis;

    use super::*;
    use crate::api_key::{Scope, generate};
    use crate::store::Store;

    const NOW: UnixMillis = UnixMillis(1_000);

    fn spec(key: &ApiKey) -> ApiKeySpec {
        let (sha256, requester) = key.credential.parts();
        ApiKeySpec {
            sha256,
            requester,
            scopes: key.scopes.clone(),
            wallets: None,
            expires: None,
        }
    }

    #[test]
    fn a_file_cannot_take_the_name_or_the_credential_of_a_key_that_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("c.redb")).unwrap();
        let keys = ApiKeys::new(vec![]);
        let (_, made) = generate("desk", vec![Scope::Read]);
        keys.put(&store, "desk", spec(&made)).unwrap();
        let (_, other) = generate("other", vec![Scope::Read]);
        let same_name = ApiKey {
            name: "desk".into(),
            ..other.clone()
        };
        let same_credential = ApiKey {
            name: "office".into(),
            ..made.clone()
        };
        for shadow in [same_name, same_credential] {
            let refused = keys.lock().set(vec![other.clone(), shadow]).unwrap_err();
            assert!(refused.to_string().contains("requesters.yaml"), "{refused}");
            assert_eq!(keys.list().len(), 1, "nothing changed");
        }
        keys.lock().set(vec![other]).unwrap();
        assert_eq!(keys.list().len(), 2);
    }

    /// As a coordinator of the first version could leave it.
    #[test]
    fn a_key_that_was_made_is_revoked_although_a_file_has_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("c.redb")).unwrap();
        let (secret, made) = generate("desk", vec![Scope::Read]);
        let (_, listed) = generate("desk", vec![Scope::Read]);
        let keys = Arc::new(ApiKeys::new(vec![]));
        keys.put(&store, "desk", spec(&made)).unwrap();
        keys.known().file = vec![listed];
        let is_let_in = || keys.admit(Some(secret.expose()), Scope::Read, NOW).is_ok();
        assert!(is_let_in());
        let never = ExpireApiKey { expires: None };
        keys.expire(&store, "desk", &never).unwrap();
        keys.remove(&store, "desk").unwrap();
        assert!(!is_let_in());
        assert_eq!(keys.list().len(), 1);
        assert!(keys.remove(&store, "desk").is_err(), "that of the file");
    }
}
