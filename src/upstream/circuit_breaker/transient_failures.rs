//! Attribution of failures with codes of the class `transient`: upstream may fail persistently for one
//! id while it serves all others, so such failures open the circuit breaker for one caller and id
//! only, until they are attributed to upstream.
//!
//! They are attributed to upstream when, since the first failure, the attempts of all other callers
//! have more failures than responses. If one caller makes all calls, its other ids count instead. When
//! upstream is down, nothing succeeds, so that the first failure of a second caller suffices, or the
//! first failure of a third id.
//!
//! Callers and ids are input from outside: they are stored as hashes with a key of this process, and
//! only up to the bounds below.

use std::hash::{BuildHasher, RandomState};

use tokio::time::Instant;

use super::{
    outcome_window::{Counts, OutcomeWindow, PART},
    recovery::{PROBE_INTERVAL, RECOVERED},
};
use crate::{context::Identity, upstream::request::ApiRequest};

/// The number of callers that are tracked. Failures of further callers are attributed to upstream,
/// which fails for many.
pub(super) const MAX_CALLERS: usize = 64;

/// The number of pairs of caller and id that are tracked. A further pair evicts the one whose last
/// failure is the oldest.
pub(super) const MAX_IDS: usize = 64;

/// The number of failed ids of one caller from which failures are attributed to upstream.
const MANY_IDS: usize = 3;

/// The caller and the request of an attempt.
#[derive(Clone, Copy, Debug)]
pub(in crate::upstream) struct Source<'a> {
    /// The caller.
    pub(in crate::upstream) caller: &'a Identity,
    /// The request.
    pub(in crate::upstream) request: &'a ApiRequest,
}

/// The failures of the last ten seconds with codes of the class `transient`.
#[derive(Debug, Default)]
pub(super) struct TransientFailures {
    hasher: RandomState,
    callers: Vec<Caller>,
    ids: Vec<Id>,
    /// The outcomes of all callers since the first of the failures.
    all: OutcomeWindow,
    /// When callers and ids without failures were last dropped.
    dropped_at: Option<Instant>,
}

/// A caller that received such a code.
#[derive(Debug)]
struct Caller {
    key: u64,
    /// The outcomes of its attempts since.
    calls: OutcomeWindow,
}

/// A pair of a caller and an id that received such a code.
#[derive(Debug)]
struct Id {
    key: u64,
    caller: u64,
    /// The outcomes of its attempts since.
    calls: OutcomeWindow,
    /// The successes since the last failure.
    successes: u32,
    failed_at: Instant,
    /// When an attempt was last admitted.
    last_admitted: Option<Instant>,
}

impl TransientFailures {
    /// Returns whether no caller has received such a code in the last ten seconds. If so, outcomes need
    /// not be recorded.
    pub(super) fn is_empty(&self) -> bool {
        self.callers.is_empty()
    }

    /// Returns whether an attempt is rejected because of its caller and id. `sample` selects the rejected
    /// attempts, as in [`CircuitBreaker::try_acquire`](crate::upstream::circuit_breaker::CircuitBreaker::try_acquire).
    pub(super) fn rejects(&mut self, source: Source<'_>, sample: f64, now: Instant) -> bool {
        self.drop_old(now);
        let Some(id) = self.id(source) else {
            return false;
        };
        let is_probe_due = id
            .last_admitted
            .is_none_or(|last| now >= last + PROBE_INTERVAL);
        if !is_probe_due && sample < id.calls.counts(now).rejected_share() {
            id.calls.add(Counts::REJECTED, now);
            return true;
        }
        id.last_admitted = Some(now);
        false
    }

    /// Records a response to any caller.
    pub(super) fn succeed(&mut self, source: Source<'_>, now: Instant) {
        self.drop_old(now);
        self.all.add(Counts::ACCEPTED, now);
        let key = self.hasher.hash_one(source.caller);
        let Some(caller) = self.callers.iter_mut().find(|caller| caller.key == key) else {
            return;
        };
        caller.calls.add(Counts::ACCEPTED, now);
        let Some(id) = self.id(source) else {
            return;
        };
        id.calls.add(Counts::ACCEPTED, now);
        id.successes += 1;
        if id.successes >= RECOVERED {
            let key = id.key;
            self.ids.retain(|id| id.key != key);
        }
    }

