//! What ended a store: told once, to whoever has to stop the node. After a failed write nobody
//! knows what the disk holds, and a process that goes on would refuse for ever what its successor
//! can do.

use std::sync::{Mutex, OnceLock, PoisonError};

/// Why a store can no longer be written. Nothing heals it but a restart.
#[derive(Default)]
pub struct Trouble {
    why: OnceLock<String>,
    listener: Mutex<Option<Listener>>,
}

type Listener = Box<dyn FnOnce(&str) + Send>;

impl Trouble {
    /// What happened first, if anything did. Ends with what to do.
    pub fn why(&self) -> Option<&str> {
        self.why.get().map(String::as_str)
    }

    /// Calls the listener when it happens; at once if it has happened. There is one listener, the
    /// last.
    pub fn listen(&self, listener: impl FnOnce(&str) + Send + 'static) {
        *self.lock() = Some(Box::new(listener));
        self.tell();
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

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Listener>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
