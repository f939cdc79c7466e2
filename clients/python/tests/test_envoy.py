"""Rolling restart behind Envoy with active health checks and without retries."""

from contextlib import ExitStack, contextmanager

import program
from load import running_load
from envoy_proxy import envoy, free_port


def test_no_call_fails_during_a_rolling_restart(tmp_path):
    ports = [free_port() for _ in range(2)]
    with ExitStack() as stack:
        replicas = {port: stack.enter_context(replica(port)) for port in ports}
        proxy = stack.enter_context(envoy(tmp_path, ports))
        proxy.wait_until_healthy(ports)

        with running_load(f"127.0.0.1:{proxy.port}") as load:
            for _ in range(2):
                for port in ports:
                    load.wait_for_more(100)
                    replicas[port].stop()
                    replicas[port] = stack.enter_context(replica(port))
                    proxy.wait_until_healthy(ports)
            load.wait_for_more(100)

        statistics = proxy.statistics()

    print(f"{load.completed} calls over {2 * len(ports)} restarts")
    assert statistics["cluster.facade.upstream_rq_retry"] == 0
    assert statistics["cluster.facade.health_check.failure"] > 0


@contextmanager
def replica(port):
    """Runs the service on a port, with an unready delay in which Envoy notices the shutdown."""
    ports = ["--listen", f"127.0.0.1:{port}", "--admin-listen", "127.0.0.1:0"]
    # The health check fails within 0.1 s; the workers receive that up to a second later.
    delay = ["--unready-delay", "2s"]
    with program.running("serve", "--emulate", *ports, *delay) as log:
        log.wait_for("listening")
        yield log
