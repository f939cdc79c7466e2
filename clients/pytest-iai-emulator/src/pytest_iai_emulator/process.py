"""Process of the emulator: starts `iai-facade emulate` on free ports, and stops it."""

import contextlib
import json
import os
import shutil
import subprocess
import threading

# Maximum time from the start of the program until it listens, and from its signal to its end.
TIMEOUT_SECONDS = 30


class StartError(Exception):
    """The emulator was not found, or did not start."""


@contextlib.contextmanager
def running_emulator(program):
    """Runs the emulator, and yields the URLs of its control API and of the emulated API.

    Raises `StartError` if the program is not found or does not start.
    """
    process = _spawn(program)
    try:
        yield _addresses(process, program)
    finally:
        process.terminate()
        try:
            process.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _spawn(program):
    path = shutil.which(program)
    if path is None:
        raise StartError(
            f"the program {program} was not found: install it to the PATH, or set IAI_FACADE_PROGRAM to"
            " its path"
        )
    arguments = ["--listen=127.0.0.1:0", "--control-listen=127.0.0.1:0", "--log-format=json"]
    # The settings of a service under test are not those of its emulator.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("IAI_FACADE_")
    }
    return subprocess.Popen(
        [path, "emulate", *arguments], env=environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, encoding="utf-8", errors="replace",
    )


def _addresses(process, program):
    """Reads the log until the line that has the addresses."""
    limit = threading.Timer(TIMEOUT_SECONDS, process.kill)
    limit.start()
    lines = []
    try:
        for line in process.stderr:
            fields = _fields(line)
            if "control.address" in fields:
                # Reads on, so that the emulator never waits for its log.
                threading.Thread(target=_drain, args=[process.stderr], daemon=True).start()
                return f"http://{fields['control.address']}", fields["endpoint"]
            lines.append(line)
    finally:
        limit.cancel()
    process.stderr.close()
    raise StartError(f"{program} emulate did not start:\n{''.join(lines)}")


def _fields(line):
    """Returns the fields of a line of the log; none if it is not one."""
    try:
        fields = json.loads(line)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _drain(log):
    """Reads the log to its end, and closes it: no other thread may close it during a read."""
    with log:
        for _ in log:
            pass
