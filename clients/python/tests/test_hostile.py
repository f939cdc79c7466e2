"""Peers that mean harm, or know no better, beside a caller all of whose calls must succeed."""

import gzip
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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
from http2 import (
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    PREFACE,
    PROTOCOL_ERROR,
    Peer,
    call,
    grpc_message,
    headers,
)
from program import PATIENCE
from service import Service

MEGABYTE = 1_000_000

MAX_RESIDENT = 48 * MEGABYTE
"""What the program may hold in memory, however it is flooded."""

MAX_RESIDENT_WITH_UNREAD = 200 * MEGABYTE

MAX_RESIDENT_WITH_10000_IDLE = 400 * MEGABYTE

MAX_SILENCE = 60
"""How many seconds a connection lasts at most whose peer does not do its part."""


@pytest.fixture(scope="module")
def server():
    """A service, with its process."""
    with running() as server:
        yield server


@contextmanager
def running():
    # Connections to upstream are kept for a while, and would be taken for callers' that were left.
    idle = ["--upstream-idle-timeout", "1s"]
    with program.running("serve", "--emulate", *program.FREE_PORTS, *idle) as log:
        yield Server(log.wait_for("listening")["grpc.address"], log.pid)


class Server:
    """A running service, seen from outside."""

    def __init__(self, address, pid):
        self.address = address
        self._process = Path(f"/proc/{pid}")

    def descriptors(self):
        """Counts the descriptors that are open."""
        return len(list((self._process / "fd").iterdir()))

    def resident(self):
        """Returns how much memory is resident, in bytes."""
        status = (self._process / "status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    @contextmanager
    def well_behaved(self, *, max_resident=MAX_RESIDENT):
        """Calls without pause, and checks at the end that nothing has changed for it."""
        stopping = threading.Event()
        most = before = self.resident()
        with grpc.insecure_channel(self.address) as channel, ThreadPoolExecutor() as threads:
            service = Service(self.address, channel)
            service.call("GetGroupInfo", group_id="aaa")
            descriptors = self.descriptors()

            def calling():
                nonlocal most
                slowest = answered = 0
                while not stopping.is_set():
                    began = time.monotonic()
                    service.call("GetGroupInfo", group_id="aaa")
                    slowest = max(slowest, time.monotonic() - began)
                    most = max(most, self.resident())
                    answered += 1
                    # Room for the others: this process has one lock for all its threads.
                    time.sleep(0.005)
                return answered, slowest

            caller = threads.submit(calling)
            try:
                yield
            finally:
                stopping.set()
            answered, slowest = caller.result(PATIENCE)
            eventually(lambda: self.descriptors() <= descriptors)
        print(
            f"{answered} calls beside it, the slowest in {slowest:.3f} s; "
            f"{before / MEGABYTE:.0f} MB before, at most {most / MEGABYTE:.0f} MB"
        )
        assert answered > 0
        assert most < max_resident


def eventually(is_true):
    """Waits until something outside is so."""
    until = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < until
        time.sleep(0.02)


# === Floods ===


def rapid_reset(peer):
    """CVE-2023-44487: calls that are cancelled in the same breath."""
    block = headers()
    for first in range(1, 100_000, 200):
        for stream in range(first, first + 200, 2):
            peer.send(
                HeadersFrame(stream, block, flags=["END_HEADERS"]).serialize()
                + RstStreamFrame(stream, 8).serialize()
            )


def continuations(peer):
    """CVE-2024-27316: a block of headers that does not end."""
    peer.send(HeadersFrame(1, headers()))
    block = Encoder().encode([("x", "y" * 100)]) * 100
    peer.flood(ContinuationFrame(1, block).serialize(), most=50 * MEGABYTE)


def empty_continuations(peer):
    """The same, of nothing."""
    peer.send(HeadersFrame(1, headers()))
    peer.flood(ContinuationFrame(1, b"").serialize() * 100, most=50 * MEGABYTE)


def hundred_thousand_fields(peer):
    """One byte each, which stands for an entry of the table."""
    block = headers() + b"\x40\x01a\x01b" + b"\xbe" * 100_000
    parts = [block[start : start + 16_000] for start in range(0, len(block), 16_000)]
    peer.send(HeadersFrame(1, parts[0]))
    peer.send(*(ContinuationFrame(1, part) for part in parts[1:-1]))
    peer.send(ContinuationFrame(1, parts[-1], flags=["END_HEADERS"]))


# === What is no HTTP/2 ===


def data_beyond_the_window(peer):
    """Questions to server reflection whose answers are not taken, so that they are not read either."""
    peer.send(SettingsFrame(settings={SettingsFrame.INITIAL_WINDOW_SIZE: 0}))
    path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    peer.send(HeadersFrame(1, headers(path=path), flags=["END_HEADERS"]))
    list_services = grpc_message(b"\x3a\x00")
    peer.flood(DataFrame(1, list_services * 2_000).serialize(), most=100 * MEGABYTE)


def window_overflow(peer):
    peer.send(WindowUpdateFrame(0, 0x7FFF_FFFF))


def window_of_nothing(peer):
    peer.send(WindowUpdateFrame(0, 1).serialize()[:-4] + bytes(4))


def data_on_stream_0(peer):
    peer.send(b"\x00\x00\x01" + b"\x00\x00" + bytes(4) + b"x")


def data_on_an_idle_stream(peer):
    peer.send(DataFrame(7, b"x"))


def frame_too_large(peer):
    peer.send(b"\x00\x40\x01" + b"\x00\x00" + b"\x00\x00\x00\x01" + bytes(16_385))


def even_stream(peer):
    peer.send(HeadersFrame(2, headers(), flags=["END_HEADERS"]))


def entry_0_of_the_table(peer):
    peer.send(HeadersFrame(1, b"\x80", flags=["END_HEADERS"]))


def continuation_of_nothing(peer):
    peer.send(ContinuationFrame(1, headers(), flags=["END_HEADERS"]))


def noise(peer):
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
        (window_of_nothing, PROTOCOL_ERROR),
        (data_on_stream_0, PROTOCOL_ERROR),
        (data_on_an_idle_stream, PROTOCOL_ERROR),
        (frame_too_large, FRAME_SIZE_ERROR),
        (even_stream, PROTOCOL_ERROR),
        # RFC 9113, section 4.3, has COMPRESSION_ERROR for it; the library has only this.
        (entry_0_of_the_table, PROTOCOL_ERROR),
        (continuation_of_nothing, PROTOCOL_ERROR),
        (noise, FRAME_SIZE_ERROR),
    ],
)
def test_the_connection_is_ended_and_told_why(server, attack, code):
    with server.well_behaved():
        for _ in range(20):
            with Peer(server.address) as peer:
                try:
                    attack(peer)
                except ConnectionError:
                    pass  # It has been told already.
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
def test_what_is_answered_for_nothing_is_not_read_faster_than_the_answers_are(server, frame):
    with server.well_behaved(), Peer(server.address) as peer:
        taken = peer.flood(frame.serialize() * 1_000, most=100 * MEGABYTE)

    print(f"{taken / MEGABYTE:.0f} MB were taken")


