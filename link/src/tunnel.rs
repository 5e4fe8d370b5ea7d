//! The end-to-end channel between two nodes: mutually authenticated TLS 1.3 inside a stream that
//! an untrusted party carries.
//!
//! The carrier can end the stream, and nothing else: altered, missing, repeated or reordered bytes
//! break the tunnel before a wrong frame is delivered. The tunnel never falls back, resumes or
//! accepts another key than the expected one.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError};
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::frame::{FrameError, FrameReceiver, FrameSender};
use crate::identity::{Identity, PeerKey};
use crate::tls::{self, Admit, TUNNEL_ALPN};

/// Time limit from the first byte to the last of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A live tunnel to exactly one peer.
pub struct Tunnel {
    sender: TunnelSender,
    receiver: TunnelReceiver,
}

/// Sends frames (at most [`crate::MAX_FRAME`] bytes) to the peer.
pub type TunnelSender = FrameSender<WriteHalf<TlsStream<Carrier>>>;
/// Receives frames from the peer; `None` only after the peer itself said so, inside the encryption.
pub type TunnelReceiver = FrameReceiver<ReadHalf<TlsStream<Carrier>>>;
/// Any byte stream that carries a tunnel.
pub type Carrier = Box<dyn ByteStream>;

/// Both directions of a byte stream.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// The reason a tunnel was not established.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TunnelError {
    /// The other end of the stream holds another key than the peer's.
    #[error(
        "the stream leads to another node than the expected peer: do not trust this coordinator, tell its operator"
    )]
    WrongPeer,
    /// The other end expects another key than ours.
    #[error(
        "the other end did not accept this node's key: check that both rosters name the right node ids"
    )]
    Refused,
    /// The other end does not finish the handshake.
    #[error("the peer did not finish the handshake within {} s: try again", HANDSHAKE.as_secs())]
    TimedOut,
    /// Asked for a tunnel to ourselves.
    #[error("a node cannot open a tunnel to itself: take this node's own id off its roster")]
    OwnKey,
    /// The stream broke, was altered, or the other end speaks another version.
    #[error("the tunnel's handshake broke ({0}): try again, then update the older node")]
    Broken(#[source] io::Error),
    /// The TLS library refused the profile.
    #[error("the TLS profile was refused ({0}): this build is broken, install a released one")]
    Tls(#[from] rustls::Error),
}

impl Tunnel {
    /// Performs the handshake over `stream`. The lower key acts as TLS client. Succeeds only with a
    /// peer that proves `peer` and accepts `identity`; gives up after 10 s.
    pub async fn establish<S>(
        stream: S,
        identity: &Arc<Identity>,
        peer: PeerKey,
    ) -> Result<Self, TunnelError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self::establish_within(HANDSHAKE, Box::new(stream), identity, peer).await
    }

    async fn establish_within(
        limit: Duration,
        carrier: Carrier,
        identity: &Arc<Identity>,
        peer: PeerKey,
    ) -> Result<Self, TunnelError> {
        let shaken = timeout(limit, establish(carrier, identity, peer)).await;
        shaken.map_err(|_| TunnelError::TimedOut)?
    }

    /// Sends one frame, like [`TunnelSender`].
    pub async fn send(&mut self, frame: &[u8]) -> Result<(), FrameError> {
        self.sender.send(frame).await
    }

    /// Receives the next frame, like [`TunnelReceiver`].
    pub async fn recv(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        self.receiver.recv().await
    }

    /// Splits both directions, for two tasks.
    pub fn split(self) -> (TunnelSender, TunnelReceiver) {
        (self.sender, self.receiver)
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tunnel(..)")
    }
}

/// True when we act as TLS client towards `peer`: the lower key dials.
pub(crate) fn dials(identity: &Identity, peer: PeerKey) -> bool {
    identity.public() < peer
}

/// In TLS 1.3 the client is done before the server has looked at the client's key. So the
/// server says when it is done, by an empty frame, and both sides hold a tunnel only once
/// both keys are proven.
async fn establish(
    carrier: Carrier,
    identity: &Arc<Identity>,
    peer: PeerKey,
) -> Result<Tunnel, TunnelError> {
    let (receiver, sender) = tokio::io::split(handshake(carrier, identity, peer).await?);
    let mut tunnel = Tunnel {
        sender: FrameSender::new(sender, crate::MAX_FRAME),
        receiver: FrameReceiver::new(receiver, crate::MAX_FRAME),
    };
    if !dials(identity, peer) {
        tunnel.send(&[]).await.map_err(confirm_error)?;
        return Ok(tunnel);
    }
    match tunnel.recv().await.map_err(confirm_error)? {
        Some(frame) if frame.is_empty() => Ok(tunnel),
        _ => Err(TunnelError::Broken(io::Error::other("no confirmation"))),
    }
}

async fn handshake(
    carrier: Carrier,
    identity: &Arc<Identity>,
    peer: PeerKey,
) -> Result<TlsStream<Carrier>, TunnelError> {
    if identity.public() == peer {
        return Err(TunnelError::OwnKey);
    }
    let expected: Admit = Arc::new(move |key| *key == peer);
    let stream = if dials(identity, peer) {
        dial(carrier, identity, expected).await?
    } else {
        answer(carrier, identity, expected).await?
    };
    if stream.get_ref().1.alpn_protocol() != Some(TUNNEL_ALPN) {
        return Err(TunnelError::Broken(io::Error::other(
            "the other end is not a tunnel",
        )));
    }
    Ok(stream)
}

