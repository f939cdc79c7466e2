"""Responses and errors of the service, as a client with generated stubs receives them."""

import uuid
from datetime import UTC, datetime

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fixtures import PERSON_IN_25_GROUPS, group
from iaifacade.v1 import face_recognition_service_pb2 as messages
from program import TIMEOUT
from service import NEVER, NO_HINTS, OPERATIONS, RETRY, Error, Hints, error_of, with_id

NAME = "iaifacade.v1.FaceRecognitionService"


# === Responses ===


def test_a_group_is_described(service):
    described = service.call("GetGroupInfo", group_id="aaa").message

    assert described.group_id == "aaa"
    assert described.group_name == "aaa"
    assert described.group_ex_descriptions == ["24"]
    assert described.tag == "fdsaf"
    assert described.face_model_version == "3.0"
    assert described.creation_timestamp.ToDatetime(UTC) == datetime(
        2019, 6, 3, 3, 2, 11, 613_000, tzinfo=UTC
    )


def test_the_groups_of_a_person_are_listed(service):
    groups = service.call("GetPersonGroupInfo", person_id="2001").message

    assert groups.group_num == 1
    assert groups.face_model_version == "3.0"
    [membership] = groups.person_group_infos
    assert membership.group_id == "ZhuYuanDormitoryNo1"
    assert membership.person_ex_descriptions == [
        "School of Computer Science",
        "Software Engineering",
        "Class of 2015",
        "3150108080",
    ]


@pytest.mark.parametrize(
    ("page", "numbers"),
    [
        ({}, range(10)),
        ({"limit": 25}, range(25)),
        ({"offset": 20}, range(20, 25)),
        ({"offset": 7, "limit": 3}, range(7, 10)),
        ({"offset": 25}, range(0)),
    ],
)
def test_groups_are_returned_in_pages(scripted_service, page, numbers):
    service = scripted_service(PERSON_IN_25_GROUPS)

    groups = service.call("GetPersonGroupInfo", person_id="alice", **page).message

    assert groups.group_num == 25
    names = [membership.group_id for membership in groups.person_group_infos]
    assert names == [f"group-{number}" for number in numbers]


def test_a_response_has_the_upstream_request_id(service):
    for operation, id in [("GetGroupInfo", "aaa"), ("GetPersonGroupInfo", "2001")]:
        response = service.call(operation, **with_id(operation, id))

        assert uuid.UUID(response.message.request_id)
        assert response.metadata["x-tc-request-id"] == response.message.request_id


def test_a_gzip_compressed_request_is_accepted(scripted_service):
    # grpcio compresses a message only if that makes it shorter.
    group_id = "a" * 64
    service = scripted_service(group(group_id))

    response = service.call("GetGroupInfo", compression=grpc.Compression.Gzip, group_id=group_id)

    assert response.message.group_id == group_id


# === Invalid requests ===


def test_an_unknown_group_is_not_found(service):
    error = service.error("GetGroupInfo", group_id="nowhere")

    assert error.status == "NOT_FOUND"
    assert error.reason == (
        "iai.tencentcloudapi.com",
        "INVALID_PARAMETER_VALUE_GROUP_ID_NOT_EXIST",
    )
    resource = error.details["ResourceInfo"]
    assert (resource.resource_type, resource.resource_name) == ("iai.Group", "nowhere")
    assert error.hints == NO_HINTS


def test_an_unknown_person_is_not_found(service):
    error = service.error("GetPersonGroupInfo", person_id="unknown")

    assert error.status == "NOT_FOUND"
    assert error.reason == ("iaifacade.v1", "PERSON_NOT_FOUND")
    resource = error.details["ResourceInfo"]
    assert (resource.resource_type, resource.resource_name) == ("iai.Person", "unknown")
    assert error.details["RequestInfo"].request_id == error.metadata["x-tc-request-id"]
    assert error.hints == NO_HINTS


