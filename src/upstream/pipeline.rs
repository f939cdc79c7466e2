//! The pipeline: the steps from a call to upstream and back. This file has their order; each step has a
//! file of its own, and knows no other step.
//!
//! | done for each | step | file |
//! | --- | --- | --- |
//! | call | **cache**: serve an entry, if it is fresh enough | `cache.rs` |
//! | call | **singleflight**: join an equal request in flight | `singleflight.rs` |
//! | request | **retry**: make attempts, within the retry policy and the retry budget | `retry.rs` |
//! | attempt | **circuit breaker**: reject a share of the attempts while upstream fails | `circuit_breaker.rs` |
//! | attempt | **rate limiter**: wait in the fair queue, then pass the circuit breaker again | `limiter.rs` |
//! | attempt | **sign and send**, and report the outcome to both | `transport.rs`, `attempt.rs` |
//! | request | **decode** the response, and cache it | the operation, `cache.rs` |
//!
//! The methods below follow this order: [`Pipeline::call`] is the cache, [`Pipeline::fetch`] is
//! singleflight, [`Steps::send`] decodes, [`Attempts::send`] retries, and [`Attempts::attempt`] makes
//! one attempt.

use std::{
    future::{Future, pending},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};
use tracing::Instrument;

use super::{
    attempt::{AttemptReport, FailedAttempt},
    attempt_metrics::AttemptMetrics,
    attempt_span::{AttemptSpan, QuotaWait, RefreshSpan},
    cache::{Cache, Entry, Found, Key, Lookup},
    cache_statistics::{CacheStatistics, Counters},
    circuit_breaker::{CircuitBreaker, CircuitBreakerState, Source},
    connection_counter::ConnectionCounter,
    error::Error,
    latency::LatencyEstimator,
    limiter::{Limiter, LimiterState, WaitingCaller},
    request::ApiRequest,
    response::{ApiResponse, Decode, Received, Reply},
    retry::{RetryLimits, RetryReason},
    retry_policy::Decision,
    singleflight::{Outcome, Singleflight, Unstarted},
    transport::Transport,
};
use crate::{
    clock::{Clock, ClockOffset},
    config,
    context::{Activity, Context, Deadline, Origin, Provenance},
    credentials::{Credential, Credentials, Unavailable},
    error_policy::{Caching, Retry},
    http_client::BuildError,
    metrics::Histogram,
    trace::CallTrace,
};

/// The longest time before its deadline at which a call falls back to a stale entry.
const MAX_MARGIN: Duration = Duration::from_millis(100);

/// The longest wait for the rate limiter that needs no second check of the circuit breaker.
const NEGLIGIBLE_WAIT: Duration = Duration::from_millis(10);

/// The whole pipeline, of all calls.
#[derive(Debug)]
pub(super) struct Pipeline<S = Attempts> {
    singleflight: Singleflight,
    is_sharing: bool,
    max_call_time: Duration,
    counters: Counters,
    steps: Arc<Steps<S>>,
}

/// The steps of a request, which a task of singleflight can own.
#[derive(Debug)]
struct Steps<S> {
    cache: Option<Cache>,
    credentials: Credentials,
    attempts: S,
}

/// The steps of an attempt, and their retries.
#[derive(Debug)]
pub(super) struct Attempts {
    retry: RetryLimits,
    circuit_breaker: CircuitBreaker,
    limiter: Limiter,
    latency: LatencyEstimator,
    metrics: AttemptMetrics,
    credentials: Credentials,
    transport: Transport,
}

/// Sends requests upstream: the steps from the retries on.
pub(super) trait SendRequest: Send + Sync + 'static {
    /// Sends `request`. Cancel safe: dropping the future cancels the attempt.
    fn send(
        &self,
        request: &ApiRequest,
        context: &Context,
    ) -> impl Future<Output = Result<ApiResponse, Error>> + Send;
}

/// A request whose response may be cached and shared, by its key.
struct CacheableRequest<T> {
    key: Key,
    request: ApiRequest,
    decode: Decode<T>,
}

