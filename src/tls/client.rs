//! TLS client configuration, with the certificate authorities of the system.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};

/// An error of the TLS client configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A certificate to trust is not a valid certificate authority.
    #[error("the certificates to trust contain an invalid certificate authority")]
    Authority(#[source] rustls::Error),

    /// The client certificate cannot be used.
    #[error("the client certificate cannot be used")]
    Identity(#[source] rustls::Error),

    /// The protocol versions are not supported by the TLS library.
    #[error("cannot configure TLS")]
    Protocol(#[source] rustls::Error),
}

/// A client certificate, with those of its authorities, and its key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Returns a configuration that trusts `roots` and `authorities`, and shows `identity` to servers that ask for
/// it.
///
/// # Errors
///
/// Fails if an authority is invalid, or if the key is not that of the certificate.
pub fn client_config(
    mut roots: RootCertStore,
    authorities: &[CertificateDer<'static>],
    identity: Option<Identity>,
) -> Result<ClientConfig, Error> {
    for certificate in authorities {
        roots.add(certificate.clone()).map_err(Error::Authority)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::Protocol)?
        .with_root_certificates(roots);
    match identity {
        Some((certificates, key)) => config
            .with_client_auth_cert(certificates, key)
            .map_err(Error::Identity),
        None => Ok(config.with_no_client_auth()),
    }
}

/// Returns the certificate authorities of the system, or those in `SSL_CERT_FILE` and `SSL_CERT_DIR`. An
/// empty variable counts as unset.
pub fn system_roots() -> RootCertStore {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let found = match (env::var_os("SSL_CERT_FILE"), set("SSL_CERT_DIR")) {
        // The library treats an empty variable as the name of an unreadable file.
        (Some(file), None) if file.is_empty() => {
            let system = openssl_probe::probe();
            let folder = system.cert_dir.first().map(PathBuf::as_path);
            rustls_native_certs::load_certs_from_paths(system.cert_file.as_deref(), folder)
        }
        (Some(file), Some(folder)) if file.is_empty() => {
            rustls_native_certs::load_certs_from_paths(None, Some(Path::new(&folder)))
        }
        _ => rustls_native_certs::load_native_certs(),
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    roots
}
