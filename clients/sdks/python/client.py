"""Calls both operations by the SDK for Python at each endpoint, by GET and POST.

Usage: client.py ENDPOINT... with the certificate to trust in the variable CERTIFICATE
"""

import json
import os
import sys

from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.iai.v20200303 import models
from tencentcloud.iai.v20200303.iai_client import IaiClient


def connect(endpoint, method, secret_key):
    protocol, host = endpoint.split("://")
    http = HttpProfile(
        protocol=protocol, endpoint=host, reqMethod=method, certification=os.environ["CERTIFICATE"]
    )
    return IaiClient(Credential("AKIDEMULATOR", secret_key), "", ClientProfile(httpProfile=http))


def group_name(client, group_id):
    request = models.GetGroupInfoRequest()
    request.GroupId = group_id
    return client.GetGroupInfo(request).GroupName


def error_code(client, group_id):
    try:
        return group_name(client, group_id)
    except TencentCloudSDKException as error:
        return error.code


def pages(client, person_id):
    request = models.GetPersonGroupInfoRequest()
    request.PersonId = person_id
    request.Limit = 10
    request.Offset = 0
    total = 1
    while request.Offset < total:
        response = client.GetPersonGroupInfo(request)
        yield [group.GroupId for group in response.PersonGroupInfos]
        request.Offset += request.Limit
        total = response.GroupNum


for endpoint in sys.argv[1:]:
    for method in ["GET", "POST"]:
        client = connect(endpoint, method, "emulator-secret")
        wrong_key = connect(endpoint, method, "wrong")
        result = {
            "endpoint": endpoint,
            "method": method,
            "name": group_name(client, "known"),
            "pages": list(pages(client, "alice")),
            "unknown": error_code(client, "unknown"),
            "wrong_key": error_code(wrong_key, "known"),
        }
        print(json.dumps(result))
