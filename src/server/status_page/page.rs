//! The page at `/`: head, header, findings and figures. `charts` and `sections` have the rest. All text is escaped by `maud`; only the
//! style sheet and the script, which are ours, are not.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    charts::charts,
    findings::{Moment, Severity, findings},
    format,
    report::Report,
    sections,
};

/// The style sheet. The policy of the page allows it by its hash, like the script.
pub(super) const STYLE: &str = include_str!("page.css");

/// The script that refreshes the page.
pub(super) const SCRIPT: &str = include_str!("page.js");

/// Writes the page.
pub(super) fn page(report: &Report) -> Markup {
    let state = if report.ready { "Ready" } else { "Not ready" };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Without it, browsers request /favicon.ico.
                link rel="icon" href="data:,";
                title { (state) " – iai-facade status" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (header(report, state))
                main {
                    (findings_section(report))
                    (figures(report))
                    (charts(report))
                    div.columns {
                        (sections::calls(report))
                        (sections::quota(report))
                        (sections::callers(report))
                        (sections::upstream(report))
                        (sections::readiness(report))
                        div.stack {
                            (sections::circuit_breaker(report))
                            (sections::connections(report))
                        }
                        (sections::cache(report))
                    }
                    (sections::errors(report))
                }
                footer {
                    "Counts are those of the last " (format::seconds(report.period_seconds)) ". "
                    "The same as data: " a href="status.json" { "status.json" } "."
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

fn header(report: &Report, state: &str) -> Markup {
    html! {
        header {
            h1 { "iai-facade " span.version { (report.version) } }
            div #state .state.(if report.ready { "ready" } else { "unready" }) {
                span.dot aria-hidden="true" {} (state)
            }
            p #since {
                "up " (format::seconds(report.uptime_seconds)) ", since "
                time datetime=(report.started_at) { (format::time(&report.started_at)) " UTC" }
            }
            p.refresh {
                span #refresh role="status" { "Reload the page to refresh it." }
                button #pause type="button" hidden { "Pause" }
            }
        }
    }
}

fn findings_section(report: &Report) -> Markup {
    let findings = findings(report);
    html! {
        section #findings aria-label="Findings" {
            @if findings.is_empty() {
                p.fine { "No problem found." }
            } @else {
                ul {
                    @for finding in findings {
                        li.(class(finding.severity)) {
                            strong { (finding.severity.name()) } " " (finding.text)
                        }
                    }
                }
            }
        }
    }
}

fn class(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// Writes the figures of this moment.
fn figures(report: &Report) -> Markup {
    let moment = Moment::of(&report.intervals);
    let latency = report.intervals.iter().rev().find(|it| it.calls() > 0);
    let failed = moment.fault + moment.limited;
    let failed = match moment.calls {
        0 => format::NONE.to_owned(),
        calls => format::percent(failed as f64 / calls as f64),
    };
    let quota = &report.quota;
    let rate = quota.adaptive_rate.or(quota.configured_rate.map(f64::from));
    let rate = rate.map_or("no limit".to_owned(), |rate| {
        format!("limit {}", format::limit(rate))
    });
    let figures = [
        ("Calls", format::rate(moment.rate()), String::new()),
        ("Failed or rejected", failed, String::new()),
        (
            "Latency",
            format::milliseconds(latency.and_then(|it| it.p50_ms)),
            format!(
                "99 %: {}",
                format::milliseconds(latency.and_then(|it| it.p99_ms))
            ),
        ),
        ("Quota used", format::rate(quota.used_rate), rate),
        (
            "Waiting attempts",
            format::count(quota.waiting_attempts as u64),
            format!("of {} callers", quota.waiting_callers),
        ),
        (
            "Calls in progress",
            format::count(report.calls.in_progress as u64),
            format!("of {}", format::count(report.calls.limit as u64)),
        ),
    ];
    html! {
        section #figures aria-label="Now" {
            dl {
                @for (name, value, note) in figures {
                    div { dt { (name) } dd { strong { (value) } " " span { (note) } } }
                }
            }
        }
    }
}
