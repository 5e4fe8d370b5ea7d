//! The desk at which guests show their tokens.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use countersign_protocol::contact::{Contact, Role};
use countersign_protocol::invitation::Token;
use countersign_protocol::{NodeId, RequesterId, UnixMillis};
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::book::Standing;
use super::wrongs::Wrongs;
use super::{Book, Invitations};
use crate::clock;
use crate::metrics::Counters;
use crate::registry::TaskRegistry;
use crate::run::stopped;

/// Interval at which expired invitations are removed and new ones noticed.
const LOOK: Duration = Duration::from_millis(500);

/// Admits guests.
pub struct Desk {
    invitations: Invitations,
    book: Arc<Book>,
    registry: Arc<TaskRegistry>,
    /// Expiry of the last open invitation, in ms since 1970. 0: there is none.
    open_until: AtomicU64,
    wrongs: Mutex<Wrongs>,
    counters: Arc<Counters>,
}

/// Why a guest is not registered, as the guest is told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotJoined {
    /// Any fault of the token. It is not said which, since that would help whoever guesses.
    #[error(
        "the invitation is not accepted: it is not from this coordinator, or was used, revoked or has expired, or too many wrong ones came from your address; ask the coordinator's operator for a new one"
    )]
    Token,
    /// The name or the id is taken. The invitation stays open.
    #[error(
        "a {0} with this name or this id is registered here already; ask the coordinator's operator for an invitation under another name, or to remove the present entry"
    )]
    Taken(Role),
    /// The key cannot be an id.
    #[error("the key of the guest cannot be an id; make another identity")]
    Key,
    /// The record could not be written.
    #[error(
        "the coordinator cannot record who joins, and its log says why; ask its operator for help, and for a new invitation"
    )]
    Store,
}

impl Desk {
    /// A desk for these invitations. Nobody is let in before the first [`look`](Self::look).
    pub(crate) fn new(
        invitations: Invitations,
        book: Arc<Book>,
        registry: Arc<TaskRegistry>,
    ) -> Self {
        Self {
            invitations,
            book,
            counters: registry.counters().clone(),
            registry,
            open_until: AtomicU64::new(0),
            wrongs: Mutex::default(),
        }
    }

    /// True while an invitation is open.
    pub fn is_open(&self) -> bool {
        clock::now().0 < self.open_until.load(Ordering::Relaxed)
    }

    /// Removes expired invitations and notices new ones. Blocks.
    pub fn look(&self, now: UnixMillis) {
        let until = self.invitations.sweep(now);
        let until = until.unwrap_or_else(|error| {
            warn!(%error, "the invitations cannot be read, and nobody joins; check the data directory");
            None
        });
        let until = until.map_or(0, |until| until.0);
        self.open_until.store(until, Ordering::Relaxed);
    }

    /// Admits the holder of `key` if its token is good: spends the invitation, records the guest,
    /// and makes it known. Returns the contacts that the guest is told. Blocks.
    pub fn receive(
        &self,
        key: [u8; 32],
        from: IpAddr,
        token: &Token,
        now: UnixMillis,
    ) -> Result<Vec<Contact>, NotJoined> {
        let admitted = self.admit(key, from, token, now);
        self.look(now);
        let contacts = admitted.inspect_err(|refused| {
            self.counters.joins.add("refused");
            info!(%from, %refused, "a guest was not registered");
        })?;
        self.counters.joins.add("joined");
        Ok(contacts)
    }

    fn admit(
        &self,
        key: [u8; 32],
        from: IpAddr,
        token: &Token,
        now: UnixMillis,
    ) -> Result<Vec<Contact>, NotJoined> {
        // Held until the end: who looks first is admitted first.
        let mut book = self.book.lock();
        let id = token.invitation.id;
        if !self.is_good(token, from, now) {
            return Err(NotJoined::Token);
        }
        let guest = guest(token, key)?;
        let standing = book
            .standing(&guest)
            .map_err(|failed| failed_to_store(&failed))?;
        if standing == Standing::Taken {
            return Err(NotJoined::Taken(guest.role()));
        }
        match self.invitations.spend(id) {
            Ok(true) => {}
            Ok(false) => return Err(NotJoined::Token),
            Err(failed) => return Err(failed_to_store(&failed)),
        }
        if standing == Standing::New {
            let added = book.add(&guest, id, now);
            added.map_err(|failed| failed_to_store(&failed))?;
        }
        if let Err(left) = self.invitations.forget(id) {
            warn!(error = %left, "a spent invitation is left over; it is removed at the next start");
        }
        info!(role = %guest.role(), name = guest.name(), id = guest.id(), invitation = %id, "joined by invitation");
        Ok(self.registry.contacts_for(&key))
    }

    fn is_good(&self, token: &Token, from: IpAddr, now: UnixMillis) -> bool {
        let mut wrongs = self.wrongs.lock().unwrap_or_else(PoisonError::into_inner);
        if !wrongs.hears(from, now) {
            return false;
        }
        let good = self.invitations.accepts(token, now);
        if !good {
            wrongs.add(from, now);
        }
        good
    }

    /// Forgets what was spent when the process last ended, and tells of guests that are not on
    /// record: they need another invitation.
    fn clear(&self) -> io::Result<()> {
        let rules = self.registry.rules();
        for spent in self.invitations.forget_spent()? {
            let known = match spent.role {
                Role::Node => rules.node_contacts().any(|node| node.name() == spent.name),
                Role::Requester => rules
                    .requester_contacts()
                    .any(|requester| requester.name() == spent.name),
            };
            if !known {
                warn!(role = %spent.role, name = spent.name, "an invitation was spent when the coordinator ended, and nobody was registered; make a new one");
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

/// Looks after the invitations until the stop.
pub async fn look_after(desk: Arc<Desk>, mut stop: watch::Receiver<bool>) {
    let first = desk.clone();
    let cleared = tokio::task::spawn_blocking(move || first.clear()).await;
    if let Ok(Err(error)) = cleared {
        warn!(%error, "spent invitations cannot be removed; check the data directory");
    }
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            () = stopped(&mut stop) => return,
        }
        let desk = desk.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || desk.look(clock::now())).await {
            error!(%error, "a look at the invitations panicked");
        }
    }
}

fn guest(token: &Token, key: [u8; 32]) -> Result<Contact, NotJoined> {
    let name = token.invitation.name.clone();
    match token.invitation.role {
        Role::Node => NodeId::from_bytes(key).map(|id| Contact::Node { name, id }),
        Role::Requester => RequesterId::from_bytes(key).map(|id| Contact::Requester { name, id }),
    }
    .map_err(|_| NotJoined::Key)
}

fn failed_to_store(failed: &dyn std::fmt::Display) -> NotJoined {
    error!(error = %failed, "a guest is not recorded, and not admitted");
    NotJoined::Store
}
