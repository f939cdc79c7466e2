"""The Envoy of deploy/mesh at the edge: tokens, identities, JSON and its rate limit."""

import base64
import json
import ssl
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request

import grpc
import pytest

import program
from envoy_proxy import CHOSEN_RETRIES, free_port, from_file
from service import Service, error_of

EDGE = program.REPOSITORY / "deploy/mesh/envoy-edge.yaml"
PATH = "/iaifacade.v1.FaceRecognitionService/"
CLAIMS = {"iss": "https://issuer.example.com", "aud": "iai-facade", "sub": "orders"}


def test_the_caller_is_the_subject_of_the_token(edge):
    forged = {
        "nothing": [],
        "the header of linkerd": [("l5d-client-id", "victim")],
        "the header of Envoy": [("x-forwarded-client-cert", "URI=victim")],
    }
    for name, metadata in forged.items():
        edge.service.call("GetGroupInfo", group_id="aaa", metadata=[edge.bearer(), *metadata])

        assert edge.log.wait_for("call")["caller"] == "forwarded:orders", name


@pytest.mark.parametrize(
    "claims",
    [{"exp": 1}, {"exp": None}, {"iss": "https://other.example.com"}, {"aud": "other"}],
    ids=["expired", "without expiry", "issuer", "audience"],
)
def test_a_wrong_token_is_rejected_before_the_service(edge, claims):
    error = edge.service.error("GetGroupInfo", group_id="aaa", metadata=[edge.bearer(**claims)])

    assert error.status in ("UNAUTHENTICATED", "PERMISSION_DENIED")
    assert error.reason is None


def test_a_call_without_a_token_is_rejected_before_the_service(edge):
    error = edge.service.error("GetGroupInfo", group_id="aaa")

    assert (error.status, error.reason) == ("UNAUTHENTICATED", None)


def test_json_is_transcoded_with_errors_and_their_details(edge):
    code, body, _ = edge.post("GetPersonGroupInfo", {"person_id": "2001"})
    assert (code, body["groupNum"]) == (200, 1)

    code, body, _ = edge.post("GetPersonGroupInfo", {"person_id": "1002"})
    assert (code, body["code"]) == (404, 5)
    assert body["details"][0]["reason"] == "PERSON_NOT_FOUND"

    code, body, _ = edge.post("GetGroupInfo", {"group_id": "a b"})
    assert (code, body["code"]) == (400, 3)


def test_only_the_two_methods_reach_the_service(edge):
    health = "/grpc.health.v1.Health/Check"
    call = edge.channel.unary_unary(health, lambda _: b"", lambda _: None)

    error = error_of(lambda: call(b"", metadata=[edge.bearer()], timeout=program.TIMEOUT))

    assert error.status == "UNIMPLEMENTED" and error.reason is None


@pytest.mark.parametrize("edge", [["--endpoint", "http://127.0.0.1:1"]], indirect=True, ids=["down"])
def test_a_client_outside_cannot_make_envoy_retry(edge):
    metadata = [edge.bearer(), *CHOSEN_RETRIES]

    error = edge.service.error("GetGroupInfo", group_id="aaa", metadata=metadata)

    assert error.status == "UNAVAILABLE"
    assert edge.proxy.statistics()["cluster.facade.upstream_rq_retry"] == 0


def test_the_rate_limit_has_status_and_hints_of_the_service(edge):
    before = edge.proxy.statistics()["cluster.facade.upstream_rq_total"]
    calls = [edge.service.start("GetGroupInfo", group_id="aaa", metadata=[edge.bearer()]) for _ in range(600)]
    errors = [call for call in calls if call.exception(program.TIMEOUT)]

    assert errors and {call.code().name for call in errors} == {"RESOURCE_EXHAUSTED"}
    metadata = dict(errors[0].initial_metadata()) | dict(errors[0].trailing_metadata())
    assert (metadata["retry-after"], metadata["grpc-retry-pushback-ms"]) == ("1", "1000")
    served = edge.proxy.statistics()["cluster.facade.upstream_rq_total"] - before
    assert served == len(calls) - len(errors)
    print(f"{len(errors)} of {len(calls)} calls were rejected")


