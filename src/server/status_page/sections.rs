//! The tables of the page, a section for each subject.

use maud::{Markup, html};

use super::{format, report::Report};
use crate::proto::METHODS;

/// Writes the calls by status.
pub(super) fn calls(report: &Report) -> Markup {
    let rows = &report.calls.by_status;
    html! {
        section #calls {
            h2 { "Calls by status" }
            @if rows.is_empty() {
                p.empty { "No call has ended." }
            } @else {
                div.scroll #calls-table role="region" aria-label="Calls by status" tabindex="0" { table {
                    thead {
                        tr {
                            th scope="col" { "Status" }
                            th.number scope="col" { "Calls" }
                            th.number scope="col" { "50 %" }
                            th.number scope="col" { "95 %" }
                            th.number scope="col" { "99 %" }
                        }
                    }
                    tbody {
                        @for row in rows {
                            tr {
                                th scope="row" { (breakable(&row.status)) }
                                td.number { (format::count(row.calls)) }
                                td.number { (format::milliseconds(row.latency.p50_ms)) }
                                td.number { (format::milliseconds(row.latency.p95_ms)) }
                                td.number { (format::milliseconds(row.latency.p99_ms)) }
                            }
                        }
                    }
                } }
            }
        }
    }
}

/// Writes the rate limit.
pub(super) fn quota(report: &Report) -> Markup {
    let quota = &report.quota;
    let rate = |rate: Option<f64>, none: &str| rate.map_or(none.to_owned(), format::rate);
    let none_found = match quota.adaptive {
        true => "none: not throttled",
        false => "off",
    };
    let rows = [
        (
            "Limit, configured",
            rate(quota.configured_rate.map(f64::from), "none"),
        ),
        (
            "Limit, found",
            quota
                .adaptive_rate
                .map_or(none_found.to_owned(), format::limit),
        ),
        ("Used", format::rate(quota.used_rate)),
        (
            "Waiting attempts",
            format!(
                "{} of {} callers",
                quota.waiting_attempts, quota.waiting_callers
            ),
        ),
        ("Mean wait", format::milliseconds(quota.mean_wait_ms)),
        ("Admitted", format::count(quota.admitted)),
        ("Rejected, too late", format::count(quota.rejected)),
        ("Throttled upstream", format::count(quota.throttled)),
    ];
    section("quota", "Quota", &rows)
}

/// Writes the callers.
pub(super) fn callers(report: &Report) -> Markup {
    html! {
        section #callers {
            h2 { "Callers" }
            @if report.callers.is_empty() {
                p.empty { "No caller." }
            } @else {
                div.scroll #callers-table role="region" aria-label="Callers" tabindex="0" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Caller" }
                                th.number scope="col" { "Calls" }
                                th.number scope="col" { "Share" }
                                th.number scope="col" { "Limited" }
                                th.number scope="col" { "Fault" }
                                th.number scope="col" { "Waiting" }
                                th.number scope="col" { "Longest" }
                            }
                        }
                        tbody {
                            @for caller in &report.callers {
                                tr {
                                    th scope="row" { (breakable(&caller.name)) }
                                    td.number { (format::count(caller.calls)) }
                                    td.number { (format::percent(caller.share)) }
                                    td.number { (format::count(caller.limited)) }
                                    td.number { (format::count(caller.fault)) }
                                    td.number { (format::count(caller.waiting_attempts as u64)) }
                                    td.number {
                                        (format::milliseconds(
                                            caller.longest_wait_ms.map(|wait| wait as f64)
                                        ))
                                    }
                                }
                            }
                        }
                    }
                }
                @if report.callers_omitted > 0 {
                    p.empty { "And " (report.callers_omitted) " more." }
                }
            }
        }
    }
}

