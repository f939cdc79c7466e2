//! Client of the collector: OTLP over gRPC or HTTP, with TLS by the settings.

use std::{collections::HashMap, time::Duration};

use http::HeaderMap;
use opentelemetry::KeyValue;
use opentelemetry_otlp::{
    Compression, ExporterBuildError, SpanExporter, WithExportConfig, WithHttpConfig,
    WithTonicConfig,
};
use opentelemetry_sdk::{Resource, resource::TelemetryResourceDetector, trace::SpanExporter as _};
use reqwest::redirect::Policy;
use rustls::RootCertStore;
use tonic::{
    metadata::MetadataMap,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use crate::{
    config::{Protocol, TraceExport},
    tls::{client, pem},
};

/// The maximum time to connect to the collector.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An error of building the client.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The endpoint or its TLS configuration is invalid.
    #[error("cannot build the client of the OpenTelemetry collector")]
    Channel(#[from] tonic::transport::Error),

    /// The exporter cannot be built.
    #[error("cannot build the exporter of spans")]
    Exporter(#[from] ExporterBuildError),

    /// The HTTP client cannot be built.
    #[error("cannot build the client of the OpenTelemetry collector")]
    Http(#[from] reqwest::Error),

    /// Neither the system nor the settings have a certificate authority.
    #[error(
        "no certificate authorities found on this system: install the ca-certificates package, or set \
         SSL_CERT_FILE or OTEL_EXPORTER_OTLP_CERTIFICATE"
    )]
    NoAuthorities,

    /// A PEM file is invalid.
    #[error("OTEL_EXPORTER_OTLP_CERTIFICATE, _CLIENT_CERTIFICATE or _CLIENT_KEY: {0}")]
    Pem(String),

    /// The TLS configuration is invalid.
    #[error(transparent)]
    Tls(#[from] client::Error),
}

/// Creates a client, which connects when it sends.
///
/// # Errors
///
/// Fails if the TLS configuration is invalid.
pub(super) fn exporter(settings: &TraceExport) -> Result<SpanExporter, BuildError> {
    let mut exporter = match settings.protocol {
        Protocol::Grpc => grpc(settings)?,
        Protocol::Http => http(settings)?,
    };
    exporter.set_resource(&resource(settings));
    Ok(exporter)
}

fn grpc(settings: &TraceExport) -> Result<SpanExporter, BuildError> {
    let headers: HeaderMap = settings.headers.iter().cloned().collect();
    let builder = SpanExporter::builder()
        .with_tonic()
        .with_channel(channel(settings)?)
        .with_metadata(MetadataMap::from_headers(headers))
        .with_timeout(settings.timeout);
    let builder = match settings.is_compressed {
        true => builder.with_compression(Compression::Gzip),
        false => builder,
    };
    Ok(builder.build()?)
}

fn channel(settings: &TraceExport) -> Result<Channel, BuildError> {
    let mut endpoint = Endpoint::from_shared(settings.endpoint.clone())?
        .connect_timeout(CONNECT_TIMEOUT.min(settings.timeout))
        .timeout(settings.timeout);
    if is_encrypted(settings) {
        let mut tls = match &settings.authorities {
            Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
            None => ClientTlsConfig::new().trust_anchors(system_roots()?.roots),
        };
        if let Some((certificate, key)) = &settings.identity {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        endpoint = endpoint.tls_config(tls)?;
    }
    Ok(endpoint.connect_lazy())
}

fn http(settings: &TraceExport) -> Result<SpanExporter, BuildError> {
    let text = |(name, value): &(http::HeaderName, http::HeaderValue)| {
        Some((name.to_string(), value.to_str().ok()?.to_owned()))
    };
    let headers: HashMap<_, _> = settings.headers.iter().filter_map(text).collect();
    let builder = SpanExporter::builder()
        .with_http()
        .with_http_client(http_client(settings)?)
        .with_endpoint(settings.endpoint.clone())
        .with_headers(headers)
        .with_timeout(settings.timeout)
        .with_protocol(opentelemetry_otlp::Protocol::HttpBinary);
    let builder = match settings.is_compressed {
        true => builder.with_compression(Compression::Gzip),
        false => builder,
    };
    Ok(builder.build()?)
}

fn http_client(settings: &TraceExport) -> Result<reqwest::Client, BuildError> {
    let (mut roots, mut identity) = (RootCertStore::empty(), None);
    if is_encrypted(settings) {
        roots = match &settings.authorities {
            Some(_) => roots,
            None => system_roots()?,
        };
        identity = match &settings.identity {
            Some((certificates, key)) => Some((
                pem::parse_certificates(certificates).map_err(BuildError::Pem)?,
                pem::parse_key(key).map_err(BuildError::Pem)?,
            )),
            None => None,
        };
    }
    let authorities = settings.authorities.as_deref().map(pem::parse_certificates);
    let authorities = authorities.transpose().map_err(BuildError::Pem)?;
    let tls = client::client_config(roots, &authorities.unwrap_or_default(), identity)?;
    let client = reqwest::Client::builder()
        .redirect(Policy::none())
        .tls_backend_preconfigured(tls)
        // Otherwise the client would read the proxies of the environment, which gRPC does not use.
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT.min(settings.timeout))
        .timeout(settings.timeout);
    Ok(client.build()?)
}

fn is_encrypted(settings: &TraceExport) -> bool {
    settings.endpoint.starts_with("https://")
}

fn system_roots() -> Result<RootCertStore, BuildError> {
    let roots = client::system_roots();
    match roots.is_empty() {
        true => Err(BuildError::NoAuthorities),
        false => Ok(roots),
    }
}

fn resource(settings: &TraceExport) -> Resource {
    let attributes = settings.resource.iter();
    let attributes = attributes.map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(attributes)
        .build()
}
