"""The example client, run from the command line."""

import subprocess
import sys
from pathlib import Path

from fixtures import api_error
from program import TIMEOUT

EXAMPLE = Path(__file__).parents[1] / "example.py"


def run_example(*arguments):
    command = [sys.executable, EXAMPLE, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)


def test_the_example_prints_the_groups_of_a_person(service):
    run = run_example(service.address, "1001")

    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [
        "TencentShenZhenEmployee",
        "    Cloud & Smart Industries Group",
        "    Big Data and AI Products Center",
        "    Face Recognition Products Group",
    ]


def test_the_example_explains_why_a_call_failed(service):
    run = run_example(service.address, "unknown")

    assert run.returncode == 1
    assert run.stderr.splitlines() == [
        "NOT_FOUND: the person does not exist",
        "reason: iaifacade.v1/PERSON_NOT_FOUND",
    ]


def test_the_example_prints_the_retry_delay(scripted_service):
    service = scripted_service(api_error("RequestLimitExceeded", "Too fast.", times=9))

    run = run_example(service.address, "1001")

    assert run.returncode == 1
    assert set(run.stderr.splitlines()[1:]) == {
        "reason: iai.tencentcloudapi.com/REQUEST_LIMIT_EXCEEDED",
        "try again in 1000 ms",
    }
