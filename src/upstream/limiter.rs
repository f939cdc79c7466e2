//! When upstream may be called: the account's quota, shared out among callers.
//!
//! Nothing runs in the background. Of those who wait, one holds the clock: it sleeps until the next
//! call may be made, and hands turns to whoever is first. When it leaves, another takes the clock.

mod accepted;
mod adaptive_rate;
mod allowance;
mod pace;
mod turns;
mod window;

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use self::{
    allowance::{Allowance, Taken},
    turns::{Place, Turns},
};
use crate::{config, identity::Identity};

/// Lets calls to upstream through at a rate, in turns by caller.
#[derive(Debug)]
pub(super) struct Limiter(Mutex<Inner>);

/// What a limiter does and has done, since the start of the process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LimiterState {
    /// The rate that is set, in calls a second.
    pub rate: Option<NonZeroU32>,
    /// The rate that was found out, in calls a second; nothing before upstream refused a call for
    /// its rate.
    pub adaptive_rate: Option<f64>,
    /// The calls that wait now.
    pub waiting: usize,
    /// The callers to whom these calls belong.
    pub callers_waiting: usize,
    /// The attempts that were let through.
    pub admitted: u64,
    /// How long these waited, all together.
    pub waited: Duration,
    /// The attempts that were refused because their turn would have come too late.
    pub refused: u64,
    /// The attempts that left before they were let through: the caller was gone.
    pub abandoned: u64,
    /// The calls that upstream refused for their rate.
    pub throttled: u64,
}

/// A turn would come too late.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct TooLate {
    /// How long the wait for it is expected to be.
    pub(super) wait: Duration,
}

impl TooLate {
    fn of(wait: Duration) -> Self {
        // Whoever is told to wait for nothing tries again at once.
        Self {
            wait: wait.max(Duration::from_millis(1)),
        }
    }
}

impl Limiter {
    /// Returns a limiter by the settings, which lets everything through if neither rate is wanted.
    pub(super) fn new(settings: &config::Quota) -> Self {
        Self(Mutex::new(Inner {
            allowance: Allowance::new(settings),
            turns: Turns::new(),
            has_clock: false,
            counts: LimiterState::default(),
        }))
    }

    /// Waits for the turn of one call of `caller`. Dropping the future gives the place up.
    ///
    /// # Errors
    ///
    /// Fails at once if the turn is expected after `latest`. It fails then too if others that came
    /// later have their turns before: callers are served in turns, not in the order of their calls.
    pub(super) async fn acquire(&self, caller: &Identity, latest: Instant) -> Result<(), TooLate> {
        let Some(mut queued) = self.enter(caller, latest)? else {
            return Ok(());
        };
        loop {
            match queued.look() {
                Wake::Admitted => return Ok(()),
                Wake::TooLate(too_late) => return Err(too_late),
                Wake::At(moment) => tokio::select! {
                    () = queued.waiter.bell.notified() => {}
                    () = sleep_until(moment) => {}
                },
            }
        }
    }

    /// Tells whether calls that upstream refuses for their rate are slowed down here.
    pub(super) fn is_adaptive(&self) -> bool {
        self.lock().allowance.is_adaptive()
    }

    /// Learns that upstream accepted the rate of a call that was sent at this time.
    pub(super) fn accept(&self, sent: Instant) {
        self.lock().allowance.accept(sent);
    }

    /// Learns that upstream refused a call for its rate, that was sent at this time.
    pub(super) fn throttle(&self, sent: Instant, now: Instant) {
        let mut inner = self.lock();
        inner.counts.throttled += 1;
        if inner.allowance.throttle(sent, now) {
            let rate = inner.allowance.adaptive_rate(now);
            tracing::debug!(rate, "upstream refuses the rate of calls, which is lowered");
        }
    }

    /// Returns what it does and has done.
    pub(super) fn state(&self, now: Instant) -> LimiterState {
        let inner = self.lock();
        LimiterState {
            rate: inner.allowance.rate(),
            adaptive_rate: inner.allowance.adaptive_rate(now),
            waiting: inner.turns.len(),
            callers_waiting: inner.turns.callers(),
            ..inner.counts.clone()
        }
    }

