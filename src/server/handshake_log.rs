//! Log of failed TLS handshakes: at most one line per minute and cause, with a count, so that an
//! unauthenticated client cannot fill the disk and the operator sees each cause.

use std::{error::Error, fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rustls::{AlertDescription, CertificateError};
use tokio::time::{Instant, sleep_until};

use crate::tls::certificate::{self, Holder, tls_error};

/// Minimum time between two lines of the same cause.
const PERIOD: Duration = Duration::from_secs(60);

/// Counts failed handshakes by their cause, and logs them.
#[derive(Clone, Debug, Default)]
pub(super) struct HandshakeLog(Arc<Mutex<[Failures; Cause::COUNT]>>);

/// The failures of one cause that are not yet logged.
#[derive(Debug, Default)]
struct Failures {
    count: u64,
    /// The peer and the error of the latest failure.
    latest: Option<(SocketAddr, String)>,
    /// The earliest time of the next line.
    next_line: Option<Instant>,
}

/// The cause of a failed handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cause {
    /// The client does not speak TLS.
    NotTls,
    /// Client and server share no version, cipher suite or application protocol.
    NoSharedProtocol,
    /// The server rejected the client certificate.
    Client(Reason),
    /// The client rejected the server certificate.
    Server(Reason),
    /// The client took too long.
    TimedOut,
    /// More recent handshakes displaced this one.
    Displaced,
    /// The client closed the connection.
    Closed,
    /// Anything else.
    Other,
}

/// The reason why a certificate was rejected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reason {
    /// Issued by a certificate authority that is not trusted.
    UnknownCa,
    /// Expired or not yet valid.
    Expired,
    /// Not acceptable for another reason, such as its purpose, signature or form.
    Bad,
}

impl Cause {
    const COUNT: usize = 12;

    /// Returns the cause of a handshake error.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all remaining errors are of the cause `Other`"
    )]
    fn of(error: &io::Error) -> Self {
        use AlertDescription as Alert;

        match tls_error(error) {
            Some(rustls::Error::InvalidMessage(_)) => Self::NotTls,
            Some(rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol) => {
                Self::NoSharedProtocol
            }
            Some(rustls::Error::InvalidCertificate(error)) => Self::Client(reason(error)),
            Some(rustls::Error::AlertReceived(alert)) => match alert {
                Alert::ProtocolVersion
                | Alert::HandshakeFailure
                | Alert::InsufficientSecurity
                | Alert::NoApplicationProtocol => Self::NoSharedProtocol,
                Alert::UnknownCA => Self::Server(Reason::UnknownCa),
                Alert::CertificateExpired => Self::Server(Reason::Expired),
                Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateUnknown
                | Alert::AccessDenied
                | Alert::DecryptError => Self::Server(Reason::Bad),
                Alert::CloseNotify | Alert::UserCanceled => Self::Closed,
                _ => Self::Other,
            },
            Some(_) => Self::Other,
            None => match error.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe => Self::Closed,
                io::ErrorKind::TimedOut => Self::TimedOut,
                _ => Self::Other,
            },
        }
    }

    fn index(self) -> usize {
        let of = |reason| match reason {
            Reason::UnknownCa => 0,
            Reason::Expired => 1,
            Reason::Bad => 2,
        };
        match self {
            Self::NotTls => 0,
            Self::NoSharedProtocol => 1,
            Self::TimedOut => 2,
            Self::Displaced => 3,
            Self::Closed => 4,
            Self::Other => 5,
            Self::Client(reason) => 6 + of(reason),
            Self::Server(reason) => 9 + of(reason),
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "all remaining errors are of the reason `Bad`"
)]
fn reason(error: &CertificateError) -> Reason {
    match error {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Reason::Expired,
        CertificateError::UnknownIssuer => Reason::UnknownCa,
        _ => Reason::Bad,
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (certificate, reason) = match self {
            Self::NotTls => return f.write_str("not TLS"),
            Self::NoSharedProtocol => {
                return f.write_str("no shared protocol version, cipher suite or ALPN protocol");
            }
            Self::TimedOut => return f.write_str("timed out"),
            Self::Displaced => return f.write_str("displaced by more recent connections"),
            Self::Closed => return f.write_str("closed by the client"),
            Self::Other => return f.write_str("other"),
            Self::Client(reason) => ("client certificate", reason),
            Self::Server(reason) => ("server certificate rejected by the client", reason),
        };
        let reason = match reason {
            Reason::UnknownCa => "unknown CA",
            Reason::Expired => "expired or not yet valid",
            Reason::Bad => "bad certificate",
        };
        write!(f, "{certificate}: {reason}")
    }
}

