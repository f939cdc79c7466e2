//! Connections that begin, and go no further.

use std::net::SocketAddr;

use iai_facade::proto::face_recognition_service_client::FaceRecognitionServiceClient;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::rustls::version::TLS13;

use crate::{
    authority::Authority,
    harness::{Facade, LOUD, Program, client, group},
    tls_client::{channel, hello},
};

const HALF_OPEN: usize = 5_000;

/// What a process may open on many systems. Of the connections that are at their beginning, there are
/// 512 and those that are about to be closed.
const MOST_DESCRIPTORS: usize = 1_024;

#[tokio::test]
async fn thousands_of_handshakes_that_stop_half_way_harm_nobody() {
    let authority = Authority::new();
    let server = authority.server();
    let flags = [
        "--emulate",
        "--tls-cert",
        &server.cert,
        "--tls-key",
        &server.key,
    ];
    let (program, addresses) = Program::serve(&flags, &LOUD).await;
    let address = addresses.grpc;
    let mut settled = FaceRecognitionServiceClient::new(channel(address, &authority, None));
    settled.get_group_info(group("aaa")).await.unwrap();

    let hello = hello(&authority, &TLS13);
    // Nothing, the half of a first message, and the whole of it with nothing to follow.
    let beginnings = [&[][..], &hello[..hello.len() / 2], &hello];
    let mut open = Vec::new();
    for number in 0..HALF_OPEN {
        open.push(begin(address, beginnings[number % beginnings.len()]).await);
        if number % 100 == 0 {
            settled.get_group_info(group("aaa")).await.unwrap();
            let new = channel(address, &authority, None);
            let mut new = FaceRecognitionServiceClient::new(new);
            new.get_group_info(group("aaa")).await.unwrap();
            assert!(program.descriptors() < MOST_DESCRIPTORS);
        }
    }
    assert_eq!(open.len(), HALF_OPEN);
    program.ended_without(&server.key_forms()).await;
}

#[tokio::test]
async fn what_stops_half_way_is_ended_by_itself() {
    let authority = Authority::new();
    let server = authority.server();
    let encrypted = ["--tls-cert", &server.cert, "--tls-key", &server.key];
    let hello = hello(&authority, &TLS13);

    let mut open = Vec::new();
    for (flags, beginning) in [(&encrypted[..], &hello[..9]), (&[], b"PRI")] {
        let facade = Facade::start_with(flags).await;
        let stream = begin(facade.addresses.grpc, beginning).await;
        open.push((stream, facade));
    }

    for (mut stream, _facade) in open {
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn in_plain_text_who_says_nothing_harms_nobody_either() {
    let (program, addresses) = Program::serve(&["--emulate"], &[]).await;

    let mut open = Vec::new();
    for number in 0..HALF_OPEN / 2 {
        open.push(begin(addresses.grpc, b"PRI * HTTP/2").await);
        if number % 100 == 0 {
            let mut new = client(addresses.grpc);
            new.get_group_info(group("aaa")).await.unwrap();
            assert!(program.descriptors() < MOST_DESCRIPTORS);
        }
    }
    assert_eq!(open.len(), HALF_OPEN / 2);
}

async fn begin(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address)
        .await
        .expect("a descriptor for each: see ulimit -n");
    // It may have been displaced already.
    let _ = stream.write_all(bytes).await;
    stream
}
