#!/usr/bin/env python3
"""Compares a release build with its bounds: size, time from start to ready, memory when idle.

Usage: .ci/footprint.py PROGRAM
"""

import http.client
import json
import pathlib
import statistics
import subprocess
import sys
import time

MEGABYTE = 1_000_000
MEBIBYTE = 1 << 20

MAX_SIZE = 15 * MEGABYTE
MAX_START_SECONDS = 0.1
MAX_RESIDENT = 20 * MEBIBYTE
STARTS = 9


def start(program):
    """Starts the service; returns its process and the seconds until it was ready."""
    began = time.monotonic()
    flags = ["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--log-format=json"]
    flags += ["--unready-delay=0s"]
    process = subprocess.Popen(
        [program, "serve", "--emulate", *flags], stderr=subprocess.PIPE, text=True
    )
    lines = map(json.loads, process.stderr)
    admin = next(line["admin.address"] for line in lines if line["message"] == "listening")
    while not is_ready(admin):
        pass
    return process, time.monotonic() - began


def is_ready(admin):
    connection = http.client.HTTPConnection(admin, timeout=5)
    connection.request("GET", "/readyz")
    status = connection.getresponse().status
    connection.close()
    return status == 200


def resident(process):
    """Returns the resident memory of a process, in bytes."""
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    kibibytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return int(kibibytes) << 10


def main(program):
    size = pathlib.Path(program).stat().st_size
    starts, memory = [], []
    for _ in range(STARTS):
        process, seconds = start(program)
        starts.append(seconds)
        memory.append(resident(process))
        process.terminate()
        if process.wait(timeout=30) != 0:
            sys.exit(f"the service exited with {process.returncode}")

    start_seconds = statistics.median(starts)
    print(f"size      {size / MEGABYTE:6.1f} MB   at most {MAX_SIZE / MEGABYTE:.0f}")
    print(f"start     {start_seconds * 1000:6.1f} ms   at most {MAX_START_SECONDS * 1000:.0f}")
    print(f"resident  {max(memory) / MEBIBYTE:6.1f} MiB  at most {MAX_RESIDENT / MEBIBYTE:.0f}")
    if size > MAX_SIZE or start_seconds > MAX_START_SECONDS or max(memory) > MAX_RESIDENT:
        sys.exit("the program exceeds its bounds")


if __name__ == "__main__":
    main(*sys.argv[1:])
