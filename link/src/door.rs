//! The hub's door: one handshake with each caller, and a record of those that were refused.
//!
//! The caller decides on admission ([`Admit`], [`Guests`]); nothing is relayed here.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use quinn::crypto::rustls::{NoInitialCipherSuite, QuicServerConfig};
use quinn::{Connection, ConnectionError, Incoming, ServerConfig};
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;

use crate::identity::{Identity, PeerKey};
use crate::tls::{self, Admit, LINK_ALPN};

/// True while keys that nobody knows may come in as guests. Called at the handshakes of such keys,
/// on the network task: keep it short.
pub type Guests = Arc<dyn Fn() -> bool + Send + Sync>;

/// The standing of a caller that was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    Node,
    Guest,
}

/// Performs handshakes, and admits or refuses.
pub(crate) struct Door {
    identity: Arc<Identity>,
    admit: Admit,
    guests: Guests,
    settings: ServerConfig,
}

/// A failed handshake, for the log.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The sender's address, as far as the packets say.
    pub(crate) address: SocketAddr,
    /// The key that was shown, if the handshake came so far. A key that is not admitted was never
    /// proven: anybody can show it.
    pub(crate) shown: Option<PeerKey>,
    /// The reason of the refusal.
    pub(crate) reason: Reason,
}

/// The reason a handshake failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Reason {
    #[error("this key is not admitted; if a node of yours has it, add its id under `nodes`")]
    NotAdmitted,
    #[error("no key was shown; update the connecting node")]
    NoKey,
    #[error("the handshake was not finished in time; check that UDP passes both ways")]
    TimedOut,
    #[error("the TLS profile was refused ({0}); this build is broken, install a released one")]
    Profile(#[from] rustls::Error),
    #[error("QUIC's initial suite is missing ({0}); this build is broken, install a released one")]
    Suite(#[from] NoInitialCipherSuite),
    #[error("{0}; it spoke another protocol or an old version, or the network broke")]
    Broken(#[from] ConnectionError),
}

/// The verifier's observations of one handshake.
#[derive(Default)]
struct Seen {
    key: OnceLock<PeerKey>,
    turned_away: OnceLock<()>,
    is_guest: OnceLock<()>,
}

impl Door {
    /// Creates a door whose connections have the given settings; it makes their TLS.
    pub(crate) fn new(
        identity: Arc<Identity>,
        admit: Admit,
        guests: Guests,
        settings: ServerConfig,
    ) -> Self {
        Self {
            identity,
            admit,
            guests,
            settings,
        }
    }

    /// Performs one handshake, within `patience`.
    pub(crate) async fn open(
        &self,
        incoming: Incoming,
        patience: Duration,
    ) -> Result<(PeerKey, Caller, Connection), Refusal> {
        let address = incoming.remote_address();
        let seen = Arc::new(Seen::default());
        let reason = match timeout(patience, self.shake(incoming, &seen)).await {
            Ok(Ok((peer, connection))) => {
                let caller = match seen.is_guest.get() {
                    Some(()) => Caller::Guest,
                    None => Caller::Node,
                };
                return Ok((peer, caller, connection));
            }
            Ok(Err(_)) if seen.turned_away.get().is_some() => Reason::NotAdmitted,
            Ok(Err(reason)) => reason,
            Err(_) => Reason::TimedOut,
        };
        Err(Refusal {
            address,
            shown: seen.key.get().copied(),
            reason,
        })
    }

    async fn shake(
        &self,
        incoming: Incoming,
        seen: &Arc<Seen>,
    ) -> Result<(PeerKey, Connection), Reason> {
        let connection = incoming.accept_with(Arc::new(self.watched(seen)?))?.await?;
        let identity = connection
            .peer_identity()
            .and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
        let peer = identity.and_then(|keys| tls::peer_key(&keys));
        // Client authentication is mandatory in our profile, so there is always a key.
        Ok((peer.ok_or(Reason::NoKey)?, connection))
    }

    /// The settings for one connection, whose verifier records the key it is shown: the library's
    /// error does not name one.
    fn watched(&self, seen: &Arc<Seen>) -> Result<ServerConfig, Reason> {
        let seen = seen.clone();
        let admit = self.admit.clone();
        let guests = self.guests.clone();
        let noting: Admit = Arc::new(move |key| {
            let _ = seen.key.set(*key);
            if admit(key) {
                return true;
            }
            let is_guest = guests();
            let noted = if is_guest {
                &seen.is_guest
            } else {
                &seen.turned_away
            };
            let _ = noted.set(());
            is_guest
        });
        let tls = tls::server_config(&self.identity, noting, LINK_ALPN)?;
        let mut settings = self.settings.clone();
        settings.crypto = Arc::new(QuicServerConfig::try_from(tls)?);
        Ok(settings)
    }
}
