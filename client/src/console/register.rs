//! The people in force, and what follows when their file changes.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use super::people::{Approvers, People, PeopleError};
use super::session::Sessions;

/// The people who sign in by passkey, as their file last said.
pub struct Register {
    path: PathBuf,
    approvers: Option<Approvers>,
    people: RwLock<Arc<People>>,
    sessions: Arc<Sessions>,
}

impl Register {
    pub(super) fn read(
        path: PathBuf,
        approvers: Option<Approvers>,
        sessions: Arc<Sessions>,
    ) -> Result<Self, PeopleError> {
        let people = People::read(&path, approvers.as_ref())?;
        Ok(Self {
            path,
            approvers,
            people: RwLock::new(Arc::new(people)),
            sessions,
        })
    }

    pub(super) fn people(&self) -> Arc<People> {
        let people = self.people.read().unwrap_or_else(PoisonError::into_inner);
        people.clone()
    }

    /// Reads the file again, and ends the sessions of those whose passkey is not in it any more. A
    /// file that cannot be used changes nothing.
    pub fn reload(&self) -> Result<(), PeopleError> {
        let people = Arc::new(People::read(&self.path, self.approvers.as_ref())?);
        let mut present = self.people.write().unwrap_or_else(PoisonError::into_inner);
        *present = people.clone();
        drop(present);
        self.sessions.keep_listed(&people);
        Ok(())
    }
}