async fn dial(
    carrier: Carrier,
    identity: &Arc<Identity>,
    expected: Admit,
) -> Result<TlsStream<Carrier>, TunnelError> {
    let config = tls::client_config(identity, expected, TUNNEL_ALPN)?;
    // TLS requires a name; ours is neither sent nor checked, the key is.
    let name = ServerName::from(IpAddr::from(Ipv4Addr::UNSPECIFIED));
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, carrier)
        .await
        .map_err(handshake_error)?;
    Ok(stream.into())
}

async fn answer(
    carrier: Carrier,
    identity: &Arc<Identity>,
    expected: Admit,
) -> Result<TlsStream<Carrier>, TunnelError> {
    let config = tls::server_config(identity, expected, TUNNEL_ALPN)?;
    let stream = TlsAcceptor::from(Arc::new(config))
        .accept(carrier)
        .await
        .map_err(handshake_error)?;
    Ok(stream.into())
}

fn handshake_error(error: io::Error) -> TunnelError {
    use rustls::Error::{AlertReceived, InvalidCertificate};
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(InvalidCertificate(CertificateError::ApplicationVerificationFailure)) => {
            TunnelError::WrongPeer
        }
        Some(AlertReceived(AlertDescription::AccessDenied)) => TunnelError::Refused,
        _ => TunnelError::Broken(error),
    }
}

fn confirm_error(error: FrameError) -> TunnelError {
    match error {
        FrameError::Broken(error) => handshake_error(error),
        other => TunnelError::Broken(io::Error::other(other)),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    use super::*;

    /// Two identities, the lower key first.
    fn ordered() -> [Arc<Identity>; 2] {
        let mut pair = [1, 2].map(|seed| Arc::new(Identity::from_seed(&[seed; 32]).unwrap()));
        pair.sort_by_key(|id| id.public());
        pair
    }

    fn all() -> Admit {
        Arc::new(|_| true)
    }

    /// A TLS client or server that does not have to keep to our protocol.
    async fn raw(
        stream: DuplexStream,
        identity: &Arc<Identity>,
        client: bool,
        alpn: &[&[u8]],
    ) -> io::Result<TlsStream<DuplexStream>> {
        let alpn: Vec<Vec<u8>> = alpn.iter().map(|name| name.to_vec()).collect();
        if client {
            let mut config = tls::client_config(identity, all(), TUNNEL_ALPN).unwrap();
            config.alpn_protocols = alpn;
            let name = ServerName::from(IpAddr::from(Ipv4Addr::UNSPECIFIED));
            return Ok(TlsConnector::from(Arc::new(config))
                .connect(name, stream)
                .await?
                .into());
        }
        let mut config = tls::server_config(identity, all(), TUNNEL_ALPN).unwrap();
        config.alpn_protocols = alpn;
        Ok(TlsAcceptor::from(Arc::new(config))
            .accept(stream)
            .await?
            .into())
    }

    /// The result of our side against a raw one. `lower`: ours has the lower key.
    async fn against(lower: bool, client: bool, alpn: &[&[u8]]) -> Result<Tunnel, TunnelError> {
        let [low, high] = ordered();
        let (mine, theirs) = if lower { (low, high) } else { (high, low) };
        let (x, y) = duplex(64 * 1024);
        let other = async {
            let mut stream = raw(y, &theirs, client, alpn).await;
            if let Ok(stream) = &mut stream {
                // The answering side's confirmation, or the end.
                if client {
                    drop(stream.read_u32().await);
                } else {
                    drop(tokio::io::AsyncWriteExt::write_u32(stream, 0).await);
                }
            }
            stream
        };
        let limit = Duration::from_secs(1);
        let (tunnel, _other) = tokio::join!(
            Tunnel::establish_within(limit, Box::new(x), &mine, theirs.public()),
            other
        );
        tunnel
    }

    #[tokio::test]
    async fn the_lower_key_dials_and_the_higher_one_answers() {
        assert!(against(true, false, &[TUNNEL_ALPN]).await.is_ok());
        assert!(against(false, true, &[TUNNEL_ALPN]).await.is_ok());
        assert!(against(true, true, &[TUNNEL_ALPN]).await.is_err());
        assert!(against(false, false, &[TUNNEL_ALPN]).await.is_err());
    }

    #[tokio::test]
    async fn an_end_that_does_not_say_that_it_is_a_tunnel_is_none() {
        for alpn in [&[][..], &[tls::LINK_ALPN]] {
            assert!(against(true, false, alpn).await.is_err(), "{alpn:?}");
            assert!(against(false, true, alpn).await.is_err(), "{alpn:?}");
        }
    }

    #[tokio::test]
    async fn an_end_that_says_nothing_is_given_up() {
        let [low, high] = ordered();
        for (mine, peer) in [(&low, &high), (&high, &low)] {
            let (x, _silent) = duplex(64 * 1024);
            let limit = Duration::from_millis(50);
            let tried = Tunnel::establish_within(limit, Box::new(x), mine, peer.public());
            let ended = timeout(Duration::from_secs(8), tried)
                .await
                .expect("timed out");
            assert!(matches!(ended, Err(TunnelError::TimedOut)), "{ended:?}");
        }
    }
}
