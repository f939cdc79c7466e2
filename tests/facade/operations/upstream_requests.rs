//! Upstream requests: headers, region, language, token and signature as the emulator receives them.

use iai_emulator::{Account, FaultKind, ReceivedRequest};
use tonic::Code;

use crate::harness::{
    Facade, Program, client, error_info, group, operation::operations, settings, start_emulator,
};

#[tokio::test]
async fn a_request_has_the_headers_of_the_vendors_sdks() {
    let facade = Facade::start().await;

    let request = request(&facade).await;

    assert_eq!(
        (request.method.as_str(), request.action.as_str()),
        ("POST", "GetGroupInfo")
    );
    assert_eq!(request.version, "2020-03-03");
    assert_eq!(request.content_type.as_deref(), Some("application/json"));
    assert_eq!(request.host, facade.emulator.address().to_string());
    assert_eq!(request.language.as_deref(), Some("en-US"));
    assert_eq!(request.region, None);
    let client = concat!("iai-facade_", env!("CARGO_PKG_VERSION"));
    assert_eq!(request.request_client.as_deref(), Some(client));
    assert!(!request.has_token);
    assert_eq!(request.signed_service.as_deref(), Some("iai"));
    assert_eq!(request.code, None);
}

#[tokio::test]
async fn every_operation_reaches_the_action_of_its_name() {
    let facade = Facade::start().await;

    for operation in operations() {
        let result = operation.call(facade.addresses.grpc, &[]).await;

        let name = operation.name();
        if let Err(status) = result {
            assert_eq!(status.code(), Code::NotFound, "{name}: {status:?}");
        }
        let request = facade.emulator.requests().pop().unwrap();
        assert_eq!(request.action, name);
    }
}

#[tokio::test]
async fn region_and_language_are_sent_as_configured() {
    let facade = Facade::start_with(&["--region", "ap-shanghai", "--language", "zh-CN"]).await;

    let request = request(&facade).await;

    assert_eq!(request.region.as_deref(), Some("ap-shanghai"));
    assert_eq!(request.language.as_deref(), Some("zh-CN"));
}

#[test]
fn the_region_comes_from_the_flag_the_host_or_the_default() {
    let cases: [(&[&str], Option<&str>); 8] = [
        (&[], Some("ap-guangzhou")),
        (
            &["--endpoint", "https://iai.internal.tencentcloudapi.com"],
            Some("ap-guangzhou"),
        ),
        (
            &["--endpoint", "https://iai.ap-shanghai.tencentcloudapi.com"],
            Some("ap-shanghai"),
        ),
        (&["--endpoint", "https://iai.example.invalid"], None),
        (
            &["--endpoint", "https://iai.tencentcloudapi.com:8443"],
            Some("ap-guangzhou"),
        ),
        (
            &["--endpoint", "https://iai.intl.tencentcloudapi.com"],
            None,
        ),
        (&["--region", "none"], None),
        (&["--region", "ap-beijing"], Some("ap-beijing")),
    ];

    for (flags, expected) in cases {
        let region = settings(flags).upstream.region;
        assert_eq!(
            region.as_ref().map(|region| region.to_str().unwrap()),
            expected,
            "{flags:?}"
        );
    }
}

#[tokio::test]
async fn a_token_is_sent_with_a_temporary_key() {
    let emulator = start_emulator().await;
    emulator.replace_account(Account::new("AKIDtemporary", "key").with_token("a-token"));
    let variables = [
        ("TENCENTCLOUD_SECRET_ID", "AKIDtemporary"),
        ("TENCENTCLOUD_SECRET_KEY", "key"),
        ("TENCENTCLOUD_TOKEN", "a-token"),
    ];
    let (program, addresses) =
        Program::serve(&["--endpoint", &emulator.endpoint()], &variables).await;

    let mut client = client(addresses.grpc);
    client.get_group_info(group("aaa")).await.unwrap();

    assert!(emulator.requests()[0].has_token);
    drop(program);
}

#[tokio::test]
async fn a_rejected_credential_is_an_internal_error() {
    let facade = Facade::start().await;
    let accounts = [
        ("AKIDother", "AUTH_FAILURE_SECRET_ID_NOT_FOUND"),
        ("AKIDEMULATOR", "AUTH_FAILURE_SIGNATURE_FAILURE"),
    ];

    for (secret_id, reason) in accounts {
        facade
            .emulator
            .replace_account(Account::new(secret_id, "another-secret"));
        let status = facade
            .client()
            .get_group_info(group("aaa"))
            .await
            .unwrap_err();

        assert_eq!(status.code(), Code::Internal);
        assert_eq!(error_info(&status).reason, reason);
    }
}

#[tokio::test]
async fn a_clock_one_hour_off_is_an_internal_error() {
    let facade = Facade::start_plain().await;

    for offset in [-3_600, 3_600] {
        facade.emulator.set_clock_offset(offset);
        let status = facade
            .client()
            .get_group_info(group("aaa"))
            .await
            .unwrap_err();

        assert_eq!(status.code(), Code::Internal);
        let reason = error_info(&status).reason;
        assert_eq!(reason, "AUTH_FAILURE_SIGNATURE_EXPIRE");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let facade = Facade::start().await;
    let other = start_emulator().await;
    let location = other.endpoint().parse().unwrap();
    facade.emulator.script(FaultKind::Redirect(location));

    facade
        .client()
        .get_group_info(group("aaa"))
        .await
        .unwrap_err();

    assert!(other.requests().is_empty());
}

async fn request(facade: &Facade) -> ReceivedRequest {
    facade.client().get_group_info(group("aaa")).await.unwrap();
    facade.emulator.requests().remove(0)
}
