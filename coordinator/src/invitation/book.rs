//! The one list of who is known: the configuration's entries and those who joined, put in force
//! together, so that a reload and a guest that joins at the same time never undo each other.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_protocol::UnixMillis;
use countersign_protocol::contact::Contact;
use countersign_protocol::invitation::InvitationId;

use super::joined::{self, JoinedError};
use crate::api_key::{ApiKeys, Credential};
use crate::config::Config;
use crate::registry::TaskRegistry;

/// Keeps the registry and the API keys at what the files say.
#[derive(Debug)]
pub struct Book {
    /// The configuration in force, as its file says.
    config: Mutex<Config>,
    data: PathBuf,
    registry: Arc<TaskRegistry>,
    keys: Arc<ApiKeys>,
}

/// How a guest stands to those who are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// Neither its name nor its id is known.
    New,
    /// It is known itself, under the same name.
    Known,
    /// Somebody else has its name, or it has another name.
    Taken,
}

impl Standing {
    fn of(same_name: bool, same_id: bool) -> Self {
        match (same_name, same_id) {
            (false, false) => Self::New,
            (true, true) => Self::Known,
            (true, false) | (false, true) => Self::Taken,
        }
    }
}

/// The book while nobody else changes it.
pub(super) struct Locked<'a> {
    config: MutexGuard<'a, Config>,
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
    /// stays in force.
    pub(crate) fn replace(&self, config: Config) -> Result<(), JoinedError> {
        let mut locked = self.lock();
        let config = Config {
            data: self.data.clone(),
            ..config
        };
        locked.apply(&config)?;
        *locked.config = config;
        Ok(())
    }

    pub(super) fn lock(&self) -> Locked<'_> {
        Locked {
            config: self.config.lock().unwrap_or_else(PoisonError::into_inner),
            book: self,
        }
    }
}

impl Locked<'_> {
    /// Whether somebody has the guest's name or id, by the files.
    pub(super) fn standing(&self, guest: &Contact) -> Result<Standing, JoinedError> {
        let (rules, keys) = joined::merged(&self.config)?;
        let standings: Vec<Standing> = match guest {
            Contact::Node { name, id } => rules
                .nodes
                .iter()
                .map(|(other, called)| Standing::of(called == name, other == id))
                .collect(),
            Contact::Requester { name, id } => keys
                .iter()
                .map(|key| {
                    let same_id = key.credential == Credential::Requester(*id);
                    Standing::of(key.name == *name, same_id)
                })
                .collect(),
        };
        Ok(standings.into_iter().max().unwrap_or(Standing::New))
    }

    /// Records the guest, then makes it known.
    pub(super) fn add(
        &mut self,
        guest: &Contact,
        invitation: InvitationId,
        now: UnixMillis,
    ) -> Result<(), JoinedError> {
        joined::add(&self.book.data, guest, invitation, now)?;
        let config = self.config.clone();
        self.apply(&config)
    }

    fn apply(&mut self, config: &Config) -> Result<(), JoinedError> {
        let (rules, keys) = joined::merged(config)?;
        self.book.registry.set_rules(rules);
        self.book.keys.set(keys);
        self.book.registry.tell_contacts();
        Ok(())
    }
}
