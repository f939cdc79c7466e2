#!/usr/bin/env python3
"""Checks the spans that the service exports with an independent decoder, and what it does if the collector
fails.

Usage: .ci/traces.py PROGRAM

PROGRAM is the built `iai-facade`. Needs the packages grpcio-status and opentelemetry-proto.
"""

import concurrent.futures
import hashlib
import json
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import grpc

from otlp_sink import (
    TIMEOUT_SECONDS, BrokenCollector, GrpcCollector, HttpCollector, Sink, attributes,
)

SERVICE = "iaifacade.v1.FaceRecognitionService"
GROUP, UNKNOWN_PERSON = "aaa", "person-of-the-test"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"
SAMPLED = (("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-01"), ("tracestate", "rojo=1"))
UNSAMPLED = (("traceparent", f"00-{TRACE_ID[::-1]}-{PARENT_ID}-00"),)
API_KEY, TOKEN = "key-of-the-collector", "token-of-the-caller"
# The exit without a collector takes less than this.
EXIT_SECONDS = 1.0
INTERNAL, SERVER, CLIENT = 1, 2, 3
ERROR = 2


class Service:
    """A running `serve --emulate` that exports spans each 50 ms."""

    def __init__(self, program, collector, *flags, **variables):
        command = [program, "serve", "--emulate", "--log-format=json", "--log-level=trace"]
        command += ["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--unready-delay=0s"]
        environment = {"OTEL_BSP_SCHEDULE_DELAY": "50", **variables}
        if collector:
            environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector
        self.process = subprocess.Popen(
            [*command, *flags], stderr=subprocess.PIPE, text=True, env=environment
        )
        self.lines = []
        self.text = []
        self.listening = threading.Event()
        threading.Thread(target=self.read, daemon=True).start()
        if not self.listening.wait(TIMEOUT_SECONDS):
            sys.exit("\n".join(self.text))
        self.channel = grpc.insecure_channel(self.address)

    def read(self):
        for line in self.process.stderr:
            self.text.append(line)
            fields = json.loads(line)
            self.lines.append(fields)
            if "admin.address" in fields:
                self.address, self.admin = fields["grpc.address"], fields["admin.address"]
                self.listening.set()

    def call(self, method="GetGroupInfo", subject=GROUP, metadata=(), timeout=10):
        """Makes a call; returns its status code."""
        # The message has one field, of number 1.
        message = b"\x0a" + bytes([len(subject)]) + subject.encode()
        path = method if "/" in method else f"/{SERVICE}/{method}"
        call = self.channel.unary_unary(path)
        try:
            call(message, metadata=metadata, timeout=timeout)
        except grpc.RpcError as error:
            return error.code().name
        return "OK"

    def count(self, outcome):
        """Returns the number of spans with this outcome."""
        with urllib.request.urlopen(f"http://{self.admin}/metrics") as response:
            text = response.read().decode()
        sample = f'iai_facade_spans_total{{outcome="{outcome}"}}'
        return int(float(re.search(re.escape(sample) + r" (\S+)", text)[1]))

    def wait_for(self, outcome, count):
        wait(lambda: self.count(outcome) >= count, f"{count} {outcome} spans")

    def said(self, level, message):
        return [line for line in self.lines if line["level"] == level and line["message"] == message]

    def stop(self):
        """Stops the service; returns how long that took."""
        self.channel.close()
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(TIMEOUT_SECONDS) != 0:
            sys.exit("\n".join(self.text))
        return time.monotonic() - begin


def wait(predicate, what):
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not predicate():
        if time.monotonic() > deadline:
            sys.exit(f"no {what} after {TIMEOUT_SECONDS} s")
        time.sleep(0.02)


def expect(found, expected, what):
    if found != expected:
        sys.exit(f"{what}: {found!r}, expected {expected!r}")


def expect_attributes(span, **expected):
    """Compares the attributes whose names are given with `__` for a dot; None for one that is missing."""
    found = attributes(span)
    for name, value in expected.items():
        name = name.replace("__", ".")
        expect(found.get(name), value, f"{span.name}: {name}")


