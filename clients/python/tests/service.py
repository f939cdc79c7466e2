"""Client of a running service, with errors as plain values."""

from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from iaifacade.v1 import face_recognition_service_pb2 as messages
from iaifacade.v1.face_recognition_service_pb2_grpc import FaceRecognitionServiceStub
from program import TIMEOUT, serving

OPERATIONS = {
    method.name: tuple(field.name for field in method.input_type.fields)
    for method in messages.DESCRIPTOR.services_by_name["FaceRecognitionService"].methods
}
"""The operations and the fields of their requests, the required id first."""

RETRY = ("x-envoy-attempt-count", "2")
"""Marks a call as a retry, as Envoy does. The service makes one upstream attempt for it."""


def with_id(operation, id):
    """Returns the fields of a request with only the required id."""
    return {OPERATIONS[operation][0]: id}


@contextmanager
def service(*flags, environment=None):
    """Runs `serve` and yields a client of it."""
    with (
        serving(*flags, environment=environment) as address,
        grpc.insecure_channel(address) as channel,
    ):
        yield Service(address, channel)


class Service:
    """A client of a running service."""

    def __init__(self, address, channel):
        self.address = address
        self.channel = channel
        self._stub = FaceRecognitionServiceStub(channel)

    def call(self, operation, *, timeout=TIMEOUT, metadata=(), compression=None, **fields):
        """Calls an operation with the fields of its request."""
        method = getattr(self._stub, operation)
        request = getattr(messages, f"{operation}Request")(**fields)
        response, call = method.with_call(
            request, timeout=timeout, metadata=metadata, compression=compression
        )
        return Response(response, dict(call.initial_metadata()))

    def start(self, operation, *, timeout=TIMEOUT, metadata=(), **fields):
        """Starts a call of an operation and returns its future."""
        request = getattr(messages, f"{operation}Request")(**fields)
        return getattr(self._stub, operation).future(request, timeout=timeout, metadata=metadata)

    def error(self, operation, **arguments):
        """Calls an operation that must fail and returns the error."""
        return error_of(lambda: self.call(operation, **arguments))


def error_of(call):
    """Returns the error of a call that must fail."""
    try:
        response = call()
    except grpc.RpcError as error:
        return Error.of(error)
    raise AssertionError(f"the call succeeded: {response}")


@dataclass(frozen=True)
class Response:
    """A response message and its initial metadata."""

    message: object
    metadata: dict


@dataclass(frozen=True)
class Error:
    """An error as the client receives it, with its details keyed by type."""

    status: str
    message: str
    details: dict
    metadata: dict = field(repr=False)

    @classmethod
    def of(cls, error):
        """Creates an error from that of grpcio."""
        metadata = dict(error.trailing_metadata())
        status = rpc_status.from_call(error)
        details = {}
        for packed in status.details if status else []:
            name = packed.TypeName().removeprefix("google.rpc.")
            assert name not in details, f"{name} occurs twice"
            details[name] = getattr(error_details_pb2, name)()
            assert packed.Unpack(details[name])
        return cls(error.code().name, error.details(), details, metadata)

    @property
    def encoded_details(self):
        """The encoded `google.rpc.Status`."""
        return self.metadata["grpc-status-details-bin"]

    @property
    def reason(self):
        """The domain and reason, if the error has them."""
        info = self.details.get("ErrorInfo")
        return (info.domain, info.reason) if info else None

    @property
    def hints(self):
        """The retry hints, in all three forms."""
        info = self.details.get("RetryInfo")
        return Hints(
            retry_info_ms=info.retry_delay.ToMilliseconds() if info else None,
            pushback_ms=self.metadata.get("grpc-retry-pushback-ms"),
            retry_after_s=self.metadata.get("retry-after"),
        )


@dataclass(frozen=True)
class Hints:
    """The retry hints of an error; metadata as received, in text."""

    retry_info_ms: int | None = None
    pushback_ms: str | None = None
    retry_after_s: str | None = None

    @classmethod
    def after(cls, milliseconds):
        """Returns the hints of an error that may be retried after a delay."""
        return cls(milliseconds, str(milliseconds), str(-(-milliseconds // 1000)))


NO_HINTS = Hints()
NEVER = Hints(pushback_ms="-1")
