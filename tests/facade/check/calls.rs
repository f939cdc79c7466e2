//! The clock, and the signed call with each error of a wrong set-up.

use iai_emulator::{Account, FaultKind};

use crate::harness::{
    checked::{CREDENTIAL, Checked},
    raw_api, start_emulator,
};

/// Runs the check with this credential.
async fn with_credential(endpoint: &str, id: &str, key: &str, token: &str) -> Checked {
    let variables = [
        ("TENCENTCLOUD_SECRET_ID", id),
        ("TENCENTCLOUD_SECRET_KEY", key),
        ("TENCENTCLOUD_TOKEN", token),
    ];
    Checked::run(&["--endpoint", endpoint], &variables).await
}

#[tokio::test]
async fn one_signed_call_for_an_unknown_group_proves_the_setup() {
    let emulator = start_emulator().await;

    let checked = Checked::at(&emulator.endpoint(), &[]).await;

    assert_eq!(checked.code, 0, "{}", checked.output);
    assert!(checked.with_status("failed").is_empty());
    let call = checked.step("call");
    assert_eq!(call["code"], "InvalidParameterValue.GroupIdNotExist");
    let requests = emulator.requests();
    let signed = requests
        .iter()
        .filter(|request| request.signed_service.is_some());
    let [signed] = signed.collect::<Vec<_>>()[..] else {
        panic!("{requests:?}");
    };
    assert_eq!(signed.action, "GetGroupInfo");
    assert_eq!(call["request_id"].as_str(), signed.request_id.as_deref());
    checked.assert_hides(&["AKIDEMULATOR", "emulator-secret"]);
}

#[tokio::test]
async fn a_wrong_secret_and_an_unknown_id_have_their_causes() {
    let emulator = start_emulator().await;
    let endpoint = emulator.endpoint();
    let (id, key) = (CREDENTIAL[0].1, CREDENTIAL[1].1);

    let checked = with_credential(&endpoint, id, "correct-horse", "").await;
    let words = ["AuthFailure.SignatureFailure", "SecretKey does not belong"];
    checked.assert_failed("call", 3, &words);
    checked.assert_hides(&[id, "correct-horse"]);

    let checked = with_credential(&endpoint, "AKIDother", key, "").await;
    let words = [
        "AuthFailure.SecretIdNotFound",
        "wrong site for this account",
        "https://iai.intl.tencentcloudapi.com",
    ];
    checked.assert_failed("call", 3, &words);
    checked.assert_hides(&["AKIDother", key]);
}

#[tokio::test]
async fn an_expired_token_has_its_cause() {
    let emulator = start_emulator().await;
    let account = Account::new("AKIDtemporary", "battery").with_token("current-token");
    emulator.replace_account(account);

    let checked = with_credential(
        &emulator.endpoint(),
        "AKIDtemporary",
        "battery",
        "old-token",
    )
    .await;

    let words = [
        "AuthFailure.TokenFailure",
        "temporary credential has expired",
    ];
    checked.assert_failed("call", 3, &words);
    checked.assert_hides(&["AKIDtemporary", "battery", "old-token", "current-token"]);
}

#[tokio::test]
async fn each_error_of_the_account_has_its_cause() {
    let cases = [
        (
            "AuthFailure.UnauthorizedOperation",
            "Allow the action iai:GetGroupInfo",
        ),
        ("UnauthorizedOperation", "Allow the action iai:GetGroupInfo"),
        ("ResourceUnavailable.InArrears", "in arrears"),
        ("ResourceUnavailable.NotExist", "not activated"),
        ("UnsupportedRegion", "--region"),
        ("RequestLimitExceeded", "--upstream-rate"),
        ("LimitExceeded", "buy a larger quota"),
        ("IpNotInWhitelist", "address of this machine"),
        ("AuthFailure.SignatureExpire", "Synchronize the clock"),
        ("InternalError", "Tencent Cloud failed"),
    ];
    let emulator = start_emulator().await;
    for (code, words) in cases {
        emulator.script(FaultKind::api_error(code));

        let checked = Checked::at(&emulator.endpoint(), &[]).await;

        checked.assert_failed("call", 3, &[code, words]);
        assert_eq!(checked.step("call")["code"], code);
        assert!(checked.step("call")["request_id"].is_string());
    }
}

#[tokio::test]
async fn an_undocumented_code_and_the_message_are_not_shown() {
    let emulator = start_emulator().await;
    emulator.script(FaultKind::response(
        r#"{"Response":{"Error":{"Code":"Account.100000000001","Message":"uin/100000000001"},
            "RequestId":"uin/100000000001"}}"#,
    ));

    let checked = Checked::at(&emulator.endpoint(), &[]).await;

    checked.assert_failed("call", 3, &["an undocumented code"]);
    checked.assert_hides(&["100000000001"]);
}

#[tokio::test]
async fn the_real_rate_limit_of_the_account_is_named() {
    let emulator = start_emulator().await;
    emulator.set_rate_limit(Some(0));

    let checked = Checked::at(&emulator.endpoint(), &[]).await;

    checked.assert_failed("call", 3, &["RequestLimitExceeded", "docs/quota.md"]);
}

#[tokio::test]
async fn a_clock_off_by_an_hour_fails_and_by_two_minutes_warns() {
    let emulator = start_emulator().await;
    let endpoint = emulator.endpoint();

    for (offset, direction) in [(3_600, "behind"), (-3_600, "ahead of")] {
        emulator.set_clock_offset(offset);
        let checked = Checked::at(&endpoint, &[]).await;
        checked.assert_failed("clock", 5, &[direction, "Synchronize the clock"]);
    }

    emulator.set_clock_offset(120);
    let checked = Checked::at(&endpoint, &[]).await;
    assert_eq!(checked.code, 0, "{}", checked.output);
    assert_eq!(checked.with_status("warning"), ["clock"]);
}

#[tokio::test]
async fn a_response_that_is_none_of_the_api_fails() {
    let cases = [
        (FaultKind::Garbage, "Another server than the API"),
        (FaultKind::Truncate, "Another server than the API"),
        (
            FaultKind::status(http::StatusCode::BAD_GATEWAY),
            "A gateway or proxy",
        ),
        (
            FaultKind::status(http::StatusCode::TOO_MANY_REQUESTS),
            "in a second",
        ),
        (
            FaultKind::Cut(iai_emulator::Cut::BeforeHeaders),
            "ended the connection",
        ),
    ];
    let emulator = start_emulator().await;
    for (kind, words) in cases {
        emulator.script(kind);

        let checked = Checked::at(&emulator.endpoint(), &[]).await;

        checked.assert_failed("call", 3, &[words]);
    }
    emulator.script(FaultKind::Hold);

    let checked = Checked::at(&emulator.endpoint(), &["--max-call-time", "2s"]).await;

    checked.assert_failed("call", 3, &["no complete response within 2s"]);
}

#[tokio::test]
async fn a_proxy_that_rejects_only_the_signed_call_is_named() {
    let api =
        raw_api::start("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            .await;

    let checked = Checked::at(&api.endpoint(), &[]).await;

    checked.assert_failed("call", 3, &["HTTP 407", "USER:PASSWORD"]);
}

#[tokio::test]
async fn a_response_without_a_date_is_a_warning_about_the_clock() {
    let response = "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}";
    let api = raw_api::start_for_all(response).await;

    let checked = Checked::at(&api.endpoint(), &[]).await;

    checked.assert_failed("call", 3, &["HTTP 404", "Another server than the API"]);
    assert_eq!(checked.with_status("warning"), ["clock"]);
    assert_eq!(checked.step("clock")["summary"], "the response has no Date");
}
