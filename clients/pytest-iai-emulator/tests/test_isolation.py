"""50 tests that would fail if another suite shared their worlds: IsolationTest.java seeds the same ids with
other values, in the same order. A barrier holds each test until its counterpart has come as far."""

import concurrent.futures

import pytest

MINE, THEIRS = "python", "java"
NO_GROUP = "InvalidParameterValue.GroupIdNotExist"

rounds = pytest.mark.parametrize("round_number", range(5))


def is_active(round_number):
    """Returns whether this suite is the one that acts in a round in which only one does."""
    return round_number % 2 == 0


@rounds
def test_a_group_has_the_name_of_its_own_world(iai_emulator, client, barrier, round_number):
    iai_emulator.put_group("team", f"{MINE} {round_number}")
    barrier()
    assert client.group_name("team") == f"{MINE} {round_number}"
    barrier()


@rounds
def test_a_person_has_the_groups_of_its_own_world(iai_emulator, client, barrier, round_number):
    groups = [f"{MINE}-{number}" for number in range(round_number + 1)]
    iai_emulator.put_person("alice", groups)
    barrier()
    assert client.groups("alice") == groups
    barrier()


@rounds
def test_the_groups_of_other_worlds_do_not_exist(iai_emulator, client, barrier, round_number):
    iai_emulator.put_group(f"{MINE}-{round_number}")
    barrier()
    assert client.group_name(f"{MINE}-{round_number}") == f"{MINE}-{round_number}"
    assert client.group_name(f"{THEIRS}-{round_number}") == NO_GROUP
    barrier()


@rounds
def test_a_fault_applies_to_its_own_world(iai_emulator, client, barrier, round_number):
    iai_emulator.put_group("team", MINE)
    if is_active(round_number):
        iai_emulator.add_fault(api_error={"code": "InternalError"}, times=100)
    barrier()
    assert client.group_name("team") == ("InternalError" if is_active(round_number) else MINE)
    barrier()


@rounds
def test_a_fault_counts_the_requests_of_its_own_world(
    iai_emulator, client, barrier, round_number
):
    iai_emulator.put_group("team", MINE)
    times = 1 + round_number
    iai_emulator.add_fault(action="GetGroupInfo", api_error={"code": "InternalError"}, times=times)
    barrier()
    results = [client.group_name("team") for _ in range(times + 1)]
    assert results == ["InternalError"] * times + [MINE]
    barrier()


@rounds
def test_the_log_has_the_requests_of_its_own_world(iai_emulator, client, barrier, round_number):
    calls = 1 + round_number
    for number in range(calls):
        client.group_name(f"{MINE}-{number}")
    barrier()
    requests = iai_emulator.requests()
    assert [it["parameters"]["GroupId"] for it in requests] == [f"{MINE}-{n}" for n in range(calls)]
    assert {it["code"] for it in requests} == {NO_GROUP}
    barrier()


@rounds
def test_a_wait_counts_the_requests_of_its_own_world(iai_emulator, client, barrier, round_number):
    iai_emulator.put_group("team", MINE)
    if not is_active(round_number):
        client.group_name("team")
        barrier()
        barrier()
        return
    barrier()
    with pytest.raises(TimeoutError, match="0 of 1 requests"):
        iai_emulator.wait_for_requests(1, timeout_seconds=0)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(iai_emulator.wait_for_requests, 1)
        assert client.group_name("team") == MINE
        assert [it["parameters"] for it in waiting.result()] == [{"GroupId": "team"}]
    barrier()


@rounds
def test_a_reset_empties_its_own_world(iai_emulator, client, barrier, round_number):
    iai_emulator.put_group("team", MINE)
    iai_emulator.add_fault(api_error={"code": "InternalError"})
    assert client.group_name("team") == "InternalError"
    barrier()
    if is_active(round_number):
        iai_emulator.reset()
    barrier()
    if is_active(round_number):
        assert iai_emulator.requests() == []
        assert client.group_name("team") == NO_GROUP
    else:
        assert len(iai_emulator.requests()) == 1
        assert client.group_name("team") == MINE


@rounds
def test_a_rate_limit_applies_to_its_own_world(iai_emulator, client, barrier, round_number):
    iai_emulator.put_group("team", MINE)
    if is_active(round_number):
        iai_emulator.set_rate_limit(0)
    barrier()
    limited = "RequestLimitExceeded" if is_active(round_number) else MINE
    assert client.group_name("team") == limited
    barrier()
    iai_emulator.set_rate_limit(None)
    assert client.group_name("team") == MINE


@rounds
def test_a_clock_belongs_to_its_own_world(iai_emulator, client, barrier, round_number):
    iai_emulator.put_group("team", MINE)
    if is_active(round_number):
        iai_emulator.set_clock_offset("1h")
    barrier()
    expired = "AuthFailure.SignatureExpire" if is_active(round_number) else MINE
    assert client.group_name("team") == expired
    barrier()
    iai_emulator.set_clock_offset(None)
    assert client.group_name("team") == MINE
