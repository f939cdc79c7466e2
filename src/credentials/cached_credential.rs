//! Cached credential: the credential of one provider with its refresh schedule. Temporary credentials
//! are refreshed after about a third of their lifetime, failures back off exponentially, and a changed
//! local credential is used once two reads return it. Performs no I/O.

use std::{sync::Arc, time::Duration};

use super::{credential::Credential, provider::ProvidedCredential, unavailable::Unavailable};
use crate::clock::BootTime;

/// The fraction of a temporary credential's lifetime after which it is refreshed. The other two thirds
/// are reserve for failed refreshes.
const REFRESH_AFTER: f64 = 1.0 / 3.0;

/// Maximum relative jitter of that time, so that replicas started together do not refresh together.
const JITTER: f64 = 0.1;

/// Initial and maximum backoff after failures.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// The backoff takes at most one part in 8 of the remaining lifetime, but at least 50 ms.
const LIFETIME_DIVISOR: u32 = 8;
const MIN_BACKOFF: Duration = Duration::from_millis(50);

/// Minimum time between refreshes if the provider returns the same credential again.
const UNCHANGED_INTERVAL: Duration = Duration::from_millis(500);

/// Time after which a local change is read again; it is used if it is unchanged.
const SETTLE_TIME: Duration = Duration::from_millis(250);

/// Minimum age of a remote credential for its rejection to cause a refresh.
const MIN_REFRESH_AGE: Duration = Duration::from_secs(5);

/// A credential in use.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) credential: Arc<Credential>,
    /// The expiry time, if it is temporary.
    pub(super) expires_at: Option<BootTime>,
    obtained_at: BootTime,
}

impl Held {
    /// Returns whether it has not expired.
    pub(super) fn is_valid(&self, now: BootTime) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// Returns the time from its receipt to its expiry, if it is temporary.
    pub(super) fn lifetime(&self) -> Option<Duration> {
        let expires_at = self.expires_at?;
        Some(expires_at.saturating_duration_since(self.obtained_at))
    }

    /// Returns whether it was obtained less than 5 s ago.
    pub(super) fn is_fresh(&self, now: BootTime) -> bool {
        now.saturating_duration_since(self.obtained_at) < MIN_REFRESH_AGE
    }
}

/// The credential of one provider or role, with its refresh schedule.
#[derive(Debug)]
pub(super) struct CachedCredential {
    pub(super) held: Option<Held>,
    /// The time of the next refresh.
    pub(super) refresh_at: BootTime,
    /// A local change that must be read again, and when it was first read.
    candidate: Option<(Credential, BootTime)>,
    failures: u32,
    /// The error of the last refresh, if it failed.
    pub(super) failure: Option<Unavailable>,
}

impl CachedCredential {
    /// Returns an empty cache, due for a refresh at once.
    pub(super) fn new(now: BootTime) -> Self {
        Self {
            held: None,
            refresh_at: now,
            candidate: None,
            failures: 0,
            failure: None,
        }
    }

    /// Stores a permanent credential of a local provider, and returns whether it has changed. The next
    /// refresh is due after `interval`.
    ///
    /// A file that is rewritten in place is incomplete for a moment. Therefore a changed credential is
    /// used only once it is read again after [`SETTLE_TIME`], unless upstream has rejected the previous one
    /// (`is_rejected`). Reads before that, as on SIGHUP, change nothing.
    pub(super) fn store_local(
        &mut self,
        credential: Credential,
        is_rejected: bool,
        now: BootTime,
        interval: Duration,
    ) -> bool {
        self.succeed();
        self.refresh_at = now + interval;
        let candidate = self.candidate.take();
        if self.holds(&credential) {
            return false;
        }
        let settle_time = SETTLE_TIME.min(interval);
        let first_read = match candidate {
            Some((candidate, first_read)) if candidate == credential => first_read,
            _ => now,
        };
        let is_settled = now >= first_read + settle_time;
        if self.held.is_some() && !is_rejected && !is_settled {
            self.candidate = Some((credential, first_read));
            self.refresh_at = first_read + settle_time;
            return false;
        }
        self.hold(credential, None, now);
        true
    }

