//! Whom the service believes to be upstream.

use std::{io::Write, net::SocketAddr, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::NamedTempFile;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};
use tonic::Code;

use crate::harness::{Facade, LOOPBACK, error_info, group, start_emulator};

#[tokio::test]
async fn an_endpoint_is_trusted_by_an_extra_authority() {
    let emulator = start_emulator().await;
    let (endpoint, authority) = encrypted(emulator.address(), "localhost").await;
    let file = authority.path().to_str().unwrap();
    let flags = ["--endpoint", &endpoint, "--upstream-ca", file];
    let facade = Facade::start_before(emulator, &flags).await;

    facade.client().get_group_info(group("aaa")).await.unwrap();

    assert!(endpoint.ends_with(&facade.emulator.calls()[0].host));
}

#[tokio::test]
async fn an_endpoint_that_is_not_trusted_is_not_called() {
    let names = [("localhost", false), ("other.example", true)];

    for (name, has_authority) in names {
        let emulator = start_emulator().await;
        let (endpoint, authority) = encrypted(emulator.address(), name).await;
        // Any authority, so that a machine without authorities of its own can start.
        let other = encrypted(emulator.address(), name).await.1;
        let file = if has_authority { &authority } else { &other };
        let flags = [
            "--endpoint",
            &endpoint,
            "--upstream-ca",
            file.path().to_str().unwrap(),
        ];
        let facade = Facade::start_before(emulator, &flags).await;

        let status = facade
            .client()
            .get_group_info(group("aaa"))
            .await
            .unwrap_err();

        assert_eq!(status.code(), Code::Internal, "{name}");
        let reason = error_info(&status).reason;
        assert_eq!(reason, "UPSTREAM_RESPONSE_INVALID", "{name}");
        assert!(facade.emulator.calls().is_empty());
    }
}

/// Puts TLS in front of `upstream`, with a certificate for `name` by an authority of its own.
///
/// Returns the endpoint, and the file of the authority.
async fn encrypted(upstream: SocketAddr, name: &str) -> (String, NamedTempFile) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();

    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the certificate ends the handshake.
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut upstream = TcpStream::connect(upstream).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut upstream).await;
            });
        }
    });

    let mut file = NamedTempFile::new().unwrap();
    file.write_all(authority.pem().as_bytes()).unwrap();
    (format!("https://localhost:{port}"), file)
}
