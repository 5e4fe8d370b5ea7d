//! TLS: versions, certificates, and callers that do not finish.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use countersign_door::{Limits, TlsError};
use rustls::crypto::aws_lc_rs;
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, NamedGroup};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::*;

#[tokio::test]
async fn the_caller_chooses_the_version_of_http() {
    let house = House::open(limits()).await;
    for protocols in [&[H1][..], &[]] {
        let mut stream = house.dial(protocols).await;
        assert!(
            ask_h1(&mut stream)
                .await
                .unwrap()
                .starts_with("HTTP/1.1 200")
        );
    }
    house.is_open().await;
    let both = house.dial(&[H1, H2]).await;
    assert_eq!(both.get_ref().1.alpn_protocol(), Some(H2));
    let unknown = dial(house.address, &client(&[&house.pair], &[b"spdy/3"])).await;
    assert!(unknown.is_err());
}

#[tokio::test]
async fn each_handshake_is_a_full_one_with_the_hybrid_group() {
    let house = House::open(limits()).await;
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519MLKEM768];
    let hybrid = client_with(provider, &[&house.pair], &[H1], &[&TLS13]);
    for _ in 0..2 {
        let mut stream = dial(house.address, &hybrid).await.unwrap();
        ask_h1(&mut stream).await.unwrap();
        let connection = stream.get_ref().1;
        assert_eq!(connection.handshake_kind(), Some(HandshakeKind::Full));
        let group = connection.negotiated_key_exchange_group().unwrap().name();
        assert_eq!(group, NamedGroup::X25519MLKEM768);
    }
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let house = House::open(limits()).await;
    let both = [&TLS12, &TLS13];
    let old = client_with(
        aws_lc_rs::default_provider(),
        &[&house.pair],
        &[H1],
        &both[..1],
    );
    let error = dial(house.address, &old).await.unwrap_err();
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
    let new = client_with(aws_lc_rs::default_provider(), &[&house.pair], &[H1], &both);
    ask_h1(&mut dial(house.address, &new).await.unwrap())
        .await
        .unwrap();
}

#[tokio::test]
async fn plain_http_is_told_to_use_tls() {
    let house = House::open(limits()).await;
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    stream.write_all(question("/").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("https://"), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains(&format!("content-length: {}\r\n", body.len())),
        "{answer}"
    );
    house.is_open().await;
}

#[tokio::test]
async fn a_handshake_that_stays_unfinished_ends() {
    let house = House::open(Limits {
        head: SHORT,
        ..limits()
    })
    .await;
    // Silent; a record's head; a record of which the rest does not come; and no TLS at all.
    for words in [&b""[..], &[22], &[22, 3, 1, 2, 0, 1, 0, 1, 252], &[0xff; 4]] {
        let mut stream = TcpStream::connect(house.address).await.unwrap();
        stream.write_all(words).await.unwrap();
        closed(&mut stream).await;
    }
    house.is_open().await;
}

/// No handshake fails while certificates are exchanged, and open connections go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_exchanged_under_load() {
    let house = Arc::new(House::open(limits()).await);
    let next = Arc::new(Pair::new());
    let mut open = house.dial(&[H1]).await;
    ask_h1(&mut open).await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let house = house.clone();
        let next = next.clone();
        let over = over.clone();
        callers.spawn(async move {
            let config = client(&[&house.pair, &next], &[H1]);
            let mut seen = [0, 0];
            while !over.load(Ordering::SeqCst) || seen[0] + seen[1] < 4 {
                let mut stream = dial(house.address, &config).await.unwrap();
                ask_h1(&mut stream).await.unwrap();
                let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
                assert!(shown == house.pair.der || shown == next.der);
                seen[usize::from(shown == next.der)] += 1;
            }
            seen
        });
    }
    for _ in 0..50 {
        house.tls.replace(next.read().unwrap());
        tokio::time::sleep(SHORT / 100).await;
        house.tls.replace(house.pair.read().unwrap());
        tokio::time::sleep(SHORT / 100).await;
    }
    house.tls.replace(next.read().unwrap());
    over.store(true, Ordering::SeqCst);
    let seen = callers.join_all().await;
    assert!(seen.iter().any(|[_, new]| *new > 0), "{seen:?}");
    ask_h1(&mut open).await.unwrap();
    let last = dial(house.address, &client(&[&next], &[H1])).await;
    assert!(last.is_ok(), "the new one is shown");
    let old = dial(house.address, &client(&[&house.pair], &[H1])).await;
    assert!(old.is_err(), "the old one is not");
}