def test_an_offset_beyond_the_end_is_out_of_range(scripted_service):
    service = scripted_service(PERSON_IN_25_GROUPS)

    error = service.error("GetPersonGroupInfo", person_id="alice", offset=26)

    assert error.status == "OUT_OF_RANGE"
    [violation] = error.details["BadRequest"].field_violations
    assert violation.field == "offset"


@pytest.mark.parametrize(
    ("operation", "request_fields", "violated"),
    [
        ("GetGroupInfo", {}, ["group_id"]),
        ("GetGroupInfo", {"group_id": "a b"}, ["group_id"]),
        ("GetGroupInfo", {"group_id": "x" * 65}, ["group_id"]),
        ("GetPersonGroupInfo", {"person_id": "2001", "limit": 101}, ["limit"]),
        ("GetPersonGroupInfo", {"offset": -1, "limit": -1}, ["person_id", "offset", "limit"]),
    ],
)
def test_all_invalid_fields_are_reported_at_once(service, operation, request_fields, violated):
    error = service.error(operation, **request_fields)

    assert error.status == "INVALID_ARGUMENT"
    assert error.reason == ("iaifacade.v1", "INVALID_REQUEST")
    assert error.details["ErrorInfo"].metadata["attempts"] == "0"
    violations = error.details["BadRequest"].field_violations
    assert [violation.field for violation in violations] == violated
    assert error.hints == NO_HINTS


@pytest.mark.parametrize(
    ("method", "message", "status", "reason"),
    [
        (f"{NAME}/GetGroup", b"", "UNIMPLEMENTED", "METHOD_UNKNOWN"),
        ("iaifacade.v2.Other/GetGroupInfo", b"", "UNIMPLEMENTED", "METHOD_UNKNOWN"),
        (f"{NAME}/GetGroupInfo", b"\xff", "INVALID_ARGUMENT", "INVALID_REQUEST"),
        (f"{NAME}/GetGroupInfo", bytes(1 << 17), "RESOURCE_EXHAUSTED", "INVALID_REQUEST"),
    ],
    ids=["unknown method", "unknown service", "malformed message", "message too large"],
)
def test_an_invalid_call_is_rejected_with_a_reason(service, method, message, status, reason):
    call = service.channel.unary_unary(f"/{method}")

    error = error_of(lambda: call(message, timeout=TIMEOUT))

    assert error.status == status
    assert error.reason == ("iaifacade.v1", reason)
    assert error.hints == NO_HINTS


def test_an_unsupported_compression_is_rejected_with_a_reason(service):
    error = service.error("GetGroupInfo", compression=grpc.Compression.Deflate, group_id="a" * 64)

    assert error.status == "UNIMPLEMENTED"
    assert error.reason == ("iaifacade.v1", "METHOD_UNKNOWN")
    assert error.hints == NO_HINTS


# === Upstream faults ===


def test_a_wrong_clock_is_an_internal_error(scripted_service):
    service = scripted_service('clock_offset = "1h"')

    error = service.error("GetGroupInfo", group_id="aaa", metadata=[RETRY])

    assert error.status == "INTERNAL"
    assert error.reason == ("iai.tencentcloudapi.com", "AUTH_FAILURE_SIGNATURE_EXPIRE")
    assert error.hints == NEVER


def test_calls_over_the_rate_limit_are_rejected_with_a_delay(scripted_service):
    service = scripted_service("rate_limit = 1")

    # Two calls may fall into different seconds; of three calls, two fall into the same second.
    errors = []
    for _ in range(3):
        try:
            service.call("GetPersonGroupInfo", person_id="unknown", metadata=[RETRY])
        except grpc.RpcError as error:
            errors.append(Error.of(error))

    statuses = [error.status for error in errors]
    assert "RESOURCE_EXHAUSTED" in statuses
    error = errors[statuses.index("RESOURCE_EXHAUSTED")]
    assert error.reason == ("iai.tencentcloudapi.com", "REQUEST_LIMIT_EXCEEDED")
    assert error.hints == Hints.after(1000)


