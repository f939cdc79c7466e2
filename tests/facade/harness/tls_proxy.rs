//! TLS-terminating proxy: accepts TLS and forwards plaintext.

use std::{io::Write, net::SocketAddr, ops::Range, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tempfile::NamedTempFile;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use crate::harness::LOOPBACK;

/// A TLS-terminating proxy with a certificate of its own authority. Dropping it stops the proxy.
pub(crate) struct TlsProxy {
    /// The URL of the proxy.
    pub(crate) endpoint: String,
    authority: NamedTempFile,
    _server: JoinSet<()>,
}

impl TlsProxy {
    /// Starts a proxy to `upstream` with a certificate for `name` and one ALPN protocol.
    pub(crate) async fn start(upstream: SocketAddr, name: &str, protocol: &str) -> Self {
        Self::start_with(
            upstream,
            protocol,
            &mut CertificateParams::new([name.to_owned()]).unwrap(),
        )
        .await
    }

    /// Starts a proxy to `upstream` with a certificate that expired in 2020.
    pub(crate) async fn start_expired(upstream: SocketAddr) -> Self {
        Self::start_in(upstream, 2019..2020).await
    }

    /// Starts a proxy to `upstream` with a certificate that is valid from the start of the first year to that
    /// of the second.
    pub(crate) async fn start_in(upstream: SocketAddr, years: Range<i32>) -> Self {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(years.start, 1, 1);
        params.not_after = date_time_ymd(years.end, 1, 1);
        Self::start_with(upstream, "http/1.1", &mut params).await
    }

    /// Returns the path of the authority's certificate.
    pub(crate) fn authority(&self) -> &str {
        self.authority.path().to_str().unwrap()
    }

    async fn start_with(
        upstream: SocketAddr,
        protocol: &str,
        params: &mut CertificateParams,
    ) -> Self {
        let mut of_authority = CertificateParams::default();
        of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = KeyPair::generate().unwrap();
        let authority = CertifiedIssuer::self_signed(of_authority, authority).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();

        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];

        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut server = JoinSet::new();
        server.spawn(accept(
            listener,
            TlsAcceptor::from(Arc::new(config)),
            upstream,
        ));
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(authority.pem().as_bytes()).unwrap();
        Self {
            endpoint: format!("https://localhost:{port}"),
            authority: file,
            _server: server,
        }
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, upstream: SocketAddr) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        connections.spawn(async move {
            // A client that does not trust the certificate ends the handshake.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            let mut upstream = TcpStream::connect(upstream).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut upstream).await;
        });
    }
}
