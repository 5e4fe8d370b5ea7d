//! The one list of who is known: the configuration's entries and those who joined, put in force
//! together, so that a reload and a guest that joins at the same time never undo each other.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_protocol::contact::{Contact, Role};
use countersign_protocol::invitation::InvitationId;
use countersign_protocol::{RequesterId, UnixMillis};
use tracing::error;

use super::Rights;
use super::joined::{self, JoinedError};
use crate::api_key::{ApiKey, ApiKeys, Credential, LeftOut, LockedKeys};
use crate::clock;
use crate::config::Config;
use crate::registry::{RegistryConfig, TaskRegistry};
use crate::store::StoreError;

/// Keeps the registry and the API keys at what the files say.
#[derive(Debug)]
pub struct Book {
    /// The configuration in force, as its file says.
    config: Mutex<Config>,
    data: PathBuf,
    registry: Arc<TaskRegistry>,
    keys: Arc<ApiKeys>,
}

/// How a guest stands to those who are known. Of several, the last counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// Neither its name nor its id is known.
    New,
    /// Somebody else has its name, or its own entry has expired or is left out.
    Taken,
    /// Its key was revoked or replaced through the API.
    Revoked,
    /// It is known itself, under this other name.
    Renamed(String),
    /// It is known itself, under the same name.
    Known,
}

impl Standing {
    /// The standing of a guest of this name to an entry that is its own or somebody else's.
    fn to_entry(name: &str, entry: &str, is_its_own: bool) -> Self {
        match (is_its_own, entry == name) {
            (true, true) => Self::Known,
            (true, false) => Self::Renamed(entry.into()),
            (false, true) => Self::Taken,
            (false, false) => Self::New,
        }
    }

    fn to_key(name: &str, id: &RequesterId, key: &ApiKey, is_good: bool) -> Self {
        let is_its_own = key.credential == Credential::Requester(*id);
        if is_its_own && !is_good {
            return Self::Taken;
        }
        Self::to_entry(name, &key.name, is_its_own)
    }
}

/// The book, and the API keys, while nobody else changes them.
pub(super) struct Locked<'a> {
    config: MutexGuard<'a, Config>,
    keys: LockedKeys<'a>,
    book: &'a Book,
}

impl Book {
    /// Of a coordinator whose registry and keys were made from this configuration.
    pub(crate) fn new(config: Config, registry: Arc<TaskRegistry>, keys: Arc<ApiKeys>) -> Self {
        Self {
            data: config.data.clone(),
            config: Mutex::new(config),
            registry,
            keys,
        }
    }

    /// Puts another configuration in force, with those who joined. On failure, the present one
    /// stays in force. Keys that were made through the API stay as they are: entries that
    /// contradict them are left out, and the log says so.
    pub(crate) fn replace(&self, config: Config) -> Result<(), JoinedError> {
        let mut locked = self.lock();
        let config = Config {
            data: self.data.clone(),
            ..config
        };
        for left_out in locked.apply(&config)? {
            error!(error = %left_out, "an entry is left out");
        }
        *locked.config = config;
        Ok(())
    }

    /// True of the key of a requester that may sign requests.
    pub(super) fn has_requester(&self, key: &[u8; 32], now: UnixMillis) -> bool {
        RequesterId::from_bytes(*key).is_ok_and(|id| self.keys.lists(&id, now))
    }

    pub(super) fn lock(&self) -> Locked<'_> {
        Locked {
            config: self.config.lock().unwrap_or_else(PoisonError::into_inner),
            keys: self.keys.lock(),
            book: self,
        }
    }
}

impl Locked<'_> {
    /// Whether somebody has the guest's name or id, by the files and by the API.
    pub(super) fn standing(
        &self,
        guest: &Contact,
        now: UnixMillis,
    ) -> Result<Standing, JoinedError> {
        let (rules, keys) = joined::merged(&self.config)?;
        let standing = match guest {
            Contact::Node { name, id } => {
                let nodes = rules.nodes.iter();
                nodes
                    .map(|(other, entry)| Standing::to_entry(name, entry, other == id))
                    .max()
            }
            Contact::Requester { name, id } => Some(self.standing_to(&keys, name, id, now)?),
        };
        Ok(standing.unwrap_or(Standing::New))
    }

    /// Whether one of the files' keys, or one that was made, has the name or the id.
    fn standing_to(
        &self,
        listed: &[ApiKey],
        name: &str,
        id: &RequesterId,
        now: UnixMillis,
    ) -> Result<Standing, StoreError> {
        let store = self.book.registry.store();
        let mut standing = if store.is_revoked(&Credential::Requester(*id))? {
            Standing::Revoked
        } else {
            Standing::New
        };
        for key in listed {
            let is_good = key.is_valid(now) && self.keys.obstacle(key, store)?.is_none();
            standing = standing.max(Standing::to_key(name, id, key, is_good));
        }
        let made = self.keys.made();
        let made = made.map(|key| Standing::to_key(name, id, key, key.is_valid(now)));
        Ok(made.fold(standing, Ord::max))
    }

    /// True if somebody in the files has this name.
    pub(super) fn knows(&self, role: Role, name: &str) -> Result<bool, JoinedError> {
        self.config.knows(role, name)
    }

    /// Records the guest, then makes it known.
    pub(super) fn add(
        &mut self,
        guest: &Contact,
        rights: Option<Rights>,
        invitation: InvitationId,
        now: UnixMillis,
    ) -> Result<(), JoinedError> {
        joined::add(&self.book.data, guest, rights, invitation, now)?;
        let config = self.config.clone();
        self.apply(&config).map(drop)
    }

    /// Returns what was left out.
    fn apply(&mut self, config: &Config) -> Result<Vec<LeftOut>, JoinedError> {
        let (rules, keys, left_out) = self.accepted(config)?;
        self.keys.set(keys);
        self.book.registry.set_rules(rules);
        self.book.registry.tell_contacts(clock::now());
        Ok(left_out)
    }

    /// Everybody in the files, and the keys that must not be accepted, which are not among them.
    fn accepted(
        &self,
        config: &Config,
    ) -> Result<(RegistryConfig, Vec<ApiKey>, Vec<LeftOut>), JoinedError> {
        let mut left_out = Vec::new();
        let (rules, keys) = joined::merged_of(config, |key| {
            let obstacle = self.keys.obstacle(key, self.book.registry.store())?;
            let is_accepted = obstacle.is_none();
            left_out.extend(obstacle);
            Ok(is_accepted)
        })?;
        Ok((rules, keys, left_out))
    }
}
