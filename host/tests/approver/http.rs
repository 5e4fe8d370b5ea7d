//! Transport: servers that break HTTP, hang, flood, redirect or answer with a status that means
//! something else. A genuine approval inside does not help.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::forge::*;
use crate::world::*;

const TIMEOUT: &str = "no answer in time";
const BROKEN: &str = "broken answer";

#[tokio::test]
async fn approver_says_internal_error_with_an_approval() {
    assert_unsound(
        |r| http("500 Internal Server Error", sound(r)),
        "HTTP status 500",
    )
    .await;
}

#[tokio::test]
async fn approver_says_bad_gateway_with_an_approval() {
    assert_unsound(|r| http("502 Bad Gateway", sound(r)), "HTTP status 502").await;
}

#[tokio::test]
async fn approver_says_no_content() {
    assert_unsound(
        |_| Reply::Bytes(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_vec()),
        "HTTP status 204",
    )
    .await;
}

#[tokio::test]
async fn approver_says_created_with_an_approval() {
    assert_unsound(|r| http("201 Created", sound(r)), "HTTP status 201").await;
}

#[tokio::test]
async fn approver_says_partial_content_with_an_approval() {
    assert_unsound(|r| http("206 Partial Content", sound(r)), "HTTP status 206").await;
}

#[tokio::test]
async fn approver_says_unauthorized_with_an_approval() {
    assert_unsound(|r| http("401 Unauthorized", sound(r)), "HTTP status 401").await;
}

#[tokio::test]
async fn approver_says_bad_request_with_an_approval() {
    assert_unsound(
        |r| http("400 Bad Request", sound(r)),
        "HTTP status 400 with APPROVE",
    )
    .await;
}

#[tokio::test]
async fn approver_says_bad_request_with_nothing() {
    assert_unsound(|_| http("400 Bad Request", ""), "the answer is empty").await;
}

#[tokio::test]
async fn approver_invents_a_status() {
    assert_unsound(|r| http("999 Approved", sound(r)), "HTTP status 999").await;
}

#[tokio::test]
async fn approver_switches_protocols() {
    let switch =
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: approve\r\n\r\n"
            .to_vec();
    assert_unsound(move |_| Reply::Bytes(switch.clone()), "").await;
}

#[tokio::test]
async fn approver_asks_to_go_on_for_ever() {
    let go_on = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec();
    assert_unsound(move |_| Reply::Endless(Vec::new(), go_on.clone()), TIMEOUT).await;
}

/// Neither target is asked, whatever the redirect's kind.
async fn assert_not_followed(status: &'static str) {
    let elsewhere = Server::start(|_, r| http("200 OK", sound(r))).await;
    let target = elsewhere.url();
    let words = format!("HTTP status {}", &status[..3]);
    assert_unsound(
        move |r| {
            Reply::Bytes(response(
                status,
                &format!("location: {target}\r\n"),
                sound(r),
            ))
        },
        &words,
    )
    .await;
    assert_eq!(elsewhere.asked(), 0, "another host was asked");
    // `assert_unsound` counts: the same host is asked once.
    assert_unsound(
        move |r| Reply::Bytes(response(status, "location: /v2/check/again\r\n", sound(r))),
        &words,
    )
    .await;
}

#[tokio::test]
async fn approver_redirects_for_good_301() {
    assert_not_followed("301 Moved Permanently").await;
}

#[tokio::test]
async fn approver_redirects_302() {
    assert_not_followed("302 Found").await;
}

#[tokio::test]
async fn approver_redirects_to_see_other_303() {
    assert_not_followed("303 See Other").await;
}

#[tokio::test]
async fn approver_redirects_the_post_307() {
    assert_not_followed("307 Temporary Redirect").await;
}

#[tokio::test]
async fn approver_redirects_the_post_for_good_308() {
    assert_not_followed("308 Permanent Redirect").await;
}

