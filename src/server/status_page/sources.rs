//! Reads the report from the layers that have its values.

use std::{fmt, sync::Arc};

use time::{UtcDateTime, format_description::well_known::Rfc3339};
use tokio::time::Instant;

use super::{
    callers::{MAX_CALLERS, callers},
    history::{Counters, History, Sample},
    periods,
    report::{
        Cache, CircuitBreaker, Condition, Connections, Credential, Expiring, FailedCall, Quota,
        Report, Upstream,
    },
};
use crate::{
    config,
    server::{
        expiry::{Expiry, Kind},
        readiness::Readiness,
        recent_errors,
    },
};

/// Where the values of the report are.
#[derive(Clone, Debug)]
pub(in crate::server) struct Sources {
    settings: Settings,
    counters: Counters,
    history: History,
    readiness: Readiness,
    expiry: Expiry,
    start: Instant,
    started_at: UtcDateTime,
}

/// The settings that the report contains.
#[derive(Clone, Debug)]
struct Settings {
    endpoint: String,
    region: Option<String>,
    proxy: Option<String>,
    assumes_role: bool,
    is_adaptive: bool,
    has_circuit: bool,
}

impl Settings {
    fn new(settings: &config::Serve) -> Self {
        let upstream = &settings.upstream;
        let region = upstream.region.as_ref();
        let proxy = upstream.proxies.proxy_for(&upstream.endpoint);
        Self {
            endpoint: upstream.endpoint.url().to_string(),
            region: region.and_then(|region| Some(region.to_str().ok()?.to_owned())),
            // Without user and password.
            proxy: proxy.map(ToString::to_string),
            assumes_role: settings.credentials.role_arn.is_some(),
            is_adaptive: settings.quota.is_adaptive,
            has_circuit: settings.quota.has_circuit,
        }
    }
}

impl Sources {
    /// Creates the sources of a server that starts now, and takes the first sample.
    pub(in crate::server) fn new(
        settings: &config::Serve,
        counters: Counters,
        readiness: Readiness,
        expiry: Expiry,
    ) -> Self {
        let history = History::default();
        history.sample(&counters);
        Self {
            settings: Settings::new(settings),
            started_at: counters.client.clock().now(),
            counters,
            history,
            readiness,
            expiry,
            start: Instant::now(),
        }
    }

    /// Samples the counters, for as long as it is polled.
    pub(in crate::server) fn record(&self) -> impl Future<Output = ()> + use<> {
        self.history.clone().record(self.counters.clone())
    }

    /// Returns the report.
    ///
    /// # Errors
    ///
    /// Fails if the metrics cannot be read.
    pub(super) fn report(&self) -> Result<Report, fmt::Error> {
        let now = self.counters.read()?;
        let mut samples = self.history.samples();
        let first = samples.first().cloned();
        let first = first.unwrap_or_else(|| Arc::new(now.clone()));
        samples.push(Arc::new(now.clone()));

        let (ready, conditions) = self.readiness.report();
        let conditions = conditions.into_iter().map(|condition| Condition {
            name: condition.name,
            met: condition.is_met,
            reason: condition.reason,
        });
        let waiting = self.counters.client.waiting_callers(MAX_CALLERS);
        let (callers, callers_omitted) = callers(&first, &now, waiting);
        let errors = self.counters.calls.access_log().recent_errors();
        let errors = errors.latest_first().into_iter().map(FailedCall::from);
        Ok(Report {
            version: env!("CARGO_PKG_VERSION"),
            started_at: timestamp(self.started_at),
            uptime_seconds: (now.at - self.start).as_secs(),
            period_seconds: (now.at - first.at).as_secs(),
            ready,
            conditions: conditions.collect(),
            upstream: self.upstream(),
            credential: self.credential(),
            expiry: self.expiry(),
            calls: periods::calls(&first, &now, self.counters.calls.in_progress()),
            quota: self.quota(&first, &now, &samples),
            callers,
            callers_omitted,
            circuit_breaker: self.circuit_breaker(&first, &now),
            cache: cache(&first, &now),
            connections: self.connections(&first, &now),
            intervals: periods::intervals(&samples),
            errors: errors.collect(),
        })
    }

