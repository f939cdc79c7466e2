//! Expiry of certificates and of a temporary credential: how much of each lifetime is left, for metrics,
//! for `/readyz?verbose`, and for warnings in the log before the lifetime is over.

use std::{fmt, sync::Arc, time::Duration};

use time::{UtcDateTime, format_description::well_known::Rfc3339};
use tokio::time::sleep;

use crate::{
    clock::Clock,
    credentials::Credentials,
    files::file_watcher::FileWatcher,
    tls::{
        certificate::{self, Validity},
        server::ServerTls,
    },
};

/// The first warning is due when a third of the lifetime is left, the second at a tenth: cert-manager and
/// this service renew after a third or two thirds of it. For long lifetimes these would be months.
const SOON: (u32, Duration) = (3, Duration::from_secs(30 * 24 * 60 * 60));
const URGENT: (u32, Duration) = (10, Duration::from_secs(10 * 24 * 60 * 60));

/// The interval at which expiry is checked, unless a warning is due earlier. Timers stop while the machine
/// is suspended.
const INTERVAL: Duration = Duration::from_secs(5);
const MIN_INTERVAL: Duration = Duration::from_millis(20);

/// What expires: the server certificate, the client CA and the credential.
#[derive(Clone, Debug)]
pub(super) struct Expiry {
    pub(super) tls: Option<Arc<FileWatcher<ServerTls>>>,
    pub(super) credentials: Credentials,
    pub(super) clock: Clock,
}

/// One that expires, at the time of reading.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Expiring {
    pub(super) kind: Kind,
    /// The expiry time. That of a credential is computed from the time left, so that a change of the wall
    /// clock does not move its expiry.
    pub(super) expires_at: UtcDateTime,
    /// The time left; zero once it has expired.
    pub(super) expires_in: Duration,
    pub(super) lifetime: Duration,
    /// Tells it from its successor.
    version: i128,
    /// Whether a failing refresh has left less than half of the lifetime.
    pub(super) is_overdue: bool,
}

/// The kind of what expires.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Of the authorities that issue client certificates, the one that expires first.
    ClientCa,
    /// A temporary credential.
    Credential,
    /// The certificate that the gRPC port presents.
    ServerCertificate,
}

impl Kind {
    const COUNT: usize = 3;

    /// All kinds.
    pub(super) const ALL: [Self; Self::COUNT] =
        [Self::ServerCertificate, Self::ClientCa, Self::Credential];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientCa => "client CA",
            Self::Credential => "credential",
            Self::ServerCertificate => "server certificate",
        })
    }
}

/// How near the end of a lifetime is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Stage {
    /// More than a third of the lifetime is left, or more than 30 days.
    Valid,
    /// At most that is left.
    Soon,
    /// At most a tenth of the lifetime is left, and at most 10 days.
    Urgent,
    /// The lifetime is over.
    Expired,
}

impl Stage {
    /// Returns its name on the status page.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Soon => "soon",
            Self::Urgent => "urgent",
            Self::Expired => "expired",
        }
    }
}

impl Expiry {
    /// Reads what expires. Permanent credentials and certificates that cannot be parsed are left out.
    pub(super) fn read(&self) -> Vec<Expiring> {
        let now = self.clock.now();
        let tls = self.tls.as_ref().map(|tls| tls.current());
        let server = tls
            .iter()
            .filter_map(|tls| certificate::validity(&tls.certificate))
            .map(|validity| Expiring::certificate(Kind::ServerCertificate, validity, now));
        let client_ca = tls
            .iter()
            .flat_map(|tls| &tls.client_authorities)
            .filter_map(certificate::validity)
            .min_by_key(|validity| validity.not_after)
            .map(|validity| Expiring::certificate(Kind::ClientCa, validity, now));
        server
            .chain(client_ca)
            .chain(self.credential(now))
            .collect()
    }

    fn credential(&self, now: UtcDateTime) -> Option<Expiring> {
        let counters = self.credentials.counters();
        let expires_in = counters.expires_in?;
        Some(Expiring {
            kind: Kind::Credential,
            expires_at: now.saturating_add(expires_in.try_into().unwrap_or(time::Duration::MAX)),
            expires_in,
            lifetime: counters.lifetime?,
            version: counters.replaced.into(),
            is_overdue: counters.is_overdue,
        })
    }

