//! Limits of open streams on a connection: health checks, watches and reflection.

use http_body_util::Full;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tonic::{Code, Status};

use crate::harness::{
    Facade,
    connection::connection,
    frames::{
        DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, assert_served, frame, headers_with,
        opened, read_frame, whole_call,
    },
    own_reason, request,
};

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

#[tokio::test]
async fn at_most_8_watches_and_reflection_streams_are_open_on_a_connection() {
    let facade = Facade::start().await;
    for path in [WATCH, REFLECTION] {
        let mut stream = opened(facade.addresses.grpc).await;
        for number in 0..8 {
            assert!(is_opened(&mut stream, 2 * number + 1, path).await);
        }
        assert!(!is_opened(&mut stream, 17, path).await);
        let mut another = opened(facade.addresses.grpc).await;
        assert!(is_opened(&mut another, 1, path).await);

        let cancelled = frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]);
        stream.write_all(&cancelled).await.unwrap();
        let mut next = 19;
        while !is_opened(&mut stream, next, path).await {
            next += 2;
        }
    }
}

/// Opens a streaming call, and returns whether it was accepted.
async fn is_opened(stream: &mut TcpStream, number: u32, path: &str) -> bool {
    let headers = headers_with(":path", path.as_bytes());
    let headers = frame(HEADERS, END_HEADERS, number, &headers);
    // `list_services` to one, and a field that is not known to the other.
    let flags = if path == WATCH { END_STREAM } else { 0 };
    let message = frame(DATA, flags, number, b"\0\0\0\0\x02\x3a\0");
    let call = [headers, message].concat();
    stream.write_all(&call).await.unwrap();
    loop {
        if let (HEADERS, flags, _) = read_frame(stream).await {
            return flags & END_STREAM == 0;
        }
    }
}

#[tokio::test]
async fn a_watch_above_the_limit_is_rejected_with_the_limit() {
    let facade = Facade::start().await;
    let (mut sender, _ended) = connection(facade.addresses.grpc).await;
    let mut open = Vec::new();
    let rejected = loop {
        let watch = request(WATCH).body(Full::from(&[0; 5][..]));
        let response = sender.send_request(watch.unwrap()).await.unwrap();
        match Status::from_header_map(response.headers()) {
            None => open.push(response),
            Some(status) => break status,
        }
    };

    assert_eq!((rejected.code(), open.len()), (RESOURCE_EXHAUSTED, 8));
    assert_eq!(own_reason(&rejected), "OVERLOADED");
    let words = "too many streams of Health/Watch are open on this connection; the limit is 8, which no \
                 setting changes";
    assert_eq!(rejected.message(), words);
}

#[tokio::test]
async fn at_most_32_checks_are_open_on_a_connection() {
    let facade = Facade::start().await;
    let mut stream = opened(facade.addresses.grpc).await;
    let headers = headers_with(":path", CHECK.as_bytes());
    let without_message = |number| frame(HEADERS, END_HEADERS, number, &headers);
    let calls: Vec<_> = (0..33).flat_map(|it| without_message(2 * it + 1)).collect();

    stream.write_all(&calls).await.unwrap();

    loop {
        if let (HEADERS, flags, _) = read_frame(&mut stream).await {
            assert!(flags & END_STREAM > 0);
            break;
        }
    }
    // Other connections, and other calls of this one, are not affected.
    let (mut other, _ended) = connection(facade.addresses.grpc).await;
    let check = request(CHECK).body(Full::from(&[0; 5][..])).unwrap();
    let response = other.send_request(check).await.unwrap();
    assert_eq!(
        Status::from_header_map(response.headers()).map(|it| it.code()),
        None
    );
    stream.write_all(&whole_call(101)).await.unwrap();
    assert_served(&mut stream).await;
}

const RESOURCE_EXHAUSTED: Code = Code::ResourceExhausted;
