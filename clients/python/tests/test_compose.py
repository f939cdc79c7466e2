"""The service and the callers of deploy/compose.yaml, without containers."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from program import REPOSITORY
from service import service as run_service

COMPOSE = yaml.safe_load((REPOSITORY / "deploy/compose.yaml").read_text())
CALLER = REPOSITORY / "deploy/compose/caller.py"
CALLERS = ["access", "audit", "orders"]


@pytest.mark.parametrize("name", CALLERS)
def test_a_caller_of_the_compose_file_is_accepted_and_reports_statuses(tmp_path, name):
    tokens, fixtures = tmp_path / "tokens", tmp_path / "fixtures.toml"
    tokens.write_text(COMPOSE["configs"]["tokens"]["content"])
    fixtures.write_text(COMPOSE["configs"]["fixtures"]["content"].replace("rate_limit", "#rate_limit"))
    caller = COMPOSE["services"][name]["environment"]
    flags = ["--emulate", "--fixtures", fixtures, "--tokens-file", tokens]

    with run_service(*flags) as service:
        variables = caller | {
            "ADDRESS": service.address,
            "CALLS_PER_SECOND": "1000",
            "PYTHONPATH": str(REPOSITORY / "proto"),
        }
        command = [sys.executable, CALLER]
        with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout.readline() == "{'OK': 75, 'NOT_FOUND': 25}\n"
            finally:
                process.kill()


def test_the_compose_file_has_three_callers_and_mounts_files_that_exist():
    from_image = [name for name, each in COMPOSE["services"].items() if "python" in each["image"]]
    assert sorted(from_image) == CALLERS
    for name in CALLERS:
        for volume in COMPOSE["services"][name]["volumes"]:
            assert Path(REPOSITORY / "deploy" / volume.split(":")[0]).exists(), volume
