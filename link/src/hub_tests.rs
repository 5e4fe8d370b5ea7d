//! The hub against clients that do not have to keep to our protocol.

use std::sync::atomic::{AtomicBool, Ordering};

use quinn::ReadError;
use quinn::crypto::rustls::QuicClientConfig;
use rustls::NamedGroup;
use rustls::client::Resumption;

use super::*;
use crate::closed::Closed;
use crate::frame::{MAX_CONTROL_FRAME, MAX_GUEST_FRAME};

/// A hub with little patience for silent callers.
const HASTY: Limits = Limits {
    patience: Duration::from_millis(300),
    ..LIMITS
};
const HYBRID: &[NamedGroup] = &[NamedGroup::X25519MLKEM768];

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
    let open: Guests = Arc::new(|_| true);
    let door = Arc::new(Door::new(identity, admit, open, config.clone()));
    let rooms = Rooms {
        links,
        guests,
        seats: Seats::new(limits.guests),
    };
    let endpoint = Endpoint::server(config, "127.0.0.1:0".parse().unwrap()).unwrap();
    let shared = Arc::new(Shared {
        state: Mutex::default(),
        recorder: None,
    });
    tokio::spawn(accept_all(endpoint.clone(), door, shared, rooms, limits));
    endpoint
}

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

async fn dial_with(address: SocketAddr, tls: rustls::ClientConfig) -> Result<Connection, Closed> {
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
    let (mut send, mut recv) = guest.open_bi().await.unwrap();
    let length = MAX_GUEST_FRAME as u32;
    send.write_all(&length.to_be_bytes()).await.unwrap();
    send.write_all(&[7; MAX_GUEST_FRAME]).await.unwrap();
    let mut link = soon(received.recv()).await.unwrap();
    assert_eq!(link.peer, identity(1).public());
    let frame = soon(link.control.receiver.recv()).await.unwrap().unwrap();
    assert_eq!(frame, [7; MAX_GUEST_FRAME]);
    link.control.sender.send(b"heard").await.unwrap();
    soon(recv.read_exact(&mut [0; 4 + 5])).await.unwrap();
    // Now the hub's last word on streams is here as well.
    let at_once = Duration::ZERO;
    let second = timeout(at_once, guest.open_bi()).await;
    assert!(second.is_err(), "a second stream");
    let one_way = timeout(at_once, guest.open_uni()).await;
    assert!(one_way.is_err(), "a stream in one direction");
    send.write_all(&(length + 1).to_be_bytes()).await.unwrap();
    assert!(soon(link.control.receiver.recv()).await.is_err());
    // What is not read stays within one stream's window.
    let flood = vec![0; 1 << 20];
    let is_blocked = async {
        let blocked = || {
            let sent = guest.stats().frame_tx;
            sent.data_blocked + sent.stream_data_blocked
        };
        while blocked() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        flooded = send.write_all(&flood) => panic!("all of it went: {flooded:?}"),
        () = soon(is_blocked) => {}
    }
}

#[tokio::test]
async fn the_time_of_a_guest_is_short() {
    let limits = Limits {
        guest_time: Duration::from_millis(500),
        ..LIMITS
    };
    let (hub, _received) = start_for_guests(limits);
    let silent = dial_with(hub, client(1, HYBRID)).await.unwrap();
    let reason = Closed::ByPeer {
        reason: "a guest's time is over".into(),
    };
    assert_eq!(Closed::from(soon(silent.closed()).await), reason);
}

/// A hub that lets everybody in, as a guest.
fn start_for_guests(limits: Limits) -> (SocketAddr, mpsc::Receiver<GuestLink>) {
    let (guests, received) = mpsc::channel(1);
    let hub = start_rooms(limits, Arc::new(|_| false), mpsc::channel(1).0, guests);
    (hub.local_addr().unwrap(), received)
}

/// A guest that says something, as the hub sees it, and its own end.
async fn says(
    hub: SocketAddr,
    number: u8,
    received: &mut mpsc::Receiver<GuestLink>,
) -> (GuestLink, Connection) {
    let guest = dial_with(hub, client(number, HYBRID)).await.unwrap();
    let (mut send, _) = guest.open_bi().await.unwrap();
    send.write_all(&[0, 0, 0, 1, 7]).await.unwrap();
    let link = soon(received.recv()).await.unwrap();
    assert_eq!(link.peer, identity(number).public());
    (link, guest)
}

async fn is_sent_away(guest: &Connection, why: &str) -> bool {
    let end = Closed::from(soon(guest.closed()).await);
    matches!(end, Closed::ByPeer { reason } if reason.contains(why))
}

#[tokio::test]
async fn silent_strangers_in_all_seats_keep_no_guest_out() {
    let (hub, mut received) = start_for_guests(LIMITS);
    let mut silent = Vec::new();
    for number in 0..LIMITS.guests as u8 {
        silent.push(dial_with(hub, client(1 + number, HYBRID)).await.unwrap());
    }
    let (_, guest) = says(hub, 100, &mut received).await;
    // The handshakes may have ended at the hub in another order.
    let gone = silent.iter().map(|stranger| Box::pin(stranger.closed()));
    let gone = futures_util::future::select_all(gone);
    let (end, ..) = soon(gone).await;
    assert!(Closed::from(end).to_string().contains("another guest came"));
    assert_eq!(guest.close_reason(), None);
}

#[tokio::test]
async fn a_guest_that_was_heard_keeps_its_seat_until_it_has_its_answer() {
    let limits = Limits {
        guests: 1,
        ..LIMITS
    };
    let (hub, mut received) = start_for_guests(limits);
    let (link, guest) = says(hub, 1, &mut received).await;
    link.seat.heard();
    let other = dial_with(hub, client(2, HYBRID)).await.unwrap();
    assert!(is_sent_away(&other, "too many guests").await);
    assert_eq!(guest.close_reason(), None);
    link.seat.over();
    says(hub, 3, &mut received).await;
    assert!(is_sent_away(&guest, "another guest came").await);
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
