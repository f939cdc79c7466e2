"""The fixtures of the plugin, in test runs of their own."""

import json
import os
import pathlib
import re
import subprocess
import urllib.error
import urllib.request

import pytest

from pytest_iai_emulator import ControlError


@pytest.fixture
def own_process(monkeypatch):
    """Lets the test runs within a test start their own emulator."""
    for name in ["IAI_EMULATOR_CONTROL", "IAI_EMULATOR_ENDPOINT", "IAI_EMULATOR_TOKEN"]:
        monkeypatch.delenv(name, raising=False)


def test_each_test_has_a_world_of_its_own(pytester, own_process):
    pytester.makepyfile("""
        import pytest

        worlds = set()

        @pytest.mark.parametrize("number", range(3))
        def test_world(iai_emulator, number):
            assert iai_emulator.requests() == []
            worlds.add(iai_emulator.secret_id)
            assert len(worlds) == number + 1
    """)
    pytester.runpytest_inprocess().assert_outcomes(passed=3)


def test_a_world_is_deleted_after_its_test(pytester, own_process):
    pytester.makepyfile("""
        def test_world(iai_emulator, request):
            request.config.secret_id = iai_emulator.secret_id

        def test_after_it(iai_emulator_server, iai_emulator, request):
            control, _ = iai_emulator_server
            worlds = control.call("GET", "worlds")["worlds"]
            assert worlds == [{"secret_id": iai_emulator.secret_id}]
            assert iai_emulator.secret_id != request.config.secret_id
    """)
    pytester.runpytest_inprocess().assert_outcomes(passed=2)


def test_every_worker_of_xdist_has_an_emulator(pytester, own_process):
    pytester.makepyfile("""
        import pytest

        @pytest.mark.parametrize("number", range(8))
        def test_world(iai_emulator, number):
            iai_emulator.put_group("team", str(number))
    """)
    pytester.runpytest_inprocess("-n", "2").assert_outcomes(passed=8)


def test_the_emulator_ends_with_the_session(pytester, own_process):
    pytester.makepyfile("""
        def test_world(iai_emulator):
            print("endpoint", iai_emulator.endpoint)
    """)
    result = pytester.runpytest_subprocess("--capture=no")
    result.assert_outcomes(passed=1)
    (endpoint,) = re.findall(r"endpoint (\S+)", result.stdout.str())
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(endpoint)


def test_a_missing_program_is_named(pytester, own_process, monkeypatch):
    monkeypatch.setenv("IAI_FACADE_PROGRAM", "/nonexistent/iai-facade")
    pytester.makepyfile("def test_world(iai_emulator): pass")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*/nonexistent/iai-facade was not found*IAI_FACADE_PROGRAM*"])


def test_the_log_of_a_failed_start_is_shown(pytester, own_process, monkeypatch):
    program = pytester.path / "program"
    program.write_text("#!/bin/sh\necho the reason >&2\n")
    program.chmod(0o755)
    monkeypatch.setenv("IAI_FACADE_PROGRAM", str(program))
    pytester.makepyfile("def test_world(iai_emulator): pass")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*emulate did not start:*", "*the reason*"])


def test_settings_of_the_service_do_not_reach_the_emulator(pytester, own_process, monkeypatch):
    monkeypatch.setenv("IAI_FACADE_LOG_LEVEL", "off")
    monkeypatch.setenv("IAI_FACADE_EMULATOR_FIXTURES", "/nonexistent")
    pytester.makepyfile("def test_world(iai_emulator): pass")
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


def test_a_running_emulator_is_used(pytester, own_process, monkeypatch):
    token = pytester.path / "token"
    token.write_text("control-token-of-this-test-0123456789")
    program = os.environ["IAI_FACADE_PROGRAM"]
    command = [program, "emulate", "--listen=127.0.0.1:0", "--control-listen=127.0.0.1:0",
               f"--control-token-file={token}", "--log-format=json"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as emulator:
        try:
            fields = json.loads(emulator.stderr.readline())
            monkeypatch.setenv("IAI_EMULATOR_CONTROL", f"http://{fields['control.address']}")
            monkeypatch.setenv("IAI_EMULATOR_ENDPOINT", fields["endpoint"])
            pytester.makepyfile(f"""
                def test_world(iai_emulator):
                    assert iai_emulator.endpoint == "{fields['endpoint']}"
            """)
            rejected = pytester.runpytest_inprocess()
            monkeypatch.setenv("IAI_EMULATOR_TOKEN", token.read_text())
            accepted = pytester.runpytest_inprocess()
        finally:
            emulator.terminate()
    rejected.stdout.fnmatch_lines(["*Authorization: Bearer TOKEN*"])
    accepted.assert_outcomes(passed=1)


def test_the_endpoint_of_a_running_emulator_is_required(pytester, own_process, monkeypatch):
    monkeypatch.setenv("IAI_EMULATOR_CONTROL", "http://127.0.0.1:1")
    pytester.makepyfile("def test_world(iai_emulator): pass")
    result = pytester.runpytest_inprocess()
    result.stdout.fnmatch_lines(["*set IAI_EMULATOR_ENDPOINT*"])
    assert result.ret != 0


@pytest.mark.parametrize(
    "control, message",
    [
        ("127.0.0.1:9081", "*is not the URL of a control API*"),
        ("http://127.0.0.1:1", "*is the emulator running?*"),
    ],
)
def test_a_useless_address_is_reported(pytester, own_process, monkeypatch, control, message):
    monkeypatch.setenv("IAI_EMULATOR_CONTROL", control)
    monkeypatch.setenv("IAI_EMULATOR_ENDPOINT", "http://127.0.0.1:1")
    pytester.makepyfile("def test_world(iai_emulator): pass")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


def test_a_rejection_of_the_control_api_has_its_message(iai_emulator):
    with pytest.raises(ControlError, match="no-such-code"):
        iai_emulator.add_fault(api_error={"code": "no-such-code"})


def test_a_wrong_key_is_explained(iai_emulator, stranger):
    assert stranger.group_name("team") == "AuthFailure.SignatureFailure"
    (request,) = iai_emulator.requests()
    assert "SecretKey" in request["signature_rejection"]["reason"]


def test_faults_and_items_are_deleted(iai_emulator, client):
    iai_emulator.put_group("team")
    iai_emulator.put_person("alice", [{"group_id": "team", "person_ex_descriptions": ["1"]}])
    iai_emulator.add_fault(status={"code": 503})
    iai_emulator.clear_faults()
    assert (client.group_name("team"), client.groups("alice")) == ("team", ["team"])
    iai_emulator.delete_group("team")
    iai_emulator.delete_person("alice")
    unknown = "InvalidParameterValue.GroupIdNotExist", []
    assert (client.group_name("team"), client.groups("alice")) == unknown


def test_the_example_of_the_readme_passes(pytester, own_process):
    readme = pathlib.Path(__file__).resolve().parent.parent / "README.md"
    (example,) = re.findall(r"^```python\n(.*?)^```$", readme.read_text(), re.DOTALL | re.MULTILINE)
    pytester.makepyfile(example)
    pytester.runpytest_inprocess().assert_outcomes(passed=1)
