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

use crate::closed::{DONE, shown};
use crate::identity::{Identity, PeerKey};
use crate::tls::{self, Admit, LINK_ALPN};

/// True if this key, which is not a node's, may come in as a guest. Called at the handshakes of
/// such keys, on the network task: keep it short.
pub type Guests = Arc<dyn Fn(&PeerKey) -> bool + Send + Sync>;

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
    #[error("nobody was asked about this key; this build is broken, install a released one")]
    Unasked,
    #[error("the handshake was not finished in time; check that UDP passes both ways")]
    TimedOut,
    #[error("the TLS profile was refused ({0}); this build is broken, install a released one")]
    Profile(#[from] rustls::Error),
    #[error("QUIC's initial suite is missing ({0}); this build is broken, install a released one")]
    Suite(#[from] NoInitialCipherSuite),
    #[error("{0}; it spoke another protocol or an old version, or the network broke")]
    Broken(String),
}

impl From<ConnectionError> for Reason {
    fn from(error: ConnectionError) -> Self {
        Self::Broken(shown(&error))
    }
}

/// The verifier's observation of one handshake: the key that it was shown, and the standing that
/// the key has. The first observation counts.
#[derive(Default)]
struct Seen(OnceLock<(PeerKey, Option<Caller>)>);

impl Seen {
    /// Notes a key, and returns its standing. None: it is turned away.
    fn note(&self, key: PeerKey, standing: impl FnOnce() -> Option<Caller>) -> Option<Caller> {
        self.0.get_or_init(|| (key, standing()));
        self.standing_of(&key)
    }

    /// The standing of this key: none unless it is the one that the verifier was asked about, and
    /// was let in.
    fn standing_of(&self, key: &PeerKey) -> Option<Caller> {
        let (_, standing) = self.0.get().filter(|(seen, _)| seen == key)?;
        *standing
    }

    fn key(&self) -> Option<PeerKey> {
        self.0.get().map(|(key, _)| *key)
    }

    fn turned_away(&self) -> bool {
        matches!(self.0.get(), Some((_, None)))
    }
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
            Ok(Ok((peer, connection))) => match seen.standing_of(&peer) {
                Some(caller) => return Ok((peer, caller, connection)),
                None => {
                    connection.close(DONE, b"nobody was asked about this key");
                    Reason::Unasked
                }
            },
            Ok(Err(_)) if seen.turned_away() => Reason::NotAdmitted,
            Ok(Err(reason)) => reason,
            Err(_) => Reason::TimedOut,
        };
        Err(Refusal {
            address,
            shown: seen.key(),
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
            let standing = || {
                if admit(key) {
                    Some(Caller::Node)
                } else {
                    guests(key).then_some(Caller::Guest)
                }
            };
            seen.note(*key, standing).is_some()
        });
        let tls = tls::server_config(&self.identity, noting, LINK_ALPN)?;
        let mut settings = self.settings.clone();
        settings.crypto = Arc::new(QuicServerConfig::try_from(tls)?);
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: PeerKey = PeerKey([1; 32]);
    const TWO: PeerKey = PeerKey([2; 32]);

    #[test]
    fn a_key_has_the_standing_that_the_verifier_gave_it_and_every_other_key_has_none() {
        for standing in [Some(Caller::Node), Some(Caller::Guest), None] {
            let seen = Seen::default();
            assert_eq!(seen.standing_of(&ONE), None, "nobody was asked");
            assert_eq!(seen.note(ONE, || standing), standing);
            assert_eq!(seen.standing_of(&ONE), standing);
            assert_eq!(seen.standing_of(&TWO), None);
            assert_eq!(seen.turned_away(), standing.is_none());
        }
    }

    #[test]
    fn a_second_key_in_one_handshake_is_turned_away() {
        let seen = Seen::default();
        let node = || Some(Caller::Node);
        assert_eq!(seen.note(ONE, node), Some(Caller::Node));
        assert_eq!(seen.note(TWO, node), None);
        assert_eq!(seen.note(ONE, || None), Some(Caller::Node));
    }
}
