//! How long connections last, and how many there are.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use iai_facade::emulator::FaultKind;
use prost::Message;
use tokio::{
    io::AsyncReadExt,
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

/// Opens a connection, and returns it with what waits for its end.
async fn connection(
    address: SocketAddr,
) -> (SendRequest<Full<Bytes>>, JoinHandle<hyper::Result<()>>) {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let executor = TokioExecutor::new();
    let (sender, connection) = http2::handshake(executor, stream).await.unwrap();
    (sender, tokio::spawn(connection))
}
