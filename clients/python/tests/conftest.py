"""Fixtures shared by the contract tests."""

import os
from contextlib import ExitStack

import pytest

import program
from service import service as run_service

# All servers are local; without this, grpcio and the vendor's SDK would use the proxy of the environment.
for name in ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy"):
    os.environ.pop(name, None)
    os.environ.pop(name.upper(), None)


def pytest_sessionstart():
    try:
        program.path()
    except FileNotFoundError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.fixture(scope="module")
def service():
    """A service whose upstream is an emulator with the default fixtures."""
    with run_service("--emulate") as client:
        yield client


@pytest.fixture
def scripted_service(fixtures_file, started):
    """Starts a service whose upstream is an emulator with the given fixtures."""
    return lambda fixtures, *flags: started(
        run_service("--emulate", "--fixtures", fixtures_file(fixtures), *flags)
    )


@pytest.fixture
def scripted_emulator(fixtures_file, started):
    """Starts an emulator with the given fixtures and returns its address."""
    return lambda fixtures: started(program.emulating("--fixtures", fixtures_file(fixtures)))


@pytest.fixture
def fixtures_file(tmp_path):
    """Writes fixtures to a file and returns its path."""

    def write(fixtures):
        file = tmp_path / "fixtures.toml"
        file.write_text(fixtures)
        return file

    return write


@pytest.fixture
def started():
    """Enters context managers that exit when the test ends."""
    with ExitStack() as stack:
        yield stack.enter_context
