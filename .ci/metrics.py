#!/usr/bin/env python3
"""Scrapes two replicas with a real Prometheus until an alert fires, and checks the metrics with promtool.

Usage: .ci/metrics.py PROGRAM

PROGRAM is the built `iai-facade`. Installs Debian's prometheus if it is missing.
"""

import json
import os
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
RULES = pathlib.Path(__file__).resolve().parent.parent / "deploy/prometheus"
# The emulator's account.
os.environ |= {"TENCENTCLOUD_SECRET_ID": "AKIDEMULATOR", "TENCENTCLOUD_SECRET_KEY": "emulator-secret"}
METHOD = "iaifacade.v1.FaceRecognitionService/GetGroupInfo"

CONFIGURATION = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [{rules}/*.yaml]
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


def start(command, message):
    """Starts a program, waits for this message in its log, and returns the process and the line."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        fields = json.loads(line)
        if fields["message"] == message:
            # Otherwise a full pipe would stop the program.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, fields
    sys.exit(f"{command} did not start")


class Emulator:
    """A running `emulate` on free ports."""

    def __init__(self, program):
        flags = ["--listen=127.0.0.1:0", "--control-listen=127.0.0.1:0", "--log-format=json"]
        self.process, fields = start([program, "emulate", *flags], "emulating")
        self.endpoint, self.control = fields["endpoint"], fields["control.address"]

    def put_clock(self, offset):
        """Sets the clock of the emulated Tencent Cloud."""
        body = json.dumps({"offset": offset}).encode()
        request = urllib.request.Request(f"http://{self.control}/v1/clock", body, method="PUT")
        request.add_header("content-type", "application/json")
        urllib.request.urlopen(request).close()


class Replica:
    """A running `serve` on free ports."""

    def __init__(self, program, endpoint):
        flags = [f"--endpoint={endpoint}", "--log-format=json", "--listen=127.0.0.1:0"]
        command = [program, "serve", *flags, "--admin-listen=127.0.0.1:0", "--unready-delay=0s"]
        self.process, fields = start(command, "listening")
        self.address, self.admin = fields["grpc.address"], fields["admin.address"]

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
        configuration.write_text(CONFIGURATION.format(targets=json.dumps(targets), rules=RULES))
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
    emulator = Emulator(program)
    replicas = [Replica(program, emulator.endpoint), Replica(program, emulator.endpoint)]
    started = [each.process for each in [emulator, *replicas]]
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

            firing = 'count(ALERTS{alertname="IaiFacadeClockSkew", alertstate="firing"})'
            if prometheus.query(firing):
                sys.exit("an alert fires before its fault")
            emulator.put_clock("10m")
            replicas[0].call(program, "aaa", succeeds=True)
            began = time.monotonic()
            prometheus.wait_for(firing, 1)
            print(f"the alert fires after {time.monotonic() - began:.1f} s")
            emulator.put_clock("0s")
            replicas[0].call(program, "aaa", succeeds=True)
            prometheus.wait_for(firing, 0)

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
