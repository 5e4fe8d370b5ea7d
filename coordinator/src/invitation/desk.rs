//! The desk at which guests show their tokens.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use countersign_link::PeerKey;
use countersign_protocol::contact::{Contact, Role};
use countersign_protocol::invitation::{InvitationId, Token};
use countersign_protocol::{NodeId, RequesterId, UnixMillis};
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::book::Standing;
use super::complaints::Complaints;
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
    complaints: Mutex<Complaints>,
    counters: Arc<Counters>,
}

/// The end of a guest that was let in.
enum Admission {
    New,
    /// It was on record.
    Again,
}

/// Why a guest is not registered, as the guest is told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotJoined {
    /// Any fault of the token. It is not said which, since that would help whoever guesses.
    #[error(
        "the invitation is not accepted: it is not from this coordinator, or was used, revoked or has expired; ask the coordinator's operator for a new one"
    )]
    Token,
    /// The name or the id is taken. The invitation stays open.
    #[error(
        "a {0} with this name or this id is registered here already; ask the coordinator's operator for an invitation under another name, or to remove the present entry"
    )]
    Taken(Role),
    /// Its key was revoked or replaced. The invitation stays open.
    #[error(
        "this key was registered here as a {0}, and was revoked or replaced; make another key, and show the invitation with it"
    )]
    Revoked(Role),
    /// Its key is on record under this other name.
    #[error(
        "this key is registered here already, as the {0} `{1}`; nothing is missing, unless you want the other name: then ask the coordinator's operator to remove the present entry"
    )]
    Renamed(Role, String),
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
            complaints: Mutex::default(),
        }
    }

    /// True if this key, which is not a node's, may come in as a guest: while an invitation is
    /// open, and of a requester that is on record, who may have missed its answer.
    pub fn lets_in(&self, key: &[u8; 32]) -> bool {
        let now = clock::now();
        now.0 < self.open_until.load(Ordering::Relaxed) || self.book.has_requester(key, now)
    }

    /// Removes expired invitations and notices new ones. Blocks.
    pub fn look(&self, now: UnixMillis) {
        let swept = self.invitations.sweep(now);
        let complaints = self.complaints.lock();
        let mut complaints = complaints.unwrap_or_else(PoisonError::into_inner);
        for complaint in complaints.about(&swept) {
            warn!("{complaint}");
        }
        let until = swept.ok().and_then(|swept| swept.until);
        let until = until.map_or(0, |until| until.0);
        self.open_until.store(until, Ordering::Relaxed);
    }

    /// Admits the holder of `key`, which has proven it. If it is on record already under the name
    /// in its token, it is told again, whatever the token is worth. Else, if the token is good, the
    /// invitation is spent, and the guest recorded and known. Returns the contacts that the guest
    /// is told. Blocks.
    pub fn receive(
        &self,
        key: [u8; 32],
        token: &Token,
        now: UnixMillis,
    ) -> Result<Vec<Contact>, NotJoined> {
        let admitted = self.admit(key, token, now);
        self.look(now);
        let told_again = admitted.inspect_err(|refused| {
            self.counters.joins.add("refused");
            info!(key = %PeerKey(key), %refused, "a guest was not registered");
        })?;
        self.counters.joins.add(match told_again {
            Admission::New => "joined",
            Admission::Again => "told-again",
        });
        let mut told = self.registry.contacts_for(&key, now);
        // Requesters work with nodes, and may be of different houses.
        if token.invitation.role == Role::Requester {
            told.retain(|contact| contact.role() == Role::Node);
        }
        Ok(told)
    }

    fn admit(&self, key: [u8; 32], token: &Token, now: UnixMillis) -> Result<Admission, NotJoined> {
        // Held until the end: who looks first is admitted first.
        let mut book = self.book.lock();
        let guest = guest(token, key)?;
        let standing = book.standing(&guest, now);
        let standing = standing.map_err(|failed| failed_to_store(&failed))?;
        let accepted = self.invitations.accepted(token, now);
        let id = token.invitation.id;
        match (standing, accepted) {
            (Standing::Known, Some(_)) => {
                // Nobody else may use it any more.
                if self.spend(id).is_ok() {
                    self.forget(id);
                }
                Ok(Admission::Again)
            }
            (Standing::Known, None) => Ok(Admission::Again),
            (Standing::Renamed(name), _) => Err(NotJoined::Renamed(guest.role(), name)),
            (Standing::Taken, Some(_)) => Err(NotJoined::Taken(guest.role())),
            (Standing::Revoked, Some(_)) => Err(NotJoined::Revoked(guest.role())),
            (Standing::New, Some(open)) => {
                self.spend(id)?;
                let added = book.add(&guest, open.rights, id, now);
                added.map_err(|failed| failed_to_store(&failed))?;
                self.forget(id);
                info!(role = %guest.role(), name = guest.name(), id = guest.id(), invitation = %id, "joined by invitation");
                Ok(Admission::New)
            }
            (Standing::Taken | Standing::Revoked | Standing::New, None) => Err(NotJoined::Token),
        }
    }

    fn spend(&self, id: InvitationId) -> Result<(), NotJoined> {
        match self.invitations.spend(id) {
            Ok(true) => Ok(()),
            Ok(false) => Err(NotJoined::Token),
            Err(failed) => Err(failed_to_store(&failed)),
        }
    }

    fn forget(&self, id: InvitationId) {
        if let Err(left) = self.invitations.forget(id) {
            warn!(error = %left, "a spent invitation is left over; it is removed at the next start");
        }
    }

    /// Forgets what was spent when the process last ended, and tells of guests that are not on
    /// record: they need another invitation.
    fn clear(&self) -> io::Result<()> {
        for spent in self.invitations.forget_spent()? {
            let knows = self.book.lock().knows(spent.role, &spent.name);
            if !knows.unwrap_or(false) {
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
