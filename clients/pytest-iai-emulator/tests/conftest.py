"""Fixtures of the plugin's tests: the vendor's SDK, and a barrier that the suite of the JUnit extension shares."""

import os

import pytest
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.iai.v20200303 import models
from tencentcloud.iai.v20200303.iai_client import IaiClient

from pytest_iai_emulator import IaiEmulator

pytest_plugins = ["pytester"]


class Client:
    """The vendor's SDK in front of a world. Its methods return the code of an API error as their result."""

    def __init__(self, world, secret_key=None):
        http = HttpProfile(protocol="http", endpoint=world.host)
        credential = Credential(world.secret_id, secret_key or world.secret_key)
        self._sdk = IaiClient(credential, "", ClientProfile(httpProfile=http))

    def group_name(self, group_id):
        """Returns the name of a group."""
        request = models.GetGroupInfoRequest()
        request.GroupId = group_id
        try:
            return self._sdk.GetGroupInfo(request).GroupName
        except TencentCloudSDKException as error:
            return error.code

    def groups(self, person_id):
        """Returns the ids of the groups that contain a person."""
        request = models.GetPersonGroupInfoRequest()
        request.PersonId = person_id
        try:
            infos = self._sdk.GetPersonGroupInfo(request).PersonGroupInfos or []
        except TencentCloudSDKException as error:
            return error.code
        return [info.GroupId for info in infos]


@pytest.fixture
def client(iai_emulator):
    return Client(iai_emulator)


@pytest.fixture
def stranger(iai_emulator):
    """A client with the credential of the test, but a wrong key."""
    return Client(iai_emulator, secret_key="wrong")


@pytest.fixture(scope="session")
def barrier(iai_emulator_server):
    """Waits, when called, until the suite of the JUnit extension has come as far.

    Both suites send a request to the world of IAI_EMULATOR_BARRIER, SECRET_ID:SECRET_KEY, and wait until
    it has received as many as both have sent. Without the variable, this suite runs alone and does not wait.
    Fails at once after a wait that has timed out.
    """
    credential = os.environ.get("IAI_EMULATOR_BARRIER")
    if not credential:
        return lambda: None
    world = IaiEmulator(*iai_emulator_server, *credential.split(":"))
    client = Client(world)
    generation = 0
    is_broken = False

    def wait():
        nonlocal generation, is_broken
        assert not is_broken, "the other suite did not reach the barrier before"
        is_broken = True
        generation += 1
        client.group_name("barrier")
        world.wait_for_requests(2 * generation, timeout_seconds=60)
        is_broken = False

    return wait