UNREACHABLE = ("UNAVAILABLE", "UPSTREAM_UNREACHABLE")
INVALID = ("INTERNAL", "UPSTREAM_RESPONSE_INVALID")
LIMITED = ("RESOURCE_EXHAUSTED", "RATE_LIMITED")


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("fault", "expected", "hints"),
    [
        ('cut = "before_headers"', UNREACHABLE, Hints.after(200)),
        ('cut = "inside_headers"', UNREACHABLE, Hints.after(200)),
        ('cut = "inside_body"', UNREACHABLE, Hints.after(200)),
        ("status = { code = 502 }", UNREACHABLE, Hints.after(200)),
        ("status = { code = 503, retry_after = 2 }", UNREACHABLE, Hints.after(2000)),
        ("status = { code = 504 }", UNREACHABLE, Hints.after(200)),
        ("status = { code = 429 }", LIMITED, Hints.after(1000)),
        ("status = { code = 429, retry_after = 3 }", LIMITED, Hints.after(3000)),
        ("status = { code = 500 }", INVALID, NEVER),
        ("status = { code = 404 }", INVALID, NEVER),
        ("garbage = true", INVALID, NEVER),
        ("truncate = true", INVALID, NEVER),
        ("oversize = 5000000", INVALID, NEVER),
        ('redirect = "http://127.0.0.1:1/"', INVALID, NEVER),
        ("response = { body = '{\"Response\":{}}' }", INVALID, NEVER),
    ],
)
def test_invalid_and_missing_upstream_responses_differ(
    scripted_service, operation, fault, expected, hints
):
    service = scripted_service(f"[[faults]]\n{fault}\n")

    error = service.error(operation, metadata=[RETRY], **with_id(operation, "aaa"))

    status, reason = expected
    assert error.status == status
    assert error.reason == ("iaifacade.v1", reason)
    facts = error.details["ErrorInfo"].metadata
    assert (facts["action"], facts["attempts"]) == (operation, "1")
    assert error.hints == hints


def test_an_api_error_is_recognized_at_any_http_status(scripted_service):
    code = "InvalidParameterValue.GroupIdNotExist"
    service = scripted_service(
        f'[[faults]]\napi_error = {{ code = "{code}", message = "No such group.", status = 503 }}\n'
    )

    error = service.error("GetGroupInfo", group_id="aaa", metadata=[RETRY])

    assert error.status == "NOT_FOUND"
    assert error.details["ErrorInfo"].metadata["code"] == code


# === Request ids, health and trailers ===


def test_the_request_id_of_the_client_is_echoed(service):
    metadata = [("x-request-id", "order-66")]

    response = service.call("GetGroupInfo", group_id="aaa", metadata=metadata)
    error = service.error("GetGroupInfo", group_id="nowhere", metadata=metadata)

    assert response.metadata["x-request-id"] == "order-66"
    assert error.metadata["x-request-id"] == "order-66"


def test_a_call_without_a_request_id_gets_one(service):
    ids = {
        service.call("GetGroupInfo", group_id="aaa").metadata["x-request-id"],
        service.error("GetGroupInfo", group_id="nowhere").metadata["x-request-id"],
    }

    assert len(ids) == 2
    assert all(uuid.UUID(id) for id in ids)


@pytest.mark.parametrize("name", ["", NAME])
def test_health_reports_serving(service, name):
    health = health_pb2_grpc.HealthStub(service.channel)

    response = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=TIMEOUT)

    assert response.status == health_pb2.HealthCheckResponse.SERVING


def test_an_error_is_a_trailers_only_response(service):
    request = messages.GetGroupInfoRequest(group_id="nowhere")
    method = service.channel.unary_unary(
        f"/{NAME}/GetGroupInfo", request_serializer=messages.GetGroupInfoRequest.SerializeToString
    )

    call = method.future(request, timeout=TIMEOUT)

    assert call.code() is grpc.StatusCode.NOT_FOUND
    assert call.initial_metadata() == ()
