"""Deadlines: the error depends on which deadline expired, the client's or the service's."""

import time

import pytest

from fixtures import NO_RESPONSE
from service import NO_HINTS, OPERATIONS, Hints, error_of, with_id


def test_the_service_reports_an_expired_client_deadline(scripted_service):
    service = scripted_service(NO_RESPONSE)

    # The service responds 2 % before the deadline. With a shorter deadline, on a busy machine, the
    # client's timer could expire first, and the error that grpcio then creates has no details.
    error = service.error("GetGroupInfo", timeout=2, group_id="aaa")

    assert error.status == "DEADLINE_EXCEEDED"
    assert error.reason == ("iaifacade.v1", "DEADLINE_EXCEEDED")
    facts = error.details["ErrorInfo"].metadata
    assert (facts["action"], facts["attempts"]) == ("GetGroupInfo", "1")
    assert error.hints == NO_HINTS


def test_the_service_responds_before_clients_time_out(scripted_service):
    service = scripted_service(NO_RESPONSE)

    # The service responds at most 100 ms before a deadline of 5 s or more. The calls start one after
    # another, because a burst would measure the speed of the machine.
    calls = []
    for _ in range(100):
        calls.append(service.start("GetGroupInfo", timeout=5, group_id="aaa"))
        time.sleep(0.02)
    errors = [error_of(call.result) for call in calls]

    assert {error.status for error in errors} == {"DEADLINE_EXCEEDED"}
    # Errors that grpcio creates itself have no details.
    ours = [error for error in errors if error.reason == ("iaifacade.v1", "DEADLINE_EXCEEDED")]
    print(f"{len(ours)} of {len(errors)} come from the service")
    assert len(ours) >= 95


def test_a_call_with_a_50_ms_deadline_does_not_take_longer(scripted_service):
    service = scripted_service(NO_RESPONSE)

    began = time.monotonic()
    error = service.error("GetGroupInfo", timeout=0.05, group_id="aaa")

    assert error.status == "DEADLINE_EXCEEDED"
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_call_that_exceeds_max_call_time_may_be_retried(scripted_service, operation):
    service = scripted_service(NO_RESPONSE, "--max-call-time", "300ms")

    error = service.error(operation, **with_id(operation, "aaa"))

    assert error.status == "UNAVAILABLE"
    assert error.reason == ("iaifacade.v1", "UPSTREAM_UNREACHABLE")
    assert error.hints == Hints.after(200)
