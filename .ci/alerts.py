#!/usr/bin/env python3
"""Checks the rules of deploy/prometheus with promtool and against the documents.

Each alert has a test in which it fires and one in which it does not, and a section of docs/runbook.md; each
metric that a rule names is in docs/metrics.md, which a test holds to the program. Needs promtool and PyYAML.
"""

import pathlib
import re
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
RULES = sorted(ROOT.glob("deploy/prometheus/*.yaml"))
TESTS = ROOT / "deploy/prometheus/tests/alerts.yaml"
RUNBOOK = ROOT / "docs/runbook.md"
METRICS = ROOT / "docs/metrics.md"

# Metrics of Prometheus itself.
FOREIGN = {"up"}


def rules():
    """Yields all rules."""
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def names(expression):
    """Returns the metrics of an expression: the names before a selector."""
    return set(re.findall(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{", expression))


def check_alerts(alerts):
    """Checks that each alert has its tests and its section, and that nothing else has."""
    fires, quiet = set(), set()
    for test in yaml.safe_load(TESTS.read_text())["tests"]:
        for case in test["alert_rule_test"]:
            (fires if case["exp_alerts"] else quiet).add(case["alertname"])
    sections = set(re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE))
    expected = {alert["alert"] for alert in alerts}
    for found, what in [(fires, "a test in which it fires"), (quiet, "a test in which it is quiet"),
                        (sections, "a section of docs/runbook.md")]:
        if found != expected:
            sys.exit(f"not each alert, or more than the alerts, has {what}: {sorted(found ^ expected)}")
    for alert in alerts:
        link = f"docs/runbook.md#{alert['alert'].lower()}"
        if alert["annotations"]["runbook"] != link:
            sys.exit(f"{alert['alert']}: the runbook is not {link}")
        if alert["labels"]["severity"] not in ("page", "ticket", "info"):
            sys.exit(f"{alert['alert']}: the severity is {alert['labels']['severity']}")


def check_metrics(found):
    """Checks that the rules name only documented metrics, and recorded ones."""
    known = set(re.findall(r"^\| `(\w+)` \|", METRICS.read_text(), re.MULTILINE)) | FOREIGN
    known |= {f"{name}_{suffix}" for name in known for suffix in ("bucket", "count", "sum")}
    known |= {rule["record"] for rule in found if "record" in rule}
    used = set().union(*(names(rule["expr"]) for rule in found))
    if unknown := used - known:
        sys.exit(f"no metric of the service: {sorted(unknown)}")


def main():
    subprocess.run(["promtool", "check", "rules", *RULES], check=True)
    subprocess.run(["promtool", "test", "rules", TESTS], check=True)
    found = list(rules())
    alerts = [rule for rule in found if "alert" in rule]
    check_alerts(alerts)
    check_metrics(found)
    print(f"{len(alerts)} alerts fire when they should, and not otherwise")


if __name__ == "__main__":
    main()
