//! TLS clients: tonic channels, raw TLS streams and ClientHello bytes.

use std::{fs, net::SocketAddr, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, ClientConnection, SupportedProtocolVersion, pki_types::ServerName},
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::harness::authority::{Authority, Issued};

/// Returns a channel that connects on its first call, with a client certificate if one is given.
pub(crate) fn channel(
    address: SocketAddr,
    authority: &Authority,
    shown: Option<&Issued>,
) -> Channel {
    let endpoint = Endpoint::try_from(format!("https://{address}")).unwrap();
    let endpoint = endpoint.tls_config(tls(authority, shown)).unwrap();
    endpoint.connect_lazy()
}

/// Returns the TLS configuration of a client that trusts this authority, with a client certificate
/// if one is given.
pub(crate) fn tls(authority: &Authority, shown: Option<&Issued>) -> ClientTlsConfig {
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(authority.pem()))
        .domain_name("localhost");
    let Some(issued) = shown else {
        return tls;
    };
    let [cert, key] = [&issued.cert, &issued.key].map(|path| fs::read(path).unwrap());
    tls.identity(Identity::from_pem(cert, key))
}

/// Opens a TLS connection without an HTTP client.
pub(crate) async fn open(address: SocketAddr, config: Arc<ClientConfig>) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(config)
        .connect(name, stream)
        .await
        .unwrap()
}

/// Returns the ClientHello of a client that offers this version only.
pub(crate) fn hello(authority: &Authority, version: &'static SupportedProtocolVersion) -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(authority.connector(&[version]), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}
