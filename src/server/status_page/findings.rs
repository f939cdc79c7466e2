//! Findings: what is wrong at the moment, in words, derived from the report.

use super::{
    format,
    report::{Interval, Report},
};

/// The time that counts as the moment, in seconds: the last interval, with the one before if it has just
/// begun.
const MOMENT: f64 = 5.0;

/// Something that needs attention.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) text: String,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Severity {
    /// Calls fail.
    Error,
    /// Calls wait, or will fail.
    Warning,
}

impl Severity {
    /// Returns the word that stands before a finding.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Error => "Error",
            Self::Warning => "Warning",
        }
    }
}

/// Returns the findings, the errors first.
pub(super) fn findings(report: &Report) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |severity, text| found.push(Finding { severity, text });
    for condition in report.conditions.iter().filter(|it| !it.met) {
        let reason = condition.reason.as_deref();
        let reason = reason.map_or(String::new(), |reason| format!(" ({reason})"));
        add(
            Severity::Error,
            format!("Not ready: “{}” is not met{reason}.", condition.name),
        );
    }
    if let Some(failure) = &report.credential.failure {
        let text = format!("The credential cannot be refreshed: {failure}.");
        add(Severity::Error, text);
    }
    for it in &report.expiry {
        let severity = match it.state {
            "expired" | "urgent" => Severity::Error,
            "soon" => Severity::Warning,
            _ if it.overdue => Severity::Warning,
            _ => continue,
        };
        let rest = it.expires_in_seconds.unwrap_or_default();
        let text = match rest {
            0 => format!("The {} has expired.", it.name),
            _ => format!("The {} expires in {}.", it.name, format::seconds(rest)),
        };
        add(severity, text);
    }
    let ratio = report.circuit_breaker.rejected_ratio;
    if ratio > 0.0 {
        let share = format::percent(ratio);
        let text = format!(
            "Circuit breaker open: Tencent Cloud fails, and {share} of the attempts are rejected."
        );
        add(Severity::Error, text);
    }
    let moment = Moment::of(&report.intervals);
    if moment.fault > 0 {
        let text = format!(
            "{} of {} calls in the last {:.0} s failed because of Tencent Cloud or this service.",
            moment.fault, moment.calls, moment.seconds
        );
        add(Severity::Error, text);
    }
    if moment.limited > 0 {
        let text = format!(
            "A limit or the quota is exhausted: {} of {} calls in the last {:.0} s were rejected.",
            moment.limited, moment.calls, moment.seconds
        );
        add(Severity::Error, text);
    }
    if moment.throttled > 0 {
        let rate = report.quota.adaptive_rate.map_or(String::new(), |rate| {
            format!("; the rate is lowered to {}", format::limit(rate))
        });
        let text = format!(
            "Throttled by Tencent Cloud: {} attempts in the last {:.0} s{rate}.",
            moment.throttled, moment.seconds
        );
        add(Severity::Warning, text);
    }
    if report.quota.waiting_attempts > 0 {
        let text = format!(
            "The quota is used up: {} attempts of {} callers wait.",
            report.quota.waiting_attempts, report.quota.waiting_callers
        );
        add(Severity::Warning, text);
    }
    let offset = report.upstream.clock_offset_seconds;
    if offset != 0 {
        let text = format!("The clock is off by {offset} s; signatures are corrected.");
        add(Severity::Warning, text);
    }
    for (name, now, limit) in [
        (
            "calls in progress",
            report.calls.in_progress,
            report.calls.limit,
        ),
        (
            "connections",
            report.connections.open,
            report.connections.limit,
        ),
    ] {
        if now >= limit {
            let text = format!("The maximum number of {name} is reached: {now}.");
            add(Severity::Warning, text);
        }
    }
    found.sort_by_key(|finding| finding.severity);
    found
}

/// The sum of the last intervals.
#[derive(Debug, Default)]
pub(super) struct Moment {
    pub(super) seconds: f64,
    pub(super) calls: u64,
    pub(super) limited: u64,
    pub(super) fault: u64,
    pub(super) throttled: u64,
}

impl Moment {
    /// Adds up the last intervals, until they are long enough.
    pub(super) fn of(intervals: &[Interval]) -> Self {
        let mut moment = Self::default();
        for interval in intervals.iter().rev() {
            if moment.seconds >= MOMENT {
                break;
            }
            moment.seconds += interval.seconds;
            moment.limited += interval.limited;
            moment.fault += interval.fault;
            moment.throttled += interval.throttled;
            moment.calls += interval.calls();
        }
        moment
    }

    /// Returns the calls per second.
    pub(super) fn rate(&self) -> f64 {
        self.calls as f64 / self.seconds.max(1.0)
    }
}
