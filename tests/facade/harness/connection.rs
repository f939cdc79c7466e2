//! Calls over one HTTP/2 connection, which the test holds and sees closed.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::{net::TcpStream, task::JoinHandle};
use tonic::{Code, Status};

use super::{GET_GROUP_INFO, group, request};

/// Opens a connection and returns it with a future that waits for its close.
pub(crate) async fn connection(
    address: SocketAddr,
) -> (SendRequest<Full<Bytes>>, JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(address).await.unwrap();
    // Otherwise each message of a call may wait for the delayed acknowledgement of its headers.
    stream.set_nodelay(true).unwrap();
    let stream = TokioIo::new(stream);
    let executor = TokioExecutor::new();
    let (sender, connection) = http2::handshake(executor, stream).await.unwrap();
    (sender, tokio::spawn(connection))
}

/// Sends a call on a connection, with or without a token, and returns the status code.
pub(crate) async fn call(sender: &mut SendRequest<Full<Bytes>>, token: Option<&str>) -> Code {
    let mut call = request(GET_GROUP_INFO);
    if let Some(token) = token {
        call = call.header("authorization", format!("Bearer {token}"));
    }
    status_of(sender, call).await.code()
}

/// Sends a call and returns the status of the response.
pub(crate) async fn status_of(
    sender: &mut SendRequest<Full<Bytes>>,
    call: http::request::Builder,
) -> Status {
    let message = group("aaa").encode_to_vec();
    let message = [&[0, 0, 0, 0, message.len() as u8], &message[..]].concat();
    let call = call.body(Full::from(message)).unwrap();
    let response = match sender.send_request(call).await {
        Ok(response) => response,
        Err(error) => return Status::unavailable(error.to_string()),
    };
    let (head, body) = response.into_parts();
    let trailers = body.collect().await.unwrap().trailers().cloned();
    Status::from_header_map(trailers.as_ref().unwrap_or(&head.headers)).unwrap()
}
