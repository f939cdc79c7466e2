"""Whose deadline a call misses, and what it is then told."""

import pytest

from fixtures import SILENCE
from service import NO_HINTS, OPERATIONS, Hints, with_id


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


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_call_that_the_service_gives_up_may_be_tried_again(scripted_service, operation):
    service = scripted_service(SILENCE, "--max-call-time", "300ms")

    error = service.error(operation, **with_id(operation, "aaa"))

    assert error.status == "UNAVAILABLE"
    assert error.reason == ("iaifacade.v1", "UPSTREAM_UNREACHABLE")
    assert error.hints == Hints.after(200)
