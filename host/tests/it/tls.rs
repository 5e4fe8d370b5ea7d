//! The HTTP client's TLS: which servers it believes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_host::{
    HttpClient, HttpClientError, HttpError, HttpOptions, HttpRequest, HttpResponse,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A server on loopback whose certificate is for `name`; returns its authority's certificate too.
async fn server(name: &str) -> (SocketAddr, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([name.to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
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
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config))));
    (address, pem(authority.der()))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    while let Ok((stream, _)) = listener.accept().await {
        // A client that does not believe the certificate ends the handshake.
        let Ok(mut stream) = acceptor.accept(stream).await else {
            continue;
        };
        stream
            .read_buf(&mut Vec::with_capacity(4096))
            .await
            .unwrap();
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        stream.shutdown().await.unwrap();
    }
}

fn pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

async fn get(address: SocketAddr, extra_ca: Option<&str>) -> Result<HttpResponse, HttpError> {
    let options = HttpOptions {
        extra_ca_pem: extra_ca.map(|pem| pem.as_bytes().to_vec()),
        timeout: Duration::from_secs(5),
        ..HttpOptions::default()
    };
    let url = format!("https://{address}/").parse().unwrap();
    let request = HttpRequest {
        method: "GET".into(),
        url,
        headers: Vec::new(),
        body: Vec::new(),
        timeout: None,
    };
    HttpClient::new(&options).unwrap().send(request).await
}

#[tokio::test]
async fn a_private_authority_is_believed_if_it_is_configured() {
    let (address, authority) = server("127.0.0.1").await;
    assert_eq!(get(address, Some(&authority)).await.unwrap().status, 204);
    assert!(matches!(get(address, None).await, Err(HttpError::Tls(_))));
    let (_, stranger) = server("127.0.0.1").await;
    assert!(matches!(
        get(address, Some(&stranger)).await,
        Err(HttpError::Tls(_))
    ));
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_believed() {
    let (address, authority) = server("localhost").await;
    assert!(matches!(
        get(address, Some(&authority)).await,
        Err(HttpError::Tls(_))
    ));
}

#[test]
fn an_unreadable_authority_is_an_error() {
    for text in [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
    ] {
        let options = HttpOptions {
            extra_ca_pem: Some(text.into()),
            ..HttpOptions::default()
        };
        assert!(
            matches!(HttpClient::new(&options), Err(HttpClientError::Ca(_))),
            "{text}"
        );
    }
}
