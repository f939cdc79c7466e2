#!/usr/bin/env python3
"""Generates the dashboards of this folder; without `--write`, checks that they are up to date.

Usage: deploy/grafana/generate.py [--write]

Checks that promtool accepts each expression, and that each metric of docs/metrics.md is on a panel or in WITHOUT_PANEL, and
the other way round. Needs promtool.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent
METRICS = FOLDER.parent.parent / "docs/metrics.md"

WIDTH, HEIGHT = 8, 7

# The statuses that OpenTelemetry counts as errors of a server.
ERRORS = "UNKNOWN|DEADLINE_EXCEEDED|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS"

JOB = 'job="$job"'
CALLS = "grpc_server_call_duration_seconds"

# Metrics that need no panel, and why.
WITHOUT_PANEL = {
    "grpc_server_call_started_total": "the calls that ended say more",
    "iai_facade_build_info": "a variable shows the versions",
    "iai_facade_circuit_breaker_failures_total": "the classes of attempts say more",
    "iai_facade_connections_limit": "the share of the limit is shown by the alert",
    "iai_facade_credential_info": "the source does not change",
    "iai_facade_credential_lifetime_seconds": "for alerts, which compare it with the expiry",
    "iai_facade_file_last_reload_timestamp_seconds": "reloads are shown as they happen",
    "iai_facade_runtime_alive_tasks": "for the profile of a running service",
    "iai_facade_runtime_global_queue_depth": "for the profile of a running service",
    "iai_facade_runtime_workers": "constant",
    "iai_facade_singleflight_requests": "the waiters say more",
    "iai_facade_tls_certificate_lifetime_seconds": "for alerts, which compare it with the expiry",
    "iai_facade_tls_client_ca_lifetime_seconds": "for alerts, which compare it with the expiry",
    "process_max_fds": "constant",
    "process_start_time_seconds": "restarts are shown by the cluster",
    "process_threads": "constant",
    "process_virtual_memory_bytes": "resident memory says more",
}


def rate(name, labels="", by="job"):
    selector = f"{name}{{{JOB}{', ' if labels else ''}{labels}}}"
    return f"sum by ({by}) (rate({selector}[$__rate_interval]))"


def gauge(name, how="sum", by="job"):
    return f"{how} by ({by}) ({name}{{{JOB}}})"


def quantile(share, name, labels="", by=""):
    bucket = rate(f"{name}_bucket", labels, ", ".join(filter(None, ["le", by])))
    return f"histogram_quantile({share}, {bucket})"


def remaining(name):
    return f"min by (job) ({name}{{{JOB}}} - time())"


# Each panel: title, unit, description, and expressions with their legends.
OPERATORS = [
    ("Calls", [
        ("Calls by status", "reqps", "Calls that ended, by gRPC status.",
         [(rate(f"{CALLS}_count", by="grpc_status"), "{{grpc_status}}")]),
        ("Share of errors", "percentunit", "Share of calls with a status that counts against the error budget.",
         [(f'{rate(f"{CALLS}_count", f"grpc_status=~{chr(34)}{ERRORS}{chr(34)}")} / {rate(f"{CALLS}_count")}', "errors")]),
        ("Duration", "s", "Durations of successful calls that half, 95 % and 99 % of them do not exceed.",
         [(quantile(share, CALLS, 'grpc_status="OK"'), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99)]),
        ("Errors by reason", "reqps", "Failed calls by ErrorInfo.reason; docs/errors.md explains each.",
         [(rate("iai_facade_errors_total", by="reason") + " > 0", "{{reason}}")]),
        ("Calls in progress", "short", "Calls in progress in all replicas, and their limit.",
         [(gauge("iai_facade_calls_in_progress"), "in progress"), (gauge("iai_facade_calls_limit"), "limit")]),
        ("Calls by caller", "reqps", "The ten callers with most calls, as the log names them.",
         [(f'topk(10, {rate("iai_facade_caller_calls_total", by="caller")})', "{{caller}}")]),
    ]),
    ("Upstream", [
        ("Attempts by class", "reqps", "Requests to Tencent Cloud by the class of their result.",
         [(rate("iai_facade_upstream_attempts_total", by="class") + " > 0", "{{class}}")]),
        ("Duration of attempts", "s", "Durations of requests to Tencent Cloud that half and 99 % do not exceed.",
         [(quantile(share, "iai_facade_upstream_attempt_duration_seconds"), f"p{share * 100:g}") for share in (0.5, 0.99)]),
        ("Retries", "reqps", "Attempts that followed a failed one, and those that were withheld, by reason.",
         [(rate("iai_facade_upstream_retries_total", by="reason") + " > 0", "{{reason}}"),
          (rate("iai_facade_upstream_retries_withheld_total", by="reason") + " > 0", "withheld: {{reason}}")]),
        ("Circuit breaker", "percentunit", "Share of attempts that the circuit breaker rejects: 0 if it is closed.",
         [(gauge("iai_facade_circuit_breaker_rejected_ratio", "max", "instance"), "{{instance}}")]),
        ("Circuit breaker events", "reqps", "Attempts that it rejected, and how often it opened.",
         [(rate("iai_facade_circuit_breaker_rejected_total"), "rejected"), (rate("iai_facade_circuit_breaker_opened_total"), "opened")]),
        ("Connections to upstream", "reqps", "Connections to Tencent Cloud that were opened or could not be.",
         [(rate("iai_facade_upstream_connections_opened_total"), "opened"), (rate("iai_facade_upstream_connections_failed_total"), "failed")]),
    ]),
    ("Quota", [
        ("Attempts at the rate limiter", "reqps", "Attempts that were admitted, rejected since they would have waited too long, cancelled while waiting, or throttled by Tencent Cloud.",
         [(rate(f"iai_facade_quota_{what}_total"), what) for what in ("admitted", "rejected", "cancelled", "throttled")]),
        ("Rate limit", "reqps", "The configured rate and the one that was found, of each replica.",
         [(gauge("iai_facade_quota_rate", "max", "instance, kind"), "{{instance}} {{kind}}")]),
        ("Queue", "short", "Attempts that wait for the rate limiter, and their callers.",
         [(gauge("iai_facade_quota_waiting_attempts"), "attempts"), (gauge("iai_facade_quota_waiting_callers"), "callers")]),
        ("Wait", "s", "Waits for the rate limiter that half and 99 % of the attempts do not exceed.",
         [(quantile(share, "iai_facade_quota_wait_seconds"), f"p{share * 100:g}") for share in (0.5, 0.99)]),
    ]),
    ("Cache", [
        ("Calls by origin", "reqps", "Calls by where their response came from.",
         [(rate("iai_facade_cache_requests_total", by="result"), "{{result}}")]),
        ("Age of responses", "s", "Ages of cached responses that half and 99 % do not exceed.",
         [(quantile(share, "iai_facade_cache_response_age_seconds"), f"p{share * 100:g}") for share in (0.5, 0.99)]),
        ("Size", "bytes", "Size of the caches, and their maximum.",
         [(gauge("iai_facade_cache_size_bytes"), "size"), (gauge("iai_facade_cache_max_size_bytes"), "maximum")]),
        ("Entries", "short", "Entries of the caches, and calls that wait for a shared request.",
         [(gauge("iai_facade_cache_entries"), "entries"), (gauge("iai_facade_singleflight_waiters"), "waiting calls")]),
        ("Evictions", "reqps", "Entries evicted because a cache was full.", [(rate("iai_facade_cache_evictions_total"), "evictions")]),
    ]),
    ("Service", [
        ("Ready replicas", "short", "Replicas that meet all conditions of readiness.",
         [(f'sum(min by (instance) (iai_facade_ready{{{JOB}}}))', "ready")]),
        ("Time until expiry", "s", "The rest of the shortest lifetime of credentials and certificates.",
         [(remaining("iai_facade_credential_expiry_timestamp_seconds"), "credential"),
          (remaining("iai_facade_tls_certificate_expiry_timestamp_seconds"), "server certificate"),
          (remaining("iai_facade_tls_client_ca_expiry_timestamp_seconds"), "client CA")]),
        ("Refreshes and reloads", "reqps", "Refreshes of the credential and reloads of files, by result.",
         [(rate("iai_facade_credential_refreshes_total", by="outcome"), "credential {{outcome}}"),
          (rate("iai_facade_file_reloads_total", by="file, outcome"), "{{file}} {{outcome}}")]),
        ("Clock offset", "s", "Time of Tencent Cloud minus the local time, of each replica.",
         [(gauge("iai_facade_clock_offset_seconds", "max", "instance"), "{{instance}}"),
          (rate("iai_facade_clock_corrections_total"), "corrections per second")]),
        ("Connections", "short", "Open connections to the gRPC port.",
         [(gauge("iai_facade_connections", by="instance"), "{{instance}}")]),
        ("Ends of connections", "reqps", "Connections that were accepted, rejected during the handshake, and closed after it, by reason.",
         [(rate("iai_facade_connections_accepted_total"), "accepted"),
          (rate("iai_facade_connections_rejected_total", by="reason") + " > 0", "rejected: {{reason}}"),
          (rate("iai_facade_connections_closed_total", by="reason") + " > 0", "closed: {{reason}}")]),
        ("Lost lines and spans", "reqps", "Log lines, lines of the audit log and spans that were lost.",
         [(rate("iai_facade_log_lines_dropped_total"), "log lines"),
          (rate("iai_facade_audit_lines_total", by="outcome"), "audit lines {{outcome}}"),
          (rate("iai_facade_spans_total", by="outcome"), "spans {{outcome}}")]),
        ("Processor time", "short", "Cores that each replica uses, and the share of it in the runtime's workers.",
         [(rate("process_cpu_seconds_total", by="instance"), "{{instance}}"),
          (rate("iai_facade_runtime_busy_seconds_total", by="instance"), "{{instance}} workers")]),
        ("Memory", "bytes", "Resident memory of each replica.", [(gauge("process_resident_memory_bytes", by="instance"), "{{instance}}")]),
        ("Open files", "short", "Open file descriptors of each replica.", [(gauge("process_open_fds", by="instance"), "{{instance}}")]),
    ]),
]

CALLER = 'caller=~"$caller"'
CALLERS = [
    ("My calls", [
        ("Calls by outcome", "reqps", "Calls of the caller: ok, limited (a limit or the quota is exhausted), caller_fault (mend the request), or fault (of Tencent Cloud or of the service).",
         [(rate("iai_facade_caller_calls_total", CALLER, "outcome"), "{{outcome}}")]),
        ("Share of failures", "percentunit", "Share of the caller's calls that were limited or failed, no matter who must act.",
         [(f'{rate("iai_facade_caller_calls_total", CALLER + ", outcome!=" + chr(34) + "ok" + chr(34))} / {rate("iai_facade_caller_calls_total", CALLER)}', "failures")]),
        ("Share of all calls", "percentunit", "The caller's share of the calls of all callers.",
         [(f'{rate("iai_facade_caller_calls_total", CALLER)} / {rate("iai_facade_caller_calls_total")}', "share")]),
    ]),
    ("The service", [
        ("Duration by method", "s", "Durations of successful calls of all callers that 95 % do not exceed.",
         [(quantile(0.95, CALLS, 'grpc_status="OK"', "grpc_method"), "{{grpc_method}}")]),
        ("Errors by reason", "reqps", "Failed calls of all callers by ErrorInfo.reason; docs/errors.md says what to do about each.",
         [(rate("iai_facade_errors_total", by="reason") + " > 0", "{{reason}}")]),
        ("Wait for the quota", "s", "Waits that 95 % of the requests to Tencent Cloud do not exceed: all callers share its quota.",
         [(quantile(0.95, "iai_facade_quota_wait_seconds"), "p95")]),
        ("Calls by origin", "reqps", "Calls of all callers by where their response came from.",
         [(rate("iai_facade_cache_requests_total", by="result"), "{{result}}")]),
    ]),
]

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def variable(name, label, query, multiple=False):
    return {"name": name, "label": label, "type": "query", "datasource": DATASOURCE, "refresh": 2, "sort": 1,
            "multi": multiple, "includeAll": multiple, "query": {"query": query, "refId": name}}


def dashboard(uid, title, rows, variables):
    panels, y = [], 0
    for row, content in rows:
        panels.append({"id": len(panels) + 1, "type": "row", "title": row, "collapsed": False, "panels": [],
                       "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
        y += 1
        for place, (name, unit, description, targets) in enumerate(content):
            panels.append({
                "id": len(panels) + 1, "type": "timeseries", "title": name, "description": description,
                "datasource": DATASOURCE,
                "gridPos": {"x": place % 3 * WIDTH, "y": y + place // 3 * HEIGHT, "w": WIDTH, "h": HEIGHT},
                "fieldConfig": {"defaults": {"unit": unit, "min": None if unit == "s" else 0}, "overrides": []},
                "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
                "targets": [{"refId": chr(ord("A") + number), "datasource": DATASOURCE, "expr": expr, "legendFormat": legend}
                            for number, (expr, legend) in enumerate(targets)],
            })
        y += -(-len(content) // 3) * HEIGHT
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    return {
        "uid": uid, "title": title, "tags": ["iai-facade"], "schemaVersion": 39, "version": 1, "editable": True,
        "time": {"from": "now-3h", "to": "now"}, "refresh": "30s", "timezone": "browser",
        "templating": {"list": [source, *variables]}, "panels": panels,
    }


def dashboards():
    """Returns the text of each dashboard by its path."""
    job = variable("job", "Job", "label_values(iai_facade_build_info, job)")
    caller = variable("caller", "Caller", 'label_values(iai_facade_caller_calls_total{job="$job"}, caller)', True)
    found = {
        "operators.json": dashboard("iai-facade-operators", "iai-facade: operators", OPERATORS, [job]),
        "callers.json": dashboard("iai-facade-callers", "iai-facade: for a caller's team", CALLERS, [job, caller]),
    }
    return {FOLDER / name: json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n" for name, content in found.items()}


def expressions():
    return [expr for rows in (OPERATORS, CALLERS) for _, content in rows for *_, targets in content for expr, _ in targets]


def check():
    # promtool does not know the variables of Grafana.
    rules = [{"record": f"panel:{number}", "expr": expr.replace("$__rate_interval", "5m").replace("$job", "iai-facade")}
             for number, expr in enumerate(expressions())]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"groups": [{"name": "panels", "rules": rules}]}, file)
        file.flush()
        subprocess.run(["promtool", "check", "rules", file.name], check=True)
    documented = set(re.findall(r"^\| `(\w+)` \|", METRICS.read_text(), re.MULTILINE))
    used = set(re.findall(r"(\w+)\{", " ".join(expressions())))
    used = {re.sub("_(bucket|count|sum)$", "", name) for name in used}
    if unknown := (used | set(WITHOUT_PANEL)) - documented:
        sys.exit(f"no metrics of the service: {sorted(unknown)}")
    if twice := used & set(WITHOUT_PANEL):
        sys.exit(f"on a panel and in WITHOUT_PANEL: {sorted(twice)}")
    if missing := documented - used - set(WITHOUT_PANEL):
        sys.exit(f"neither on a panel nor in WITHOUT_PANEL: {sorted(missing)}")
    panels = [panel for rows in (OPERATORS, CALLERS) for _, content in rows for panel in content]
    assert all(description.endswith(".") for _, _, description, _ in panels)
    return len(panels)


def main(write):
    count = check()
    for path, text in dashboards().items():
        if write:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.exit(f"{path.name} is out of date; run deploy/grafana/generate.py --write")
    print(f"{count} panels, each with accepted expressions")


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--write"]):
        sys.exit(__doc__)
    main(sys.argv[1:] == ["--write"])
