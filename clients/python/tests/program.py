"""Runs the `iai-facade` program and reads its log."""

import json
import os
import queue
import signal
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

TIMEOUT = 30
"""Timeout of every wait, in seconds."""

REPOSITORY = Path(__file__).parents[3]

# Disables what would affect later calls or delay the shutdown in tests of single calls.
ENVIRONMENT = {
    "IAI_FACADE_ADAPTIVE_RATE": "off",
    "IAI_FACADE_UNREADY_DELAY": "0s",
}


FREE_PORTS = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]


def path():
    """Returns the path of the program."""
    built = REPOSITORY / "target/debug/iai-facade"
    program = Path(os.environ.get("IAI_FACADE_BIN", built)).absolute()
    if not program.is_file():
        raise FileNotFoundError(
            f"{program} does not exist: run `cargo build`, or set IAI_FACADE_BIN to the program"
        )
    return program


def version():
    """Returns the version that the program prints."""
    output = subprocess.check_output([path(), "--version"], text=True, timeout=TIMEOUT)
    return output.split()[1]


@contextmanager
def serving(*flags, environment=None):
    """Runs `serve` on free ports and yields the address of its gRPC listener."""
    with running("serve", *FREE_PORTS, *flags, environment=environment) as log:
        yield log.wait_for("listening")["grpc.address"]


@contextmanager
def emulating(*flags):
    """Runs `emulate` on a free port and yields its address."""
    with running("emulate", "--listen", "127.0.0.1:0", *flags) as log:
        yield log.wait_for("emulating")["address"]


@contextmanager
def running(*arguments, environment=None):
    """Runs the program with only the given environment variables and yields its log.

    On exit it sends SIGTERM, and the program must exit with code 0.
    """
    process = subprocess.Popen(
        [path(), *arguments, "--log-format", "json"],
        env=ENVIRONMENT | (environment or {}),
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
    """The log and the process of a running program."""

    def __init__(self, process):
        self._process = process
        self._lines = queue.SimpleQueue()
        # Keeps reading until the end, so that the program never blocks on a full pipe.
        threading.Thread(target=self._read, args=[process.stderr], daemon=True).start()

    @property
    def pid(self):
        """The id of the process."""
        return self._process.pid

    def stop(self):
        """Sends SIGTERM and waits until the program exits with code 0."""
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(TIMEOUT) == 0

    def wait_for(self, message):
        """Returns the first line with this message, as a dictionary."""
        seen = []
        while (line := self._lines.get(timeout=TIMEOUT)) is not None:
            seen.append(line)
            if line.startswith("{") and json.loads(line)["message"] == message:
                return json.loads(line)
        raise AssertionError(f"the program exited without logging {message!r}:\n{''.join(seen)}")

    def _read(self, lines):
        with lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)
