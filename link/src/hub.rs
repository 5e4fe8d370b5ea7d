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
        Self::bind_open(address, identity, admit, Arc::new(|| false), recorder)
    }

    /// Like [`bind`](Self::bind), and lets keys that `admit` refuses in as guests while `guests`
    /// says so.
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
            seats: Arc::new(Semaphore::new(LIMITS.guests)),
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
    seats: Arc<Semaphore>,
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
    let Ok(_seat) = rooms.seats.try_acquire() else {
        debug!(%address, "a guest was sent away: there are too many");
        return connection.close(DONE, b"there are too many guests; try again in a minute");
    };
    let visit = async {
        let Ok((send, recv)) = connection.accept_bi().await else {
            return;
        };
        let link = GuestLink {
            peer,
            address,
            control: Control::of_guest((send, recv)),
            handle: LinkHandle(connection.clone()),
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
    /// Maximum number of guests at a time; more are sent away.
    guests: usize,
    /// Time limit for all of a guest's connection.
    guest_time: Duration,
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use quinn::ReadError;
    use quinn::crypto::rustls::QuicClientConfig;
    use rustls::NamedGroup;
    use rustls::client::Resumption;

    use super::*;
    use crate::closed::Closed;
    use crate::frame::{MAX_CONTROL_FRAME, MAX_GUEST_FRAME};

    fn identity(number: u8) -> Arc<Identity> {
        Arc::new(Identity::from_seed(&[number; 32]).unwrap())
    }

    /// A hub that admits all, and drops a node whose control stream breaks.
    fn start() -> Arc<Hub> {
        let hub = Hub::bind(
            "127.0.0.1:0".parse().unwrap(),
            &identity(200),
            Arc::new(|_| true),
            None,
        )
        .unwrap();
        let hub = Arc::new(hub);
        let accepting = hub.clone();
        tokio::spawn(async move {
            while let Some(mut link) = accepting.accept().await {
                tokio::spawn(async move {
                    while let Ok(Some(_)) = link.control.receiver.recv().await {}
                    link.handle.close("bad control frame");
                });
            }
        });
        hub
    }

    /// A hub whose accept loop has other limits; it serves no links.
    fn start_limited(limits: Limits) -> Endpoint {
        start_linked(limits, mpsc::channel(1).0)
    }

    /// The same for a hub that serves links.
    fn start_linked(limits: Limits, links: mpsc::Sender<NodeLink>) -> Endpoint {
        start_rooms(limits, Arc::new(|_| true), links, mpsc::channel(1).0)
    }

    /// The same for a hub that lets everybody else in as a guest.
    fn start_rooms(
        limits: Limits,
        admit: Admit,
        links: mpsc::Sender<NodeLink>,
        guests: mpsc::Sender<GuestLink>,
    ) -> Endpoint {
        let identity = identity(200);
        let config = server_config(&identity, admit.clone()).unwrap();
        let open: Guests = Arc::new(|| true);
        let door = Arc::new(Door::new(identity, admit, open, config.clone()));
        let rooms = Rooms {
            links,
            guests,
            seats: Arc::new(Semaphore::new(limits.guests)),
        };
        let endpoint = Endpoint::server(config, "127.0.0.1:0".parse().unwrap()).unwrap();
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            recorder: None,
        });
        tokio::spawn(accept_all(endpoint.clone(), door, shared, rooms, limits));
        endpoint
    }

    /// A hub with little patience for silent callers.
    const HASTY: Limits = Limits {
        patience: Duration::from_millis(300),
        ..LIMITS
    };

    /// Fails a test instead of letting it hang. Shorter than the idle timeout, which would end
    /// all of this, too.
    async fn soon<T>(future: impl Future<Output = T>) -> T {
        timeout(Duration::from_secs(8), future)
            .await
            .expect("timed out")
    }

    /// A client that does not have to keep to our protocol, with the given key exchange groups.
    async fn dial(hub: &Hub, number: u8, groups: &[NamedGroup]) -> Result<Connection, Closed> {
        dial_with(hub.address(), client(number, groups)).await
    }

    async fn dial_with(
        address: SocketAddr,
        tls: rustls::ClientConfig,
    ) -> Result<Connection, Closed> {
        let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        endpoint
            .connect_with(config, address, "hub")
            .unwrap()
            .await
            .map_err(Closed::from)
    }

    fn client(number: u8, groups: &[NamedGroup]) -> rustls::ClientConfig {
        tls::client_config_of(groups, &identity(number), Arc::new(|_| true), LINK_ALPN).unwrap()
    }

    const HYBRID: &[NamedGroup] = &[NamedGroup::X25519MLKEM768];

    #[tokio::test]
    async fn client_without_a_post_quantum_group_is_refused() {
        let hub = start();
        assert!(
            dial(&hub, 1, &[NamedGroup::X25519MLKEM768, NamedGroup::X25519])
                .await
                .is_ok()
        );
        for classical in [NamedGroup::X25519, NamedGroup::secp256r1] {
            assert_eq!(
                dial(&hub, 1, &[classical]).await.unwrap_err(),
                Closed::NoCommonParameters
            );
        }
    }

    /// A client that keeps every ticket it can get must still pass the verifier each time.
    #[tokio::test]
    async fn no_ticket_brings_a_removed_node_back() {
        let admitted = Arc::new(AtomicBool::new(true));
        let list = admitted.clone();
        let admit: Admit = Arc::new(move |_| list.load(Ordering::SeqCst));
        let hub = Hub::bind("127.0.0.1:0".parse().unwrap(), &identity(200), admit, None).unwrap();
        let mut tls = client(1, HYBRID);
        tls.resumption = Resumption::in_memory_sessions(8);

        let first = dial_with(hub.address(), tls.clone()).await.unwrap();
        let (mut control, mut recv) = first.open_bi().await.unwrap();
        control.write_all(&[0, 0, 0, 0]).await.unwrap();
        // Tickets, if there are any, come before the welcome.
        hub.accept()
            .await
            .unwrap()
            .control
            .sender
            .send(b"welcome")
            .await
            .unwrap();
        recv.read_exact(&mut [0; 4]).await.unwrap();
        admitted.store(false, Ordering::SeqCst);
        let end = match dial_with(hub.address(), tls).await {
            Ok(connection) => timeout(Duration::from_secs(2), connection.closed())
                .await
                .unwrap()
                .into(),
            Err(end) => end,
        };
        assert_eq!(end, Closed::NotAdmitted);
    }

    #[tokio::test]
    async fn busy_hub_asks_for_the_address_and_full_hub_refuses() {
        let busy = start_limited(Limits {
            handshakes: 1,
            retry_from: 0,
            ..LIMITS
        });
        assert!(
            dial_with(busy.local_addr().unwrap(), client(1, HYBRID))
                .await
                .is_ok()
        );
        let full = start_limited(Limits {
            handshakes: 0,
            retry_from: 1,
            ..LIMITS
        });
        let refused = dial_with(full.local_addr().unwrap(), client(1, HYBRID)).await;
        assert_eq!(refused.unwrap_err(), Closed::Busy);
    }

    /// Only a client's first packet arrives, and nothing after it.
    #[tokio::test]
    async fn whoever_does_not_finish_its_handshake_keeps_nobody_out() {
        let hub = start_limited(Limits {
            handshakes: 1,
            retry_from: 2,
            ..HASTY
        });
        let address = hub.local_addr().unwrap();
        let caught = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let client = tokio::spawn(dial_with(caught.local_addr().unwrap(), client(1, HYBRID)));
        // A hello with a post-quantum share takes more than one packet.
        let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut packet = [0; 2048];
        let length = soon(caught.recv(&mut packet)).await.unwrap();
        silent.send_to(&packet[..length], address).await.unwrap();
        client.abort();
        let admitted = async {
            while dial_with(address, self::client(2, HYBRID)).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        soon(admitted).await;
    }

    #[tokio::test]
    async fn a_node_that_opens_no_control_stream_is_sent_away() {
        let hub = start_limited(HASTY);
        let node = dial_with(hub.local_addr().unwrap(), client(1, HYBRID))
            .await
            .unwrap();
        let reason = Closed::ByPeer {
            reason: "no control stream".into(),
        };
        assert_eq!(Closed::from(soon(node.closed()).await), reason);
    }

    #[tokio::test]
    async fn a_pair_stream_that_does_not_say_whom_it_is_for_is_dropped_alone() {
        let (links, mut accepted) = mpsc::channel(1);
        let hub = start_linked(HASTY, links);
        let node = dial_with(hub.local_addr().unwrap(), client(1, HYBRID))
            .await
            .unwrap();
        let (mut control, _control_recv) = node.open_bi().await.unwrap();
        control.write_all(&[0, 0, 0, 0]).await.unwrap();
        let _link = soon(accepted.recv()).await.unwrap();
        let (mut send, mut recv) = node.open_bi().await.unwrap();
        send.write_all(&32u32.to_be_bytes()[..2]).await.unwrap();
        assert!(matches!(
            soon(recv.read(&mut [0])).await,
            Ok(None) | Err(ReadError::Reset(_))
        ));
        assert_eq!(node.close_reason(), None);
    }

    #[tokio::test]
    async fn a_client_that_speaks_another_protocol_is_refused() {
        let hub = start();
        for alpn in [
            vec![],
            vec![b"h3".to_vec()],
            vec![crate::tls::TUNNEL_ALPN.to_vec()],
        ] {
            let mut tls = client(1, HYBRID);
            tls.alpn_protocols = alpn.clone();
            assert!(dial_with(hub.address(), tls).await.is_err(), "{alpn:?}");
        }
    }

    /// A stream that a replaced connection opened before it learnt of its end.
    #[tokio::test]
    async fn a_stream_of_a_connection_that_was_replaced_takes_no_part() {
        let hub = start();
        let nodes = [
            dial(&hub, 1, HYBRID).await.unwrap(),
            dial(&hub, 2, HYBRID).await.unwrap(),
        ];
        let mut controls = Vec::new();
        for node in &nodes {
            let mut control = node.open_bi().await.unwrap();
            control.0.write_all(&[0, 0, 0, 0]).await.unwrap();
            controls.push(control);
        }
        let [one, two] = [identity(1).public(), identity(2).public()];
        let connected = async {
            while hub.connected().len() < 2 {
                tokio::task::yield_now().await;
            }
        };
        soon(connected).await;
        let current = |key| hub.shared.state().nodes[&key].stable_id();
        let current_one = current(one);
        let current_two = current(two);
        let offer = async |owner, connection, peer| {
            let (send, recv) = nodes[0].open_bi().await.unwrap();
            hub.shared.offer(
                End {
                    owner,
                    connection,
                    stream: Halves { send, recv },
                },
                peer,
            )
        };
        assert!(offer(one, usize::MAX, two).await.is_none());
        assert!(
            offer(two, current_two, one).await.is_none(),
            "the stale stream does not wait for anybody"
        );
        assert!(offer(one, current_one, two).await.is_some());
    }

    #[tokio::test]
    async fn announced_frame_over_the_bound_ends_only_its_own_link() {
        let hub = start();
        let loud = dial(&hub, 1, HYBRID).await.unwrap();
        let calm = dial(&hub, 2, HYBRID).await.unwrap();
        let (mut send, _recv) = loud.open_bi().await.unwrap();
        let (mut calm_send, _calm_recv) = calm.open_bi().await.unwrap();
        calm_send.write_all(&[0, 0, 0, 1, 7]).await.unwrap();
        send.write_all(&(MAX_CONTROL_FRAME as u32 + 1).to_be_bytes())
            .await
            .unwrap();
        let reason = Closed::ByPeer {
            reason: "bad control frame".into(),
        };
        assert_eq!(Closed::from(loud.closed().await), reason);
        assert_eq!(calm.close_reason(), None);
    }

    #[tokio::test]
    async fn pair_stream_that_names_no_key_is_dropped_alone() {
        let hub = start();
        let node = dial(&hub, 1, HYBRID).await.unwrap();
        let (mut control, _control_recv) = node.open_bi().await.unwrap();
        control.write_all(&[0, 0, 0, 0]).await.unwrap();
        let (mut send, mut recv) = node.open_bi().await.unwrap();
        send.write_all(&33u32.to_be_bytes()).await.unwrap();
        assert!(matches!(
            recv.read(&mut [0]).await,
            Ok(None) | Err(ReadError::Reset(_))
        ));
        assert_eq!(node.close_reason(), None);
    }

    #[tokio::test]
    async fn a_guest_has_one_stream_and_small_frames_and_is_no_node() {
        let (guests, mut received) = mpsc::channel(1);
        let only_two = identity(2).public();
        let hub = start_rooms(
            LIMITS,
            Arc::new(move |key| *key == only_two),
            mpsc::channel(1).0,
            guests,
        );
        let address = hub.local_addr().unwrap();
        let guest = dial_with(address, client(1, HYBRID)).await.unwrap();
        let (mut send, _recv) = guest.open_bi().await.unwrap();
        assert!(
            timeout(Duration::from_millis(300), guest.open_bi())
                .await
                .is_err(),
            "a second stream"
        );
        assert!(
            timeout(Duration::from_millis(300), guest.open_uni())
                .await
                .is_err(),
            "a stream in one direction"
        );
        let length = MAX_GUEST_FRAME as u32;
        send.write_all(&length.to_be_bytes()).await.unwrap();
        send.write_all(&[7; MAX_GUEST_FRAME]).await.unwrap();
        let mut link = soon(received.recv()).await.unwrap();
        assert_eq!(link.peer, identity(1).public());
        let frame = soon(link.control.receiver.recv()).await.unwrap().unwrap();
        assert_eq!(frame, [7; MAX_GUEST_FRAME]);
        send.write_all(&(length + 1).to_be_bytes()).await.unwrap();
        assert!(soon(link.control.receiver.recv()).await.is_err());
        // What is not read stays within one stream's window.
        let flood = vec![0; 1 << 20];
        let flooded = timeout(Duration::from_millis(500), send.write_all(&flood)).await;
        assert!(flooded.is_err(), "{flooded:?}");
    }

    #[tokio::test]
    async fn guests_are_few_and_their_time_is_short() {
        let limits = Limits {
            guests: 1,
            guest_time: Duration::from_millis(500),
            ..LIMITS
        };
        let hub = start_rooms(
            limits,
            Arc::new(|_| false),
            mpsc::channel(1).0,
            mpsc::channel(1).0,
        );
        let address = hub.local_addr().unwrap();
        let silent = dial_with(address, client(1, HYBRID)).await.unwrap();
        // The seat is taken once the handshake has ended at the hub, too.
        let crowd = async {
            loop {
                let next = dial_with(address, client(2, HYBRID)).await.unwrap();
                let end = Closed::from(next.closed().await);
                if matches!(&end, Closed::ByPeer { reason } if reason.contains("too many guests")) {
                    break;
                }
            }
        };
        soon(crowd).await;
        let reason = Closed::ByPeer {
            reason: "a guest's time is over".into(),
        };
        assert_eq!(Closed::from(soon(silent.closed()).await), reason);
    }

    #[tokio::test]
    async fn a_node_has_all_its_streams_though_guests_have_one() {
        let (links, mut accepted) = mpsc::channel(1);
        let hub = start_linked(LIMITS, links);
        let node = dial_with(hub.local_addr().unwrap(), client(1, HYBRID))
            .await
            .unwrap();
        let mut open = Vec::new();
        for _ in 0..transport::MAX_STREAMS {
            let (mut send, recv) = soon(node.open_bi()).await.unwrap();
            send.write_all(&[0, 0]).await.unwrap();
            open.push((send, recv));
        }
        assert_eq!(
            soon(accepted.recv()).await.unwrap().peer,
            identity(1).public()
        );
    }
}
