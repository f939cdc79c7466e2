"""Calls over a Unix socket, by both names that gRPC has for it.

By default, grpcio sends the percent-encoded path as authority, which is no valid host: the HTTP/2 library of
the service resets such a call.
"""

import grpc
import pytest

from program import serving
from service import Service

AUTHORITY = [("grpc.default_authority", "localhost")]


@pytest.mark.parametrize("prefix", ["unix:", "unix://"])
def test_a_call_over_a_unix_socket_is_served(prefix, tmp_path):
    path = tmp_path / "facade.sock"

    with (
        serving("--emulate", "--listen", f"unix:{path}"),
        grpc.insecure_channel(f"{prefix}{path}", AUTHORITY) as channel,
    ):
        response = Service(str(path), channel).call("GetGroupInfo", group_id="aaa")

    assert response.message.group_id == "aaa"
    assert not path.exists()
