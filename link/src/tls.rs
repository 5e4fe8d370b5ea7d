//! The single TLS profile of this product, for the link and for the tunnel.
//!
//! Only TLS 1.3 with X25519MLKEM768, Ed25519 raw public keys on both sides, no tickets and no early
//! data. There is no certificate parser, no name check and no fallback: a preference is not a
//! guarantee, so the other groups are removed.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error,
    PeerIncompatible, ServerConfig, SignatureScheme,
};

use crate::identity::{Identity, PeerKey, TlsKey};

/// ALPN of the link between node and coordinator.
pub(crate) const LINK_ALPN: &[u8] = b"countersign/1";
/// ALPN of the tunnel between two nodes. It differs, so that no handshake of one layer is
/// valid in the other.
pub(crate) const TUNNEL_ALPN: &[u8] = b"countersign-p2p/1";
/// The TLS alert sent when our verifier refuses (`access_denied`, RFC 8446, section 6).
pub(crate) const REFUSED_ALERT: u8 = 49;

/// Decides at each handshake whether a key may connect. Called on the network task: keep it short.
pub type Admit = Arc<dyn Fn(&PeerKey) -> bool + Send + Sync>;

/// Client side of the profile; `admit` decides which server keys are ours.
pub(crate) fn client_config(
    identity: &Arc<Identity>,
    admit: Admit,
    alpn: &[u8],
) -> Result<ClientConfig, Error> {
    client_config_with(provider(), identity, admit, alpn)
}

/// Server side of the profile; `admit` decides which client keys are welcome.
pub(crate) fn server_config(
    identity: &Arc<Identity>,
    admit: Admit,
    alpn: &[u8],
) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(RawKeyVerifier { admit }))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(
            certified_key(identity),
        )));
    // A resumed session would skip the verifier: a node removed from the list could come back
    // with an old ticket.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(config)
}

/// The key behind a finished handshake.
pub(crate) fn peer_key(certificates: &[CertificateDer<'_>]) -> Option<PeerKey> {
    PeerKey::from_spki(certificates.first()?)
}

fn client_config_with(
    provider: Arc<CryptoProvider>,
    identity: &Arc<Identity>,
    admit: Admit,
    alpn: &[u8],
) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(RawKeyVerifier { admit }))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(
            certified_key(identity),
        )));
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768],
        ..aws_lc_rs::default_provider()
    })
}

fn certified_key(identity: &Arc<Identity>) -> Arc<CertifiedKey> {
    let key = TlsKey(identity.clone());
    let spki = CertificateDer::from(key.spki());
    Arc::new(CertifiedKey::new(vec![spki], Arc::new(key)))
}

/// Accepts a raw Ed25519 key that `admit` knows, in either role.
struct RawKeyVerifier {
    admit: Admit,
}

impl RawKeyVerifier {
    fn check(&self, end_entity: &CertificateDer<'_>) -> Result<(), Error> {
        let key = PeerKey::from_spki(end_entity).ok_or(CertificateError::BadEncoding)?;
        if (self.admit)(&key) {
            Ok(())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn check_signature(
        &self,
        message: &[u8],
        spki: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let spki = SubjectPublicKeyInfoDer::from(spki.as_ref());
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &spki, signature, &algorithms)
    }
}

impl ServerCertVerifier for RawKeyVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity)
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for RawKeyVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity)
            .map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl fmt::Debug for RawKeyVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawKeyVerifier(..)")
    }
}

/// A client with other groups than ours, for tests that must see it refused.
#[cfg(test)]
pub(crate) fn client_config_of(
    groups: &[rustls::NamedGroup],
    identity: &Arc<Identity>,
    admit: Admit,
    alpn: &[u8],
) -> Result<ClientConfig, Error> {
    let wanted =
        |group: &&'static dyn rustls::crypto::SupportedKxGroup| groups.contains(&group.name());
    let kx_groups = aws_lc_rs::ALL_KX_GROUPS
        .iter()
        .copied()
        .filter(wanted)
        .collect();
    let provider = CryptoProvider {
        kx_groups,
        ..aws_lc_rs::default_provider()
    };
    client_config_with(Arc::new(provider), identity, admit, alpn)
}

