"""An upstream that is not the emulator: it believes what the vendor's SDK would have signed."""

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
ANSWERS = {
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
    """Runs an HTTP server that accepts calls signed with `credential`, and yields it."""
    with Upstream(credential) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Upstream(ThreadingHTTPServer):
    """An HTTP server that verifies signatures, answers as documented, and remembers."""

    def __init__(self, credential):
        super().__init__(("127.0.0.1", 0), Handler)
        self.credential = credential
        self.calls = []

    @property
    def url(self):
        """Where it is, for `--endpoint`."""
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, call):
        """Returns what is inside the envelope that answers a call."""
        self.calls.append(call)
        if not call.is_signed_with(self.credential):
            error = {"Code": "AuthFailure.SignatureFailure", "Message": "Not what the SDK signs."}
            return {"Error": error, "RequestId": REQUEST_ID}
        return ANSWERS[call.headers["X-TC-Action"]] | {"RequestId": REQUEST_ID}


@dataclass(frozen=True)
class Call:
    """A request as it arrived."""

    method: str
    path: str
    headers: object
    body: bytes

    def is_signed_with(self, credential):
        """Tells whether the vendor's SDK signs this very request so, and signed it just now."""
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
    """Answers over connections that are kept, as upstream's are."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        call = Call(self.command, self.path, self.headers, body)
        answer = json.dumps({"Response": self.server.answer(call)}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        """Says nothing: a test tells what it finds."""


def credential(token=None):
    """Returns a credential that no account has."""
    return Credential("AKIDmadeup", "made-up-key", token)
