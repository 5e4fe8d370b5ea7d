//! The causes of a connection's end, in words an operator can act on, and the handle
//! that waits for it.

use std::future::Future;
use std::time::Duration;

use countersign_protocol::text::printable;
use quinn::{Connection, ConnectionError, TransportErrorCode, VarInt};

use crate::tls::REFUSED_ALERT;

/// Application error code: closed on purpose, with the reason in text.
pub(crate) const DONE: VarInt = VarInt::from_u32(0);
/// Application error code: a newer connection of the same identity took over.
pub(crate) const REPLACED: VarInt = VarInt::from_u32(1);
/// Longest reason of another side that is shown, in bytes.
const REASON: usize = 500;

/// The cause of a connection's end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Closed {
    /// The key presented by the other side is not the pinned one.
    #[error(
        "the other side holds another key than the pinned one: compare the coordinator key in the config"
    )]
    WrongPeer,
    /// The other side does not admit our key.
    #[error(
        "the coordinator does not admit this node's key: ask its operator to register this node id"
    )]
    NotAdmitted,
    /// No common TLS parameters; with this product that means a key
    /// exchange other than X25519MLKEM768.
    #[error(
        "the two sides share no TLS parameters: update the older side, it must offer X25519MLKEM768"
    )]
    NoCommonParameters,
    /// A newer connection with the same identity took the place of this one.
    #[error("another process connected with the same identity: stop one of them")]
    Replaced,
    /// The other side ended the connection deliberately.
    #[error("the other side closed the connection ({reason}): act on the reason, then reconnect")]
    ByPeer {
        /// The other side's text: freed of what could steer a terminal, and cut.
        reason: String,
    },
    /// The other side restarted and no longer knows this connection.
    #[error("the other side restarted: reconnect")]
    Restarted,
    /// The other side is too busy for new connections.
    #[error("the coordinator refuses new connections for now: try again later")]
    Busy,
    /// Nothing was heard within the idle timeout.
    #[error(
        "nothing heard from the other side: check the network and that UDP is open, then reconnect"
    )]
    TimedOut,
    /// Ended by this side.
    #[error("closed by this side: reconnect if that was not intended")]
    ByUs,
    /// Any other break of the QUIC connection.
    #[error("the connection broke ({0}): reconnect, and update the older side if it happens again")]
    Broken(String),
}

impl From<ConnectionError> for Closed {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::TransportError(e) if e.code == refused() => Self::WrongPeer,
            ConnectionError::ConnectionClosed(e) if e.error_code == refused() => Self::NotAdmitted,
            ConnectionError::TransportError(e) if e.code == handshake_failure() => {
                Self::NoCommonParameters
            }
            ConnectionError::ConnectionClosed(e) if e.error_code == handshake_failure() => {
                Self::NoCommonParameters
            }
            ConnectionError::ApplicationClosed(e) if e.error_code == REPLACED => Self::Replaced,
            ConnectionError::ApplicationClosed(e) => Self::ByPeer {
                reason: printable(&String::from_utf8_lossy(&e.reason), REASON),
            },
            ConnectionError::ConnectionClosed(e)
                if e.error_code == TransportErrorCode::CONNECTION_REFUSED =>
            {
                Self::Busy
            }
            ConnectionError::Reset => Self::Restarted,
            ConnectionError::TimedOut => Self::TimedOut,
            ConnectionError::LocallyClosed => Self::ByUs,
            other => Self::Broken(shown(&other)),
        }
    }
}

/// Waits for the end of a connection, or ends it. Cheap to clone; does not carry frames.
#[derive(Debug, Clone)]
pub struct LinkHandle(pub(crate) Connection);

impl LinkHandle {
    /// Resolves when the connection is gone. May be awaited by many tasks and outlives `self`.
    pub fn closed(&self) -> impl Future<Output = Closed> + Send + 'static {
        let connection = self.0.clone();
        async move { connection.closed().await.into() }
    }

    /// Ends the connection; the other side sees [`Closed::ByPeer`] with `reason`.
    pub fn close(&self, reason: &str) {
        self.0.close(DONE, reason.as_bytes());
    }

    /// The current estimate of the round trip time.
    pub fn round_trip(&self) -> Duration {
        self.0.rtt()
    }
}

/// The error as it may be shown: it repeats what the other side gave as its reason.
pub(crate) fn shown(error: &ConnectionError) -> String {
    printable(&error.to_string(), REASON)
}

fn refused() -> TransportErrorCode {
    TransportErrorCode::crypto(REFUSED_ALERT)
}

fn handshake_failure() -> TransportErrorCode {
    TransportErrorCode::crypto(40)
}

#[cfg(test)]
mod tests {
    use quinn_proto::{ApplicationClose, ConnectionClose};

    use super::*;

    #[test]
    fn a_reason_cannot_steer_a_terminal_and_is_cut() {
        let steering = "\u{1b}[2Jwelcome\u{202e}".repeat(1000);
        let by_program = ApplicationClose {
            error_code: DONE,
            reason: steering.clone().into(),
        };
        let by_library = ConnectionClose {
            error_code: TransportErrorCode::PROTOCOL_VIOLATION,
            frame_type: None,
            reason: steering.into(),
        };
        for error in [
            ConnectionError::ApplicationClosed(by_program),
            ConnectionError::ConnectionClosed(by_library),
        ] {
            let texts = [shown(&error), Closed::from(error).to_string()];
            for text in texts {
                assert!(text.contains("\\u{1b}[2Jwelcome\\u{202e}"), "{text}");
                assert!(countersign_protocol::text::is_plain(&text), "{text}");
                assert!(text.len() < 2 * REASON, "{}", text.len());
            }
        }
    }
}