    fn upstream(&self) -> Upstream {
        let Settings {
            endpoint,
            region,
            proxy,
            ..
        } = self.settings.clone();
        Upstream {
            endpoint,
            region,
            proxy,
            clock_offset_seconds: self.counters.client.clock_offset(),
        }
    }

    fn credential(&self) -> Credential {
        let credentials = self.counters.client.credentials();
        let counters = credentials.counters();
        Credential {
            source: credentials.provider(),
            assumes_role: self.settings.assumes_role,
            refreshes: counters.replaced,
            failed_refreshes: counters.failed,
            failure: credentials.failure().map(|failure| failure.to_string()),
        }
    }

    fn expiry(&self) -> Vec<Expiring> {
        let expiring = self.expiry.read();
        let of = |kind: Kind| {
            let found = expiring.iter().find(|it| it.kind == kind);
            Expiring {
                name: kind.to_string(),
                expires_at: found.map(|it| timestamp(it.expires_at)),
                expires_in_seconds: found.map(|it| it.expires_in.as_secs()),
                state: found.map_or("none", |it| it.stage().name()),
                overdue: found.is_some_and(|it| it.is_overdue),
            }
        };
        Kind::ALL.map(of).into()
    }

    fn quota(&self, first: &Sample, now: &Sample, samples: &[Arc<Sample>]) -> Quota {
        let (before, now) = (&first.limiter, &now.limiter);
        let admitted = now.admitted.saturating_sub(before.admitted);
        let waited = now.waited.saturating_sub(before.waited);
        Quota {
            configured_rate: now.rate.map(Into::into),
            adaptive: self.settings.is_adaptive,
            adaptive_rate: now.adaptive_rate.map(rounded),
            used_rate: rounded(periods::used_rate(samples)),
            waiting_attempts: now.waiting,
            waiting_callers: now.callers_waiting,
            mean_wait_ms: (admitted > 0)
                .then(|| rounded(waited.as_secs_f64() * 1e3 / admitted as f64)),
            admitted,
            rejected: now.rejected.saturating_sub(before.rejected),
            throttled: now.throttled.saturating_sub(before.throttled),
        }
    }

    fn circuit_breaker(&self, first: &Sample, now: &Sample) -> CircuitBreaker {
        let (before, now) = (first.circuit_breaker, now.circuit_breaker);
        CircuitBreaker {
            enabled: self.settings.has_circuit,
            rejected_ratio: rounded(now.rejected_share),
            opened: now.opened.saturating_sub(before.opened),
            failures: now.failures.saturating_sub(before.failures),
            rejected: now.rejected.saturating_sub(before.rejected),
        }
    }

    fn connections(&self, first: &Sample, now: &Sample) -> Connections {
        let (before, now) = (first.connections, now.connections);
        Connections {
            open: now.open,
            limit: now.limit,
            accepted: now.accepted.saturating_sub(before.accepted),
            displaced: now.displaced.saturating_sub(before.displaced),
        }
    }
}

impl From<recent_errors::FailedCall> for FailedCall {
    fn from(call: recent_errors::FailedCall) -> Self {
        Self {
            time: timestamp(call.time),
            method: call.method,
            status: call.status,
            duration_ms: rounded(call.duration.as_secs_f64() * 1e3),
            reason: call.reason.map(Into::into),
            upstream_code: call.upstream_code,
            upstream_request_id: call.upstream_request_id,
            trace_id: call.trace_id.map(|id| id.to_string()),
        }
    }
}

fn cache(first: &Sample, now: &Sample) -> Cache {
    let (before, now) = (first.cache, now.cache);
    Cache {
        entries: now.entries,
        bytes: now.bytes,
        max_bytes: now.max_bytes,
        hits: now.hits.saturating_sub(before.hits),
        misses: now.misses.saturating_sub(before.misses),
        shared: now.shared.saturating_sub(before.shared),
        stale: now.stale.saturating_sub(before.stale),
        evictions: now.evictions.saturating_sub(before.evictions),
    }
}

/// Formats a time by RFC 3339, with milliseconds.
fn timestamp(time: UtcDateTime) -> String {
    let time = time.truncate_to_millisecond();
    time.format(&Rfc3339).unwrap_or_else(|_| time.to_string())
}

fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
