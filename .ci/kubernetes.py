#!/usr/bin/env python3
"""Checks the manifest of docs/deployment.md: its schema, its probes and its grace period.

Usage: .ci/kubernetes.py PROGRAM

The kubelet treats an HTTP status from 200 to 399 as success, and of gRPC health statuses only SERVING.
It kills a container that has not stopped within the grace period.
"""

import http.client
import json
import pathlib
import subprocess
import sys

import kubernetes_validate
import yaml

DOCUMENT = pathlib.Path(__file__).parent.parent / "docs/deployment.md"
VERSION = "1.34"


def manifest():
    """Returns the only manifest of the document."""
    (block,) = DOCUMENT.read_text().split("```yaml\n")[1:]
    return yaml.safe_load(block.split("```")[0])


def status(address, path):
    """Sends the request of a kubelet probe; returns the status."""
    connection = http.client.HTTPConnection(address, timeout=1)
    connection.request("GET", path, headers={"user-agent": "kube-probe/1.34"})
    return connection.getresponse().status


def line(process, message):
    """Reads the log up to the line with this message and returns it."""
    return next(line for line in map(json.loads, process.stderr) if line["message"] == message)


def main(program):
    deployment = manifest()
    kubernetes_validate.validate(deployment, VERSION, strict=True)
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": 50051, "admin": 9464}, ports
    live, ready = (container[probe]["httpGet"] for probe in ("livenessProbe", "readinessProbe"))
    assert live["port"] == ready["port"] == "admin"

    flags = ["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--log-format=json"]
    process = subprocess.Popen(
        [program, "serve", "--emulate", *flags], stderr=subprocess.PIPE, text=True
    )
    try:
        listening = line(process, "listening")
        admin = listening["admin.address"]
        assert pod["terminationGracePeriodSeconds"] > listening["shutdown.max_seconds"]
        assert 200 <= status(admin, live["path"]) < 400
        assert 200 <= status(admin, ready["path"]) < 400

        process.terminate()
        line(process, "stopping")
        assert 200 <= status(admin, live["path"]) < 400
        assert status(admin, ready["path"]) >= 400
        assert process.wait(timeout=pod["terminationGracePeriodSeconds"]) == 0
    finally:
        process.kill()
    print(f"the manifest is valid for Kubernetes {VERSION}; its probes and grace period match the service")


if __name__ == "__main__":
    main(*sys.argv[1:])