impl<S: SendRequest> Pipeline<S> {
    /// Serves a call from the cache, or else by a request that is sent upstream, whose response is
    /// cached. If upstream throttles or is down, or does not respond in time, falls back to a stale
    /// entry (`stale-while-revalidate` and `stale-if-error` of [RFC 5861]).
    ///
    /// The futures of the other steps are boxed: they are large, and cache hits would pay for moving
    /// them.
    ///
    /// # Errors
    ///
    /// Fails with the error of the last attempt.
    ///
    /// [RFC 5861]: https://www.rfc-editor.org/rfc/rfc5861
    pub(super) async fn call<T: Send + 'static>(
        &self,
        request: ApiRequest,
        decode: Decode<T>,
        context: &Arc<Context>,
    ) -> Result<Reply<T>, Error> {
        let cache = self.steps.cache.as_ref();
        if context.is_uncached() || (cache.is_none() && !self.is_sharing) {
            let received = Box::pin(self.steps.send(&request, decode, context)).await;
            let reply = received.map(Received::into_reply);
            return self.record(context, Origin::Miss, Duration::ZERO, reply);
        }
        let credential = available(&self.steps.credentials, context).await?;
        let request = CacheableRequest {
            key: Key::new(&credential, &request),
            request,
            decode,
        };
        let lookup = cache.map_or(Lookup::Miss, |cache| cache.look_up(&request.key));
        let is_stale = match lookup {
            Lookup::Serve(found) => return self.serve(&found, decode, context),
            Lookup::ServeAndRefresh(found) => {
                self.refresh(&request, found.entry.clone(), context);
                return self.serve(&found, decode, context);
            }
            Lookup::StaleIfError => true,
            Lookup::Miss => false,
        };

        let mut fetch = Box::pin(self.fetch(&request, context));
        let fetched = if is_stale {
            // An upstream that does not respond in time counts as down.
            let fetched = timeout_at(fallback_at(context.deadline()), &mut fetch).await;
            fetched.ok()
        } else {
            Some(fetch.as_mut().await)
        };
        let is_failing = match &fetched {
            Some((_, outcome)) => outcome.as_ref().is_err_and(falls_back),
            None => true,
        };
        if is_failing && let Some(found) = cache.and_then(|cache| cache.fallback(&request.key)) {
            return self.serve(&found, decode, context);
        }
        let (origin, reply) = match fetched {
            Some(fetched) => fetched,
            None => fetch.await,
        };
        self.record(context, origin, Duration::ZERO, reply)
    }

    /// Joins an equal request in flight, or starts one that other calls can join. If sharing is off,
    /// sends the request for this call alone.
    async fn fetch<T: Send + 'static>(
        &self,
        request: &CacheableRequest<T>,
        context: &Arc<Context>,
    ) -> (Origin, Result<Reply<T>, Error>) {
        if !self.is_sharing {
            let received = self.steps.send_and_cache(request, context).await;
            return (Origin::Miss, received.map(Received::into_reply));
        }
        loop {
            let shared_context = derived_context(context, context.deadline(), context.is_retry());
            let (waiter, unstarted) = self.singleflight.join(&request.key, shared_context);
            context.follow(Arc::clone(waiter.context()));
            let (origin, mut message) = match unstarted {
                Some(unstarted) => (Origin::Miss, Some(self.start(unstarted, request.clone()))),
                None => {
                    link(context, waiter.context());
                    (Origin::Shared, None)
                }
            };
            let outcome = match waiter.outcome().await {
                Outcome::Completed(outcome) => outcome,
                Outcome::DeadlineExceeded if context.deadline().at() > Instant::now() => continue,
                // The deadline of this call has passed as well, and the caller enforces it.
                Outcome::DeadlineExceeded => pending().await,
            };
            let message = message.as_mut().and_then(|message| message.try_recv().ok());
            let reply = outcome.map(|response| match message {
                Some(message) => response.into_reply(message),
                None => response.decode(request.decode).into_reply(),
            });
            return (origin, reply);
        }
    }
}

