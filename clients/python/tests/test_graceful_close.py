"""Graceful close: grpcio loses no calls when connections or replicas close."""

import program
from load import running_load


def test_no_call_fails_while_1000_connections_close(started):
    flags = ["--max-connection-age", "500ms", "--log-sample", "1"]
    log = started(program.running("serve", "--emulate", *program.FREE_PORTS, *flags))
    address = log.wait_for("listening")["grpc.address"]
    channels = 40

    # On a busy machine a connection may reach the maximum age before grpcio has established it. grpcio
    # treats that as a connection failure and fails calls without wait_for_ready.
    with running_load(address, channels=channels, threads=2, wait_for_ready=True) as load:
        connections = set()
        # The current connection of each channel is still open.
        while len(connections) < 1_000 + channels:
            connections.add(log.wait_for("call")["network.peer.port"])

    print(f"{load.completed} calls over {len(connections)} connections")


def test_no_call_fails_while_a_replica_shuts_down(started):
    addresses = []
    for _ in range(2):
        delay = ["--unready-delay", "500ms"]
        log = started(program.running("serve", "--emulate", *program.FREE_PORTS, *delay))
        addresses.append(log.wait_for("listening")["grpc.address"])

    with running_load(f"ipv4:{','.join(addresses)}") as load:
        load.wait_for_more(200)
        log.stop()
        load.wait_for_more(200)

    print(f"{load.completed} calls")
