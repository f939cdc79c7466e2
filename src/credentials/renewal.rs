//! Credential renewal: shares the current credential among all calls, and refreshes it in a background
//! task, on SIGHUP, and when upstream rejects it. Concurrent refreshes are merged into one.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, Notify, watch},
    time::sleep,
};

use super::{
    cached_credential::Held,
    caching_provider::{CachingProvider, RefreshFailure, RefreshOutcome, RefreshReason},
    credential::Credential,
    unavailable::Unavailable,
};
use crate::{
    clock::{BootTime, Clock},
    files::reload_requests::ReloadRequests,
};

/// Maximum sleep of the background task. Timers stop while the machine is suspended: a refresh that
/// becomes due meanwhile runs within this time after the resume, or at once if a call needs it.
const MAX_SLEEP: Duration = Duration::from_secs(30);

/// The current credential and its refreshes.
#[derive(Debug)]
pub(super) struct Renewal {
    /// Locked during a refresh, so that calls that fail together cause one refresh.
    provider: Mutex<CachingProvider>,
    state: watch::Sender<State>,
    /// Wakes the background task, for a call that finds no valid credential.
    wake: Notify,
    clock: Clock,
}

/// Refresh counters since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RefreshCounters {
    /// The number of times that the credential was replaced, including the first.
    pub replaced: u64,
    /// The number of failed refreshes.
    pub failed: u64,
    /// The remaining lifetime of the credential; `None` if it is permanent or there is none.
    pub expires_in: Option<Duration>,
    /// The lifetime of the credential when it was obtained; `None` if it is permanent or there is none.
    pub lifetime: Option<Duration>,
    /// Whether a failing refresh has left less than half of the lifetime.
    pub is_overdue: bool,
}

#[derive(Debug)]
struct State {
    held: Option<Held>,
    /// The time of the next refresh. In the past during a refresh, and still so if the refresh is
    /// cancelled, so that the background task repeats it.
    refresh_at: BootTime,
    failure: Option<Unavailable>,
    /// The name of the selected provider.
    provider: Option<&'static str>,
    is_refreshing: bool,
    replaced: u64,
    failed: u64,
}

impl State {
    fn now(&self, clock: &Clock) -> Result<Arc<Credential>, Unavailable> {
        // On the path of every call: the clock is not read for a permanent credential.
        let is_valid = |held: &Held| held.expires_at.is_none() || held.is_valid(clock.boot_time());
        match &self.held {
            Some(held) if is_valid(held) => return Ok(Arc::clone(&held.credential)),
            Some(_) | None => {}
        }
        Err(self.failure.clone().unwrap_or_else(|| Unavailable {
            report: vec!["no provider has responded yet".to_owned()],
            is_transient: true,
        }))
    }

    fn counters(&self, now: BootTime) -> RefreshCounters {
        let held = self.held.as_ref();
        let expires_at = held.and_then(|held| held.expires_at);
        let expires_in = expires_at.map(|end| end.saturating_duration_since(now));
        let lifetime = held.and_then(Held::lifetime);
        let is_half_over =
            matches!((expires_in, lifetime), (Some(rest), Some(all)) if rest < all / 2);
        RefreshCounters {
            replaced: self.replaced,
            failed: self.failed,
            expires_in,
            lifetime,
            is_overdue: is_half_over && self.failure.is_some(),
        }
    }
}

impl Renewal {
    /// Returns a renewal that starts with the cached credential of `provider`.
    pub(super) fn new(provider: CachingProvider, clock: Clock) -> Self {
        let held = provider.held();
        let state = State {
            replaced: held.is_some().into(),
            held,
            refresh_at: provider.next(),
            failure: None,
            provider: provider.selected(),
            is_refreshing: false,
            failed: 0,
        };
        Self {
            provider: Mutex::new(provider),
            state: watch::Sender::new(state),
            wake: Notify::new(),
            clock,
        }
    }

