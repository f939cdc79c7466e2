//! Raw HTTP/2 frames, for clients that no library can be.

use std::net::SocketAddr;

use prost::Message;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{GET_GROUP_INFO, group};

/// The types and flags of frames ([RFC 9113](https://www.rfc-editor.org/rfc/rfc9113), section 6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const INITIAL_WINDOW_SIZE: u8 = 4;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// Opens a connection for raw frames.
pub(crate) async fn opened(address: SocketAddr) -> TcpStream {
    opened_with_window(address, 65_535).await
}

/// Opens a connection for raw frames whose streams have an initial window of `window` bytes.
pub(crate) async fn opened_with_window(address: SocketAddr, window: u16) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&start(window)).await.unwrap();
    stream
}

/// Returns the first frames of a connection whose streams have an initial window of `window` bytes.
pub(crate) fn start(window: u16) -> Vec<u8> {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let [high, low] = window.to_be_bytes();
    let settings = [0, INITIAL_WINDOW_SIZE, 0, 0, high, low];
    [&preface[..], &frame(SETTINGS, 0, 0, &settings)].concat()
}

/// Returns the frames of a call, including some that clients send with it.
pub(crate) fn whole_call(stream: u32) -> Vec<u8> {
    let credit = frame(WINDOW_UPDATE, 0, stream, &[0, 0, 0xff, 0xff]);
    [whole_call_without_credit(stream), credit].concat()
}

pub(crate) fn whole_call_without_credit(stream: u32) -> Vec<u8> {
    whole_call_with(stream, &headers())
}

/// Returns the frames of a call with these encoded headers.
pub(crate) fn whole_call_with(stream: u32, headers: &[u8]) -> Vec<u8> {
    let message = group("aaa").encode_to_vec();
    let message = [&[0, 0, 0, 0, message.len() as u8], &message[..]].concat();
    let headers = frame(HEADERS, END_HEADERS, stream, headers);
    [headers, frame(DATA, END_STREAM, stream, &message)].concat()
}

/// Waits for the message of a response.
pub(crate) async fn assert_served(stream: &mut (impl AsyncRead + Unpin)) {
    loop {
        match read_frame(stream).await {
            (DATA, _, response) => {
                assert!(response.len() > 5);
                break;
            }
            (GOAWAY, _, reason) => panic!("the connection was ended: {reason:?}"),
            _ => {}
        }
    }
}

/// Returns the encoded frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Reads the type, flags and payload of a frame.
pub(crate) async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> (u8, u8, Vec<u8>) {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    let [high, middle, low, kind, flags, ..] = head;
    let length = u32::from_be_bytes([0, high, middle, low]);
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).await.unwrap();
    (kind, flags, payload)
}

/// Returns the encoded headers of a call, each a literal without indexing.
pub(crate) fn headers() -> Vec<u8> {
    headers_with(":method", b"POST")
}

/// Returns the encoded headers of a call with one value replaced.
pub(crate) fn headers_with(changed: &str, value: &[u8]) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "facade"),
        (":path", GET_GROUP_INFO),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let literal = |text: &[u8]| [&[text.len() as u8], text].concat();
    fields
        .iter()
        .map(|(name, usual)| match *name == changed {
            true => (name, value),
            false => (name, usual.as_bytes()),
        })
        .flat_map(|(name, value)| [vec![0], literal(name.as_bytes()), literal(value)].concat())
        .collect()
}
