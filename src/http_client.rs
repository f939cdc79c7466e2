//! HTTP client of outgoing requests: applies the certificate authorities and the proxy of the settings.

use reqwest::{Client, ClientBuilder, redirect::Policy};
use rustls::{ClientConfig, RootCertStore};

use crate::{
    config::{self, Endpoint, Proxy},
    tls,
};

/// An error of building the client.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The HTTP client cannot be built.
    #[error("cannot build the HTTP client")]
    Http(#[source] reqwest::Error),

    /// A certificate authority of the settings is invalid.
    #[error("cannot configure TLS with --upstream-ca")]
    Tls(#[from] tls::client::Error),

    /// Neither the system nor the settings have a certificate authority.
    #[error(
        "no certificate authorities found on this system: install the ca-certificates package, or set \
         SSL_CERT_FILE or --upstream-ca"
    )]
    NoAuthorities,
}

/// Returns a builder of clients for `endpoint`, which follow no redirects. It trusts the certificate
/// authorities of the system and of the settings; the former are read only if the endpoint or its proxy
/// uses TLS. The proxy is that of the settings; environment variables have no effect.
///
/// # Errors
///
/// Fails if TLS is used without any certificate authority, if an authority is invalid, or if the HTTP
/// client cannot use the proxy.
pub fn builder(
    endpoint: &Endpoint,
    settings: &config::Upstream,
) -> Result<ClientBuilder, BuildError> {
    let proxy = settings.proxies.proxy_for(endpoint);
    // HTTP/1.1 only: no document of the vendor mentions HTTP/2, and with one connection per request in
    // flight a stalled response does not block the others.
    let client = Client::builder()
        .http1_only()
        .redirect(Policy::none())
        .tls_backend_preconfigured(tls_config(endpoint, settings)?)
        // Otherwise the client would read the environment itself, and silently ignore invalid variables.
        .no_proxy();
    let Some(proxy) = proxy else {
        return Ok(client);
    };
    let proxy = reqwest::Proxy::all(proxy.secret_url().clone()).map_err(BuildError::Http)?;
    Ok(client.proxy(proxy))
}

/// Returns the TLS configuration of connections to `endpoint` and to its proxy, as in [`builder`].
///
/// # Errors
///
/// Fails if TLS is used without any certificate authority, or if an authority is invalid.
pub fn tls_config(
    endpoint: &Endpoint,
    settings: &config::Upstream,
) -> Result<ClientConfig, BuildError> {
    let proxy = settings.proxies.proxy_for(endpoint);
    let authorities = &settings.certificate_authorities;
    let roots = if endpoint.is_encrypted() || proxy.is_some_and(Proxy::is_encrypted) {
        let roots = tls::client::system_roots();
        if roots.is_empty() && authorities.is_empty() {
            return Err(BuildError::NoAuthorities);
        }
        roots
    } else {
        RootCertStore::empty()
    };
    Ok(tls::client::client_config(roots, authorities, None)?)
}
