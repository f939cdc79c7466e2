"""Starts the service of a rendered pod as the kubelet would, without a cluster.

The arguments, the variables, the mounted Secrets and the probes are those of the pod. Only what a cluster
would provide is replaced: ports are free ones, mounts are temporary folders, and Tencent Cloud, STS and
the metadata service are on this machine. The service must accept a signed request before it is ready.
"""

import contextlib
import http.client
import http.server
import json
import re
import subprocess
import sys
import threading
import time

ACCOUNT = {"secret_id": "AKIDEMULATOR", "secret_key": "emulator-secret"}
SESSION_TOKEN = "emulator-token"
TIMEOUT_SECONDS = 60

GROUP = """
[[groups]]
group_id = "aaa"
group_name = "aaa"
creation_timestamp = 2019-06-03T03:02:11.613Z
"""


def line(process, message):
    """Reads the log up to the line with this message and returns it."""
    read = []
    for text in process.stderr:
        read.append(text)
        if text.startswith("{") and json.loads(text)["message"] == message:
            return json.loads(text)
    sys.exit(f"the program ended before it logged `{message}`:\n{''.join(read)}")


@contextlib.contextmanager
def started(command, message, **options):
    """Starts a program; provides it and the log line with this message."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)
    try:
        yield process, line(process, message)
    finally:
        process.kill()
        process.wait()


class Metadata(http.server.BaseHTTPRequestHandler):
    """The instance metadata service, with the role `iai`."""

    def do_GET(self):
        credential = {
            "TmpSecretId": ACCOUNT["secret_id"], "TmpSecretKey": ACCOUNT["secret_key"],
            "Token": SESSION_TOKEN, "ExpiredTime": 4102444800, "Code": "Success",
        }
        body = (json.dumps(credential) if self.path.endswith("/iai") else "iai").encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Logs nothing."""


@contextlib.contextmanager
def metadata_service():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def secrets(folder, host):
    """Returns the content of each Secret that the values name; the certificate is valid for `host`."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    openssl = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
               "-subj=/CN=server", "-addext", f"subjectAltName=DNS:{host}",
               "-addext", "basicConstraints=CA:FALSE", "-keyout", key, "-out", certificate]
    subprocess.run(openssl, check=True, stderr=subprocess.DEVNULL)
    names = {"id": ACCOUNT["secret_id"], "key": ACCOUNT["secret_key"]}
    names |= {"secret-id": names["id"], "secret-key": names["key"], "token": SESSION_TOKEN}
    pair = {"tls.crt": certificate.read_text(), "tls.key": key.read_text()}
    return {
        "iai-facade-log": {"key": "0123456789abcdef"},
        "iai-facade-tls": {**pair, "ca.crt": pair["tls.crt"]},
        "iai-facade-tokens": {"tokens": f"orders {'0' * 64}\n"},
        "tencentcloud": names,
    }


def mount(folder, pod, content):
    """Writes the Secrets of a pod; returns the folder of each path in its container."""
    paths = {}
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    for mounted in pod["containers"][0].get("volumeMounts", []):
        target = folder / mounted["mountPath"].strip("/")
        target.mkdir(parents=True, exist_ok=True)
        paths[mounted["mountPath"]] = target
        if secret := volumes[mounted["name"]].get("secret"):
            files = content[secret["secretName"]]
            if items := secret.get("items"):
                files = {item["path"]: files[item["key"]] for item in items}
            for name, text in files.items():
                (target / name).write_text(text)
    return paths


def environment(container, objects, paths):
    """Returns the variables of a container, with free ports and the folders of its mounts."""
    maps = {each["metadata"]["name"]: each["data"] for each in objects if each["kind"] == "ConfigMap"}
    variables = {}
    for source in container.get("envFrom", []):
        variables |= maps[source["configMapRef"]["name"]]
    for variable in container["env"]:
        value = variable["value"] if "value" in variable else variable["valueFrom"]["fieldRef"]["fieldPath"]
        for path, folder in paths.items():
            if value.startswith(f"{path}/"):
                value = f"{folder}{value.removeprefix(path)}"
        for port in [":50051", ":9464"]:
            if variable["name"].endswith("LISTEN"):
                value = value.removesuffix(port) + ":0" if value.endswith(port) else value
        # References to variables before it, as $(NAME).
        variables[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda each: variables[each[1]], value)
    return variables


def cloud(folder, pod, emulator, metadata):
    """Returns the variables that take the place of the cloud around a pod."""
    variables = {
        "IAI_FACADE_ENDPOINT": f"http://{emulator}",
        "IAI_FACADE_STS_ENDPOINT": f"http://{emulator}",
        "IAI_FACADE_METADATA_ENDPOINT": metadata,
    }
    present = {variable["name"]: variable.get("value") for variable in pod["containers"][0]["env"]}
    if "IAI_FACADE_EMULATE" in present:
        return {}
    if present["IAI_FACADE_CREDENTIALS"] == "web-identity":
        # What the webhook of TKE adds to the pod.
        token = folder / "web-identity-token"
        token.write_text("emulator-web-identity")
        variables |= {"TKE_REGION": "ap-guangzhou", "TKE_PROVIDER_ID": "cls-example",
                      "TKE_WEB_IDENTITY_TOKEN_FILE": str(token),
                      "TKE_ROLE_ARN": "qcs::cam::uin/100000000001:roleName/iai"}
    return variables


def fixtures(folder, pod):
    """Writes fixtures of the emulator with the account that the pod has a credential of."""
    names = {variable["name"]: variable.get("value") for variable in pod["containers"][0]["env"]}
    with_token = "IAI_FACADE_TOKEN_FILE" in names or names.get("IAI_FACADE_CREDENTIALS") == "instance-role"
    account = ACCOUNT | ({"token": SESSION_TOKEN} if with_token else {})
    path = folder / "fixtures.toml"
    lines = "".join(f'{name} = "{value}"\n' for name, value in account.items())
    path.write_text(f"[account]\n{lines}{GROUP}")
    return path


def status(address, probe):
    """Sends a probe as the kubelet does; returns whether it succeeds."""
    assert probe["httpGet"]["port"] == "admin"
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT_SECONDS)
    connection.request("GET", probe["httpGet"]["path"], headers={"user-agent": "kube-probe/1.37"})
    return 200 <= connection.getresponse().status < 400


def wait_until_ready(address, probe):
    """Sends readiness probes until one succeeds."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not status(address, probe):
        assert time.monotonic() < deadline, "the service does not become ready"


