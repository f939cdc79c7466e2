//! Metrics of connections that ended, by their reason.

use iai_emulator::FaultKind;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::Code;

use crate::harness::{
    Facade, GET_GROUP_INFO,
    authority::Authority,
    connection::{call, connection},
    frames::{PING, frame, opened},
    group, http,
};

#[tokio::test]
async fn connections_that_clients_end_are_counted_by_reason() {
    let facade = Facade::start().await;
    let address = facade.addresses.grpc;

    let (mut sender, ended) = connection(address).await;
    assert_eq!(call(&mut sender, None).await, Code::Ok);
    drop(sender);
    ended.await.unwrap().unwrap();
    ends(&facade, "closed", "client").await;

    // RFC 9113, section 6.7: a PING frame has 8 bytes.
    let mut stream = opened(address).await;
    stream
        .write_all(&frame(PING, 0, 0, b"short"))
        .await
        .unwrap();
    read_all(stream).await;
    ends(&facade, "closed", "error").await;

    let (status, _) = http(address, "GET", GET_GROUP_INFO, "").await;
    assert_eq!(status, 505);
    ends(&facade, "rejected", "preface").await;
}

#[tokio::test]
async fn a_failed_tls_handshake_is_counted_as_rejected() {
    let authority = Authority::new();
    let server = authority.server();
    let flags = ["--tls-cert", &server.cert, "--tls-key", &server.key];
    let facade = Facade::start_with(&flags).await;

    let mut stream = TcpStream::connect(facade.addresses.grpc).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    read_all(stream).await;

    ends(&facade, "rejected", "tls_handshake").await;
}

#[tokio::test]
async fn connections_that_the_server_closes_are_counted_by_reason() {
    let flags = ["--max-connections", "1", "--max-connection-age", "1h"];
    let facade = Facade::start_with(&flags).await;
    let (mut first, ended) = connection(facade.addresses.grpc).await;
    assert_eq!(call(&mut first, None).await, Code::Ok);
    let (mut second, _ended) = connection(facade.addresses.grpc).await;
    assert_eq!(call(&mut second, None).await, Code::Ok);
    ended.await.unwrap().unwrap();
    ends(&facade, "closed", "displaced").await;

    let facade = Facade::start_with(&["--max-connection-age", "50ms"]).await;
    let (_sender, ended) = connection(facade.addresses.grpc).await;
    ended.await.unwrap().unwrap();
    ends(&facade, "closed", "max_age").await;

    let facade = Facade::start().await;
    let (_idle, ended) = connection(facade.addresses.grpc).await;
    let mut busy = facade.client();
    facade.emulator.script(FaultKind::Hold);
    let call = tokio::spawn(async move { busy.get_group_info(group("aaa")).await });
    facade.emulator.wait_for_requests(1).await;
    facade.begin_shutdown();
    ended.await.unwrap().unwrap();
    ends(&facade, "closed", "shutdown").await;
    call.abort();
}

/// Waits until one connection is counted as ended for this reason.
async fn ends(facade: &Facade, kind: &str, reason: &str) {
    let sample = format!("iai_facade_connections_{kind}_total{{reason=\"{reason}\"}}");
    loop {
        let samples = facade.samples().await;
        if samples.get(&sample) == 1.0 {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn read_all(mut stream: TcpStream) {
    // The server may reset the connection.
    let _ = stream.read_to_end(&mut Vec::new()).await;
}
