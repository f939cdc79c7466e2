//! Which calls are in the log, and how.

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::harness::{Program, client, group, person, text};

#[tokio::test]
async fn a_failed_call_is_a_line_with_all_that_is_known_of_it_and_no_id() {
    let (mut program, addresses) = Program::serve(&["--emulate"], &[]).await;
    let mut client = client(addresses.grpc);

    client.get_group_info(group("aaa")).await.unwrap();
    let mut request = tonic::Request::new(person("1002"));
    request
        .metadata_mut()
        .insert("x-request-id", "a-name".parse().unwrap());
    let status = client.get_person_group_info(request).await.unwrap_err();

    // The call before it succeeded, and has no line.
    let line = program.line("call").await;
    assert_eq!(line["level"], "INFO");
    assert_eq!(
        line["rpc"],
        "iaifacade.v1.FaceRecognitionService/GetPersonGroupInfo"
    );
    assert_eq!(line["code"], "NOT_FOUND");
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
async fn the_level_tells_whose_fault_it_is_and_the_cause_is_for_the_log_alone() {
    let fixtures = fixtures(&[
        r#"refuse = { code = "AuthFailure.SignatureFailure", message = "words for the log" }"#,
        r#"refuse = { code = "FailedOperation.ServerError" }"#,
        r#"refuse = { code = "InvalidParameterValue" }"#,
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
async fn a_caller_that_goes_away_leaves_a_line() {
    let fixtures = fixtures(&["hold = true"]);
    let flags = ["--emulate", "--fixtures", fixtures.path().to_str().unwrap()];
    let (mut program, addresses) =
        Program::serve(&flags, &[("IAI_FACADE_LOG_LEVEL", "debug")]).await;

    let call =
        tokio::spawn(async move { client(addresses.grpc).get_group_info(group("aaa")).await });
    program.line("emulator received a call").await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());

    let line = program.line("call").await;
    assert_eq!(line["code"], "CANCELLED");
    assert_eq!(line["upstream.attempts"], 1);
}

#[tokio::test]
async fn what_is_done_upstream_for_a_call_is_logged_under_its_name_shared_or_not() {
    let fixtures = fixtures(&[r#"refuse = { code = "FailedOperation.ServerError" }"#]);
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

        let line = program.line("an attempt failed").await;
        assert_eq!(line["span"]["request_id"], "a-name");
        assert_eq!(line["span"]["name"], "call");
        drop(answered);
    }
}

#[tokio::test]
async fn slow_calls_and_a_share_of_the_others_are_logged() {
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
async fn a_key_makes_all_replicas_hash_alike_and_ids_appear_where_they_are_wanted() {
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
