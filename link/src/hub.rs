//! Coordinator side of the link: admits nodes, yields their control streams, and splices their pair
//! streams.
//!
//! The hub reads nothing of a pair stream beyond the 32 bytes that name the peer, and holds no key
//! of a tunnel: it can deny service, but nothing else.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quinn::crypto::rustls::{NoInitialCipherSuite, QuicServerConfig};
use quinn::{Connection, Endpoint, Incoming, RecvStream, SendStream, ServerConfig, TokioRuntime};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tracing::field::display;
use tracing::{debug, info};

use crate::closed::{DONE, LinkHandle, REPLACED};
use crate::door::{Caller, Door, Guests, Reason, Refusal};
use crate::frame::Control;
use crate::identity::{Identity, IdentityError, PeerKey};
use crate::seats::{Seat, Seats};
use crate::splice::{Halves, splice};
use crate::switchboard::{End, Match, Switchboard};
use crate::tls::{self, Admit, LINK_ALPN};
use crate::transport;

const LIMITS: Limits = Limits {
    handshakes: 512,
    retry_from: 64,
    patience: Duration::from_secs(10),
    guests: 8,
    guest_time: Duration::from_secs(10),
};
/// Maximum number of connected nodes that wait for `accept`.
const LINK_QUEUE: usize = 64;
/// Maximum number of guests that wait for `accept_guest`.
const GUEST_QUEUE: usize = 1;

/// Sees every spliced chunk as (from, to, bytes). Tests use it to prove that nothing passes in
/// clear, and to withhold chunks: a chunk answered with `false` waits, and is asked about again.
pub type Recorder = Arc<dyn Fn(PeerKey, PeerKey, &[u8]) -> bool + Send + Sync>;

/// Accepts nodes and relays between them until dropped.
pub struct Hub {
    endpoint: Endpoint,
    shared: Arc<Shared>,
    links: tokio::sync::Mutex<mpsc::Receiver<NodeLink>>,
    guests: tokio::sync::Mutex<mpsc::Receiver<GuestLink>>,
    address: SocketAddr,
}

/// A connected, authenticated node. Dropping it ends the control stream but not the connection:
/// close that by `handle`.
#[derive(Debug)]
pub struct NodeLink {
    /// The node's key, proven in the handshake.
    pub peer: PeerKey,
    /// The control stream. Its first frame is the node's hello; the node counts as connected
    /// once that is answered.
    pub control: Control,
    /// Waits for, or causes, the end of the connection.
    pub handle: LinkHandle,
    /// The node's place, which this connection has or may take.
    pub place: Place,
}

/// A connected key that is not admitted as a node, and came in because guests are let in. It has
/// proven its key, opens one stream and can do nothing else. Its connection ends soon in any case.
#[derive(Debug)]
pub struct GuestLink {
    /// The guest's key, proven in the handshake.
    pub peer: PeerKey,
    /// The guest's address, to which answers have arrived.
    pub address: SocketAddr,
    /// Its only stream. It can send frames of [`crate::MAX_GUEST_FRAME`] bytes.
    pub control: Control,
    /// Waits for, or causes, the end of the connection.
    pub handle: LinkHandle,
    /// Its claim to be here while there are many.
    pub seat: Seat,
}

/// The reason a hub could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The UDP socket could not be opened.
    #[error("cannot listen on UDP {address} ({source}): free the port or choose another address")]
    Socket {
        /// The requested address, with port.
        address: SocketAddr,
        /// The operating system's error.
        source: io::Error,
    },
    /// The identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The TLS library refused the profile.
    #[error("the TLS profile was refused ({0}): this build is broken, install a released one")]
    Tls(#[from] rustls::Error),
    /// The cipher suite of QUIC's first packets is missing.
    #[error(
        "the TLS profile lacks QUIC's initial suite ({0}): this build is broken, install a released one"
    )]
    Suite(#[from] NoInitialCipherSuite),
}