#[test]
fn pairs_that_cannot_be_used_are_refused_with_advice() {
    let pair = Pair::new();
    let other = Pair::new();
    let refused = |chain: &str, key: &str| {
        let error = read(chain, key).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("; "), "it does not say what to do: {text}");
        error
    };
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(refused("", &pair.key), TlsError::NoCertificate));
    assert!(matches!(
        refused(&pair.key, &pair.key),
        TlsError::NoCertificate
    ));
    assert!(matches!(
        refused(garbage, &pair.key),
        TlsError::Certificate(_)
    ));
    let cut = &pair.chain[..pair.chain.len() / 2];
    assert!(matches!(refused(cut, &pair.key), TlsError::Certificate(_)));
    assert!(matches!(refused(&pair.chain, ""), TlsError::NoKey));
    assert!(matches!(refused(&pair.chain, &pair.chain), TlsError::NoKey));
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(matches!(refused(&pair.chain, no_key), TlsError::Key(_)));
    assert!(matches!(
        refused(&pair.chain, &other.key),
        TlsError::Mismatch
    ));
    let in_wrong_order = other.chain.clone() + &pair.chain;
    assert!(matches!(
        refused(&in_wrong_order, &pair.key),
        TlsError::Mismatch
    ));
    let old = Pair::between(2000, 2001);
    assert!(matches!(
        refused(&old.chain, &old.key),
        TlsError::Expired(_)
    ));
    let early = Pair::between(3000, 4000);
    assert!(matches!(
        refused(&early.chain, &early.key),
        TlsError::NotYetValid(_)
    ));
    read(&pair.chain, &pair.key).unwrap();
}

#[test]
fn an_issuer_that_expired_is_found_behind_a_certificate_that_has_not() {
    let issuer_key = rcgen::KeyPair::generate().unwrap();
    let mut issuer = rcgen::CertificateParams::new(vec![]).unwrap();
    issuer.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    issuer
        .distinguished_name
        .push(rcgen::DnType::CommonName, "issuer");
    let key = rcgen::KeyPair::generate().unwrap();
    let mut chain = |year| {
        issuer.not_after = rcgen::date_time_ymd(year, 1, 1);
        let above = issuer.self_signed(&issuer_key).unwrap();
        let signer = rcgen::Issuer::from_params(&issuer, &issuer_key);
        let params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.signed_by(&key, &signer).unwrap().pem() + &above.pem()
    };
    let key = key.serialize_pem();
    assert!(matches!(
        read(&chain(2001), &key),
        Err(TlsError::Expired(_))
    ));
    let read = read(&chain(4000), &key).unwrap();
    assert!(!read.is_an_issuers());
}

#[test]
fn a_chain_ends_with_the_first_of_its_certificates_to_expire() {
    let issuer_key = rcgen::KeyPair::generate().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let chain = |own, issuers| {
        let mut issuer = rcgen::CertificateParams::new(vec![]).unwrap();
        issuer.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        issuer.not_after = rcgen::date_time_ymd(issuers, 1, 1);
        let above = issuer.self_signed(&issuer_key).unwrap();
        let signer = rcgen::Issuer::from_params(&issuer, &issuer_key);
        let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.not_after = rcgen::date_time_ymd(own, 1, 1);
        params.signed_by(&key, &signer).unwrap().pem() + &above.pem()
    };
    let expiry = |own, issuers| {
        let read = read(&chain(own, issuers), &key.serialize_pem()).unwrap();
        read.expiry().unwrap().duration_since(UNIX_EPOCH).unwrap()
    };
    let year_2100 = Duration::from_secs(4_102_444_800);
    assert_eq!(expiry(2100, 3000), year_2100);
    assert_eq!(expiry(3000, 2100), year_2100);
    let both = expiry(9999, 9999);
    assert!(both > Duration::from_secs(250_000_000_000), "{both:?}");
}

#[test]
fn a_certificate_of_an_issuer_is_told_from_one_of_a_server() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let made = params.self_signed(&key).unwrap();
    assert!(
        read(&made.pem(), &key.serialize_pem())
            .unwrap()
            .is_an_issuers()
    );
    assert!(!Pair::new().read().unwrap().is_an_issuers());
}
