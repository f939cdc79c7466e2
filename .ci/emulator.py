#!/usr/bin/env python3
"""Checks the control API of the emulator: its OpenAPI document, and that it answers as described.

Usage: .ci/emulator.py PROGRAM

Runs in an environment with schemathesis and openapi-spec-validator. schemathesis sends requests that
follow the document and requests that violate it, and fails on an answer that the document does not
describe. The requests are the same in every run.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

import openapi_spec_validator

TOKEN = "emulator-control-token"

# Not checked: that each request that follows the document is accepted. Some rules, such as that the
# documented error codes exist, have no form in JSON Schema; requests that break them get status 422.
EXCLUDED_CHECKS = "positive_data_acceptance"

# A wait with another timeout would only make the run longer.
CONFIG = """\
[parameters]
"query.timeout_seconds" = 0
"""

# The paths of the operations on isolated worlds.
ISOLATED = r"^/v1/worlds/\{secret_id\}/"

MAX_SECONDS = 300


@contextlib.contextmanager
def emulating(program, token_file):
    """Runs the emulator and yields the URL of its control API."""
    flags = ["--listen=127.0.0.1:0", "--control-listen=127.0.0.1:0", "--log-format=json"]
    process = subprocess.Popen(
        [program, "emulate", *flags, f"--control-token-file={token_file}"],
        stderr=subprocess.PIPE, text=True,
    )
    try:
        lines = map(json.loads, process.stderr)
        line = next(line for line in lines if line["message"] == "emulating")
        yield f"http://{line['control.address']}"
    finally:
        process.kill()
        process.wait()


def check_document(url):
    with urllib.request.urlopen(f"{url}/v1/openapi.json", timeout=10) as response:
        openapi_spec_validator.validate(json.load(response))
    print("the OpenAPI document is valid")


def check_answers(url, config, *flags):
    schemathesis = pathlib.Path(sys.executable).absolute().with_name("schemathesis")
    subprocess.run(
        [
            schemathesis, f"--config-file={config}", "run", f"{url}/v1/openapi.json",
            f"--header=Authorization: Bearer {TOKEN}", "--checks=all",
            f"--exclude-checks={EXCLUDED_CHECKS}", "--generation-deterministic", "--workers=1",
            "--warnings=off", "--no-color", *flags,
        ],
        # It keeps failures in its working directory.
        cwd=config.parent, check=True, timeout=MAX_SECONDS,
    )


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        token_file = pathlib.Path(folder) / "token"
        token_file.write_text(TOKEN)
        config = pathlib.Path(folder) / "schemathesis.toml"
        config.write_text(CONFIG)
        with emulating(os.path.abspath(program), token_file) as url:
            check_document(url)
            # The boundary values of each parameter; the operations of isolated worlds are the same.
            check_answers(url, config, "--phases=coverage", f"--exclude-path-regex={ISOLATED}")
            # Random values, for all operations.
            check_answers(url, config, "--phases=fuzzing", "--max-examples=20")


if __name__ == "__main__":
    main(*sys.argv[1:])
