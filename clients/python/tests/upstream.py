"""Upstream that is independent of the emulator: it verifies signatures with the vendor's SDK."""

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tencentcloud.common.credential import Credential
from tencentcloud.common.http.request import RequestInternal
from tencentcloud.iai.v20200303.iai_client import IaiClient

REQUEST_ID = "98330f25-eb2e-432a-a30c-3830774210c1"

# The examples of the documentation.
RESPONSES = {
    "GetGroupInfo": {
        "GroupName": "aaa",
        "GroupId": "aaa",
        "GroupExDescriptions": ["24"],
        "Tag": "fdsaf",
        "FaceModelVersion": "3.0",
        "CreationTimestamp": 1559530931613,
    },
    "GetPersonGroupInfo": {
        "PersonGroupInfos": [
            {"GroupId": "TencentShenZhenEmployee", "PersonExDescriptions": ["Cloud", "Faces"]}
        ],
        "GroupNum": "1",
        "FaceModelVersion": "3.0",
    },
}


@contextmanager
def upstream(credential):
    """Runs an HTTP server that accepts requests signed with `credential` and yields it."""
    with Upstream(credential) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Upstream(ThreadingHTTPServer):
    """An HTTP server that verifies signatures, returns the documented examples and records requests."""

    def __init__(self, credential):
        super().__init__(("127.0.0.1", 0), Handler)
        self.credential = credential
        self.requests = []

    @property
    def url(self):
        """The URL for `--endpoint`."""
        return f"http://127.0.0.1:{self.server_port}"

    def respond(self, request):
        """Returns the content of the response envelope."""
        self.requests.append(request)
        if not request.is_signed_with(self.credential):
            error = {"Code": "AuthFailure.SignatureFailure", "Message": "Not what the SDK signs."}
            return {"Error": error, "RequestId": REQUEST_ID}
        return RESPONSES[request.headers["X-TC-Action"]] | {"RequestId": REQUEST_ID}


@dataclass(frozen=True)
class Request:
    """A received request."""

    method: str
    path: str
    headers: object
    body: bytes

    def is_signed_with(self, credential):
        """Returns whether the vendor's SDK creates the same signature and the timestamp is current."""
        timestamp = int(self.headers["X-TC-Timestamp"])
        date = datetime.fromtimestamp(timestamp, UTC).date().isoformat()
        sdk = IaiClient(credential, region="")
        request = RequestInternal(
            method=self.method, uri=self.path, header=self.headers, data=self.body
        )
        signature = sdk._get_tc3_signature(None, request, date, "iai", credential.secret_key)
        authorization = (
            f"TC3-HMAC-SHA256 Credential={credential.secret_id}/{date}/iai/tc3_request, "
            f"SignedHeaders=content-type;host, Signature={signature}"
        )
        return (
            self.headers["Authorization"] == authorization
            and self.headers["X-TC-Token"] == credential.token
            and abs(time.time() - timestamp) < 300
        )


class Handler(BaseHTTPRequestHandler):
    """Serves persistent connections, as Tencent Cloud does."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = Request(self.command, self.path, self.headers, body)
        response = json.dumps({"Response": self.server.respond(request)}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(response)))
        self.end_headers()
        self.wfile.write(response)

    def log_message(self, *_):
        """Logs nothing."""


def credential(token=None):
    """Returns a made-up credential."""
    return Credential("AKIDmadeup", "made-up-key", token)