def named(name, count=1):
    """Returns a predicate for `count` spans of this name."""

    def found(spans):
        matching = [span for span in spans if span.name == name]
        return matching if len(matching) >= count else None

    return found


def links(span):
    return [link.span_id for link in span.links]


def check_spans(program, protocol):
    """The spans of single calls."""
    sink = Sink()
    collector = GrpcCollector(sink) if protocol == "grpc" else HttpCollector(sink)
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as tokens:
        tokens.write(f"orders {hashlib.sha256(TOKEN.encode()).hexdigest()}\n")
        tokens.flush()
        service = Service(
            program, f"http://127.0.0.1:{collector.port}", f"--tokens-file={tokens.name}",
            OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
            OTEL_EXPORTER_OTLP_HEADERS=f"api-key={API_KEY}",
            OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
            OTEL_RESOURCE_ATTRIBUTES="k8s.pod.name=pod%2D1",
        )
        bearer = (("authorization", f"Bearer {TOKEN}"),)
        expect(service.call(metadata=SAMPLED + bearer), "OK", "sampled call")
        expect(service.call(metadata=UNSAMPLED + bearer), "OK", "unsampled call")
        unknown = service.call("GetPersonGroupInfo", UNKNOWN_PERSON, bearer)
        expect(unknown, "NOT_FOUND", "unknown person")
        expect(service.call("GetNothing", metadata=bearer), "UNIMPLEMENTED", "unknown method")
        expect(service.call("/grpc.health.v1.Health/Check", ""), "OK", "health")
        check_exemplars(service)
        service.stop()
    collector.stop()

    spans = sink.wait_for(lambda spans: spans if len(spans) >= 5 else None, "5 spans")
    names = sorted(span.name for span in spans)
    methods = [f"{SERVICE}/GetGroupInfo", f"{SERVICE}/GetPersonGroupInfo"]
    expect(names, sorted(["POST", "POST", "grpc", *methods]), "spans")
    (sampled,) = named(methods[0])(spans)
    expect(sampled.trace_id.hex(), TRACE_ID, "trace id")
    expect(sampled.parent_span_id.hex(), PARENT_ID, "parent")
    expect((sampled.kind, sampled.status.code), (SERVER, 0), "kind and status")
    expect((sampled.trace_state, sampled.flags & 0x301), ("rojo=1", 0x301), "state and flags")
    expect_attributes(
        sampled, rpc__system__name="grpc", rpc__method=methods[0],
        rpc__response__status_code="OK", error__type=None, network__peer__address="127.0.0.1",
        server__port=int(service.address.rsplit(":")[-1]), iai__cache="miss", iai__attempts=1,
        iai__request_id=TRACE_ID, iai__reason=None, iai__caller="token:orders",
    )
    (attempt,) = [span for span in spans if span.parent_span_id == sampled.span_id]
    expect((attempt.name, attempt.kind, attempt.status.code), ("POST", CLIENT, 0), "attempt")
    if not sampled.start_time_unix_nano <= attempt.start_time_unix_nano <= attempt.end_time_unix_nano:
        sys.exit("the attempt began before the call")
    if attempt.end_time_unix_nano > sampled.end_time_unix_nano:
        sys.exit("the attempt ended after the call")
    expect_attributes(
        attempt, http__request__method="POST", server__address="127.0.0.1",
        http__response__status_code=200, http__request__resend_count=None, error__type=None,
        iai__action="GetGroupInfo",
    )
    port = attributes(attempt)["server.port"]
    expect_attributes(attempt, url__full=f"http://127.0.0.1:{port}/")
    if not attributes(attempt)["iai.upstream.request_id"]:
        sys.exit("no RequestId")

    (missing,) = named(methods[1])(spans)
    expect((missing.parent_span_id, missing.status.code), (b"", 0), "call without a parent")
    expect_attributes(missing, iai__reason="PERSON_NOT_FOUND", error__type=None)
    expect_attributes(missing, iai__request_id=missing.trace_id.hex())
    (attempt,) = [span for span in spans if span.parent_span_id == missing.span_id]
    expect((attempt.name, attempt.status.code), ("POST", 0), "attempt for an unknown person")
    (other,) = named("grpc")(spans)
    expect((other.kind, other.status.code), (SERVER, ERROR), "unknown method")
    expect_attributes(other, rpc__method="_OTHER", error__type="UNIMPLEMENTED")

    resource = sink.resources[0]
    expect(resource["service.name"], "iai-facade", "service.name")
    expect(resource["k8s.pod.name"], "pod-1", "k8s.pod.name")
    expect({"service.version", "service.instance.id"} <= set(resource), True, "resource")
    expect(sink.headers[0]["api-key"], API_KEY, "header of the collector")
    seen = "".join(map(str, [*spans, *sink.resources]))
    for secret in [f'"{GROUP}"', UNKNOWN_PERSON, TOKEN, API_KEY, "AKID", "secret"]:
        if secret in seen:
            sys.exit(f"a span contains {secret}")
    if API_KEY in "".join(service.text) or TOKEN in "".join(service.text):
        sys.exit("the log contains a secret")
    expect(service.said("WARN", "spans cannot be exported, dropping them"), [], "warnings")
    print(f"{protocol}: spans are complete and contain no secret")


