//! What callers receive while upstream fails, how often it is tried, and what is left behind.
//!
//! Each fault befalls every attempt, on both operations.

mod answers;
mod connections;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use iai_facade::{
    code,
    emulator::{Cut, Fault, FaultKind},
};
use prost::Message;
use tokio::{
    io::AsyncWriteExt,
    runtime::Handle,
    task::{JoinSet, yield_now},
    time::{Instant, timeout},
};
use tonic::{Code, Status};

use self::{
    answers::{BODIES, REFUSALS, STATUSES},
    connections::{CONNECTIONS, FLOODS, OK_HEAD},
};
use crate::{
    encryption::Encrypted,
    harness::{
        Facade, GET_GROUP_INFO, GET_PERSON_GROUP_INFO, Nobody, Program, client, error_info, group,
        person, request, send, start_emulator, text,
    },
    raw_upstream::{RawUpstream, answer, hold, read_request, reset},
};

/// The deadline of every call, as it is sent.
const DEADLINE: &str = "2S";

/// The deadline, and how much later an answer may arrive on a machine that is busy.
const AT_THE_LATEST: Duration = Duration::from_millis(2_500);

/// What a caller must receive, and after how many attempts.
#[derive(Clone, Copy, Debug)]
struct Expected(&'static str, &'static str, u32);

const UNREACHABLE: Expected = Expected("UNAVAILABLE", "UPSTREAM_UNREACHABLE", 3);
const INVALID: Expected = Expected("INTERNAL", "UPSTREAM_RESPONSE_INVALID", 1);
const EXPIRED: Expected = Expected("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", 1);

/// How upstream is called where nothing is learned from how it answers.
const UNTAUGHT: [&str; 4] = ["--adaptive-rate", "off", "--circuit", "off"];

/// Throttling asks for a pause of a second, of which only one fits.
const RATE_LIMITED: Expected = Expected("RESOURCE_EXHAUSTED", "RATE_LIMITED", 2);

#[tokio::test]
async fn every_fault_of_a_connection_is_answered_in_time_as_documented_and_leaves_nothing() {
    let before = alive_tasks();
    let mut cases = JoinSet::new();
    for &(name, serve, expected) in CONNECTIONS {
        cases.spawn(async move {
            let mut upstream = RawUpstream::start(serve).await;
            check(name, &upstream.endpoint(), &[], expected).await;
            upstream.abandoned().await;
        });
    }
    cases.spawn(async {
        let nobody = Nobody::new();
        check(
            "connection refused",
            &format!("http://{}", nobody.address()),
            &[],
            UNREACHABLE,
        )
        .await;
    });
    cases.spawn(check(
        "no such name",
        "http://nowhere.invalid",
        &[],
        UNREACHABLE,
    ));

    cases.join_all().await;
    settled(before).await;
}

#[tokio::test]
async fn every_flood_is_cut_short_as_documented_and_leaves_nothing() {
    let before = alive_tasks();
    for &(name, serve, expected) in FLOODS {
        let mut upstream = RawUpstream::start(serve).await;
        check(name, &upstream.endpoint(), &[], expected).await;
        upstream.abandoned().await;
    }

    settled(before).await;
}

#[tokio::test]
async fn every_fault_of_tls_is_answered_in_time_as_documented_and_leaves_nothing() {
    let before = alive_tasks();
    let emulator = start_emulator().await;
    let wrong_name = Encrypted::start(emulator.address(), "other.example", "http/1.1").await;
    let expired = Encrypted::start_expired(emulator.address()).await;
    let plain = RawUpstream::start(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let plain_endpoint = plain.endpoint().replace("http", "https");

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
    check("TLS refused", &plain_endpoint, &flags, UNREACHABLE).await;

    assert!(emulator.calls().is_empty());
    drop((emulator, wrong_name, expired, plain));
    settled(before).await;
}

#[tokio::test]
async fn every_http_answer_that_is_none_is_answered_in_time_as_documented_and_leaves_nothing() {
    let before = alive_tasks();
    let mut cases = JoinSet::new();
    for &(status, expected) in STATUSES {
        for body in ["<html>sorry</html>", ""] {
            cases.spawn(check_answer(
                format!("HTTP {status} `{body}`"),
                status,
                body,
                expected,
            ));
        }
    }
    for &(name, body) in BODIES {
        cases.spawn(check_answer(name.to_owned(), 200, body, INVALID));
    }

    cases.join_all().await;
    settled(before).await;
}

#[tokio::test]
async fn one_refusal_of_each_class_is_tried_as_often_as_helps_and_leaves_nothing() {
    let before = alive_tasks();
    let mut cases = JoinSet::new();
    for &(refusal, code, attempts) in REFUSALS {
        cases.spawn(async move {
            let emulator = start_emulator().await;
            emulator.script(Fault::from(FaultKind::refuse(refusal)).times(u32::MAX));
            let endpoint = emulator.endpoint();
            let flags = [&["--endpoint", &endpoint], &UNTAUGHT[..]].concat();
            let facade = Facade::start_before(emulator, &flags).await;
            for path in [GET_GROUP_INFO, GET_PERSON_GROUP_INFO] {
                let status = call(&facade, path).await;
                assert_eq!(code::name(status.code()), code, "{refusal}");
                assert_eq!(error_info(&status).metadata["code"], refusal);
                assert_eq!(attempts_of(&status), attempts, "{refusal}");
                check_hints(&status);
            }
            assert_eq!(
                facade.emulator.calls().len() as u32,
                2 * attempts,
                "{refusal}"
            );
            stop(facade).await;
        });
    }

    cases.join_all().await;
    settled(before).await;
}

#[tokio::test]
async fn faults_leave_no_descriptor_behind() {
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
            FaultKind::refuse("InternalError"),
        ] {
            emulator.script(fault);
            client.get_group_info(group("aaa")).await.unwrap_err();
        }
        client.get_group_info(group("aaa")).await.unwrap();
        open.push(program.descriptors());
    }

    // A connection or two to upstream are kept; what leaks would have leaked a hundred times.
    let (first, last) = (open[0], open[open.len() - 1]);
    assert!(last <= first + 2, "{open:?}");
}

