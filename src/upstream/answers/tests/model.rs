//! What is promised, in its plainest form: one thing after another, in tenths of a second.

use std::collections::HashMap;

use super::{
    Answer,
    state::{Asked, Caller, End, Entry, Key, Kind, Time, is_negative},
};
use crate::{config, context::Origin};

/// The longest time that a renewal may take.
pub(super) const MAX_CALL_TIME: Time = 100;

/// How long no renewal is tried after one that failed.
const PAUSE: Time = 10;

#[derive(Debug)]
pub(super) struct Model {
    is_sharing: bool,
    ttl: Time,
    negative_ttl: Time,
    while_renewed: Time,
    if_error: Time,
    pub(super) now: Time,
    pub(super) is_other_account: bool,
    entries: HashMap<Key, Entry>,
    pub(super) asked: Vec<Asked>,
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
            while_renewed: tenths(settings.stale_while_revalidate),
            if_error: tenths(settings.stale_if_error),
            now: 0,
            is_other_account: false,
            entries: HashMap::new(),
            asked: Vec::new(),
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
            last_moment: None,
            falls_back: is_caching,
            origin: Some(Origin::Miss),
            end: None,
            has_left: false,
        });
        if is_uncached {
            return self.begin(key, Kind::Own { is_kept: false }, vec![caller]);
        }
        if let Some(entry) = self.entries.get(&key).copied() {
            if self.is_fresh(entry) {
                return self.give(caller, Origin::Hit, entry);
            }
            if self.is_stale(entry, self.while_renewed) {
                if self.now >= entry.pause_ends && self.flight(key).is_none() {
                    self.begin(key, Kind::Renewal(entry.number), Vec::new());
                }
                return self.give(caller, Origin::Stale, entry);
            }
            if self.is_stale(entry, self.if_error) {
                self.callers[caller].last_moment = Some(self.now + timeout - 1);
            }
        }
        if !self.is_sharing {
            return self.begin(
                key,
                Kind::Own {
                    is_kept: is_caching,
                },
                vec![caller],
            );
        }
        match self.flight(key) {
            Some(flight) => {
                self.asked[flight].waiters.push(caller);
                self.callers[caller].origin = Some(Origin::Shared);
            }
            None => self.begin(key, Kind::Shared, vec![caller]),
        }
    }

    /// A call upstream is answered.
    pub(super) fn answer(&mut self, number: usize, answer: Answer) {
        let index = self.asked.iter().position(|asked| asked.number == number);
        let asked = self.asked.remove(index.unwrap());
        let key = asked.key;
        let is_kept = self.ttl > 0
            && asked.kind != (Kind::Own { is_kept: false })
            && key.is_other_account == self.is_other_account
            && (answer == Answer::Found || is_negative(answer));
        if is_kept {
            let entry = Entry {
                number,
                answer,
                received: self.now,
                pause_ends: self.now,
            };
            self.entries.insert(key, entry);
        }
        if let Kind::Renewal(renewed) = asked.kind
            && let Some(entry) = self.entries.get_mut(&key)
            && entry.number == renewed
        {
            entry.pause_ends = self.now + PAUSE;
        }
        for waiter in asked.waiters {
            let is_passing = matches!(
                answer,
                Answer::NoReply | Answer::Throttled | Answer::Transient
            );
            if !(is_passing && self.fall_back(waiter)) {
                let origin = self.callers[waiter].origin;
                self.callers[waiter].end = Some(End::Told {
                    origin,
                    age: 0,
                    answer,
                    number,
                });
            }
        }
    }

    /// A caller goes away.
    pub(super) fn leave(&mut self, caller: usize) {
        self.callers[caller].has_left = true;
        self.stop_waiting(caller);
    }

    /// Returns when something happens next, and no later than at `until`.
    pub(super) fn next(&self, until: Time) -> Time {
        let waiting = self.callers.iter().filter(|caller| caller.is_waiting());
        let of_callers = waiting.flat_map(|caller| [Some(caller.deadline), caller.last_moment]);
        let of_flights = self.asked.iter().map(Asked::deadline);
        of_callers
            .chain(of_flights)
            .flatten()
            .fold(until, Time::min)
    }

    /// It is now `now`, and nothing happens before that.
    pub(super) fn pass(&mut self, now: Time) {
        self.now = now;
        let before: Vec<_> = self
            .asked
            .iter()
            .map(|asked| asked.waiters.clone())
            .collect();
        let expired: Vec<_> = self
            .asked
            .iter()
            .map(|asked| asked.deadline() == Some(now))
            .collect();
        let numbers: Vec<_> = self.asked.iter().map(|asked| asked.number).collect();

        for caller in 0..self.callers.len() {
            if self.callers[caller].is_waiting() && self.callers[caller].last_moment == Some(now) {
                self.callers[caller].last_moment = None;
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

    /// Returns how a caller's call ended, if it has.
    pub(super) fn end(&self, caller: usize) -> Option<End> {
        self.callers[caller].end
    }

    /// Returns how many calls upstream may be waited for by several, and how many wait.
    pub(super) fn flights(&self) -> (usize, usize) {
        let flights = self.asked.iter().filter(|asked| asked.is_flight());
        flights.fold((0, 0), |(flights, waiters), asked| {
            (flights + 1, waiters + asked.waiters.len())
        })
    }

    /// Returns those who wait.
    pub(super) fn waiting(&self) -> Vec<usize> {
        let callers = self.callers.iter().enumerate();
        callers
            .filter(|(_, caller)| caller.is_waiting())
            .map(|(index, _)| index)
            .collect()
    }

    /// Those whose flight ended by its deadline, and who have more time, begin another together.
    fn expire(&mut self, number: usize, was_waiting: &[usize]) {
        let Some(index) = self.asked.iter().position(|asked| asked.number == number) else {
            return;
        };
        let asked = self.asked.remove(index);
        let remaining = |model: &Self, waiters: &[usize]| -> Vec<usize> {
            let has_time = |waiter: &&usize| model.callers[**waiter].deadline > model.now;
            waiters.iter().filter(has_time).copied().collect()
        };
        let waiters = remaining(self, &asked.waiters);
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
        self.begin(asked.key, Kind::Shared, waiters);
        self.asked.last_mut().unwrap().deadlines = deadlines;
    }

    fn begin(&mut self, key: Key, kind: Kind, waiters: Vec<usize>) {
        let deadline = match waiters.first() {
            Some(first) => self.callers[*first].deadline,
            None => self.now + MAX_CALL_TIME,
        };
        self.asked.push(Asked {
            number: self.numbers,
            key,
            deadlines: vec![deadline],
            kind,
            waiters,
        });
        self.numbers += 1;
    }

    fn stop_waiting(&mut self, caller: usize) {
        for asked in &mut self.asked {
            asked.waiters.retain(|waiter| *waiter != caller);
        }
        let goes_on =
            |asked: &Asked| matches!(asked.kind, Kind::Renewal(_)) || !asked.waiters.is_empty();
        self.asked.retain(goes_on);
    }

    /// Gives a caller what there is instead of an error, if anything is good enough.
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
        self.give(caller, origin, entry);
        true
    }

    fn give(&mut self, caller: usize, origin: Origin, entry: Entry) {
        self.callers[caller].end = Some(End::Told {
            origin: Some(origin),
            age: self.now - entry.received,
            answer: entry.answer,
            number: entry.number,
        });
    }

    fn flight(&self, key: Key) -> Option<usize> {
        let is_it = |asked: &Asked| asked.key == key && asked.is_flight();
        self.asked.iter().position(is_it)
    }

    fn is_fresh(&self, entry: Entry) -> bool {
        let ttl = if is_negative(entry.answer) {
            self.negative_ttl
        } else {
            self.ttl
        };
        self.now - entry.received < ttl
    }

    fn is_stale(&self, entry: Entry, window: Time) -> bool {
        let age = self.now - entry.received;
        !is_negative(entry.answer) && self.ttl <= age && age < self.ttl + window
    }
}
