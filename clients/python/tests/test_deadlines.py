"""Whose deadline a call misses, and what it is then told."""

import time

import pytest

from fixtures import SILENCE
from service import NO_HINTS, OPERATIONS, Hints, error_of, with_id


def test_a_caller_learns_from_the_service_that_its_deadline_passed(scripted_service):
    service = scripted_service(SILENCE)

    # The service answers 2 % early. Of a shorter time that is too little for a busy machine: its
    # caller's own clock runs out first, and the error that grpcio then makes has no details.
    error = service.error("GetGroupInfo", timeout=2, group_id="aaa")

    assert error.status == "DEADLINE_EXCEEDED"
    assert error.reason == ("iaifacade.v1", "DEADLINE_EXCEEDED")
    facts = error.details["ErrorInfo"].metadata
    assert (facts["action"], facts["attempts"]) == ("GetGroupInfo", "1")
    assert error.hints == NO_HINTS


def test_of_a_hundred_callers_nearly_all_learn_it_from_the_service(scripted_service):
    service = scripted_service(SILENCE)

    # The service answers at most 100 ms early, which it does of 5 s and more. One call after
    # another, since a burst that begins and ends in one moment would measure the machine.
    calls = []
    for _ in range(100):
        calls.append(service.start("GetGroupInfo", timeout=5, group_id="aaa"))
        time.sleep(0.02)
    errors = [error_of(call.result) for call in calls]

    assert {error.status for error in errors} == {"DEADLINE_EXCEEDED"}
    # An error that grpcio makes by itself has no details.
    ours = [error for error in errors if error.reason == ("iaifacade.v1", "DEADLINE_EXCEEDED")]
    print(f"{len(ours)} of {len(errors)} come from the service")
    assert len(ours) >= 95


def test_a_caller_with_50_ms_does_not_wait_for_longer(scripted_service):
    service = scripted_service(SILENCE)

    began = time.monotonic()
    error = service.error("GetGroupInfo", timeout=0.05, group_id="aaa")

    assert error.status == "DEADLINE_EXCEEDED"
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_call_that_the_service_gives_up_may_be_tried_again(scripted_service, operation):
    service = scripted_service(SILENCE, "--max-call-time", "300ms")

    error = service.error(operation, **with_id(operation, "aaa"))

    assert error.status == "UNAVAILABLE"
    assert error.reason == ("iaifacade.v1", "UPSTREAM_UNREACHABLE")
    assert error.hints == Hints.after(200)
