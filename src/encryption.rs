//! What the service shows to those who connect, and whose certificates it accepts from them.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::{TLS12, TLS13},
};

/// The protocol that is spoken within TLS, by its name in ALPN.
const HTTP2: &[u8] = b"h2";

/// Returns how connections are encrypted: with the certificate and key of these PEM files, and, if
/// there are authorities in a third, with certificates of theirs asked for.
///
/// Who shows no certificate can connect even so: health has to be answered, and every other call is
/// refused in words that its caller understands. One that is expired, or not by these authorities,
/// ends the handshake.
///
/// # Errors
///
/// Fails with a sentence if a file does not hold what it should, or the key is that of another
/// certificate.
pub fn server_config(
    certificates: &[u8],
    key: &[u8],
    authorities: Option<&[u8]>,
) -> Result<ServerConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| error.to_string())?;
    let builder = match authorities {
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in parse_certificates(authorities)? {
                roots.add(authority).map_err(|error| {
                    format!("a certificate cannot be that of an authority: {error}")
                })?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| error.to_string())?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(parse_certificates(certificates)?, parse_key(key)?)
        .map_err(|error| format!("the certificate and the key cannot be used: {error}"))?;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    // A session that is taken up again would skip the check of the client's certificate.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Reads the certificates of a PEM file.
///
/// # Errors
///
/// Fails with a sentence if it cannot be read, and if there is none in it.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    parse_certificates(&read(path)?).map_err(|problem| format!("{}: {problem}", path.display()))
}

/// Reads the private key of a PEM file.
///
/// # Errors
///
/// Fails with a sentence if it cannot be read, and if there is none in it.
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    parse_key(&read(path)?).map_err(|problem| format!("{}: {problem}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn parse_certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("it is not PEM: {error}"))?;
    if certificates.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    Ok(certificates)
}

fn parse_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    // Without the cause, which may repeat what is in the file.
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| "there is no private key in it".to_owned())
}
