//! Answers a call from what is kept, or with others of its kind, before upstream is asked.

use std::{
    future::{Future, pending},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use super::{
    Call, Error, Reply,
    cache::{Cache, Freshness, Kept, Key},
    flights::{Flights, Landing},
    statistics::{Counters, Statistics},
};
use crate::{
    config,
    context::{Context, Origin, Provenance},
    credentials::Credentials,
    deadline::Deadline,
    identity::Identity,
};

/// The longest time before its deadline at which a call gives up waiting, if there is an old answer.
const MAX_MARGIN: Duration = Duration::from_millis(100);

type Outcome = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

/// What calls have in common.
#[derive(Debug)]
pub(super) struct Answers {
    cache: Option<Arc<Cache>>,
    flights: Flights,
    credentials: Credentials,
    is_sharing: bool,
    max_call_time: Duration,
    counters: Counters,
}

impl Answers {
    /// Returns what answers calls as `settings` want it, for the account of `credentials`. No renewal
    /// of an answer takes longer than `max_call_time`.
    pub(super) fn new(
        settings: &config::Cache,
        max_call_time: Duration,
        credentials: Credentials,
    ) -> Self {
        Self {
            cache: Cache::new(settings).map(Arc::new),
            flights: Flights::default(),
            credentials,
            is_sharing: settings.is_sharing,
            max_call_time,
            counters: Counters::default(),
        }
    }

    /// Answers a call, for which `ask` asks upstream if that is necessary.
    ///
    /// Whatever asks is boxed: it is large, and would be moved about for every hit as well.
    ///
    /// # Errors
    ///
    /// Fails as `ask` does.
    pub(super) async fn answer<A, F>(
        &self,
        call: &Call,
        context: &Arc<Context>,
        ask: A,
    ) -> Result<Reply, Error>
    where
        A: Fn(Arc<Context>) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Reply, Error>> + Send + 'static,
    {
        let is_alone = context.is_uncached() || (self.cache.is_none() && !self.is_sharing);
        if is_alone {
            let outcome = Box::pin(ask(Arc::clone(context))).await;
            return self.tell(context, Origin::Miss, Duration::ZERO, outcome);
        }
        let credential = self.credentials.current().await?;
        let key = Key::new(&credential, call);
        let Some(cache) = &self.cache else {
            let (origin, outcome) = Box::pin(self.asked(&key, call, context, ask)).await;
            return self.tell(context, origin, Duration::ZERO, outcome);
        };

        let now = Instant::now();
        let mut is_stale = false;
        if let Some(kept) = cache.find(&key) {
            match cache.freshness(&kept, now) {
                Freshness::Fresh => return self.give(context, Origin::Hit, &kept, now),
                Freshness::Stale {
                    is_enough_while_renewed: true,
                    ..
                } => {
                    self.renew(&key, call, context.identity(), &kept, ask);
                    return self.give(context, Origin::Stale, &kept, now);
                }
                Freshness::Stale { .. } => is_stale = true,
                Freshness::Useless => {}
            }
        }

        let mut asked = Box::pin(self.asked(&key, call, context, ask));
        let answered = if is_stale {
            // Upstream that does not answer in time is as good as down.
            timeout_at(last_moment(context.deadline(), now), &mut asked).await
        } else {
            Ok(asked.as_mut().await)
        };
        let may_be_replaced = answered
            .as_ref()
            .map_or(true, |(_, outcome)| is_passing(outcome));
        if may_be_replaced && let Some(kept) = cache.find(&key) {
            let now = Instant::now();
            match cache.freshness(&kept, now) {
                // Another call brought it in the meantime.
                Freshness::Fresh => return self.give(context, Origin::Hit, &kept, now),
                Freshness::Stale {
                    is_enough_if_error: true,
                    ..
                } => return self.give(context, Origin::Stale, &kept, now),
                Freshness::Stale { .. } | Freshness::Useless => {}
            }
        }
        let (origin, outcome) = match answered {
            Ok(answered) => answered,
            Err(_) => asked.await,
        };
        self.tell(context, origin, Duration::ZERO, outcome)
    }

    /// Returns how calls were answered so far, and what is kept and under way now.
    pub(super) fn statistics(&self) -> Statistics {
        let cache = self.cache.as_ref();
        let (entries, bytes) = cache.map_or((0, 0), |cache| cache.size());
        let (flights_in_progress, waiters) = self.flights.count();
        Statistics {
            entries,
            bytes,
            evictions: cache.map_or(0, |cache| cache.evictions()),
            flights_in_progress,
            waiters,
            ..self.counters.read()
        }
    }

    /// Asks upstream, with others if that is allowed.
    async fn asked<A, F>(
        &self,
        key: &Key,
        call: &Call,
        context: &Arc<Context>,
        ask: A,
    ) -> (Origin, Result<Reply, Error>)
    where
        A: Fn(Arc<Context>) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Reply, Error>> + Send + 'static,
    {
        if !self.is_sharing {
            let outcome = self.keeping(key, call, ask)(Arc::clone(context)).await;
            return (Origin::Miss, outcome);
        }
        loop {
            let of_flight = || {
                let identity = context.identity().clone();
                Context::new(context.deadline(), context.is_repetition(), identity)
            };
            let ask = self.keeping(key, call, ask.clone());
            let seat = self.flights.board(key, of_flight, ask);
            context.follow(Arc::clone(seat.context()));
            let origin = if seat.is_first() {
                Origin::Miss
            } else {
                Origin::Shared
            };
            match seat.landing().await {
                Landing::Answered(outcome) => return (origin, outcome),
                Landing::Expired if context.deadline().at() > Instant::now() => {}
                // So has the deadline of this call, which whoever waits for it tells.
                Landing::Expired => pending().await,
            }
        }
    }

    /// Asks upstream in the background, in the turn of whoever calls, unless that is being done or
    /// has failed a moment ago.
    fn renew<A, F>(&self, key: &Key, call: &Call, identity: &Identity, kept: &Kept, ask: A)
    where
        A: Fn(Arc<Context>) -> F + Send + 'static,
        F: Future<Output = Result<Reply, Error>> + Send + 'static,
    {
        let now = Instant::now();
        if !kept.is_renewable(now) {
            return;
        }
        let of_flight = || {
            let deadline = Deadline::new(now, None, self.max_call_time);
            Context::new(deadline, false, identity.clone())
        };
        self.flights.depart(key, of_flight, |context| {
            let outcome = self.keeping(key, call, ask)(context);
            let kept = kept.clone();
            async move {
                let outcome = outcome.await;
                // Of no consequence if it was renewed, since then another is kept.
                kept.postpone(Instant::now());
                outcome
            }
        });
    }

    /// Returns what asks upstream, and keeps what may be kept.
    fn keeping<A, F>(
        &self,
        key: &Key,
        call: &Call,
        ask: A,
    ) -> impl FnOnce(Arc<Context>) -> Outcome + use<A, F>
    where
        A: Fn(Arc<Context>) -> F + Send + 'static,
        F: Future<Output = Result<Reply, Error>> + Send + 'static,
    {
        let cache = self.cache.clone();
        let credentials = self.credentials.clone();
        let (key, call) = (key.clone(), call.clone());
        move |context| {
            Box::pin(async move {
                let outcome = ask(context).await;
                // The credential may have been replaced, and by that of another account.
                if let Some(cache) = cache
                    && let Ok(credential) = credentials.current().await
                    && Key::new(&credential, &call) == key
                {
                    cache.keep(&key, &call, &outcome, Instant::now());
                }
                outcome
            })
        }
    }

    fn give(
        &self,
        context: &Context,
        origin: Origin,
        kept: &Kept,
        now: Instant,
    ) -> Result<Reply, Error> {
        self.tell(context, origin, kept.age(now), kept.outcome())
    }

    /// Notes where an answer comes from.
    fn tell(
        &self,
        context: &Context,
        origin: Origin,
        age: Duration,
        outcome: Result<Reply, Error>,
    ) -> Result<Reply, Error> {
        self.counters.count(origin);
        context.set_provenance(Provenance { origin, age });
        outcome
    }
}

/// Returns when a call that has an old answer to fall back on gives up waiting for a new one: with
/// a tenth of its time left in which to give it.
fn last_moment(deadline: Deadline, now: Instant) -> Instant {
    let margin = (deadline.remaining(now) / 10).min(MAX_MARGIN);
    deadline.at() - margin
}

/// Tells whether upstream throttles or is down, so that an old answer is better than none.
fn is_passing(outcome: &Result<Reply, Error>) -> bool {
    outcome.as_ref().err().is_some_and(|error| {
        let is_not_made = matches!(error, Error::CircuitOpen | Error::RateLimited { .. });
        is_not_made || error.is_throttling() || error.is_outage()
    })
}

#[cfg(test)]
mod tests;
