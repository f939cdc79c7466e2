//! Tests of the order of the checks, with one request that the vendor's SDK signed.

use http::Request;

use super::*;
use crate::{Fault, FaultKind};

#[test]
fn a_verified_request_succeeds_and_is_logged() {
    let world = world();
    assert_eq!(world.receive(&head("2020-03-03"), Ok(BODY)).code, None);
    let [request] = world.request_log.received().try_into().unwrap();
    assert_eq!(request.action, "GetGroupInfo");
    assert_eq!(request.timestamp, Some(TIMESTAMP));
    assert_eq!(request.parameters, serde_json::json!({"GroupId": "aaa"}));
    assert!(!request.has_token);
}

#[test]
fn a_fault_applies_only_to_verified_requests() {
    let world = world();
    world.script(FaultKind::api_error("InternalError"));
    assert_code(
        &world.receive(&head("2020-03-03"), Ok("{}".into())),
        "AuthFailure.SignatureFailure",
    );
    assert_code(
        &world.receive(&head("2020-03-03"), Ok(BODY)),
        "InternalError",
    );
    assert_eq!(world.receive(&head("2020-03-03"), Ok(BODY)).code, None);
}

#[test]
fn a_request_over_the_rate_limit_takes_no_fault() {
    let world = world();
    world.script(FaultKind::api_error("InternalError"));
    world.state().rate_limit.replace(Some(0));
    assert_code(
        &world.receive(&head("2020-03-03"), Ok(BODY)),
        "RequestLimitExceeded",
    );
    world.state().rate_limit.replace(None);
    assert_code(
        &world.receive(&head("2020-03-03"), Ok(BODY)),
        "InternalError",
    );
}

#[test]
fn a_fault_applies_before_version_and_parameters_are_checked() {
    let world = world();
    world.script(FaultKind::api_error("InternalError"));
    assert_code(
        &world.receive(&head("2018-03-01"), Ok(BODY)),
        "InternalError",
    );
    assert_code(
        &world.receive(&head("2018-03-01"), Ok(BODY)),
        "NoSuchVersion",
    );
}

#[test]
fn a_request_that_is_too_large_is_logged() {
    let world = world();
    let error = ApiError::new("RequestSizeLimitExceeded", "");
    assert_code(
        &world.receive(&head("2020-03-03"), Err(error)),
        "RequestSizeLimitExceeded",
    );
    let [request] = world.request_log.received().try_into().unwrap();
    assert_eq!(request.code.as_deref(), Some("RequestSizeLimitExceeded"));
    assert!(request.parameters.is_null());
}

#[test]
fn a_missing_or_unknown_action_is_rejected() {
    let mut unnamed = head("2020-03-03");
    unnamed.headers.remove("x-tc-action");
    let mut unknown = head("2020-03-03");
    unknown
        .headers
        .insert("x-tc-action", "getGroupInfo".parse().unwrap());
    assert_eq!(
        requested_action(&unnamed).unwrap_err().code,
        "MissingParameter"
    );
    assert_eq!(
        requested_action(&unknown).unwrap_err().code,
        "InvalidAction"
    );
}

#[test]
fn an_sts_request_signed_for_iai_is_rejected() {
    let mut head = head("2018-08-13");
    head.headers
        .insert("x-tc-action", "AssumeRole".parse().unwrap());
    assert_code(
        &world().receive(&head, Ok(BODY)),
        "AuthFailure.SignatureFailure",
    );
}

#[test]
fn only_web_identity_requests_may_be_unsigned() {
    for (action, version, code) in [
        (
            "AssumeRole",
            "2018-08-13",
            "AuthFailure.InvalidAuthorization",
        ),
        (
            "GetGroupInfo",
            "2020-03-03",
            "AuthFailure.InvalidAuthorization",
        ),
        (
            "AssumeRoleWithWebIdentity",
            "2018-08-13",
            "UnknownParameter",
        ),
    ] {
        let mut head = head(version);
        head.headers.insert("x-tc-action", action.parse().unwrap());
        head.headers
            .insert("authorization", "SKIP".parse().unwrap());
        assert_code(&world().receive(&head, Ok(BODY)), code);
    }
}

fn assert_code(reply: &Reply, code: &str) {
    assert_eq!(reply.code.as_deref(), Some(code));
}

impl World {
    fn script(&self, kind: FaultKind) {
        self.state().script.append(Fault::from(kind));
    }
}

/// Creates a world with the default dataset, the account of the request below, and a clock set to the
/// time of its signature.
fn world() -> World {
    let account = Account::new(
        "AKIDEXAMPLE0000000000000000000000000",
        "SECRETKEYEXAMPLE0000000000000000",
    );
    let fixtures = Fixtures {
        account,
        ..Fixtures::default()
    };
    let world = World::new(&fixtures, MemoryBudget::new(1 << 20));
    world.clock.set_offset(TIMESTAMP - world.clock.now());
    world
}

/// Returns the head of the vector `basic-getgroupinfo`. The signature does not cover the version.
fn head(version: &str) -> Parts {
    let request = Request::post("/")
        .header(
            "authorization",
            "TC3-HMAC-SHA256 \
             Credential=AKIDEXAMPLE0000000000000000000000000/2023-11-14/iai/tc3_request, \
             SignedHeaders=content-type;host, \
             Signature=7dc3ea69b16f160664fb7e9393721f3b3f1c5014cae4d7c526ea3c32f89d0fb4",
        )
        .header("content-type", "application/json")
        .header("host", "iai.tencentcloudapi.com")
        .header("x-tc-action", "GetGroupInfo")
        .header("x-tc-timestamp", TIMESTAMP)
        .header("x-tc-version", version);
    request.body(()).unwrap().into_parts().0
}

const BODY: Bytes = Bytes::from_static(br#"{"GroupId": "aaa"}"#);
const TIMESTAMP: i64 = 1_700_000_000;