#[tokio::test]
async fn approver_refreshes_to_another_host() {
    let elsewhere = Server::bystander().await;
    let target = elsewhere.url();
    let reply = move |_: &Received| {
        Reply::Bytes(response(
            "200 OK",
            &format!("refresh: 0; url={target}\r\n"),
            "",
        ))
    };
    assert_unsound(reply, "the answer is empty").await;
    assert_eq!(elsewhere.asked(), 0);
}

#[tokio::test]
async fn approver_never_answers() {
    assert_unsound(|_| Reply::Stall(Vec::new()), TIMEOUT).await;
}

#[tokio::test]
async fn approver_stops_in_the_middle_of_the_headers() {
    assert_unsound(
        |_| Reply::Stall(b"HTTP/1.1 200 OK\r\ncontent-".to_vec()),
        TIMEOUT,
    )
    .await;
}

#[tokio::test]
async fn approver_stops_before_the_last_byte() {
    assert_unsound(
        |r| {
            let mut bytes = response("200 OK", "", sound(r));
            bytes.pop();
            Reply::Stall(bytes)
        },
        TIMEOUT,
    )
    .await;
}

#[tokio::test]
async fn approver_trickles_beyond_the_timeout() {
    assert_unsound(
        |r| Reply::Trickle(response("200 OK", "", sound(r)), Duration::from_millis(20)),
        TIMEOUT,
    )
    .await;
}

#[tokio::test]
async fn approver_answers_after_the_timeout() {
    assert_unsound(
        |r| {
            Reply::Late(
                Duration::from_millis(1500),
                response("200 OK", "", sound(r)),
            )
        },
        TIMEOUT,
    )
    .await;
}

#[tokio::test]
async fn approver_answers_after_the_task_s_deadline() {
    let late = |r: &Received| {
        Reply::Late(
            Duration::from_millis(2500),
            response("200 OK", "", sound(r)),
        )
    };
    let server = Server::start(move |_, r| late(r)).await;
    let limit = Duration::from_millis(1500);
    let config = json!({"request_timeout": 10, "retry_times": 5});
    let evaluation = evaluate_within(&[server.url()], config, services(None), limit).await;
    assert_failed(&evaluation, TIMEOUT);
    assert_failed(&evaluation, "no time for another");
    assert!(
        evaluation.elapsed < limit,
        "the plugin itself gave up in time"
    );
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn approver_drops_the_connection() {
    assert_unsound(|_| Reply::Bytes(Vec::new()), BROKEN).await;
}

#[tokio::test]
async fn approver_resets_the_connection() {
    assert_unsound(|_| Reply::Reset(Vec::new()), BROKEN).await;
}

#[tokio::test]
async fn approver_resets_in_the_middle_of_the_body() {
    assert_unsound(
        |r| {
            let mut bytes = response("200 OK", "", sound(r));
            bytes.truncate(bytes.len() - 10);
            Reply::Reset(bytes)
        },
        BROKEN,
    )
    .await;
}

#[tokio::test]
async fn approver_is_not_there() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let evaluation = evaluate(&[format!("http://{gone}/v2/check")], json!({})).await;
    assert_failed(&evaluation, "cannot connect");
}

#[tokio::test]
async fn approver_promises_more_than_it_sends() {
    assert_unsound(
        |r| {
            let token = sound(r);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                token.len() + 1
            );
            Reply::Bytes([head.as_bytes(), token.as_bytes()].concat())
        },
        BROKEN,
    )
    .await;
}

#[tokio::test]
async fn approver_promises_less_than_it_sends() {
    assert_unsound(
        |r| {
            let token = sound(r);
            // Five less than 342: no base64 text has such a length, whatever its last digit.
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                token.len() - 5
            );
            Reply::Bytes([head.as_bytes(), token.as_bytes()].concat())
        },
        "malformed token",
    )
    .await;
}

#[tokio::test]
async fn approver_promises_two_lengths() {
    assert_unsound(
        |r| Reply::Bytes(response("200 OK", "content-length: 5\r\n", sound(r))),
        BROKEN,
    )
    .await;
}

