//! Certificate checks: whether a certificate is within its validity period, and how to replace one that
//! TLS rejects.

use std::{
    error::Error,
    fmt,
    net::IpAddr,
    time::{Duration, UNIX_EPOCH},
};

use rustls::{
    CertificateError,
    pki_types::{CertificateDer, UnixTime},
};
use time::{UtcDateTime, format_description::well_known::Rfc3339};
use webpki::{EndEntityCert, KeyUsage};

use crate::error_chain::{causes, error_chain};

/// The problem of an authority certificate that a server or client presents.
const AUTHORITY: &str = "the certificate is that of a certificate authority (basicConstraints \
    CA:TRUE), as `openssl req -x509` makes it by default, which neither a server nor a client may \
    present";

/// The holder of a rejected certificate.
#[derive(Clone, Copy, Debug)]
pub enum Holder<'a> {
    /// A client of this service.
    Client,
    /// The server of this name or IP address.
    Server(&'a str),
}

/// Returns why a certificate is not valid at `now`, or `None` if it is, or if it cannot be parsed.
///
/// The reason is the same at any time: it names the date and not the distance to it.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library has some fifty errors, of which two are about time"
)]
pub fn invalidity(certificate: &CertificateDer<'_>, now: UtcDateTime) -> Option<String> {
    match verify(certificate, now)? {
        webpki::Error::CertExpired { not_after, .. } => {
            Some(format!("the certificate expired at {}", date(not_after)))
        }
        webpki::Error::CertNotValidYet { not_before, .. } => Some(format!(
            "the certificate is not valid before {}",
            date(not_before)
        )),
        _ => None,
    }
}

/// The validity period of a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Validity {
    /// The time before which it is not valid.
    pub not_before: UtcDateTime,
    /// The time after which it is not valid.
    pub not_after: UtcDateTime,
}

/// Returns the validity period of a certificate, or `None` if it cannot be parsed.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library has some fifty errors, of which two are about time"
)]
pub fn validity(certificate: &CertificateDer<'_>) -> Option<Validity> {
    // The library tells these times only in its errors. It checks the period before anything else, so
    // that the certificate of an authority has one, too.
    let not_before = match verify(certificate, UtcDateTime::UNIX_EPOCH)? {
        webpki::Error::CertNotValidYet { not_before, .. } => utc(not_before),
        _ => UtcDateTime::UNIX_EPOCH,
    };
    match verify(certificate, UtcDateTime::MAX)? {
        webpki::Error::CertExpired { not_after, .. } => Some(Validity {
            not_before,
            not_after: utc(not_after),
        }),
        _ => None,
    }
}

/// Returns the messages of an error and of its causes. If the certificate of `holder` was made in a way
/// that TLS rejects, adds the command that makes a valid one.
pub fn explain(error: &(dyn Error + 'static), holder: Holder<'_>) -> String {
    let text = error_chain(error);
    match tls_error(error).and_then(defect) {
        Some(defect) => format!("{text}: {defect}; {}", Remedy(holder)),
        None => text,
    }
}

/// Returns the reason why TLS rejects a certificate of `holder` at any time, with the command that makes a
/// valid one, or `None` if it does not. `now` is within its validity period.
pub fn rejection_reason(
    certificate: &CertificateDer<'_>,
    holder: Holder<'_>,
    now: UtcDateTime,
) -> Option<String> {
    let is_authority = verify(certificate, now)? == webpki::Error::CaUsedAsEndEntity;
    is_authority.then(|| format!("{AUTHORITY}; {}", Remedy(holder)))
}

/// Returns the TLS error among an error and its causes.
pub fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    causes(error).find_map(|error| error.downcast_ref())
}

/// Returns the defect that makes TLS reject a certificate in every handshake, if it has one.
fn defect(error: &rustls::Error) -> Option<&'static str> {
    let rustls::Error::InvalidCertificate(error) = error else {
        return None;
    };
    if let CertificateError::NotValidForNameContext { presented, .. } = error {
        return presented.is_empty().then_some(
            "the certificate has no subjectAltName, and its common name (CN) is ignored",
        );
    }
    let CertificateError::Other(other) = error else {
        return None;
    };
    matches!(
        other.0.downcast_ref(),
        Some(webpki::Error::CaUsedAsEndEntity)
    )
    .then_some(AUTHORITY)
}

/// The command that makes a self-signed certificate for a holder.
struct Remedy<'a>(Holder<'a>);

impl fmt::Display for Remedy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (holder, file, name) = match self.0 {
            Holder::Client => (
                "the client",
                "client",
                "URI:spiffe://example.org/client".to_owned(),
            ),
            Holder::Server(name) => {
                let name = name.trim_start_matches('[').trim_end_matches(']');
                let kind = match name.parse::<IpAddr>() {
                    Ok(_) => "IP",
                    Err(_) => "DNS",
                };
                ("the server", "server", format!("{kind}:{name}"))
            }
        };
        write!(
            f,
            "make one for {holder} with: openssl req -x509 -newkey rsa:2048 -nodes -days 90 \
             -keyout {file}-key.pem -out {file}.pem -subj /CN={file} \
             -addext subjectAltName={name} -addext basicConstraints=CA:FALSE"
        )
    }
}

/// Returns the verification error of a certificate at `now`. The verification knows no authority, so a
/// certificate without other errors has an unknown issuer.
fn verify(certificate: &CertificateDer<'_>, now: UtcDateTime) -> Option<webpki::Error> {
    let seconds = u64::try_from(now.unix_timestamp()).unwrap_or_default();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let usage = KeyUsage::server_auth();
    certificate
        .verify_for_usage(&[], &[], &[], now, usage, None, None)
        .err()
}

fn utc(time: UnixTime) -> UtcDateTime {
    UtcDateTime::from(UNIX_EPOCH + Duration::from_secs(time.as_secs()))
}

fn date(time: UnixTime) -> String {
    let time = utc(time);
    time.format(&Rfc3339).unwrap_or_else(|_| time.to_string())
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn a_certificate_is_valid_from_not_before_to_not_after() {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 2, 1);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let at = |year, month, day| {
            let time = UtcDateTime::from(date_time_ymd(year, month, day));
            invalidity(certificate.der(), time)
        };

        assert_eq!(at(2026, 1, 15), None);
        let period = Validity {
            not_before: UtcDateTime::from(date_time_ymd(2026, 1, 1)),
            not_after: UtcDateTime::from(date_time_ymd(2026, 2, 1)),
        };
        assert_eq!(validity(certificate.der()), Some(period));
        let early = "the certificate is not valid before 2026-01-01T00:00:00Z";
        assert_eq!(at(2025, 12, 31).as_deref(), Some(early));
        let late = "the certificate expired at 2026-02-01T00:00:00Z";
        assert_eq!(at(2026, 2, 2).as_deref(), Some(late));
        // The reason does not change with time.
        assert_eq!(at(2036, 2, 2).as_deref(), Some(late));
    }

    #[test]
    fn the_certificate_of_an_authority_has_a_validity_period() {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(1970, 1, 1);
        params.not_after = date_time_ymd(2026, 2, 1);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();

        let period = Validity {
            not_before: UtcDateTime::UNIX_EPOCH,
            not_after: UtcDateTime::from(date_time_ymd(2026, 2, 1)),
        };
        assert_eq!(validity(certificate.der()), Some(period));
    }
}
