"""`serve` in front of an independent upstream that verifies signatures with the vendor's SDK."""

import json
from contextlib import contextmanager

import pytest

import program
from service import NEVER, service
from upstream import REQUEST_ID, credential, upstream


@contextmanager
def serving(accepted, *flags, environment=None):
    """Runs an upstream that accepts one credential and `serve` in front of it."""
    with (
        upstream(accepted) as server,
        service("--endpoint", server.url, *flags, environment=environment) as client,
    ):
        yield client, server


def in_environment(credential):
    """Returns the environment variables with a credential."""
    variables = {
        "TENCENTCLOUD_SECRET_ID": credential.secret_id,
        "TENCENTCLOUD_SECRET_KEY": credential.secret_key,
    }
    return variables | ({"TENCENTCLOUD_TOKEN": credential.token} if credential.token else {})


def in_files(credential, directory):
    """Writes a credential to files and returns the flags that name them."""
    flags = []
    for name in ("secret_id", "secret_key", "token"):
        if part := getattr(credential, name):
            file = directory / name
            file.write_text(f"{part}\n")
            flags += [f"--{name.replace('_', '-')}-file", str(file)]
    return flags


@pytest.fixture(params=[None, "made-up-token"], ids=["permanent", "temporary"])
def account(request):
    """A permanent and a temporary credential."""
    return credential(request.param)


def test_requests_are_signed_with_the_environment_credential(account):
    with serving(account, environment=in_environment(account)) as (client, _):
        assert_that_both_operations_work(client)


def test_requests_are_signed_with_the_credential_in_files(account, tmp_path):
    with serving(account, *in_files(account, tmp_path)) as (client, _):
        assert_that_both_operations_work(client)


def assert_that_both_operations_work(client):
    group = client.call("GetGroupInfo", group_id="aaa")
    groups = client.call("GetPersonGroupInfo", person_id="1001", offset=0, limit=1)

    assert group.message.creation_timestamp.ToMilliseconds() == 1559530931613
    assert groups.message.group_num == 1
    [membership] = groups.message.person_group_infos
    assert membership.person_ex_descriptions == ["Cloud", "Faces"]
    for response in (group, groups):
        assert response.message.request_id == REQUEST_ID
        assert response.metadata["x-tc-request-id"] == REQUEST_ID


def test_a_rejected_credential_is_an_internal_error():
    wrong = credential()
    wrong.secret_key = "another-key"

    with serving(credential(), environment=in_environment(wrong)) as (client, _):
        error = client.error("GetGroupInfo", group_id="aaa")

    assert error.status == "INTERNAL"
    assert error.reason == ("iai.tencentcloudapi.com", "AUTH_FAILURE_SIGNATURE_FAILURE")
    assert error.details["RequestInfo"].request_id == REQUEST_ID
    assert error.hints == NEVER


def test_a_request_has_exactly_the_documented_headers(account):
    with serving(account, environment=in_environment(account)) as (client, server):
        client.call("GetGroupInfo", group_id="aaa")

    [request] = server.requests
    assert (request.method, request.path) == ("POST", "/")
    assert request.headers["Host"] == server.url.removeprefix("http://")
    assert request.headers["Content-Type"] == "application/json"
    assert headers_of_the_api(request, "Timestamp", "Token") == {
        "action": "GetGroupInfo",
        "language": "en-US",
        "requestclient": f"iai-facade_{program.version()}",
        "version": "2020-03-03",
    }
    assert request.headers["X-TC-Token"] == account.token


def test_region_and_language_are_sent_as_configured():
    flags = ["--region", "ap-singapore", "--language", "zh-CN"]
    with serving(credential(), *flags, environment=in_environment(credential())) as (client, server):
        client.call("GetGroupInfo", group_id="aaa")

    [request] = server.requests
    assert request.headers["X-TC-Region"] == "ap-singapore"
    assert request.headers["X-TC-Language"] == "zh-CN"


@pytest.mark.parametrize(
    ("operation", "fields", "parameters"),
    [
        ("GetGroupInfo", {"group_id": "-%@#&_"}, {"GroupId": "-%@#&_"}),
        ("GetPersonGroupInfo", {"person_id": "1001"}, {"PersonId": "1001"}),
        (
            "GetPersonGroupInfo",
            {"person_id": "1001", "offset": 3, "limit": 100},
            {"PersonId": "1001", "Offset": 3, "Limit": 100},
        ),
    ],
)
def test_parameters_are_sent_as_json(operation, fields, parameters):
    with serving(credential(), environment=in_environment(credential())) as (client, server):
        client.call(operation, **fields)

    [request] = server.requests
    assert request.headers["X-TC-Action"] == operation
    assert json.loads(request.body) == parameters


def headers_of_the_api(request, *others):
    """Returns the headers that start with X-TC, except those in `others`."""
    headers = {
        name.lower().removeprefix("x-tc-"): value
        for name, value in request.headers.items()
        if name.lower().startswith("x-tc-")
    }
    return {name: value for name, value in headers.items() if name.title() not in others}
