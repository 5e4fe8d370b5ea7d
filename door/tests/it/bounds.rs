//! Callers that are slow, do not read, or flood, by either version of HTTP.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use countersign_door::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::*;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const PING: u8 = 6;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// SETTINGS_INITIAL_WINDOW_SIZE = 0.
const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];
/// SETTINGS_INITIAL_WINDOW_SIZE = 1.
const ONE_BYTE: [u8; 6] = [0, 4, 0, 0, 0, 1];

fn impatient() -> Limits {
    Limits {
        head: SHORT,
        stall: SHORT,
        ..limits()
    }
}

/// Writes the frames again and again until the connection ends, and returns how often.
async fn flood(house: &House, mut frames: impl FnMut(u32) -> Vec<u8>) -> u32 {
    let stream = by_hand(house, &[]).await;
    let (mut from, mut to) = tokio::io::split(stream);
    let reads = tokio::spawn(async move { closed(&mut from).await });
    let mut times = 0;
    while !reads.is_finished() && to.write_all(&frames(times)).await.is_ok() {
        times += 1;
        assert!(times < 1_000_000, "it is endured");
    }
    times
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawing_requests_rapidly_ends_the_connection() {
    let house = House::open(limits()).await;
    flood(&house, |number| {
        let stream = 2 * number + 1;
        let begins = frame(HEADERS, END_STREAM | END_HEADERS, stream, &fields("/never"));
        [begins, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    })
    .await;
    let begun = house.begun.load(Ordering::SeqCst);
    assert!(begun < 1000, "{begun} requests were begun");
    house.is_open().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_pings_ends_the_connection() {
    let house = House::open(limits()).await;
    flood(&house, |_| frame(PING, 0, 0, &[7; 8]).repeat(10)).await;
    house.is_open().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_settings_or_of_nothing_ends_the_connection() {
    let house = House::open(limits()).await;
    flood(&house, |_| frame(4, 0, 0, &NO_WINDOW).repeat(10)).await;
    flood(&house, |number| match number {
        0 => frame(HEADERS, END_HEADERS, 1, &fields("/never")),
        _ => frame(0, 0, 1, &[]).repeat(10),
    })
    .await;
    house.is_open().await;
}

#[tokio::test]
async fn no_connection_has_more_requests_than_its_share() {
    let house = House::open(limits()).await;
    let mut stream = by_hand(&house, &[]).await;
    for number in 0..100 {
        let asked = frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            2 * number + 1,
            &fields("/never"),
        );
        stream.write_all(&asked).await.unwrap();
    }
    // The answer to the last frame comes when the others were seen.
    stream.write_all(&frame(PING, 0, 0, &[7; 8])).await.unwrap();
    let mut heard = Vec::new();
    while !heard.windows(8).any(|bytes| bytes == [7; 8]) {
        assert_ne!(stream.read_buf(&mut heard).await.unwrap(), 0);
    }
    tokio::time::sleep(SHORT).await;
    assert_eq!(house.begun.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_head_that_is_too_large_reaches_nobody() {
    let house = House::open(limits()).await;
    let (ask, _) = house.h2().await;
    let mut ask = ask.ready().await.unwrap();
    let mut large = request("/never");
    let value = "x".repeat(20 * 1024).parse().unwrap();
    large.headers_mut().insert("x-large", value);
    let (answer, _) = ask.send_request(large, true).unwrap();
    assert!(answer.await.map_or(true, |answer| answer.status() == 431));
    let mut stream = house.dial(&[H1]).await;
    let head = format!("GET /never HTTP/1.1\r\nx: {}", "x".repeat(100 * 1024));
    // It may be closed while we write.
    drop(stream.write_all(head.as_bytes()).await);
    closed(&mut stream).await;
    assert_eq!(house.begun.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_its_connection() {
    let house = House::open(impatient()).await;
    for words in ["", "GET / HTTP/1.1\r\nhost: "] {
        let mut stream = house.dial(&[H1]).await;
        stream.write_all(words.as_bytes()).await.unwrap();
        closed(&mut stream).await;
    }
    // Not even a preface.
    closed(&mut house.dial(&[H2]).await).await;
    // No request; the beginning of one; and one of which the fields do not end.
    let begun = frame(HEADERS, END_STREAM, 1, &fields("/"));
    for words in [&[][..], &begun[..12], &begun] {
        let mut stream = by_hand(&house, &[]).await;
        stream.write_all(words).await.unwrap();
        closed_alive(&mut stream).await;
    }
}

#[tokio::test]
async fn a_caller_that_does_not_read_is_not_waited_for() {
    for path in ["/large", "/flood"] {
        let house = House::open(Limits {
            head: MINUTE,
            ..impatient()
        })
        .await;
        // By HTTP/1.1: the socket is full.
        let mut stream = house.dial(&[H1]).await;
        stream.write_all(question(path).as_bytes()).await.unwrap();
        let raw = stream.get_ref().0;
        while !is_broken(raw).await {}
        // By HTTP/2, with open windows that are not opened again.
        let (ask, connection) = house.h2().await;
        let mut ask = ask.ready().await.unwrap();
        let (answer, _) = ask.send_request(request(path), true).unwrap();
        let unread = answer.await.unwrap();
        assert!(connection.await.unwrap().is_err(), "{path}");
        drop(unread);
        // With windows that were never open: the connection itself works.
        let mut stream = by_hand(&house, &NO_WINDOW).await;
        let asked = frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields(path));
        stream.write_all(&asked).await.unwrap();
        closed_alive(&mut stream).await;
    }
}

/// The stream takes one of its four bytes, and the others would wait there for ever.
#[tokio::test]
async fn an_answer_that_is_not_taken_in_is_never_finished() {
    let house = House::open(Limits {
        head: MINUTE,
        ..impatient()
    })
    .await;
    let mut stream = by_hand(&house, &ONE_BYTE).await;
    let asked = frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields("/"));
    stream.write_all(&asked).await.unwrap();
    let ended = tokio::time::timeout(MINUTE / 3, closed_alive(&mut stream)).await;
    ended.expect("it is waited for");
}

/// True if the other end is gone: writing to it fails at some time. Nothing is read.
async fn is_broken(stream: &tokio::net::TcpStream) -> bool {
    tokio::time::sleep(SHORT / 10).await;
    matches!(stream.take_error(), Ok(Some(_)))
        || matches!(stream.try_write(&[0]), Err(error) if error.kind() != std::io::ErrorKind::WouldBlock)
}

#[tokio::test]
async fn an_answer_may_go_on_for_as_long_as_it_is_read() {
    let house = House::open(impatient()).await;
    for (path, last) in [("/events", "event 100\n"), ("/late", "event 1\n")] {
        let mut stream = house.dial(&[H1]).await;
        stream.write_all(question(path).as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        while !String::from_utf8_lossy(&heard).contains(last) {
            assert_ne!(stream.read_buf(&mut heard).await.unwrap(), 0, "{path}");
        }
        let (ask, _) = house.h2().await;
        let mut ask = ask.ready().await.unwrap();
        let (answer, _) = ask.send_request(request(path), true).unwrap();
        let mut body = answer.await.unwrap().into_body();
        let mut heard = Vec::new();
        while !String::from_utf8_lossy(&heard).contains(last) {
            let piece: Bytes = body.data().await.expect("it goes on").unwrap();
            body.flow_control().release_capacity(piece.len()).unwrap();
            heard.extend(piece);
        }
    }
}

#[tokio::test]
async fn a_large_answer_arrives_whole_by_either_version() {
    let house = House::open(impatient()).await;
    let mut stream = house.dial(&[H1]).await;
    stream
        .write_all(b"GET /large HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    let head = heard.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(heard.len() - head, 1 << 25);
    assert!(String::from_utf8_lossy(&heard[..head]).contains("content-length: 33554432\r\n"));
    let (ask, _) = house.h2().await;
    let mut ask = ask.ready().await.unwrap();
    let (answer, _) = ask.send_request(request("/large"), true).unwrap();
    let mut body = answer.await.unwrap().into_body();
    let mut length = 0;
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        length += piece.len();
    }
    assert_eq!(length, 1 << 25);
}

#[tokio::test]
async fn the_work_of_a_connection_ends_with_it() {
    let house = House::open(limits()).await;
    let (ask, connection) = house.h2().await;
    let mut ask = ask.ready().await.unwrap();
    let answer = ask.send_request(request("/never"), true).unwrap();
    while house.under_way.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    connection.abort();
    drop((ask, answer));
    while house.under_way.load(Ordering::SeqCst) > 0 {
        tokio::task::yield_now().await;
    }
    house.is_open().await;
}
