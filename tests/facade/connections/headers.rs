//! Request headers: their maximum size, and malformed ones.

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::SendRequest;
use tokio::io::AsyncWriteExt;
use tonic::{Code, Status};

use crate::harness::{
    Facade, GET_GROUP_INFO, Program,
    connection::{call, connection, status_of},
    frames::{
        END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, frame, headers_with, opened,
        read_frame,
    },
    own_reason, request,
};

/// The fields have 5 kB each; for single larger fields, h2 closes the connection at a lower limit
/// of its own.
#[tokio::test]
async fn oversized_headers_fail_only_their_own_call() {
    let (program, addresses) = Program::serve(&["--emulate"], &[]).await;
    let (mut sender, ended) = connection(addresses.grpc).await;
    for (fields, code) in [
        (2, Code::Ok),
        (8, RESOURCE_EXHAUSTED),
        (12, RESOURCE_EXHAUSTED),
    ] {
        let status = call_with(&mut sender, fields).await;

        assert_eq!(status.code(), code, "{status:?}");
        if code == RESOURCE_EXHAUSTED {
            assert_eq!(own_reason(&status), "INVALID_REQUEST");
            let found: usize = number_after("the request headers have ", status.message());
            assert!((fields * 5_000..fields * 5_000 + 1_000).contains(&found));
            let words = "; the limit is 16384, set by --max-header-bytes";
            assert!(status.message().ends_with(words), "{status:?}");
        }
    }

    assert_eq!(call(&mut sender, None).await, Code::Ok);
    assert!(!ended.is_finished());
    program.signal("TERM").await;
    let log = program.ended().await.1;
    assert_eq!(log.matches("set by --max-header-bytes").count(), 2, "{log}");
}

#[tokio::test]
async fn headers_are_accepted_up_to_the_size_limit() {
    let facade = Facade::start_with(&["--max-header-bytes", "64KiB"]).await;
    let (mut sender, ended) = connection(facade.addresses.grpc).await;

    let status = call_with(&mut sender, 12).await;
    assert_eq!(status.code(), Code::Ok, "{status:?}");

    for (excess, code) in [(0, Code::Ok), (1, RESOURCE_EXHAUSTED)] {
        let facade = Facade::start_with(&["--max-header-bytes", "4096"]).await;
        let (mut sender, _ended) = connection(facade.addresses.grpc).await;
        let sent = request(GET_GROUP_INFO).body(()).unwrap();
        // The client adds the header with the message length.
        let rest: usize = [
            ":method",
            "POST",
            ":scheme",
            "http",
            ":authority",
            "facade",
            ":path",
        ]
        .iter()
        .chain(&[GET_GROUP_INFO, "content-length", "10", "x"])
        .map(|part| part.len())
        .chain(
            sent.headers()
                .iter()
                .map(|(name, value)| name.as_str().len() + value.len() + 32),
        )
        .sum::<usize>()
            + 6 * 32;
        let mut call = request(GET_GROUP_INFO);
        call = call.header("x", "a".repeat(4_096 - rest + excess));
        let status = status_of(&mut sender, call).await;
        assert_eq!(status.code(), code, "{status:?}");
    }
    assert!(!ended.is_finished());
}

/// Calls that h2 rejects before any code of the service runs, as docs/connections.md describes.
#[tokio::test]
async fn a_malformed_call_is_reset_and_invalid_utf8_closes_its_connection() {
    let facade = Facade::start().await;
    let cases: [(&str, &[u8], u8); 8] = [
        (":path", b"/a b", RST_STREAM),
        (":path", b"/a\0b", RST_STREAM),
        (":path", b"a", RST_STREAM),
        (":authority", b"/a/path", RST_STREAM),
        (":authority", b"a b", RST_STREAM),
        (":path", b"/a\xffb", GOAWAY),
        (":authority", b"\xff", GOAWAY),
        ("te", b"\x7f", GOAWAY),
    ];
    for (name, value, end) in cases {
        let mut stream = opened(facade.addresses.grpc).await;
        let flags = END_HEADERS | END_STREAM;
        let headers = frame(HEADERS, flags, 1, &headers_with(name, value));
        stream.write_all(&headers).await.unwrap();
        let received = loop {
            if let received @ (RST_STREAM | GOAWAY | HEADERS) = read_frame(&mut stream).await.0 {
                break received;
            }
        };
        assert_eq!(received, end, "{name} {value:?}");
    }
}

/// Sends a call on a connection with this many fields of 5 kB.
async fn call_with(sender: &mut SendRequest<Full<Bytes>>, fields: usize) -> Status {
    let call = (0..fields).fold(request(GET_GROUP_INFO), |call, number| {
        call.header(format!("x-field-{number}"), "a".repeat(4_955))
    });
    status_of(sender, call).await
}

/// Returns the number that follows `words`.
fn number_after(words: &str, text: &str) -> usize {
    let (_, rest) = text.split_once(words).unwrap();
    rest.split(' ').next().unwrap().parse().unwrap()
}

const RESOURCE_EXHAUSTED: Code = Code::ResourceExhausted;
