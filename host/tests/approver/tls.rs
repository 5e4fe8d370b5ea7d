//! Servers behind TLS whose certificates do not hold. Each would approve if it were asked.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_host::Verdict;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::world::*;

const TLS: &str = "TLS failed";

const GOOD: Certificate = Certificate {
    name: "127.0.0.1",
    until: 2090,
};

/// Contents of a certificate.
struct Certificate {
    name: &'static str,
    until: i32,
}

/// URL of a server on loopback, and its authority in PEM.
async fn server(certificate: Certificate) -> (String, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new([certificate.name.to_owned()]).unwrap();
    leaf.not_before = date_time_ymd(2020, 1, 1);
    leaf.not_after = date_time_ymd(certificate.until, 1, 1);
    let leaf = leaf.signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/v2/check", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config))));
    (url, pem(authority.der()))
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

/// Sends nothing useful to whoever believes the certificate: the tests ask who does.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(mut stream) = acceptor.accept(stream).await else {
            continue;
        };
        drop(stream.read_buf(&mut Vec::with_capacity(8192)).await);
        say(&mut stream, http("418 I'm a teapot", "")).await;
    }
}

async fn ask(url: String, authority: Option<String>) -> countersign_host::Evaluation {
    let limit = std::time::Duration::from_secs(20);
    evaluate_within(
        &[url],
        json!({"request_timeout": 10}),
        services(authority),
        limit,
    )
    .await
}

#[tokio::test]
async fn a_configured_authority_is_believed() {
    let (url, authority) = server(GOOD).await;
    let evaluation = ask(url, Some(authority)).await;
    assert_failed(&evaluation, "HTTP status 418");
    assert_ne!(evaluation.verdict, Verdict::Approve);
}

#[tokio::test]
async fn approver_has_a_certificate_of_an_unknown_authority() {
    let (url, _) = server(GOOD).await;
    assert_failed(&ask(url, None).await, TLS);
}

#[tokio::test]
async fn approver_has_a_certificate_of_another_private_authority() {
    let (url, _) = server(GOOD).await;
    let (_, other) = server(GOOD).await;
    assert_failed(&ask(url, Some(other)).await, TLS);
}

#[tokio::test]
async fn approver_has_an_expired_certificate() {
    let (url, authority) = server(Certificate {
        until: 2021,
        ..GOOD
    })
    .await;
    let evaluation = ask(url, Some(authority)).await;
    assert_failed(&evaluation, TLS);
    assert_failed(&evaluation, "expired");
}

#[tokio::test]
async fn approver_has_a_certificate_for_another_name() {
    let (url, authority) = server(Certificate {
        name: "other.example",
        ..GOOD
    })
    .await;
    let evaluation = ask(url, Some(authority)).await;
    assert_failed(&evaluation, TLS);
    assert_failed(&evaluation, "not valid for name");
}

#[tokio::test]
async fn approver_speaks_plain_http_to_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/v2/check", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        say(&mut stream, http("200 OK", "APPROVE")).await;
    });
    assert_failed(&ask(url, None).await, TLS);
}
