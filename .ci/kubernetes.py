#!/usr/bin/env python3
"""Checks the Helm chart and the manifests that are rendered from it; `--write` writes these.

Usage: .ci/kubernetes.py PROGRAM HELM DECODE
       .ci/kubernetes.py --write HELM
       .ci/kubernetes.py --compare HELM OTHER_HELM

Renders the chart with each file of values in its folder ci/. For the oldest and the newest supported
Kubernetes, each object must have only known fields. Custom resources are decoded by DECODE, built from
.ci/decode. Each pod is started as rendered (rendered_pod.py). Wrong values must be rejected.
`--compare` checks that two versions of Helm render the same objects.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml

import rendered_pod

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHART = ROOT / "deploy/helm/iai-facade"
MANIFESTS = ROOT / "deploy/kubernetes"
CUSTOM = ("gateway.networking.k8s.io/", "monitoring.coreos.com/")

# Annotations that keep a port out of the sidecars of Istio and Linkerd.
UNMESHED = ["traffic.sidecar.istio.io/excludeInboundPorts", "config.linkerd.io/skip-inbound-ports"]

# What is computed from the values of a case: grace period, requested memory, limit of memory.
COMPUTED = {
    "cache": (67, "1088Mi", "1280Mi"),
    "secret": (30, "64Mi", "256Mi"),
}

# The case whose replicas are replaced under calls: it has the shortest delay.
ROLLED_OUT = "cache"

REPOSITORY = ["--set=image.repository=registry.example.com/iai-facade"]
EMULATOR = [*REPOSITORY, "--set=credentials.source=emulator"]

# Values that must be rejected, with a part of the message.
REJECTED = [
    ([], "docker build --tag REGISTRY/iai-facade:"),
    ([], "docker push REGISTRY/iai-facade:"),
    (REPOSITORY, "kubectl create secret generic"),
    ([*REPOSITORY, "--set=credentials.source=web-identity"], "credentials.webIdentity.roleArn is required"),
    ([*REPOSITORY, "--set=credentials.source=keychain"], "'/credentials/source'"),
    ([*EMULATOR, "--set=podDisruptionBudget.minAvailable=1,podDisruptionBudget.maxUnavailable=1"],
     "'/podDisruptionBudget'"),
    ([*EMULATOR, "--set=podDisruptionBudget.maxUnavailable=half"], "'/podDisruptionBudget/maxUnavailable'"),
    ([*EMULATOR, "--set=replica=3"], "'replica' not allowed"),
    ([*EMULATOR, "--set=image.version=1"], "'version' not allowed"),
    ([*EMULATOR, "--set=settings.listen=:1"], "'listen' not allowed"),
    ([*EMULATOR, "--set=settings.max-call-tim=1s"], "'max-call-tim' not allowed"),
    ([*EMULATOR, "--set=settings.max-attempts=11"], "'/settings/max-attempts'"),
    ([*EMULATOR, "--set=settings.drain-timeout=20"], "'/settings/drain-timeout'"),
    ([*EMULATOR, "--set=settings.cache-max-bytes=64MB"], "'/settings/cache-max-bytes'"),
    ([*EMULATOR, "--set=settings.drain-timeout=null"], "'drain-timeout'"),
    ([*EMULATOR, "--set=replicas=two"], "'/replicas'"),
    ([*EMULATOR, "--set=tls.clientCaKey=ca.crt"], "tls.clientCaKey needs tls.existingSecret"),
    ([*EMULATOR, "--set=autoscaling.enabled=true,autoscaling.minReplicas=9"], "is greater than"),
    ([*EMULATOR, "--set=grpcRoute.enabled=true"], "grpcRoute.parentRefs is required"),
    ([*EMULATOR, "--kube-version=1.28.0"], "kubeVersion"),
]


def template(helm, *flags, chart=CHART):
    command = [helm, "template", "iai-facade", chart, *flags]
    return subprocess.run(command, capture_output=True, text=True)


def render(helm, *flags, chart=CHART):
    """Returns the text of the rendered objects."""
    rendered = template(helm, *flags, chart=chart)
    if rendered.returncode != 0:
        sys.exit(f"helm template {' '.join(flags)}:\n{rendered.stderr}")
    return rendered.stdout


def versions():
    """Returns the oldest version of Kubernetes that the chart supports, and the newest known."""
    supported = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"]
    oldest = re.fullmatch(r">=(\d+\.\d+)\.0-0", supported)[1]
    newest = kubernetes_validate.latest_version().removeprefix("v")
    return oldest, ".".join(newest.split(".")[:2])


def check_schemas(objects, decode):
    """Checks that each object has only fields that exist."""
    for version in versions():
        for each in objects:
            if not each["apiVersion"].startswith(CUSTOM):
                kubernetes_validate.validate(each, version, strict=True)
    custom = [each for each in objects if each["apiVersion"].startswith(CUSTOM)]
    lines = "\n".join(map(json.dumps, custom))
    subprocess.run([decode, "objects"], input=lines, text=True, check=True, stdout=subprocess.DEVNULL)


def check_references(objects):
    """Checks that Services and policies select the pods, and that what objects refer to exists."""
    (deployment,) = (each for each in objects if each["kind"] == "Deployment")
    pod = deployment["spec"]["template"]
    labels, ports = pod["metadata"]["labels"], pod["spec"]["containers"][0]["ports"]
    assert {port["name"]: port["containerPort"] for port in ports} == {"grpc": 50051, "admin": 9464}
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    for annotation in UNMESHED:
        assert pod["metadata"]["annotations"][annotation] == "9464"
    for each in objects:
        spec = each.get("spec", {})
        selector = spec.get("podSelector") or spec.get("selector") or {}
        selector = selector.get("matchLabels", selector)
        assert selector.items() <= labels.items(), (each["kind"], selector)
    services = {each["metadata"]["name"] for each in objects if each["kind"] == "Service"}
    name = deployment["metadata"]["name"]
    assert services == {name, f"{name}-headless", f"{name}-admin"}
    for route in (each for each in objects if each["kind"] == "GRPCRoute"):
        assert {to["name"] for rule in route["spec"]["rules"] for to in rule["backendRefs"]} <= services
    scaled = any(each["kind"] == "HorizontalPodAutoscaler" for each in objects)
    assert scaled == ("replicas" not in deployment["spec"])


def check_restricted(pod):
    """Checks what the Pod Security Standard `restricted` demands, and more."""
    spec = pod["spec"]
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    context = spec["containers"][0]["securityContext"]
    assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert "cpu" not in spec["containers"][0]["resources"]["limits"]


def check_computed(case, pod):
    """Checks the numbers that are computed from the values."""
    spec = pod["spec"]
    resources = spec["containers"][0]["resources"]
    memory = resources["requests"]["memory"], resources["limits"]["memory"]
    found = spec["terminationGracePeriodSeconds"], *memory
    if COMPUTED.get(case, found) != found:
        sys.exit(f"{case}: computed {found}, expected {COMPUTED[case]}")


def check_notes(helm, values, objects):
    """Checks that the notes after an installation name each Service."""
    install = [helm, "install", "iai-facade", CHART, f"--values={values}", "--dry-run=client"]
    shown = subprocess.run(install, check=True, capture_output=True, text=True).stdout
    notes = shown.split("\nNOTES:\n")[1]
    for each in objects:
        if each["kind"] == "Service":
            assert f"{each['metadata']['name']}.default.svc" in notes, notes


def check_case(values, program, helm, decode):
    case = values.stem
    lint = [helm, "lint", "--strict", "--quiet", CHART, f"--values={values}"]
    subprocess.run(lint, check=True, stdout=subprocess.DEVNULL)
    objects = [each for each in yaml.safe_load_all(render(helm, f"--values={values}")) if each]
    check_schemas(objects, decode)
    check_references(objects)
    check_notes(helm, values, objects)
    (deployment,) = (each for each in objects if each["kind"] == "Deployment")
    (test,) = (each for each in objects if each["kind"] == "Pod")
    pod = deployment["spec"]["template"]
    check_restricted(pod)
    check_restricted(test)
    check_computed(case, pod)
    with tempfile.TemporaryDirectory() as folder:
        rendered_pod.run(program, pathlib.Path(folder), objects, pod["spec"], test["spec"])
        print(f"{case}: {len(objects)} objects; started, probed and stopped", flush=True)
        if case == ROLLED_OUT:
            calls = rendered_pod.roll_out(program, pathlib.Path(folder), objects, pod["spec"])
            print(f"{case}: two replicas replaced without a failure of {calls} calls", flush=True)


def check_rejected(helm):
    for flags, message in REJECTED:
        rendered = template(helm, *flags)
        if rendered.returncode == 0 or message not in rendered.stderr:
            sys.exit(f"helm template {' '.join(flags)}: expected `{message}`, found:\n{rendered.stderr}")
    print(f"{len(REJECTED)} wrong values are rejected")


def check_files(helm, decode):
    """Checks that alerts and dashboards pass through the templates, whose syntax they share, unchanged."""
    alert = {"alert": "Down", "expr": "up == 0", "annotations": {"summary": "{{ $labels.instance }} is down"}}
    groups = [{"name": "first", "rules": [alert]}]
    dashboard = '{"title": "{{ grpc_method }}"}\n'
    with tempfile.TemporaryDirectory() as folder:
        chart = shutil.copytree(CHART, pathlib.Path(folder, CHART.name))
        shutil.rmtree(chart / "files", ignore_errors=True)
        flags = [*EMULATOR, "--set=prometheusRule.enabled=true,dashboards.enabled=true"]
        without = template(helm, *flags, chart=chart)
        assert "contains no " in without.stderr, without.stderr
        for path, text in {"prometheus/alerts.yaml": yaml.safe_dump({"groups": groups}),
                           "grafana/operators.json": dashboard}.items():
            (chart / "files" / path).parent.mkdir(parents=True)
            (chart / "files" / path).write_text(text)
        objects = list(yaml.safe_load_all(render(helm, *flags, chart=chart)))
    check_schemas(objects, decode)
    found = {each["kind"]: each for each in objects}
    assert found["PrometheusRule"]["spec"]["groups"] == groups
    assert found["ConfigMap"]["data"] == {"operators.json": dashboard}


def manifests(helm):
    """Returns the text of each plain manifest by its name."""
    text = render(helm, f"--values={MANIFESTS / 'values.yaml'}", "--skip-tests")
    # These labels would tell Helm that the objects are its own.
    text = re.sub(r"^ +(helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n", "", text, flags=re.MULTILINE)
    files = {}
    for part in re.split(r"^---\n", text, flags=re.MULTILINE)[1:]:
        source, body = part.split("\n", 1)
        name = pathlib.Path(source).name
        separator = "---\n" if name in files else "# Rendered by .ci/kubernetes.py --write\n"
        files[name] = files.get(name, "") + separator + body.rstrip("\n") + "\n"
    return files


def check_manifests(helm):
    expected = manifests(helm)
    found = {path.name: path.read_text() for path in MANIFESTS.glob("*.yaml") if path.name != "values.yaml"}
    for name in expected.keys() | found.keys():
        if expected.get(name) != found.get(name):
            sys.exit(f"deploy/kubernetes/{name} differs from the chart; run .ci/kubernetes.py --write HELM")
    print(f"deploy/kubernetes has the {len(found)} files that the chart renders")


def compare(helm, other):
    # Without it, a Helm that was built by `go install` assumes a version of its own.
    flags = [f"--kube-version={versions()[1]}.0"]
    cases = sorted(CHART.glob("ci/*.yaml"))
    for values in cases:
        first, second = (list(yaml.safe_load_all(render(each, f"--values={values}", *flags)))
                         for each in (helm, other))
        if first != second:
            sys.exit(f"{values.name}: {helm} and {other} render different objects")
    print(f"{helm} and {other} render the same objects for {len(cases)} files of values")


def main(program, helm, decode):
    check_rejected(helm)
    for values in sorted(CHART.glob("ci/*.yaml")):
        check_case(values, program, helm, decode)
    check_files(helm, decode)
    check_manifests(helm)
    print(f"the chart is valid for Kubernetes {' to '.join(versions())}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--compare"]:
        compare(*sys.argv[2:])
    elif sys.argv[1:2] == ["--write"]:
        for file, content in manifests(*sys.argv[2:]).items():
            (MANIFESTS / file).write_text(content)
    else:
        main(*sys.argv[1:])