class Edge:
    """A service with one replica and Envoy, and the issuer of the tokens."""

    def __init__(self, folder, proxy, log, channel):
        self._folder, self.proxy, self.log, self.channel = folder, proxy, log, channel
        self.service = Service(f"localhost:{proxy.port}", channel)

    def bearer(self, **claims):
        """Returns the metadata of a valid token, but for these claims."""
        claims = CLAIMS | {"exp": int(time.time()) + 600} | claims
        claims = {name: value for name, value in claims.items() if value is not None}
        text = ".".join(map(encoded, (json.dumps({"alg": "RS256"}), json.dumps(claims))))
        sign = ["openssl", "dgst", "-sha256", "-sign", self._folder / "tls.key"]
        signature = subprocess.run(sign, input=text.encode(), check=True, capture_output=True)
        return ("authorization", f"Bearer {text}.{encoded(signature.stdout)}")

    def post(self, method, message):
        """Posts a message in JSON and returns the code, the body and the headers of the response."""
        url = f"https://localhost:{self.proxy.port}{PATH}{method}"
        headers = dict([self.bearer()]) | {"content-type": "application/json"}
        request = urllib.request.Request(url, json.dumps(message).encode(), headers)
        trust = ssl.create_default_context(cafile=self._folder / "tls.crt")
        try:
            with urllib.request.urlopen(request, timeout=program.TIMEOUT, context=trust) as response:
                return response.status, json.load(response), response.headers
        except urllib.error.HTTPError as error:
            return error.code, json.load(error), error.headers


@pytest.fixture
def edge(request, tmp_path):
    port = free_port()
    write_files(tmp_path)
    listen = ["--listen", f"127.0.0.1:{port}", "--admin-listen", "127.0.0.1:0"]
    flags = ["--trust-forwarded-identity", "--log-sample", "1"]
    flags += getattr(request, "param", ["--emulate"])
    files = {"/etc/envoy": tmp_path}
    secret = {"TENCENTCLOUD_SECRET_ID": "made-up", "TENCENTCLOUD_SECRET_KEY": "made-up"}
    environment = {} if "--emulate" in flags else secret
    with (
        program.running("serve", *listen, *flags, environment=environment) as log,
        from_file(tmp_path, EDGE, [port], files) as proxy,
    ):
        log.wait_for("listening")
        credentials = grpc.ssl_channel_credentials((tmp_path / "tls.crt").read_bytes())
        with grpc.secure_channel(f"localhost:{proxy.port}", credentials) as channel:
            yield Edge(tmp_path, proxy, log, channel)


def write_files(folder):
    """Writes certificate, key, public keys and protocol, as docs/mesh.md shows."""
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", "tls.key", "-out", "tls.crt"]
    openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, *name)
    modulus = openssl(folder, "rsa", "-in", "tls.key", "-noout", "-modulus").split("=")[1].strip()
    key = {"kty": "RSA", "alg": "RS256", "use": "sig", "e": "AQAB"}
    (folder / "jwks.json").write_text(json.dumps({"keys": [key | {"n": encoded(bytes.fromhex(modulus))}]}))
    paths = [f"--proto_path={path}" for path in (program.REPOSITORY / "proto", sysconfig.get_path("purelib"))]
    protoc = [sys.executable, "-m", "grpc_tools.protoc", *paths, "--include_imports"]
    output = f"--descriptor_set_out={folder / 'iai-facade.pb'}"
    protocol = ["iaifacade/v1/face_recognition_service.proto", "google/rpc/error_details.proto"]
    subprocess.run([*protoc, output, *protocol], check=True)


def openssl(folder, *arguments):
    command = ["openssl", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def encoded(data):
    """Encodes bytes or text in Base64 for URLs without padding, as tokens have it."""
    data = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
