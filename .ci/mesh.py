#!/usr/bin/env python3
"""Checks the files of deploy/mesh that no test runs, against the chart and the protocol.

Usage: .ci/mesh.py HELM DECODE

The objects of Istio must have only known fields, decoded by DECODE, and name Services, ports and pods that the
chart renders. The values for Linkerd must keep the admin port out of the mesh. Every file must route exactly
the methods of the protocol.
"""

import json
import re
import subprocess
import sys

import yaml

from kubernetes import CHART, ROOT, UNMESHED, render

MESH = ROOT / "deploy/mesh"
SERVICE = "iaifacade.v1.FaceRecognitionService"


def rendered(helm, *values):
    """Returns the pod template and the ports of each Service that the chart renders."""
    text = render(helm, *[f"--values={file}" for file in values])
    objects = [each for each in yaml.safe_load_all(text) if each]
    (deployment,) = (each for each in objects if each["kind"] == "Deployment")
    services = {
        each["metadata"]["name"]: {port["port"] for port in each["spec"]["ports"]}
        for each in objects
        if each["kind"] == "Service"
    }
    return deployment["spec"]["template"], services


def values_of(document, name):
    """Yields each value with this key, at any depth."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key == name:
                yield value
            yield from values_of(value, name)
    elif isinstance(document, list):
        for each in document:
            yield from values_of(each, name)


def check_istio(helm, decode):
    objects = list(yaml.safe_load_all((MESH / "istio.yaml").read_text()))
    lines = "\n".join(map(json.dumps, objects))
    subprocess.run([decode, "objects"], input=lines, text=True, check=True, stdout=subprocess.DEVNULL)
    pod, services = rendered(helm, CHART / "ci/istio.yaml")
    labels = pod["metadata"]["labels"]
    for selector in values_of(objects, "matchLabels"):
        assert selector.items() <= labels.items(), selector
    for host in [*values_of(objects, "host"), *sum(values_of(objects, "hosts"), [])]:
        assert host in services, host
    (route,) = (each for each in objects if each["kind"] == "VirtualService")
    for destination in values_of(route, "destination"):
        assert destination["port"]["number"] in services[destination["host"]], destination
    (policy,) = (each for each in objects if each["kind"] == "AuthorizationPolicy")
    ports = {str(port["containerPort"]) for port in pod["spec"]["containers"][0]["ports"]}
    for listed in values_of(policy, "ports"):
        assert set(listed) <= ports, listed


def check_linkerd(helm):
    pod, _ = rendered(helm, CHART / "ci/linkerd.yaml", MESH / "linkerd.yaml")
    annotations = pod["metadata"]["annotations"]
    assert all(annotations[name] == "9464" for name in UNMESHED), annotations
    assert annotations["linkerd.io/inject"] == "enabled"
    assert annotations["config.linkerd.io/default-inbound-policy"] == "all-authenticated"


def check_routes():
    """Checks that each file with routes has exactly the paths of the protocol."""
    proto = (ROOT / "proto/iaifacade/v1/face_recognition_service.proto").read_text()
    methods = {f"/{SERVICE}/{name}" for name in re.findall(r"^  rpc (\w+)\(", proto, re.MULTILINE)}
    assert methods
    for file in ("envoy-edge.yaml", "envoy-sidecar.yaml", "istio.yaml"):
        for document in yaml.safe_load_all((MESH / file).read_text()):
            found = [*values_of(document, "path"), *values_of(document, "exact")]
            found += sum(values_of(document, "paths"), [])
            found = [path for path in found if path.startswith("/iaifacade")]
            expects = file != "istio.yaml" or document["kind"] in ("VirtualService", "AuthorizationPolicy")
            if set(found) != (methods if expects else set()):
                sys.exit(f"{file} routes {sorted(found)}, not {sorted(methods)}")


def check_envoy():
    """Checks that both configurations of Envoy, of which most tests run one, have the same cluster and limits."""
    sidecar, edge = (
        yaml.safe_load((MESH / f"envoy-{place}.yaml").read_text())["static_resources"]
        for place in ("sidecar", "edge")
    )
    assert sidecar["clusters"] == edge["clusters"]
    for name in ("max_request_headers_kb", "max_headers_count", "forward_client_cert_details", "virtual_hosts"):
        (first,), (second,) = values_of(sidecar, name), values_of(edge, name)
        assert first == second, name


def main(helm, decode):
    check_envoy()
    check_istio(helm, decode)
    check_linkerd(helm)
    check_routes()
    print("deploy/mesh agrees with the chart and the protocol")


if __name__ == "__main__":
    main(*sys.argv[1:])
