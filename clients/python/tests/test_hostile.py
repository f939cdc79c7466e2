"""Hostile and broken clients, while all calls of a well-behaved client must succeed."""

import gzip
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import grpc
import pytest
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

import program
from http2_peer import (
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    PATH,
    PREFACE,
    PROTOCOL_ERROR,
    Peer,
    call,
    grpc_message,
    headers,
)
from program import TIMEOUT
from service import Service

MEGABYTE = 1_000_000

MAX_RESIDENT = 48 * MEGABYTE
"""Maximum resident memory of the program during a flood, in bytes."""

HOSTILE_CONNECTIONS = 100

MAX_RESIDENT_PER_HOSTILE_CONNECTION = 2 * MEGABYTE
"""In addition, per connection with 256 streams, in bytes."""

MAX_RESIDENT_WITH_10000_IDLE = 400 * MEGABYTE

CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

MAX_STALLED = 60
"""Maximum duration of a connection whose client stalls, in seconds."""


@pytest.fixture(scope="module")
def server():
    """A service and its process."""
    with running() as server:
        yield server


@contextmanager
def running():
    # Idle upstream connections would count as leaked client connections.
    idle = ["--upstream-idle-timeout", "1s"]
    with program.running("serve", "--emulate", *program.FREE_PORTS, *idle) as log:
        yield Server(log.wait_for("listening")["grpc.address"], log.pid)


