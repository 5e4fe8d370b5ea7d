//! The keys while nobody else changes them: those of the files and those made through the API never
//! have a name or a credential in common, or one could not be revoked.

use std::sync::MutexGuard;

use super::made::Known;
use super::{ApiKey, ApiKeys};
use crate::store::{Store, StoreError};

/// A key of the files that is not accepted. One that was made through the API counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LeftOut {
    /// Both would be one key, of which one part could not be revoked.
    #[error(
        "the API key `{0}` of the configuration, or of requesters.yaml in the data directory, was made through the API under this name or with this credential, and that one counts; remove the entry, or give it a name and a credential of its own"
    )]
    Made(String),
    /// It would be good again without anybody having wanted that.
    #[error(
        "the API key `{0}` of the configuration, or of requesters.yaml in the data directory, has a credential that was revoked or replaced through the API; remove the entry, or make a new credential for it"
    )]
    Revoked(String),
}

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

    /// The reason not to accept a key of the files, if there is one.
    pub(crate) fn obstacle(
        &self,
        key: &ApiKey,
        store: &Store,
    ) -> Result<Option<LeftOut>, StoreError> {
        let same = |made: &ApiKey| made.name == key.name || made.credential == key.credential;
        if self.known.made().any(same) {
            return Ok(Some(LeftOut::Made(key.name.clone())));
        }
        let is_revoked = store.is_revoked(&key.credential)?;
        Ok(is_revoked.then(|| LeftOut::Revoked(key.name.clone())))
    }

    /// Replaces the keys of the files by these, none of which has an [obstacle](Self::obstacle).
    /// Requests that wait for something notice.
    pub(crate) fn set(&mut self, file: Vec<ApiKey>) {
        self.known.file = file;
        self.keys.apply(&self.known);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use countersign_api::{ApiKeySpec, ExpireApiKey, RotateApiKey, Submitter};
    use countersign_protocol::UnixMillis;

    use super::*;
    use crate::api_key::{Scope, generate};
    use crate::store::Act;

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

    fn act(by: &Submitter) -> Act<'_> {
        Act {
            at: NOW,
            by,
            action: "test",
            target: "desk",
        }
    }

    fn boss() -> Submitter {
        Submitter {
            name: "boss".into(),
            sha256: None,
            requester: None,
        }
    }

    #[test]
    fn a_file_cannot_take_the_name_or_the_credential_of_a_key_that_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("c.redb")).unwrap();
        let keys = ApiKeys::new(vec![]);
        let (_, made) = generate("desk", vec![Scope::Read]);
        keys.put(&store, "desk", spec(&made), act(&boss())).unwrap();
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
            let left = keys.lock().obstacle(&shadow, &store).unwrap();
            assert_eq!(left, Some(LeftOut::Made(shadow.name)));
        }
        assert_eq!(keys.lock().obstacle(&other, &store).unwrap(), None);
    }

    #[test]
    fn a_credential_that_a_key_has_lost_is_in_no_file_until_a_key_has_it_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.redb");
        let store = Store::open(&file).unwrap();
        let keys = ApiKeys::new(vec![]);
        let listed: Vec<ApiKey> = (0..4).map(|_| generate("x", vec![Scope::Read]).1).collect();
        let [one, two, three, four] = &listed[..] else {
            unreachable!()
        };
        let by = boss();
        let is_revoked = |store: &Store| {
            listed
                .iter()
                .map(|key| store.is_revoked(&key.credential).unwrap())
                .collect::<Vec<_>>()
        };
        keys.put(&store, "desk", spec(one), act(&by)).unwrap();
        for to in [two, three] {
            let (sha256, requester) = to.credential.parts();
            let to = RotateApiKey {
                sha256,
                requester,
                overlap_seconds: 60,
            };
            keys.rotate(&store, "desk", &to, act(&by)).unwrap();
        }
        assert_eq!(is_revoked(&store), [true, false, false, false]);
        keys.remove(&store, "desk", act(&by)).unwrap();
        assert_eq!(is_revoked(&store), [true, true, true, false]);
        drop(store);
        let store = Store::open(&file).unwrap();
        assert_eq!(is_revoked(&store), [true, true, true, false], "on disk");
        let left = keys.lock().obstacle(two, &store).unwrap();
        assert_eq!(left, Some(LeftOut::Revoked("x".into())));
        assert_eq!(keys.lock().obstacle(four, &store).unwrap(), None);
        keys.put(&store, "desk", spec(one), act(&by)).unwrap();
        assert_eq!(is_revoked(&store), [false, true, true, false]);
    }

    /// As a coordinator of the first version could leave it.
    #[test]
    fn a_key_that_was_made_is_revoked_although_a_file_has_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("c.redb")).unwrap();
        let (secret, made) = generate("desk", vec![Scope::Read]);
        let (_, listed) = generate("desk", vec![Scope::Read]);
        let keys = Arc::new(ApiKeys::new(vec![]));
        let by = boss();
        keys.put(&store, "desk", spec(&made), act(&by)).unwrap();
        keys.known().file = vec![listed];
        let is_let_in = || keys.admit(Some(secret.expose()), Scope::Read, NOW).is_ok();
        assert!(is_let_in());
        let never = ExpireApiKey { expires: None };
        keys.expire(&store, "desk", &never, act(&by)).unwrap();
        keys.remove(&store, "desk", act(&by)).unwrap();
        assert!(!is_let_in());
        assert_eq!(keys.list().len(), 1);
        let again = keys.remove(&store, "desk", act(&by));
        assert!(again.is_err(), "that of the file");
    }
}
