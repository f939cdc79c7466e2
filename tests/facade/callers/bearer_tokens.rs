//! Bearer tokens and forwarded identities: which callers are authenticated, and under which name.

use std::fs;

use http_body_util::Full;
use tempfile::NamedTempFile;
use tonic::{Code, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::harness::{
    Facade, GET_GROUP_INFO, Program, TRACE_LOG,
    bearer_tokens::{digest, tokens, with_headers, with_token},
    client, errors, group, own_reason, request, run, send, text,
    trace_log::TraceLog,
};

const OTHER_METHODS: [&str; 6] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/iaifacade.v1.FaceRecognitionService/DetectFace",
    "/grpc.health.v1.Health/Nope",
    "/grpc.health.v1.Health/Check/",
    "/",
];

#[tokio::test]
async fn missing_and_wrong_tokens_are_rejected_and_all_listed_ones_accepted() {
    let tokens = tokens(&[("orders", "correct-horse"), ("orders", "battery-staple")]);
    let log = TraceLog::listen(["correct-horse", "battery-staple"]);
    let facade = Facade::start_with(&["--tokens-file", path(&tokens)]).await;

    for token in ["correct-horse", "battery-staple"] {
        let response = facade.client().get_group_info(with_token(token)).await;
        assert_eq!(response.unwrap().into_inner().group_id, "aaa");
    }
    let without = facade.client().get_group_info(group("aaa")).await;
    let wrong = facade.client().get_group_info(with_token("horse")).await;
    for status in [without.unwrap_err(), wrong.unwrap_err()] {
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(own_reason(&status), "CALLER_UNAUTHENTICATED");
        assert_eq!(text(status.metadata(), "grpc-retry-pushback-ms"), "");
        assert_eq!(text(status.metadata(), "x-request-id").len(), 36);
    }
    assert_eq!(facade.emulator.requests().len(), 2);
    log.assert_is_harmless();
}

#[tokio::test]
async fn without_a_token_only_health_is_available() {
    let tokens = tokens(&[("orders", "correct-horse")]);
    let log = TraceLog::listen(["correct-horse".to_owned(), digest("correct-horse")]);
    let facade = Facade::start_with(&["--tokens-file", path(&tokens)]).await;

    let mut health = HealthClient::new(facade.channel());
    let check = HealthCheckRequest::default;
    health.check(check()).await.unwrap();
    let watch = health.watch(check()).await.unwrap();
    assert!(watch.into_inner().message().await.unwrap().is_some());

    for path in OTHER_METHODS.iter().chain([&GET_GROUP_INFO]) {
        let body = Full::from(&b"\0\0\0\0\0"[..]);
        let response = send(facade.addresses.grpc, request(path).body(body).unwrap()).await;
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::Unauthenticated, "{path}");
        assert_eq!(own_reason(&status), "CALLER_UNAUTHENTICATED");
    }
    log.assert_is_harmless();
}

#[tokio::test]
async fn forwarded_identity_is_ignored_unless_trusted() {
    let certificates = ("x-forwarded-client-cert", "Hash=1;URI=spiffe://shop/orders");
    let client_id = ("l5d-client-id", "orders.shop.serviceaccount");
    let trusting = &["--trust-forwarded-identity"][..];
    let address = "address:127.0.0.1";
    let cases = [
        (&[][..], vec![certificates], address),
        (&[], vec![client_id], address),
        (&[], vec![], address),
        (
            trusting,
            vec![certificates],
            "forwarded:spiffe://shop/orders",
        ),
        (
            trusting,
            vec![client_id],
            "forwarded:orders.shop.serviceaccount",
        ),
        // One of the two headers does not come from the proxy.
        (trusting, vec![certificates, client_id], address),
        (trusting, vec![], address),
    ];

    for (flags, headers, caller) in cases {
        let flags = [&["--emulate", "--log-slow", "0s"], flags].concat();
        let (mut program, addresses) = Program::serve(&flags, &[]).await;
        let request = with_headers(&headers);
        client(addresses.grpc)
            .get_group_info(request)
            .await
            .unwrap();

        assert_eq!(program.line("call").await["caller"], caller, "{headers:?}");
    }
}