class Server:
    """A running service, observed through /proc."""

    def __init__(self, address, pid):
        self.address = address
        self._process = Path(f"/proc/{pid}")

    def descriptors(self):
        """Returns the number of open file descriptors."""
        return len(list((self._process / "fd").iterdir()))

    def resident(self):
        """Returns the resident memory, in bytes."""
        return self._memory("VmRSS:")

    def peak_resident(self):
        """Returns the peak of the resident memory, in bytes."""
        return self._memory("VmHWM:")

    def _memory(self, field):
        status = (self._process / "status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(field))
        return int(line.split()[1]) * 1024

    @contextmanager
    def well_behaved(self, *, max_resident=MAX_RESIDENT):
        """Calls in a loop, and checks at the end that all calls succeeded and nothing leaked."""
        stopping = threading.Event()
        most = before = self.resident()
        with grpc.insecure_channel(self.address) as channel, ThreadPoolExecutor() as threads:
            service = Service(self.address, channel)
            service.call("GetGroupInfo", group_id="aaa")
            descriptors = self.descriptors()

            def calling():
                nonlocal most
                slowest = completed = 0
                while not stopping.is_set():
                    began = time.monotonic()
                    service.call("GetGroupInfo", group_id="aaa")
                    slowest = max(slowest, time.monotonic() - began)
                    most = max(most, self.resident())
                    completed += 1
                    # Yields to the other threads: Python threads share one lock.
                    time.sleep(0.005)
                return completed, slowest

            caller = threads.submit(calling)
            try:
                yield
            finally:
                stopping.set()
            completed, slowest = caller.result(TIMEOUT)
            eventually(lambda: self.descriptors() <= descriptors)
        print(
            f"{completed} calls, the slowest in {slowest:.3f} s; "
            f"{before / MEGABYTE:.0f} MB before, at most {most / MEGABYTE:.0f} MB"
        )
        assert completed > 0
        assert most < max_resident


def eventually(is_true):
    """Waits until a condition holds."""
    until = time.monotonic() + TIMEOUT
    while not is_true():
        assert time.monotonic() < until
        time.sleep(0.02)


# === Floods ===


def rapid_reset(peer):
    """CVE-2023-44487: calls that are reset immediately."""
    block = headers()
    pairs = [
        HeadersFrame(stream, block, flags=["END_HEADERS"]).serialize()
        + RstStreamFrame(stream, 8).serialize()
        for stream in range(1, 40_000, 2)
    ]
    peer.send(*pairs)


def continuations(peer):
    """CVE-2024-27316: an endless header block."""
    peer.send(HeadersFrame(1, headers()))
    block = Encoder().encode([("x", "y" * 100)]) * 100
    peer.flood(ContinuationFrame(1, block).serialize(), limit=50 * MEGABYTE)


def empty_continuations(peer):
    """An endless header block of empty frames."""
    peer.send(HeadersFrame(1, headers()))
    peer.flood(ContinuationFrame(1, b"").serialize() * 100, limit=50 * MEGABYTE)


def hundred_thousand_fields(peer):
    """100,000 header fields of one byte, an index of the dynamic table."""
    block = headers() + b"\x40\x01a\x01b" + b"\xbe" * 100_000
    parts = [block[start : start + 16_000] for start in range(0, len(block), 16_000)]
    peer.send(HeadersFrame(1, parts[0]))
    peer.send(*(ContinuationFrame(1, part) for part in parts[1:-1]))
    peer.send(ContinuationFrame(1, parts[-1], flags=["END_HEADERS"]))


# === Invalid HTTP/2 ===


def data_beyond_the_window(peer):
    """Reflection requests whose responses are not read, so that the server stops reading."""
    peer.send(SettingsFrame(settings={SettingsFrame.INITIAL_WINDOW_SIZE: 0}))
    path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    peer.send(HeadersFrame(1, headers(path=path), flags=["END_HEADERS"]))
    list_services = grpc_message(b"\x3a\x00")
    peer.flood(DataFrame(1, list_services * 2_000).serialize(), limit=100 * MEGABYTE)


def window_overflow(peer):
    peer.send(WindowUpdateFrame(0, 0x7FFF_FFFF))


def zero_window_update(peer):
    peer.send(WindowUpdateFrame(0, 1).serialize()[:-4] + bytes(4))


def data_on_stream_0(peer):
    peer.send(b"\x00\x00\x01" + b"\x00\x00" + bytes(4) + b"x")


def data_on_an_idle_stream(peer):
    peer.send(DataFrame(7, b"x"))


def frame_too_large(peer):
    peer.send(b"\x00\x40\x01" + b"\x00\x00" + b"\x00\x00\x00\x01" + bytes(16_385))


def even_stream(peer):
    peer.send(HeadersFrame(2, headers(), flags=["END_HEADERS"]))


def header_table_index_0(peer):
    peer.send(HeadersFrame(1, b"\x80", flags=["END_HEADERS"]))


def continuation_without_headers(peer):
    peer.send(ContinuationFrame(1, headers(), flags=["END_HEADERS"]))


def garbage(peer):
    peer.send(b"\xff" * 100_000)


@pytest.mark.parametrize(
    ("attack", "code"),
    [
        (rapid_reset, ENHANCE_YOUR_CALM),
        (continuations, ENHANCE_YOUR_CALM),
        (empty_continuations, ENHANCE_YOUR_CALM),
        (hundred_thousand_fields, ENHANCE_YOUR_CALM),
        (data_beyond_the_window, FLOW_CONTROL_ERROR),
        (window_overflow, FLOW_CONTROL_ERROR),
        (zero_window_update, PROTOCOL_ERROR),
        (data_on_stream_0, PROTOCOL_ERROR),
        (data_on_an_idle_stream, PROTOCOL_ERROR),
        (frame_too_large, FRAME_SIZE_ERROR),
        (even_stream, PROTOCOL_ERROR),
        # RFC 9113, section 4.3, requires COMPRESSION_ERROR; the h2 library sends PROTOCOL_ERROR.
        (header_table_index_0, PROTOCOL_ERROR),
        (continuation_without_headers, PROTOCOL_ERROR),
        (garbage, FRAME_SIZE_ERROR),
    ],
)
def test_the_connection_is_closed_with_an_error_code(server, attack, code):
    with server.well_behaved():
        for _ in range(20):
            with Peer(server.address) as peer:
                try:
                    attack(peer)
                except ConnectionError:
                    pass  # The server has already closed the connection.
                assert peer.end().goaway == code


@pytest.mark.parametrize(
    "frame",
    [
        PingFrame(opaque_data=b"12345678"),
        SettingsFrame(settings={SettingsFrame.MAX_CONCURRENT_STREAMS: 100}),
        WindowUpdateFrame(0, 1),
    ],
    ids=["pings", "settings", "window updates"],
)
def test_control_frames_are_not_read_faster_than_their_responses(server, frame):
    with server.well_behaved(), Peer(server.address) as peer:
        taken = peer.flood(frame.serialize() * 1_000, limit=100 * MEGABYTE)

    print(f"{taken / MEGABYTE:.0f} MB were read")


# === Invalid calls ===


def too_large(peer):
    peer.send(HeadersFrame(1, headers(), flags=["END_HEADERS"]))
    peer.send(DataFrame(1, struct.pack(">BI", 0, 65_537) + bytes(16_000)))


def gzip_bomb(peer):
    """50 MB, compressed to 50 kB."""
    packed = gzip.compress(bytes(50 * MEGABYTE))
    message = struct.pack(">BI", 1, len(packed)) + packed
    peer.send(HeadersFrame(1, headers(("grpc-encoding", "gzip")), flags=["END_HEADERS"]))
    for start in range(0, len(message), 16_000):
        peer.send(DataFrame(1, message[start : start + 16_000]))
    peer.send(DataFrame(1, b"", flags=["END_STREAM"]))


def wrong_protobuf(peer):
    peer.send(call(1, b"\xff\xff\xff\xff"))


def wrong_prefix(peer):
    peer.send(HeadersFrame(1, headers(), flags=["END_HEADERS"]))
    peer.send(DataFrame(1, b"\x07\x00\x00\x00\x01x", flags=["END_STREAM"]))


def half_a_message(peer):
    peer.send(HeadersFrame(1, headers(), flags=["END_HEADERS"]))
    peer.send(DataFrame(1, struct.pack(">BI", 0, 10) + b"x", flags=["END_STREAM"]))


@pytest.mark.parametrize(
    ("attack", "status"),
    [
        (too_large, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (gzip_bomb, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (wrong_protobuf, grpc.StatusCode.INVALID_ARGUMENT),
        (wrong_prefix, grpc.StatusCode.INVALID_ARGUMENT),
        (half_a_message, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_an_invalid_call_is_rejected_without_closing_the_connection(server, attack, status):
    with server.well_behaved(), Peer(server.address) as peer:
        attack(peer)
        assert int(peer.response(1)["grpc-status"]) == status.value[0]
        peer.send(call(3))
        assert peer.response(3)[":status"] == "200"


def test_a_message_of_100_mb_is_rejected_before_it_is_read(server):
    too_large = ("status", grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])
    # The length is rejected if it is read before the window is exceeded.
    too_much = ("code", FLOW_CONTROL_ERROR)
    with server.well_behaved():
        for _ in range(20):
            with Peer(server.address) as peer:
                peer.send(HeadersFrame(1, headers(), flags=["END_HEADERS"]))
                peer.send(DataFrame(1, struct.pack(">BI", 0, 100 * MEGABYTE)))
                peer.flood(DataFrame(1, bytes(16_000)).serialize(), limit=100 * MEGABYTE)
                assert peer.rejection(1) in (too_large, too_much)


@pytest.mark.parametrize("size", [20_000, 40_000, 60_000])
@pytest.mark.parametrize("field", [500, 5_000, 16_000])
def test_large_headers_are_rejected_without_closing_the_connection(server, size, field):
    with server.well_behaved(), Peer(server.address) as peer:
        number = -(-size // field)
        peer.send(large_call(1, [("x", "a" * (field - 50))] * number))
        response = peer.response(1)
        assert int(response["grpc-status"]) == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
        assert "--max-header-bytes" in response["grpc-message"]
        peer.send(call(3))
        assert peer.response(3)[":status"] == "200"


def large_call(stream, fields):
    """Returns the frames of a call with uncompressed headers that need several frames."""
    block = b"".join(
        headers() if not number else Encoder().encode([field], huffman=False)
        for number, field in enumerate([None, *fields])
    )
    parts = [block[start : start + 16_384] for start in range(0, len(block), 16_384)]
    frames = [HeadersFrame(stream, parts[0])]
    frames += [ContinuationFrame(stream, part) for part in parts[1:]]
    frames[-1].flags.add("END_HEADERS")
    data = DataFrame(stream, grpc_message(b"\n\x03aaa"), flags=["END_STREAM"])
    return b"".join(frame.serialize() for frame in [*frames, data])


def open_call(stream, path, message=None, *, flags=()):
    """Returns the frames of a call that does not end its side unless the flags do so."""
    opening = HeadersFrame(stream, headers(path=path), flags=["END_HEADERS"]).serialize()
    if message is None:
        return opening
    return opening + DataFrame(stream, grpc_message(message), flags=flags).serialize()


HOSTILE_STREAMS = {
    "unread responses": call,
    "watches": lambda stream: open_call(stream, WATCH, b"", flags=["END_STREAM"]),
    "reflection": lambda stream: open_call(stream, REFLECTION, b"\x3a\x00"),
    "checks": lambda stream: open_call(stream, CHECK, b"", flags=["END_STREAM"]),
    "checks without a message": lambda stream: open_call(stream, CHECK),
    "calls without a message": lambda stream: open_call(stream, PATH),
    "unknown methods": lambda stream: open_call(stream, "/x.Y/Z"),
}


HOLDING_PLACES = {"unread responses", "calls without a message", "unknown methods"}
"""The hostile streams that hold the places of calls, so that the server rejects other calls."""


@pytest.mark.parametrize("window", [0, 1])
@pytest.mark.parametrize("kind", HOSTILE_STREAMS)
def test_memory_of_hostile_connections_is_bounded(kind, window):
    settings = {SettingsFrame.INITIAL_WINDOW_SIZE: window}
    frames = [HOSTILE_STREAMS[kind](stream) for stream in range(1, 512, 2)]
    max_resident = MAX_RESIDENT + HOSTILE_CONNECTIONS * MAX_RESIDENT_PER_HOSTILE_CONNECTION
    with running() as server:
        is_holding = kind in HOLDING_PLACES
        caller = nullcontext() if is_holding else server.well_behaved(max_resident=max_resident)
        with caller:
            peers = [Peer(server.address, settings=settings) for _ in range(HOSTILE_CONNECTIONS)]
            for peer in peers:
                peer.send(*frames)
            for peer in peers:
                # The server reads frames in order: it has read the calls. On a slow machine it may already
                # have closed the connection because its responses are not read.
                with suppress(ConnectionError):
                    peer.send(PingFrame(opaque_data=b"12345678"))
                    while not isinstance(peer.frame(), PingFrame | None):
                        pass
            peak = server.peak_resident()
            for peer in peers:
                peer.socket.close()
    print(f"at most {peak / MEGABYTE:.0f} MB")
    assert peak < max_resident


def test_unread_responses_release_their_places_in_time(server):
    settings = {SettingsFrame.INITIAL_WINDOW_SIZE: 0}
    peers = [Peer(server.address, settings=settings) for _ in range(5)]
    for peer in peers:
        peer.send(*(call(stream) for stream in range(1, 512, 2)))
    for peer in peers:
        peer.response(511)

    with grpc.insecure_channel(server.address) as channel:
        service = Service(server.address, channel)
        with pytest.raises(grpc.RpcError) as rejected:
            service.call("GetGroupInfo", group_id="aaa")
        assert rejected.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

        def is_served():
            try:
                service.call("GetGroupInfo", group_id="aaa")
            except grpc.RpcError:
                return False
            return True

        eventually(is_served)
    for peer in peers:
        peer.socket.close()


# === Stalled and idle clients ===


def test_10000_idle_connections_stay_open(server):
    with server.well_behaved(max_resident=MAX_RESIDENT_WITH_10000_IDLE):
        peers = [Peer(server.address) for _ in range(10_000)]
        last = peers[-1]
        last.send(call(1))
        assert last.response(1)[":status"] == "200"
        before = server.resident()
        for peer in peers:
            peer.socket.close()
    print(f"{before / MEGABYTE:.0f} MB with 10,000 connections")


def test_connections_of_stalled_clients_are_closed():
    with running() as server, server.well_behaved(), ThreadPoolExecutor(100) as threads:
        began = time.monotonic()

        def lasting(peer, send=lambda peer: None):
            def last():
                peer.socket.settimeout(1)
                with peer:
                    while True:
                        assert time.monotonic() - began < MAX_STALLED
                        try:
                            send(peer)
                            while peer.socket.recv(1_000):
                                pass
                            return time.monotonic() - began
                        except TimeoutError:
                            pass
                        except ConnectionError:
                            return time.monotonic() - began

            return threads.submit(last)

        # One byte per second, of a frame that would take an hour.
        slow = iter(HeadersFrame(1, bytes(4_000)).serialize())

        def trickle(peer):
            peer.socket.send(bytes([next(slow)]))

        def twenty(preface):
            return [lasting(Peer(server.address, preface=preface)) for _ in range(20)]

        groups = {
            "sends nothing": twenty(b""),
            "half a preface": twenty(PREFACE[:12]),
            "no ping response": twenty(PREFACE),
            "one header byte per second": [lasting(Peer(server.address), trickle)],
        }
        flooding = Peer(server.address)
        flooding.flood(PingFrame(opaque_data=b"12345678").serialize() * 1_000, limit=100 * MEGABYTE)
        for name, ends in groups.items():
            print(f"{name}: closed after {max(end.result() for end in ends):.0f} s")
        with flooding:
            eventually(lambda: is_reset(flooding.socket))


def is_reset(connection):
    """Returns whether the server has closed a connection, without reading from it."""
    connection.setblocking(False)
    try:
        connection.send(b"\x00")
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return False