def loopback(address):
    """Returns the address at which a service that listens on all addresses is reached."""
    return address.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")


@contextlib.contextmanager
def cluster(program, folder, objects, pod, content):
    """Starts what a pod depends on; provides the variables of its container."""
    emulate = [program, "emulate", "--listen=127.0.0.1:0", "--log-format=json",
               f"--fixtures={fixtures(folder, pod)}"]
    with started(emulate, "emulating") as (_, emulator), metadata_service() as metadata:
        variables = environment(pod["containers"][0], objects, mount(folder / "pod", pod, content))
        yield variables | cloud(folder, pod, emulator["address"], metadata)


def run(program, folder, objects, pod, test):
    """Starts the service of a pod, probes it as the kubelet and `helm test` do, and stops it."""
    container, prober = pod["containers"][0], test["containers"][0]
    (url,) = (each["value"] for each in prober["env"] if each["name"] == "IAI_FACADE_ADDRESS")
    scheme, host = url.rsplit(":", 1)[0].split("://")
    content = secrets(folder, host)
    with (
        cluster(program, folder, objects, pod, content) as variables,
        started([program, *container["args"]], "listening", env=variables) as (process, listening),
    ):
        admin, grpc = (loopback(listening[f"{name}.address"]) for name in ("admin", "grpc"))
        assert pod["terminationGracePeriodSeconds"] > listening["shutdown.max_seconds"]
        assert status(admin, container["startupProbe"])
        assert status(admin, container["livenessProbe"])
        wait_until_ready(admin, container["readinessProbe"])

        # As by `kubectl exec`, which the notes of the chart name.
        subprocess.run([program, "check", *container["args"][1:]], env=variables, check=True,
                       stdout=subprocess.DEVNULL)

        variables = environment(prober, objects, mount(folder / "test", test, content))
        variables["IAI_FACADE_ADDRESS"] = f"{scheme}://{grpc}"
        if scheme == "https":
            variables["IAI_FACADE_CLIENT_SERVER_NAME"] = host
        subprocess.run([program, *prober["args"]], env=variables, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

        process.terminate()
        line(process, "stopping")
        assert status(admin, container["livenessProbe"])
        assert not status(admin, container["readinessProbe"])
        # Skips the rest of the delay.
        process.terminate()
        assert process.wait(timeout=pod["terminationGracePeriodSeconds"]) == 0


class Replica:
    """A ready pod of a rollout."""

    def __init__(self, program, container, process, listening):
        self.program, self.container, self.process = program, container, process
        self.admin, self.grpc = (loopback(listening[f"{name}.address"]) for name in ("admin", "grpc"))
        wait_until_ready(self.admin, container["readinessProbe"])

    def call(self):
        command = [self.program, "call", "get-group-info", "--group-id=aaa", f"--address={self.grpc}"]
        called = subprocess.run(command, capture_output=True, text=True)
        if called.returncode != 0:
            sys.exit(f"a call failed during the rollout:\n{called.stderr}")

    def is_ready(self):
        return status(self.admin, self.container["readinessProbe"])


def roll_out(program, folder, objects, pod):
    """Replaces two replicas as the Deployment does, with maxUnavailable 0 and maxSurge 1; counts calls.

    A pod that stops still receives calls, until the proxies of the nodes have noticed.
    """
    container = pod["containers"][0]
    calls = 0
    with (
        cluster(program, folder, objects, pod, secrets(folder, "iai-facade")) as variables,
        contextlib.ExitStack() as stack,
    ):
        def replica():
            command = [program, *container["args"]]
            return Replica(program, container,
                           *stack.enter_context(started(command, "listening", env=variables)))

        endpoints = [replica(), replica()]
        for old in tuple(endpoints):
            endpoints.append(replica())
            old.process.terminate()
            line(old.process, "stopping")
            while old.is_ready():
                pass
            for each in endpoints:
                each.call()
            calls += len(endpoints)
            endpoints.remove(old)
            began = time.monotonic()
            while old.process.poll() is None:
                assert time.monotonic() < began + pod["terminationGracePeriodSeconds"], "it would be killed"
                for each in endpoints:
                    each.call()
                calls += len(endpoints)
            assert old.process.returncode == 0
    return calls
