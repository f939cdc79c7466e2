//! Upstream responses: HTTP errors, invalid bodies and API errors.

use super::{Expected, INVALID, RATE_LIMITED, UNREACHABLE};

/// HTTP status codes, sent with and without a body, and their expected errors.
pub(super) const STATUSES: &[(u16, Expected)] = &[
    (200, INVALID),
    (302, INVALID),
    (404, INVALID),
    (429, RATE_LIMITED),
    (500, INVALID),
    (502, UNREACHABLE),
    (503, UNREACHABLE),
    (504, UNREACHABLE),
];

/// Invalid bodies of responses with status 200.
pub(super) const BODIES: &[(&str, &str)] = &[
    ("truncated JSON", r#"{"Response":{"GroupId":"aaa","#),
    (
        "JSON of the wrong shape",
        r#"{"Response":{"GroupId":[],"GroupNum":{},"RequestId":"r"}}"#,
    ),
    ("JSON without an envelope", r#"{"message":"hello"}"#),
];

/// One error code of each class, with the expected status and number of attempts.
pub(super) const API_ERRORS: &[(&str, &str, u32)] = &[
    ("ResourceUnavailable.InArrears", "FAILED_PRECONDITION", 1),
    (
        "InvalidParameterValue.GroupIdAlreadyExist",
        "ALREADY_EXISTS",
        1,
    ),
    ("MissingParameter", "INVALID_ARGUMENT", 1),
    ("InvalidParameter", "INVALID_ARGUMENT", 1),
    ("AuthFailure.SignatureExpire", "INTERNAL", 1),
    ("FailedOperation.ConflictOperation", "ABORTED", 3),
    ("AuthFailure.SignatureFailure", "INTERNAL", 1),
    ("InvalidAction", "INTERNAL", 1),
    ("ResourceNotFound", "NOT_FOUND", 1),
    ("InvalidParameterValue.OffsetExceed", "OUT_OF_RANGE", 1),
    ("UnauthorizedOperation", "FAILED_PRECONDITION", 1),
    ("LimitExceeded", "RESOURCE_EXHAUSTED", 1),
    (
        "FailedOperation.GroupInDeletedState",
        "FAILED_PRECONDITION",
        1,
    ),
    ("RequestLimitExceeded", "RESOURCE_EXHAUSTED", 2),
    ("FailedOperation.ServerError", "UNAVAILABLE", 3),
    ("FailedOperation", "UNKNOWN", 1),
    ("InternalError", "INTERNAL", 3),
    ("ActionOffline", "UNIMPLEMENTED", 1),
];
