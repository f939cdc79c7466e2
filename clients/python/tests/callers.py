"""Callers that call without pause, and none of whose calls may fail."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import grpc

from iaifacade.v1.face_recognition_service_pb2 import GetGroupInfoRequest
from iaifacade.v1.face_recognition_service_pb2_grpc import FaceRecognitionServiceStub
from program import PATIENCE

# Without the first, all channels to one address share one connection.
OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.lb_policy_name", "round_robin"),
    # That of several addresses would be all of them, which is none.
    ("grpc.default_authority", "facade"),
]


class Callers:
    """Counts the calls that were answered."""

    def __init__(self, waits):
        self._waits = waits
        self._changed = threading.Condition()
        self._stopping = False
        self._failure = None
        self.answered = 0

    def call(self, stub):
        """Calls until it is time to stop."""
        while not self._stopping:
            try:
                request = GetGroupInfoRequest(group_id="aaa")
                stub.GetGroupInfo(request, timeout=PATIENCE, wait_for_ready=self._waits)
            except grpc.RpcError as error:
                self._failure = error
                self._stopping = True
            with self._changed:
                self.answered += 1
                self._changed.notify_all()

    def wait_for_more(self, calls):
        """Waits until so many more calls were answered."""
        with self._changed:
            wanted = self.answered + calls
            is_done = lambda: self._failure or self.answered >= wanted
            assert self._changed.wait_for(is_done, PATIENCE)
        self.check()

    def check(self):
        """Fails if a call has failed."""
        assert self._failure is None, f"after {self.answered} calls: {self._failure}"

    def stop(self):
        self._stopping = True


@contextmanager
def calling(target, *, channels=4, threads=4, waits=False):
    """Calls `target` over several channels, each from several threads. Every call must succeed.

    If it `waits`, a call is not sent before there is a connection.
    """
    callers = Callers(waits)
    with ThreadPoolExecutor(channels * threads) as pool, ExitStack() as stack:
        running = []
        for _ in range(channels):
            channel = stack.enter_context(grpc.insecure_channel(target, options=OPTIONS))
            stub = FaceRecognitionServiceStub(channel)
            running += [pool.submit(callers.call, stub) for _ in range(threads)]
        try:
            yield callers
        finally:
            callers.stop()
            for caller in running:
                caller.result(PATIENCE)
            # Also if the test has failed: it may have waited for what these no longer did.
            callers.check()
