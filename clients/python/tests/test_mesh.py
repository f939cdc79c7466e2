"""The Envoy of deploy/mesh beside a caller, in front of two replicas."""

import json
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import grpc
import pytest

import program
from envoy_proxy import CHOSEN_RETRIES, free_port, from_file
from load import running_load
from service import RETRY, Service

SIDECAR = program.REPOSITORY / "deploy/mesh/envoy-sidecar.yaml"
KEY = "emulator-secret"


@pytest.mark.parametrize("mesh", [["--unready-delay", "5s"]], indirect=True, ids=["default-delay"])
def test_no_call_is_lost_in_a_rolling_restart(mesh):
    with running_load(mesh.service.address) as load:
        for replica in mesh.replicas:
            load.wait_for_more(100)
            replica.stop()
            replica.start()
            mesh.proxy.wait_until_healthy(mesh.ports)
        load.wait_for_more(100)

    print(f"{load.completed} calls over {len(mesh.replicas)} restarts")
    assert mesh.count("health_check.failure") > 0
    assert mesh.count("outlier_detection.ejections_enforced_total") == 0


def test_an_upstream_that_is_down_leaves_a_replica_and_is_not_retried(mesh):
    mesh.emulator.stop()
    assert {mesh.status(metadata=CHOSEN_RETRIES) for _ in range(100)} == {"UNAVAILABLE"}
    assert mesh.count("upstream_rq_retry") == 0
    assert len(mesh.proxy.ejected()) == 1

    mesh.emulator.start()
    mesh.call_until("OK")
    statuses = mesh.call_until(lambda: not mesh.proxy.ejected())
    print(f"{statuses.count('OK')} of {len(statuses)} calls succeeded after the upstream was back")


def test_envoy_retries_a_call_that_has_reached_no_replica(mesh):
    # Without --unready-delay, it stops before a health check fails.
    mesh.replicas[1].stop()

    assert {mesh.status() for _ in range(40)} == {"OK"}

    assert mesh.count("upstream_rq_retry") > 0
    assert mesh.emulator.requests() == 40


def test_a_failed_call_makes_only_the_attempts_of_the_service(mesh):
    mesh.emulator.restart("[[faults]]\nstatus = { code = 503 }\ntimes = 100000\n")

    assert mesh.status(metadata=CHOSEN_RETRIES) == "UNAVAILABLE"
    # The default of --max-attempts.
    assert mesh.emulator.requests() == 3

    # Envoy replaces the attempt count of a proxy before it.
    assert mesh.status(metadata=[RETRY]) == "UNAVAILABLE"
    assert mesh.emulator.requests() == 6


def test_a_replica_with_a_stale_secret_is_ejected_and_returns_when_mended(mesh):
    stale = mesh.replicas[1]
    stale.key.write_text("stale")
    statuses = mesh.call_until(lambda: mesh.proxy.ejected() == {stale.port})
    assert set(statuses) == {"OK", "INTERNAL"}
    # The health checks of the ejected replica succeed, which must not bring it back.
    checks = mesh.count("health_check.success") + 6
    meanwhile = mesh.call_until(lambda: mesh.count("health_check.success") >= checks)
    assert set(meanwhile) == {"OK"}

    stale.key.write_text(KEY)
    statuses += meanwhile + mesh.call_until(lambda: not mesh.proxy.ejected())
    print(f"{statuses.count('INTERNAL')} of {len(statuses)} calls failed")
    assert {mesh.status() for _ in range(40)} == {"OK"}


def api_error(code):
    return f'api_error = {{ code = "{code}" }}'


# A fault of the upstream for each status, and whether Envoy ejects a replica that returns it to every call.
STATUSES = {
    "ABORTED": (api_error("FailedOperation.ConflictOperation"), False),
    "ALREADY_EXISTS": (api_error("InvalidParameterValue.GroupIdAlreadyExist"), False),
    "DEADLINE_EXCEEDED": ("hold = true", True),
    "FAILED_PRECONDITION": (api_error("ResourceUnavailable.InArrears"), False),
    "INTERNAL": (api_error("AuthFailure.SignatureFailure"), True),
    "INVALID_ARGUMENT": (api_error("InvalidParameter"), False),
    "NOT_FOUND": (api_error("InvalidParameterValue.GroupIdNotExist"), False),
    "OUT_OF_RANGE": (api_error("InvalidParameterValue.OffsetExceed"), False),
    "RESOURCE_EXHAUSTED": (api_error("RequestLimitExceeded"), False),
    "UNAVAILABLE": ("status = { code = 503 }", True),
    "UNIMPLEMENTED": (api_error("ActionOffline"), True),
    "UNKNOWN": (api_error("FailedOperation"), True),
}


