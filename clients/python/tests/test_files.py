"""Files whose open blocks while the service runs, as on a network file system."""

import fcntl
import os
import signal
import subprocess
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import grpc
import pytest

import program
from service import Service

FILE_TIMEOUT = 5
"""Timeout of the service for reading a file, in seconds."""


@contextmanager
def blocked(path):
    """Blocks other opens of a file with a lease."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    file = os.open(path, os.O_RDWR)
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        yield
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    finally:
        os.close(file)
        signal.signal(signal.SIGIO, before)


def digest(token):
    return sha256(token.encode()).hexdigest()


def threads(pid):
    """Returns the number of file reader threads of a process."""
    names = (task / "comm" for task in Path(f"/proc/{pid}/task").iterdir())
    return sum(name.read_text().strip() == "file-reader" for name in names)


@pytest.fixture
def tokens(tmp_path):
    """A file with two tokens."""
    file = tmp_path / "tokens"
    file.write_text(f"orders {digest('old')}\norders {digest('new')}\n")
    return file


@pytest.fixture
def key(tmp_path):
    """A file with a certificate and its key."""
    file = tmp_path / "tls.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", file, "-out", file,
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
        "-addext", "basicConstraints=critical,CA:FALSE",
    ]
    subprocess.run(command, check=True, capture_output=True)
    return file


def test_a_blocked_file_does_not_prevent_reloads_of_other_files(started, tokens, key):
    flags = ["--tokens-file", tokens, "--tls-cert", key, "--tls-key", key]
    log = started(program.running("serve", "--emulate", *program.FREE_PORTS, *flags))
    address = log.wait_for("listening")["grpc.address"]
    name = [("grpc.ssl_target_name_override", "localhost")]
    trust = grpc.ssl_channel_credentials(key.read_bytes())
    channel = started(grpc.secure_channel(address, trust, name))
    service = Service(address, channel)
    old, new = ([("authorization", f"Bearer {token}")] for token in ("old", "new"))
    service.call("GetGroupInfo", group_id="aaa", metadata=old)

    with blocked(key):
        os.kill(log.pid, signal.SIGHUP)
        tokens.write_text(f"orders {digest('new')}\n")
        os.kill(log.pid, signal.SIGHUP)
        assert log.wait_for("files reloaded")["what"] == "tokens"
        error = service.error("GetGroupInfo", group_id="aaa", metadata=old)
        assert error.status == "UNAUTHENTICATED"

        line = log.wait_for("reload failed, keeping previous version")
        assert line["what"] == "certificates"
        assert f"{key}: not read within {FILE_TIMEOUT}s" in line["error.message"]
        assert threads(log.pid) == 1
        service.call("GetGroupInfo", group_id="aaa", metadata=new)

    assert log.wait_for("reload succeeded again, nothing changed")["what"] == "certificates"


def test_a_blocked_credential_file_keeps_the_last_credential(started, tmp_path):
    emulator = started(program.emulating())
    parts = {"id": "AKIDEMULATOR", "key": "emulator-secret"}
    for part, text in parts.items():
        (tmp_path / part).write_text(text)
    flags = ["--secret-id-file", tmp_path / "id", "--secret-key-file", tmp_path / "key"]
    flags += ["--endpoint", f"http://{emulator}", "--credentials-interval", "100ms"]
    log = started(program.running("serve", *program.FREE_PORTS, *flags))
    address = log.wait_for("listening")["grpc.address"]
    service = Service(address, started(grpc.insecure_channel(address)))

    with blocked(tmp_path / "key"):
        line = log.wait_for("credential refresh failed, keeping current credential")
        assert f"not read within {FILE_TIMEOUT}s" in line["error.message"]
        service.call("GetGroupInfo", group_id="aaa")

    log.wait_for("credential provider recovered")
