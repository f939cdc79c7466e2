//! A credential that is held, and when its source is asked again.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Credential, Unavailable, chain::Obtained};

/// The part of a temporary credential's life after which it is renewed. Two thirds are left for
/// renewals that fail.
const RENEWED_AFTER: f64 = 1.0 / 3.0;

/// How much sooner that may be, so that replicas which started together do not renew together.
const JITTER: f64 = 0.1;

/// The pauses after failures: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// The part of what is left of a credential that a pause may take, and the shortest of all.
const PART_OF_REST: u32 = 8;
const LEAST_PAUSE: Duration = Duration::from_millis(50);

/// How long a source that has nothing new yet is left alone at least.
const UNCHANGED_PAUSE: Duration = Duration::from_millis(500);

/// How long a change on this machine must stand still before it is believed.
const SETTLING: Duration = Duration::from_millis(250);

/// How old a credential from elsewhere must be for its refusal to be a reason to ask for another.
const FRESH: Duration = Duration::from_secs(5);

/// A credential in use.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) credential: Arc<Credential>,
    /// Until when it may be used, if it is temporary.
    pub(super) expires_at: Option<Instant>,
    obtained_at: Instant,
}

impl Held {
    /// Tells whether it may be used now.
    pub(super) fn is_valid(&self, now: Instant) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// Tells whether it was obtained just now.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.obtained_at) < FRESH
    }
}

/// What one source, or one role, has yielded.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) held: Option<Held>,
    /// When the source is asked again.
    pub(super) ask_at: Instant,
    /// What was seen once and must be seen again.
    candidate: Option<Credential>,
    failures: u32,
    /// Why the source gave nothing the last time it was asked, if it did not.
    pub(super) failure: Option<Unavailable>,
}

impl Layer {
    /// Returns a layer that holds nothing and whose source is asked at once.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            held: None,
            ask_at: now,
            candidate: None,
            failures: 0,
            failure: None,
        }
    }

    /// Keeps a lasting credential of this machine, and tells whether it is another than before. Its
    /// source is looked at again after `interval`.
    ///
    /// Whoever writes a file in place leaves it half written for a moment: unless the credential
    /// before is `refused`, another one counts only when it is seen twice.
    pub(super) fn keep_local(
        &mut self,
        credential: Credential,
        is_refused: bool,
        now: Instant,
        interval: Duration,
    ) -> bool {
        self.succeed();
        self.ask_at = now + interval;
        let candidate = self.candidate.take();
        if self.holds(&credential) {
            return false;
        }
        let is_settled = candidate.as_ref() == Some(&credential);
        if self.held.is_some() && !is_refused && !is_settled {
            self.candidate = Some(credential);
            self.ask_at = now + SETTLING.min(interval);
            return false;
        }
        self.hold(credential, None, now);
        true
    }

    /// Keeps a temporary credential, and tells whether it is another than before.
    pub(super) fn keep_temporary(&mut self, obtained: Obtained, now: Instant) -> bool {
        self.succeed();
        let Obtained {
            credential,
            expires_at,
        } = obtained;
        let rest = expires_at.map_or(Duration::MAX, |end| end.saturating_duration_since(now));
        let part = RENEWED_AFTER * (1.0 - JITTER * fastrand::f64());
        let renewed_after = rest.min(MAX_REST).mul_f64(part);
        if self.holds(&credential) {
            // A metadata service gives the same until shortly before its end.
            self.ask_at = now + renewed_after.max(UNCHANGED_PAUSE);
            return false;
        }
        self.ask_at = now + renewed_after;
        self.hold(credential, expires_at, now);
        true
    }

    /// Notes that the source failed, and returns how often in a row it has. It is asked again after
    /// a pause, which is the shorter the less time is left.
    pub(super) fn fail(&mut self, failure: Unavailable, now: Instant) -> u32 {
        self.failures = self.failures.saturating_add(1);
        self.failure = Some(failure);
        self.candidate = None;
        let doubled = FIRST_PAUSE
            .saturating_mul(1 << (self.failures - 1).min(16))
            .min(MAX_PAUSE);
        let pause = doubled.mul_f64(1.0 - 0.5 * fastrand::f64());
        let expires_at = self.held.as_ref().and_then(|held| held.expires_at);
        let rest = expires_at
            .map(|end| end.saturating_duration_since(now))
            .filter(|rest| !rest.is_zero());
        let most = rest.map_or(MAX_PAUSE, |rest| rest / PART_OF_REST);
        self.ask_at = now + pause.min(most).max(LEAST_PAUSE);
        self.failures
    }

    /// Tells whether the source failed the last time and is to be left alone for now.
    pub(super) fn is_resting(&self, now: Instant) -> bool {
        self.failures > 0 && now < self.ask_at
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

    fn hold(&mut self, credential: Credential, expires_at: Option<Instant>, now: Instant) {
        self.held = Some(Held {
            credential: Arc::new(credential),
            expires_at,
            obtained_at: now,
        });
    }
}