    /// Lets a call through, or gives it a place in the queue.
    fn enter(&self, caller: &Identity, latest: Instant) -> Result<Option<Queued<'_>>, TooLate> {
        let mut inner = self.lock();
        // What was read before the lock could be long ago.
        let now = Instant::now();
        inner.serve(now);
        let ahead = inner.turns.ahead_of(caller);
        let opens = inner.allowance.opens(ahead, now);
        if ahead == 0 && inner.turns.len() == 0 && opens <= now {
            inner.take(now, Duration::ZERO);
            return Ok(None);
        }
        if opens > latest {
            inner.counts.refused += 1;
            return Err(TooLate::of(opens - now));
        }
        let waiter = Arc::new(Waiter {
            since: now,
            latest,
            bell: Notify::new(),
            turn: OnceLock::new(),
        });
        let place = inner.turns.push(caller.clone(), Arc::clone(&waiter));
        Ok(Some(Queued {
            limiter: self,
            caller: caller.clone(),
            place,
            waiter,
            holds_clock: false,
            is_over: false,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Inner {
    allowance: Allowance,
    turns: Turns<Identity, Arc<Waiter>>,
    /// Whether one of those who wait sleeps until the next turn.
    has_clock: bool,
    counts: LimiterState,
}

impl Inner {
    /// Hands out the turns that are due.
    fn serve(&mut self, now: Instant) {
        while self.turns.len() > 0 && self.allowance.opens(0, now) <= now {
            let Some(waiter) = self.turns.pop() else {
                return;
            };
            if waiter.latest + GRACE < now {
                waiter.end(Turn::CameTooLate);
            } else {
                waiter.end(Turn::Came(self.take(now, now - waiter.since)));
            }
        }
    }

    fn take(&mut self, now: Instant, waited: Duration) -> Taken {
        self.counts.admitted += 1;
        self.counts.waited += waited;
        self.allowance.take(now)
    }
}

/// How late a turn may come that was expected in time: timers are late by a millisecond or two.
const GRACE: Duration = Duration::from_millis(5);

/// One who waits, as the queue knows it.
#[derive(Debug)]
struct Waiter {
    since: Instant,
    latest: Instant,
    /// Rings when the turn has come, and when somebody must take the clock.
    bell: Notify,
    turn: OnceLock<Turn>,
}

/// What became of one who waited.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Turn {
    Came(Taken),
    CameTooLate,
}

impl Waiter {
    fn end(&self, turn: Turn) {
        // One is taken out of the queue before it is told, and so told once.
        let _ = self.turn.set(turn);
        self.bell.notify_one();
    }
}

/// One who waits, as it knows itself.
struct Queued<'a> {
    limiter: &'a Limiter,
    caller: Identity,
    place: Place<Identity>,
    waiter: Arc<Waiter>,
    holds_clock: bool,
    /// Whether the turn was taken or refused.
    is_over: bool,
}

/// What one who waits does next.
enum Wake {
    Admitted,
    At(Instant),
    TooLate(TooLate),
}

impl Queued<'_> {
    /// Looks whether the turn has come, after handing out all turns that are due.
    fn look(&mut self) -> Wake {
        let mut inner = self.limiter.lock();
        let now = Instant::now();
        inner.serve(now);
        let turn = self.waiter.turn.get();
        self.is_over = true;
        if let Some(Turn::Came(_)) = turn {
            return Wake::Admitted;
        }
        if turn == Some(&Turn::CameTooLate) || now >= self.waiter.latest {
            inner.turns.remove(&self.place);
            inner.counts.refused += 1;
            let ahead = inner.turns.ahead_of(&self.caller);
            let wait = inner.allowance.opens(ahead, now) - now;
            return Wake::TooLate(TooLate::of(wait));
        }
        self.is_over = false;
        if !inner.has_clock {
            inner.has_clock = true;
            self.holds_clock = true;
        }
        if self.holds_clock {
            Wake::At(inner.allowance.opens(0, now).min(self.waiter.latest))
        } else {
            Wake::At(self.waiter.latest)
        }
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let mut inner = self.limiter.lock();
        if !self.is_over {
            inner.counts.abandoned += 1;
            let is_in_line = inner.turns.remove(&self.place).is_some();
            if let Some(Turn::Came(taken)) = self.waiter.turn.get().filter(|_| !is_in_line) {
                inner.allowance.give_back(*taken);
                inner.counts.admitted -= 1;
            }
        }
        if self.holds_clock {
            inner.has_clock = false;
        }
        inner.serve(Instant::now());
        if !inner.has_clock
            && let Some(first) = inner.turns.first()
        {
            first.bell.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
