//! Whom to believe to be Tencent Cloud.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::config::{self, Endpoint};

/// Why no endpoint could be trusted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A certificate given with `--upstream-ca` cannot be that of an authority.
    #[error("a certificate of --upstream-ca cannot be that of an authority")]
    Authority(#[source] rustls::Error),

    /// The machine has no certificate authorities, and none was given.
    #[error(
        "no certificate authorities found on this machine: install its ca-certificates package, \
         set SSL_CERT_FILE, or give --upstream-ca"
    )]
    NoAuthorities,

    /// The protocol versions cannot be set up.
    #[error("TLS cannot be set up")]
    Protocol(#[source] rustls::Error),
}

/// Returns a configuration for calls to `endpoint` that trusts the authorities of the machine, and
/// those of the settings.
///
/// Where no connection can be encrypted, nothing is read and nothing is trusted.
///
/// # Errors
///
/// Fails if an encrypted endpoint has nothing to be trusted by.
pub fn client_config(
    endpoint: &Endpoint,
    settings: &config::Upstream,
) -> Result<ClientConfig, Error> {
    let is_encrypted = endpoint.is_encrypted();
    let mut roots = RootCertStore::empty();
    if is_encrypted || settings.use_proxy {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    for certificate in &settings.certificate_authorities {
        roots.add(certificate.clone()).map_err(Error::Authority)?;
    }
    if is_encrypted && roots.is_empty() {
        return Err(Error::NoAuthorities);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::Protocol)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