# === What is no call ===


def too_large(peer):
    peer.send(HeadersFrame(1, headers(), flags=["END_HEADERS"]))
    peer.send(DataFrame(1, struct.pack(">BI", 0, 65_537) + bytes(16_000)))


def zipped_nothing(peer):
    """50 MB in 50 kB."""
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
        (zipped_nothing, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (wrong_protobuf, grpc.StatusCode.INVALID_ARGUMENT),
        (wrong_prefix, grpc.StatusCode.INVALID_ARGUMENT),
        (half_a_message, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_the_call_is_refused_and_the_connection_goes_on(server, attack, status):
    with server.well_behaved(), Peer(server.address) as peer:
        attack(peer)
        assert int(peer.answer(1)["grpc-status"]) == status.value[0]
        peer.send(call(3))
        assert peer.answer(3)[":status"] == "200"


def test_a_message_of_a_hundred_megabytes_is_refused_before_it_is_read(server):
    too_large = ("status", grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])
    # The length says it, if that is read before the window is full.
    too_much = ("code", FLOW_CONTROL_ERROR)
    with server.well_behaved():
        for _ in range(20):
            with Peer(server.address) as peer:
                peer.send(HeadersFrame(1, headers(), flags=["END_HEADERS"]))
                peer.send(DataFrame(1, struct.pack(">BI", 0, 100 * MEGABYTE)))
                peer.flood(DataFrame(1, bytes(16_000)).serialize(), most=100 * MEGABYTE)
                assert peer.refusal(1) in (too_large, too_much)


def test_headers_that_are_too_large_are_refused_and_the_connection_goes_on(server):
    with server.well_behaved(), Peer(server.address) as peer:
        block = headers(("x", "a" * 20_000))
        peer.send(HeadersFrame(1, block, flags=["END_HEADERS", "END_STREAM"]))
        assert peer.answer(1)[":status"] == "431"
        peer.send(call(3))
        assert peer.answer(3)[":status"] == "200"


def test_answers_that_nobody_reads_are_few(server):
    settings = {SettingsFrame.INITIAL_WINDOW_SIZE: 0}
    with server.well_behaved(max_resident=MAX_RESIDENT_WITH_UNREAD):
        peers = [Peer(server.address, settings=settings) for _ in range(20)]
        for peer in peers:
            peer.send(*(call(stream) for stream in range(1, 512, 2)))
            peer.answer(511)
        for peer in peers:
            peer.socket.close()


# === Silence ===


def test_ten_thousand_idle_connections_are_kept(server):
    with server.well_behaved(max_resident=MAX_RESIDENT_WITH_10000_IDLE):
        peers = [Peer(server.address) for _ in range(10_000)]
        last = peers[-1]
        last.send(call(1))
        assert last.answer(1)[":status"] == "200"
        before = server.resident()
        for peer in peers:
            peer.socket.close()
    print(f"{before / MEGABYTE:.0f} MB with 10,000 connections")


def test_who_does_not_do_its_part_is_left():
    with running() as server, server.well_behaved(), ThreadPoolExecutor(100) as threads:
        began = time.monotonic()

        def lasting(peer, send=lambda peer: None):
            def last():
                peer.socket.settimeout(1)
                with peer:
                    while True:
                        assert time.monotonic() - began < MAX_SILENCE
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

        # One byte a second, of what takes an hour.
        slow = iter(HeadersFrame(1, bytes(4_000)).serialize())

        def trickle(peer):
            peer.socket.send(bytes([next(slow)]))

        def twenty(preface):
            return [lasting(Peer(server.address, preface=preface)) for _ in range(20)]

        groups = {
            "says nothing": twenty(b""),
            "half a preface": twenty(PREFACE[:12]),
            "answers no ping": twenty(PREFACE),
            "a byte of headers a second": [lasting(Peer(server.address), trickle)],
        }
        flooding = Peer(server.address)
        flooding.flood(PingFrame(opaque_data=b"12345678").serialize() * 1_000, most=100 * MEGABYTE)
        for name, ends in groups.items():
            print(f"{name}: left after {max(end.result() for end in ends):.0f} s")
        with flooding:
            eventually(lambda: is_reset(flooding.socket))


def is_reset(connection):
    """Tells whether the other end has closed a connection, without reading from it."""
    connection.setblocking(False)
    try:
        connection.send(b"\x00")
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return False
