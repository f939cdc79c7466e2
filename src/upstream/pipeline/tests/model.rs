//! Reference model of the cache and of singleflight: processes one event after another, with times in
//! tenths of a second.

use std::collections::HashMap;

use super::{
    UpstreamOutcome,
    state::{Caller, End, Entry, InFlight, Key, Kind, Time, is_negative},
};
use crate::{config, context::Origin};

/// The maximum duration of a refresh.
pub(super) const MAX_CALL_TIME: Time = 100;

/// The pause after a failed refresh.
const PAUSE: Time = 10;

#[derive(Debug)]
pub(super) struct Model {
    is_sharing: bool,
    ttl: Time,
    negative_ttl: Time,
    while_revalidating: Time,
    if_error: Time,
    pub(super) now: Time,
    pub(super) is_other_account: bool,
    entries: HashMap<Key, Entry>,
    pub(super) in_flight: Vec<InFlight>,
    callers: Vec<Caller>,
    numbers: usize,
}

impl Model {
    pub(super) fn new(settings: &config::Cache) -> Self {
        let tenths = |duration: std::time::Duration| duration.as_secs() * 10;
        Self {
            is_sharing: settings.is_sharing,
            ttl: tenths(settings.ttl),
            negative_ttl: tenths(settings.negative_ttl.min(settings.ttl)),
            while_revalidating: tenths(settings.stale_while_revalidate),
            if_error: tenths(settings.stale_if_error),
            now: 0,
            is_other_account: false,
            entries: HashMap::new(),
            in_flight: Vec::new(),
            callers: Vec::new(),
            numbers: 0,
        }
    }

    pub(super) fn call(&mut self, id: u8, timeout: Time, is_uncached: bool) {
        let key = Key {
            is_other_account: self.is_other_account,
            id,
        };
        let caller = self.callers.len();
        let is_caching = self.ttl > 0 && !is_uncached;
        self.callers.push(Caller {
            key,
            deadline: self.now + timeout,
            fallback_at: None,
            falls_back: is_caching,
            origin: Some(Origin::Miss),
            end: None,
            is_cancelled: false,
        });
        if is_uncached {
            return self.begin(key, Kind::Own { is_cached: false }, vec![caller]);
        }
        if let Some(entry) = self.entries.get(&key).copied() {
            if self.is_fresh(entry) {
                return self.serve(caller, Origin::Hit, entry);
            }
            if self.is_stale(entry, self.while_revalidating) {
                if self.now >= entry.pause_ends && self.shared_request(key).is_none() {
                    self.begin(key, Kind::Refresh(entry.number), Vec::new());
                }
                return self.serve(caller, Origin::Stale, entry);
            }
            if self.is_stale(entry, self.if_error) {
                self.callers[caller].fallback_at = Some(self.now + timeout - 1);
            }
        }
        if !self.is_sharing {
            return self.begin(
                key,
                Kind::Own {
                    is_cached: is_caching,
                },
                vec![caller],
            );
        }
        match self.shared_request(key) {
            Some(shared_request) => {
                self.in_flight[shared_request].waiters.push(caller);
                self.callers[caller].origin = Some(Origin::Shared);
            }
            None => self.begin(key, Kind::Shared, vec![caller]),
        }
    }

    /// Completes an upstream request.
    pub(super) fn complete(&mut self, number: usize, outcome: UpstreamOutcome) {
        let index = self
            .in_flight
            .iter()
            .position(|in_flight| in_flight.number == number);
        let in_flight = self.in_flight.remove(index.unwrap());
        let key = in_flight.key;
        let is_cached = self.ttl > 0
            && in_flight.kind != (Kind::Own { is_cached: false })
            && key.is_other_account == self.is_other_account
            && (outcome == UpstreamOutcome::Found || is_negative(outcome));
        if is_cached {
            let entry = Entry {
                number,
                outcome,
                received: self.now,
                pause_ends: self.now,
            };
            self.entries.insert(key, entry);
        }
        if let Kind::Refresh(refreshed) = in_flight.kind
            && let Some(entry) = self.entries.get_mut(&key)
            && entry.number == refreshed
        {
            entry.pause_ends = self.now + PAUSE;
        }
        for waiter in in_flight.waiters {
            let is_transient = matches!(
                outcome,
                UpstreamOutcome::Unreachable
                    | UpstreamOutcome::Throttled
                    | UpstreamOutcome::Transient
            );
            if !(is_transient && self.fall_back(waiter)) {
                let origin = self.callers[waiter].origin;
                self.callers[waiter].end = Some(End::Completed {
                    origin,
                    age: 0,
                    outcome,
                    number,
                });
            }
        }
    }

    /// Cancels a call.
    pub(super) fn cancel(&mut self, caller: usize) {
        self.callers[caller].is_cancelled = true;
        self.stop_waiting(caller);
    }

    /// Returns the time of the next event, at most `until`.
    pub(super) fn next(&self, until: Time) -> Time {
        let waiting = self.callers.iter().filter(|caller| caller.is_waiting());
        let of_callers = waiting.flat_map(|caller| [Some(caller.deadline), caller.fallback_at]);
        let of_requests = self.in_flight.iter().map(InFlight::deadline);
        of_callers
            .chain(of_requests)
            .flatten()
            .fold(until, Time::min)
    }