impl<S: SendRequest> Steps<S> {
    /// Sends a request, decodes its response, and caches it.
    async fn send_and_cache<T>(
        &self,
        request: &CacheableRequest<T>,
        context: &Context,
    ) -> Result<Received<T>, Error> {
        let CacheableRequest {
            key,
            request,
            decode,
        } = request;
        let received = self.send(request, *decode, context).await;
        // The credential may have been rotated to one of another account meanwhile.
        if let Some(cache) = &self.cache
            && let Ok(credential) = self.credentials.current().await
            && Key::new(&credential, request) == *key
        {
            match &received {
                Ok(Received { response, decoded }) => {
                    cache.insert(key, response, decoded.cacheable);
                }
                Err(error) => cache.insert_error(key, error),
            }
        }
        received
    }

    /// Sends a request and decodes its response.
    async fn send<T>(
        &self,
        request: &ApiRequest,
        decode: Decode<T>,
        context: &Context,
    ) -> Result<Received<T>, Error> {
        let sent = self.attempts.send(request, context);
        let response = sent.instrument(context.span()).await?;
        Ok(response.decode(decode))
    }
}

impl SendRequest for Attempts {
    /// Makes attempts until one succeeds, or until the retry policy or the retry budget ends the call.
    ///
    /// # Errors
    ///
    /// Fails with the error of the last attempt. If no attempt was sent, fails with the reason.
    async fn send(&self, request: &ApiRequest, context: &Context) -> Result<ApiResponse, Error> {
        let mut retries = self.retry.begin(context);
        loop {
            let (error, credential) = match self.attempt(request, context).await {
                Ok(response) => return Ok(response),
                Err(FailedAttempt::NotSent(rejection)) => return Err(retries.end(rejection)),
                Err(FailedAttempt::Sent(error, credential)) => (error, credential),
            };
            let decision = retries.decide(&error);
            let is_retried = match decision {
                Decision::Backoff(pause) => retries.back_off(pause).await,
                Decision::CorrectClock => self.transport.correct_clock(&error),
                Decision::RefreshCredential => {
                    let _timer = context.timer(Activity::Credential);
                    self.credentials.renew(&credential).await
                }
                Decision::GiveUp => {
                    // Too late for this call, but the next call may have no second attempt either.
                    if error.policy().retry == Retry::CorrectClock {
                        self.transport.correct_clock(&error);
                    }
                    false
                }
            };
            if let Some(reason) = RetryReason::of(&error) {
                match is_retried {
                    true => self.metrics.retried(reason),
                    false => self.metrics.withheld(retries.withheld(reason, decision)),
                }
            }
            if !is_retried {
                return Err(error);
            }
            retries.retry_after(error);
        }
    }
}

impl Attempts {
    /// Makes one attempt: passes the circuit breaker and the rate limiter, then signs and sends.
    async fn attempt(
        &self,
        request: &ApiRequest,
        context: &Context,
    ) -> Result<ApiResponse, FailedAttempt> {
        let source = Source {
            caller: context.identity(),
            request,
        };
        let arrived = Instant::now();
        self.circuit_breaker
            .try_acquire(source, fastrand::f64(), arrived)?;

        let latest = self.latency.latest_start(context.deadline(), arrived);
        let timer = context.timer_since(Activity::Queue, arrived);
        let wait = QuotaWait::begin(context, arrived, || self.limiter.queue(source.caller));
        let acquired = self.limiter.acquire(source.caller, latest).await;
        wait.end(acquired.is_ok());
        acquired?;

        // Upstream may have failed during the wait.
        let admitted = timer.stop();
        self.metrics.admitted(admitted - arrived);
        if admitted - arrived > NEGLIGIBLE_WAIT {
            self.circuit_breaker
                .try_acquire(source, fastrand::f64(), admitted)?;
        }

        let credential = available(&self.credentials, context).await?;
        context.count_attempt();
        let report = AttemptReport::new(
            &self.circuit_breaker,
            &self.limiter,
            &self.latency,
            &self.metrics,
            source,
        );
        let mut span = AttemptSpan::begin(context, request.action);
        let timer = context.timer(Activity::Upstream);
        let outcome = self.transport.send(request, &credential, &mut span).await;
        drop(timer);
        span.end(&outcome);
        report.complete(outcome.as_ref().err());
        outcome.map_err(|error| FailedAttempt::Sent(error, credential))
    }
}

