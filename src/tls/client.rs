//! TLS client configuration, with the certificate authorities of the system.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};

/// An error of the TLS client configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A certificate of `--upstream-ca` is not a valid certificate authority.
    #[error("--upstream-ca contains an invalid certificate authority")]
    Authority(#[source] rustls::Error),

    /// The protocol versions are not supported by the TLS library.
    #[error("cannot configure TLS")]
    Protocol(#[source] rustls::Error),
}

/// Returns a configuration that trusts `roots` and the authorities of `--upstream-ca`.
///
/// # Errors
///
/// Fails if an authority is invalid.
pub fn client_config(
    mut roots: RootCertStore,
    upstream_ca: &[CertificateDer<'static>],
) -> Result<ClientConfig, Error> {
    for certificate in upstream_ca {
        roots.add(certificate.clone()).map_err(Error::Authority)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::Protocol)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
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
