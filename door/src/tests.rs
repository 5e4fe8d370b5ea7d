//! Over real sockets: admission, eviction and their times.

use std::net::SocketAddr;

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
/// More than two sockets' buffers hold.
static LARGE: [u8; 1 << 25] = [0; 1 << 25];
/// The shortest limit that is reliable on a busy machine.
const SHORT: Duration = Duration::from_millis(200);

fn limits() -> Limits {
    Limits {
        connections: 8,
        of_one_address: 4,
        streams: 4,
        head: MINUTE,
        stall: MINUTE,
        life: None,
        grace: MINUTE,
    }
}

/// Serves a router that answers `/` at once and `/never` never.
async fn open(limits: Limits) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/", get(async || "seen"))
        .route("/large", get(async || &LARGE[..]))
        .route("/never", get(async || std::future::pending::<()>().await));
    tokio::spawn(serve(listener, router, limits, std::future::pending()));
    address
}

async fn say(address: SocketAddr, words: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(words.as_bytes()).await.unwrap();
    stream
}

fn question(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

/// Reads until there is an answer.
async fn answer(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    while !heard.ends_with(b"seen") {
        assert_ne!(
            stream.read_buf(&mut heard).await.unwrap(),
            0,
            "it was closed"
        );
    }
    String::from_utf8(heard).unwrap()
}

/// Waits until the other end has closed the stream.
async fn closed(mut stream: TcpStream) {
    while !matches!(stream.read(&mut [0; 1024]).await, Ok(0) | Err(_)) {}
}

/// Counts the open streams. Those evicted were told when the last one was admitted.
fn still_open(streams: &[TcpStream]) -> usize {
    let pending = |stream: &&TcpStream| matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
    streams.iter().filter(pending).count()
}

#[tokio::test]
async fn whoever_asks_for_nothing_makes_room_for_whoever_asks() {
    let address = open(limits()).await;
    let large = question("/large");
    let mut crowd = Vec::new();
    for number in 0..200 {
        // Silent, in the middle of a head, and one that does not read its answer.
        let words = ["", "GET / HTTP/1.1\r\nho", &large][number % 3];
        crowd.push(say(address, words).await);
        let mut asks = say(address, &question("/")).await;
        assert!(answer(&mut asks).await.starts_with("HTTP/1.1 200"));
    }
    let silent: Vec<TcpStream> = crowd.into_iter().step_by(3).collect();
    let mut left = still_open(&silent);
    while left > limits().connections {
        tokio::task::yield_now().await;
        left = still_open(&silent);
    }
}

#[tokio::test]
async fn nobody_who_waits_for_an_answer_is_turned_out() {
    let address = open(Limits {
        connections: 2,
        ..limits()
    })
    .await;
    let waits = [
        say(address, &question("/never")).await,
        say(address, &question("/never")).await,
    ];
    // The first ones are registered once a further one is refused.
    loop {
        let mut late = say(address, &question("/")).await;
        if matches!(late.read(&mut [0]).await, Ok(0) | Err(_)) {
            break;
        }
    }
    assert!(still_open(&waits) > 0);
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_its_connection() {
    let address = open(Limits {
        head: SHORT,
        ..limits()
    })
    .await;
    closed(say(address, "").await).await;
    closed(say(address, "GET / HTTP/1.1\r\nhost: ").await).await;
    let mut asked = say(address, &question("/")).await;
    answer(&mut asked).await;
    // So does the next head.
    closed(asked).await;
}

#[tokio::test]
async fn no_connection_lasts_for_ever() {
    let address = open(Limits {
        life: Some(SHORT),
        grace: SHORT,
        ..limits()
    })
    .await;
    closed(say(address, "").await).await;
    // One that does not read its answer, and one that gets none.
    closed(say(address, &question("/large")).await).await;
    closed(say(address, &question("/never")).await).await;
    let mut asks = say(address, &question("/")).await;
    answer(&mut asks).await;
}

#[tokio::test]
async fn a_stop_lets_answers_finish_and_waits_for_nobody_else() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let begun = Arc::new(tokio::sync::Notify::new());
    let go = Arc::new(tokio::sync::Notify::new());
    let begins = begun.clone();
    let goes = go.clone();
    let slow = async move || {
        begins.notify_one();
        goes.notified().await;
        "seen"
    };
    let stop = CancellationToken::new();
    let router = Router::new().route("/", get(slow));
    let served = tokio::spawn(serve(
        listener,
        router,
        limits(),
        stop.clone().cancelled_owned(),
    ));
    let mut asks = say(address, &question("/")).await;
    let idle = say(address, "").await;
    begun.notified().await;
    stop.cancel();
    closed(idle).await;
    go.notify_one();
    assert!(answer(&mut asks).await.starts_with("HTTP/1.1 200"));
    served.await.unwrap();
    assert!(
        TcpStream::connect(address).await.is_err(),
        "nobody listens any more"
    );
}

#[test]
fn half_of_the_descriptors_stay_with_the_program() {
    let descriptors = getrlimit(Resource::Nofile).current;
    assert!(descriptors.is_none_or(|descriptors| affordable() as u64 <= descriptors / 2));
}
