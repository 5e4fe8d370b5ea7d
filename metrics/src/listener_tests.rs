use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::text::tests::{TABLE, sheet};

fn wanted() -> Settings {
    Settings {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        ..Settings::default()
    }
}

fn report(not_ready: &[&str]) -> Report {
    Report {
        sheet: sheet(),
        not_ready: not_ready.iter().map(|reason| (*reason).into()).collect(),
    }
}

/// Sends a request over a real connection and returns the whole answer.
async fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_listener_answers_three_questions_and_ends_when_it_is_told() {
    let listener = bind(&wanted()).await.unwrap();
    let listener = listener.expect("the operator wants it");
    let address = listener.local_addr().unwrap();
    let shown = Arc::new(Mutex::new(report(&["one", "another"])));
    let seen = shown.clone();
    let look: Look = Arc::new(move || {
        let report = seen.lock().unwrap().clone();
        Box::pin(async move { report })
    });
    let stop = CancellationToken::new();
    let bounds = Bounds::default();
    let served = tokio::spawn(serve(listener, TABLE, wanted(), look, bounds, stop.clone()));
    assert!(get(address, "/live").await.starts_with("HTTP/1.1 200"));
    let not_ready = get(address, "/ready").await;
    assert!(not_ready.starts_with("HTTP/1.1 503"), "{not_ready}");
    assert!(not_ready.ends_with("\r\n\r\none\nanother\n"), "{not_ready}");
    *shown.lock().unwrap() = report(&[]);
    let ready = get(address, "/ready").await;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    assert!(ready.ends_with("ready\n"), "{ready}");
    let metrics = get(address, "/metrics").await;
    assert!(metrics.contains(CONTENT_TYPE), "{metrics}");
    assert!(metrics.contains("\nup 1.0\n"), "{metrics}");
    assert!(get(address, "/").await.starts_with("HTTP/1.1 404"));
    stop.cancel();
    served.await.unwrap();
    let gone = TcpStream::connect(address).await;
    assert!(gone.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_store_that_does_not_answer_keeps_nobody_waiting() {
    let listener = bind(&wanted()).await.unwrap().unwrap();
    let address = listener.local_addr().unwrap();
    let look: Look = Arc::new(|| Box::pin(std::future::pending()));
    let bounds = Bounds {
        look: Duration::from_millis(50),
        ..Bounds::default()
    };
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, TABLE, wanted(), look, bounds, stop));
    for path in ["/ready", "/metrics"] {
        let answer = get(address, path).await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("store: "), "{answer}");
    }
    assert!(get(address, "/live").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn nobody_listens_unless_the_operator_wants_it() {
    assert!(bind(&Settings::default()).await.unwrap().is_none());
}
