//! Node side of the link: one connection to the coordinator, its control stream, and pair streams
//! through it.
//!
//! The caller retries, with [`crate::Reconnect`]; nothing here runs in the background.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig};
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream};
use tokio::io::Join;
use tokio::time::timeout;

use crate::closed::{Closed, LinkHandle};
use crate::frame::{Control, FrameError};
use crate::identity::{Identity, PeerKey};
use crate::splice::JOINED;
use crate::tls::{self, LINK_ALPN};
use crate::transport;

/// TLS requires a name; ours is neither sent nor checked, the key is.
const UNUSED_NAME: &str = "coordinator";
/// Time limit from the first packet to the welcome.
const CONNECT: Duration = Duration::from_secs(10);

/// A confirmed connection to the coordinator.
#[derive(Debug)]
pub struct Link {
    /// The coordinator's first control frame. Its arrival makes the link real: in TLS 1.3 a client
    /// ends its handshake before the server has looked at the client's key.
    pub welcome: Vec<u8>,
    /// The control stream, after hello and welcome.
    pub control: Control,
    /// Waits for, or causes, the end of the connection.
    pub handle: LinkHandle,
    /// Opens pair streams, as needed by [`crate::Mesh`].
    pub pairs: PairOpener,
}

/// Opens relayed streams to other nodes over one link. Keeps the connection alive while it exists.
#[derive(Debug, Clone)]
pub struct PairOpener(Connection);

/// A relayed byte stream to a peer; the coordinator sees all of it. Only to be
/// used under a [`crate::Tunnel`].
pub type PairStream = Join<RecvStream, SendStream>;

/// The reason there is no link.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// No socket, or the address cannot be dialled.
    #[error(
        "cannot open a UDP socket towards {address} ({reason}): check the address and the host's network"
    )]
    Socket {
        /// The address of the coordinator.
        address: SocketAddr,
        /// The error of the operating system or of QUIC.
        reason: String,
    },
    /// No answer within 10 s.
    #[error("no answer from the coordinator within {} s: check its address and that UDP is open", CONNECT.as_secs())]
    TimedOut,
    /// The connection ended before the coordinator's welcome.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The control stream broke before the coordinator's welcome.
    #[error("no welcome from the coordinator ({0}): try again, then update the older side")]
    NoWelcome(#[source] FrameError),
    /// The control stream ended before the coordinator's welcome.
    #[error(
        "the coordinator ended the control stream without a welcome: ask its operator for the reason"
    )]
    NotWelcome,
    /// The TLS library refused the profile.
    #[error("the TLS profile was refused ({0}): this build is broken, install a released one")]
    Tls(#[from] rustls::Error),
    /// The cipher suite of QUIC's first packets is missing.
    #[error(
        "the TLS profile lacks QUIC's initial suite ({0}): this build is broken, install a released one"
    )]
    Suite(#[from] NoInitialCipherSuite),
}

/// Dials the coordinator that holds the key `coordinator`, sends `hello` as the first control
/// frame, and returns when the coordinator's first control frame is here. Gives up after 10 s.
pub async fn connect(
    address: SocketAddr,
    identity: &Arc<Identity>,
    coordinator: PeerKey,
    hello: &[u8],
) -> Result<Link, DialError> {
    connect_within(CONNECT, address, identity, coordinator, hello).await
}

async fn connect_within(
    limit: Duration,
    address: SocketAddr,
    identity: &Arc<Identity>,
    coordinator: PeerKey,
    hello: &[u8],
) -> Result<Link, DialError> {
    let config = client_config(identity, coordinator)?;
    timeout(limit, dial(address, config, hello))
        .await
        .map_err(|_| DialError::TimedOut)?
}

impl PairOpener {
    /// Opens our end of the pair with `peer` and waits until the peer's end is there too, possibly
    /// for ever, as the peer may be offline. Dropping the future returns the stream.
    pub async fn open(&self, peer: PeerKey) -> Result<PairStream, io::Error> {
        let (mut send, mut recv) = self.0.open_bi().await?;
        send.write_all(&[&32u32.to_be_bytes()[..], &peer.0].concat())
            .await?;
        let mut joined = [0];
        recv.read_exact(&mut joined)
            .await
            .map_err(io::Error::other)?;
        match joined[0] {
            JOINED => Ok(tokio::io::join(recv, send)),
            _ => Err(io::Error::other(
                "the coordinator does not follow the relay protocol",
            )),
        }
    }

    /// False once the link's connection has ended.
    pub(crate) fn is_alive(&self) -> bool {
        self.0.close_reason().is_none()
    }
}

async fn dial(address: SocketAddr, config: ClientConfig, hello: &[u8]) -> Result<Link, DialError> {
    let socket_error = |reason: String| DialError::Socket { address, reason };
    let endpoint =
        Endpoint::client(unspecified(address)).map_err(|e| socket_error(e.to_string()))?;
    let connecting = endpoint
        .connect_with(config, address, UNUSED_NAME)
        .map_err(|e| socket_error(e.to_string()))?;
    let connection = connecting.await.map_err(Closed::from)?;
    let mut control = Control::new(connection.open_bi().await.map_err(Closed::from)?);
    let welcome = greet(&mut control, hello)
        .await
        .map_err(|error| cause(&connection, error))?;
    let handle = LinkHandle(connection.clone());
    Ok(Link {
        welcome,
        control,
        handle,
        pairs: PairOpener(connection),
    })
}

async fn greet(control: &mut Control, hello: &[u8]) -> Result<Vec<u8>, DialError> {
    control
        .sender
        .send(hello)
        .await
        .map_err(DialError::NoWelcome)?;
    let welcome = control
        .receiver
        .recv()
        .await
        .map_err(DialError::NoWelcome)?;
    welcome.ok_or(DialError::NotWelcome)
}

/// The end of the connection says more than the end of a stream in it.
fn cause(connection: &Connection, error: DialError) -> DialError {
    connection
        .close_reason()
        .map_or(error, |reason| Closed::from(reason).into())
}

fn client_config(
    identity: &Arc<Identity>,
    coordinator: PeerKey,
) -> Result<ClientConfig, DialError> {
    let tls = tls::client_config(
        identity,
        Arc::new(move |key| *key == coordinator),
        LINK_ALPN,
    )?;
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(transport::node_transport());
    Ok(config)
}

fn unspecified(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_coordinator_that_does_not_answer_is_given_up() {
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        let identity = Arc::new(Identity::from_seed(&[1; 32]).unwrap());
        let tried = connect_within(
            Duration::from_millis(50),
            address,
            &identity,
            identity.public(),
            b"hello",
        );
        let ended = timeout(Duration::from_secs(8), tried)
            .await
            .expect("timed out");
        assert!(matches!(ended, Err(DialError::TimedOut)), "{ended:?}");
    }
}
