//! Requests to STS and to the metadata service: TLS, proxies and waiting calls.

use bytes::Bytes;
use http_body_util::Full;
use iai_emulator::{Account, Action, Fault, FaultKind};
use tonic::{Code, Status};

use crate::harness::{
    DeadUpstream, GET_GROUP_INFO, Program, client, error_info, group, http, own_reason, request,
    send, start_emulator, text, tls_proxy::TlsProxy,
};

const ROLE: [&str; 2] = ["--role-arn", "qcs::cam::uin/1:roleName/iai"];

#[tokio::test]
async fn requests_to_the_metadata_service_bypass_proxies() {
    let emulator = start_emulator().await;
    emulator.set_instance_role(Some("iai-reader"));
    let dead_upstream = DeadUpstream::new();
    let proxy = format!("http://{}", dead_upstream.address());
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
async fn sts_is_verified_with_the_upstream_ca() {
    let emulator = start_emulator().await;
    let sts = TlsProxy::start(emulator.address(), "localhost", "http/1.1").await;
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

    // The first request ended with the start-up timeout; the second has just started.
    emulator.wait_for_requests(2).await;
    // Sent without a generated client, which would enforce the deadline itself.
    let message = Bytes::from_static(b"\0\0\0\0\x05\x0a\x03aaa");
    let request = request(GET_GROUP_INFO).header("grpc-timeout", "300m");
    let response = send(addresses.grpc, request.body(Full::new(message)).unwrap()).await;

    let status = Status::from_header_map(response.headers()).unwrap();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(own_reason(&status), "DEADLINE_EXCEEDED");
}
