//! The tunnel over misbehaving streams, and the real hub's view of it.

use std::sync::{Arc, Mutex};

use countersign_link::tunnel::TunnelError;
use countersign_link::{FrameError, Identity, MAX_FRAME, PeerKey, Tunnel};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use crate::world::{Coordinator, identity, ordered_pair, soon};

const CANARY: &[u8] = b"share-of-alice-0123456789";

async fn both(
    (a, a_expects, a_stream): (&Arc<Identity>, PeerKey, DuplexStream),
    (b, b_expects, b_stream): (&Arc<Identity>, PeerKey, DuplexStream),
) -> (Result<Tunnel, TunnelError>, Result<Tunnel, TunnelError>) {
    let a_end = Tunnel::establish(a_stream, a, a_expects);
    let b_end = Tunnel::establish(b_stream, b, b_expects);
    soon("handshake", async { tokio::join!(a_end, b_end) }).await
}

/// Two tunnel ends over one in-memory stream.
async fn pair() -> (Tunnel, Tunnel) {
    let [low, high] = ordered_pair();
    let (x, y) = duplex(4096);
    let (a, b) = both((&low, high.public(), x), (&high, low.public(), y)).await;
    (a.unwrap(), b.unwrap())
}

#[tokio::test]
async fn frames_go_both_ways_in_order_up_to_the_bound() {
    let (mut a, mut b) = pair().await;
    let frames = [vec![1; 10], vec![], vec![2; 70_000], vec![3; MAX_FRAME]];
    let send = async {
        for frame in &frames {
            a.send(frame).await.unwrap();
        }
        a
    };
    let receive = async {
        for frame in &frames {
            assert_eq!(&b.recv().await.unwrap().unwrap(), frame);
        }
        b
    };
    let (mut a, mut b) = soon("frames", async { tokio::join!(send, receive) }).await;
    b.send(b"back").await.unwrap();
    assert_eq!(soon("back", a.recv()).await.unwrap().unwrap(), b"back");
    assert!(matches!(
        a.send(&vec![0; MAX_FRAME + 1]).await,
        Err(FrameError::TooLarge { .. })
    ));
}

#[tokio::test]
async fn relay_that_leads_to_another_node_is_refused() {
    let mut ids = [identity(1), identity(2), identity(3)];
    ids.sort_by_key(|id| id.public());
    let [low, mid, high] = &ids;

    // The dialling side was promised `high` and got `mid`.
    let (x, y) = duplex(4096);
    let (wrong, refused) = both((low, high.public(), x), (mid, low.public(), y)).await;
    assert!(matches!(wrong, Err(TunnelError::WrongPeer)), "{wrong:?}");
    assert!(matches!(refused, Err(TunnelError::Refused)), "{refused:?}");

    // The answering side was promised `low` and got `mid`.
    let (x, y) = duplex(4096);
    let (refused, wrong) = both((mid, high.public(), x), (high, low.public(), y)).await;
    assert!(matches!(wrong, Err(TunnelError::WrongPeer)), "{wrong:?}");
    assert!(matches!(refused, Err(TunnelError::Refused)), "{refused:?}");
}

#[tokio::test]
async fn no_tunnel_to_ourselves() {
    let own = identity(1);
    let refused = Tunnel::establish(duplex(64).0, &own, own.public()).await;
    assert!(matches!(refused, Err(TunnelError::OwnKey)));
}

/// Carries bytes both ways; `meddle` may alter each chunk from `a`.
fn relay(a: DuplexStream, b: DuplexStream, mut meddle: impl FnMut(&mut Vec<u8>) + Send + 'static) {
    let (mut a_read, mut a_write) = tokio::io::split(a);
    let (mut b_read, mut b_write) = tokio::io::split(b);
    tokio::spawn(async move { tokio::io::copy(&mut b_read, &mut a_write).await });
    tokio::spawn(async move {
        let mut buffer = vec![0; 4096];
        while let Ok(read @ 1..) = a_read.read(&mut buffer).await {
            let mut chunk = buffer[..read].to_vec();
            meddle(&mut chunk);
            if b_write.write_all(&chunk).await.is_err() {
                break;
            }
        }
    });
}

