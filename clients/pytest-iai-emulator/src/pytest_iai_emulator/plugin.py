"""Fixtures of the plugin."""

import os

import pytest

from pytest_iai_emulator.control import Control
from pytest_iai_emulator.process import running_emulator
from pytest_iai_emulator.world import IaiEmulator


@pytest.fixture(scope="session")
def iai_emulator_server():
    """The control API of the emulator and the URL of the emulated API.

    The emulator is the one at IAI_EMULATOR_CONTROL and IAI_EMULATOR_ENDPOINT, with the token
    IAI_EMULATOR_TOKEN if its control API has one. By default it is a process of this session: with
    pytest-xdist, one for each worker.
    """
    control = os.environ.get("IAI_EMULATOR_CONTROL")
    if control:
        endpoint = os.environ.get("IAI_EMULATOR_ENDPOINT")
        if not endpoint:
            raise pytest.UsageError(
                "IAI_EMULATOR_CONTROL is set: set IAI_EMULATOR_ENDPOINT to the URL of the emulated API too,"
                " such as http://127.0.0.1:9080"
            )
        yield Control(control, os.environ.get("IAI_EMULATOR_TOKEN")), endpoint
        return
    with running_emulator(os.environ.get("IAI_FACADE_PROGRAM") or "iai-facade") as (control, endpoint):
        yield Control(control), endpoint


@pytest.fixture
def iai_emulator(iai_emulator_server):
    """A world of the emulator for this test: an `IaiEmulator`, empty, which is deleted after the test."""
    world = IaiEmulator.create(*iai_emulator_server)
    yield world
    world.delete()
