//! The API over real sockets, with callers that are many, slow or silent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_door::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::World;
use crate::http::{App, LIMITS, Patience, router};

/// Connections for these tests, where one process holds both ends.
const FEW: Limits = Limits {
    connections: 8,
    ..LIMITS
};

async fn open(world: &World, limits: Limits, patience: Patience) -> SocketAddr {
    let app = App {
        patience,
        ..(*world.app).clone()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(countersign_door::serve(
        listener,
        router(Arc::new(app)),
        limits,
        std::future::pending(),
    ));
    address
}

async fn say(address: SocketAddr, words: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(words.as_bytes()).await.unwrap();
    stream
}

/// Everything received until the connection ends.
async fn hear(mut stream: TcpStream) -> String {
    let mut heard = Vec::new();
    // A reset also counts as an end.
    drop(stream.read_to_end(&mut heard).await);
    String::from_utf8(heard).unwrap()
}

fn question(key: &str) -> String {
    format!(
        "GET /v1/nodes HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\r\n"
    )
}

/// A head with a valid key, and the beginning of a body.
fn half_a_task(key: &str) -> String {
    format!(
        "POST /v1/tasks HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: 100\r\n\r\n{{\"task\""
    )
}

#[tokio::test]
async fn a_body_that_does_not_come_is_waited_for_as_long_as_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let hour = Duration::from_secs(3600);
    let address = open(
        &world,
        FEW,
        Patience {
            body: Duration::from_millis(50),
            request: hour,
        },
    )
    .await;
    let answer = hear(say(address, &half_a_task(&world.key)).await);
    let answer = tokio::time::timeout(Duration::from_secs(30), answer)
        .await
        .expect("it waits on");
    assert!(
        answer.starts_with("HTTP/1.1 408") && answer.contains("body-timeout"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_its_connection() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let limits = Limits {
        head: Duration::from_millis(50),
        ..FEW
    };
    let address = open(&world, limits, Patience::default()).await;
    for words in ["", "POST /v1/tasks HTTP/1.1\r\nhost: x\r\nauthor"] {
        let answer = hear(say(address, words).await).await;
        assert!(!answer.contains(" 20"), "{answer}");
    }
}

#[tokio::test]
async fn silent_connections_beyond_all_places_keep_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let address = open(&world, FEW, Patience::default()).await;
    let mut silent = Vec::new();
    for _ in 0..10 * FEW.connections {
        silent.push(say(address, "").await);
        silent.push(say(address, "GET /v1").await);
        let answer = hear(say(address, &question(&world.reader)).await).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[tokio::test]
async fn slow_bodies_with_one_key_leave_room_for_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), |_| ());
    let limits = Limits {
        connections: 300,
        ..LIMITS
    };
    let address = open(&world, limits, Patience::default()).await;
    let mut slow = Vec::new();
    // More than one key may ask for at a time, and more than there are places.
    for _ in 0..400 {
        slow.push(say(address, &half_a_task(&world.key)).await);
    }
    let answer = hear(say(address, &question(&world.reader)).await).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "another key: {answer}");
    let answer = hear(say(address, &question(&world.key)).await).await;
    assert!(
        answer.starts_with("HTTP/1.1 429") && answer.contains("too-many-requests"),
        "{answer}"
    );
}
