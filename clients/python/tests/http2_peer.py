"""HTTP/2 client that sends individual frames, including invalid ones."""

import socket
import struct
import time
from dataclasses import dataclass, field

from hpack import Decoder, Encoder
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
)

from program import TIMEOUT

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

PATH = "/iaifacade.v1.FaceRecognitionService/GetGroupInfo"

PROTOCOL_ERROR = 0x1
FLOW_CONTROL_ERROR = 0x3
FRAME_SIZE_ERROR = 0x6
ENHANCE_YOUR_CALM = 0xB


def headers(*more, encoder=None, path=PATH):
    """Returns the encoded headers of a call."""
    fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "facade"),
        (":path", path),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        *more,
    ]
    return (encoder or Encoder()).encode(fields)


def call(stream, message=b"\n\x03aaa"):
    """Returns the frames of a call on a stream."""
    opening = HeadersFrame(stream, headers(), flags=["END_HEADERS"])
    data = DataFrame(stream, grpc_message(message), flags=["END_STREAM"])
    return opening.serialize() + data.serialize()


def grpc_message(message):
    """Returns a message with its gRPC prefix."""
    return struct.pack(">BI", 0, len(message)) + message


@dataclass
class End:
    """The end of a connection: its GOAWAY code and the RST_STREAM codes of its streams."""

    goaway: int | None = None
    resets: dict = field(default_factory=dict)
    frames: list = field(default_factory=list)


class Peer:
    """A connection that can send any bytes."""

    def __init__(self, address, *, preface=PREFACE, settings=None):
        self._decoder = Decoder()
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=TIMEOUT)
        if preface == PREFACE:
            preface += SettingsFrame(settings=settings or {}).serialize()
        self.socket.sendall(preface)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *frames):
        """Sends frames, or raw bytes."""
        self.socket.sendall(
            b"".join(frame if isinstance(frame, bytes) else frame.serialize() for frame in frames)
        )

    def flood(self, chunk, *, limit, seconds=3):
        """Sends `chunk` repeatedly, without reading, until `limit` bytes are sent or the server stops
        reading. Returns the number of bytes sent."""
        sent = 0
        unsent = memoryview(chunk)
        until = time.monotonic() + seconds
        self.socket.settimeout(1)
        try:
            while sent < limit and time.monotonic() < until:
                count = self.socket.send(unsent)
                sent += count
                unsent = unsent[count:] or memoryview(chunk)
        except (TimeoutError, ConnectionError):
            pass
        self.socket.settimeout(TIMEOUT)
        return sent

    def end(self, *, acknowledge_pings=False, timeout=TIMEOUT):
        """Reads until the server closes the connection and returns how it ended."""
        self.socket.settimeout(timeout)
        end = End()
        try:
            while (frame := self.frame()) is not None:
                end.frames.append(frame)
                if isinstance(frame, GoAwayFrame):
                    end.goaway = frame.error_code
                elif isinstance(frame, RstStreamFrame):
                    end.resets[frame.stream_id] = frame.error_code
                elif acknowledge_pings and isinstance(frame, PingFrame) and "ACK" not in frame.flags:
                    self.send(PingFrame(opaque_data=frame.opaque_data, flags=["ACK"]))
        except ConnectionError:
            pass
        return end

    def response(self, stream):
        """Reads until the headers of a response arrive and returns them."""
        response = {}
        while (frame := self.frame()) is not None:
            if isinstance(frame, HeadersFrame):
                fields = self._decoder.decode(frame.data)
                if frame.stream_id == stream:
                    response |= dict(fields)
            if frame.stream_id == stream and response:
                return response
        raise AssertionError(f"the connection closed before the response on stream {stream}")

    def rejection(self, stream):
        """Reads until a response, RST_STREAM or GOAWAY arrives. Returns the status of the response, or the
        error code."""
        while (frame := self.frame()) is not None:
            if isinstance(frame, HeadersFrame) and frame.stream_id == stream:
                return "status", int(dict(self._decoder.decode(frame.data))["grpc-status"])
            if isinstance(frame, GoAwayFrame | RstStreamFrame):
                return "code", frame.error_code
        raise AssertionError(f"the connection closed without a frame for stream {stream}")

    def frame(self):
        """Reads a frame. Returns None at the end of the connection."""
        head = self._read(9)
        if head is None:
            return None
        frame, length = Frame.parse_frame_header(memoryview(head))
        body = self._read(length)
        if body is None:
            return None
        frame.parse_body(memoryview(body))
        return frame

    def _read(self, length):
        data = b""
        while len(data) < length:
            more = self.socket.recv(length - len(data))
            if not more:
                return None
            data += more
        return data

