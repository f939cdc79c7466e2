//! Responses that a client does not read: limits of the unsent bytes, and of the time to read them.

use std::time::Duration;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use iai_emulator::{Account, Fault, FaultKind};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::Instant,
};
use tonic::Code;

use crate::harness::{
    Facade, GET_GROUP_INFO, Program,
    connection::{call, connection, status_of},
    frames::{
        DATA, HEADERS, RST_STREAM, WINDOW_UPDATE, assert_served, frame, opened, opened_with_window,
        read_frame, whole_call, whole_call_without_credit,
    },
    own_reason, request, start_emulator,
};

#[tokio::test]
async fn a_call_holds_its_permit_until_its_response_is_sent() {
    let facade = Facade::start_with(&["--max-concurrent-calls", "1"]).await;
    let mut stream = opened_with_window(facade.addresses.grpc, 0).await;
    let call_1 = whole_call_without_credit(1);
    stream.write_all(&call_1).await.unwrap();
    while read_frame(&mut stream).await.0 != HEADERS {}
    let (mut other, _ended) = connection(facade.addresses.grpc).await;

    assert_eq!(call(&mut other, None).await, RESOURCE_EXHAUSTED);
    let credit = frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0xff, 0xff]);
    stream.write_all(&credit).await.unwrap();
    assert_served(&mut stream).await;

    while call(&mut other, None).await == RESOURCE_EXHAUSTED {}
    assert_eq!(call(&mut other, None).await, Code::Ok);
}

#[tokio::test]
async fn an_unread_response_fails_only_its_own_call() {
    let facade = Facade::start_with(&["--max-concurrent-calls", "1"]).await;
    let mut stream = opened_with_window(facade.addresses.grpc, 0).await;
    let call_1 = whole_call_without_credit(1);
    stream.write_all(&call_1).await.unwrap();

    while read_frame(&mut stream).await.0 != RST_STREAM {}

    // The permit is released.
    stream.write_all(&whole_call(3)).await.unwrap();
    assert_served(&mut stream).await;
}

#[tokio::test]
async fn a_large_response_read_in_part_fails_only_its_own_call() {
    let facade = Facade::start_with(&["--max-concurrent-calls", "1"]).await;
    facade.emulator.script(large_response().times(1));
    let mut stream = opened(facade.addresses.grpc).await;
    let credit = frame(WINDOW_UPDATE, 0, 0, &[0, 0xff, 0xff, 0xff]);
    stream.write_all(&credit).await.unwrap();
    let call_1 = whole_call_without_credit(1);
    stream.write_all(&call_1).await.unwrap();

    let mut read = 0;
    loop {
        match read_frame(&mut stream).await {
            (DATA, _, part) => read += part.len(),
            (RST_STREAM, ..) => break,
            _ => {}
        }
    }

    assert_eq!(read, 65_535);
    stream.write_all(&whole_call(3)).await.unwrap();
    assert_served(&mut stream).await;
}

#[tokio::test]
async fn a_large_response_is_sent_completely() {
    let facade = Facade::start().await;
    facade.emulator.script(large_response().times(1));

    let (mut sender, _ended) = connection(facade.addresses.grpc).await;

    assert_eq!(call(&mut sender, None).await, Code::Ok);
}

/// One byte of a response is read: the rest is then with h2, which does not reset a stream by itself.
#[tokio::test]
async fn a_connection_whose_responses_are_not_read_is_closed() {
    let facade = Facade::start().await;
    let mut stream = opened_with_window(facade.addresses.grpc, 1).await;
    let call_1 = whole_call_without_credit(1);
    stream.write_all(&call_1).await.unwrap();
    let began = Instant::now();

    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;

    // Before a ping would be missed.
    assert!((Duration::from_secs(14)..Duration::from_secs(35)).contains(&began.elapsed()));
    let unread = "iai_facade_connections_closed_total{reason=\"unread\"}";
    assert_eq!(facade.samples().await.get(unread), 1.0);
}

#[tokio::test]
async fn responses_above_16_mib_unsent_on_a_connection_are_rejected() {
    let emulator = start_emulator().await;
    emulator.script(large_response().times(256));
    let endpoint = emulator.endpoint();
    let off = ["--adaptive-rate", "off", "--circuit", "off"];
    let ours = [
        "--endpoint",
        &endpoint,
        "--max-attempts",
        "1",
        "--log-slow",
        "1m",
    ];
    let flags = [&ours[..], &off].concat();
    let account = Account::default();
    let variables = [
        ("TENCENTCLOUD_SECRET_ID", account.secret_id()),
        ("TENCENTCLOUD_SECRET_KEY", account.secret_key()),
    ];
    let (mut program, addresses) = Program::serve(&flags, &variables).await;
    let stream = TcpStream::connect(addresses.grpc).await.unwrap();
    let mut client = http2::Builder::new(TokioExecutor::new());
    client.initial_stream_window_size(0);
    let (sender, connection) = client.handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut calls = JoinSet::new();
    for _ in 0..256 {
        let mut sender = sender.clone();
        calls.spawn(async move { status_of(&mut sender, request(GET_GROUP_INFO)).await });
    }

    let rejected = calls.join_next().await.unwrap().unwrap();

    assert_eq!(rejected.code(), RESOURCE_EXHAUSTED, "{rejected:?}");
    assert_eq!(own_reason(&rejected), "OVERLOADED");
    let words = "too many bytes of responses wait to be sent to clients that do not read them";
    assert_eq!(rejected.message(), words);
    // The successful calls are not logged.
    let line = program.line("call").await;
    assert_eq!(line["rpc.response.status_code"], "RESOURCE_EXHAUSTED");
    assert_eq!(line["error.message"], words);
    connection.abort();
}

/// Returns a response that is larger than the initial window of a stream.
fn large_response() -> Fault {
    let tag = "a".repeat(100_000);
    let response = format!(
        r#"{{"Response": {{"GroupId": "aaa", "GroupName": "a", "GroupExDescriptions": [], "Tag": "{tag}",
            "FaceModelVersion": "3.0", "CreationTimestamp": 1, "RequestId": "r"}}}}"#
    );
    FaultKind::response(response).into()
}

const RESOURCE_EXHAUSTED: Code = Code::ResourceExhausted;