    /// Records an attempt that failed with such a code. Returns the share of attempts of its caller and
    /// id to reject from now on, or `None` if [`MAX_CALLERS`] other callers are tracked and the failure
    /// is not recorded.
    pub(super) fn fail(&mut self, source: Source<'_>, now: Instant) -> Option<f64> {
        self.drop_old(now);
        let caller = self.hasher.hash_one(source.caller);
        let place = self.callers.iter().position(|known| known.key == caller);
        let place = match place {
            Some(place) => place,
            None if self.callers.len() < MAX_CALLERS => {
                let calls = OutcomeWindow::default();
                self.callers.push(Caller { key: caller, calls });
                self.callers.len() - 1
            }
            None => return None,
        };
        self.callers[place].calls.add(Counts::FAILED, now);
        self.all.add(Counts::FAILED, now);
        Some(self.fail_id(caller, source, now))
    }

    /// Returns the number of failures if they are attributed to upstream, and otherwise 0.
    /// `is_one_caller` says whether one caller made all attempts of the last ten seconds.
    pub(super) fn attributed_to_upstream(&mut self, is_one_caller: bool, now: Instant) -> u64 {
        let all = self.all.counts(now);
        let of_callers = self.callers.iter_mut().map(|known| known.calls.counts(now));
        let mut is_upstream = is_beyond(all, of_callers);
        if !is_upstream && is_one_caller {
            let of_ids = self.ids.iter_mut().map(|id| id.calls.counts(now));
            let of_ids: Vec<_> = of_ids.filter(|id| id.failed > 0).collect();
            is_upstream = of_ids.len() >= MANY_IDS && is_beyond(all, of_ids.into_iter());
        }
        if is_upstream { all.failed } else { 0 }
    }

    /// Removes all failures.
    pub(super) fn clear(&mut self) {
        self.callers.clear();
        self.ids.clear();
        self.all.clear();
    }

    /// Returns the numbers of tracked callers and ids.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.callers.len(), self.ids.len())
    }

    fn fail_id(&mut self, caller: u64, source: Source<'_>, now: Instant) -> f64 {
        let key = self.key(source);
        let place = match self.ids.iter().position(|id| id.key == key) {
            Some(place) => place,
            None => {
                if self.ids.len() == MAX_IDS {
                    let ids = self.ids.iter().enumerate();
                    let oldest = ids.min_by_key(|(_, id)| id.failed_at);
                    let oldest = oldest.map_or(0, |(place, _)| place);
                    self.ids.swap_remove(oldest);
                }
                self.ids.push(Id {
                    key,
                    caller,
                    calls: OutcomeWindow::default(),
                    successes: 0,
                    failed_at: now,
                    last_admitted: None,
                });
                self.ids.len() - 1
            }
        };
        let id = &mut self.ids[place];
        id.calls.add(Counts::FAILED, now);
        id.successes = 0;
        id.failed_at = now;
        id.calls.counts(now).rejected_share()
    }

    /// Returns the pair of the attempt's caller and id if it is tracked. Reads the id only if the caller is
    /// tracked.
    fn id(&mut self, source: Source<'_>) -> Option<&mut Id> {
        let caller = self.hasher.hash_one(source.caller);
        if self.ids.iter().all(|id| id.caller != caller) {
            return None;
        }
        let key = self.key(source);
        self.ids.iter_mut().find(|id| id.key == key)
    }

    fn key(&self, source: Source<'_>) -> u64 {
        let ApiRequest {
            action,
            parameters,
            id,
            ..
        } = source.request;
        self.hasher
            .hash_one((source.caller, action, id(parameters)))
    }

    /// Drops callers and ids that have not failed in the last ten seconds, once a second.
    fn drop_old(&mut self, now: Instant) {
        if self.dropped_at.is_some_and(|last| now < last + PART) {
            return;
        }
        self.dropped_at = Some(now);
        self.callers
            .retain_mut(|caller| caller.calls.counts(now).failed > 0);
        self.ids.retain_mut(|id| id.calls.counts(now).failed > 0);
        if self.callers.is_empty() {
            self.clear();
        }
    }
}

/// Returns whether the attempts outside the worst of the `parts`, the one with the most failures, have
/// more failures than responses.
///
/// The failures are summed over the parts instead of subtracting the worst from `all`: windows begin
/// at different times, and that of a part may have dropped a second that `all` still counts.
fn is_beyond(all: Counts, parts: impl Iterator<Item = Counts>) -> bool {
    let mut worst = Counts::default();
    let mut failed = 0;
    for part in parts {
        failed += part.failed;
        if part.failed > worst.failed {
            worst = part;
        }
    }
    failed - worst.failed > all.accepted.saturating_sub(worst.accepted)
}