    /// Stores a temporary credential, and returns whether it has changed.
    pub(super) fn store_temporary(&mut self, obtained: ProvidedCredential, now: BootTime) -> bool {
        self.succeed();
        let ProvidedCredential {
            credential,
            expires_at,
        } = obtained;
        let rest = expires_at.map_or(Duration::MAX, |end| end.saturating_duration_since(now));
        let part = REFRESH_AFTER * (1.0 - JITTER * fastrand::f64());
        let refresh_after = rest.min(MAX_REST).mul_f64(part);
        if self.holds(&credential) {
            // A metadata service returns the same credential until shortly before it expires.
            self.refresh_at = now + refresh_after.max(UNCHANGED_INTERVAL);
            return false;
        }
        self.refresh_at = now + refresh_after;
        self.hold(credential, expires_at, now);
        true
    }

    /// Records a failed refresh, and returns the number of consecutive failures. The next refresh is due
    /// after a backoff, which is shorter if the credential expires soon.
    pub(super) fn fail(&mut self, failure: Unavailable, now: BootTime) -> u32 {
        self.failures = self.failures.saturating_add(1);
        self.failure = Some(failure);
        self.candidate = None;
        let doubled = FIRST_BACKOFF
            .saturating_mul(1 << (self.failures - 1).min(16))
            .min(MAX_BACKOFF);
        let backoff = doubled.mul_f64(1.0 - 0.5 * fastrand::f64());
        let expires_at = self.held.as_ref().and_then(|held| held.expires_at);
        let rest = expires_at
            .map(|end| end.saturating_duration_since(now))
            .filter(|rest| !rest.is_zero());
        let most = rest.map_or(MAX_BACKOFF, |rest| rest / LIFETIME_DIVISOR);
        self.refresh_at = now + backoff.min(most).max(MIN_BACKOFF);
        self.failures
    }

    /// Returns whether the last refresh failed and its backoff has not ended.
    pub(super) fn is_backing_off(&self, now: BootTime) -> bool {
        self.failures > 0 && now < self.refresh_at
    }

    fn succeed(&mut self) {
        self.failures = 0;
        self.failure = None;
    }

    fn holds(&self, credential: &Credential) -> bool {
        self.held
            .as_ref()
            .is_some_and(|held| *held.credential == *credential)
    }

    fn hold(&mut self, credential: Credential, expires_at: Option<BootTime>, now: BootTime) {
        self.held = Some(Held {
            credential: Arc::new(credential),
            expires_at,
            obtained_at: now,
        });
    }
}

