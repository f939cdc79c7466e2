//! Upstream faults: the error that callers receive, the number of attempts, and leaked tasks and
//! connections.
//!
//! Each fault applies to every attempt, for every operation.

mod connections;
mod responses;

use std::time::Duration;

use iai_emulator::{Cut, Fault, FaultKind};
use iai_facade::proto::grpc_code;
use tokio::{
    io::AsyncWriteExt,
    runtime::Handle,
    task::{JoinSet, yield_now},
    time::{Instant, timeout},
};
use tonic::{Code, Status};

use self::{
    connections::{CONNECTIONS, FLOODS, OK_HEAD},
    responses::{API_ERRORS, BODIES, STATUSES},
};
use crate::harness::{
    DeadUpstream, Facade, Program, client, error_info, group,
    operation::{Operation, operations},
    person,
    raw_upstream::{RawUpstream, hold, read_request, reset, respond},
    start_emulator, text,
    tls_proxy::TlsProxy,
};

/// The deadline of every call, as the value of `grpc-timeout`.
const DEADLINE: &str = "2S";

/// The deadline, plus a margin for a busy machine.
const MAX_DURATION: Duration = Duration::from_millis(2_500);

/// The expected status, reason and number of attempts.
#[derive(Clone, Copy, Debug)]
struct Expected(&'static str, &'static str, u32);

const UNREACHABLE: Expected = Expected("UNAVAILABLE", "UPSTREAM_UNREACHABLE", 3);
const INVALID: Expected = Expected("INTERNAL", "UPSTREAM_RESPONSE_INVALID", 1);
const EXPIRED: Expected = Expected("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", 1);

/// Flags that disable the adaptive rate limit and the circuit breaker.
const NO_ADAPTATION: [&str; 4] = ["--adaptive-rate", "off", "--circuit", "off"];

/// A throttled attempt has a backoff of one second, and only one such backoff fits into the deadline.
const RATE_LIMITED: Expected = Expected("RESOURCE_EXHAUSTED", "RATE_LIMITED", 2);

#[tokio::test]
async fn each_connection_fault_has_its_documented_error_and_leaks_no_task() {
    let before = alive_tasks();
    let mut cases = JoinSet::new();
    for &(name, serve, expected) in CONNECTIONS {
        cases.spawn(async move {
            let mut upstream = RawUpstream::start(serve).await;
            check(name, &upstream.endpoint(), &[], expected).await;
            upstream.wait_until_closed().await;
        });
    }
    cases.spawn(async {
        let dead_upstream = DeadUpstream::new();
        check(
            "connection refused",
            &format!("http://{}", dead_upstream.address()),
            &[],
            UNREACHABLE,
        )
        .await;
    });
    cases.spawn(check(
        "an unknown host name",
        "http://nowhere.invalid",
        &[],
        UNREACHABLE,
    ));

    cases.join_all().await;
    wait_for_tasks(before).await;
}

#[tokio::test]
async fn each_oversized_response_is_cut_and_leaks_no_task() {
    let before = alive_tasks();
    for &(name, serve, expected) in FLOODS {
        let mut upstream = RawUpstream::start(serve).await;
        check(name, &upstream.endpoint(), &[], expected).await;
        upstream.wait_until_closed().await;
    }

    wait_for_tasks(before).await;
}