#[tokio::test]
async fn a_token_overrides_forwarded_identity_and_a_rejection_is_logged() {
    let tokens = tokens(&[("billing", "correct-horse")]);
    let flags = [
        "--emulate",
        "--log-slow",
        "0s",
        "--tokens-file",
        path(&tokens),
        "--trust-forwarded-identity",
    ];
    let (mut program, addresses) = Program::serve(&flags, &[]).await;
    let mut client = client(addresses.grpc);

    let known = [
        ("authorization", "Bearer correct-horse"),
        ("l5d-client-id", "token:orders"),
    ];
    client.get_group_info(with_headers(&known)).await.unwrap();
    let line = program.line("call").await;
    assert_eq!(line["caller"], "token:billing");

    let unknown = [("authorization", "Bearer horse"), known[1]];
    client
        .get_group_info(with_headers(&unknown))
        .await
        .unwrap_err();
    let line = program.line("call").await;
    assert_eq!(line["caller"], "forwarded:token:orders");
    assert_eq!(line["rpc.response.status_code"], "UNAUTHENTICATED");
    assert_eq!(line["level"], "INFO");
}

#[tokio::test]
async fn no_token_is_in_the_trace_log() {
    let tokens = tokens(&[("orders", "correct-horse")]);
    let flags = ["--emulate", "--tokens-file", path(&tokens)];
    let (program, addresses) = Program::serve(&flags, &TRACE_LOG).await;
    let mut client = client(addresses.grpc);

    client
        .get_group_info(with_token("correct-horse"))
        .await
        .unwrap();
    let status = client.get_group_info(with_token("incorrect-horse")).await;
    program.signal("TERM").await;

    let (_, log) = program.ended().await;
    assert!(
        log.contains(r#""level":"TRACE""#),
        "the log has no TRACE line"
    );
    let status = format!("{:?}", status.unwrap_err());
    for text in [log, status] {
        assert!(!text.contains("correct-horse"), "{text}");
        assert!(!text.contains(&digest("correct-horse")), "{text}");
    }
}

#[tokio::test]
async fn listening_beyond_loopback_without_tls_or_tokens_is_warned_about() {
    let tokens = tokens(&[("orders", "correct-horse")]);
    let warning = "gRPC port accepts unauthenticated clients in plain text";
    let cases: [(&[&str], bool); 3] = [
        (&["--listen", "0.0.0.0:0"], true),
        (
            &["--listen", "0.0.0.0:0", "--tokens-file", path(&tokens)],
            false,
        ),
        (&["--listen", "127.0.0.1:0"], false),
    ];

    for (flags, is_warned) in cases {
        let rest = ["--admin-listen", "127.0.0.1:0", "--emulate"];
        let mut program = Program::start(&[&["serve"], flags, &rest].concat(), &[]);
        program.line("listening").await;
        program.signal("TERM").await;

        let (_, log) = program.ended().await;
        assert_eq!(log.contains(warning), is_warned, "{flags:?}: {log}");
    }
}

#[tokio::test]
async fn errors_in_the_token_file_name_the_line_with_exit_code_64() {
    let file = NamedTempFile::new().unwrap();
    let pasted = "orders correct-horse";
    fs::write(&file, format!("# a comment\n{pasted}\nbilling\n")).unwrap();

    let flags = ["serve", "--emulate", "--tokens-file", path(&file)];
    let output = run(&flags, &[]).await;

    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(64), "{errors}");
    assert!(
        errors.contains("line 2: ") && errors.contains("line 3: "),
        "{errors}"
    );
    assert!(!errors.contains("correct-horse"), "{errors}");
}

#[tokio::test]
async fn incomplete_settings_for_callers_are_rejected() {
    let cases = [
        (["--tls-cert", "/nowhere"], "--tls-key: is missing"),
        (["--tls-key", "/nowhere"], "--tls-cert: is missing"),
        (["--tls-client-ca", "/nowhere"], "--tls-client-ca: requires"),
        (["--allow-san", "orders"], "--allow-san: requires"),
    ];

    for (flags, problem) in cases {
        let output = run(&[&["serve", "--emulate"], &flags[..]].concat(), &[]).await;
        assert_eq!(output.status.code(), Some(64));
        assert!(errors(&output).contains(problem), "{}", errors(&output));
    }
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}
