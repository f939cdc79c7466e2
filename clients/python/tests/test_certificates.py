"""Certificates created by common openssl commands and by those in the program's error messages."""

import re
import shlex
import subprocess

import program


def openssl(folder, command):
    subprocess.run(shlex.split(command), cwd=folder, check=True, capture_output=True)


def serve(started, *flags):
    log = started(program.running("serve", "--emulate", *program.FREE_PORTS, *flags))
    port = log.wait_for("listening")["grpc.address"].rpartition(":")[2]
    return log, f"https://localhost:{port}"


def probe(address, *flags):
    command = [program.path(), "probe", "--address", address, *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def test_the_suggested_commands_create_accepted_certificates(started, tmp_path):
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 9 -keyout k.pem -out c.pem -subj /CN=a"
    openssl(tmp_path, f"{command} -addext subjectAltName=DNS:localhost")
    tls = ["--tls-cert", tmp_path / "c.pem", "--tls-key", tmp_path / "k.pem"]
    _, address = serve(started, *tls)
    rejected = probe(address, "--ca", tmp_path / "c.pem")
    assert rejected.returncode == 2, rejected
    openssl(tmp_path, re.search("with: (openssl req .*)", rejected.stderr)[1])

    tls = ["--tls-cert", tmp_path / "server.pem", "--tls-key", tmp_path / "server-key.pem"]
    log, address = serve(started, *tls, "--tls-client-ca", tmp_path / "c.pem")
    ca = ["--ca", tmp_path / "server.pem"]
    assert probe(address, *ca).returncode == 0
    client = ["--cert", tmp_path / "c.pem", "--key", tmp_path / "k.pem"]
    assert probe(address, *ca, *client).returncode != 0
    error = log.wait_for("TLS handshakes failed")["error.message"]
    openssl(tmp_path, re.search("with: (openssl req .*)", error)[1])

    _, address = serve(started, *tls, "--tls-client-ca", tmp_path / "client.pem")
    client = ["--cert", tmp_path / "client.pem", "--key", tmp_path / "client-key.pem"]
    accepted = probe(address, *ca, *client)
    assert accepted.returncode == 0, accepted
