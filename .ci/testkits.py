#!/usr/bin/env python3
"""Runs the tests of the emulator's pytest plugin and JUnit extension at the same time, in one emulator.

Usage: .ci/testkits.py PROGRAM

PROGRAM is the built `iai-facade`. Both test suites create worlds in one emulator, whose control API has a
token, with 50 tests each: they seed the same ids with different values, wait for each other at a barrier,
and fail if a world shows what the other suite has put into its own. At the end no world may be left.
"""

import concurrent.futures
import json
import os
import pathlib
import secrets
import subprocess
import sys
import tempfile
import threading
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
KITS = {
    "pytest plugin": [ROOT / "clients/pytest-iai-emulator/test", "--quiet"],
    "JUnit extension": [ROOT / "clients/junit-iai-emulator/test"],
}
# So that no suite waits at the barrier for the other's build.
PREPARATIONS = [
    [ROOT / "clients/pytest-iai-emulator/test", "--collect-only", "--quiet"],
    [ROOT / "clients/junit-iai-emulator/test", "test-compile"],
]
TIMEOUT_SECONDS = 300

# Each of the 50 tests of both suites passes the barrier twice.
BARRIER_REQUESTS = 2 * 50 * 2


class Emulator:
    """A running emulator on free ports, whose control API requires a token."""

    def __init__(self, program, folder):
        self.token = secrets.token_hex(16)
        token_file = pathlib.Path(folder) / "token"
        token_file.write_text(self.token)
        self.process = subprocess.Popen(
            [program, "emulate", "--listen=127.0.0.1:0", "--control-listen=127.0.0.1:0",
             f"--control-token-file={token_file}", "--log-format=json"],
            stderr=subprocess.PIPE, text=True,
        )
        lines = []
        for line in self.process.stderr:
            lines.append(line)
            fields = json.loads(line)
            if "control.address" in fields:
                self.control = f"http://{fields['control.address']}"
                self.endpoint = fields["endpoint"]
                # Reads on, so that the emulator never waits for its log.
                threading.Thread(target=self.process.stderr.read, daemon=True).start()
                return
        sys.exit(f"the emulator did not start:\n{''.join(lines)}")

    def call(self, method, path):
        """Calls the control API, and returns the document of the reply."""
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(self.control + path, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def run_in_parallel(emulator, barrier):
    """Runs all tests of both at the same time; returns the outputs of those that failed."""
    environment = os.environ | {
        "IAI_EMULATOR_CONTROL": emulator.control,
        "IAI_EMULATOR_ENDPOINT": emulator.endpoint,
        "IAI_EMULATOR_TOKEN": emulator.token,
        "IAI_EMULATOR_BARRIER": f"{barrier['secret_id']}:{barrier['secret_key']}",
    }

    def run(command):
        return subprocess.run(
            command, env=environment, text=True, timeout=TIMEOUT_SECONDS,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )

    with concurrent.futures.ThreadPoolExecutor(len(KITS)) as pool:
        results = dict(zip(KITS, pool.map(run, KITS.values())))
    return [
        f"the tests of the {name} failed:\n{done.stdout}"
        for name, done in results.items()
        if done.returncode != 0
    ]


def main(program):
    os.environ["IAI_FACADE_PROGRAM"] = os.path.abspath(program)
    for command in PREPARATIONS:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as folder:
        emulator = Emulator(program, folder)
        try:
            barrier = emulator.call("POST", "/v1/worlds")
            failures = run_in_parallel(emulator, barrier)
            requests = emulator.call("GET", f"/v1/worlds/{barrier['secret_id']}/requests?limit=1")
            worlds = emulator.call("GET", "/v1/worlds")["worlds"]
        finally:
            emulator.stop()
    if requests["count"] != BARRIER_REQUESTS:
        count = requests["count"]
        failures.append(f"the barrier has received {count} requests, expected {BARRIER_REQUESTS}")
    if worlds != [{"secret_id": barrier["secret_id"]}]:
        failures.append(f"the suites have left worlds: {worlds}")
    if failures:
        sys.exit("\n".join(failures))
    print("50 tests in Python and 50 in Java have run in parallel, in worlds of their own")


if __name__ == "__main__":
    main(*sys.argv[1:])
