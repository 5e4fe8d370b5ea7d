//! Hostile receivers of events: signing goes on undisturbed, each event waits once for each of
//! them, nothing secret goes out, and a receiver that recovers gets all of it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_client::SignOrder;
use countersign_protocol::{Payload, PayloadKind, Scheme};
use countersign_tests::cluster::Node;
use countersign_tests::oracle::{Oracle, refused, with_journal};
use countersign_tests::scripted::{Asked, Say, Server, http};
use countersign_tests::{EventServer, jwt};
use rsa::RsaPublicKey;
use rsa::pkcs8::DecodePublicKey;
use serde_json::Value;

use crate::events::{self, TYPES, prepared};

const SIGNATURES: usize = 15;
/// Two for each task.
const EVENTS: usize = 2 * (1 + SIGNATURES + 1);

type Conduct = Box<dyn Fn(&Asked) -> Say + Send + Sync>;

fn hostile(elsewhere: &Server) -> Vec<Conduct> {
    let elsewhere = elsewhere.url("/v2/event");
    vec![
        Box::new(|_| Say::Late(Duration::from_secs(30), http("200 OK", &[], ""))),
        // Of known length: otherwise the end of the connection would be the end of a good answer.
        Box::new(|_| Say::Drip(b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\nmore".to_vec())),
        Box::new(|_| Say::Drip(b"HTTP/1.1 200 OK\r\nx: ".to_vec())),
        Box::new(|_| Say::Bytes(http("500 Internal Server Error", &[], "sorry"))),
        Box::new(move |_| {
            Say::Bytes(http(
                "307 Temporary Redirect",
                &[("location", &elsewhere)],
                "",
            ))
        }),
        Box::new(|_| Say::Bytes(b"\x00\x01\x1b[2J200 OK".to_vec())),
        Box::new(|_| Say::Bytes(Vec::new())),
    ]
}

/// Number of events waiting for a receiver.
fn waiting(node: &Node, number: usize) -> usize {
    let name = format!("jwt-events:{number}");
    with_journal(node, |journal| Ok(journal.outbox(&name, usize::MAX)?.len())).unwrap()
}

/// The whole content of a request, including its token.
fn told(asked: &Asked, key: &RsaPublicKey) -> String {
    let body = std::str::from_utf8(&asked.body).unwrap();
    let claims = jwt::claims(
        std::slice::from_ref(key),
        body.strip_prefix("TSS_JWT_MSG=").unwrap(),
    )
    .unwrap();
    let document = STANDARD
        .decode(claims["package_data"].as_str().unwrap())
        .unwrap();
    format!(
        "{}\n{body}\n{claims}\n{}",
        asked.head,
        String::from_utf8(document).unwrap()
    )
}

fn ids(events: &[Value]) -> BTreeSet<String> {
    events
        .iter()
        .map(|event| event["event_id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_receivers_disturb_nobody_and_are_told_everything_once_they_heal() {
    let (mut cluster, pem) = prepared().await;
    let elsewhere = Server::start(|_| Say::Bytes(http("200 OK", &[], "")))
        .await
        .unwrap();
    let honest = EventServer::reserve().unwrap();
    let closed = EventServer::reserve().unwrap();
    let mut servers = Vec::new();
    for conduct in hostile(&elsewhere) {
        servers.push(Server::start(conduct).await.unwrap());
    }
    let mut addresses: Vec<SocketAddr> = servers.iter().map(Server::address).collect();
    addresses.extend([closed, honest]);
    events::use_shorthand(
        &cluster,
        &addresses,
        TYPES,
        "retry_times: 0, request_timeout: 1",
    );
    let honest = EventServer::start(honest, std::slice::from_ref(&pem))
        .await
        .unwrap();
    cluster.start_all().await.unwrap();
    let wallet = cluster
        .create_wallet("told", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let oracle = Oracle::new(&cluster).unwrap();
    let order = cluster.order(wallet.key, "m/1", b"pay", None).unwrap();
    for _ in 0..SIGNATURES {
        cluster.client.sign(&order, |_| {}).await.unwrap();
    }
    let blind = SignOrder {
        payload: Payload::new(PayloadKind::Digest, vec![7; 32]),
        ..order.clone()
    };
    let refusal = refused(cluster.client.sign(&blind, |_| {}).await).unwrap();
    let events = honest.wait_for(EVENTS).await.unwrap();
    oracle.after_attack(&cluster, &refusal).unwrap();

    let hostile = 1..addresses.len();
    for number in hostile.clone() {
        assert_eq!(
            waiting(&cluster.nodes[0], number),
            EVENTS,
            "receiver {number}"
        );
    }
    assert_eq!(waiting(&cluster.nodes[0], addresses.len()), 0);
    let key = RsaPublicKey::from_public_key_pem(&pem).unwrap();
    for (number, server) in hostile.clone().zip(&servers) {
        let asked = server.asked();
        assert!(!asked.is_empty(), "receiver {number} was not tried");
        asked
            .iter()
            .for_each(|asked| oracle.discreet("an event", &told(asked, &key)).unwrap());
    }
    assert!(elsewhere.asked().is_empty(), "a redirect was followed");

    let mut healed = Vec::new();
    for server in servers {
        server.close().await;
    }
    for address in &addresses[..addresses.len() - 1] {
        healed.push(
            EventServer::start(*address, std::slice::from_ref(&pem))
                .await
                .unwrap(),
        );
    }
    for (number, server) in hostile.clone().zip(&healed) {
        let told = server
            .wait_for(EVENTS)
            .await
            .unwrap_or_else(|error| panic!("receiver {number}: {error}"));
        assert_eq!(ids(&told), ids(&events), "receiver {number}");
    }
    for number in hostile {
        while waiting(&cluster.nodes[0], number) > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    cluster.client.sign(&order, |_| {}).await.unwrap();
}

/// Events: 0 further tries mean no end of them, as expected by those who
/// bring their configuration along.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_a_limit_is_tried_for_ever_and_one_with_a_limit_is_given_up() {
    let (mut cluster, pem) = prepared().await;
    let failing = || Server::start(|_| Say::Bytes(http("500 Internal Server Error", &[], "")));
    let limited = failing().await.unwrap();
    let unlimited = failing().await.unwrap();
    let addresses = [limited.address(), unlimited.address()];
    let only = "[request.keygen.succeeded]";
    events::use_shorthand(&cluster, &addresses, only, "retry_times: 0");
    let config = std::fs::read_to_string(cluster.nodes[0].config()).unwrap();
    let url = format!("{{ url: '{}'", EventServer::url(addresses[0]));
    std::fs::write(
        cluster.nodes[0].config(),
        config.replace(&url, &format!("{url}, retry_times: 2")),
    )
    .unwrap();
    cluster.start_all().await.unwrap();
    cluster
        .create_wallet("told", Scheme::Ed25519, 2)
        .await
        .unwrap();

    // More than three times as long as the limited one had.
    while unlimited.asked().len() < 8 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(limited.asked().len(), 3, "one try and two further ones");
    let given_up = with_journal(&cluster.nodes[0], |journal| {
        Ok(journal.given_up(usize::MAX)?)
    })
    .unwrap();
    assert_eq!(given_up.len(), 1, "{given_up:?}");
    assert_eq!(
        (given_up[0].1.receiver.as_str(), given_up[0].1.tries),
        ("jwt-events:1", 3)
    );

    unlimited.close().await;
    let healed = EventServer::start(addresses[1], &[pem]).await.unwrap();
    assert_eq!(
        healed.wait_for(1).await.unwrap()[0]["event_type"],
        "request.keygen.succeeded"
    );
}