impl<S: SendRequest> Pipeline<S> {
    /// Starts a shared request in a task of its own. Returns the receiver of the decoded response for
    /// the call that started it; other calls decode the response themselves.
    fn start<T: Send + 'static>(
        &self,
        unstarted: Unstarted,
        request: CacheableRequest<T>,
    ) -> oneshot::Receiver<T> {
        let (steps, context) = (Arc::clone(&self.steps), Arc::clone(unstarted.context()));
        let (sender, receiver) = oneshot::channel();
        unstarted.start(async move {
            let received = steps.send_and_cache(&request, &context).await?;
            // Fails if the call that started the request has been cancelled.
            let _ = sender.send(received.decoded.message);
            Ok(received.response)
        });
        receiver
    }

    /// Refreshes `entry` in the background, on behalf of the caller of `context`, unless a request for
    /// its key is in flight.
    fn refresh<T: Send + 'static>(
        &self,
        request: &CacheableRequest<T>,
        entry: Entry,
        context: &Context,
    ) {
        let deadline = Deadline::new(Instant::now(), None, self.max_call_time);
        let background = derived_context(context, deadline, false)
            .with_trace(context.trace().and_then(CallTrace::background));
        let Some(unstarted) = self
            .singleflight
            .join_in_background(&request.key, background)
        else {
            return;
        };
        let (steps, context) = (Arc::clone(&self.steps), Arc::clone(unstarted.context()));
        let request = request.clone();
        let span = RefreshSpan::begin(&context);
        unstarted.start(async move {
            let received = steps.send_and_cache(&request, &context).await;
            span.end(received.as_ref().err());
            // Without effect after a success, which has replaced the entry.
            if let Some(cache) = &steps.cache {
                cache.postpone_refresh(&entry);
            }
            received.map(|received| received.response)
        });
    }

    /// Serves a call from an entry.
    fn serve<T>(
        &self,
        found: &Found,
        decode: Decode<T>,
        context: &Context,
    ) -> Result<Reply<T>, Error> {
        self.counters.count_age(found.age);
        self.record(context, found.origin, found.age, found.entry.reply(decode))
    }

    /// Records in the counters and the context where a response came from.
    fn record<T>(
        &self,
        context: &Context,
        origin: Origin,
        age: Duration,
        reply: Result<Reply<T>, Error>,
    ) -> Result<Reply<T>, Error> {
        self.counters.count(origin);
        context.set_provenance(Provenance { origin, age });
        reply
    }
}

impl<T> Clone for CacheableRequest<T> {
    fn clone(&self) -> Self {
        Self {
            key: self.key.clone(),
            request: self.request.clone(),
            decode: self.decode,
        }
    }
}

/// Returns the current credential. Measures the wait if there is none yet.
async fn available(
    credentials: &Credentials,
    context: &Context,
) -> Result<Arc<Credential>, Unavailable> {
    if let Some(credential) = credentials.available() {
        return Ok(credential);
    }
    let _timer = context.timer(Activity::Credential);
    credentials.current().await
}

/// Returns the context of a request that is sent on behalf of the caller of `context`, and has a
/// deadline of its own.
fn derived_context(context: &Context, deadline: Deadline, is_retry: bool) -> Context {
    let derived = Context::new(deadline, is_retry, context.identity().clone())
        .with_trace(context.trace().map(CallTrace::shared));
    match context.request_id() {
        Some(request_id) => derived.with_request_id(request_id.clone()),
        None => derived,
    }
}

/// Links the span of a call to that of the shared request that it waits for.
fn link(context: &Context, shared: &Context) {
    if let (Some(trace), Some(shared)) = (context.trace(), shared.trace()) {
        trace.link(shared.context());
    }
}

