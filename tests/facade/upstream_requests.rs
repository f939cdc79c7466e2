//! What a call looks like when it arrives at upstream.

use iai_facade::emulator::{Account, FaultKind, ReceivedCall};
use tonic::Code;

use crate::harness::{Facade, Program, client, error_info, group, settings, start_emulator};

#[tokio::test]
async fn a_call_carries_the_headers_of_the_vendors_sdks() {
    let facade = Facade::start().await;

    let call = call(&facade).await;

    assert_eq!(
        (call.method.as_str(), call.action.as_str()),
        ("POST", "GetGroupInfo")
    );
    assert_eq!(call.version, "2020-03-03");
    assert_eq!(call.content_type.as_deref(), Some("application/json"));
    assert_eq!(call.host, facade.emulator.address().to_string());
    assert_eq!(call.language.as_deref(), Some("en-US"));
    assert_eq!(call.region, None);
    let client = concat!("iai-facade_", env!("CARGO_PKG_VERSION"));
    assert_eq!(call.request_client.as_deref(), Some(client));
    assert!(!call.has_token);
    assert_eq!(call.code, None);
}

#[tokio::test]
async fn region_and_language_are_as_set() {
    let facade = Facade::start_with(&["--region", "ap-shanghai", "--language", "zh-CN"]).await;

    let call = call(&facade).await;

    assert_eq!(call.region.as_deref(), Some("ap-shanghai"));
    assert_eq!(call.language.as_deref(), Some("zh-CN"));
}

#[test]
fn the_region_is_guangzhou_on_the_default_host_and_none_elsewhere() {
    let cases: [(&[&str], Option<&str>); 5] = [
        (&[], Some("ap-guangzhou")),
        (
            &["--endpoint", "https://iai.tencentcloudapi.com:8443"],
            Some("ap-guangzhou"),
        ),
        (
            &["--endpoint", "https://iai.intl.tencentcloudapi.com"],
            None,
        ),
        (&["--region", ""], None),
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
async fn a_token_is_sent_with_temporary_keys_alone() {
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

    assert!(emulator.calls()[0].has_token);
    drop(program);
}

#[tokio::test]
async fn a_secret_that_upstream_does_not_accept_is_not_the_callers_fault() {
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
async fn a_clock_that_is_an_hour_off_is_not_the_callers_fault() {
    let facade = Facade::start_plain().await;

    for offset in [-3_600, 3_600] {
        facade.emulator.offset_clock(offset);
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
    let elsewhere = start_emulator().await;
    let location = elsewhere.endpoint().parse().unwrap();
    facade.emulator.script(FaultKind::Redirect(location));

    facade
        .client()
        .get_group_info(group("aaa"))
        .await
        .unwrap_err();

    assert!(elsewhere.calls().is_empty());
}

#[tokio::test]
async fn the_proxy_variables_count() {
    // The emulator takes the absolute form of addresses that proxies are sent.
    let proxy = start_emulator().await;
    let variables = [
        ("HTTP_PROXY", proxy.endpoint()),
        ("TENCENTCLOUD_SECRET_ID", "AKIDEMULATOR".to_owned()),
        ("TENCENTCLOUD_SECRET_KEY", "emulator-secret".to_owned()),
    ];
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let flags = ["--endpoint", "http://iai.example.invalid"];
    let (_program, addresses) = Program::serve(&flags, &variables).await;

    let mut client = client(addresses.grpc);
    client.get_group_info(group("aaa")).await.unwrap();

    assert_eq!(proxy.calls()[0].host, "iai.example.invalid");
}

async fn call(facade: &Facade) -> ReceivedCall {
    facade.client().get_group_info(group("aaa")).await.unwrap();
    facade.emulator.calls().remove(0)
}
