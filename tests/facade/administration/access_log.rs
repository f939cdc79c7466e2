//! Access log: which calls are logged, with which level and fields.

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::harness::{Program, client, group, person, text};

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
        line["rpc"],
        "iaifacade.v1.FaceRecognitionService/GetPersonGroupInfo"
    );
    assert_eq!(line["code"], "NOT_FOUND");
    assert_eq!(line["reason"], "PERSON_NOT_FOUND");
    assert!(line["duration_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(line["request_id"], "a-name");
    assert!(
        line["peer.address"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1:")
    );
    assert_eq!(line["subject"].as_str().unwrap().len(), 16);
    assert_eq!(line["upstream.attempts"], 1);
    let upstream_id = text(status.metadata(), "x-tc-request-id");
    assert_eq!(line["upstream.request_id"], upstream_id);
    assert_eq!(line["error"], "the person does not exist");
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
            (&line["level"], &line["code"]),
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
    assert_eq!(line["code"], "CANCELLED");
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
