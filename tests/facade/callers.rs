//! Who may call by token, and how callers are told apart.

use std::fs;

use http_body_util::Full;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tonic::{Code, Request, Status, metadata::AsciiMetadataKey};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    harness::{
        Facade, GET_GROUP_INFO, LOUD, Program, client, errors, group, own_reason, request, run,
        send, text,
    },
    loud_log::LoudLog,
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
async fn a_call_without_a_token_or_with_a_wrong_one_is_refused_and_the_old_and_the_new_one_pass() {
    let tokens = tokens(&[("orders", "correct-horse"), ("orders", "battery-staple")]);
    let log = LoudLog::listen(["correct-horse", "battery-staple"]);
    let facade = Facade::start_with(&["--tokens-file", path(&tokens)]).await;

    for token in ["correct-horse", "battery-staple"] {
        let answer = facade.client().get_group_info(with_token(token)).await;
        assert_eq!(answer.unwrap().into_inner().group_id, "aaa");
    }
    let without = facade.client().get_group_info(group("aaa")).await;
    let wrong = facade.client().get_group_info(with_token("horse")).await;
    for status in [without.unwrap_err(), wrong.unwrap_err()] {
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(own_reason(&status), "CALLER_UNAUTHENTICATED");
        assert_eq!(text(status.metadata(), "grpc-retry-pushback-ms"), "");
        assert_eq!(text(status.metadata(), "x-request-id").len(), 36);
    }
    assert_eq!(facade.emulator.calls().len(), 2);
    log.assert_is_harmless();
}

#[tokio::test]
async fn health_answers_without_a_token_and_neither_reflection_nor_what_there_is_not_does() {
    let tokens = tokens(&[("orders", "correct-horse")]);
    let log = LoudLog::listen(["correct-horse".to_owned(), digest("correct-horse")]);
    let facade = Facade::start_with(&["--tokens-file", path(&tokens)]).await;

    let mut health = HealthClient::new(facade.channel());
    let question = HealthCheckRequest::default;
    health.check(question()).await.unwrap();
    let watch = health.watch(question()).await.unwrap();
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
async fn what_a_caller_says_of_itself_is_not_believed_unless_that_is_switched_on() {
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
        // One of the two is not the proxy's own.
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
async fn a_token_counts_more_than_the_words_of_a_proxy_and_a_refused_call_has_its_line() {
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
    assert_eq!(line["code"], "UNAUTHENTICATED");
    assert_eq!(line["level"], "INFO");
}

#[tokio::test]
async fn no_token_is_in_the_loudest_log() {
    let tokens = tokens(&[("orders", "correct-horse")]);
    let flags = ["--emulate", "--tokens-file", path(&tokens)];
    let (program, addresses) = Program::serve(&flags, &LOUD).await;
    let mut client = client(addresses.grpc);

    client
        .get_group_info(with_token("correct-horse"))
        .await
        .unwrap();
    let status = client.get_group_info(with_token("incorrect-horse")).await;
    program.signal("TERM").await;

    let (_, log) = program.ended().await;
    assert!(log.contains(r#""level":"TRACE""#), "the log is not loud");
    let status = format!("{:?}", status.unwrap_err());
    for text in [log, status] {
        assert!(!text.contains("correct-horse"), "{text}");
        assert!(!text.contains(&digest("correct-horse")), "{text}");
    }
}

#[tokio::test]
async fn who_listens_to_the_world_without_tls_or_tokens_is_warned() {
    let tokens = tokens(&[("orders", "correct-horse")]);
    let warning = "whoever reaches the gRPC port may call, in plain text";
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
async fn mistakes_in_the_file_of_tokens_are_told_by_their_lines_with_exit_code_64() {
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
async fn half_a_pair_and_what_has_no_meaning_alone_are_mistakes() {
    let cases = [
        (["--tls-cert", "/nowhere"], "--tls-key: is missing"),
        (["--tls-key", "/nowhere"], "--tls-cert: is missing"),
        (
            ["--tls-client-ca", "/nowhere"],
            "--tls-client-ca: has no meaning without",
        ),
        (
            ["--allow-san", "orders"],
            "--allow-san: has no meaning without",
        ),
    ];

    for (flags, problem) in cases {
        let output = run(&[&["serve", "--emulate"], &flags[..]].concat(), &[]).await;
        assert_eq!(output.status.code(), Some(64));
        assert!(errors(&output).contains(problem), "{}", errors(&output));
    }
}

/// Returns a file with the digests of tokens, by their names.
pub(crate) fn tokens(named: &[(&str, &str)]) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    let lines = named
        .iter()
        .map(|(name, token)| format!("{name} {}\n", digest(token)));
    fs::write(&file, lines.collect::<String>()).unwrap();
    file
}

/// Returns a request for a group, with a token.
pub(crate) fn with_token(token: &str) -> Request<iai_facade::proto::GetGroupInfoRequest> {
    with_headers(&[("authorization", &format!("Bearer {token}"))])
}

fn with_headers(headers: &[(&str, &str)]) -> Request<iai_facade::proto::GetGroupInfoRequest> {
    let mut request = Request::new(group("aaa"));
    for (name, value) in headers {
        let name: AsciiMetadataKey = name.parse().unwrap();
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    request
}

/// Returns the digest of a token, as it stands in the file.
pub(crate) fn digest(token: &str) -> String {
    base16ct::lower::encode_string(&Sha256::digest(token))
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}
