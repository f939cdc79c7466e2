//! The other end of TLS: through a client, and by hand.

use std::{fs, net::SocketAddr, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, ClientConnection, SupportedProtocolVersion, pki_types::ServerName},
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::authority::{Authority, Issued};

/// Returns a connection that is opened by the first call, and shows a certificate if there is one.
pub(crate) fn channel(
    address: SocketAddr,
    authority: &Authority,
    shown: Option<&Issued>,
) -> Channel {
    let endpoint = Endpoint::try_from(format!("https://{address}")).unwrap();
    let endpoint = endpoint.tls_config(tls(authority, shown)).unwrap();
    endpoint.connect_lazy()
}

/// Returns how a client connects that believes an authority, and shows a certificate if there is
/// one.
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

/// Opens a connection by hand.
pub(crate) async fn open(address: SocketAddr, config: Arc<ClientConfig>) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(config)
        .connect(name, stream)
        .await
        .unwrap()
}

/// Returns the first bytes that a client sends which speaks this version.
pub(crate) fn hello(authority: &Authority, version: &'static SupportedProtocolVersion) -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(authority.connector(&[version]), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}
