#!/usr/bin/env python3
"""Scrapes two emulated replicas with a real Prometheus, and checks the metrics with promtool.

Usage: .ci/metrics.py PROGRAM

PROGRAM is the built `iai-facade`. Installs Debian's prometheus if it is missing.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

TIMEOUT_SECONDS = 60
METHOD = "iaifacade.v1.FaceRecognitionService/GetGroupInfo"

CONFIGURATION = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: iai-facade
    sample_limit: 2000
    static_configs: [{{targets: {targets}}}]
"""


def install():
    if not shutil.which("prometheus"):
        subprocess.run(["apt-get", "update", "--quiet"], check=True)
        install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends"]
        subprocess.run([*install, "prometheus"], check=True)


class Replica:
    """A running `serve --emulate` on free ports."""

    def __init__(self, program):
        flags = ["--emulate", "--log-format=json", "--listen=127.0.0.1:0"]
        command = [program, "serve", *flags, "--admin-listen=127.0.0.1:0", "--unready-delay=0s"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            fields = json.loads(line)
            if "admin.address" in fields:
                self.address, self.admin = fields["grpc.address"], fields["admin.address"]
                return
        sys.exit("the service did not start")

    def call(self, program, group, succeeds):
        command = [program, "call", "get-group-info", "--group-id", group, "--address", self.address]
        called = subprocess.run(command, capture_output=True, text=True)
        if (called.returncode == 0) != succeeds:
            sys.exit(f"{command}: exit code {called.returncode}\n{called.stderr}")


def check_names(admin):
    """promtool's rules for names, help and units."""
    with urllib.request.urlopen(f"http://{admin}/metrics") as response:
        page = response.read()
    subprocess.run(["promtool", "check", "metrics"], input=page, check=True)
    print("promtool accepts the metrics")


class Prometheus:
    """A running Prometheus that scrapes `targets` each second."""

    def __init__(self, folder, targets):
        configuration = pathlib.Path(folder, "prometheus.yml")
        configuration.write_text(CONFIGURATION.format(targets=json.dumps(targets)))
        # Port 0 selects a free port, which the log names.
        flags = ["--web.listen-address=127.0.0.1:0", "--log.format=json"]
        flags += [f"--config.file={configuration}", f"--storage.tsdb.path={folder}/data"]
        self.process = subprocess.Popen(
            ["prometheus", *flags], stderr=subprocess.PIPE, text=True, cwd=folder
        )
        for line in self.process.stderr:
            fields = json.loads(line)
            if fields.get("msg") == "Listening on":
                self.address = fields["address"]
            if fields.get("msg") == "Server is ready to receive web requests.":
                # Otherwise a full pipe would stop Prometheus.
                threading.Thread(target=self.process.stderr.read, daemon=True).start()
                return
        sys.exit("Prometheus did not start")

    def query(self, expression):
        """Returns the sum of an instant query, 0 without samples."""
        query = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"http://{self.address}/api/v1/query?{query}") as response:
            result = json.load(response)["data"]["result"]
        return sum(float(sample["value"][1]) for sample in result)

    def wait_for(self, expression, value):
        """Waits until a query has this value, which takes a scrape."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        found = None
        while time.monotonic() < deadline:
            found = self.query(expression)
            if found == value:
                print(f"{expression} = {value}")
                return
            time.sleep(0.1)
        sys.exit(f"{expression} is {found} after {TIMEOUT_SECONDS} s, and not {value}")


def main(program):
    install()
    replicas = [Replica(program), Replica(program)]
    started = [replica.process for replica in replicas]
    with tempfile.TemporaryDirectory() as folder:
        try:
            for replica in replicas:
                replica.call(program, "aaa", succeeds=True)
                replica.call(program, "unknown", succeeds=False)
            check_names(replicas[0].admin)

            prometheus = Prometheus(folder, [replica.admin for replica in replicas])
            started.append(prometheus.process)
            prometheus.wait_for("up", 2)
            calls = "grpc_server_call_duration_seconds_count"
            prometheus.wait_for(f'sum({calls}{{grpc_method="{METHOD}"}})', 4)
            prometheus.wait_for(f'sum({calls}{{grpc_status="OK"}})', 2)
            prometheus.wait_for("sum(iai_facade_errors_total)", 2)
            prometheus.wait_for("sum(iai_facade_ready)", 8)
            if prometheus.query("max(scrape_samples_scraped)") > 2000:
                sys.exit("a scrape has more than 2,000 samples")
            duration = prometheus.query("max(scrape_duration_seconds)")
            print(f"longest scrape: {duration * 1000:.1f} ms")
        finally:
            for process in started:
                process.kill()
                process.wait()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
