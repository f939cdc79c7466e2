#!/usr/bin/env python3
"""Checks the gRPC port with h2spec and gRPC health checking with grpc-health-probe.

Usage: .ci/conformance.py PROGRAM H2SPEC GRPC_HEALTH_PROBE

h2spec expects a web server with pages. Its findings that are accepted are listed below with the reason;
any other finding fails.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

METHOD = "/iaifacade.v1.FaceRecognitionService/GetGroupInfo"
SERVICE = "iaifacade.v1.FaceRecognitionService"

NO_PAGE = "a request that is not a call gets a 405 at its end, without a page"

# The numbers are h2spec's.
DEVIATIONS = {
    "generic/2: Sends a WINDOW_UPDATE frame on half-closed (remote) stream": NO_PAGE,
    "generic/2: Sends a PRIORITY frame on half-closed (remote) stream": NO_PAGE,
    "http2/3.5: Sends invalid connection preface": "an HTTP/1.1 client gets a response in HTTP/1.1",
    "http2/5.1.2: Sends HEADERS frames that causes their advertised concurrent stream limit to be "
    "exceeded": NO_PAGE + ", so that it may not be open any more when the next arrives",
}

# Arguments and exit codes of grpc-health-probe.
PROBES = [([], 0), ([f"-service={SERVICE}"], 0), (["-service=another.Service"], 3)]

NOT_SERVING = 4


@contextlib.contextmanager
def serving(program):
    """Runs the service and yields its process and its address."""
    flags = ["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--log-format=json"]
    process = subprocess.Popen(
        [program, "serve", "--emulate", "--unready-delay=1h", *flags],
        stderr=subprocess.PIPE, text=True,
    )
    try:
        yield process, line(process, "listening")["grpc.address"]
    finally:
        process.kill()
        process.wait()


def line(process, message):
    """Reads the log up to the line with this message and returns it."""
    return next(line for line in map(json.loads, process.stderr) if line["message"] == message)


def failures(h2spec, address):
    """Returns the cases that h2spec reports as failed."""
    host, port = address.rsplit(":", 1)
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.xml"
        subprocess.run(
            [h2spec, "-h", host, "-p", port, "-P", METHOD, "-j", report],
            stdout=subprocess.DEVNULL, timeout=300,
        )
        suites = xml.etree.ElementTree.parse(report).getroot()
    cases = list(suites.iter("testcase"))
    if len(cases) < 140:
        sys.exit(f"h2spec ran only {len(cases)} cases")
    return {
        f"{case.get('package')}: {case.get('classname')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    }


def check_conformance(h2spec, address):
    found = failures(h2spec, address)
    for case in found - DEVIATIONS.keys():
        print(f"failed: {case}")
    if found - DEVIATIONS.keys():
        sys.exit(1)
    for case in found:
        print(f"{case}\n    {DEVIATIONS[case]}")


def check_health(probe, process, address):
    for arguments, expected in PROBES:
        check_probe(probe, address, arguments, expected)
    process.send_signal(signal.SIGTERM)
    line(process, "stopping")
    check_probe(probe, address, [], NOT_SERVING)


def check_probe(probe, address, arguments, expected):
    ended = subprocess.run([probe, f"-addr={address}", *arguments], timeout=60).returncode
    if ended != expected:
        sys.exit(f"grpc-health-probe {' '.join(arguments)} ended with {ended}, not {expected}")


def main():
    program, h2spec, probe = map(os.path.abspath, sys.argv[1:])
    with serving(program) as (process, address):
        check_conformance(h2spec, address)
        check_health(probe, process, address)


if __name__ == "__main__":
    main()