#[tokio::test]
async fn approver_promises_a_negative_length() {
    assert_unsound(
        |r| {
            Reply::Bytes(
                format!("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}", sound(r)).into_bytes(),
            )
        },
        BROKEN,
    )
    .await;
}

#[tokio::test]
async fn approver_speaks_http_0_9() {
    assert_unsound(|r| Reply::Bytes(sound(r).into_bytes()), BROKEN).await;
}

#[tokio::test]
async fn approver_speaks_http_2() {
    assert_unsound(
        |_| Reply::Bytes(b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64".to_vec()),
        BROKEN,
    )
    .await;
}

#[tokio::test]
async fn approver_speaks_tls_to_plain_http() {
    assert_unsound(
        |_| Reply::Bytes(b"\x15\x03\x01\0\x02\x02\x46".to_vec()),
        BROKEN,
    )
    .await;
}

#[tokio::test]
async fn approver_sends_a_broken_chunk() {
    assert_unsound(
        |_| Reply::Bytes(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec()),
        BROKEN,
    )
    .await;
}

#[tokio::test]
async fn approver_never_sends_the_last_chunk() {
    assert_unsound(
        |r| {
            let token = sound(r);
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            Reply::Stall(format!("{head}{:x}\r\n{token}\r\n", token.len()).into_bytes())
        },
        TIMEOUT,
    )
    .await;
}

#[tokio::test]
async fn approver_sends_headers_without_end() {
    assert_unsound(
        |_| {
            Reply::Endless(
                b"HTTP/1.1 200 OK\r\n".to_vec(),
                b"x-filler: xxxxxxxxxxxxxxxx\r\n".repeat(100),
            )
        },
        BROKEN,
    )
    .await;
}

#[tokio::test]
async fn approver_sends_one_header_without_end() {
    assert_unsound(
        |_| Reply::Endless(b"HTTP/1.1 200 OK\r\nx-filler: ".to_vec(), vec![b'x'; 4096]),
        BROKEN,
    )
    .await;
}

#[tokio::test]
async fn approver_sends_a_body_without_end() {
    assert_unsound(
        |_| Reply::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 4096]),
        "exceeds 65536 bytes",
    )
    .await;
}

#[tokio::test]
async fn approver_sends_chunks_without_end() {
    let chunk = [b"1000\r\n".as_slice(), &[b'x'; 4096], b"\r\n"].concat();
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    assert_unsound(
        move |_| Reply::Endless(head.clone(), chunk.clone()),
        "exceeds 65536 bytes",
    )
    .await;
}

/// A genuine approval with white space around it, which is allowed, up to this size.
fn filled(received: &Received, size: usize) -> String {
    let token = sound(received);
    token.clone() + &" ".repeat(size - token.len())
}

#[tokio::test]
async fn approver_exceeds_the_limit_by_a_byte() {
    assert_disbelieved(|r| filled(r, 65_537), "exceeds 65536 bytes").await;
}

#[tokio::test]
async fn a_body_of_just_the_limit_is_read() {
    assert_approved(|r| filled(r, 65_536)).await;
}

/// `gzip`'s output for `bytes`.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip")
        .arg("-9")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output.stdout
}

#[tokio::test]
async fn approver_sends_a_compression_bomb() {
    let bomb = gzip(&vec![b' '; 32 << 20]);
    assert!(bomb.len() < 65_536, "small on the wire");
    assert_unsound(
        move |_| Reply::Bytes(response("200 OK", "content-encoding: gzip\r\n", &bomb)),
        "not text",
    )
    .await;
}

#[tokio::test]
async fn approver_compresses_an_approval() {
    assert_unsound(
        |r| {
            Reply::Bytes(response(
                "200 OK",
                "content-encoding: gzip\r\n",
                gzip(sound(r).as_bytes()),
            ))
        },
        "not text",
    )
    .await;
}

#[tokio::test]
async fn approver_sends_a_status_line_with_a_bare_return() {
    assert_unsound(
        |_| Reply::Bytes(b"HTTP/1.1 200 OK\r\r\r\n\r\n".to_vec()),
        BROKEN,
    )
    .await;
}
