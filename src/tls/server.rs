//! TLS server configurations: of the gRPC port, with the server certificate and the verification of client
//! certificates, and of the emulator.

use std::sync::Arc;

use rustls::{
    ConfigBuilder, RootCertStore, ServerConfig, WantsVerifier,
    crypto::{CryptoProvider, ring},
    pki_types::CertificateDer,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::{TLS12, TLS13},
};

use super::pem::{pair_error, parse_certificates, parse_key};

/// The ALPN name of HTTP/2.
const HTTP2: &[u8] = b"h2";

/// The ALPN name of HTTP/1.1.
const HTTP1: &[u8] = b"http/1.1";

/// The TLS configuration of the gRPC port.
#[derive(Debug)]
pub struct ServerTls {
    /// The configuration of new connections.
    pub config: Arc<ServerConfig>,
    /// The server certificate, without those of its issuers.
    pub certificate: CertificateDer<'static>,
    /// The certificates of the authorities that issue client certificates; empty if none are requested.
    pub client_authorities: Vec<CertificateDer<'static>>,
}

/// Returns the TLS configuration with this server certificate and private key, both in PEM. If
/// `authorities` (PEM) is given, the server requests client certificates issued by them.
///
/// A client without a certificate can connect all the same: it may call the health service, and every
/// other call fails with UNAUTHENTICATED, which explains more than a failed handshake. An expired
/// certificate, or one of another authority, fails the handshake.
///
/// # Errors
///
/// Fails with a message if the content of a file is invalid, or if the key does not belong to the
/// certificate.
pub fn server_config(
    certificates: &[u8],
    key: &[u8],
    authorities: Option<&[u8]>,
) -> Result<ServerTls, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = builder(Arc::clone(&provider))?;
    let authorities = authorities.map(parse_certificates).transpose()?;
    let builder = match &authorities {
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in authorities {
                roots
                    .add(authority.clone())
                    .map_err(|error| format!("invalid certificate authority: {error}"))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| error.to_string())?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let certificates = parse_certificates(certificates)?;
    let certificate = certificates[0].clone();
    let mut config = builder
        .with_single_cert(certificates, parse_key(key)?)
        .map_err(|error| pair_error(&error))?;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    // No session resumption: a resumed session would skip the verification of the client certificate.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(ServerTls {
        config: Arc::new(config),
        certificate,
        client_authorities: authorities.unwrap_or_default(),
    })
}

/// Returns the TLS configuration of the emulator with this server certificate and private key, both in
/// PEM.
///
/// # Errors
///
/// Fails as [`server_config`] does.
pub fn emulator_config(certificates: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, String> {
    let mut config = builder(Arc::new(ring::default_provider()))?
        .with_no_client_auth()
        .with_single_cert(parse_certificates(certificates)?, parse_key(key)?)
        .map_err(|error| pair_error(&error))?;
    config.alpn_protocols = vec![HTTP1.to_vec()];
    Ok(Arc::new(config))
}

fn builder(
    provider: Arc<CryptoProvider>,
) -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, String> {
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| error.to_string())
}
