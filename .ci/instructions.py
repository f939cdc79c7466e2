#!/usr/bin/env python3
"""Compares the instruction count of each microbenchmark with the committed one, within 5 % both ways,
and those of whole calls of the release build, within 2 %, or 5 % if they write a line of the log. A call that traces do not include may cost 1 %
more than one without traces.

Usage: .ci/instructions.py [--write]

With `--write`, writes the counts to the file instead of comparing them. Installs valgrind if it is
missing.
"""

import collections
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib

FIGURES = pathlib.Path(__file__).parent.parent / "benches/instructions.toml"
ITERATIONS = 1000
TOLERANCE = 0.05

# Whole calls depend less on the seeds of hash maps: their counts vary by 0.1 % between runs.
WHOLE_CALL_TOLERANCE = 0.02

# A rejected call writes a line of the log. The thread that writes it wakes up for each line on an idle machine, and for
# several at once on a busy one, which makes a difference of 3 %.
LOGGED = "invalid_request"
LOGGED_TOLERANCE = 0.05

# What a call costs more if traces are exported and do not include it. Both counts are of one run.
UNSAMPLED_TOLERANCE = 0.01

HEADER = f"""\
# `[instructions]`: per iteration of each microbenchmark, the average of {ITERATIONS}. Built with the bench
# profile, without link-time optimization.
#
# `[whole_call]`: per call that the release build serves, in user space, with one worker thread; see
# `benches/whole_call`.
#
# Written by `.ci/instructions.py --write`; `.ci/instructions.py` compares a build with them.
#
# They hold on every x86-64 machine: callgrind emulates a processor with the features that valgrind
# knows. It has no SHA extensions, so SHA-256 runs in its portable form. A count varies by 0.2 % between
# runs (the seeds of hash maps), and by 1.5 % between machines with and without AVX2 (memcpy of the C
# library).
"""


def built(*arguments, target):
    """Builds with cargo; returns the path of the program that is named `target`."""
    build = ["cargo", *arguments, "--locked", "--message-format=json-render-diagnostics"]
    messages = map(json.loads, output(*build).splitlines())
    return next(
        message["executable"]
        for message in messages
        if message["reason"] == "compiler-artifact"
        and message["target"]["name"] == target
        and message["executable"]
    )


def count(program):
    """Returns the instructions of one iteration of each benchmark."""
    with tempfile.NamedTemporaryFile("r") as profile:
        valgrind = ["valgrind", "--quiet", "--tool=callgrind", "--compress-strings=no"]
        run = ["--bench", "--sample-count=1", f"--sample-size={ITERATIONS}", "--skip=baseline"]
        output(*valgrind, f"--callgrind-out-file={profile.name}", program, *run)
        text = profile.read()

    # Each caller of a function has three lines: the function, how often it is called, and after a
    # position what that costs, including all that the function calls.
    calls, costs = collections.Counter(), collections.Counter()
    call = re.compile(r"^cfn=hot_path::(.+)\ncalls=(\d+).*\n\S+ (\d+)$", re.MULTILINE)
    for name, times, cost in call.findall(text):
        calls[name] += int(times)
        costs[name] += int(cost)

    # As cargo-nextest asks for the names: otherwise they are drawn as a tree.
    listed = output(program, "--list", "--format=terse", env=os.environ | {"NEXTEST": "1"})
    names = sorted(set(re.findall(r"^hot_path::(.+): benchmark$", listed, re.MULTILINE)))
    names = [name for name in names if "baseline" not in name]
    if unseen := [name for name in names if calls[name] < ITERATIONS]:
        sys.exit(f"inlined into their callers, add #[inline(never)]: {unseen}")
    return {name: round(costs[name] / calls[name]) for name in names}


def count_whole_calls():
    """Returns the instructions of each kind of call that the release build serves."""
    # In this order: the build of the benchmark replaces the program by one without link-time
    # optimization, at the same path.
    counter = built("bench", "--no-run", "--bench=whole_call", target="whole_call")
    program = built("build", "--release", target="iai-facade")
    lines = output(counter, program).splitlines()
    return {name: int(number) for name, number in map(str.split, lines)}


def write(tables, tools):
    lines = [f'{name} = "{version}"' for name, version in tools.items()]
    for table, instructions in tables.items():
        lines += ["", f"[{table}]"]
        lines += [f'"{name}" = {number}' for name, number in instructions.items()]
    FIGURES.write_text(HEADER + "\n".join(lines) + "\n")


def hold(tables, tools):
    committed = tomllib.loads(FIGURES.read_text())
    faults = compare(tables["instructions"], committed.pop("instructions"), TOLERANCE)
    faults += compare(tables["whole_call"], committed.pop("whole_call"), WHOLE_CALL_TOLERANCE)
    calls = tables["whole_call"]
    surplus = calls["unsampled"] / calls["uncached"] - 1
    print(f"an unsampled call costs {surplus:+.1%}")
    if surplus > UNSAMPLED_TOLERANCE:
        faults.append("unsampled: more than 1 % above uncached")
    if faults:
        faults.append("`.ci/instructions.py --write` accepts intended changes")
        if committed != tools:
            faults.append(f"the committed counts were made with {committed}, these with {tools}")
        sys.exit("\n".join(faults))


def compare(instructions, figures, tolerance):
    """Prints the counts beside the committed ones; returns the differences that are not allowed."""
    faults = []
    print(f"{'instructions':32} {'counted':>9} {'committed':>9}")
    for name in sorted(instructions.keys() | figures.keys()):
        counted, figure = instructions.get(name), figures.get(name)
        if counted is None:
            faults.append(f"{name}: the benchmark no longer exists")
            continue
        if figure is None:
            faults.append(f"{name}: no committed count")
            continue
        change = counted / figure - 1
        print(f"{name:32} {counted:9} {figure:9} {change:+7.1%}")
        allowed = LOGGED_TOLERANCE if name == LOGGED else tolerance
        if change > allowed:
            faults.append(f"{name}: more instructions than allowed")
        elif change < -allowed:
            faults.append(f"{name}: fewer instructions, commit the new count")
    return faults


def output(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def main(*arguments):
    if arguments not in [(), ("--write",)]:
        sys.exit(__doc__)
    if platform.machine() != "x86_64":
        sys.exit("the committed counts are for x86-64")
    if shutil.which("valgrind") is None:
        output("apt-get", "update")
        output("apt-get", "install", "--yes", "--no-install-recommends", "valgrind")

    tools = {tool: output(tool, "--version").strip() for tool in ["rustc", "valgrind"]}
    hot_path = built("bench", "--no-run", "--bench=hot_path", target="hot_path")
    tables = {"instructions": count(hot_path), "whole_call": count_whole_calls()}
    if arguments:
        write(tables, tools)
    hold(tables, tools)


if __name__ == "__main__":
    main(*sys.argv[1:])
