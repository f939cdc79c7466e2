//! Client-side rate limiter: admits attempts at the rate of the account's quota, in a fair queue by
//! caller. It has no background task: one of the waiters drives the timer for all of them, that is, it
//! sleeps until the next attempt may be sent and then admits the first in the queue. When it leaves,
//! another waiter takes over. It does not know what it admits, nor why attempts fail.

mod adaptive_rate;
mod fair_queue;
mod pacer;
mod quota;
mod sliding_window;
mod throughput_meter;

use std::{
    cmp::Reverse,
    num::NonZeroU32,
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use self::{
    fair_queue::{FairQueue, Ticket},
    quota::{Grant, Quota},
};
use crate::{config, context::Identity};

/// A rate limiter with a fair queue by caller.
#[derive(Debug)]
pub(super) struct Limiter(Mutex<Inner>);

/// State of the rate limiter, and its counters since the start of the process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LimiterState {
    /// The configured rate, in attempts per second.
    pub rate: Option<NonZeroU32>,
    /// The adaptive rate, in attempts per second; `None` unless upstream has throttled in the last
    /// 15 s.
    pub adaptive_rate: Option<f64>,
    /// Attempts in the queue.
    pub waiting: usize,
    /// Callers with attempts in the queue.
    pub callers_waiting: usize,
    /// Attempts admitted.
    pub admitted: u64,
    /// The sum of the waits of admitted attempts.
    pub waited: Duration,
    /// Attempts rejected because they would have been admitted too late.
    pub rejected: u64,
    /// Attempts cancelled in the queue.
    pub cancelled: u64,
    /// Attempts throttled by upstream.
    pub throttled: u64,
}

/// A caller whose attempts wait for the rate limiter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WaitingCaller {
    /// The caller.
    pub caller: Identity,
    /// Its attempts in the queue.
    pub attempts: usize,
    /// How long the first of them has waited.
    pub longest: Duration,
}

/// A rejection: the attempt would be admitted too late.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct TooLate {
    /// The expected wait.
    pub(super) wait: Duration,
}

impl TooLate {
    fn of(wait: Duration) -> Self {
        // A client told to wait for 0 ms would retry at once.
        Self {
            wait: wait.max(Duration::from_millis(1)),
        }
    }
}

impl Limiter {
    /// Creates a limiter by `settings`. It admits everything if neither rate is configured.
    pub(super) fn new(settings: &config::Quota) -> Self {
        Self(Mutex::new(Inner {
            quota: Quota::new(settings),
            queue: FairQueue::new(),
            has_timer_driver: false,
            counts: LimiterState::default(),
        }))
    }

    /// Waits until an attempt of `caller` may be sent. Cancel safe: dropping the future leaves the
    /// queue.
    ///
    /// # Errors
    ///
    /// Fails at once if the attempt would be admitted after `latest`. Fails later if attempts of other
    /// callers that arrive meanwhile delay it beyond `latest`: the queue is fair by caller, not first
    /// in, first out.
    pub(super) async fn acquire(&self, caller: &Identity, latest: Instant) -> Result<(), TooLate> {
        let Some(mut queued) = self.enqueue(caller, latest)? else {
            return Ok(());
        };
        loop {
            match queued.poll() {
                Wake::Admitted => return Ok(()),
                Wake::TooLate(too_late) => return Err(too_late),
                Wake::At(moment) => tokio::select! {
                    () = queued.waiter.wake.notified() => {}
                    () = sleep_until(moment) => {}
                },
            }
        }
    }

    /// Returns whether the limiter slows down when upstream throttles.
    pub(super) fn is_adaptive(&self) -> bool {
        self.0.lock().quota.is_adaptive()
    }

    /// Records that upstream did not throttle an attempt sent at `sent`.
    pub(super) fn accept(&self, sent: Instant) {
        self.0.lock().quota.accept(sent);
    }

    /// Records that upstream throttled an attempt sent at `sent`.
    pub(super) fn throttle(&self, sent: Instant, now: Instant) {
        let mut inner = self.0.lock();
        inner.counts.throttled += 1;
        inner.quota.throttle(sent, now);
    }

    /// Returns which rate limit is in force, and the number of attempts that would be admitted before one of
    /// `caller`.
    pub(super) fn queue(&self, caller: &Identity) -> (&'static str, usize) {
        let inner = self.0.lock();
        let by = match inner.quota.adaptive_rate(Instant::now()) {
            Some(_) => "adaptive",
            None => "configured",
        };
        (by, inner.queue.position(caller))
    }

    /// Returns the state and counters.
    pub(super) fn state(&self, now: Instant) -> LimiterState {
        let inner = self.0.lock();
        LimiterState {
            rate: inner.quota.rate(),
            adaptive_rate: inner.quota.adaptive_rate(now),
            waiting: inner.queue.len(),
            callers_waiting: inner.queue.callers(),
            ..inner.counts.clone()
        }
    }