impl Hub {
    /// Listens on `address` (UDP). `admit` is called at every handshake; a key it refuses gets no
    /// stream. Must be called inside a tokio runtime.
    pub fn bind(
        address: SocketAddr,
        identity: &Arc<Identity>,
        admit: Admit,
        recorder: Option<Recorder>,
    ) -> Result<Self, BindError> {
        Self::bind_open(address, identity, admit, Arc::new(|_| false), recorder)
    }

    /// Like [`bind`](Self::bind), and lets those of the keys that `admit` refuses in as guests for
    /// which `guests` says so.
    pub fn bind_open(
        address: SocketAddr,
        identity: &Arc<Identity>,
        admit: Admit,
        guests: Guests,
        recorder: Option<Recorder>,
    ) -> Result<Self, BindError> {
        let socket_error = |source| BindError::Socket { address, source };
        let config = server_config(identity, admit.clone())?;
        let door = Arc::new(Door::new(identity.clone(), admit, guests, config.clone()));
        let socket = UdpSocket::bind(address).map_err(socket_error)?;
        let settings = transport::hub_endpoint(identity)?;
        let endpoint = Endpoint::new(settings, Some(config), socket, Arc::new(TokioRuntime))
            .map_err(socket_error)?;
        let address = endpoint.local_addr().map_err(socket_error)?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            recorder,
        });
        let (sender, links) = mpsc::channel(LINK_QUEUE);
        let (guest_sender, guests) = mpsc::channel(GUEST_QUEUE);
        let rooms = Rooms {
            links: sender,
            guests: guest_sender,
            seats: Seats::new(LIMITS.guests),
        };
        tokio::spawn(accept_all(
            endpoint.clone(),
            door,
            shared.clone(),
            rooms,
            LIMITS,
        ));
        Ok(Self {
            endpoint,
            shared,
            links: tokio::sync::Mutex::new(links),
            guests: tokio::sync::Mutex::new(guests),
            address,
        })
    }

    /// The next node that connected, or `None` after [`Hub::close`]. A node that connects again is
    /// returned again, and its older connection ends.
    pub async fn accept(&self) -> Option<NodeLink> {
        let link = self.accept_aside().await?;
        link.place.take();
        Some(link)
    }

    /// Like [`accept`](Self::accept), but for inspection first: nothing is relayed for the new
    /// connection and the older one stays, until it [takes the place](Place::take).
    pub async fn accept_aside(&self) -> Option<NodeLink> {
        self.links.lock().await.recv().await
    }

    /// The next guest, or `None` after [`Hub::close`].
    pub async fn accept_guest(&self) -> Option<GuestLink> {
        self.guests.lock().await.recv().await
    }

    /// The listening address, with the real port if port 0 was requested.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the connection of `peer`, if any. Call it when a key is removed from the admission
    /// list, since `admit` is called only at handshakes.
    pub fn disconnect(&self, peer: &PeerKey, reason: &str) {
        if let Some(connection) = self.shared.state().nodes.get(peer) {
            connection.close(DONE, reason.as_bytes());
        }
    }

    /// The keys of the nodes connected now.
    pub fn connected(&self) -> Vec<PeerKey> {
        self.shared.state().nodes.keys().copied().collect()
    }

    /// Tells every node that the hub stops, and waits until they have received it.
    pub async fn close(&self, reason: &str) {
        self.endpoint.close(DONE, reason.as_bytes());
        self.endpoint.wait_idle().await;
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.endpoint.close(DONE, b"the coordinator stopped");
    }
}

/// A node's place, which one connection has at a time.
pub struct Place {
    shared: Arc<Shared>,
    peer: PeerKey,
    connection: Connection,
}

