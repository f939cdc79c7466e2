"""The status and details of each Tencent Cloud error code, from tests/data/error_codes.csv."""

import csv
import re
from dataclasses import dataclass, replace

from program import REPOSITORY
from service import NEVER, NO_HINTS, OPERATIONS, Hints

TABLE = REPOSITORY / "tests/data/error_codes.csv"

RESOURCE_TYPES = {"group_id": "iai.Group", "person_id": "iai.Person"}

PRECONDITIONS = {"account": "ACCOUNT", "policy": "CAM_POLICY", "state": "RESOURCE_STATE"}

DELAYS_MS = {"conflict": 500, "throttled": 1000, "transient": 200}
BILLING_LOOKUP_MS = 1000


@dataclass(frozen=True)
class ErrorCode:
    """A row of the table."""

    code: str
    grpc_status: str
    kind: str
    is_retried: bool
    field: str

    def status(self, operation):
        """Returns the gRPC status of the code for an operation."""
        if self.code == "ResponseSizeLimitExceeded" and "limit" not in OPERATIONS[operation]:
            return "INTERNAL"
        return self.grpc_status

    @property
    def reason(self):
        """The code in UPPER_SNAKE_CASE. A run of capitals is one word."""
        return "_".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z]+", self.code)).upper()

    def bad_field(self, operation):
        """Returns the invalid field, if the operation's request has it."""
        if self.kind not in ("bad_field", "out_of_range"):
            return None
        if self.field.startswith("("):
            return OPERATIONS[operation][0]
        return self.field if self.field in OPERATIONS[operation] else None

    def resource(self, operation, id):
        """Returns the type of the missing resource, and its name if the request has it."""
        if self.kind != "not_found" or not self.field:
            return None
        return RESOURCE_TYPES[self.field], id if self.field in OPERATIONS[operation] else ""

    @property
    def precondition(self):
        """The type of the violated precondition."""
        return PRECONDITIONS.get(self.kind)

    @property
    def is_quota(self):
        """Whether the code reports an exceeded quota or rate."""
        return self.kind in ("quota", "throttled")

    @property
    def has_help(self):
        """Whether the error has a help link."""
        return self.kind == "account"

    def hints(self, operation):
        """Returns the expected retry hints."""
        if self.is_retried:
            is_billing_lookup = self.code.startswith("ResourceUnavailable.")
            return Hints.after(BILLING_LOOKUP_MS if is_billing_lookup else DELAYS_MS[self.kind])
        return NEVER if self.status(operation) in ("INTERNAL", "UNKNOWN") else NO_HINTS


def _read():
    with TABLE.open(newline="") as table:
        return [
            ErrorCode(
                code=row["upstream_code"],
                grpc_status=row["grpc_status"],
                kind=row["class"],
                is_retried=row["caller_retry"] == "after_delay",
                field=row["field"],
            )
            for row in csv.DictReader(table)
        ]


LISTED = _read()

_ROWS = {row.code: row for row in LISTED}

UNLISTED = [
    replace(_ROWS["InvalidParameterValue"], code="InvalidParameterValue.Unlisted"),
    replace(_ROWS["RequestLimitExceeded"], code="RequestLimitExceeded.Unlisted"),
    replace(_ROWS["ResourceNotFound"], code="ResourceNotFound.Unlisted"),
    ErrorCode("AuthFailure", "INTERNAL", "credentials", False, ""),
    ErrorCode("AuthFailure.Unlisted", "INTERNAL", "credentials", False, ""),
    ErrorCode("ResourcesSoldOut.Unlisted", "FAILED_PRECONDITION", "account", False, ""),
    ErrorCode("Unlisted.OfClass", "UNKNOWN", "unknown", False, ""),
]
"""Codes without a row, which have the meaning of their class."""

ONE_OF_EACH_CLASS = list({row.kind: row for row in reversed(LISTED)}.values())