def check_exemplars(service):
    """The buckets of durations name the trace of a sampled call, in OpenMetrics only."""
    for accept, has_exemplars in (("application/openmetrics-text", True), ("text/plain", False)):
        request = urllib.request.Request(f"http://{service.admin}/metrics", headers={"accept": accept})
        with urllib.request.urlopen(request) as response:
            text = response.read().decode()
        named = [line.split("_bucket")[0] for line in text.splitlines() if f'# {{trace_id="{TRACE_ID}"}}' in line]
        expect(named, ["grpc_server_call_duration_seconds"] * has_exemplars, f"exemplars in {accept}")
        # That of the unsampled call could not be looked up.
        expect(TRACE_ID[::-1] in text, False, "exemplar of an unsampled call")


def with_faults(program, sink, faults, *flags, **variables):
    """Starts the service with a script of faults; returns it and its collector."""
    collector = GrpcCollector(sink)
    fixtures = tempfile.NamedTemporaryFile("w", suffix=".toml")
    fixtures.write('[[groups]]\ngroup_id = "aaa"\ngroup_name = "a"\ncreation_timestamp = 0\n')
    fixtures.write("".join(f"[[faults]]\n{fault}\n" for fault in faults))
    fixtures.flush()
    service = Service(
        program, f"http://127.0.0.1:{collector.port}", *flags, f"--fixtures={fixtures.name}",
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc", **variables,
    )
    return service, collector


