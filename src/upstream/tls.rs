//! Whom to believe to be upstream.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem, pem::PemObject},
};

use crate::config;

/// Why no endpoint could be trusted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file given with `--upstream-ca` holds no certificate that can be used.
    #[error("--upstream-ca {}: {reason}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

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

/// Returns a configuration that trusts the authorities of the machine, and those of the settings.
///
/// Where no connection can be encrypted, nothing is read and nothing is trusted.
///
/// # Errors
///
/// Fails if an encrypted endpoint has nothing to be trusted by, or a given file cannot be used.
pub(super) fn client_config(settings: &config::Upstream) -> Result<ClientConfig, Error> {
    let is_encrypted = settings.endpoint.is_encrypted();
    let mut roots = RootCertStore::empty();
    if is_encrypted || settings.use_proxy {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if let Some(path) = &settings.certificate_authorities {
        add_authorities(&mut roots, path)?;
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

fn add_authorities(roots: &mut RootCertStore, path: &Path) -> Result<(), Error> {
    let unusable = |reason: String| Error::Authority {
        path: path.to_owned(),
        reason,
    };

    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, pem::Error>>)
        .map_err(|error| unusable(error.to_string()))?;
    if certificates.is_empty() {
        return Err(unusable("the file holds no certificate".to_owned()));
    }
    for certificate in certificates {
        roots
            .add(certificate)
            .map_err(|error| unusable(error.to_string()))?;
    }
    Ok(())
}
