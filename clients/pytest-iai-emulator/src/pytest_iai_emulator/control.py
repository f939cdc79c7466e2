"""Client of the emulator's control API: JSON over HTTP, with a bearer token if the emulator has one."""

import json
import urllib.error
import urllib.parse
import urllib.request

# Maximum time for a request that waits for nothing, in seconds.
TIMEOUT_SECONDS = 10


class ControlError(Exception):
    """A request that the control API rejected or did not answer."""


class Control:
    """The control API at a URL such as `http://127.0.0.1:9081`."""

    def __init__(self, url, token=None):
        if urllib.parse.urlsplit(url).scheme != "http":
            raise ControlError(f"{url!r} is not the URL of a control API, such as http://127.0.0.1:9081")
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        # Without the proxies of the environment: the emulator is on this machine or beside it.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method, *segments, body=None, query=None, waits_seconds=0):
        """Sends a request to the path of these segments below /v1, and returns the document of the reply.

        Returns `None` if the reply has no document. `waits_seconds` is the time that the emulator may take
        beyond that of other requests. Raises `ControlError` if the request is rejected or fails.
        """
        path = "/".join(urllib.parse.quote(segment, safe="") for segment in segments)
        url = f"{self._url}/v1/{path}"
        if query:
            url += f"?{urllib.parse.urlencode(query)}"
        headers, data = dict(self._headers), None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS + waits_seconds) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            with error:
                raise ControlError(f"{method} {url}: {_message(error)}") from None
        except OSError as error:
            raise ControlError(f"{method} {url}: {error}; is the emulator running?") from error
        return json.loads(text) if text else None


def _message(error):
    """Returns the message of a rejection."""
    try:
        return json.load(error)["error"]["message"]
    except (ValueError, TypeError, LookupError):
        return f"HTTP {error.code}, without a message of the control API"