def check_relations(program):
    """Retries, shared requests, refreshes and the wait for the rate limiter."""
    sink = Sink()
    service, collector = with_faults(program, sink, ['api_error = { code = "InternalError" }'])
    expect(service.call(), "OK", "retried call")
    first, second = sink.wait_for(named("POST", 2), "attempts")
    service.stop()
    collector.stop()
    expect_attributes(first, error__type="InternalError", http__request__resend_count=None)
    expect_attributes(second, error__type=None, http__request__resend_count=1)
    expect((first.status.code, second.status.code), (ERROR, 0), "status of the attempts")

    sink = Sink()
    service, collector = with_faults(program, sink, ['delay = "1s"'], "--share-calls")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        calls = [pool.submit(service.call) for _ in range(2)]
        expect([call.result() for call in calls], ["OK", "OK"], "shared calls")
    servers = sink.wait_for(named(f"{SERVICE}/GetGroupInfo", 2), "calls")
    (attempt,) = sink.wait_for(named("POST"), "attempt")
    service.stop()
    collector.stop()
    (starter,) = [span for span in servers if span.span_id == attempt.parent_span_id]
    (waiter,) = [span for span in servers if span is not starter]
    expect((links(starter), links(waiter)), ([], [starter.span_id]), "links of shared calls")
    expect_attributes(waiter, iai__cache="shared", iai__attempts=1)

    sink = Sink()
    cache = ["--cache-ttl=1s", "--cache-stale-while-revalidate=1h"]
    service, collector = with_faults(program, sink, [], *cache)
    wait(lambda: service.call() == "OK" and named("refresh")(sink.spans), "refresh")
    (refresh,) = sink.wait_for(named("refresh"), "refresh")
    attempts = sink.wait_for(named("POST", 2), "attempts")
    wait(lambda: [span for span in sink.spans if [span.span_id] == links(refresh)], "linked call")
    service.stop()
    collector.stop()
    expect((refresh.kind, refresh.parent_span_id), (INTERNAL, b""), "refresh")
    expect(attempts[1].parent_span_id, refresh.span_id, "parent of the attempt of a refresh")
    (linked,) = [span for span in sink.spans if [span.span_id] == links(refresh)]
    expect_attributes(linked, iai__cache="stale")

    sink = Sink()
    service, collector = with_faults(program, sink, [], "--upstream-rate=2")
    expect(wait_in_queue(service), "RESOURCE_EXHAUSTED", "call with a short deadline")
    wait(lambda: service.call() == "OK" and named("quota wait", 2)(sink.spans), "waits")
    service.stop()
    collector.stop()
    outcomes = [attributes(span)["iai.quota.outcome"] for span in named("quota wait")(sink.spans)]
    expect({"admitted", "rejected"} <= set(outcomes), True, f"outcomes {outcomes}")
    for span in named("quota wait")(sink.spans):
        expect_attributes(span, iai__quota__by="configured", iai__quota__ahead=0)
    print("retries, shared calls, refreshes and waits are related by their spans")


