//! Whether upstream is asked at all while it fails.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The stretch that counts.
const WINDOW: Duration = Duration::from_secs(10);

/// The parts in which a stretch is forgotten.
const PART: Duration = Duration::from_secs(1);

/// How many calls say anything about upstream.
const MIN_CALLS: u64 = 20;

/// How many calls may be made for each that upstream accepts.
const K: f64 = 2.0;

/// The largest share that is refused: the rest finds out when upstream is back.
const MAX_REFUSED: f64 = 0.9;

/// How long at most no attempt is let through: where there are few calls, a tenth of them would find
/// out late.
const PROBE: Duration = Duration::from_secs(1);

/// How many successes in a row tell that upstream is back.
const RECOVERED: u32 = 3;

/// Refuses calls in proportion to how many of them upstream fails.
///
/// It is the adaptive throttling of Google's [Site Reliability Engineering], chapter 21: of all calls,
/// the share `(calls - K * accepted) / (calls + 1)` of the last ten seconds is refused here. Calls
/// that are refused here count as calls too, so that the share grows while upstream is down.
///
/// [Site Reliability Engineering]: https://sre.google/sre-book/handling-overload/
#[derive(Debug)]
pub(super) struct Circuit {
    is_on: bool,
    inner: Mutex<Inner>,
}

/// What a circuit does and has done, since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CircuitState {
    /// The share of calls that is refused now, from 0, which is closed, to 0.9.
    pub refused_share: f64,
    /// The attempts that were refused.
    pub refused: u64,
    /// The attempts with which upstream failed.
    pub failures: u64,
    /// How often it opened.
    pub opened: u64,
}

/// The circuit is open for this call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Open;

impl Circuit {
    /// Returns a circuit that is closed, and stays so unless it is on.
    pub(super) fn new(is_on: bool) -> Self {
        Self {
            is_on,
            inner: Mutex::default(),
        }
    }

    /// Lets an attempt through, or not; `lot`, from 0 to 1, decides for whom the share is meant.
    ///
    /// What becomes of the attempt is told by [`succeed`](Self::succeed) or [`fail`](Self::fail), or
    /// not at all if nothing is learned from it.
    ///
    /// # Errors
    ///
    /// Fails if upstream is better not asked.
    pub(super) fn enter(&self, lot: f64, now: Instant) -> Result<(), Open> {
        let mut inner = self.lock();
        let is_probe_due = inner.let_through.is_none_or(|last| now >= last + PROBE);
        if self.is_on && lot < inner.refused_share(now) && !is_probe_due {
            inner.part(now).calls += 1;
            inner.state.refused += 1;
            return Err(Open);
        }
        inner.let_through = Some(now);
        Ok(())
    }

    /// Learns that upstream is there, whatever it answered.
    pub(super) fn succeed(&self, now: Instant) {
        let mut inner = self.lock();
        let part = inner.part(now);
        part.calls += 1;
        part.accepted += 1;
        inner.successes = inner.successes.saturating_add(1);
        if inner.is_open && inner.successes >= RECOVERED {
            inner.parts.clear();
            inner.is_open = false;
            if inner.is_told {
                inner.is_told = false;
                tracing::info!("upstream is back: calls are no longer refused");
            }
        }
    }

    /// Learns that upstream failed an attempt.
    pub(super) fn fail(&self, now: Instant) {
        let mut inner = self.lock();
        inner.part(now).calls += 1;
        inner.state.failures += 1;
        inner.successes = 0;
        inner.open(self.is_on, now);
    }

    /// Returns what it does and has done.
    pub(super) fn state(&self, now: Instant) -> CircuitState {
        let mut inner = self.lock();
        let refused_share = if self.is_on {
            inner.refused_share(now)
        } else {
            0.0
        };
        CircuitState {
            refused_share,
            ..inner.state
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Inner {
    parts: VecDeque<Part>,
    /// The successes since the last failure.
    successes: u32,
    /// When an attempt was last let through.
    let_through: Option<Instant>,
    is_open: bool,
    /// When the log was last told that it opened, and whether it is to be told the end.
    told: Option<Instant>,
    is_told: bool,
    state: CircuitState,
}

/// What happened in one second.
#[derive(Clone, Copy, Debug)]
struct Part {
    since: Instant,
    calls: u64,
    accepted: u64,
}

impl Inner {
    /// Returns the share of calls to refuse.
    fn refused_share(&mut self, now: Instant) -> f64 {
        self.age(now);
        let calls: u64 = self.parts.iter().map(|part| part.calls).sum();
        let accepted: u64 = self.parts.iter().map(|part| part.accepted).sum();
        if calls < MIN_CALLS || self.successes >= RECOVERED {
            return 0.0;
        }
        let (calls, accepted) = (calls as f64, accepted as f64);
        ((calls - K * accepted) / (calls + 1.0)).clamp(0.0, MAX_REFUSED)
    }

    /// Notes whether calls are refused from now on.
    fn open(&mut self, is_on: bool, now: Instant) {
        let was_open = self.is_open;
        self.is_open = is_on && self.refused_share(now) > 0.0;
        if !self.is_open || was_open {
            return;
        }
        self.state.opened += 1;
        // An upstream that fails half of the time opens it again and again.
        if self.told.is_none_or(|told| now >= told + WINDOW) {
            self.told = Some(now);
            self.is_told = true;
            tracing::warn!("upstream fails: a share of the calls is refused until it is back");
        }
    }

    /// Returns the part that `now` belongs to.
    fn part(&mut self, now: Instant) -> &mut Part {
        self.age(now);
        if self
            .parts
            .back()
            .is_none_or(|part| now >= part.since + PART)
        {
            self.parts.push_back(Part {
                since: now,
                calls: 0,
                accepted: 0,
            });
        }
        let last = self.parts.len() - 1;
        &mut self.parts[last]
    }

    fn age(&mut self, now: Instant) {
        while self
            .parts
            .front()
            .is_some_and(|part| now >= part.since + WINDOW)
        {
            self.parts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
