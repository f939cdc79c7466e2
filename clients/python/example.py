"""Looks up the groups of a person and explains the error if the call fails.

Usage: .venv/bin/python example.py ADDRESS PERSON_ID
"""

import sys

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from iaifacade.v1.face_recognition_service_pb2 import GetPersonGroupInfoRequest
from iaifacade.v1.face_recognition_service_pb2_grpc import FaceRecognitionServiceStub


def main(address, person_id):
    with grpc.insecure_channel(address) as channel:
        service = FaceRecognitionServiceStub(channel)
        request = GetPersonGroupInfoRequest(person_id=person_id, limit=100)
        try:
            # Without a deadline, a call may take up to the --max-call-time of the service.
            response = service.GetPersonGroupInfo(request, timeout=2)
        except grpc.RpcError as error:
            sys.exit(explain(error))

    for group in response.person_group_infos:
        print(group.group_id, *group.person_ex_descriptions, sep="\n    ")


def explain(error):
    """Formats the status, reason and retry delay of an error."""
    lines = [f"{error.code().name}: {error.details()}"]
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        info = error_details_pb2.ErrorInfo()
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            lines.append(f"reason: {info.domain}/{info.reason}")
        elif detail.Unpack(retry):
            lines.append(f"try again in {retry.retry_delay.ToMilliseconds()} ms")
    return "\n".join(lines)


if __name__ == "__main__":
    main(*sys.argv[1:])
