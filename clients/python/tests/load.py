"""Continuous load: clients that call in a loop and fail the test if a call fails."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import grpc

from iaifacade.v1.face_recognition_service_pb2 import GetGroupInfoRequest
from iaifacade.v1.face_recognition_service_pb2_grpc import FaceRecognitionServiceStub
from program import TIMEOUT

# Without a local subchannel pool, all channels to one address share one connection.
OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.lb_policy_name", "round_robin"),
    # The default authority of a target with several addresses is not a valid host.
    ("grpc.default_authority", "facade"),
]


class Load:
    """Runs calls in a loop and counts the completed ones."""

    def __init__(self, wait_for_ready):
        self._wait_for_ready = wait_for_ready
        self._changed = threading.Condition()
        self._stopping = False
        self._failure = None
        self.completed = 0

    def call(self, stub):
        """Calls in a loop until `stop`, or until a call fails."""
        while not self._stopping:
            try:
                request = GetGroupInfoRequest(group_id="aaa")
                stub.GetGroupInfo(request, timeout=TIMEOUT, wait_for_ready=self._wait_for_ready)
            except grpc.RpcError as error:
                self._failure = error
                self._stopping = True
            with self._changed:
                self.completed += 1
                self._changed.notify_all()

    def wait_for_more(self, calls):
        """Waits until this many more calls have completed."""
        with self._changed:
            target = self.completed + calls
            is_done = lambda: self._failure or self.completed >= target
            assert self._changed.wait_for(is_done, TIMEOUT)
        self.check()

    def check(self):
        """Fails the test if a call has failed."""
        assert self._failure is None, f"after {self.completed} calls: {self._failure}"

    def stop(self):
        self._stopping = True


@contextmanager
def running_load(target, *, channels=4, threads=4, wait_for_ready=False):
    """Calls `target` over several channels, each from several threads. Every call must succeed.

    With `wait_for_ready`, calls wait until a connection is established.
    """
    load = Load(wait_for_ready)
    with ThreadPoolExecutor(channels * threads) as pool, ExitStack() as stack:
        running = []
        for _ in range(channels):
            channel = stack.enter_context(grpc.insecure_channel(target, options=OPTIONS))
            stub = FaceRecognitionServiceStub(channel)
            running += [pool.submit(load.call, stub) for _ in range(threads)]
        try:
            yield load
        finally:
            load.stop()
            for future in running:
                future.result(TIMEOUT)
            # Checked even if the test has failed, because a failed call may be the cause.
            load.check()
