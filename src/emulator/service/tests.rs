//! The order in which a call is judged, tried with one call that the vendor's SDK signed.

use super::*;
use crate::emulator::{Fault, FaultKind};

#[test]
fn a_verified_call_is_answered_and_recorded() {
    let service = service();
    assert_eq!(service.receive(&head("2020-03-03"), Ok(BODY)).code, None);
    let [call] = service.calls.received().try_into().unwrap();
    assert_eq!(call.action, "GetGroupInfo");
    assert_eq!(call.timestamp, Some(TIMESTAMP));
    assert_eq!(call.parameters, serde_json::json!({"GroupId": "aaa"}));
    assert!(!call.has_token);
}

#[test]
fn a_fault_befalls_verified_calls_only() {
    let service = service();
    service.script(FaultKind::refuse("InternalError"));
    assert_code(
        &service.receive(&head("2020-03-03"), Ok("{}".into())),
        "AuthFailure.SignatureFailure",
    );
    assert_code(
        &service.receive(&head("2020-03-03"), Ok(BODY)),
        "InternalError",
    );
    assert_eq!(service.receive(&head("2020-03-03"), Ok(BODY)).code, None);
}

#[test]
fn a_call_over_the_rate_limit_leaves_the_script_as_it_is() {
    let service = service();
    service.script(FaultKind::refuse("InternalError"));
    service.controls().rate_limit.replace(Some(0));
    assert_code(
        &service.receive(&head("2020-03-03"), Ok(BODY)),
        "RequestLimitExceeded",
    );
    service.controls().rate_limit.replace(None);
    assert_code(
        &service.receive(&head("2020-03-03"), Ok(BODY)),
        "InternalError",
    );
}

#[test]
fn a_fault_comes_before_the_rules_of_the_action() {
    let service = service();
    service.script(FaultKind::refuse("InternalError"));
    assert_code(
        &service.receive(&head("2018-03-01"), Ok(BODY)),
        "InternalError",
    );
    assert_code(
        &service.receive(&head("2018-03-01"), Ok(BODY)),
        "NoSuchVersion",
    );
}

#[test]
fn a_request_the_api_does_not_take_is_recorded_too() {
    let service = service();
    let refusal = Refusal::new("RequestSizeLimitExceeded", "");
    assert_code(
        &service.receive(&head("2020-03-03"), Err(refusal)),
        "RequestSizeLimitExceeded",
    );
    let [call] = service.calls.received().try_into().unwrap();
    assert_eq!(call.code.as_deref(), Some("RequestSizeLimitExceeded"));
    assert!(call.parameters.is_null());
}

#[test]
fn an_action_and_a_version_must_be_named() {
    let mut nameless = head("2020-03-03");
    nameless.headers.remove("x-tc-action");
    let mut unknown = head("2020-03-03");
    unknown
        .headers
        .insert("x-tc-action", "getGroupInfo".parse().unwrap());
    assert_eq!(
        requested_action(&nameless).unwrap_err().code,
        "MissingParameter"
    );
    assert_eq!(
        requested_action(&unknown).unwrap_err().code,
        "InvalidAction"
    );
}

#[test]
fn a_call_of_sts_signed_for_another_product_is_refused() {
    let mut head = head("2018-08-13");
    head.headers
        .insert("x-tc-action", "AssumeRole".parse().unwrap());
    assert_code(
        &service().receive(&head, Ok(BODY)),
        "AuthFailure.SignatureFailure",
    );
}

#[test]
fn only_a_service_account_may_leave_its_call_unsigned() {
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
        assert_code(&service().receive(&head, Ok(BODY)), code);
    }
}

fn assert_code(reply: &Reply, code: &str) {
    assert_eq!(reply.code.as_deref(), Some(code));
}

impl Service {
    fn script(&self, kind: FaultKind) {
        self.controls().script.append(Fault::from(kind));
    }
}

/// The default records, the account of the call below, and the time at which it was signed.
fn service() -> Service {
    let account = Account::new(
        "AKIDEXAMPLE0000000000000000000000000",
        "SECRETKEYEXAMPLE0000000000000000",
    );
    let fixtures = Fixtures {
        account,
        ..Fixtures::default()
    };
    let service = Service::new(fixtures);
    service.clock.set_offset(TIMESTAMP - service.clock.now());
    service
}

/// The vector `basic-getgroupinfo`; the signature does not cover the version.
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