    /// Returns the current credential. If there is none, waits for a refresh in progress or due. After a
    /// suspend, a credential may have expired before its refresh.
    pub(super) async fn current(&self) -> Result<Arc<Credential>, Unavailable> {
        let now = self.now();
        if now.is_ok() {
            return now;
        }
        self.wake.notify_one();
        let mut state = self.state.subscribe();
        let is_settled = |state: &State| {
            let is_due = state.is_refreshing || self.is_due(state);
            (state.failure.is_some() && !is_due) || state.now(&self.clock).is_ok()
        };
        // Fails only if the sender is dropped, which `self` owns.
        let _ = state.wait_for(is_settled).await;
        self.now()
    }

    /// Returns the current credential without waiting.
    pub(super) fn now(&self) -> Result<Arc<Credential>, Unavailable> {
        self.state.borrow().now(&self.clock)
    }

    fn is_due(&self, state: &State) -> bool {
        state.refresh_at <= self.clock.boot_time()
    }

    /// Waits until a refresh is due.
    async fn due(&self) {
        loop {
            let now = self.clock.boot_time();
            let refresh_at = self.state.borrow().refresh_at;
            let rest = refresh_at.saturating_duration_since(now);
            if rest.is_zero() {
                return;
            }
            tokio::select! {
                () = sleep(rest.min(MAX_SLEEP)) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Refreshes because upstream rejected `rejected`, and returns whether the credential has changed.
    pub(super) async fn replace(&self, rejected: &Arc<Credential>) -> bool {
        let is_another = || {
            let current = self.now();
            current.is_ok_and(|current| *current != **rejected)
        };
        let mut provider = self.provider.lock().await;
        if is_another() {
            return true;
        }
        self.refresh_locked(&mut provider, RefreshReason::Rejected)
            .await;
        // The next refresh may be due earlier than before.
        self.wake.notify_one();
        is_another()
    }

    /// Refreshes the credentials that `reason` applies to.
    pub(super) async fn refresh(&self, reason: RefreshReason) {
        let mut provider = self.provider.lock().await;
        self.refresh_locked(&mut provider, reason).await;
    }

    /// Waits until `is_reached` returns `true` for the counters.
    pub(super) async fn until(&self, mut is_reached: impl FnMut(&RefreshCounters) -> bool) {
        let mut state = self.state.subscribe();
        let _ = state
            .wait_for(|state| is_reached(&state.counters(self.clock.boot_time())))
            .await;
    }

    pub(super) fn failure(&self) -> Option<Unavailable> {
        self.state.borrow().failure.clone()
    }

    pub(super) fn provider(&self) -> Option<&'static str> {
        self.state.borrow().provider
    }

    pub(super) fn counters(&self) -> RefreshCounters {
        self.state.borrow().counters(self.clock.boot_time())
    }

    async fn refresh_locked(&self, provider: &mut CachingProvider, reason: RefreshReason) {
        let refreshing = Refreshing::begin(&self.state, self.clock.boot_time());
        let outcome = provider.refresh(reason).await;
        self.adopt(outcome, provider);
        drop(refreshing);
    }

    /// Publishes the result of a refresh, and then logs it, so that a credential is in use once the log
    /// says so.
    fn adopt(&self, outcome: RefreshOutcome, provider: &CachingProvider) {
        let failure = provider.failure();
        let RefreshOutcome {
            held,
            failure: failed,
        } = outcome;
        let before = self.state.borrow().held.clone();
        let is_another = |held: &Held| {
            let before = before.as_ref();
            before.is_none_or(|before| !Arc::ptr_eq(&before.credential, &held.credential))
        };
        let replacement = held.clone().filter(is_another);
        let is_recovered = failure.is_none() && self.failure().is_some();
        self.state.send_modify(|state| {
            state.held = held;
            state.refresh_at = provider.next();
            state.failure = failure;
            state.provider = provider.selected();
            state.replaced += u64::from(replacement.is_some());
            state.failed += u64::from(failed.is_some());
        });

        if let Some(failed) = &failed {
            self.log_failure(failed);
        }
        if let Some(held) = replacement {
            let expires_in = held
                .expires_at
                .map(|end| end.saturating_duration_since(self.clock.boot_time()));
            let expires_in_s = expires_in.map(|rest| rest.as_secs());
            match before {
                None => tracing::info!(expires_in_s, "credentials loaded"),
                Some(_) => tracing::info!(expires_in_s, "credential rotated"),
            }
        }
        if is_recovered {
            tracing::info!("credential provider recovered");
        }
    }

    fn log_failure(&self, failed: &RefreshFailure) {
        let RefreshFailure {
            error,
            count,
            is_local,
        } = failed;
        let is_valid = self.now().is_ok();
        // A file is read every few seconds, so repeated failures are logged at increasing intervals.
        if *is_local && !count.is_power_of_two() {
            tracing::debug!(error.message = %error, failures = count, "credential refresh still failing");
        } else if is_valid {
            tracing::warn!(error.message = %error, failures = count, "credential refresh failed, keeping current credential");
        } else {
            tracing::error!(error.message = %error, failures = count, "no valid credential");
        }
    }
}

/// Marks a refresh as in progress until it is dropped, since a refresh may be cancelled.
struct Refreshing<'a>(&'a watch::Sender<State>);

impl<'a> Refreshing<'a> {
    fn begin(state: &'a watch::Sender<State>, now: BootTime) -> Self {
        state.send_modify(|state| {
            state.is_refreshing = true;
            state.refresh_at = now;
        });
        Self(state)
    }
}

impl Drop for Refreshing<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|state| state.is_refreshing = false);
    }
}

