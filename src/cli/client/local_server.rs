//! Local server: the server configured by the environment of this process, which is the default of
//! `call` and `probe`. The health check of a container runs with the variables of its service, so it
//! connects to the first address in `IAI_FACADE_LISTEN`, with TLS if `IAI_FACADE_TLS_CERT` is set. It pins the
//! certificate in that file, which needs neither a known issuer nor a matching name. The health service
//! requires neither a token nor a client certificate.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    sync::Arc,
};

use hyper_util::rt::TokioIo;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::{
    config::{DEFAULT_LISTEN, LISTEN_VARIABLE, ListenAddress, TLS_CERT_VARIABLE},
    tls::pem,
};

/// A server on the local machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct LocalServer {
    /// The address to connect to.
    pub(super) address: ListenAddress,
    /// The PEM file of its certificate; `None` for plain text. Unused for a Unix socket.
    certificate: Option<PathBuf>,
}

impl LocalServer {
    /// Returns the server configured by the environment variables that `variable` reads. The default is
    /// [`DEFAULT_LISTEN`] in plain text.
    ///
    /// # Errors
    ///
    /// Fails with a message if `IAI_FACADE_LISTEN` is invalid.
    pub(super) fn new(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let setting = |name| variable(name).filter(|value| !value.is_empty());
        let listen = setting(LISTEN_VARIABLE).unwrap_or(DEFAULT_LISTEN.to_owned());
        let first = listen.split(',').next().unwrap_or_default();
        let mut address: ListenAddress = first.parse().map_err(|_| {
            format!(
                "{LISTEN_VARIABLE}: `{}` is neither an address and port nor unix:PATH",
                first.escape_debug()
            )
        })?;
        // A server that listens on all addresses is reachable on loopback.
        if let ListenAddress::Tcp(address) = &mut address {
            match address.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
                IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
                IpAddr::V4(_) | IpAddr::V6(_) => {}
            }
        }
        Ok(Self {
            address,
            certificate: setting(TLS_CERT_VARIABLE).map(PathBuf::from),
        })
    }

    /// Returns the server on a Unix socket.
    pub(super) fn on_socket(path: PathBuf) -> Self {
        Self {
            address: ListenAddress::Unix(path),
            certificate: None,
        }
    }

    /// Connects to the server. Cancel safe: dropping the future closes the connection.
    ///
    /// # Errors
    ///
    /// Fails if the connection is refused, or if the server presents another certificate.
    pub(super) async fn connect(
        &self,
        endpoint: Endpoint,
    ) -> Result<Channel, tonic::transport::Error> {
        let server = self.clone();
        let connector = service_fn(move |_| server.clone().open());
        endpoint.connect_with_connector(connector).await
    }

    async fn open(self) -> io::Result<TokioIo<Box<dyn Stream>>> {
        let address = match self.address {
            ListenAddress::Tcp(address) => address,
            ListenAddress::Unix(path) => {
                return Ok(TokioIo::new(Box::new(UnixStream::connect(path).await?)));
            }
        };
        let tls = self.certificate.as_deref().map(tls).transpose()?;
        let stream = TcpStream::connect(address).await?;
        let stream: Box<dyn Stream> = match tls {
            Some(tls) => {
                let name = ServerName::from(address.ip());
                Box::new(
                    TlsConnector::from(Arc::new(tls))
                        .connect(name, stream)
                        .await?,
                )
            }
            None => Box::new(stream),
        };
        Ok(TokioIo::new(stream))
    }
}

/// A stream of a TCP connection, with or without TLS, or of a Unix socket.
trait Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Stream for S {}

/// Returns a TLS configuration that accepts only the first certificate of a PEM file.
fn tls(certificate: &Path) -> io::Result<ClientConfig> {
    let certificates = pem::read_certificates(certificate).map_err(io::Error::other)?;
    let provider = Arc::new(ring::default_provider());
    let verifier = PinnedCertificate {
        certificate: certificates.into_iter().next(),
        provider: Arc::clone(&provider),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// A verifier that accepts a single certificate, regardless of issuer, name and validity period. The
/// handshake still proves possession of its private key.
#[derive(Debug)]
struct PinnedCertificate {
    certificate: Option<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.certificate {
            Some(certificate) if certificate == end_entity => Ok(ServerCertVerified::assertion()),
            _ => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_follows_from_the_environment() {
        for (listen, expected) in [
            (None, "127.0.0.1:50051"),
            (Some(""), "127.0.0.1:50051"),
            (Some("0.0.0.0:80"), "127.0.0.1:80"),
            (Some("[::]:80"), "[::1]:80"),
            (Some("10.0.0.1:80"), "10.0.0.1:80"),
            (Some("10.0.0.1:80,unix:/a"), "10.0.0.1:80"),
            (Some("unix:///a,10.0.0.1:80"), "unix:/a"),
        ] {
            let variable = |name: &str| {
                listen
                    .filter(|_| name == LISTEN_VARIABLE)
                    .map(str::to_owned)
            };
            let server = LocalServer::new(variable).unwrap();
            assert_eq!(server.address.to_string(), expected);
            assert_eq!(server.certificate, None);
        }
        assert!(LocalServer::new(|_| Some("nowhere".to_owned())).is_err());
    }
}
