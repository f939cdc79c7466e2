#!/usr/bin/env python3
"""Runs the tests of the emulator's pytest plugin and JUnit extension at the same time, in one emulator.

Usage: .ci/testkits.py PROGRAM

PROGRAM is the built `iai-facade`. Both test suites create worlds in one emulator, whose control API has a
token, with 50 tests each that meet before they act: they seed the same ids with different values, and fail
if a world shows what the other suite has put into its own. At the end no world may be left.
"""

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
# Before the meetings, so that no suite waits for the other's build.
PREPARATIONS = [
    [ROOT / "clients/pytest-iai-emulator/test", "--collect-only", "--quiet"],
    [ROOT / "clients/junit-iai-emulator/test", "test-compile"],
]
TIMEOUT_SECONDS = 300


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


def run_together(emulator, meeting):
    """Runs all suites at the same time; returns the outputs of those that failed."""
    environment = os.environ | {
        "IAI_EMULATOR_CONTROL": emulator.control,
        "IAI_EMULATOR_ENDPOINT": emulator.endpoint,
        "IAI_EMULATOR_TOKEN": emulator.token,
        "IAI_EMULATOR_MEETING": f"{meeting['secret_id']}:{meeting['secret_key']}",
    }
    running = {
        name: subprocess.Popen(
            command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for name, command in KITS.items()
    }
    failures = []
    for name, process in running.items():
        output, _ = process.communicate(timeout=TIMEOUT_SECONDS)
        if process.returncode != 0:
            failures.append(f"the tests of the {name} failed:\n{output}")
    return failures


def main(program):
    os.environ["IAI_FACADE_PROGRAM"] = os.path.abspath(program)
    for command in PREPARATIONS:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as folder:
        emulator = Emulator(program, folder)
        try:
            meeting = emulator.call("POST", "/v1/worlds")
            failures = run_together(emulator, meeting)
            met = emulator.call("GET", f"/v1/worlds/{meeting['secret_id']}/requests?limit=1")["count"]
            worlds = emulator.call("GET", "/v1/worlds")["worlds"]
        finally:
            emulator.stop()
    if met != 200:
        failures.append(f"the suites have met by {met} requests, expected 200: two for each test")
    if worlds != [{"secret_id": meeting["secret_id"]}]:
        failures.append(f"the suites have left worlds: {worlds}")
    if failures:
        sys.exit("\n".join(failures))
    print("50 tests in Python and 50 in Java have run in parallel, in worlds of their own")


if __name__ == "__main__":
    main(*sys.argv[1:])
