"""A caller for deploy/compose.yaml: looks up groups and persons, some of which do not exist, until it is stopped.

Variables: ADDRESS of the service, the bearer TOKEN of the caller, CALLS_PER_SECOND.
Needs grpcio-tools, and the protocol in the module path.
"""

import collections
import itertools
import os
import time

import grpc

METHODS = [
    ("GetGroupInfo", {"group_id": "aaa"}),
    ("GetPersonGroupInfo", {"person_id": "1001", "limit": 100}),
    ("GetPersonGroupInfo", {"person_id": "2001", "limit": 100}),
    ("GetGroupInfo", {"group_id": "unknown"}),
]
REPORT_EVERY = 100


def main(address, token, calls_per_second):
    messages, services = grpc.protos_and_services("iaifacade/v1/face_recognition_service.proto")
    metadata = [("authorization", f"Bearer {token}")]
    statuses = collections.Counter()
    with grpc.insecure_channel(address) as channel:
        stub = services.FaceRecognitionServiceStub(channel)
        for number, (method, fields) in enumerate(itertools.cycle(METHODS), start=1):
            request = getattr(messages, f"{method}Request")(**fields)
            try:
                getattr(stub, method)(request, timeout=2, metadata=metadata)
                statuses["OK"] += 1
            except grpc.RpcError as error:
                statuses[error.code().name] += 1
            if number % REPORT_EVERY == 0:
                print(dict(statuses), flush=True)
            time.sleep(1 / calls_per_second)


if __name__ == "__main__":
    main(os.environ["ADDRESS"], os.environ["TOKEN"], float(os.environ["CALLS_PER_SECOND"]))
