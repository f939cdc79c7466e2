"""What becomes of the calls of grpcio as its connections end."""

import program
from callers import calling


def test_no_call_is_lost_while_a_thousand_connections_end(started):
    flags = ["--max-connection-age", "500ms", "--log-sample", "1"]
    log = started(program.running("serve", "--emulate", *program.FREE_PORTS, *flags))
    address = log.wait_for("listening")["grpc.address"]
    channels = 40

    # On a busy machine a connection may have this age before grpcio has finished opening it. grpcio
    # takes that for a failure to connect, and fails calls that do not wait.
    with calling(address, channels=channels, threads=2, waits=True) as callers:
        connections = set()
        # The last of each channel has not ended yet.
        while len(connections) < 1_000 + channels:
            connections.add(log.wait_for("call")["peer.address"])

    print(f"{callers.answered} calls over {len(connections)} connections")


def test_no_call_is_lost_as_a_replica_stops(started):
    addresses = []
    for _ in range(2):
        delay = ["--unready-delay", "500ms"]
        log = started(program.running("serve", "--emulate", *program.FREE_PORTS, *delay))
        addresses.append(log.wait_for("listening")["grpc.address"])

    with calling(f"ipv4:{','.join(addresses)}") as callers:
        callers.wait_for_more(200)
        log.stop()
        callers.wait_for_more(200)

    print(f"{callers.answered} calls")