/// Refreshes the credential whenever it is due, and on request of the operator.
pub(super) async fn keep_current(renewal: Arc<Renewal>, mut requests: ReloadRequests) {
    loop {
        let reason = tokio::select! {
            () = renewal.due() => RefreshReason::Due,
            () = requests.next() => {
                tracing::info!(signal = "SIGHUP", "credential reload requested");
                RefreshReason::Requested
            }
        };
        renewal.refresh(reason).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use proptest::prelude::*;
    use tokio::{sync::mpsc, time::Instant};

    use super::*;
    use crate::credentials::{callback::Callback, provider_chain::ProviderChain};

    const INTERVAL: Duration = Duration::from_secs(3_600);

    fn credential() -> Credential {
        Credential::new("id".to_owned(), "key".to_owned(), None).unwrap()
    }

    proptest! {
        #[test]
        fn a_refresh_due_while_suspended_runs_within_30_s_after_the_resume(
            awake in 0u64..3_600,
            suspended in 0u64..10_000,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            let (awake, suspended) = (Duration::from_secs(awake), Duration::from_secs(suspended));
            let asked = runtime.block_on(async {
                let start = Instant::now();
                let seconds = Arc::new(AtomicU64::new(0));
                let in_suspend = Arc::clone(&seconds);
                let clock = Clock::system().with_time_since_boot(move || {
                    start.elapsed() + Duration::from_secs(in_suspend.load(Ordering::Relaxed))
                });
                let (asked, mut is_asked) = mpsc::unbounded_channel();
                let chain = ProviderChain::of(Box::new(Callback(move || {
                    asked.send(start.elapsed()).unwrap();
                    Ok(credential())
                })));
                let provider = CachingProvider::of(chain, credential(), INTERVAL, clock.clone());
                let renewal = Arc::new(Renewal::new(provider, clock));
                tokio::spawn(keep_current(renewal, ReloadRequests::none()));

                sleep(awake).await;
                seconds.store(suspended.as_secs(), Ordering::Relaxed);
                is_asked.recv().await.unwrap()
            });

            let due = INTERVAL.saturating_sub(suspended).max(awake);
            prop_assert!(due <= asked && asked <= due + MAX_SLEEP, "{:?} {:?}", asked, due);
        }
    }
}
