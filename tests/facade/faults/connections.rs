//! Faults of connections, byte by byte.

use std::{future::Future, pin::Pin, time::Duration};

use tokio::{io::AsyncWriteExt, net::TcpStream, time::interval};

use super::{EXPIRED, Expected, INVALID, UNREACHABLE};
use crate::raw_upstream::{answer, hold, read_request, reset};

/// What a raw upstream does to a connection.
pub(super) type Serve = fn(TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>>;

pub(super) const OK_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

/// What a connection can do instead of answering, and what becomes of it.
pub(super) const CONNECTIONS: &[(&str, Serve, Expected)] = &[
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
        "no HTTP",
        |stream| Box::pin(async move { drop(answer(stream, "SSH-2.0-OpenSSH_9.2\r\n").await) }),
        INVALID,
    ),
];

/// What a connection can answer that has no end, or none worth waiting for. Apart from the others,
/// because it keeps the test as busy as the service.
pub(super) const FLOODS: &[(&str, Serve, Expected)] = &[
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
];

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
