//! How STS and the metadata service are reached, and how long a call waits for them.

use bytes::Bytes;
use http_body_util::Full;
use iai_facade::emulator::{Account, Action, Fault, FaultKind};
use tonic::{Code, Status};

use crate::{
    encryption::Encrypted,
    harness::{
        GET_GROUP_INFO, Nobody, Program, client, error_info, group, http, own_reason, request,
        send, start_emulator, text,
    },
};

const ROLE: [&str; 2] = ["--role-arn", "qcs::cam::uin/1:roleName/iai"];

#[tokio::test]
async fn the_metadata_service_is_asked_past_any_proxy() {
    let emulator = start_emulator().await;
    emulator.set_instance_role(Some("iai-reader"));
    let nobody = Nobody::new();
    let proxy = format!("http://{}", nobody.address());
    let proxies = ["HTTP_PROXY", "http_proxy", "ALL_PROXY"].map(|name| (name, proxy.as_str()));
    let endpoint = emulator.endpoint();
    let flags = [
        "--credentials",
        "instance-role",
        "--metadata-endpoint",
        &endpoint,
    ];

    let (_program, addresses) = Program::serve(&flags, &proxies).await;

    assert_eq!(http(addresses.admin, "GET", "/readyz", "").await.0, 200);
}

#[tokio::test]
async fn sts_is_trusted_as_upstream_is() {
    let emulator = start_emulator().await;
    let sts = Encrypted::start(emulator.address(), "localhost", "http/1.1").await;
    let endpoint = emulator.endpoint();
    let account = Account::default();
    let variables = [
        ("TENCENTCLOUD_SECRET_ID", account.secret_id()),
        ("TENCENTCLOUD_SECRET_KEY", account.secret_key()),
    ];
    let ours = ["--endpoint", &endpoint, "--sts-endpoint", &sts.endpoint];
    let flags = [&ours[..], &ROLE].concat();

    let trusting = [&flags[..], &["--upstream-ca", sts.authority()]].concat();
    let (_program, addresses) = Program::serve(&trusting, &variables).await;
    client(addresses.grpc)
        .get_group_info(group("aaa"))
        .await
        .unwrap();

    let (_program, addresses) = Program::serve(&flags, &variables).await;
    let (status, page) = http(addresses.admin, "GET", "/readyz?verbose", "").await;
    assert_eq!(status, 503);
    assert!(
        page.contains("--role-arn") && page.contains("certificate"),
        "{page}"
    );
    let status = client(addresses.grpc)
        .get_group_info(group("aaa"))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(own_reason(&status), "CREDENTIALS_UNAVAILABLE");
    assert_eq!(text(status.metadata(), "grpc-retry-pushback-ms"), "-1");
    assert_eq!(error_info(&status).metadata["attempts"], "0");
}

#[tokio::test]
async fn a_call_waits_for_a_credential_until_its_deadline_and_no_longer() {
    let emulator = start_emulator().await;
    emulator.script(
        Fault::from(FaultKind::Hold)
            .on(Action::AssumeRole)
            .times(1_000),
    );
    let endpoint = emulator.endpoint();
    let account = Account::default();
    let variables = [
        ("TENCENTCLOUD_SECRET_ID", account.secret_id()),
        ("TENCENTCLOUD_SECRET_KEY", account.secret_key()),
    ];
    let ours = ["--endpoint", &endpoint, "--sts-endpoint", &endpoint];
    let (_program, addresses) = Program::serve(&[&ours[..], &ROLE].concat(), &variables).await;
    assert_eq!(http(addresses.admin, "GET", "/livez", "").await.0, 200);

    // The first request ended with the patience of the start; the second has just begun.
    emulator.called(2).await;
    // By hand: a client gives up by itself when its deadline passes.
    let message = Bytes::from_static(b"\0\0\0\0\x05\x0a\x03aaa");
    let request = request(GET_GROUP_INFO).header("grpc-timeout", "300m");
    let response = send(addresses.grpc, request.body(Full::new(message)).unwrap()).await;

    let status = Status::from_header_map(response.headers()).unwrap();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(own_reason(&status), "DEADLINE_EXCEEDED");
}