/// Sends 20 numbered frames through a relay that alters the bytes of frame `10`; the receiver must
/// see a correct prefix and then the end.
async fn prefix_through(alter: fn(&mut Vec<u8>)) -> usize {
    let [low, high] = ordered_pair();
    let (x, x_relay) = duplex(4096);
    let (y, y_relay) = duplex(4096);
    let armed = Arc::new(Mutex::new(false));
    let trigger = armed.clone();
    relay(x_relay, y_relay, move |chunk| {
        if std::mem::take(&mut *trigger.lock().unwrap()) {
            alter(chunk);
        }
    });
    let (a, b) = Box::pin(both((&low, high.public(), x), (&high, low.public(), y))).await;
    let mut a = a.unwrap();
    let mut b = b.unwrap();
    for number in 0..20u8 {
        *armed.lock().unwrap() = number == 10;
        if a.send(&[number; 100]).await.is_err() {
            break;
        }
        match soon("frame or end", b.recv()).await {
            Ok(Some(frame)) => assert_eq!(frame, [number; 100]),
            Ok(None) => panic!("altered bytes passed as a clean end"),
            Err(FrameError::Broken(_)) => return number.into(),
            Err(other) => panic!("{other}"),
        }
    }
    20
}

#[tokio::test]
async fn altered_bytes_kill_the_tunnel_and_never_deliver_a_wrong_frame() {
    assert_eq!(prefix_through(|_| {}).await, 20);
    assert_eq!(
        prefix_through(|chunk| *chunk.last_mut().unwrap() ^= 1).await,
        10
    );
    // Repeated: the frame arrives at most once, as its copy is out of sequence.
    assert!(matches!(
        prefix_through(|chunk| chunk.extend(chunk.clone())).await,
        10 | 11
    ));
}

#[tokio::test]
async fn a_cut_stream_is_not_a_clean_end() {
    let (a, mut b) = pair().await;
    drop(a);
    assert!(matches!(
        soon("cut", b.recv()).await,
        Err(FrameError::Broken(_))
    ));
    let (a, mut b) = pair().await;
    let (mut sender, receiver) = a.split();
    sender.close().await.unwrap();
    assert!(matches!(soon("close", b.recv()).await, Ok(None)));
    drop(receiver);
}

type Tape = Arc<Mutex<Vec<(PeerKey, PeerKey, Vec<u8>)>>>;

fn seen(tape: &Tape, from: PeerKey, to: PeerKey) -> Vec<u8> {
    let tape = tape.lock().unwrap();
    tape.iter()
        .filter(|(f, t, _)| (*f, *t) == (from, to))
        .flat_map(|(_, _, bytes)| bytes.clone())
        .collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

#[tokio::test]
async fn coordinator_carries_the_tunnel_and_sees_nothing_of_it() {
    let [low, high] = ordered_pair();
    let tape = Tape::default();
    let recorder = tape.clone();
    let coordinator = Coordinator::start_with(
        &[&low, &high],
        "127.0.0.1:0".parse().unwrap(),
        Some(Arc::new(move |from, to, bytes: &[u8]| {
            recorder.lock().unwrap().push((from, to, bytes.to_vec()));
            true
        })),
    );
    let a = coordinator.connect(&low).await.unwrap();
    let b = coordinator.connect(&high).await.unwrap();
    let from = low.public();
    let to = high.public();

    // In clear first: the recorder does see passing bytes.
    let streams = async { tokio::join!(a.pairs.open(to), b.pairs.open(from)) };
    let (x, y) = soon("pair", streams).await;
    let mut x = x.unwrap();
    let mut y = y.unwrap();
    x.write_all(CANARY).await.unwrap();
    let mut heard = [0; CANARY.len()];
    soon("clear bytes", y.read_exact(&mut heard)).await.unwrap();
    assert!(contains(&seen(&tape, from, to), CANARY));

    // Now in a tunnel, over newer streams, both ways.
    tape.lock().unwrap().clear();
    let streams = async { tokio::join!(a.pairs.open(to), b.pairs.open(from)) };
    let (x, y) = soon("pair", streams).await;
    let ends = (
        Tunnel::establish(x.unwrap(), &low, to),
        Tunnel::establish(y.unwrap(), &high, from),
    );
    let (a_end, b_end) = soon("handshake", async { tokio::join!(ends.0, ends.1) }).await;
    let mut a_end = a_end.unwrap();
    let mut b_end = b_end.unwrap();
    a_end.send(CANARY).await.unwrap();
    assert_eq!(soon("frame", b_end.recv()).await.unwrap().unwrap(), CANARY);
    b_end.send(CANARY).await.unwrap();
    assert_eq!(soon("frame", a_end.recv()).await.unwrap().unwrap(), CANARY);
    let forth = seen(&tape, from, to);
    let back = seen(&tape, to, from);
    assert!(forth.len() > CANARY.len() && back.len() > CANARY.len());
    assert!(!contains(&forth, CANARY) && !contains(&back, CANARY));
}
