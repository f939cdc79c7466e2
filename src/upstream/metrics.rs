//! Metrics of the upstream client that its steps keep, and that are read at the time of a scrape: clock,
//! connections, rate limiter, circuit breaker, cache and singleflight.

use std::{fmt, sync::Arc};

use super::pipeline::{Attempts, Pipeline};
use crate::metrics::{Collector, DescriptorEncoder, Registry, Unit, Values};

/// Registers the metrics of `pipeline`.
pub(super) fn register(pipeline: &Arc<Pipeline>, registry: &mut Registry) {
    pipeline.attempts().metrics().register(registry);
    registry.register_with_unit(
        "iai_facade_cache_response_age",
        "Age of responses that were served from the cache",
        Unit::Seconds,
        pipeline.response_ages().clone(),
    );
    registry.register_collector(Box::new(UpstreamCollector(Arc::clone(pipeline))));
}

/// Reads what the steps count themselves.
#[derive(Debug)]
struct UpstreamCollector(Arc<Pipeline>);

impl Collector for UpstreamCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut values = Values::new(encoder);
        let attempts = self.0.attempts();
        encode_connections(attempts, &mut values)?;
        encode_clock(attempts, &mut values)?;
        encode_limiter(attempts, &mut values)?;
        encode_circuit_breaker(attempts, &mut values)?;
        encode_cache(&self.0, &mut values)
    }
}

fn encode_connections(attempts: &Attempts, values: &mut Values<'_>) -> fmt::Result {
    let (opened, failed) = attempts.connection_counter().counts();
    values.counter(
        "iai_facade_upstream_connections_opened",
        "Connections to Tencent Cloud that were opened",
        opened,
    )?;
    values.counter(
        "iai_facade_upstream_connections_failed",
        "Connections to Tencent Cloud that could not be opened",
        failed,
    )
}

fn encode_clock(attempts: &Attempts, values: &mut Values<'_>) -> fmt::Result {
    let offset = attempts.clock_offset();
    values.gauge(
        "iai_facade_clock_offset",
        "Time of Tencent Cloud minus the local time, as used in signatures",
        Some(&Unit::Seconds),
        offset.seconds() as f64,
    )?;
    values.counter(
        "iai_facade_clock_corrections",
        "Changes of the clock offset",
        offset.changes(),
    )
}

fn encode_limiter(attempts: &Attempts, values: &mut Values<'_>) -> fmt::Result {
    let state = attempts.limiter_state();
    let configured = state.rate.map(|rate| f64::from(rate.get()));
    let rates = [
        ("configured", configured),
        ("adaptive", state.adaptive_rate),
    ];
    let rates = rates
        .into_iter()
        .filter_map(|(kind, rate)| Some(([("kind", kind)], rate?)));
    values.gauges(
        "iai_facade_quota_rate",
        "Attempts per second that the rate limiter admits; none if it admits all",
        rates,
    )?;
    values.gauge(
        "iai_facade_quota_waiting_attempts",
        "Attempts that wait for the rate limiter",
        None,
        state.waiting as f64,
    )?;
    values.gauge(
        "iai_facade_quota_waiting_callers",
        "Callers whose attempts wait for the rate limiter",
        None,
        state.callers_waiting as f64,
    )?;
    values.counter(
        "iai_facade_quota_admitted",
        "Attempts that the rate limiter admitted",
        state.admitted,
    )?;
    values.counter(
        "iai_facade_quota_rejected",
        "Attempts that the rate limiter rejected because they would have been admitted too late",
        state.rejected,
    )?;
    values.counter(
        "iai_facade_quota_cancelled",
        "Attempts that were cancelled while they waited for the rate limiter",
        state.cancelled,
    )?;
    values.counter(
        "iai_facade_quota_throttled",
        "Attempts that Tencent Cloud rejected because of the rate",
        state.throttled,
    )
}

fn encode_circuit_breaker(attempts: &Attempts, values: &mut Values<'_>) -> fmt::Result {
    let state = attempts.circuit_breaker_state();
    values.gauge(
        "iai_facade_circuit_breaker_rejected_ratio",
        "Share of attempts that the circuit breaker rejects now; 0 if it is closed",
        None,
        state.rejected_share,
    )?;
    values.counter(
        "iai_facade_circuit_breaker_rejected",
        "Attempts that the circuit breaker rejected",
        state.rejected,
    )?;
    values.counter(
        "iai_facade_circuit_breaker_failures",
        "Attempts that the circuit breaker counted as failures of upstream",
        state.failures,
    )?;
    values.counter(
        "iai_facade_circuit_breaker_opened",
        "How often the circuit breaker opened",
        state.opened,
    )
}

fn encode_cache(pipeline: &Pipeline, values: &mut Values<'_>) -> fmt::Result {
    let statistics = pipeline.cache_statistics();
    let results = [
        ("hit", statistics.hits),
        ("miss", statistics.misses),
        ("shared", statistics.shared),
        ("stale", statistics.stale),
    ];
    values.counters(
        "iai_facade_cache_requests",
        "Calls that reached the cache, by where their response came from",
        results.map(|(result, calls)| ([("result", result)], calls)),
    )?;
    values.gauge(
        "iai_facade_cache_entries",
        "Entries of the cache",
        None,
        statistics.entries as f64,
    )?;
    values.gauge(
        "iai_facade_cache_size",
        "Size of the entries of the cache",
        Some(&Unit::Bytes),
        statistics.bytes as f64,
    )?;
    values.gauge(
        "iai_facade_cache_max_size",
        "Maximum size of the cache; 0 if it is off",
        Some(&Unit::Bytes),
        statistics.max_bytes as f64,
    )?;
    values.counter(
        "iai_facade_cache_evictions",
        "Entries evicted because the cache was full",
        statistics.evictions,
    )?;
    values.gauge(
        "iai_facade_singleflight_requests",
        "Shared and background requests in flight",
        None,
        statistics.requests_in_flight as f64,
    )?;
    values.gauge(
        "iai_facade_singleflight_waiters",
        "Calls that wait for these requests",
        None,
        statistics.waiters as f64,
    )
}
