//! The reason why a store ended, told once to the part that stops the node. After a failed write
//! nobody knows the state of the disk. A process that went on would refuse for ever what its
//! successor can do.

use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The reason why a store can no longer be written. Only a restart helps.
#[derive(Default)]
pub struct Trouble {
    why: OnceLock<String>,
    listener: Mutex<Option<Listener>>,
}

/// The error of a store that has ended: the reason, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreEnded(String);

type Listener = Box<dyn FnOnce(&str) + Send>;

impl Trouble {
    /// The first reason, if there is one. Its text ends with the remedy.
    pub fn why(&self) -> Option<&str> {
        self.why.get().map(String::as_str)
    }

    /// Calls the listener when trouble is raised, or at once if it was. Replaces an earlier
    /// listener.
    pub fn listen(&self, listener: impl FnOnce(&str) + Send + 'static) {
        *self.lock() = Some(Box::new(listener));
        self.tell();
    }

    /// An error once trouble was raised.
    pub(crate) fn check(&self) -> Result<(), StoreEnded> {
        self.why()
            .map_or(Ok(()), |why| Err(StoreEnded(why.to_owned())))
    }

    pub(crate) fn raise(&self, why: impl Into<String>) {
        let _first = self.why.set(why.into());
        self.tell();
    }

    fn tell(&self) {
        let Some(why) = self.why() else { return };
        let listener = self.lock().take();
        if let Some(listener) = listener {
            listener(why);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Listener>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trouble")
            .field("why", &self.why())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn the_first_reason_is_told_once_before_or_after_somebody_listens() {
        let (said, heard) = sync_channel(4);
        let trouble = Trouble::default();
        let ear = said.clone();
        trouble.listen(move |why| ear.send(why.to_owned()).unwrap());
        assert!(heard.try_recv().is_err());
        trouble.raise("first");
        trouble.raise("second");
        assert_eq!(
            (heard.try_recv().as_deref(), heard.try_recv().is_err()),
            (Ok("first"), true)
        );
        trouble.listen(move |why| said.send(why.to_owned()).unwrap());
        assert_eq!(
            (heard.try_recv().as_deref(), trouble.why()),
            (Ok("first"), Some("first"))
        );
    }
}
