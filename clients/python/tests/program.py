"""Runs the `iai-facade` program, and follows its log."""

import json
import os
import queue
import signal
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 30
"""How many seconds anything may take before a test gives up on it."""

REPOSITORY = Path(__file__).parents[3]

# How the mechanisms that act on later calls, or delay the end, are kept out of single-call tests.
QUIET = {
    "IAI_FACADE_ADAPTIVE_RATE": "off",
    "IAI_FACADE_UNREADY_DELAY": "0s",
}


FREE_PORTS = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]


def path():
    """Returns where the program is."""
    built = REPOSITORY / "target/debug/iai-facade"
    program = Path(os.environ.get("IAI_FACADE_BIN", built)).absolute()
    if not program.is_file():
        raise FileNotFoundError(
            f"{program} does not exist: run `cargo build`, or set IAI_FACADE_BIN to the program"
        )
    return program


def version():
    """Returns the version that the program says it has."""
    output = subprocess.check_output([path(), "--version"], text=True, timeout=PATIENCE)
    return output.split()[1]


@contextmanager
def serving(*flags, environment=None):
    """Runs `serve` on free ports, and yields the address for gRPC."""
    with running("serve", *FREE_PORTS, *flags, environment=environment) as log:
        yield log.wait_for("listening")["grpc.address"]


@contextmanager
def emulating(*flags):
    """Runs `emulate` on a free port, and yields its address."""
    with running("emulate", "--listen", "127.0.0.1:0", *flags) as log:
        yield log.wait_for("emulating")["address"]


@contextmanager
def running(*arguments, environment=None):
    """Runs the program in no other environment than the given, and yields its log.

    At the end the program is asked to stop, and must do so without complaint.
    """
    process = subprocess.Popen(
        [path(), *arguments, "--log-format", "json"],
        env=QUIET | (environment or {}),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        log = Log(process)
        yield log
        log.stop()
    finally:
        process.kill()
        process.wait()


class Log:
    """The log of a running program, and its process."""

    def __init__(self, process):
        self._process = process
        self._lines = queue.SimpleQueue()
        # Reads on to the end, so that the program never waits for room in the pipe.
        threading.Thread(target=self._read, args=[process.stderr], daemon=True).start()

    @property
    def pid(self):
        """The id of the process."""
        return self._process.pid

    def stop(self):
        """Asks the program to stop, if it has not, and waits until it has ended well."""
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(PATIENCE) == 0

    def wait_for(self, message):
        """Returns the first line with this message, as a dictionary."""
        seen = []
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            seen.append(line)
            if line.startswith("{") and json.loads(line)["message"] == message:
                return json.loads(line)
        raise AssertionError(f"the program ended without saying {message!r}:\n{''.join(seen)}")

    def _read(self, lines):
        with lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)
