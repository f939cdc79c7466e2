//! What the status page shows, as plain data: the fields of `/status.json`, which `docs/status-page.md` lists.
//! Counts are those of the last 15 minutes, or since the start if that is more recent.

use serde::Serialize;

/// The whole report.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) version: &'static str,
    pub(super) started_at: String,
    pub(super) uptime_seconds: u64,
    pub(super) period_seconds: u64,
    pub(super) ready: bool,
    pub(super) conditions: Vec<Condition>,
    pub(super) upstream: Upstream,
    pub(super) credential: Credential,
    pub(super) expiry: Vec<Expiring>,
    pub(super) calls: Calls,
    pub(super) quota: Quota,
    pub(super) callers: Vec<Caller>,
    pub(super) callers_omitted: usize,
    pub(super) circuit_breaker: CircuitBreaker,
    pub(super) cache: Cache,
    pub(super) connections: Connections,
    pub(super) intervals: Vec<Interval>,
    pub(super) errors: Vec<FailedCall>,
}

#[derive(Debug, Serialize)]
pub(super) struct Condition {
    pub(super) name: &'static str,
    pub(super) met: bool,
    pub(super) reason: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Upstream {
    pub(super) endpoint: String,
    pub(super) region: Option<String>,
    pub(super) proxy: Option<String>,
    pub(super) clock_offset_seconds: i64,
}

#[derive(Debug, Serialize)]
pub(super) struct Credential {
    pub(super) source: Option<&'static str>,
    pub(super) assumes_role: bool,
    pub(super) refreshes: u64,
    pub(super) failed_refreshes: u64,
    pub(super) failure: Option<String>,
}

/// A certificate or the credential; without a time if it does not exist or does not expire.
#[derive(Debug, Serialize)]
pub(super) struct Expiring {
    pub(super) name: String,
    pub(super) expires_at: Option<String>,
    pub(super) expires_in_seconds: Option<u64>,
    pub(super) state: &'static str,
    pub(super) overdue: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Calls {
    pub(super) in_progress: usize,
    pub(super) limit: usize,
    pub(super) by_status: Vec<StatusCalls>,
}

/// The calls that ended with one status.
#[derive(Debug, Serialize)]
pub(super) struct StatusCalls {
    pub(super) status: String,
    pub(super) calls: u64,
    #[serde(flatten)]
    pub(super) latency: Latency,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Latency {
    pub(super) p50_ms: Option<f64>,
    pub(super) p95_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Quota {
    pub(super) configured_rate: Option<u32>,
    pub(super) adaptive: bool,
    pub(super) adaptive_rate: Option<f64>,
    pub(super) used_rate: f64,
    pub(super) waiting_attempts: usize,
    pub(super) waiting_callers: usize,
    pub(super) mean_wait_ms: Option<f64>,
    pub(super) admitted: u64,
    pub(super) rejected: u64,
    pub(super) throttled: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Caller {
    pub(super) name: String,
    pub(super) calls: u64,
    pub(super) share: f64,
    pub(super) limited: u64,
    pub(super) caller_fault: u64,
    pub(super) fault: u64,
    pub(super) waiting_attempts: usize,
    pub(super) longest_wait_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct CircuitBreaker {
    pub(super) enabled: bool,
    pub(super) rejected_ratio: f64,
    pub(super) opened: u64,
    pub(super) failures: u64,
    pub(super) rejected: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Cache {
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) max_bytes: u64,
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) shared: u64,
    pub(super) stale: u64,
    pub(super) evictions: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Connections {
    pub(super) open: usize,
    pub(super) limit: usize,
    pub(super) accepted: u64,
    pub(super) displaced: u64,
}

/// An interval of 10 s, or the time since the last complete one.
#[derive(Debug, Serialize)]
pub(super) struct Interval {
    pub(super) seconds: f64,
    pub(super) ok: u64,
    pub(super) caller_fault: u64,
    pub(super) limited: u64,
    pub(super) fault: u64,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    pub(super) admitted: u64,
    pub(super) throttled: u64,
    pub(super) rate: Option<f64>,
    pub(super) rejected_ratio: f64,
}

impl Interval {
    /// Returns the number of calls.
    pub(super) fn calls(&self) -> u64 {
        self.ok + self.caller_fault + self.limited + self.fault
    }
}

/// A call that failed.
#[derive(Debug, Serialize)]
pub(super) struct FailedCall {
    pub(super) time: String,
    pub(super) method: String,
    pub(super) status: &'static str,
    pub(super) duration_ms: f64,
    pub(super) reason: Option<String>,
    pub(super) upstream_code: Option<String>,
    pub(super) upstream_request_id: Option<String>,
    pub(super) trace_id: Option<String>,
}
