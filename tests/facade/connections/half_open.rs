//! Half-open connections: stalled TLS handshakes and silent clients.

use std::net::SocketAddr;

use iai_facade::proto::face_recognition_service_client::FaceRecognitionServiceClient;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::rustls::version::TLS13;

use crate::harness::{
    Facade, Program, TRACE_LOG,
    authority::Authority,
    client, group,
    samples::Samples,
    tls_client::{channel, hello},
};

const HALF_OPEN: usize = 5_000;

/// The default file descriptor limit of many systems. At most 512 connections are in the handshake,
/// besides those about to be closed.
const MOST_DESCRIPTORS: usize = 1_024;

#[tokio::test]
async fn thousands_of_stalled_handshakes_do_not_affect_callers() {
    let authority = Authority::new();
    let server = authority.server();
    let flags = [
        "--emulate",
        "--tls-cert",
        &server.cert,
        "--tls-key",
        &server.key,
    ];
    let (program, addresses) = Program::serve(&flags, &TRACE_LOG).await;
    let address = addresses.grpc;
    let mut settled = FaceRecognitionServiceClient::new(channel(address, &authority, None));
    settled.get_group_info(group("aaa")).await.unwrap();

    let hello = hello(&authority, &TLS13);
    // No bytes, half of the ClientHello, or the whole ClientHello and nothing after it.
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
    let samples = Samples::scrape(addresses.admin).await;
    let displaced = "iai_facade_connections_rejected_total{reason=\"displaced\"}";
    assert!(samples.get(displaced) > 0.0);
    program.ended_without(&server.key_forms()).await;
}

#[tokio::test]
async fn a_stalled_handshake_times_out() {
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

    for (mut stream, facade) in open {
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        let timed_out = "iai_facade_connections_rejected_total{reason=\"timeout\"}";
        assert_eq!(facade.samples().await.get(timed_out), 1.0);
    }
}

#[tokio::test]
async fn silent_plaintext_connections_do_not_affect_callers() {
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

#[tokio::test]
async fn a_stalled_handshake_does_not_count_as_a_connection() {
    let authority = Authority::new();
    let server = authority.server();
    let encrypted = ["--tls-cert", &server.cert, "--tls-key", &server.key];
    let flags = [&encrypted[..], &["--max-connections", "4"]].concat();
    let facade = Facade::start_with(&flags).await;
    let address = facade.addresses.grpc;
    let hello = hello(&authority, &TLS13);

    let mut open = Vec::new();
    for _ in 0..50 {
        open.push(begin(address, &hello).await);
        let new = channel(address, &authority, None);
        let mut new = FaceRecognitionServiceClient::new(new);
        new.get_group_info(group("aaa")).await.unwrap();
    }
    assert_eq!(open.len(), 50);
}

async fn begin(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address)
        .await
        .expect("a descriptor for each: see ulimit -n");
    // The server may already have closed it for a newer connection.
    let _ = stream.write_all(bytes).await;
    stream
}