    /// Advances the time to `now`, before which there is no event.
    pub(super) fn pass(&mut self, now: Time) {
        self.now = now;
        let before: Vec<_> = self
            .in_flight
            .iter()
            .map(|in_flight| in_flight.waiters.clone())
            .collect();
        let expired: Vec<_> = self
            .in_flight
            .iter()
            .map(|in_flight| in_flight.deadline() == Some(now))
            .collect();
        let numbers: Vec<_> = self
            .in_flight
            .iter()
            .map(|in_flight| in_flight.number)
            .collect();

        for caller in 0..self.callers.len() {
            if self.callers[caller].is_waiting() && self.callers[caller].fallback_at == Some(now) {
                self.callers[caller].fallback_at = None;
                if self.fall_back(caller) {
                    self.stop_waiting(caller);
                }
                self.callers[caller].falls_back = false;
            }
        }
        for ((number, was_waiting), is_expired) in numbers.into_iter().zip(before).zip(expired) {
            if is_expired {
                self.expire(number, &was_waiting);
            }
        }
        for caller in 0..self.callers.len() {
            if self.callers[caller].is_waiting() && self.callers[caller].deadline == now {
                self.callers[caller].end = Some(End::Late);
                self.stop_waiting(caller);
            }
        }
    }

    /// Returns how a call ended, or `None` if it is in progress.
    pub(super) fn end(&self, caller: usize) -> Option<End> {
        self.callers[caller].end
    }

    /// Returns the number of shared and background requests in flight, and the number of their waiters.
    pub(super) fn singleflight(&self) -> (usize, usize) {
        let singleflight = self
            .in_flight
            .iter()
            .filter(|in_flight| in_flight.is_shared());
        singleflight.fold((0, 0), |(singleflight, waiters), in_flight| {
            (singleflight + 1, waiters + in_flight.waiters.len())
        })
    }

    /// Returns the calls in progress.
    pub(super) fn waiting(&self) -> Vec<usize> {
        let callers = self.callers.iter().enumerate();
        callers
            .filter(|(_, caller)| caller.is_waiting())
            .map(|(index, _)| index)
            .collect()
    }

    /// Ends a shared request at its deadline. Its waiters with a later deadline share another.
    fn expire(&mut self, number: usize, was_waiting: &[usize]) {
        let Some(index) = self
            .in_flight
            .iter()
            .position(|in_flight| in_flight.number == number)
        else {
            return;
        };
        let in_flight = self.in_flight.remove(index);
        let remaining = |model: &Self, waiters: &[usize]| -> Vec<usize> {
            let has_time = |waiter: &&usize| model.callers[**waiter].deadline > model.now;
            waiters.iter().filter(has_time).copied().collect()
        };
        let waiters = remaining(self, &in_flight.waiters);
        if waiters.is_empty() {
            return;
        }
        let may_begin = remaining(self, was_waiting);
        let deadlines = may_begin
            .iter()
            .map(|waiter| self.callers[*waiter].deadline)
            .collect();
        for waiter in &waiters {
            self.callers[*waiter].origin = (may_begin.len() == 1).then_some(Origin::Miss);
        }
        self.begin(in_flight.key, Kind::Shared, waiters);
        self.in_flight.last_mut().unwrap().deadlines = deadlines;
    }

    fn begin(&mut self, key: Key, kind: Kind, waiters: Vec<usize>) {
        let deadline = match waiters.first() {
            Some(first) => self.callers[*first].deadline,
            None => self.now + MAX_CALL_TIME,
        };
        self.in_flight.push(InFlight {
            number: self.numbers,
            key,
            deadlines: vec![deadline],
            kind,
            waiters,
        });
        self.numbers += 1;
    }

    fn stop_waiting(&mut self, caller: usize) {
        for in_flight in &mut self.in_flight {
            in_flight.waiters.retain(|waiter| *waiter != caller);
        }
        let is_needed = |in_flight: &InFlight| {
            matches!(in_flight.kind, Kind::Refresh(_)) || !in_flight.waiters.is_empty()
        };
        self.in_flight.retain(is_needed);
    }

    /// Serves a call from the cache instead of an error, if an entry is fresh enough.
    fn fall_back(&mut self, caller: usize) -> bool {
        let Some(entry) = self.entries.get(&self.callers[caller].key).copied() else {
            return false;
        };
        let origin = match () {
            () if !self.callers[caller].falls_back => return false,
            () if self.is_fresh(entry) => Origin::Hit,
            () if self.is_stale(entry, self.if_error) => Origin::Stale,
            () => return false,
        };
        self.serve(caller, origin, entry);
        true
    }

    fn serve(&mut self, caller: usize, origin: Origin, entry: Entry) {
        self.callers[caller].end = Some(End::Completed {
            origin: Some(origin),
            age: self.now - entry.received,
            outcome: entry.outcome,
            number: entry.number,
        });
    }

    fn shared_request(&self, key: Key) -> Option<usize> {
        let matches = |in_flight: &InFlight| in_flight.key == key && in_flight.is_shared();
        self.in_flight.iter().position(matches)
    }

    fn is_fresh(&self, entry: Entry) -> bool {
        let ttl = if is_negative(entry.outcome) {
            self.negative_ttl
        } else {
            self.ttl
        };
        self.now - entry.received < ttl
    }

    fn is_stale(&self, entry: Entry, window: Time) -> bool {
        let age = self.now - entry.received;
        !is_negative(entry.outcome) && self.ttl <= age && age < self.ttl + window
    }
}