#[tokio::test]
async fn an_upstream_that_flaps_is_not_seen_to() {
    let facade = Facade::start().await;
    let mut client = facade.client();

    for call in 1..=5 {
        facade
            .emulator
            .script(FaultKind::refuse("FailedOperation.ServerError"));
        client.get_group_info(group("aaa")).await.unwrap();
        client.get_person_group_info(person("2001")).await.unwrap();
        assert_eq!(facade.emulator.calls().len(), call * 3);
    }
}

#[tokio::test]
async fn an_idle_connection_that_dies_as_the_request_is_written_is_not_seen_to() {
    let body = r#"{"Response":{"GroupId":"aaa","RequestId":"r"}}"#;
    let whole = format!("{OK_HEAD}content-length: {}\r\n\r\n{body}", body.len());
    let upstream = RawUpstream::start(move |stream| {
        let whole = whole.clone();
        async move {
            // Answers one call, and hangs up on the next one.
            let mut stream = answer(stream, whole).await;
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

/// Checks both operations against an upstream that answers so.
async fn check_answer(name: String, status: u16, body: &'static str, expected: Expected) {
    let length = body.len();
    let text = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
    let mut upstream = RawUpstream::start(move |stream| {
        let text = text.clone();
        async move { hold(answer(stream, text).await).await }
    })
    .await;
    // A connection that is kept answers no second call.
    let flags = ["--upstream-idle-timeout", "0s"];
    check(&name, &upstream.endpoint(), &flags, expected).await;
    upstream.abandoned().await;
}

/// Checks what callers of both operations receive from a service before `endpoint`.
async fn check(name: &str, endpoint: &str, flags: &[&str], expected: Expected) {
    let flags = [&["--endpoint", endpoint], &UNTAUGHT[..], flags].concat();
    let facade = Facade::start_before(start_emulator().await, &flags).await;
    let Expected(code, reason, attempts) = expected;

    for path in [GET_GROUP_INFO, GET_PERSON_GROUP_INFO] {
        let began = Instant::now();
        let status = call(&facade, path).await;

        assert!(
            began.elapsed() < AT_THE_LATEST,
            "{name}: {:?}",
            began.elapsed()
        );
        let error = error_info(&status);
        assert_eq!(
            (code::name(status.code()), error.reason.as_str()),
            (code, reason),
            "{name}"
        );
        assert_eq!(attempts_of(&status), attempts, "{name}");
        check_hints(&status);
    }
    stop(facade).await;
}

/// Checks that the hints are those of the status.
fn check_hints(status: &Status) {
    let pushback = text(status.metadata(), "grpc-retry-pushback-ms");
    let has_delay = pushback.parse::<u64>().is_ok();
    let is_passing = matches!(status.code(), Code::Unavailable | Code::Aborted)
        || (status.code() == Code::ResourceExhausted
            && error_info(status).reason != "LIMIT_EXCEEDED");
    assert_eq!(has_delay, is_passing, "{status:?}");
    assert_eq!(
        !text(status.metadata(), "retry-after").is_empty(),
        is_passing
    );
    let is_ours = matches!(status.code(), Code::Internal | Code::Unknown);
    assert_eq!(pushback == "-1", is_ours, "{status:?}");
}

fn attempts_of(status: &Status) -> u32 {
    error_info(status).metadata["attempts"].parse().unwrap()
}

/// Makes a call by hand, since a generated client would keep the deadline itself.
async fn call(facade: &Facade, path: &str) -> Status {
    let message = match path {
        GET_GROUP_INFO => group("aaa").encode_to_vec(),
        _ => person("2001").encode_to_vec(),
    };
    let length = (message.len() as u32).to_be_bytes();
    let body = Bytes::from([&[0], &length[..], &message].concat());
    let request = request(path).header("grpc-timeout", DEADLINE);
    let response = send(
        facade.addresses.grpc,
        request.body(Full::from(body)).unwrap(),
    )
    .await;
    Status::from_header_map(response.headers()).expect("an error")
}

async fn stop(facade: Facade) {
    facade.begin_shutdown();
    facade.stopped().await;
}

fn alive_tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Waits until all that was spawned has ended, and with it every connection.
async fn settled(before: usize) {
    let end = async {
        while alive_tasks() > before {
            yield_now().await;
        }
    };
    let ended = timeout(Duration::from_secs(20), end).await;
    assert!(
        ended.is_ok(),
        "{} tasks are left, of {before}",
        alive_tasks()
    );
}
