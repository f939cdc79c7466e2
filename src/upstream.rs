//! Client for the Tencent Cloud API: sends an [`ApiRequest`] and returns the decoded response. `pipeline`
//! has the steps between, in their order: cache, singleflight, retry, circuit breaker, rate limiter, sign
//! and send, decode. Must not know gRPC or the fields of any action.

pub mod envelope;
pub mod error_code;
pub mod retry_policy;

mod attempt;
mod attempt_metrics;
mod attempt_span;
mod cache;
mod cache_statistics;
mod circuit_breaker;
mod connection_counter;
mod connection_pool;
mod diagnostic_client;
mod error;
mod latency;
mod limiter;
mod metrics;
mod pipeline;
mod request;
mod response;
mod retry;
mod retry_budget;
mod singleflight;
mod transport;
mod transport_error;

use std::sync::Arc;

use self::pipeline::{Attempts, Pipeline};
pub use self::{
    cache_statistics::CacheStatistics,
    circuit_breaker::CircuitBreakerState,
    diagnostic_client::{DiagnosticClient, ResponseHead, SignedExchange},
    error::{ApiError, Error, ErrorClass},
    limiter::{LimiterState, WaitingCaller},
    request::ApiRequest,
    response::{ApiResponse, Cacheable, Decode, Decoded, Reply},
};
use crate::{
    clock::Clock, config, context::Context, credentials::Credentials, http_client::BuildError,
    metrics::Registry,
};

/// The upstream client, shared by all calls.
#[derive(Clone, Debug)]
pub struct Client {
    pipeline: Arc<Pipeline>,
    credentials: Credentials,
}

impl Client {
    /// Creates a client that signs with `credentials` at the time of `clock`. Cache entries age by the
    /// boot time of `clock`.
    ///
    /// Sends nothing before the first call.
    ///
    /// # Errors
    ///
    /// Fails if the TLS configuration or the HTTP client cannot be built.
    pub fn new(
        settings: &config::Serve,
        credentials: Credentials,
        clock: Clock,
    ) -> Result<Self, BuildError> {
        let attempts = Attempts::new(
            &settings.upstream,
            &settings.quota,
            credentials.clone(),
            clock.clone(),
        )?;
        let pipeline = Pipeline::new(
            &settings.cache,
            settings.calls.max_call_time,
            credentials.clone(),
            clock,
            attempts,
        );
        Ok(Self {
            pipeline: Arc::new(pipeline),
            credentials,
        })
    }

    /// Returns the credentials that requests are signed with.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Returns the clock that requests are signed by.
    pub fn clock(&self) -> &Clock {
        self.pipeline.attempts().clock()
    }

    /// Returns the response to `request`, decoded, from the cache or from an equal request in flight, if
    /// the context allows it; otherwise sends the request, with retries. Records in the context where
    /// the response came from.
    ///
    /// The caller enforces the context's deadline by dropping the future. Cancel safe: dropping the
    /// future cancels everything in flight for the call, except requests that other calls wait for.
    ///
    /// # Errors
    ///
    /// Fails with the error of the last attempt.
    pub async fn call<T: Send + 'static>(
        &self,
        request: ApiRequest,
        decode: Decode<T>,
        context: &Arc<Context>,
    ) -> Result<Reply<T>, Error> {
        self.pipeline.call(request, decode, context).await
    }

    /// Registers the metrics of the client. Called once.
    pub fn register_metrics(&self, registry: &mut Registry) {
        metrics::register(&self.pipeline, registry);
    }

    /// Returns the counters and sizes of the cache and of singleflight.
    pub fn cache_statistics(&self) -> CacheStatistics {
        self.pipeline.cache_statistics()
    }

    /// Returns the state and counters of the rate limiter.
    pub fn limiter(&self) -> LimiterState {
        self.pipeline.attempts().limiter_state()
    }

    /// Returns the callers whose attempts wait for the rate limiter, those with the most attempts first, at
    /// most `max`.
    pub fn waiting_callers(&self, max: usize) -> Vec<WaitingCaller> {
        self.pipeline.attempts().waiting_callers(max)
    }

    /// Returns the time of Tencent Cloud minus the local time, in seconds, as used in signatures.
    pub fn clock_offset(&self) -> i64 {
        self.pipeline.attempts().clock_offset().seconds()
    }

    /// Returns the state and counters of the circuit breaker.
    pub fn circuit_breaker(&self) -> CircuitBreakerState {
        self.pipeline.attempts().circuit_breaker_state()
    }
}