    /// Returns a line for each that expires, in the form of `/readyz?verbose`. They are no conditions of
    /// readiness: `[!]` marks what the operator must renew.
    pub(super) fn report(&self) -> String {
        self.read().iter().map(Expiring::line).collect()
    }

    /// Logs warnings when they are due, for as long as it is polled.
    pub(super) async fn watch(self) {
        let mut warnings = Warnings::default();
        loop {
            let expiring = self.read();
            expiring.iter().for_each(|it| warnings.report(it));
            let next = expiring.iter().filter_map(Expiring::next_warning).min();
            let pause = next.map_or(INTERVAL, |next| next.clamp(MIN_INTERVAL, INTERVAL));
            sleep(pause).await;
        }
    }
}

impl Expiring {
    fn certificate(kind: Kind, validity: Validity, now: UtcDateTime) -> Self {
        let Validity {
            not_before,
            not_after,
        } = validity;
        Self {
            kind,
            expires_at: not_after,
            expires_in: (not_after - now).try_into().unwrap_or_default(),
            lifetime: (not_after - not_before).try_into().unwrap_or_default(),
            version: not_after.unix_timestamp_nanos(),
            is_overdue: false,
        }
    }

    /// Returns how near its end is.
    pub(super) fn stage(&self) -> Stage {
        if self.expires_in.is_zero() {
            Stage::Expired
        } else if self.expires_in <= self.threshold(URGENT) {
            Stage::Urgent
        } else if self.expires_in <= self.threshold(SOON) {
            Stage::Soon
        } else {
            Stage::Valid
        }
    }

    fn threshold(&self, (divisor, limit): (u32, Duration)) -> Duration {
        (self.lifetime / divisor).min(limit)
    }

    /// Returns the time until the next warning is due; `None` if there is no other.
    fn next_warning(&self) -> Option<Duration> {
        let due = match self.stage() {
            Stage::Valid => self.threshold(SOON),
            Stage::Soon => self.threshold(URGENT),
            Stage::Urgent => Duration::ZERO,
            Stage::Expired => return None,
        };
        Some(self.expires_in.saturating_sub(due))
    }

    fn line(&self) -> String {
        let Self { kind, .. } = self;
        let at = self.expires_at;
        let at = at
            .truncate_to_second()
            .format(&Rfc3339)
            .unwrap_or_else(|_| at.to_string());
        let left = humantime::format_duration(Duration::from_secs(self.expires_in.as_secs()));
        let overdue = match self.is_overdue {
            true => ", refresh overdue",
            false => "",
        };
        match self.stage() {
            Stage::Expired => format!("[!] {kind} expired at {at}\n"),
            Stage::Valid if !self.is_overdue => format!("[+] {kind} expires at {at}, in {left}\n"),
            Stage::Valid | Stage::Soon | Stage::Urgent => {
                format!("[!] {kind} expires at {at}, in {left}{overdue}\n")
            }
        }
    }
}

/// The warnings that were logged, so that each is logged once for each certificate or credential.
#[derive(Debug, Default)]
struct Warnings([Logged; Kind::COUNT]);

#[derive(Clone, Copy, Debug, Default)]
struct Logged {
    version: Option<i128>,
    stage: Option<Stage>,
    pub(super) is_overdue: bool,
}

/// A warning that is due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Warning {
    /// The lifetime is over or nearly so.
    Expires(Stage),
    /// The refresh is overdue.
    Overdue,
}

impl Warnings {
    /// Logs the warnings that are due, unless they were logged.
    fn report(&mut self, expiring: &Expiring) {
        for warning in self.due(expiring) {
            let what = expiring.kind;
            let expires_in_s = expiring.expires_in.as_secs();
            let lifetime_s = expiring.lifetime.as_secs();
            match (warning, what) {
                (Warning::Overdue, _) => {
                    tracing::warn!(expires_in_s, lifetime_s, "credential refresh overdue");
                }
                (Warning::Expires(Stage::Expired), Kind::ClientCa) => {
                    tracing::warn!(%what, lifetime_s, "certificate expired");
                }
                // Other lines say so: of the certificate in use, and of the failing refresh.
                (Warning::Expires(Stage::Expired), Kind::Credential | Kind::ServerCertificate) => {}
                (Warning::Expires(_), Kind::ClientCa | Kind::ServerCertificate) => {
                    tracing::warn!(%what, expires_in_s, lifetime_s, "certificate expires soon");
                }
                (Warning::Expires(_), Kind::Credential) => {
                    tracing::warn!(expires_in_s, lifetime_s, "credential expires soon");
                }
            }
        }
    }

