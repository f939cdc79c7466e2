//! Connection faults of a raw TCP upstream.

use std::{future::Future, pin::Pin, time::Duration};

use tokio::{io::AsyncWriteExt, net::TcpStream, time::interval};

use super::{EXPIRED, Expected, INVALID, UNREACHABLE};
use crate::harness::raw_upstream::{hold, read_request, reset, respond};

/// The function that a raw upstream runs on a connection.
pub(super) type Serve = fn(TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>>;

pub(super) const OK_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

/// Connection faults and their expected errors.
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
        |stream| Box::pin(async move { reset(&respond(stream, "HTTP/1.1 200 OK\r\ncont").await) }),
        UNREACHABLE,
    ),
    (
        "reset after the headers",
        |stream| {
            let head = format!("{OK_HEAD}content-length: 100\r\n\r\n");
            Box::pin(async move { reset(&respond(stream, head).await) })
        },
        UNREACHABLE,
    ),
    (
        "reset in the body",
        |stream| {
            let part = format!("{OK_HEAD}content-length: 100\r\n\r\n{{\"Resp");
            Box::pin(async move { reset(&respond(stream, part).await) })
        },
        UNREACHABLE,
    ),
    (
        "closed without a response",
        |stream| Box::pin(async move { drop(respond(stream, "").await) }),
        UNREACHABLE,
    ),
    (
        "a body shorter than announced",
        |stream| {
            let part = format!("{OK_HEAD}content-length: 100\r\n\r\n{{}}");
            Box::pin(async move { drop(respond(stream, part).await) })
        },
        UNREACHABLE,
    ),
    (
        "a body longer than announced",
        |stream| {
            let body = r#"{"Response":{"GroupId":"aaa","GroupNum":1,"RequestId":"r"}}"#;
            let longer = format!("{OK_HEAD}content-length: 20\r\n\r\n{body}");
            Box::pin(async move { drop(respond(stream, longer).await) })
        },
        INVALID,
    ),
    (
        "a hang before the headers",
        |stream| Box::pin(async move { hold(respond(stream, "").await).await }),
        EXPIRED,
    ),
    (
        "a hang in the body",
        |stream| {
            let part = format!("{OK_HEAD}content-length: 100\r\n\r\n{{\"Resp");
            Box::pin(async move { hold(respond(stream, part).await).await })
        },
        EXPIRED,
    ),
    (
        "one byte per second",
        |stream| Box::pin(trickle(stream)),
        EXPIRED,
    ),
    (
        "only informational responses",
        |stream| {
            let early = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(10);
            Box::pin(async move { hold(respond(stream, early).await).await })
        },
        EXPIRED,
    ),
    (
        "not HTTP",
        |stream| Box::pin(async move { drop(respond(stream, "SSH-2.0-OpenSSH_9.2\r\n").await) }),
        INVALID,
    ),
];

/// Endless responses and their expected errors. Tested one after another, since they use much processor
/// time.
pub(super) const FLOODS: &[(&str, Serve, Expected)] = &[
    (
        "a body of 100 MB",
        |stream| {
            let head = format!("{OK_HEAD}content-length: 100000000\r\n\r\n");
            Box::pin(async move { hold(respond(stream, head).await).await })
        },
        INVALID,
    ),
    (
        "an endless body",
        |stream| Box::pin(flood(stream, "\r\n", "400\r\n", 0x400)),
        INVALID,
    ),
    (
        "endless headers",
        |stream| Box::pin(flood(stream, "", "x-more: ", 80)),
        INVALID,
    ),
];

/// Sends one byte per second.
async fn trickle(stream: TcpStream) {
    let mut stream = respond(stream, "").await;
    let mut second = interval(Duration::from_secs(1));
    for byte in format!("{OK_HEAD}content-length: 2\r\n\r\n{{}}").into_bytes() {
        second.tick().await;
        if stream.write_all(&[byte]).await.is_err() {
            return;
        }
    }
}

/// Sends endless lines that begin with `prefix`.
async fn flood(stream: TcpStream, end_of_head: &str, prefix: &str, length: usize) {
    let chunked = if end_of_head.is_empty() {
        ""
    } else {
        "transfer-encoding: chunked\r\n"
    };
    let mut stream = respond(stream, format!("{OK_HEAD}{chunked}{end_of_head}")).await;
    let line = format!("{prefix}{}\r\n", "x".repeat(length));
    while stream.write_all(line.as_bytes()).await.is_ok() {}
}
