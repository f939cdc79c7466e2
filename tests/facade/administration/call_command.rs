//! `iai-facade call`: output, errors and exit codes.

use crate::harness::{Facade, errors, run, tls_proxy::TlsProxy};

#[tokio::test]
async fn call_prints_the_response_as_json() {
    let facade = Facade::start().await;
    let address = facade.addresses.grpc.to_string();

    let flags = [
        "call",
        "get-group-info",
        "--group-id",
        "aaa",
        "--address",
        &address,
    ];
    let output = run(&flags, &[]).await;

    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let (response, request_id) = text.split_once("  \"requestId\": \"").unwrap();
    let expected = r#"{
  "groupName": "aaa",
  "groupId": "aaa",
  "groupExDescriptions": [
    "24"
  ],
  "tag": "fdsaf",
  "faceModelVersion": "3.0",
  "creationTimestamp": "2019-06-03T03:02:11.613Z",
"#;
    assert_eq!(response, expected);
    assert_eq!(
        request_id.len(),
        "6faa05d0-287b-464e-8755-cf3e8d0c703d\"\n}\n".len()
    );
    assert!(output.stderr.is_empty());
}

#[tokio::test]
async fn call_prints_empty_fields_and_returns_the_requested_page() {
    let facade = Facade::start().await;
    let address = format!("http://{}", facade.addresses.grpc);

    let person = ["call", "get-person-group-info", "--person-id", "2001"];
    let page = ["--offset", "1", "--limit", "5", "--address", &address];
    let output = run(&[&person[..], &page].concat(), &[]).await;

    let response: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(response["personGroupInfos"], serde_json::json!([]));
    assert_eq!(response["groupNum"], 1);
    let parameters = &facade.emulator.requests()[0].parameters;
    assert_eq!(
        *parameters,
        serde_json::json!({"PersonId": "2001", "Offset": 1, "Limit": 5})
    );
}

#[tokio::test]
async fn call_prints_an_error_to_standard_error_and_exits_with_1() {
    let facade = Facade::start().await;
    let variables = [("IAI_FACADE_ADDRESS", facade.addresses.grpc.to_string())];
    let variables = variables
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));

    let flags = ["call", "get-person-group-info", "--person-id", "1002"];
    let output = run(&flags, &variables).await;

    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let errors = errors(&output);
    let mut lines = errors.lines();
    assert_eq!(lines.next(), Some("NOT_FOUND: the person does not exist"));
    for line in [
        "google.rpc.ErrorInfo",
        "  reason: PERSON_NOT_FOUND",
        "  domain: iaifacade.v1",
        "    action: GetPersonGroupInfo",
        "google.rpc.RequestInfo",
        "google.rpc.ResourceInfo",
        "  resourceName: 1002",
    ] {
        assert!(
            errors.lines().any(|found| found == line),
            "{line} is not in:\n{errors}"
        );
    }
}

#[tokio::test]
async fn call_trusts_the_given_ca_of_a_tls_server() {
    let facade = Facade::start().await;
    let tls = TlsProxy::start(facade.addresses.grpc, "localhost", "h2").await;
    let flags = [
        "call",
        "get-group-info",
        "--group-id",
        "aaa",
        "--address",
        &tls.endpoint,
    ];

    let output = run(&[&flags[..], &["--ca", tls.authority()]].concat(), &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));

    let output = run(&flags, &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors(&output).contains("cannot connect"),
        "{}",
        errors(&output)
    );
}