impl Place {
    /// Makes this connection the node's; an older one ends.
    pub fn take(&self) {
        // A connection that has ended meanwhile would never leave.
        if self.connection.close_reason().is_none() {
            self.shared.register(self.peer, &self.connection);
        }
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

struct Shared {
    state: Mutex<State>,
    recorder: Option<Recorder>,
}

#[derive(Default)]
struct State {
    nodes: HashMap<PeerKey, Connection>,
    switchboard: Switchboard<Halves>,
}

impl Shared {
    /// No code panics while holding the lock, and the maps are valid between any two statements.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest connection of a key becomes the node's; an older one ends.
    fn register(&self, peer: PeerKey, connection: &Connection) {
        if let Some(older) = self.state().nodes.insert(peer, connection.clone()) {
            older.close(REPLACED, b"replaced by a newer connection");
        }
    }

    fn unregister(&self, peer: PeerKey, connection: &Connection) {
        let mut state = self.state();
        state.switchboard.forget(connection.stable_id());
        if state
            .nodes
            .get(&peer)
            .is_some_and(|c| c.stable_id() == connection.stable_id())
        {
            state.nodes.remove(&peer);
        }
    }

    /// Streams of a connection that was just replaced must not win over those of its successor.
    fn offer(&self, end: End<Halves>, peer: PeerKey) -> Option<Match<Halves>> {
        let mut state = self.state();
        let current = state
            .nodes
            .get(&end.owner)
            .is_some_and(|c| c.stable_id() == end.connection);
        if current {
            state.switchboard.offer(end, peer)
        } else {
            None
        }
    }
}

/// The places to which callers are shown.
#[derive(Clone)]
struct Rooms {
    links: mpsc::Sender<NodeLink>,
    guests: mpsc::Sender<GuestLink>,
    /// As many guests as may be here at once.
    seats: Arc<Seats<Connection>>,
}

async fn accept_all(
    endpoint: Endpoint,
    door: Arc<Door>,
    shared: Arc<Shared>,
    rooms: Rooms,
    limits: Limits,
) {
    let handshakes = Arc::new(Semaphore::new(limits.handshakes));
    while let Some(incoming) = endpoint.accept().await {
        let busy = limits.handshakes - handshakes.available_permits() >= limits.retry_from;
        if busy && !incoming.remote_address_validated() {
            retry(incoming);
            continue;
        }
        let Ok(permit) = handshakes.clone().try_acquire_owned() else {
            debug!(address = %incoming.remote_address(), "too many handshakes are under way; one more was refused");
            incoming.refuse();
            continue;
        };
        let door = door.clone();
        let shared = shared.clone();
        let rooms = rooms.clone();
        tokio::spawn(async move {
            let admitted = door.open(incoming, limits.patience).await;
            drop(permit);
            match admitted {
                Ok((peer, Caller::Node, connection)) => {
                    transport::widen(&connection);
                    serve(peer, connection, &shared, rooms.links, limits.patience).await
                }
                Ok((peer, Caller::Guest, connection)) => {
                    receive_guest(peer, connection, rooms, limits.guest_time).await
                }
                Err(refusal) => tell(&refusal),
            }
        });
    }
}

/// Logs key and address, or an operator could not tell a new node from a stranger.
fn tell(refusal: &Refusal) {
    let Refusal {
        address,
        shown,
        reason,
    } = refusal;
    let key = shown.map(|key| display(key.node_id()));
    match reason {
        Reason::TimedOut => debug!(%address, key, %reason, "handshake refused"),
        _ => info!(%address, key, %reason, "handshake refused"),
    }
}

/// Shows a guest in, and out again when its time is over.
async fn receive_guest(peer: PeerKey, connection: Connection, rooms: Rooms, time: Duration) {
    let address = connection.remote_address();
    let Some((sitting, gone)) = rooms.seats.sit(connection.clone()) else {
        debug!(%address, "a guest was sent away: there are too many");
        return connection.close(DONE, b"there are too many guests; try again in a minute");
    };
    if let Some(gone) = gone {
        debug!(address = %gone.remote_address(), "a guest was sent away for another one");
        gone.close(DONE, b"another guest came; try again in a minute");
    }
    let visit = async {
        let Ok((send, recv)) = connection.accept_bi().await else {
            return;
        };
        let link = GuestLink {
            peer,
            address,
            control: Control::of_guest((send, recv)),
            handle: LinkHandle(connection.clone()),
            seat: sitting.seat(),
        };
        if rooms.guests.send(link).await.is_ok() {
            connection.closed().await;
        }
    };
    if timeout(time, visit).await.is_err() {
        debug!(%address, "a guest was sent away: its time is over");
    }
    connection.close(DONE, b"a guest's time is over");
}

/// Makes the sender prove its address before it costs us a key exchange.
fn retry(incoming: Incoming) {
    if let Err(error) = incoming.retry() {
        error.into_incoming().refuse();
    }
}

/// Lives as long as the connection: the first stream is control, every further one a pair stream.
async fn serve(
    peer: PeerKey,
    connection: Connection,
    shared: &Arc<Shared>,
    links: mpsc::Sender<NodeLink>,
    patience: Duration,
) {
    let node = peer.node_id();
    let address = connection.remote_address();
    let Ok(Ok(control)) = timeout(patience, connection.accept_bi()).await else {
        info!(%node, %address, "the node opened no control stream; it is sent away");
        return connection.close(DONE, b"no control stream");
    };
    info!(%node, %address, "node connected");
    let handle = LinkHandle(connection.clone());
    let place = Place {
        shared: shared.clone(),
        peer,
        connection: connection.clone(),
    };
    let link = NodeLink {
        peer,
        control: Control::new(control),
        handle,
        place,
    };
    if links.send(link).await.is_ok() {
        relay_pairs(peer, &connection, shared, patience).await;
    }
    shared.unregister(peer, &connection);
    info!(%node, %address, "node disconnected");
}

async fn relay_pairs(
    owner: PeerKey,
    connection: &Connection,
    shared: &Arc<Shared>,
    patience: Duration,
) {
    while let Ok((send, recv)) = connection.accept_bi().await {
        let shared = shared.clone();
        let connection = connection.stable_id();
        // Bounded by the connection's stream limit.
        tokio::spawn(async move {
            let Ok(Ok((peer, stream))) = timeout(patience, read_peer(send, recv)).await else {
                return debug!(node = %owner.node_id(), "a pair stream that does not name a peer is dropped");
            };
            if let Some(found) = shared.offer(
                End {
                    owner,
                    connection,
                    stream,
                },
                peer,
            ) {
                relay(found, &shared).await;
            }
        });
    }
}

async fn relay(mut found: Match<Halves>, shared: &Shared) {
    let [a, b] = [found.ends[0].owner, found.ends[1].owner];
    debug!(a = %a.node_id(), b = %b.node_id(), "pair joined");
    splice(&mut found, shared.recorder.as_ref()).await;
    shared.state().switchboard.finished(a, b, &found.replaced);
    debug!(a = %a.node_id(), b = %b.node_id(), "pair parted");
}

/// Reads the one frame of a pair stream that is meant for the hub: 4 bytes of length (32), then the
/// peer's key. Reads exactly these bytes; the next one belongs to the peer.
async fn read_peer(send: SendStream, mut recv: RecvStream) -> io::Result<(PeerKey, Halves)> {
    let length = {
        let mut length = [0; 4];
        recv.read_exact(&mut length)
            .await
            .map_err(io::Error::other)?;
        u32::from_be_bytes(length)
    };
    if length != 32 {
        return Err(io::Error::other(
            "the first frame of a pair stream is not a key",
        ));
    }
    let mut peer = [0; 32];
    recv.read_exact(&mut peer).await.map_err(io::Error::other)?;
    Ok((PeerKey(peer), Halves { send, recv }))
}

fn server_config(identity: &Arc<Identity>, admit: Admit) -> Result<ServerConfig, BindError> {
    let tls = tls::server_config(identity, admit, LINK_ALPN)?;
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    config
        .transport_config(transport::hub_transport())
        .max_incoming(LIMITS.handshakes);
    Ok(config)
}

/// Limits on the cost of unauthenticated callers.
#[derive(Clone, Copy)]
struct Limits {
    /// Maximum number of handshakes under way; more are refused.
    handshakes: usize,
    /// From this number on, senders must prove their address first.
    retry_from: usize,
    /// Time limit for each of handshake, control stream and the first frame of a pair stream.
    patience: Duration,
    /// Maximum number of guests at a time. A silent one is sent away for another.
    guests: usize,
    /// Time limit for all of a guest's connection.
    guest_time: Duration,
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