def wait_in_queue(service):
    """Makes calls until one does not fit into its deadline; returns its code."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        code = service.call(timeout=0.2)
        if code != "OK":
            return code
    return "OK"


def check_fault(program, name, protocol, broken, **variables):
    """A collector that fails, and comes back on the same port."""
    collector = broken(0)
    port = collector.port if collector else free_port()
    variables = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_TIMEOUT": "300",
        "OTEL_BSP_EXPORT_TIMEOUT": "500", **variables,
    }
    service = Service(program, f"http://127.0.0.1:{port}", **variables)
    slowest = 0
    for failed in (1, 2, 3):
        begin = time.monotonic()
        expect(service.call(), "OK", f"{name}: call")
        slowest = max(slowest, time.monotonic() - begin)
        service.wait_for("failed", 2 * failed)
    expect(len(service.said("WARN", "spans cannot be exported, dropping them")), 1, f"{name}: warnings")

    if collector:
        collector.stop()
    sink = Sink()
    collector = GrpcCollector(sink, port) if protocol == "grpc" else HttpCollector(sink, port)
    cleared = lambda: service.said("INFO", "spans are exported again")
    wait(lambda: service.call() == "OK" and cleared(), f"{name}: all-clear")
    expect(len(service.said("WARN", "spans cannot be exported, dropping them")), 1, f"{name}: warnings")
    expect(len(cleared()), 1, f"{name}: all-clears")
    foreign = [line for line in service.lines if str(line.get("target", "")).startswith("opentelemetry")]
    expect(foreign, [], f"{name}: lines of the library")
    if "secret of the collector" in "".join(service.text):
        sys.exit(f"{name}: the log contains the text of the collector")
    expect(service.count("dropped"), 0, f"{name}: dropped spans")
    if service.count("exported") > len(sink.spans) or slowest > 5:
        sys.exit(f"{name}: {service.count('exported')} spans exported, slowest call {slowest} s")
    service.stop()
    collector.stop()
    print(f"{protocol}: {name}: one warning, one all-clear, slowest call {slowest * 1000:.0f} ms")


def check_exit(program, protocol):
    """A collector that never responds delays the exit by at most 1 s, and holds a bounded number of spans."""
    collector = BrokenCollector(hangs=True)
    begin = Service(program, None)
    without = begin.stop()
    limits = {"OTEL_BSP_MAX_QUEUE_SIZE": "8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4"}
    endpoint = f"http://127.0.0.1:{collector.port}"
    service = Service(program, endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol, **limits)
    calls = 50
    for _ in range(calls):
        expect(service.call(), "OK", "call with a full queue")
    # At most a batch is on its way, and the queue is full.
    if not 2 * calls - 4 - 8 <= service.count("dropped") < 2 * calls - 8:
        sys.exit(f"{service.count('dropped')} spans were dropped")
    delay = service.stop() - without
    collector.stop()
    if delay > EXIT_SECONDS + 0.5:
        sys.exit(f"the exit took {delay:.1f} s longer than without a collector")
    print(f"{protocol}: the queue is bounded, and the exit is delayed by {delay:.2f} s")


def check_tls(program):
    """TLS with an authority of its own, and with a client certificate."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        san = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:TRUE"]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *san,
             "-subj", "/CN=test", "-keyout", path / "ca.key", "-out", path / "ca.pem"],
            check=True, capture_output=True,
        )
        for name in ("server", "client"):
            extensions = path / f"{name}.ext"
            extensions.write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
            request = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"]
            subprocess.run(
                [*request, "-keyout", path / f"{name}.key", "-out", path / f"{name}.csr"],
                check=True, capture_output=True,
            )
            subprocess.run(
                ["openssl", "x509", "-req", "-in", path / f"{name}.csr", "-CA", path / "ca.pem",
                 "-CAkey", path / "ca.key", "-CAcreateserial", "-days", "2",
                 "-extfile", extensions, "-out", path / f"{name}.pem"],
                check=True, capture_output=True,
            )
        read = lambda name: (path / name).read_bytes()
        credentials = grpc.ssl_server_credentials(
            [(read("server.key"), read("server.pem"))], read("ca.pem"), require_client_auth=True
        )
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=path / "ca.pem")
        tls.load_cert_chain(path / "server.pem", path / "server.key")
        tls.verify_mode = ssl.CERT_REQUIRED
        for protocol in ("grpc", "http/protobuf"):
            sink = Sink()
            if protocol == "grpc":
                collector = GrpcCollector(sink, credentials=credentials)
            else:
                collector = HttpCollector(sink, tls=tls)
            # Without a scheme, TLS is used.
            service = Service(
                program, f"127.0.0.1:{collector.port}",
                OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
                OTEL_EXPORTER_OTLP_CERTIFICATE=str(path / "ca.pem"),
                OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=str(path / "client.pem"),
                OTEL_EXPORTER_OTLP_CLIENT_KEY=str(path / "client.key"),
            )
            expect(service.call(), "OK", "call")
            sink.wait_for(named("POST"), "span over TLS")
            service.stop()
            collector.stop()
            print(f"{protocol}: spans are exported over mutual TLS")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def main(program):
    for protocol in ("grpc", "http/protobuf"):
        check_spans(program, protocol)
    check_relations(program)
    for protocol in ("grpc", "http/protobuf"):
        check_fault(program, "gone", protocol, lambda _: None)
        check_fault(program, "resetting", protocol, BrokenCollector)
        check_fault(program, "hanging", protocol, lambda port: BrokenCollector(port, hangs=True))
        check_exit(program, protocol)
    refusing = lambda port: GrpcCollector(Sink(), port, refuses=True)
    check_fault(program, "RESOURCE_EXHAUSTED with RetryInfo", "grpc", refusing)
    for status in (429, 503):
        refusing = lambda port: HttpCollector(Sink(), port, status=status)
        check_fault(program, f"HTTP {status}", "http/protobuf", refusing)
    check_tls(program)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