@pytest.mark.parametrize("status", STATUSES)
def test_envoy_retries_no_status_and_ejects_by_its_code_of_http(mesh, status):
    fault, is_ejected = STATUSES[status]
    mesh.emulator.restart(f"[[faults]]\n{fault}\ntimes = 100000\n")
    timeout = 1 if status == "DEADLINE_EXCEEDED" else program.TIMEOUT

    with ThreadPoolExecutor(40) as pool:
        statuses = Counter(pool.map(lambda _: mesh.status(timeout), range(40)))

    assert statuses == {status: 40}
    assert mesh.count("upstream_rq_retry") == 0
    assert len(mesh.proxy.ejected()) == is_ejected


def test_headers_beyond_the_limit_of_envoy_do_not_reach_the_service(mesh):
    with pytest.raises(grpc.RpcError):
        mesh.service.call("GetGroupInfo", group_id="aaa", metadata=[("x-large", "a" * 13_000)])
    many = [(f"x-header-{number}", "a" * 80) for number in range(80)]
    mesh.service.call("GetGroupInfo", group_id="aaa", metadata=many)

    assert mesh.count("upstream_rq_total") == 1


class Restartable:
    """A program that can be stopped and started on the same port."""

    def __init__(self, stack, message, *arguments):
        self._stack, self._message, self.arguments = stack, message, arguments
        self.start()

    def start(self):
        self._running = ExitStack()
        self._stack.push(self._running)
        self.log = self._running.enter_context(program.running(*self.arguments))
        self.log.wait_for(self._message)

    def stop(self):
        self._running.close()


class Emulator(Restartable):
    """The upstream of all replicas."""

    def __init__(self, stack, folder):
        self.address = f"127.0.0.1:{free_port()}"
        self._fixtures = folder / "fixtures.toml"
        self._groups = '[[groups]]\ngroup_id = "aaa"\ngroup_name = "aaa"\ncreation_timestamp = 0\n'
        self._fixtures.write_text(self._groups)
        listen = ["--listen", self.address, "--fixtures", self._fixtures]
        self._control = f"127.0.0.1:{free_port()}"
        super().__init__(stack, "emulating", "emulate", *listen, "--control-listen", self._control)

    def requests(self):
        """Returns the number of received requests since the start."""
        with urllib.request.urlopen(f"http://{self._control}/v1/requests", timeout=program.TIMEOUT) as page:
            return json.load(page)["count"]

    def restart(self, fixtures):
        """Restarts with additional fixtures."""
        self.stop()
        self._fixtures.write_text(self._groups + fixtures)
        self.start()


class Replica(Restartable):
    """A replica with a secret in a file of its own."""

    def __init__(self, stack, folder, emulator, *delay):
        self.port = free_port()
        self.key = folder / f"key-{self.port}"
        self.key.write_text(KEY)
        id = folder / "id"
        id.write_text("AKIDEMULATOR")
        listen = ["--listen", f"127.0.0.1:{self.port}", "--admin-listen", "127.0.0.1:0"]
        secret = ["--secret-id-file", id, "--secret-key-file", self.key]
        flags = ["--endpoint", f"http://{emulator.address}", "--circuit", "false"]
        super().__init__(stack, "listening", "serve", *listen, *secret, *flags, *delay)


class Mesh:
    """An emulator, two replicas and Envoy."""

    def __init__(self, emulator, replicas, proxy, service):
        self.emulator, self.replicas, self.proxy, self.service = emulator, replicas, proxy, service
        self.ports = [replica.port for replica in replicas]

    def status(self, timeout=program.TIMEOUT, metadata=()):
        """Calls an operation and returns its status."""
        try:
            self.service.call("GetGroupInfo", group_id="aaa", timeout=timeout, metadata=metadata)
        except grpc.RpcError as error:
            return error.code().name
        return "OK"

    def call_until(self, is_done):
        """Calls until a status or a condition is reached, and returns the statuses."""
        statuses = []
        while not statuses or not (
            is_done() if callable(is_done) else statuses[-1] == is_done
        ):
            statuses.append(self.status())
        return statuses

    def count(self, name):
        """Returns a counter of the cluster."""
        return self.proxy.statistics()[f"cluster.facade.{name}"]


@pytest.fixture
def mesh(request, tmp_path):
    with ExitStack() as stack:
        emulator, flags = Emulator(stack, tmp_path), getattr(request, "param", [])
        replicas = [Replica(stack, tmp_path, emulator, *flags) for _ in range(2)]
        ports = [replica.port for replica in replicas]
        proxy = stack.enter_context(from_file(tmp_path, SIDECAR, ports))
        address = f"127.0.0.1:{proxy.port}"
        channel = stack.enter_context(grpc.insecure_channel(address))
        yield Mesh(emulator, replicas, proxy, Service(address, channel))