#[tokio::test]
async fn each_tls_fault_has_its_documented_error_and_leaks_no_task() {
    let before = alive_tasks();
    let emulator = start_emulator().await;
    let wrong_name = TlsProxy::start(emulator.address(), "other.example", "http/1.1").await;
    let expired = TlsProxy::start_expired(emulator.address()).await;
    let plaintext = RawUpstream::start(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let plaintext_endpoint = plaintext.endpoint().replace("http", "https");

    let flags = ["--upstream-ca", wrong_name.authority()];
    check(
        "a certificate of another name",
        &wrong_name.endpoint,
        &flags,
        INVALID,
    )
    .await;
    let flags = ["--upstream-ca", expired.authority()];
    check("an expired certificate", &expired.endpoint, &flags, INVALID).await;
    check(
        "plain text instead of TLS",
        &plaintext_endpoint,
        &flags,
        UNREACHABLE,
    )
    .await;

    assert!(emulator.requests().is_empty());
    drop((emulator, wrong_name, expired, plaintext));
    wait_for_tasks(before).await;
}

#[tokio::test]
async fn each_invalid_http_response_has_its_error_and_leaks_no_task() {
    let before = alive_tasks();
    let mut cases = JoinSet::new();
    for &(status, expected) in STATUSES {
        for body in ["<html>sorry</html>", ""] {
            cases.spawn(check_response(
                format!("HTTP {status} `{body}`"),
                status,
                body,
                expected,
            ));
        }
    }
    for &(name, body) in BODIES {
        cases.spawn(check_response(name.to_owned(), 200, body, INVALID));
    }

    cases.join_all().await;
    wait_for_tasks(before).await;
}

#[tokio::test]
async fn each_error_class_has_its_number_of_attempts_and_leaks_no_task() {
    let before = alive_tasks();
    let mut cases = JoinSet::new();
    for &(error_code, code, attempts) in API_ERRORS {
        cases.spawn(async move {
            let emulator = start_emulator().await;
            emulator.script(Fault::from(FaultKind::api_error(error_code)).times(u32::MAX));
            let endpoint = emulator.endpoint();
            let flags = [&["--endpoint", &endpoint], &NO_ADAPTATION[..]].concat();
            let facade = Facade::start_before(emulator, &flags).await;
            for operation in operations() {
                let status = call(&facade, &operation).await;
                assert_eq!(grpc_code::name(status.code()), code, "{error_code}");
                assert_eq!(error_info(&status).metadata["code"], error_code);
                assert_eq!(attempts_of(&status), attempts, "{error_code}");
                check_hints(&status);
            }
            assert_eq!(
                facade.emulator.requests().len() as u32,
                operations().len() as u32 * attempts,
                "{error_code}"
            );
            stop(facade).await;
        });
    }

    cases.join_all().await;
    wait_for_tasks(before).await;
}

#[tokio::test]
async fn faults_leak_no_file_descriptor() {
    let emulator = start_emulator().await;
    let endpoint = emulator.endpoint();
    let variables = [
        ("TENCENTCLOUD_SECRET_ID", "AKIDEMULATOR"),
        ("TENCENTCLOUD_SECRET_KEY", "emulator-secret"),
    ];
    let flags = [
        "--endpoint",
        &endpoint,
        "--max-attempts",
        "1",
        "--max-call-time",
        "200ms",
    ];
    let (program, addresses) = Program::serve(&flags, &variables).await;
    let mut client = client(addresses.grpc);
    let mut open = Vec::new();

    for _ in 0..20 {
        for fault in [
            FaultKind::Cut(Cut::BeforeHeaders),
            FaultKind::Cut(Cut::InsideHeaders),
            FaultKind::Cut(Cut::InsideBody),
            FaultKind::Garbage,
            FaultKind::Truncate,
            FaultKind::Oversize(8 << 20),
            FaultKind::Hold,
            FaultKind::api_error("InternalError"),
        ] {
            emulator.script(fault);
            client.get_group_info(group("aaa")).await.unwrap_err();
        }
        client.get_group_info(group("aaa")).await.unwrap();
        open.push(program.descriptors());
    }

    // Up to two upstream connections stay open; a leak would add a hundred.
    let (first, last) = (open[0], open[open.len() - 1]);
    assert!(last <= first + 2, "{open:?}");
}

#[tokio::test]
async fn single_upstream_failures_do_not_fail_calls() {
    let facade = Facade::start().await;
    let mut client = facade.client();

    for call in 1..=5 {
        facade
            .emulator
            .script(FaultKind::api_error("FailedOperation.ServerError"));
        client.get_group_info(group("aaa")).await.unwrap();
        client.get_person_group_info(person("2001")).await.unwrap();
        assert_eq!(facade.emulator.requests().len(), call * 3);
    }
}

#[tokio::test]
async fn a_reset_idle_connection_does_not_fail_the_call() {
    let body = r#"{"Response":{"GroupId":"aaa","RequestId":"r"}}"#;
    let response = format!("{OK_HEAD}content-length: {}\r\n\r\n{body}", body.len());
    let upstream = RawUpstream::start(move |stream| {
        let response = response.clone();
        async move {
            // Responds to one request and resets the connection on the next.
            let mut stream = respond(stream, response).await;
            read_request(&mut stream).await;
            reset(&stream);
        }
    })
    .await;
    let flags = ["--endpoint", &upstream.endpoint()];
    let facade = Facade::start_before(start_emulator().await, &flags).await;

    for _ in 0..5 {
        facade.client().get_group_info(group("aaa")).await.unwrap();
    }
}

/// Checks every operation against an upstream with this response.
async fn check_response(name: String, status: u16, body: &'static str, expected: Expected) {
    let length = body.len();
    let text = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
    let mut upstream = RawUpstream::start(move |stream| {
        let text = text.clone();
        async move { hold(respond(stream, text).await).await }
    })
    .await;
    // Without idle connections, since a reused connection would not respond again.
    let flags = ["--upstream-idle-timeout", "0s"];
    check(&name, &upstream.endpoint(), &flags, expected).await;
    upstream.wait_until_closed().await;
}

/// Checks the errors of every operation of a service in front of `endpoint`.
async fn check(name: &str, endpoint: &str, flags: &[&str], expected: Expected) {
    let flags = [&["--endpoint", endpoint], &NO_ADAPTATION[..], flags].concat();
    let facade = Facade::start_before(start_emulator().await, &flags).await;
    let Expected(code, reason, attempts) = expected;

    for operation in operations() {
        let start = Instant::now();
        let status = call(&facade, &operation).await;

        assert!(
            start.elapsed() < MAX_DURATION,
            "{name}: {:?}",
            start.elapsed()
        );
        let error = error_info(&status);
        assert_eq!(
            (grpc_code::name(status.code()), error.reason.as_str()),
            (code, reason),
            "{name}"
        );
        assert_eq!(attempts_of(&status), attempts, "{name}");
        check_hints(&status);
    }
    stop(facade).await;
}

/// Checks that the retry hints match the status.
fn check_hints(status: &Status) {
    let pushback = text(status.metadata(), "grpc-retry-pushback-ms");
    let has_delay = pushback.parse::<u64>().is_ok();
    let is_transient = matches!(status.code(), Code::Unavailable | Code::Aborted)
        || (status.code() == Code::ResourceExhausted
            && error_info(status).reason != "LIMIT_EXCEEDED");
    assert_eq!(has_delay, is_transient, "{status:?}");
    assert_eq!(
        !text(status.metadata(), "retry-after").is_empty(),
        is_transient
    );
    let is_own_fault = matches!(status.code(), Code::Internal | Code::Unknown);
    assert_eq!(pushback == "-1", is_own_fault, "{status:?}");
}

fn attempts_of(status: &Status) -> u32 {
    error_info(status).metadata["attempts"].parse().unwrap()
}

/// Makes a call without a generated client, which would enforce the deadline itself.
async fn call(facade: &Facade, operation: &Operation) -> Status {
    let headers = [("grpc-timeout", DEADLINE)];
    let result = operation.call(facade.addresses.grpc, &headers).await;
    result.unwrap_err()
}

async fn stop(facade: Facade) {
    facade.begin_shutdown();
    facade.stopped().await;
}

fn alive_tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Waits until all spawned tasks have ended, and with them all connections.
async fn wait_for_tasks(before: usize) {
    let end = async {
        while alive_tasks() > before {
            yield_now().await;
        }
    };
    let ended = timeout(Duration::from_secs(20), end).await;
    assert!(ended.is_ok(), "{} tasks, {before} before", alive_tasks());
}
