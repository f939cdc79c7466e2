//! The charts of the page: calls, latency, quota and circuit breaker.

use maud::{Markup, html};

use super::{
    chart::{Chart, Scale, Series, Shape},
    format,
    report::{Interval, Report},
};

/// The shortest interval in a chart, in seconds. Rates of a shorter one are chance.
const MIN_INTERVAL: f64 = 1.0;

/// The highest rate limit that is shown, as a multiple of the highest rate that was used.
const MAX_SHOWN_LIMIT: f64 = 4.0;

/// Writes the charts.
pub(super) fn charts(report: &Report) -> Markup {
    let intervals = report.intervals.iter();
    let intervals: Vec<_> = intervals
        .filter(|interval| interval.seconds >= MIN_INTERVAL)
        .collect();
    let series = |label, class, shape, value: fn(&Interval) -> Option<f64>| Series {
        label,
        class,
        shape,
        values: intervals.iter().map(|interval| value(interval)).collect(),
    };
    let chart = |title, format, scale, series| Chart {
        title,
        lengths: intervals.iter().map(|interval| interval.seconds).collect(),
        series,
        format,
        scale,
    };
    let calls = vec![
        series("OK", "ok", Shape::Bars, |it| {
            Some(it.ok as f64 / it.seconds)
        }),
        series("caller’s fault", "caller", Shape::Bars, |it| {
            Some(it.caller_fault as f64 / it.seconds)
        }),
        series("limited", "limited", Shape::Bars, |it| {
            Some(it.limited as f64 / it.seconds)
        }),
        series("fault", "fault", Shape::Bars, |it| {
            Some(it.fault as f64 / it.seconds)
        }),
    ];
    let latency = vec![
        series("99 %", "limited", Shape::Line, |it| it.p99_ms),
        series("50 %", "accent", Shape::Line, |it| it.p50_ms),
    ];
    // A rate limit far above what is used would hide all else.
    let used = intervals.iter().map(|it| it.admitted as f64 / it.seconds);
    let highest = used.fold(1.0, f64::max) * MAX_SHOWN_LIMIT;
    let limits = intervals
        .iter()
        .map(|it| it.rate.filter(|rate| *rate <= highest));
    let quota = vec![
        series("admitted", "accent", Shape::Bars, |it| {
            Some(it.admitted.saturating_sub(it.throttled) as f64 / it.seconds)
        }),
        series("throttled", "fault", Shape::Bars, |it| {
            Some(it.throttled as f64 / it.seconds)
        }),
        Series {
            label: "limit",
            class: "limited",
            shape: Shape::Line,
            values: limits.collect(),
        },
    ];
    let circuit_breaker = vec![series("rejected", "fault", Shape::Bars, |it| {
        Some(it.rejected_ratio)
    })];
    html! {
        section #charts aria-label="Charts" {
            (chart("Calls", format::rate, Scale::Linear(1.0), calls).markup())
            (chart("Latency of calls", |it| format::milliseconds(Some(it)), Scale::Logarithmic(0.1), latency).markup())
            (chart("Attempts and quota", format::rate, Scale::Linear(1.0), quota).markup())
            (chart("Circuit breaker", format::percent, Scale::Linear(1.0), circuit_breaker).markup())
        }
    }
}
