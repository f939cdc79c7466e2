//! Access log: which calls are logged, with which level and fields.

use http::uri::PathAndQuery;
use iai_facade::proto::{GetGroupInfoRequest, GetGroupInfoResponse};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tonic::Code;
use tonic_prost::ProstCodec;

use crate::harness::{Program, channel, client, group, person, text};

#[tokio::test]
async fn a_failed_call_is_logged_with_every_detail_but_the_id() {
    let (mut program, addresses) = Program::serve(&["--emulate"], &[]).await;
    let mut client = client(addresses.grpc);

    client.get_group_info(group("aaa")).await.unwrap();
    let mut request = tonic::Request::new(person("1002"));
    request
        .metadata_mut()
        .insert("x-request-id", "a-name".parse().unwrap());
    let status = client.get_person_group_info(request).await.unwrap_err();

    // The successful call before it is not logged.
    let line = program.line("call").await;
    assert_eq!(line["level"], "INFO");
    assert_eq!(
        line["rpc.method"],
        "iaifacade.v1.FaceRecognitionService/GetPersonGroupInfo"
    );
    assert_eq!(line["rpc.response.status_code"], "NOT_FOUND");
    assert_eq!(line["reason"], "PERSON_NOT_FOUND");
    assert!(line["duration_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(line["request_id"], "a-name");
    assert_eq!(line["network.peer.address"], "127.0.0.1");
    assert!(line["network.peer.port"].is_u64(), "{line}");
    assert_eq!(line["error.type"], Value::Null);
    assert_eq!(line["subject"].as_str().unwrap().len(), 16);
    assert_eq!(line["upstream.attempts"], 1);
    let upstream_id = text(status.metadata(), "x-tc-request-id");
    assert_eq!(line["upstream.request_id"], upstream_id);
    assert_eq!(line["error.message"], "the person does not exist");
}

#[tokio::test]
async fn a_successful_call_is_logged_with_its_time_in_the_queue() {
    let flags = ["--emulate", "--upstream-rate", "5", "--log-slow", "0s"];
    let (mut program, addresses) = Program::serve(&flags, &[]).await;
    let mut client = client(addresses.grpc);

    // Until the rate is used up, calls do not wait.
    let line = loop {
        client.get_group_info(group("aaa")).await.unwrap();
        let line = program.line("call").await;
        if line["queue_ms"] != Value::Null {
            break line;
        }
    };

    let queued = line["queue_ms"].as_f64().unwrap();
    assert!(
        (1.0..=line["duration_ms"].as_f64().unwrap()).contains(&queued),
        "{line}"
    );
}

#[tokio::test]
async fn a_slow_success_is_logged_with_the_times_it_consists_of() {
    let fixtures = fixtures(&[
        r#"api_error = { code = "FailedOperation.ServerError" }"#,
        "delay = \"20ms\"\n[[groups]]\ngroup_id = \"aaa\"\ngroup_name = \"aaa\"\ncreation_timestamp = 0",
    ]);
    let path = fixtures.path().to_str().unwrap();
    let flags = ["--emulate", "--fixtures", path, "--log-slow", "0s"];
    let (mut program, addresses) = Program::serve(&flags, &[]).await;

    let mut client = client(addresses.grpc);
    client.get_group_info(group("aaa")).await.unwrap();

    let line = program.line("call").await;
    let time = |field: &str| line[field].as_f64().unwrap();
    let (backoff, upstream) = (time("backoff_ms"), time("upstream.duration_ms"));
    assert!(backoff >= 1.0 && upstream >= 20.0, "{line}");
    assert!(backoff + upstream <= time("duration_ms"), "{line}");
}

#[tokio::test]
async fn an_error_of_upstream_is_logged_with_its_code_and_the_retry_hint() {
    let fixtures = fixtures(&[
        r#"api_error = { code = "FailedOperation.ServerError" }"#,
        r#"api_error = { code = "InvalidParameterValue" }"#,
    ]);
    let path = fixtures.path().to_str().unwrap();
    let flags = ["--emulate", "--fixtures", path, "--max-attempts", "1"];
    let (mut program, addresses) = Program::serve(&flags, &[]).await;
    let mut client = client(addresses.grpc);

    for (code, error_type, has_hint) in [
        ("FailedOperation.ServerError", json!("UNAVAILABLE"), true),
        ("InvalidParameterValue", Value::Null, false),
    ] {
        let status = client.get_group_info(group("aaa")).await.unwrap_err();
        let line = program.line("call").await;
        assert_eq!(line["upstream.code"], code);
        assert_eq!(line["error.type"], error_type);
        let hint = text(status.metadata(), "grpc-retry-pushback-ms");
        let logged = line["retry_delay_ms"].as_i64().map(|it| it.to_string());
        assert_eq!(
            (&*logged.unwrap_or_default(), has_hint),
            (hint, !hint.is_empty())
        );
    }
}

#[tokio::test]
async fn an_unknown_method_is_logged_as_other_with_the_name_as_sent() {
    let (mut program, addresses) = Program::serve(&["--emulate"], &[]).await;

    let mut client = tonic::client::Grpc::new(channel(addresses.grpc));
    client.ready().await.unwrap();
    let codec = ProstCodec::<GetGroupInfoRequest, GetGroupInfoResponse>::default();
    let path = PathAndQuery::from_static("/a.Service/Method");
    let called = client.unary(tonic::Request::new(group("aaa")), path, codec);
    assert_eq!(called.await.unwrap_err().code(), Code::Unimplemented);

    let line = program.line("call").await;
    assert_eq!(line["rpc.method"], "_OTHER");
    assert_eq!(line["rpc.method_original"], "a.Service/Method");
    assert_eq!(line["reason"], "METHOD_UNKNOWN");
    assert_eq!(line["error.type"], "UNIMPLEMENTED");
}

#[tokio::test]
async fn the_log_level_follows_the_fault_and_only_the_log_has_the_cause() {
    let fixtures = fixtures(&[
        r#"api_error = { code = "AuthFailure.SignatureFailure", message = "words for the log" }"#,
        r#"api_error = { code = "FailedOperation.ServerError" }"#,
        r#"api_error = { code = "InvalidParameterValue" }"#,
    ]);
    let path = fixtures.path().to_str().unwrap();
    let flags = ["--emulate", "--fixtures", path, "--max-attempts", "1"];
    let (mut program, addresses) = Program::serve(&flags, &[]).await;

    for (level, code) in [
        ("ERROR", "INTERNAL"),
        ("WARN", "UNAVAILABLE"),
        ("INFO", "INVALID_ARGUMENT"),
    ] {
        let status = client(addresses.grpc)
            .get_group_info(group("aaa"))
            .await
            .unwrap_err();
        let line = program.line("call").await;

        assert_eq!(
            (&line["level"], &line["rpc.response.status_code"]),
            (&Value::from(level), &Value::from(code))
        );
        assert!(!status.message().contains("words for the log"));
        if level == "ERROR" {
            assert!(
                line["cause"]
                    .as_str()
                    .unwrap()
                    .contains("words for the log"),
                "{line}"
            );
        }
    }
}

#[tokio::test]
async fn a_cancelled_call_is_logged() {
    let fixtures = fixtures(&["hold = true"]);
    let flags = ["--emulate", "--fixtures", fixtures.path().to_str().unwrap()];
    let (mut program, addresses) =
        Program::serve(&flags, &[("IAI_FACADE_LOG_LEVEL", "debug")]).await;

    let call =
        tokio::spawn(async move { client(addresses.grpc).get_group_info(group("aaa")).await });
    program.line("emulator received a request").await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());

    let line = program.line("call").await;
    assert_eq!(line["rpc.response.status_code"], "CANCELLED");
    assert_eq!(line["upstream.attempts"], 1);
}

#[tokio::test]
async fn upstream_attempts_are_logged_with_the_request_id_of_their_call() {
    let fixtures = fixtures(&[r#"api_error = { code = "FailedOperation.ServerError" }"#]);
    let path = fixtures.path().to_str().unwrap();

    for flags in [&[][..], &["--share-calls"]] {
        let flags = [&["--emulate", "--fixtures", path][..], flags].concat();
        let (mut program, addresses) =
            Program::serve(&flags, &[("IAI_FACADE_LOG_LEVEL", "debug")]).await;
        let mut request = tonic::Request::new(group("aaa"));
        request
            .metadata_mut()
            .insert("x-request-id", "a-name".parse().unwrap());
        let answered = client(addresses.grpc).get_group_info(request).await;

        let line = program.line("attempt failed").await;
        assert_eq!(line["span"]["request_id"], "a-name");
        assert_eq!(line["span"]["name"], "call");
        drop(answered);
    }
}

#[tokio::test]
async fn slow_calls_are_logged_and_the_others_are_sampled() {
    let cases: [(&[&str], u64); 3] = [
        (&["--emulate", "--log-slow", "0s"], 8),
        (&["--emulate", "--log-sample", "0.25"], 2),
        (&["--emulate"], 0),
    ];

    for (flags, expected) in cases {
        let (program, addresses) = Program::serve(flags, &[]).await;
        let mut client = client(addresses.grpc);
        for _ in 0..8 {
            client.get_group_info(group("aaa")).await.unwrap();
        }
        program.signal("TERM").await;

        let (_, log) = program.ended().await;
        let lines = log
            .lines()
            .filter(|line| line.contains(r#""message":"call""#));
        assert_eq!(lines.count() as u64, expected, "{flags:?}");
    }
}

#[tokio::test]
async fn ids_are_hashed_alike_with_a_shared_key_and_logged_if_enabled() {
    let key = NamedTempFile::new().unwrap();
    std::fs::write(&key, [7; 32]).unwrap();
    let with_key = [
        "--emulate",
        "--log-hash-key-file",
        key.path().to_str().unwrap(),
    ];
    let mut subjects = Vec::new();

    for flags in [
        &with_key[..],
        &with_key[..],
        &["--emulate"],
        &["--emulate", "--log-ids"],
    ] {
        let (mut program, addresses) = Program::serve(flags, &[]).await;
        client(addresses.grpc)
            .get_person_group_info(person("1002"))
            .await
            .unwrap_err();
        subjects.push(
            program.line("call").await["subject"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }

    assert_eq!(subjects[0], subjects[1]);
    assert_ne!(subjects[0], subjects[2]);
    assert_eq!(subjects[3], "1002");
}

fn fixtures(faults: &[&str]) -> NamedTempFile {
    let faults = faults.iter().map(|fault| format!("[[faults]]\n{fault}\n"));
    let file = NamedTempFile::new().unwrap();
    std::fs::write(&file, faults.collect::<String>()).unwrap();
    file
}
