#!/usr/bin/env python3
"""Runs the vendor's SDKs, unchanged, against the emulator, and checks the table of docs/emulator.md.

Usage: clients/sdks/run.py [--update] [SDK...]

Each SDK has a directory with its client and two scripts: `prepare OUTPUT` builds the client, and
`run OUTPUT ENDPOINT...` calls the emulator at each endpoint and prints a line of JSON for each endpoint and
HTTP method. The clients call both operations, read all pages, and get an API error and the rejection of a
wrong key. Without the names of SDKs, all run, and the table must have their results; `--update` writes it.

The program is target/debug/iai-facade, or the one that IAI_FACADE_BIN names. Every client runs with its own
/etc/hosts, in which the emulator has a domain name; this needs root, or user namespaces.
"""

import argparse
import concurrent.futures
import dataclasses
import difflib
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OUTPUTS = ROOT / "target/sdks"
DOCUMENT = ROOT / "docs/emulator.md"
PROGRAM = pathlib.Path(os.environ.get("IAI_FACADE_BIN", ROOT / "target/debug/iai-facade"))

TIMEOUT_SECONDS = 300

DOMAIN = "iai.emulator.test"
HOSTS = {"IP address": "127.0.0.1", "`localhost`": "localhost", "domain name": DOMAIN}
PROTOCOLS = {"HTTP": "http", "HTTPS": "https"}
METHODS = ["GET", "POST"]

MARKERS = ("<!-- begin: clients/sdks/run.py -->\n", "<!-- end: clients/sdks/run.py -->\n")

GROUPS = [f"group-{number}" for number in range(25)]
FIXTURES = """
[[groups]]
group_id = "known"
group_name = "Known"
creation_timestamp = 0

[[persons]]
person_id = "alice"
""" + "".join(
    f'[[persons.groups]]\ngroup_id = "{group}"\nperson_ex_descriptions = []\n' for group in GROUPS
)

EXPECTED = {
    "name": "Known",
    "pages": [GROUPS[:10], GROUPS[10:20], GROUPS[20:]],
    "unknown": "InvalidParameterValue.GroupIdNotExist",
    "wrong_key": "AuthFailure.SignatureFailure",
}

# Runs a command with another /etc/hosts, in a mount namespace that ends with it.
WITH_HOSTS = 'mount --bind "$0" /etc/hosts && exec "$@"'


@dataclasses.dataclass(frozen=True)
class Sdk:
    """An SDK that runs here. `manifest` pins the version of `package`, in the directory of the SDK."""

    directory: str
    title: str
    package: str
    manifest: str
    methods: tuple = ("GET", "POST")

    def version(self):
        """Returns the pinned version: the first one in the manifest after the name of the package."""
        name = re.escape(self.package.split(":")[-1])
        text = (HERE / self.directory / self.manifest).read_text()
        return re.search(rf"\b{name}\b[^\d\n]*(?:\n[^\d\n]*)?(\d+(?:\.\d+)+)", text)[1]


SDKS = [
    Sdk("python", "Python", "tencentcloud-sdk-python-iai", "requirements.txt"),
    Sdk("go", "Go, typed", "github.com/tencentcloud/tencentcloud-sdk-go", "go.mod"),
    # The generic client sends no parameters by GET.
    Sdk("go-common", "Go, generic", "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common",
        "go.mod", methods=("POST",)),
    Sdk("java", "Java", "com.tencentcloudapi:tencentcloud-sdk-java-iai", "pom.xml"),
    Sdk("node", "Node.js", "tencentcloud-sdk-nodejs", "package.json"),
    Sdk("tccli", "command line", "tccli", "requirements.txt", methods=("POST",)),
]

NOT_RUN = [("PHP", "tencentcloud/iai"), ("Ruby", "tencentcloud-sdk-iai")]


def finish(*command, **options):
    """Runs a command and returns its exit code and output."""
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        timeout=TIMEOUT_SECONDS, **options,
    )


def run(*command, **options):
    """Runs a command and returns its output; raises an error that shows it if the command fails."""
    done = finish(*command, **options)
    if done.returncode != 0:
        words = " ".join(map(str, command))
        raise RuntimeError(f"{words} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def prepare(sdk):
    """Builds the client of an SDK, if its files have changed since the last run."""
    folder, output = HERE / sdk.directory, OUTPUTS / sdk.directory
    tracked = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=folder)
    digest = hashlib.sha256()
    for name in sorted(tracked.split()):
        digest.update(name.encode() + b"\0" + (folder / name).read_bytes())
    stamp = OUTPUTS / f"{sdk.directory}.prepared"
    if output.exists() and stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    if output.is_dir():
        shutil.rmtree(output)
    run(folder / "prepare", output)
    stamp.write_text(digest.hexdigest())


