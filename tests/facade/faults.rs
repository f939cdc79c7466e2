//! What callers receive while upstream fails, how often it is tried, and what is left behind.
//!
//! Each fault befalls every attempt, on both operations.

use std::{future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use iai_facade::{
    code,
    emulator::{Fault, FaultKind},
};
use prost::Message;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    runtime::Handle,
    task::{JoinSet, yield_now},
    time::{Instant, interval, timeout},
};
use tonic::{Code, Status};

use crate::{
    encryption::Encrypted,
    harness::{
        Facade, GET_GROUP_INFO, GET_PERSON_GROUP_INFO, LOOPBACK, error_info, group, person,
        request, send, start_emulator, text,
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

/// Throttling asks for a pause of a second, of which only one fits.
const RATE_LIMITED: Expected = Expected("RESOURCE_EXHAUSTED", "RATE_LIMITED", 2);

/// What a raw upstream does to a connection.
type Serve = fn(TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>>;

const OK_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

const RAW: &[(&str, Serve, Expected)] = &[
    (
        "reset before the headers",
        |mut stream| {
            Box::pin(async move {
                read_request(&mut stream).await;
                reset(&stream);
            })
        },
        UNREACHABLE,
    ),
    (
        "reset in the headers",
        |stream| Box::pin(async move { reset(&answer(stream, "HTTP/1.1 200 OK\r\ncont").await) }),
        UNREACHABLE,
    ),
    (
        "reset after the headers",
        |stream| {
            let head = format!("{OK_HEAD}content-length: 100\r\n\r\n");
            Box::pin(async move { reset(&answer(stream, head).await) })
        },
        UNREACHABLE,
    ),
    (
        "reset in the body",
        |stream| {
            let part = format!("{OK_HEAD}content-length: 100\r\n\r\n{{\"Resp");
            Box::pin(async move { reset(&answer(stream, part).await) })
        },
        UNREACHABLE,
    ),
    (
        "closed without a word",
        |stream| Box::pin(async move { drop(answer(stream, "").await) }),
        UNREACHABLE,
    ),
    (
        "a body shorter than announced",
        |stream| {
            let part = format!("{OK_HEAD}content-length: 100\r\n\r\n{{}}");
            Box::pin(async move { drop(answer(stream, part).await) })
        },
        UNREACHABLE,
    ),
    (
        "a body longer than announced",
        |stream| {
            let body = r#"{"Response":{"GroupId":"aaa","GroupNum":1,"RequestId":"r"}}"#;
            let longer = format!("{OK_HEAD}content-length: 20\r\n\r\n{body}");
            Box::pin(async move { drop(answer(stream, longer).await) })
        },
        INVALID,
    ),
    (
        "a hang before the headers",
        |stream| Box::pin(async move { hold(answer(stream, "").await).await }),
        EXPIRED,
    ),
    (
        "a hang in the body",
        |stream| {
            let part = format!("{OK_HEAD}content-length: 100\r\n\r\n{{\"Resp");
            Box::pin(async move { hold(answer(stream, part).await).await })
        },
        EXPIRED,
    ),
    (
        "one byte a second",
        |stream| Box::pin(trickle(stream)),
        EXPIRED,
    ),
    (
        "only informational answers",
        |stream| {
            let early = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(10);
            Box::pin(async move { hold(answer(stream, early).await).await })
        },
        EXPIRED,
    ),
    (
        "a body of 100 MB",
        |stream| {
            let head = format!("{OK_HEAD}content-length: 100000000\r\n\r\n");
            Box::pin(async move { hold(answer(stream, head).await).await })
        },
        INVALID,
    ),
    (
        "a body without end",
        |stream| Box::pin(flood(stream, "\r\n", "400\r\n", 0x400)),
        INVALID,
    ),
    (
        "headers without end",
        |stream| Box::pin(flood(stream, "", "x-more: ", 80)),
        INVALID,
    ),
    (
        "no HTTP",
        |stream| Box::pin(async move { drop(answer(stream, "SSH-2.0-OpenSSH_9.2\r\n").await) }),
        INVALID,
    ),
];

/// HTTP answers with a page and with no body at all, and what both mean.
const STATUSES: &[(u16, Expected)] = &[
    (200, INVALID),
    (302, INVALID),
    (404, INVALID),
    (429, RATE_LIMITED),
    (500, INVALID),
    (502, UNREACHABLE),
    (503, UNREACHABLE),
    (504, UNREACHABLE),
];

const BODIES: &[(&str, &str)] = &[
    ("truncated JSON", r#"{"Response":{"GroupId":"aaa","#),
    (
        "JSON of the wrong shape",
        r#"{"Response":{"GroupId":[],"GroupNum":{},"RequestId":"r"}}"#,
    ),
    ("JSON that is something else", r#"{"message":"hello"}"#),
];

/// One code of each class, and how often a call is tried that it befalls.
const REFUSALS: &[(&str, &str, u32)] = &[
    ("ResourceUnavailable.InArrears", "FAILED_PRECONDITION", 1),
    (
        "InvalidParameterValue.GroupIdAlreadyExist",
        "ALREADY_EXISTS",
        1,
    ),
    ("MissingParameter", "INVALID_ARGUMENT", 1),
    ("InvalidParameter", "INVALID_ARGUMENT", 1),
    ("AuthFailure.SignatureExpire", "INTERNAL", 1),
    ("FailedOperation.ConflictOperation", "ABORTED", 3),
    ("AuthFailure.SignatureFailure", "INTERNAL", 1),
    ("InvalidAction", "INTERNAL", 1),
    ("ResourceNotFound", "NOT_FOUND", 1),
    ("InvalidParameterValue.OffsetExceed", "OUT_OF_RANGE", 1),
    ("UnauthorizedOperation", "FAILED_PRECONDITION", 1),
    ("LimitExceeded", "RESOURCE_EXHAUSTED", 1),
    (
        "FailedOperation.GroupInDeletedState",
        "FAILED_PRECONDITION",
        1,
    ),
    ("RequestLimitExceeded", "RESOURCE_EXHAUSTED", 2),
    ("FailedOperation.ServerError", "UNAVAILABLE", 3),
    ("FailedOperation", "UNKNOWN", 1),
    ("InternalError", "INTERNAL", 3),
    ("ActionOffline", "UNIMPLEMENTED", 1),
];

#[tokio::test]
async fn every_fault_of_a_connection_is_answered_in_time_as_documented_and_leaves_nothing() {
    let before = alive_tasks();
    let mut cases = JoinSet::new();
    for &(name, serve, expected) in RAW {
        cases.spawn(async move {
            let mut upstream = RawUpstream::start(serve).await;
            check(name, &upstream.endpoint(), &[], expected).await;
            upstream.abandoned().await;
        });
    }
    cases.spawn(async {
        let nobody = TcpListener::bind(LOOPBACK)
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        check(
            "connection refused",
            &format!("http://{nobody}"),
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
            let facade = Facade::start_before(emulator, &["--endpoint", &endpoint]).await;
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
    let flags = [&["--endpoint", endpoint], flags].concat();
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

async fn stop(mut facade: Facade) {
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

/// Answers a byte a second.
async fn trickle(stream: TcpStream) {
    let mut stream = answer(stream, "").await;
    let mut second = interval(Duration::from_secs(1));
    for byte in format!("{OK_HEAD}content-length: 2\r\n\r\n{{}}").into_bytes() {
        second.tick().await;
        if stream.write_all(&[byte]).await.is_err() {
            return;
        }
    }
}

/// Answers with lines that begin with `prefix` and never end.
async fn flood(stream: TcpStream, end_of_head: &str, prefix: &str, length: usize) {
    let chunked = if end_of_head.is_empty() {
        ""
    } else {
        "transfer-encoding: chunked\r\n"
    };
    let mut stream = answer(stream, format!("{OK_HEAD}{chunked}{end_of_head}")).await;
    let line = format!("{prefix}{}\r\n", "x".repeat(length));
    while stream.write_all(line.as_bytes()).await.is_ok() {}
}