/// Returns when a call with a stale entry stops waiting for upstream: a tenth of its remaining time
/// before the deadline, which leaves time to serve the entry.
fn fallback_at(deadline: Deadline) -> Instant {
    let margin = (deadline.remaining(Instant::now()) / 10).min(MAX_MARGIN);
    deadline.at() - margin
}

/// Returns whether a stale entry is better than the error.
fn falls_back(error: &Error) -> bool {
    error.policy().caching == Caching::FallBack
}

impl<S> Pipeline<S> {
    /// Creates a pipeline by `settings` for the account of `credentials`. A refresh takes at most
    /// `max_call_time`. Entries age by the boot time of `clock`.
    pub(super) fn new(
        settings: &config::Cache,
        max_call_time: Duration,
        credentials: Credentials,
        clock: Clock,
        attempts: S,
    ) -> Self {
        Self {
            singleflight: Singleflight::default(),
            is_sharing: settings.is_sharing,
            max_call_time,
            counters: Counters::new(),
            steps: Arc::new(Steps {
                cache: Cache::new(settings, clock),
                credentials,
                attempts,
            }),
        }
    }

    /// Returns the steps of an attempt.
    pub(super) fn attempts(&self) -> &S {
        &self.steps.attempts
    }

    /// Returns the ages of responses from the cache, in seconds.
    pub(super) fn response_ages(&self) -> &Histogram {
        self.counters.ages()
    }

    /// Returns the counters and sizes of the cache and of singleflight.
    pub(super) fn cache_statistics(&self) -> CacheStatistics {
        let cache = self.steps.cache.as_ref();
        let (entries, bytes) = cache.map_or((0, 0), Cache::size);
        let (requests_in_flight, waiters) = self.singleflight.count();
        CacheStatistics {
            entries,
            bytes,
            max_bytes: cache.map_or(0, Cache::max_bytes),
            evictions: cache.map_or(0, Cache::evictions),
            requests_in_flight,
            waiters,
            ..self.counters.read()
        }
    }
}

impl Attempts {
    /// Creates the steps by `settings`. They sign with `credentials` at the time of `clock`.
    ///
    /// # Errors
    ///
    /// Fails if the TLS configuration or the HTTP client cannot be built.
    pub(super) fn new(
        settings: &config::Upstream,
        quota: &config::Quota,
        credentials: Credentials,
        clock: Clock,
    ) -> Result<Self, BuildError> {
        let limiter = Limiter::new(quota);
        Ok(Self {
            retry: RetryLimits::new(settings.max_attempts, limiter.is_adaptive()),
            circuit_breaker: CircuitBreaker::new(quota.has_circuit),
            limiter,
            latency: LatencyEstimator::default(),
            metrics: AttemptMetrics::new(),
            credentials,
            transport: Transport::new(settings, clock)?,
        })
    }

    /// Returns the clock that requests are signed by.
    pub(super) fn clock(&self) -> &Clock {
        self.transport.clock()
    }

    /// Returns the metrics of attempts.
    pub(super) fn metrics(&self) -> &AttemptMetrics {
        &self.metrics
    }

    /// Returns the counter of connections.
    pub(super) fn connection_counter(&self) -> &ConnectionCounter {
        self.transport.connection_counter()
    }

    /// Returns the correction of the clock.
    pub(super) fn clock_offset(&self) -> &ClockOffset {
        self.transport.clock_offset()
    }

    /// Returns the state and counters of the circuit breaker.
    pub(super) fn circuit_breaker_state(&self) -> CircuitBreakerState {
        self.circuit_breaker.state(Instant::now())
    }

    /// Returns the state and counters of the rate limiter.
    pub(super) fn limiter_state(&self) -> LimiterState {
        self.limiter.state(Instant::now())
    }

    /// Returns the callers whose attempts wait for the rate limiter, at most `max`.
    pub(super) fn waiting_callers(&self, max: usize) -> Vec<WaitingCaller> {
        self.limiter.waiting_callers(max, Instant::now())
    }
}

#[cfg(test)]
mod tests;