def call(sdk, port, scratch):
    """Runs the client of an SDK at each endpoint. Returns whether the results are as expected, by protocol,
    host and method, and what is wrong with them."""
    hosts = {
        f"{protocol}://{host}:{port}": (protocol_name, host_name)
        for protocol_name, protocol in PROTOCOLS.items()
        for host_name, host in HOSTS.items()
    }
    environment = {
        name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
    } | {"CERTIFICATE": str(scratch / "server.pem")}
    confined = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
    confined += ["sh", "-c", WITH_HOSTS, scratch / "hosts"]
    client = HERE / sdk.directory / "run", OUTPUTS / sdk.directory
    done = finish(*confined, *client, *hosts, env=environment)

    results, faults = {}, []
    for line in done.stdout.splitlines():
        result = json.loads(line)
        endpoint, method = result.pop("endpoint"), result.pop("method")
        results[*hosts[endpoint], method] = result == EXPECTED
        if result != EXPECTED:
            faults.append(f"{sdk.title}: {method} {endpoint}: expected {EXPECTED}, got {result}")
    for endpoint, host in hosts.items():
        for method in sdk.methods:
            if (*host, method) not in results:
                results[*host, method] = False
                faults.append(f"{sdk.title}: {method} {endpoint}: no result")
    if done.returncode != 0:
        faults.append(f"{sdk.title}: the client failed:\n{done.stderr}")
    return results, faults


def test(sdk, port, scratch):
    prepare(sdk)
    return call(sdk, port, scratch)


def row(sdk, results):
    """Returns the row of an SDK: a column holds if all results with it are as expected."""
    cells = [sdk.title, f"`{sdk.package}` {sdk.version()}"]
    for column in [*PROTOCOLS, *HOSTS, *METHODS]:
        judged = [is_right for key, is_right in results.items() if column in key]
        if column in METHODS and column not in sdk.methods:
            cells.append("not in the SDK")
        else:
            cells.append("yes" if all(judged) else "no")
    return cells


def table(results):
    header = ["SDK", "package", *PROTOCOLS, *HOSTS, *METHODS]
    rows = [header, ["---"] * len(header), *(row(sdk, results[sdk.directory]) for sdk in SDKS)]
    for title, package in NOT_RUN:
        rows.append([title, f"`{package}`, not run in CI"] + ["–"] * (len(header) - 2))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def check_table(results, update):
    """Compares the table of the document with the results, or writes it."""
    text = DOCUMENT.read_text()
    begin, end = (text.index(marker) for marker in MARKERS)
    begin += len(MARKERS[0])
    written, current = text[begin:end], "\n" + table(results) + "\n"
    if update:
        DOCUMENT.write_text(text[:begin] + current + text[end:])
    elif written != current:
        difference = difflib.unified_diff(
            written.splitlines(), current.splitlines(), str(DOCUMENT), "results", lineterm=""
        )
        return ["\n".join([*difference, "write the table with clients/sdks/run.py --update"])]
    return []


def start_emulator(scratch):
    """Starts the emulator, and returns its process and port."""
    names = ",".join(["IP:127.0.0.1", "DNS:localhost", f"DNS:{DOMAIN}"])
    cert, key = scratch / "server.pem", scratch / "server-key.pem"
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key,
        "-out", cert, "-subj", "/CN=localhost", "-addext", f"subjectAltName={names}",
        "-addext", "basicConstraints=CA:FALSE")
    (scratch / "hosts").write_text(f"127.0.0.1 localhost {DOMAIN}\n")
    (scratch / "fixtures.toml").write_text(FIXTURES)
    emulator = subprocess.Popen(
        [PROGRAM, "emulate", "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key,
         "--fixtures", scratch / "fixtures.toml", "--log-format", "json"],
        stderr=subprocess.PIPE, text=True,
    )
    lines = []
    for line in emulator.stderr:
        lines.append(line)
        if '"emulating"' in line:
            # Reads on, so that the emulator never waits for its log.
            threading.Thread(target=emulator.stderr.read, daemon=True).start()
            return emulator, json.loads(line)["address"].rpartition(":")[2]
    sys.exit(f"the emulator did not start:\n{''.join(lines)}")


def main():
    parser = argparse.ArgumentParser(description=textwrap.dedent(__doc__).split("\n", 1)[0])
    parser.add_argument("--update", action="store_true", help="write the table of docs/emulator.md")
    names = [sdk.directory for sdk in SDKS]
    parser.add_argument("sdks", nargs="*", metavar="SDK", help=f"one of {', '.join(names)}")
    arguments = parser.parse_args()
    if unknown := set(arguments.sdks) - set(names):
        parser.error(f"unknown SDK {', '.join(sorted(unknown))}: one of {', '.join(names)}")
    chosen = [sdk for sdk in SDKS if sdk.directory in (arguments.sdks or names)]
    if arguments.update and len(chosen) < len(SDKS):
        parser.error("--update needs the results of all SDKs")
    OUTPUTS.mkdir(parents=True, exist_ok=True)

    results, faults = {}, []
    with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ThreadPoolExecutor(2) as pool:
        emulator, port = start_emulator(pathlib.Path(scratch))
        try:
            tests = {sdk: pool.submit(test, sdk, port, pathlib.Path(scratch)) for sdk in chosen}
            for sdk, running in tests.items():
                results[sdk.directory], found = running.result()
                faults += found
                print(f"{sdk.title}: {sum(results[sdk.directory].values())} combinations of protocol, "
                      "host and method work", flush=True)
        finally:
            emulator.terminate()
            emulator.wait()
    if len(chosen) == len(SDKS):
        faults += check_table(results, arguments.update)
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
