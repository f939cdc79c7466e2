"""Each Tencent Cloud error code on each operation, compared with tests/data/error_codes.csv."""

from dataclasses import dataclass

import pytest
from google.rpc.error_details_pb2 import BadRequest, Help, PreconditionFailure, QuotaFailure

from error_codes import LISTED, UNLISTED
from fixtures import api_error, unlisted_error
from service import OPERATIONS, RETRY, Hints, with_id
from service import service as run_service

UPSTREAM_TEXT = "Upstream said so."

# Longer than all known upstream messages, in characters of three bytes.
MESSAGE = UPSTREAM_TEXT + "\u4eba" * 1000

ID = "x" * 64

CASES = [(operation, row) for row in LISTED + UNLISTED for operation in OPERATIONS]

NAMES = [f"{operation}-{row.code}" for operation, row in CASES]

DETAIL_TYPES = {
    "BadRequest",
    "ErrorInfo",
    "Help",
    "PreconditionFailure",
    "QuotaFailure",
    "RequestInfo",
    "ResourceInfo",
    "RetryInfo",
}

ACTIONABLE = {"account", "bad_field", "bad_request", "conflict", "not_found", "out_of_range", "quota"}
"""The classes whose upstream message helps the caller to correct the request."""


@dataclass(frozen=True)
class Properties:
    """The properties of an error that depend on its code."""

    status: str
    domain: str
    reason: str
    facts: dict
    request_ids: set
    bad_fields: list
    resource: tuple | None
    preconditions: list
    quota_violations: int
    links: int
    hints: Hints

    @classmethod
    def received(cls, error):
        """Returns the properties of an error."""
        info = error.details["ErrorInfo"]
        request_info = error.details["RequestInfo"]
        bad_request = error.details.get("BadRequest", BadRequest())
        resource = error.details.get("ResourceInfo")
        precondition = error.details.get("PreconditionFailure", PreconditionFailure())
        quota = error.details.get("QuotaFailure", QuotaFailure())
        links = error.details.get("Help", Help())
        assert all(detail.ByteSize() for detail in error.details.values()), "a detail is empty"
        assert error.details.keys() <= DETAIL_TYPES
        return cls(
            status=error.status,
            domain=info.domain,
            reason=info.reason,
            facts={key: info.metadata[key] for key in ("code", "action", "attempts")},
            request_ids={
                info.metadata["request_id"],
                request_info.request_id,
                error.metadata["x-tc-request-id"],
            },
            bad_fields=[violation.field for violation in bad_request.field_violations],
            resource=(resource.resource_type, resource.resource_name) if resource else None,
            preconditions=[violation.type for violation in precondition.violations],
            quota_violations=len(quota.violations),
            links=len(links.links),
            hints=error.hints,
        )

    @classmethod
    def expected(cls, operation, row, request_id):
        """Returns the properties that the table defines."""
        bad_field = row.bad_field(operation)
        return cls(
            status=row.status(operation),
            domain="iai.tencentcloudapi.com",
            reason=row.reason,
            facts={"code": row.code, "action": operation, "attempts": "1"},
            request_ids={request_id},
            bad_fields=[bad_field] if bad_field else [],
            resource=row.resource(operation, ID),
            preconditions=[row.precondition] if row.precondition else [],
            quota_violations=1 if row.is_quota else 0,
            links=1 if row.has_help else 0,
            hints=row.hints(operation),
        )


@pytest.fixture(scope="module")
def errors(tmp_path_factory):
    """The error of each case, from one service whose upstream fails each request with the next code."""
    script = tmp_path_factory.mktemp("script") / "fixtures.toml"
    faults = [
        (api_error if row in LISTED else unlisted_error)(row.code, MESSAGE, operation)
        for operation, row in CASES
    ]
    script.write_text("".join(faults))
    with run_service("--emulate", "--fixtures", str(script)) as service:
        return {
            (operation, row.code): service.error(
                operation, metadata=[RETRY], **with_id(operation, ID)
            )
            for operation, row in CASES
        }


def test_the_table_has_each_code_once():
    assert LISTED
    assert len({row.code for row in LISTED}) == len(LISTED)


@pytest.mark.parametrize(("operation", "row"), CASES, ids=NAMES)
def test_a_code_has_the_properties_of_the_table(errors, operation, row):
    error = errors[operation, row.code]

    received = Properties.received(error)

    request_id = error.metadata["x-tc-request-id"]
    assert request_id
    assert received == Properties.expected(operation, row, request_id)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_policy_error_names_the_missing_permission(errors, operation):
    for row in LISTED:
        if row.kind == "policy":
            [violation] = errors[operation, row.code].details["PreconditionFailure"].violations
            assert f"iai:{operation}" in violation.subject + violation.description


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_account_error_has_a_help_link(errors, operation):
    for row in LISTED:
        if row.has_help:
            [link] = errors[operation, row.code].details["Help"].links
            assert link.description
            assert link.url.startswith("https://www.tencentcloud.com/")


@pytest.mark.parametrize(("operation", "row"), CASES, ids=NAMES)
def test_upstream_messages_reach_callers_only_if_actionable(errors, operation, row):
    error = errors[operation, row.code]

    if row.status(operation) in ("INTERNAL", "UNKNOWN"):
        assert UPSTREAM_TEXT not in error.message
        assert UPSTREAM_TEXT.encode() not in error.encoded_details
    elif row.kind in ACTIONABLE:
        assert UPSTREAM_TEXT in error.message


def test_encoded_details_stay_within_2_kib(errors):
    sizes = {case: len(error.encoded_details) for case, error in errors.items()}

    assert {case: size for case, size in sizes.items() if size > 2048} == {}
