//! How long connections last, and how many there are.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use iai_facade::emulator::FaultKind;
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::{JoinHandle, JoinSet},
    time::Instant,
};
use tonic::Status;

use crate::harness::{Facade, GET_GROUP_INFO, group, request};

#[tokio::test]
async fn connections_end_at_their_age_and_not_together() {
    let facade = Facade::start_with(&["--max-connection-age", "1s"]).await;
    let mut ages = JoinSet::new();
    for _ in 0..50 {
        let address = facade.addresses.grpc;
        ages.spawn(async move {
            let (_sender, ended) = connection(address).await;
            let opened = Instant::now();
            ended.await.unwrap().unwrap();
            opened.elapsed()
        });
    }

    let ages = ages.join_all().await;

    let (least, most) = (ages.iter().min().unwrap(), ages.iter().max().unwrap());
    // A moment passes before the client looks at its clock.
    assert!(*least > Duration::from_millis(850), "{ages:?}");
    assert!(*most - *least > Duration::from_millis(50), "{ages:?}");
}

#[tokio::test]
async fn a_call_outlasts_the_age_of_its_connection() {
    let facade = Facade::start_with(&["--max-connection-age", "50ms"]).await;
    let delay = Duration::from_millis(500);
    facade.emulator.script(FaultKind::Delay(delay));
    let (mut sender, ended) = connection(facade.addresses.grpc).await;
    let message = group("aaa").encode_to_vec();
    let message = [&[0, 0, 0, 0, message.len() as u8], &message[..]].concat();
    let call = request(GET_GROUP_INFO).body(Full::from(message)).unwrap();

    let answer = sender.send_request(call).await.unwrap();

    let answer = answer.into_body().collect().await.unwrap();
    let status = Status::from_header_map(answer.trailers().unwrap()).unwrap();
    assert_eq!(status.code(), tonic::Code::Ok);
    ended.await.unwrap().unwrap();
}

/// A client that has answered the ping of the end may have begun calls before: h2 alone would take
/// what belongs to them for an error of protocol.
#[tokio::test]
async fn a_call_on_its_way_to_a_connection_that_ends_is_answered() {
    let facade = Facade::start_with(&["--max-connection-age", "50ms"]).await;
    let mut stream = TcpStream::connect(facade.addresses.grpc).await.unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, b"")).await.unwrap();
    let mut is_told = false;
    loop {
        match read_frame(&mut stream).await {
            (SETTINGS, 0, _) => stream
                .write_all(&frame(SETTINGS, ACK, 0, b""))
                .await
                .unwrap(),
            (GOAWAY, ..) => is_told = true,
            (PING, 0, ping) if is_told => {
                stream.write_all(&frame(PING, ACK, 0, &ping)).await.unwrap();
                break;
            }
            _ => {}
        }
    }

    let message = group("aaa").encode_to_vec();
    let message = [&[0, 0, 0, 0, message.len() as u8], &message[..]].concat();
    let credit = frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0xff, 0xff]);
    let headers = frame(HEADERS, END_HEADERS, 1, &headers());
    let call = [headers, credit, frame(DATA, END_STREAM, 1, &message)].concat();
    stream.write_all(&call).await.unwrap();

    loop {
        match read_frame(&mut stream).await {
            (DATA, _, answer) => {
                assert!(answer.len() > 5);
                break;
            }
            (GOAWAY, _, reason) => panic!("the connection was ended: {reason:?}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_the_others_go_on() {
    let facade = Facade::start_with(&["--max-connections", "1"]).await;
    let mut client = facade.client();
    client.get_group_info(group("aaa")).await.unwrap();

    let mut second = TcpStream::connect(facade.addresses.grpc).await.unwrap();
    let read = second.read(&mut [0; 1]).await;

    assert_eq!(read.unwrap_or_default(), 0);
    client.get_group_info(group("aaa")).await.unwrap();
}

/// The types and flags of frames ([RFC 9113](https://www.rfc-editor.org/rfc/rfc9113), section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Returns a frame as it travels.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Reads the type, the flags and the payload of a frame.
async fn read_frame(stream: &mut TcpStream) -> (u8, u8, Vec<u8>) {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    let [high, middle, low, kind, flags, ..] = head;
    let length = u32::from_be_bytes([0, high, middle, low]);
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).await.unwrap();
    (kind, flags, payload)
}

/// Returns the headers of a call, each a literal without an index.
fn headers() -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "facade"),
        (":path", GET_GROUP_INFO),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let literal = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    fields
        .iter()
        .flat_map(|(name, value)| [vec![0], literal(name), literal(value)].concat())
        .collect()
}

/// Opens a connection, and returns it with what waits for its end.
async fn connection(
    address: SocketAddr,
) -> (SendRequest<Full<Bytes>>, JoinHandle<hyper::Result<()>>) {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let executor = TokioExecutor::new();
    let (sender, connection) = http2::handshake(executor, stream).await.unwrap();
    (sender, tokio::spawn(connection))
}
