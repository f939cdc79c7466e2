//! TLS handshake: makes one with the settings of the HTTP client, and describes its certificate or why it
//! failed.

use std::{
    io,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use rustls::{
    CertificateError, ClientConfig, Error,
    pki_types::{ServerName, UnixTime},
};
use time::{UtcDateTime, format_description::well_known::Rfc3339};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client};

use super::advice::Fault;
use crate::{
    clock::Clock,
    tls::certificate::{self, Holder},
};

/// An established TLS session.
pub(super) type TlsStream<S> = client::TlsStream<S>;

/// A client that makes handshakes as the HTTP client does.
pub(super) struct TlsClient(TlsConnector);

/// Why a handshake failed.
#[derive(Debug)]
pub(super) struct HandshakeError {
    /// What happened, without a full stop.
    pub(super) reason: String,
    pub(super) fault: Fault,
}

impl TlsClient {
    /// Creates a client with the TLS configuration of the HTTP client.
    pub(super) fn new(mut config: ClientConfig) -> Self {
        // As the HTTP client, which speaks HTTP/1.1 only.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self(TlsConnector::from(Arc::new(config)))
    }

    /// Makes a handshake with a server that must have a certificate for `host`.
    pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: &str,
        stream: S,
    ) -> Result<TlsStream<S>, HandshakeError> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|_| HandshakeError {
            reason: format!("a certificate cannot have the name {host}"),
            fault: Fault::WrongName,
        })?;
        let connected = self.0.connect(name, stream).await;
        connected.map_err(|error| HandshakeError::new(&error, host))
    }
}

impl HandshakeError {
    fn new(error: &io::Error, host: &str) -> Self {
        let (fault, text) = certificate::tls_error(error).map_or((Fault::TlsFailed, None), explain);
        let reason = text.unwrap_or_else(|| certificate::explain(error, Holder::Server(host)));
        Self { reason, fault }
    }
}

/// Returns the fault of a TLS error, with a text for those whose own text is not made for operators.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library has some fifty errors, of which a few have a likely cause of their own"
)]
fn explain(error: &Error) -> (Fault, Option<String>) {
    use CertificateError as C;

    let unknown = |name| {
        let text = format!("no trusted authority has issued the certificate ({name})");
        (Fault::UnknownAuthority, Some(text))
    };
    match error {
        Error::InvalidMessage(_) => {
            let text = "the server does not speak TLS";
            (Fault::NotTls, Some(text.to_owned()))
        }
        Error::InvalidCertificate(C::UnknownIssuer) => unknown("UnknownIssuer"),
        // An authority was replaced by one of the same name.
        Error::InvalidCertificate(C::BadSignature) => unknown("BadSignature"),
        Error::InvalidCertificate(C::ExpiredContext { not_after, .. }) => {
            let text = format!("the certificate expired at {}", date(*not_after));
            (Fault::Expired, Some(text))
        }
        Error::InvalidCertificate(C::NotValidYetContext { not_before, .. }) => {
            let text = format!("the certificate is not valid before {}", date(*not_before));
            (Fault::NotYetValid, Some(text))
        }
        Error::InvalidCertificate(C::NotValidForNameContext { .. }) => (Fault::WrongName, None),
        Error::InvalidCertificate(_) => (Fault::Untrusted, None),
        _ => (Fault::TlsFailed, None),
    }
}

/// Describes a session: its TLS version, the length of the chain that the server sent, and the time until
/// which all of its certificates are valid.
pub(super) fn describe<S>(stream: &TlsStream<S>) -> String {
    let (_, session) = stream.get_ref();
    let version = session.protocol_version();
    let version = version.and_then(|version| version.as_str());
    let version = version.map_or("TLS".to_owned(), |name| name.replace("TLSv1_", "TLS 1."));
    let chain = session.peer_certificates().unwrap_or_default();
    let number = match chain.len() {
        1 => "1 certificate".to_owned(),
        number => format!("{number} certificates"),
    };
    let periods = chain.iter().filter_map(certificate::validity);
    let expiry = periods.map(|period| period.not_after).min();
    let expiry = expiry.map_or(String::new(), |end| format!(", valid until {}", until(end)));
    format!("{version}, trusted chain of {number}{expiry}")
}

fn until(end: UtcDateTime) -> String {
    let days = (end - Clock::system().now()).whole_days();
    format!("{} ({days} days)", rfc_3339(end))
}

fn date(time: UnixTime) -> String {
    rfc_3339(UtcDateTime::from(
        UNIX_EPOCH + Duration::from_secs(time.as_secs()),
    ))
}

fn rfc_3339(time: UtcDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_else(|_| time.to_string())
}
