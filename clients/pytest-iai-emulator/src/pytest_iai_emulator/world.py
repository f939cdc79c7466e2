"""World of one test: its credential, and what it seeds, breaks and observes through the control API."""

import urllib.parse


class IaiEmulator:
    """An isolated world of the emulator. It has an account, groups, persons, faults, a rate limit, a clock
    and a log of requests of its own, and is empty at first.

    `secret_id` and `secret_key` are the credential whose requests it receives; `endpoint` is the URL of the
    emulated API, which all worlds share, and `host` its host and port, as `HttpProfile` takes it.
    """

    def __init__(self, control, endpoint, secret_id, secret_key):
        self._control = control
        self.endpoint = endpoint
        self.host = urllib.parse.urlsplit(endpoint).netloc
        self.secret_id = secret_id
        self.secret_key = secret_key

    @classmethod
    def create(cls, control, endpoint):
        """Creates a world with a generated credential."""
        world = control.call("POST", "worlds", body={"from": "nothing"})
        return cls(control, endpoint, world["secret_id"], world["secret_key"])

    def delete(self):
        """Deletes the world. The fixture does so after the test."""
        self._control.call("DELETE", "worlds", self.secret_id)

    def put_group(self, group_id, group_name=None, **fields):
        """Adds or replaces a group, named after its id by default.

        `fields` are those of fixtures: `group_ex_descriptions`, `tag`, `face_model_version` and
        `creation_timestamp`, in milliseconds and by default the time of the emulator.
        """
        name = group_id if group_name is None else group_name
        self._call("PUT", "groups", group_id, body={"group_name": name, **fields})

    def delete_group(self, group_id):
        """Deletes a group."""
        self._call("DELETE", "groups", group_id)

    def put_person(self, person_id, groups=(), **fields):
        """Adds or replaces a person with the groups that contain it: at most 100, in order, which need not
        exist.

        A group is its id, or a dictionary with `group_id` and `person_ex_descriptions`. `fields` are those
        of fixtures: `face_model_version`.
        """
        groups = [_membership(group) for group in groups]
        self._call("PUT", "persons", person_id, body={"groups": groups, **fields})

    def delete_person(self, person_id):
        """Deletes a person."""
        self._call("DELETE", "persons", person_id)

    def add_fault(self, **fault):
        """Appends a fault to the script, and returns its id.

        The keys are those of a fault of fixtures: one effect, such as `api_error={"code":
        "InternalError"}`, `delay="1500ms"`, `cut="before_headers"` or `status={"code": 503}`, and the
        requests that it applies to: `action`, `id`, `times` (1 by default), `probability`.
        """
        return self._call("POST", "faults", body=fault)["fault_id"]

    def clear_faults(self):
        """Deletes all faults."""
        self._call("DELETE", "faults")

    def set_rate_limit(self, requests_per_second):
        """Limits the rate of requests; zero rejects all, `None` removes the limit."""
        if requests_per_second is None:
            self._call("DELETE", "rate-limit")
        else:
            self._call("PUT", "rate-limit", body={"requests_per_second": requests_per_second})

    def set_clock_offset(self, offset):
        """Sets the offset of the emulator's clock from the system clock: a text such as `1h` or `-90s`;
        `None` removes it."""
        if offset is None:
            self._call("DELETE", "clock")
        else:
            self._call("PUT", "clock", body={"offset": offset})

    def requests(self):
        """Returns the last 1,000 requests to the API, oldest first.

        Each is a dictionary with `number`, `action`, `parameters`, `result`, `code`, `fault_id`,
        `request_id`, `signature_rejection` and others.
        """
        return self._call("GET", "requests", query={"limit": MAX_PAGE})["requests"]

    def wait_for_requests(self, count, timeout_seconds=10):
        """Waits until the world has received `count` requests in all, and returns them as `requests` does.

        The timeout is an integer of at most 60. Raises `TimeoutError` when it ends.
        """
        query = {"count": count, "timeout_seconds": timeout_seconds, "limit": MAX_PAGE}
        page = self._call("GET", "requests", "wait", query=query, waits_seconds=timeout_seconds)
        if not page["is_reached"]:
            received = ", ".join(f"{it['action']}: {it['result']}" for it in page["requests"])
            raise TimeoutError(
                f"{page['count']} of {count} requests were received within {timeout_seconds} s"
                f" ({received or 'none'})"
            )
        return page["requests"]

    def reset(self):
        """Empties the world: deletes groups, persons, faults and requests, and resets rate limit and
        clock."""
        self._call("POST", "reset", body={"to": "nothing"})

    def _call(self, method, *segments, **options):
        return self._control.call(method, "worlds", self.secret_id, *segments, **options)


def _membership(group):
    if isinstance(group, str):
        return {"group_id": group, "person_ex_descriptions": []}
    return group


# Maximum size of a page, which is that of the log of requests.
MAX_PAGE = 1_000