impl HandshakeLog {
    /// Records a failed handshake. Must be called within a Tokio runtime.
    pub(super) fn failed(&self, peer: SocketAddr, error: &io::Error) {
        let text = certificate::explain(error as &(dyn Error + 'static), Holder::Client);
        self.note(Cause::of(error), peer, text);
    }

    /// Records a failed handshake with a known cause. Must be called within a Tokio runtime.
    pub(super) fn note(&self, cause: Cause, peer: SocketAddr, error: String) {
        let now = Instant::now();
        let mut failures = self.0.lock();
        let failures = &mut failures[cause.index()];
        failures.count += 1;
        failures.latest = Some((peer, error));
        match failures.next_line {
            Some(next_line) if now < next_line => {
                if failures.count == 1 {
                    tokio::spawn(self.clone().write_at(cause, next_line));
                }
            }
            // The line is due; the task that was spawned for it writes it.
            Some(_) if failures.count > 1 => {}
            Some(_) | None => failures.write(cause, now),
        }
    }

    async fn write_at(self, cause: Cause, next_line: Instant) {
        sleep_until(next_line).await;
        self.0.lock()[cause.index()].write(cause, next_line);
    }
}

impl Failures {
    /// Writes a line with the number of failures, and resets the counter.
    fn write(&mut self, cause: Cause, now: Instant) {
        let count = std::mem::take(&mut self.count);
        self.next_line = Some(now + PERIOD);
        let Some((peer, error)) = self.latest.take() else {
            return;
        };
        // Load balancers and port scanners connect to check whether the port is open.
        if cause == Cause::Closed {
            tracing::info!(error.type = %cause, count, network.peer.address = %peer.ip(), network.peer.port = peer.port(), error.message = error, "TLS handshakes failed");
        } else {
            tracing::warn!(error.type = %cause, count, network.peer.address = %peer.ip(), network.peer.port = peer.port(), error.message = error, "TLS handshakes failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rustls::PeerIncompatible;

    use super::*;

    const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

    #[tokio::test(start_paused = true)]
    async fn failures_of_a_cause_are_logged_once_a_minute_with_their_count() {
        let log = HandshakeLog::default();
        let state = || {
            let failures = log.0.lock();
            let failures = &failures[Cause::NotTls.index()];
            (failures.count, failures.next_line)
        };
        let fail = |cause| log.note(cause, PEER, String::new());
        let start = Instant::now();

        // The first is logged at once, and the others after a minute.
        fail(Cause::NotTls);
        assert_eq!(state(), (0, Some(start + PERIOD)));
        (0..1_000).for_each(|_| fail(Cause::NotTls));
        assert_eq!(state(), (1_000, Some(start + PERIOD)));
        // Another cause is logged at once.
        fail(Cause::Closed);
        assert_eq!(log.0.lock()[Cause::Closed.index()].count, 0);

        sleep_until(start + PERIOD + Duration::from_millis(1)).await;
        assert_eq!(state(), (0, Some(start + 2 * PERIOD)));
        fail(Cause::NotTls);
        assert_eq!(state(), (1, Some(start + 2 * PERIOD)));
        sleep_until(start + 10 * PERIOD).await;
        assert_eq!(state(), (0, Some(start + 3 * PERIOD)));
        fail(Cause::NotTls);
        assert_eq!(state(), (0, Some(start + 11 * PERIOD)));
    }

    #[test]
    fn each_error_has_its_cause() {
        let tls = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let alert = |alert| tls(rustls::Error::AlertReceived(alert));
        let certificate = |error: CertificateError| tls(error.into());
        let cases = [
            (io::ErrorKind::UnexpectedEof.into(), "closed by the client"),
            (io::ErrorKind::TimedOut.into(), "timed out"),
            (
                tls(PeerIncompatible::NoCipherSuitesInCommon.into()),
                "no shared protocol version, cipher suite or ALPN protocol",
            ),
            (
                certificate(CertificateError::UnknownIssuer),
                "client certificate: unknown CA",
            ),
            (
                certificate(CertificateError::NotValidYet),
                "client certificate: expired or not yet valid",
            ),
            (
                certificate(CertificateError::BadSignature),
                "client certificate: bad certificate",
            ),
            (
                alert(AlertDescription::CertificateExpired),
                "server certificate rejected by the client: expired or not yet valid",
            ),
            (
                alert(AlertDescription::UnknownCA),
                "server certificate rejected by the client: unknown CA",
            ),
            (
                alert(AlertDescription::CertificateUnknown),
                "server certificate rejected by the client: bad certificate",
            ),
            (alert(AlertDescription::InternalError), "other"),
        ];
        let mut indices = Vec::new();
        for (error, expected) in cases {
            let cause = Cause::of(&error);
            assert_eq!(cause.to_string(), expected);
            indices.push(cause.index());
        }
        indices.sort_unstable();
        indices.dedup();
        assert_eq!(indices.len(), 10);
        assert!(indices.iter().all(|index| *index < Cause::COUNT));
    }
}