/// Writes readiness, and when certificates and the credential expire.
pub(super) fn readiness(report: &Report) -> Markup {
    html! {
        section #readiness {
            h2 { "Readiness and expiry" }
            dl.rows {
                @for condition in &report.conditions {
                    div {
                        dt { (condition.name) }
                        dd {
                            @if condition.met { "yes" } @else { "no" }
                            @if let Some(reason) = &condition.reason { ": " (reason) }
                        }
                    }
                }
                @for it in &report.expiry {
                    div {
                        dt { (it.name) }
                        dd {
                            @match (&it.expires_at, it.expires_in_seconds) {
                                (Some(time), Some(rest)) => {
                                    "in " (format::seconds(rest)) ": "
                                    time datetime=(time) { (format::time(time)) " UTC" }
                                    @if it.overdue { ", refresh overdue" }
                                }
                                _ => "none that expires"
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Writes upstream and the credential.
pub(super) fn upstream(report: &Report) -> Markup {
    let (upstream, credential) = (&report.upstream, &report.credential);
    let text = |text: &Option<String>| text.clone().unwrap_or("none".to_owned());
    let source = credential.source.unwrap_or("none yet");
    let role = match credential.assumes_role {
        true => ", assumes a role",
        false => "",
    };
    let rows = [
        ("Endpoint", upstream.endpoint.clone()),
        ("Region", text(&upstream.region)),
        ("Proxy", text(&upstream.proxy)),
        (
            "Clock offset",
            format!("{} s", upstream.clock_offset_seconds),
        ),
        ("Credential from", format!("{source}{role}")),
        ("Refreshes", format::count(credential.refreshes)),
        (
            "Failed refreshes",
            format::count(credential.failed_refreshes),
        ),
    ];
    section("upstream", "Upstream and credential", &rows)
}

/// Writes the circuit breaker.
pub(super) fn circuit_breaker(report: &Report) -> Markup {
    let circuit_breaker = &report.circuit_breaker;
    let state = match (circuit_breaker.enabled, circuit_breaker.rejected_ratio) {
        (false, _) => "off".to_owned(),
        (true, 0.0) => "closed".to_owned(),
        (true, ratio) => format!("open: rejects {}", format::percent(ratio)),
    };
    let rows = [
        ("State", state),
        ("Opened", format::count(circuit_breaker.opened)),
        ("Failed attempts", format::count(circuit_breaker.failures)),
        ("Rejected attempts", format::count(circuit_breaker.rejected)),
    ];
    section("circuit-breaker", "Circuit breaker", &rows)
}

/// Writes the cache.
pub(super) fn cache(report: &Report) -> Markup {
    let cache = &report.cache;
    let size = match cache.max_bytes {
        0 => "off".to_owned(),
        max => format!("{} of {}", format::bytes(cache.bytes), format::bytes(max)),
    };
    let rows = [
        ("Size", size),
        ("Entries", format::count(cache.entries)),
        ("Hits", format::count(cache.hits)),
        ("Misses", format::count(cache.misses)),
        ("Shared requests", format::count(cache.shared)),
        ("Stale responses", format::count(cache.stale)),
        ("Evictions", format::count(cache.evictions)),
    ];
    section("cache", "Cache", &rows)
}

/// Writes the connections.
pub(super) fn connections(report: &Report) -> Markup {
    let connections = &report.connections;
    let (open, limit) = (connections.open as u64, connections.limit as u64);
    let rows = [
        (
            "Open",
            format!("{} of {}", format::count(open), format::count(limit)),
        ),
        ("Accepted", format::count(connections.accepted)),
        ("Closed for new ones", format::count(connections.displaced)),
    ];
    section("connections", "Connections", &rows)
}

/// Writes the last errors.
pub(super) fn errors(report: &Report) -> Markup {
    html! {
        section #errors {
            h2 { "Last errors" }
            @if report.errors.is_empty() {
                p.empty { "No call has failed." }
            } @else {
                div.scroll #errors-table role="region" aria-label="Last errors" tabindex="0" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Time (UTC)" }
                                th scope="col" { "Status" }
                                th scope="col" { "Reason" }
                                th scope="col" { "Method" }
                                th.number scope="col" { "Duration" }
                                th scope="col" { "Upstream code" }
                                th scope="col" { "RequestId" }
                                th scope="col" { "Trace id" }
                            }
                        }
                        tbody {
                            @for error in &report.errors {
                                tr {
                                    td {
                                        time datetime=(error.time) { (format::time(&error.time)) }
                                    }
                                    td { (breakable(error.status)) }
                                    td { (optional(&error.reason)) }
                                    td { (breakable(method(&error.method))) }
                                    td.number { (format::milliseconds(Some(error.duration_ms))) }
                                    td { (optional(&error.upstream_code)) }
                                    td { (optional(&error.upstream_request_id)) }
                                    td.id { (optional(&error.trace_id)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Returns the name of a method of the service without the name of the service.
fn method(full_name: &str) -> &str {
    let method = METHODS.iter().find(|method| method.full_name == full_name);
    method.map_or(full_name, |method| &method.name)
}

fn optional(text: &Option<String>) -> Markup {
    breakable(text.as_deref().unwrap_or(format::NONE))
}

/// Writes a text that may be broken after each sign between words.
fn breakable(text: &str) -> Markup {
    html! {
        @for part in text.split_inclusive(['_', '.', '/', '-', ':']) { (part) wbr; }
    }
}

/// Writes a section of names and values.
fn section(id: &str, title: &str, rows: &[(&str, String)]) -> Markup {
    html! {
        section id=(id) {
            h2 { (title) }
            dl.rows {
                @for (name, value) in rows {
                    div { dt { (name) } dd { (value) } }
                }
            }
        }
    }
}