#[cfg(test)]
mod tests {
    use std::io;

    use rustls::{HandshakeKind, NamedGroup, ProtocolVersion};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    fn identity(number: u8) -> Arc<Identity> {
        Arc::new(Identity::from_seed(&[number; 32]).unwrap())
    }

    fn only(identity: &Arc<Identity>) -> Admit {
        let key = identity.public();
        Arc::new(move |other| *other == key)
    }

    /// The key of one identity, proven by the secret of another.
    fn stolen_key(victim: &Arc<Identity>, thief: &Arc<Identity>) -> Arc<CertifiedKey> {
        let spki = CertificateDer::from(TlsKey(victim.clone()).spki());
        Arc::new(CertifiedKey::new(
            vec![spki],
            Arc::new(TlsKey(thief.clone())),
        ))
    }

    /// Performs a handshake and passes a byte from server to client. Returns the client's end.
    async fn shake(
        client: ClientConfig,
        server: ServerConfig,
    ) -> io::Result<tokio_rustls::client::TlsStream<tokio::io::DuplexStream>> {
        let (x, y) = duplex(16 * 1024);
        let name = ServerName::try_from("unused").unwrap();
        let client = async {
            let mut stream = TlsConnector::from(Arc::new(client))
                .connect(name, x)
                .await?;
            stream.read_u8().await?;
            Ok(stream)
        };
        let server = async {
            TlsAcceptor::from(Arc::new(server))
                .accept(y)
                .await?
                .write_u8(1)
                .await
        };
        tokio::try_join!(client, server).map(|(stream, ())| stream)
    }

    fn configs(client: &Arc<Identity>, server: &Arc<Identity>) -> (ClientConfig, ServerConfig) {
        let client_side = client_config(client, only(server), LINK_ALPN).unwrap();
        (
            client_side,
            server_config(server, only(client), LINK_ALPN).unwrap(),
        )
    }

    #[tokio::test]
    async fn handshake_is_full_tls_1_3_with_the_hybrid_group() {
        let (client, server) = configs(&identity(1), &identity(2));
        let stream = shake(client, server).await.unwrap();
        let connection = stream.get_ref().1;
        assert_eq!(
            connection.protocol_version(),
            Some(ProtocolVersion::TLSv1_3)
        );
        assert_eq!(connection.handshake_kind(), Some(HandshakeKind::Full));
        let group = connection.negotiated_key_exchange_group().unwrap().name();
        assert_eq!(group, NamedGroup::X25519MLKEM768);
        assert_eq!(
            connection.peer_certificates().and_then(peer_key),
            Some(identity(2).public())
        );
    }

    #[tokio::test]
    async fn a_key_without_its_secret_proves_nothing_in_either_role() {
        let alice = identity(1);
        let hub = identity(2);
        let thief = identity(3);
        let (mut client, server) = configs(&alice, &hub);
        let stolen = stolen_key(&alice, &thief);
        client.client_auth_cert_resolver = Arc::new(AlwaysResolvesClientRawPublicKeys::new(stolen));
        assert!(shake(client, server).await.is_err());

        let (client, mut server) = configs(&alice, &hub);
        let stolen = stolen_key(&hub, &thief);
        server.cert_resolver = Arc::new(AlwaysResolvesServerRawPublicKeys::new(stolen));
        assert!(shake(client, server).await.is_err());
    }

    #[tokio::test]
    async fn the_two_layers_do_not_mix() {
        let alice = identity(1);
        let hub = identity(2);
        let tunnel = client_config(&alice, only(&hub), TUNNEL_ALPN).unwrap();
        assert!(shake(tunnel, configs(&alice, &hub).1).await.is_err());
    }
}
