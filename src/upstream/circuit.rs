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
    /// The calls that were refused.
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
        if self.is_on && lot < inner.refused_share(now) {
            inner.part(now).calls += 1;
            inner.state.refused += 1;
            return Err(Open);
        }
        Ok(())
    }

    /// Learns that upstream is there, whatever it answered.
    pub(super) fn succeed(&self, now: Instant) {
        let mut inner = self.lock();
        let part = inner.part(now);
        part.calls += 1;
        part.accepted += 1;
        inner.successes = inner.successes.saturating_add(1);
        inner.open(self.is_on, now);
        if inner.is_open && inner.successes >= RECOVERED {
            inner.parts.clear();
            inner.is_open = false;
            tracing::info!("upstream is back: calls are no longer refused");
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
    is_open: bool,
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
        if calls < MIN_CALLS {
            return 0.0;
        }
        let (calls, accepted) = (calls as f64, accepted as f64);
        ((calls - K * accepted) / (calls + 1.0)).clamp(0.0, MAX_REFUSED)
    }

    /// Notes that calls are refused from now on, if they are.
    fn open(&mut self, is_on: bool, now: Instant) {
        if is_on && !self.is_open && self.refused_share(now) > 0.0 {
            self.is_open = true;
            self.state.opened += 1;
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STEP: Duration = Duration::from_millis(50);

    fn circuit() -> (Circuit, Instant) {
        (Circuit::new(true), Instant::now())
    }

    /// Makes calls one step apart, of which upstream fails all or none, and returns how many were
    /// refused here. The lots are those of a low-discrepancy sequence.
    fn calls(circuit: &Circuit, now: &mut Instant, count: u32, is_up: bool) -> u32 {
        (0..count)
            .filter(|number| {
                *now += STEP;
                let lot = (f64::from(*number) * 0.618_034).fract();
                let is_refused = circuit.enter(lot, *now).is_err();
                match is_refused {
                    true => {}
                    false if is_up => circuit.succeed(*now),
                    false => circuit.fail(*now),
                }
                is_refused
            })
            .count() as u32
    }

    #[test]
    fn an_upstream_that_fails_is_asked_a_tenth_as_often_and_all_the_time_once_it_is_back() {
        let (circuit, mut now) = circuit();
        assert_eq!(calls(&circuit, &mut now, 100, true), 0);

        calls(&circuit, &mut now, 200, false);
        let refused = calls(&circuit, &mut now, 1_000, false);
        assert!((880..=920).contains(&refused), "{refused}");
        assert_eq!(circuit.state(now).refused_share, MAX_REFUSED);
        assert_eq!(circuit.state(now).opened, 1);

        let refused = calls(&circuit, &mut now, 60, true);
        assert!(refused < 40, "{refused}");
        assert_eq!(calls(&circuit, &mut now, 1_000, true), 0);
    }

    #[test]
    fn fewer_than_20_calls_say_nothing() {
        let (circuit, mut now) = circuit();
        assert_eq!(calls(&circuit, &mut now, 19, false), 0);
        assert_eq!(circuit.state(now).refused_share, 0.0);
        calls(&circuit, &mut now, 1, false);
        assert!(circuit.state(now).refused_share > 0.0);
    }

    #[test]
    fn what_was_10_seconds_ago_is_forgotten() {
        let (circuit, mut now) = circuit();
        calls(&circuit, &mut now, 100, false);
        assert_eq!(circuit.state(now + WINDOW + PART).refused_share, 0.0);
    }

    #[test]
    fn a_circuit_that_is_off_refuses_nothing() {
        let (circuit, mut now) = (Circuit::new(false), Instant::now());
        assert_eq!(calls(&circuit, &mut now, 1_000, false), 0);
        assert_eq!(circuit.state(now).failures, 1_000);
    }

    proptest! {
        /// Ten seconds are not over, so nothing is forgotten but by recovery.
        #[test]
        fn the_share_is_that_of_the_book(
            outcomes in proptest::collection::vec((any::<bool>(), 0u64..20), 1..500),
        ) {
            let (circuit, mut now) = circuit();
            let (mut calls, mut accepted, mut in_a_row, mut is_open) = (0.0, 0.0, 0, false);
            for (is_up, pause) in outcomes {
                now += Duration::from_millis(pause);
                calls += 1.0;
                if is_up {
                    accepted += 1.0;
                    in_a_row += 1;
                    circuit.succeed(now);
                } else {
                    in_a_row = 0;
                    circuit.fail(now);
                }
                let share_of_the_book = |calls: f64, accepted: f64| match calls {
                    0.0..20.0 => 0.0,
                    _ => ((calls - K * accepted) / (calls + 1.0)).clamp(0.0, MAX_REFUSED),
                };
                is_open |= share_of_the_book(calls, accepted) > 0.0;
                if is_open && in_a_row >= RECOVERED {
                    (calls, accepted, is_open) = (0.0, 0.0, false);
                }
                let expected = share_of_the_book(calls, accepted);
                let share = circuit.state(now).refused_share;
                prop_assert!((share - expected).abs() < 1e-9);
                prop_assert_eq!(circuit.enter(share, now), Ok(()));
            }
        }
    }
}