/// Bounds the remaining lifetime, so that sums of times cannot overflow.
const MAX_REST: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Clock;

    const LIFETIME: Duration = Duration::from_secs(7_200);

    fn credential(secret_id: &str) -> Credential {
        Credential::new(secret_id.to_owned(), "key".to_owned(), None).unwrap()
    }

    fn start() -> BootTime {
        Clock::system().boot_time()
    }

    fn failure() -> Unavailable {
        Unavailable {
            report: Vec::new(),
            is_transient: true,
        }
    }

    fn temporary(secret_id: &str, now: BootTime) -> ProvidedCredential {
        ProvidedCredential {
            credential: credential(secret_id),
            expires_at: Some(now + LIFETIME),
        }
    }

    #[test]
    fn a_refresh_leaves_two_thirds_of_the_lifetime_for_retries() {
        let now = start();
        let mut cached = CachedCredential::new(now);

        assert!(cached.store_temporary(temporary("a", now), now));

        let wait = cached.refresh_at.saturating_duration_since(now);
        assert!(
            (LIFETIME.mul_f64(0.29)..=LIFETIME / 3).contains(&wait),
            "{wait:?}"
        );
    }

    #[test]
    fn an_outage_of_half_a_lifetime_leaves_time_for_a_refresh() {
        let start = start();
        let mut cached = CachedCredential::new(start);
        cached.store_temporary(temporary("a", start), start);
        let over = cached.refresh_at + LIFETIME / 2;

        let mut attempts = 0;
        while cached.refresh_at < over {
            cached.fail(failure(), cached.refresh_at);
            attempts += 1;
        }

        assert!(cached.held.as_ref().unwrap().is_valid(cached.refresh_at));
        assert!((60..=500).contains(&attempts), "{attempts}");
    }

    #[test]
    fn the_backoff_shrinks_towards_the_expiry_to_a_minimum() {
        let start = start();
        let mut cached = CachedCredential::new(start);
        cached.store_temporary(temporary("a", start), start);
        let end = start + LIFETIME;

        let now = start + (LIFETIME - Duration::from_millis(800));
        cached.fail(failure(), now);
        assert!(cached.refresh_at <= now + Duration::from_millis(100));
        let now = start + (LIFETIME - Duration::from_millis(1));
        cached.fail(failure(), now);
        assert_eq!(cached.refresh_at, now + MIN_BACKOFF);
        for _ in 0..50 {
            cached.fail(failure(), end);
        }
        assert!(cached.refresh_at >= end + MAX_BACKOFF / 2);
    }

    #[test]
    fn a_local_change_is_used_when_it_is_read_again_after_a_while() {
        let start = start();
        let interval = Duration::from_secs(5);
        let [soon, later, settled] = [1, 100, 250].map(Duration::from_millis);
        let mut cached = CachedCredential::new(start);
        let mut see = |after: Duration, id, is_rejected| {
            let is_changed =
                cached.store_local(credential(id), is_rejected, start + after, interval);
            (
                is_changed,
                cached.refresh_at.saturating_duration_since(start),
            )
        };

        assert_eq!(see(Duration::ZERO, "old", false), (true, interval));
        assert_eq!(see(Duration::ZERO, "ne", false), (false, settled));
        // Twice within a moment, as SIGHUP can cause.
        assert_eq!(see(soon, "new", false), (false, soon + settled));
        assert_eq!(see(later, "new", false), (false, soon + settled));
        assert_eq!(
            see(soon + settled, "new", false),
            (true, soon + settled + interval)
        );
        assert_eq!(see(settled * 2, "half", false), (false, settled * 3));
        assert_eq!(
            see(settled * 3, "new", false),
            (false, settled * 3 + interval)
        );
        assert_eq!(see(settled * 4, "half", false), (false, settled * 5));
        // Upstream rejects the previous credential anyway.
        assert_eq!(
            see(settled * 4, "newest", true),
            (true, settled * 4 + interval)
        );
    }

    proptest! {
        /// Refreshes are scheduled by time, not by calls, so the load does not matter.
        #[test]
        fn a_refresh_runs_within_30_s_after_the_provider_has_recovered(
            lifetime in 60u64..100_000,
            outage in 0u64..200_000,
        ) {
            let start = start();
            let mut cached = CachedCredential::new(start);
            let expires_at = Some(start + Duration::from_secs(lifetime));
            let obtained = ProvidedCredential { credential: credential("a"), expires_at };
            cached.store_temporary(obtained, start);
            let back = cached.refresh_at + Duration::from_secs(outage);
            while cached.refresh_at < back {
                let refreshed = cached.refresh_at;
                cached.fail(failure(), refreshed);
                prop_assert!(cached.refresh_at >= refreshed + MIN_BACKOFF);
            }
            prop_assert!(cached.refresh_at <= back + MAX_BACKOFF);
            prop_assert!(cached.store_temporary(temporary("b", cached.refresh_at), cached.refresh_at));
        }
    }
}
