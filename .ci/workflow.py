#!/usr/bin/env python3
"""Checks that the justfile and the GitHub workflow run the parts of `.ci/run`, and no others.

Usage: .ci/workflow.py JUST ACTIONLINT

Each part must be in exactly one job of the workflow. Every part and every script that a recipe of the
justfile names must exist.
"""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORKFLOW = ROOT / ".github/workflows/ci.yml"


def output(*command):
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def job_parts():
    """Returns the parts that the jobs of the workflow run."""
    (matrix,) = re.findall(r"^        parts:\n((?: {10}- .+\n)+)", WORKFLOW.read_text(), re.MULTILINE)
    return re.findall(r"(?<=\s)[a-z][a-z-]*", matrix)


def check_recipes(just, parts):
    """Checks the commands of each recipe; returns what is wrong with them."""
    recipes = json.loads(output(just, "--dump", "--dump-format=json"))["recipes"]
    faults = []
    for name, recipe in recipes.items():
        # Fills each parameter with its default, or with nothing.
        parameters = [parameter["default"] or "" for parameter in recipe["parameters"]]
        dry_run = subprocess.run(
            [just, "--dry-run", name, *filter(None, parameters)],
            cwd=ROOT, capture_output=True, text=True,
        )
        if dry_run.returncode != 0:
            faults.append(f"justfile: recipe {name}: {dry_run.stderr.strip()}")
            continue
        for command in dry_run.stderr.splitlines():
            program, *arguments = command.split()
            if "/" in program and not (ROOT / program).is_file():
                faults.append(f"justfile: recipe {name}: {program} does not exist")
            if program == ".ci/run":
                unknown = set(arguments) - set(parts)
                faults += [f"justfile: recipe {name}: .ci/run has no part {part}" for part in unknown]
    return faults


def check_jobs(parts):
    """Checks that each part runs once; returns what is wrong."""
    jobs = job_parts()
    faults = [f"{WORKFLOW.name}: .ci/run has no part {part}" for part in sorted(set(jobs) - set(parts))]
    for part in parts:
        if jobs.count(part) != 1:
            faults.append(f"{WORKFLOW.name}: {jobs.count(part)} jobs run the part {part}, expected 1")
    return faults


def main(just, actionlint):
    # Without shellcheck and pyflakes: the result must not depend on what a machine has installed.
    subprocess.run([actionlint, "-shellcheck=", "-pyflakes="], cwd=ROOT, check=True)
    parts = output(".ci/run", "--list").split()
    if faults := check_jobs(parts) + check_recipes(just, parts):
        sys.exit("\n".join(faults))
    print(f"{len(parts)} parts: the workflow runs each of them, and the justfile names no other")


if __name__ == "__main__":
    main(*sys.argv[1:])