    /// Returns the warnings that are due and were not returned before.
    fn due(&mut self, expiring: &Expiring) -> Vec<Warning> {
        let logged = &mut self.0[expiring.kind as usize];
        if logged.version != Some(expiring.version) {
            *logged = Logged {
                version: Some(expiring.version),
                ..Logged::default()
            };
        }
        let mut due = Vec::new();
        if expiring.is_overdue && !logged.is_overdue {
            logged.is_overdue = true;
            due.push(Warning::Overdue);
        }
        let stage = expiring.stage();
        if stage > logged.stage.unwrap_or(Stage::Valid) {
            logged.stage = Some(stage);
            due.push(Warning::Expires(stage));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn expiring(lifetime: Duration, expires_in: Duration) -> Expiring {
        Expiring {
            kind: Kind::Credential,
            expires_at: UtcDateTime::UNIX_EPOCH,
            expires_in,
            lifetime,
            version: 1,
            is_overdue: false,
        }
    }

    #[test]
    fn the_thresholds_are_parts_of_the_lifetime_up_to_30_and_10_days() {
        let (minute, second) = (Duration::from_secs(60), Duration::from_secs(1));
        let cases = [
            (120 * minute, 40 * minute, 12 * minute),
            (90 * DAY, 30 * DAY, 9 * DAY),
            (365 * DAY, 30 * DAY, 10 * DAY),
        ];
        for (lifetime, soon, urgent) in cases {
            let stage = |rest| expiring(lifetime, rest).stage();
            assert_eq!(stage(lifetime), Stage::Valid);
            assert_eq!(stage(soon + second), Stage::Valid);
            assert_eq!(stage(soon), Stage::Soon);
            assert_eq!(stage(urgent + second), Stage::Soon);
            assert_eq!(stage(urgent), Stage::Urgent);
            assert_eq!(stage(Duration::from_nanos(1)), Stage::Urgent);
            assert_eq!(stage(Duration::ZERO), Stage::Expired);
        }
    }

    #[test]
    fn a_successor_is_warned_of_anew() {
        let mut warnings = Warnings::default();
        let mut it = expiring(90 * DAY, 8 * DAY);
        assert_eq!(warnings.due(&it), [Warning::Expires(Stage::Urgent)]);
        assert_eq!(warnings.due(&it), []);
        it.is_overdue = true;
        assert_eq!(warnings.due(&it), [Warning::Overdue]);
        assert_eq!(warnings.due(&it), []);

        it.version += 1;
        let again = [Warning::Overdue, Warning::Expires(Stage::Urgent)];
        assert_eq!(warnings.due(&it), again);
    }

    proptest! {
        /// Whatever the wall clock and timers do.
        #[test]
        fn each_warning_is_logged_at_most_once(
            lifetime in 1u64..100_000_000,
            readings in prop::collection::vec(0.0f64..1.1, 1..200),
        ) {
            let lifetime = Duration::from_secs(lifetime);
            let mut warnings = Warnings::default();
            let mut logged = Vec::new();
            for reading in readings {
                let rest = lifetime.mul_f64((reading - 0.05).max(0.0));
                logged.extend(warnings.due(&expiring(lifetime, rest)));
            }
            prop_assert!(logged.len() <= 3);
            let is_later = |left: &Warning, right: &Warning| match (left, right) {
                (Warning::Expires(left), Warning::Expires(right)) => left < right,
                (Warning::Overdue, _) | (_, Warning::Overdue) => false,
            };
            prop_assert!(logged.is_sorted_by(is_later));
        }

        /// The timer runs at the latest when a warning is due.
        #[test]
        fn the_next_warning_is_due_after_the_returned_time(
            lifetime in 100u64..100_000_000,
            part in 0.001f64..1.0,
        ) {
            let lifetime = Duration::from_secs(lifetime);
            let now = expiring(lifetime, lifetime.mul_f64(part));
            let pause = now.next_warning().unwrap();
            let before = expiring(lifetime, now.expires_in - pause + Duration::from_nanos(1));
            let then = expiring(lifetime, now.expires_in - pause);
            prop_assert!(then.stage() > now.stage());
            prop_assert_eq!(before.stage(), now.stage());
        }
    }
}
