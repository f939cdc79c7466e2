"""The vendor's SDK for Python, unchanged, against the emulator."""

import pytest
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.iai.v20200303 import models
from tencentcloud.iai.v20200303.iai_client import IaiClient

from error_codes import ONE_OF_EACH_CLASS
from fixtures import PERSON_IN_25_GROUPS, api_error, group
from program import TIMEOUT, emulating

ACCOUNT = Credential("AKIDEMULATOR", "emulator-secret")


@pytest.fixture(scope="module")
def address():
    """The address of an emulator with the default fixtures."""
    with emulating() as address:
        yield address


def sdk(address, credential=ACCOUNT, method="POST", sign_body=True):
    """Returns a client of the vendor's SDK."""
    http = HttpProfile(protocol="http", endpoint=address, reqMethod=method, reqTimeout=TIMEOUT)
    profile = ClientProfile(httpProfile=http, language="en-US")
    profile.unsignedPayload = not sign_body
    return IaiClient(credential, region="", profile=profile)


def get_group_info(client, group_id):
    request = models.GetGroupInfoRequest()
    request.GroupId = group_id
    return client.GetGroupInfo(request)


def get_person_group_info(client, person_id, offset=None, limit=None):
    request = models.GetPersonGroupInfoRequest()
    request.PersonId = person_id
    request.Offset = offset
    request.Limit = limit
    return client.GetPersonGroupInfo(request)


@pytest.mark.parametrize(
    "options",
    [{}, {"method": "GET"}, {"sign_body": False}],
    ids=["POST", "GET", "unsigned body"],
)
def test_the_sdk_parses_both_responses(address, options):
    client = sdk(address, **options)

    group_info = get_group_info(client, "aaa")
    groups = get_person_group_info(client, "2001")

    assert (group_info.GroupId, group_info.GroupName) == ("aaa", "aaa")
    assert group_info.GroupExDescriptions == ["24"]
    assert group_info.CreationTimestamp == 1559530931613
    assert groups.GroupNum == 1
    [membership] = groups.PersonGroupInfos
    assert membership.GroupId == "ZhuYuanDormitoryNo1"
    assert membership.PersonExDescriptions[0] == "School of Computer Science"
    assert group_info.RequestId != groups.RequestId


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(
    ("offset", "limit", "numbers"),
    [
        (None, None, range(10)),
        (0, 100, range(25)),
        (20, None, range(20, 25)),
        (7, 3, range(7, 10)),
    ],
)
def test_the_sdk_parses_pages(scripted_emulator, method, offset, limit, numbers):
    client = sdk(scripted_emulator(PERSON_IN_25_GROUPS), method=method)

    groups = get_person_group_info(client, "alice", offset, limit)

    names = [membership.GroupId for membership in groups.PersonGroupInfos]
    assert names == [f"group-{number}" for number in numbers]


def test_an_unknown_group_is_an_error(address):
    with pytest.raises(TencentCloudSDKException) as raised:
        get_group_info(sdk(address), "nowhere")

    assert raised.value.code == "InvalidParameterValue.GroupIdNotExist"
    assert raised.value.requestId


def test_an_unknown_person_returns_only_a_request_id(address):
    groups = get_person_group_info(sdk(address), "unknown")

    assert groups.RequestId
    assert (groups.PersonGroupInfos, groups.GroupNum, groups.FaceModelVersion) == (None, None, None)


@pytest.mark.parametrize(
    ("credential", "code"),
    [
        (Credential("AKIDEMULATOR", "wrong"), "AuthFailure.SignatureFailure"),
        (Credential("AKIDOTHER", "emulator-secret"), "AuthFailure.SecretIdNotFound"),
        (Credential("AKIDEMULATOR", "emulator-secret", "token"), "AuthFailure.TokenFailure"),
    ],
    ids=["secret key", "secret id", "token"],
)
def test_a_wrong_credential_is_rejected(address, credential, code):
    with pytest.raises(TencentCloudSDKException) as raised:
        get_group_info(sdk(address, credential), "aaa")

    assert raised.value.code == code


def test_a_temporary_credential_needs_its_token(scripted_emulator):
    account = 'account = { secret_id = "AKIDtemporary", secret_key = "key", token = "token" }\n'
    address = scripted_emulator(account + group("a"))

    response = get_group_info(sdk(address, Credential("AKIDtemporary", "key", "token")), "a")
    with pytest.raises(TencentCloudSDKException) as raised:
        get_group_info(sdk(address, Credential("AKIDtemporary", "key")), "a")

    assert response.GroupId == "a"
    assert raised.value.code == "AuthFailure.TokenFailure"


@pytest.mark.parametrize("offset", ["1h", "-1h"])
def test_a_wrong_clock_is_rejected(scripted_emulator, offset):
    address = scripted_emulator(f'clock_offset = "{offset}"')

    with pytest.raises(TencentCloudSDKException) as raised:
        get_group_info(sdk(address), "aaa")

    assert raised.value.code == "AuthFailure.SignatureExpire"


@pytest.mark.parametrize("row", ONE_OF_EACH_CLASS, ids=lambda row: row.kind)
def test_an_error_of_each_class_is_an_sdk_exception(scripted_emulator, row):
    address = scripted_emulator(api_error(row.code, "Upstream said so."))

    with pytest.raises(TencentCloudSDKException) as raised:
        get_group_info(sdk(address), "aaa")

    assert raised.value.code == row.code
    assert raised.value.message == "Upstream said so."
    assert raised.value.requestId
