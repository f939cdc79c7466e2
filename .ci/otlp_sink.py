"""Collectors of OpenTelemetry spans, which decode them by the vendor-neutral package opentelemetry-proto, and
collectors that fail."""

import concurrent.futures
import gzip
import http.server
import socket
import struct
import threading
import time

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
TIMEOUT_SECONDS = 20


class Sink:
    """Collects spans from the requests that a server receives."""

    def __init__(self):
        self.changed = threading.Condition()
        self.spans = []
        self.resources = []
        self.headers = []
        self.refused = 0

    def add(self, request, headers):
        with self.changed:
            self.headers.append(headers)
            for resource in request.resource_spans:
                self.resources.append(attributes(resource.resource))
                for scope in resource.scope_spans:
                    self.spans += scope.spans
            self.changed.notify_all()

    def refuse(self):
        with self.changed:
            self.refused += 1
            self.changed.notify_all()

    def wait_for(self, predicate, what):
        """Waits until `predicate` of the spans is true, and returns its value."""
        with self.changed:
            found = self.changed.wait_for(lambda: predicate(self.spans), TIMEOUT_SECONDS)
        if not found:
            raise SystemExit(f"no {what} among {[span.name for span in self.spans]}")
        return found

    def wait_for_refusals(self, count):
        with self.changed:
            if not self.changed.wait_for(lambda: self.refused >= count, TIMEOUT_SECONDS):
                raise SystemExit(f"{self.refused} requests instead of {count}")


def attributes(holder):
    """Returns the attributes of a span or a resource."""
    values = {}
    for pair in holder.attributes:
        values[pair.key] = getattr(pair.value, pair.value.WhichOneof("value"))
    return values


class GrpcCollector(grpc.GenericRpcHandler):
    """A collector on gRPC. With `refuses`, it responds with RESOURCE_EXHAUSTED and RetryInfo."""

    def __init__(self, sink, port=0, refuses=False, credentials=None):
        self.sink = sink
        self.refuses = refuses
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
        self.server.add_generic_rpc_handlers((self,))
        address = f"127.0.0.1:{port}"
        if credentials:
            self.port = self.server.add_secure_port(address, credentials)
        else:
            self.port = self.server.add_insecure_port(address)
        self.server.start()

    def service(self, details):
        if details.method != EXPORT:
            return None
        return grpc.unary_unary_rpc_method_handler(
            self.export,
            request_deserializer=trace_service_pb2.ExportTraceServiceRequest.FromString,
            response_serializer=trace_service_pb2.ExportTraceServiceResponse.SerializeToString,
        )

    def export(self, request, context):
        if self.refuses:
            self.sink.refuse()
            retry = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=50_000_000))
            detail = any_pb2.Any()
            detail.Pack(retry)
            status = status_pb2.Status(code=8, message="secret of the collector", details=[detail])
            context.abort_with_status(rpc_status.to_status(status))
        self.sink.add(request, dict(context.invocation_metadata()))
        return trace_service_pb2.ExportTraceServiceResponse()

    def stop(self):
        self.server.stop(0).wait()


class HttpCollector:
    """A collector on HTTP. With `status`, it responds with that status and Retry-After."""

    def __init__(self, sink, port=0, status=None, tls=None):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path != "/v1/traces" or status:
                    sink.refuse()
                    self.send_response(status or 404)
                    self.send_header("retry-after", "0")
                    self.send_header("content-length", "0")
                    self.end_headers()
                    return
                headers = {name.lower(): value for name, value in self.headers.items()}
                if headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
                sink.add(request, headers)
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class BrokenCollector:
    """Accepts connections, and resets them, or never responds if it `hangs`."""

    def __init__(self, port=0, hangs=False):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.hangs = hangs
        self.accepted = []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.accepted.append(connection)
            if not self.hangs:
                reset(connection)

    def wait_for_refusals(self, count):
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while len(self.accepted) < count:
            if time.monotonic() > deadline:
                raise SystemExit(f"{len(self.accepted)} connections instead of {count}")
            time.sleep(0.01)

    def stop(self):
        # `accept` in the other thread ends only then.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.accepted:
            reset(connection)


def reset(connection):
    if connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
