//! State changes: the lines that the limits and the circuit breaker of a running server write.

use http::StatusCode;
use iai_emulator::{Account, Fault, FaultKind};
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::task::JoinSet;

use crate::harness::{Addresses, Program, client, group, start_emulator};

const GROUP: &str = "[[groups]]\ngroup_id = 'aaa'\ngroup_name = 'aaa'\ncreation_timestamp = 0";

/// Writes fixtures with a group.
fn fixtures(rest: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(&file, format!("{rest}\n{GROUP}\n")).unwrap();
    file
}

/// Makes calls, one after the other, until the log has a line.
async fn until_logged(program: &mut Program, addresses: Addresses, message: &str) -> Value {
    let mut client = client(addresses.grpc);
    let calls = async {
        loop {
            let _ = client.get_group_info(group("aaa")).await;
        }
    };
    tokio::select! {
        line = program.line(message) => line,
        () = calls => unreachable!(),
    }
}

#[tokio::test]
async fn the_circuit_breaker_logs_when_it_opens_and_closes() {
    let emulator = start_emulator().await;
    let account = Account::default();
    let variables = [
        ("TENCENTCLOUD_SECRET_ID", account.secret_id()),
        ("TENCENTCLOUD_SECRET_KEY", account.secret_key()),
    ];
    let endpoint = emulator.endpoint();
    let flags = ["--endpoint", &endpoint, "--max-attempts", "1"];
    let (mut program, addresses) = Program::serve(&flags, &variables).await;

    let down = FaultKind::status(StatusCode::SERVICE_UNAVAILABLE);
    emulator.script(Fault::from(down).times(u32::MAX));
    let line = until_logged(&mut program, addresses, "circuit breaker opened").await;
    assert_eq!(line["level"], "WARN");
    assert!(line["rejected_share"].as_f64().unwrap() > 0.0, "{line}");
    assert!(line["failures"].as_u64().unwrap() > 0, "{line}");

    emulator.clear_script();
    let line = until_logged(&mut program, addresses, "circuit breaker closed").await;
    assert_eq!(line["level"], "INFO");
    assert!(line["failures"].as_u64().unwrap() > 0, "{line}");
    assert!(line["duration_seconds"].as_u64().unwrap() >= 9, "{line}");
}

#[tokio::test]
async fn the_rate_limit_logs_when_it_is_lowered_and_restored() {
    let fixtures = fixtures("rate_limit = 5");
    let path = fixtures.path().to_str().unwrap();
    let flags = ["--emulate", "--fixtures", path, "--max-attempts", "1"];
    let (mut program, addresses) = Program::serve(&flags, &[]).await;

    let message = "throttled by upstream, lowering rate limit";
    let line = until_logged(&mut program, addresses, message).await;
    assert_eq!(line["level"], "WARN");
    assert!(line["rate"].as_f64().unwrap() > 0.0, "{line}");
    assert!(line["throttled"].as_u64().unwrap() > 0, "{line}");

    let line = program.line("rate limit restored").await;
    assert_eq!(line["level"], "INFO");
    assert!(line["duration_seconds"].as_u64().unwrap() >= 10, "{line}");
}

#[tokio::test]
async fn a_full_queue_of_the_rate_limiter_is_logged() {
    let flags = ["--emulate", "--upstream-rate", "1", "--max-call-time", "2s"];
    let (mut program, addresses) = Program::serve(&flags, &[]).await;
    let mut calls = JoinSet::new();
    for _ in 0..10 {
        let mut client = client(addresses.grpc);
        calls.spawn(async move { client.get_group_info(group("aaa")).await });
    }

    let message = "rate limiter queue full, rejecting calls";
    let line = program.line(message).await;

    assert_eq!(line["level"], "WARN");
    assert_eq!(line["rate"], 1.0);
    assert!(line["rejected"].as_u64().unwrap() > 0, "{line}");
}

#[tokio::test]
async fn the_limit_of_calls_in_progress_is_logged_when_it_is_reached() {
    let fixtures = fixtures("[[faults]]\nhold = true");
    let path = fixtures.path().to_str().unwrap();
    let flags = [
        "--emulate",
        "--fixtures",
        path,
        "--max-concurrent-calls",
        "1",
    ];
    let debug = [("IAI_FACADE_LOG_LEVEL", "debug")];
    let (mut program, addresses) = Program::serve(&flags, &debug).await;
    let mut held = client(addresses.grpc);
    let held = tokio::spawn(async move { held.get_group_info(group("aaa")).await });
    program.line("emulator received a request").await;

    client(addresses.grpc)
        .get_group_info(group("aaa"))
        .await
        .unwrap_err();

    let line = program
        .line("limit of calls in progress reached, rejecting calls")
        .await;
    assert_eq!(
        (&line["level"], &line["rejected"]),
        (&"WARN".into(), &1.into())
    );
    assert_eq!(line["max_concurrent"], 1);
    held.abort();
}