/// Keeps sums of times within what can be expressed.
const MAX_REST: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(7_200);

    fn credential(secret_id: &str) -> Credential {
        Credential::new(secret_id.to_owned(), "key".to_owned(), None).unwrap()
    }

    fn failure() -> Unavailable {
        Unavailable {
            report: Vec::new(),
            is_passing: true,
        }
    }

    fn temporary(secret_id: &str, now: Instant) -> Obtained {
        Obtained {
            credential: credential(secret_id),
            expires_at: Some(now + LIFETIME),
        }
    }

    #[test]
    fn a_renewal_leaves_two_thirds_of_the_time_to_fail() {
        let now = Instant::now();
        let mut layer = Layer::new(now);

        assert!(layer.keep_temporary(temporary("a", now), now));

        let wait = layer.ask_at - now;
        assert!(
            (LIFETIME.mul_f64(0.29)..=LIFETIME / 3).contains(&wait),
            "{wait:?}"
        );
    }

    #[test]
    fn an_outage_of_half_a_lifetime_leaves_time_for_a_renewal() {
        let start = Instant::now();
        let mut layer = Layer::new(start);
        layer.keep_temporary(temporary("a", start), start);
        let over = layer.ask_at + LIFETIME / 2;

        let mut attempts = 0;
        while layer.ask_at < over {
            layer.fail(failure(), layer.ask_at);
            attempts += 1;
        }

        assert!(layer.held.as_ref().unwrap().is_valid(layer.ask_at));
        assert!((60..=500).contains(&attempts), "{attempts}");
    }

    #[test]
    fn the_pauses_become_shorter_towards_the_end_but_not_without_bound() {
        let start = Instant::now();
        let mut layer = Layer::new(start);
        layer.keep_temporary(temporary("a", start), start);
        let end = start + LIFETIME;

        let now = end - Duration::from_millis(800);
        layer.fail(failure(), now);
        assert!(layer.ask_at - now <= Duration::from_millis(100));
        let now = end - Duration::from_millis(1);
        layer.fail(failure(), now);
        assert_eq!(layer.ask_at - now, LEAST_PAUSE);
        for _ in 0..50 {
            layer.fail(failure(), end);
        }
        assert!(layer.ask_at - end >= MAX_PAUSE / 2);
    }

    #[test]
    fn a_change_on_this_machine_counts_when_it_is_seen_twice() {
        let now = Instant::now();
        let interval = Duration::from_secs(5);
        let mut layer = Layer::new(now);
        let mut see = |id, is_refused| {
            let is_news = layer.keep_local(credential(id), is_refused, now, interval);
            (is_news, layer.ask_at - now)
        };

        assert_eq!(see("old", false), (true, interval));
        assert_eq!(see("ne", false), (false, SETTLING));
        assert_eq!(see("new", false), (false, SETTLING));
        assert_eq!(see("new", false), (true, interval));
        assert_eq!(see("half", false), (false, SETTLING));
        assert_eq!(see("new", false), (false, interval));
        // The one before is of no use anyway.
        assert_eq!(see("newest", true), (true, interval));
    }
}
