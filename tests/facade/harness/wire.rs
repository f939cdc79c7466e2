//! Raw requests: gRPC and HTTP requests that generated clients cannot send.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::LOOPBACK;

/// The path of the `GetGroupInfo` method.
pub(crate) const GET_GROUP_INFO: &str = "/iaifacade.v1.FaceRecognitionService/GetGroupInfo";

/// Returns a builder with the headers that gRPC requires.
pub(crate) fn request(path: &str) -> http::request::Builder {
    Request::builder()
        .method(Method::POST)
        .uri(format!("http://facade{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

/// Sends a gRPC request unchanged over a new connection.
pub(crate) async fn send(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Response<hyper::body::Incoming> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    sender.send_request(request).await.unwrap()
}

/// An address that refuses connections. While the value lives, no other test can bind its port.
pub(crate) struct DeadUpstream(TcpSocket);

impl DeadUpstream {
    /// Binds a port without listening on it.
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(LOOPBACK).unwrap();
        Self(socket)
    }

    /// Returns the address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }
}

/// Sends an HTTP/1.1 request and returns the status and body of the response.
pub(crate) async fn http(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> (u16, String) {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();

    let (head, text) = response.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text.to_owned())
}