    /// Returns the callers whose attempts wait, those with the most attempts first, at most `max`.
    pub(super) fn waiting_callers(&self, max: usize, now: Instant) -> Vec<WaitingCaller> {
        let inner = self.0.lock();
        let mut callers: Vec<_> = inner.queue.by_caller().collect();
        callers.sort_by_key(|(_, attempts, first)| (Reverse(*attempts), first.since));
        let callers = callers.into_iter().take(max);
        let callers = callers.map(|(caller, attempts, first)| WaitingCaller {
            caller: caller.clone(),
            attempts,
            longest: now.saturating_duration_since(first.since),
        });
        callers.collect()
    }

    /// Admits an attempt at once, or adds it to the queue.
    fn enqueue(&self, caller: &Identity, latest: Instant) -> Result<Option<Queued<'_>>, TooLate> {
        let mut inner = self.0.lock();
        // A time read before the lock was acquired may be out of date.
        let now = Instant::now();
        inner.admit_due(now);
        let position = inner.queue.position(caller);
        let available_at = inner.quota.available_at(position, now);
        if position == 0 && inner.queue.len() == 0 && available_at <= now {
            inner.take(now, Duration::ZERO);
            return Ok(None);
        }
        if available_at > latest {
            inner.counts.rejected += 1;
            return Err(TooLate::of(available_at - now));
        }
        let waiter = Arc::new(Waiter {
            since: now,
            latest,
            wake: Notify::new(),
            verdict: OnceLock::new(),
        });
        let ticket = inner.queue.push(caller.clone(), Arc::clone(&waiter));
        Ok(Some(Queued {
            limiter: self,
            caller: caller.clone(),
            ticket,
            waiter,
            drives_timer: false,
            is_complete: false,
        }))
    }
}

#[derive(Debug)]
struct Inner {
    quota: Quota,
    queue: FairQueue<Identity, Arc<Waiter>>,
    /// Whether a waiter sleeps until the next attempt may be sent.
    has_timer_driver: bool,
    counts: LimiterState,
}

impl Inner {
    /// Admits the waiters that are due.
    fn admit_due(&mut self, now: Instant) {
        while self.queue.len() > 0 && self.quota.available_at(0, now) <= now {
            let Some(waiter) = self.queue.pop() else {
                return;
            };
            if waiter.latest + GRACE < now {
                waiter.end(Verdict::TooLate);
            } else {
                waiter.end(Verdict::Admitted(self.take(now, now - waiter.since)));
            }
        }
    }

    fn take(&mut self, now: Instant, waited: Duration) -> Grant {
        self.counts.admitted += 1;
        self.counts.waited += waited;
        self.quota.take(now)
    }
}

/// How late a waiter may be admitted if the expected time was early enough: timers are late by a
/// millisecond or two.
const GRACE: Duration = Duration::from_millis(5);

/// The part of a waiter that the queue holds.
#[derive(Debug)]
struct Waiter {
    since: Instant,
    latest: Instant,
    /// Notified when the verdict is set, and when this waiter must take over the timer.
    wake: Notify,
    verdict: OnceLock<Verdict>,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Admitted(Grant),
    TooLate,
}

impl Waiter {
    fn end(&self, verdict: Verdict) {
        // Cannot fail: a waiter leaves the queue before its verdict is set, so it is set only once.
        let _ = self.verdict.set(verdict);
        self.wake.notify_one();
    }
}

/// The part of a waiter that its own future holds.
struct Queued<'a> {
    limiter: &'a Limiter,
    caller: Identity,
    ticket: Ticket<Identity>,
    waiter: Arc<Waiter>,
    drives_timer: bool,
    /// Whether the attempt was admitted or rejected.
    is_complete: bool,
}

/// What a waiter does next.
enum Wake {
    Admitted,
    At(Instant),
    TooLate(TooLate),
}

impl Queued<'_> {
    /// Admits all waiters that are due, and returns what this one does next.
    fn poll(&mut self) -> Wake {
        let mut inner = self.limiter.0.lock();
        let now = Instant::now();
        inner.admit_due(now);
        let verdict = self.waiter.verdict.get();
        self.is_complete = true;
        if let Some(Verdict::Admitted(_)) = verdict {
            return Wake::Admitted;
        }
        if verdict == Some(&Verdict::TooLate) || now >= self.waiter.latest {
            inner.queue.remove(&self.ticket);
            inner.counts.rejected += 1;
            let position = inner.queue.position(&self.caller);
            let wait = inner.quota.available_at(position, now) - now;
            return Wake::TooLate(TooLate::of(wait));
        }
        self.is_complete = false;
        if !inner.has_timer_driver {
            inner.has_timer_driver = true;
            self.drives_timer = true;
        }
        if self.drives_timer {
            Wake::At(inner.quota.available_at(0, now).min(self.waiter.latest))
        } else {
            Wake::At(self.waiter.latest)
        }
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let mut inner = self.limiter.0.lock();
        if !self.is_complete {
            inner.counts.cancelled += 1;
            let was_queued = inner.queue.remove(&self.ticket).is_some();
            if let Some(Verdict::Admitted(grant)) =
                self.waiter.verdict.get().filter(|_| !was_queued)
            {
                inner.quota.refund(*grant);
                inner.counts.admitted -= 1;
            }
        }
        if self.drives_timer {
            inner.has_timer_driver = false;
        }
        inner.admit_due(Instant::now());
        if !inner.has_timer_driver
            && let Some(first) = inner.queue.first()
        {
            first.wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
