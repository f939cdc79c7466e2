//! Listening addresses: several at once, Unix sockets, IPv4, IPv6 and both.

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use hyper_util::rt::TokioIo;
use iai_facade::proto::face_recognition_service_client::FaceRecognitionServiceClient;
use serde_json::Value;
use tempfile::{NamedTempFile, TempDir};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, UnixStream},
};
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};
use tower::service_fn;

use crate::harness::{Program, authority::Authority, client, errors, frames, group, run};

#[tokio::test]
async fn tcp_and_unix_sockets_are_served_together_until_the_end() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("facade.sock");
    let socket = format!("unix:{}", path.display());
    let listen = ["--listen", "127.0.0.1:0", "--listen", &socket];
    let log = ["--log-sample", "1"];
    let (mut program, line) = serve(&[&listen[..], &log].concat()).await;
    let addresses = line["grpc.address"].as_str().unwrap().to_owned();
    let (tcp, unix) = addresses.split_once(',').unwrap();
    assert_eq!(unix, socket);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);

    client(tcp.parse().unwrap())
        .get_group_info(group("aaa"))
        .await
        .unwrap();
    let line = program.line("call").await;
    assert_eq!(line["network.peer.address"], "127.0.0.1");

    on_socket(&path).get_group_info(group("aaa")).await.unwrap();
    let line = program.line("call").await;
    assert_eq!(line["network.peer.address"], *path.to_str().unwrap());
    assert_eq!(line["network.peer.port"], Value::Null);
    assert_eq!(line["caller"], format!("uid:{}", own_uid(&folder)));

    program.signal("TERM").await;
    let (status, _) = program.ended().await;
    assert!(status.success());
    assert!(!path.exists());
}

#[tokio::test]
async fn call_and_probe_connect_to_a_unix_socket() {
    let folder = TempDir::new().unwrap();
    let socket = format!("unix:{}", folder.path().join("facade.sock").display());
    let authority = Authority::new();
    let server = authority.server();
    // TLS is for TCP: a client of the socket has no use for it.
    let tls = ["--tls-cert", &server.cert, "--tls-key", &server.key];
    let (_program, _) = serve(&[&["--listen", &socket], &tls[..]].concat()).await;

    for arguments in [
        &["probe"][..],
        &["call", "get-group-info", "--group-id", "aaa"],
    ] {
        let by_flag = run(&[arguments, &["--address", &socket]].concat(), &[]).await;
        assert!(by_flag.status.success(), "{}", errors(&by_flag));
        let variables = [
            ("IAI_FACADE_LISTEN", socket.as_str()),
            ("IAI_FACADE_TLS_CERT", server.cert.as_str()),
        ];
        let by_variable = run(arguments, &variables).await;
        assert!(by_variable.status.success(), "{}", errors(&by_variable));
    }

    let absent = "unix:/nowhere/facade.sock";
    let output = run(&["probe", "--address", absent], &[]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains(absent), "{}", errors(&output));
}

#[tokio::test]
async fn clients_of_a_unix_socket_need_a_token_if_others_do() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("facade.sock");
    let socket = format!("unix:{}", path.display());
    let tokens = NamedTempFile::new().unwrap();
    fs::write(&tokens, format!("orders {}\n", "0".repeat(64))).unwrap();
    let tokens = tokens.path().to_str().unwrap();
    let (_program, _) = serve(&["--listen", &socket, "--tokens-file", tokens]).await;

    let call = on_socket(&path).get_group_info(group("aaa")).await;

    assert_eq!(call.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_socket_that_a_killed_service_left_is_replaced() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("facade.sock");
    let socket = format!("unix:{}", path.display());
    let (first, _) = serve(&["--listen", &socket]).await;
    let second = run(
        &[
            "serve",
            "--emulate",
            "--listen",
            &socket,
            "--admin-listen",
            "127.0.0.1:0",
        ],
        &[],
    )
    .await;
    assert_eq!(second.status.code(), Some(1));
    let message = "a process listens on this socket";
    let log = String::from_utf8_lossy(&second.stdout).into_owned() + &errors(&second);
    assert!(log.contains(message), "{log}");

    first.signal("KILL").await;
    first.ended().await;
    assert!(path.exists());

    let (_third, _) = serve(&["--listen", &socket, "--listen-mode", "0600"]).await;
    on_socket(&path).get_group_info(group("aaa")).await.unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn authorities_that_clients_send_on_a_unix_socket_are_accepted() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("facade.sock");
    let socket = format!("unix:{}", path.display());
    let (_program, _) = serve(&["--listen", &socket]).await;

    for authority in ["localhost", "facade.example:443"] {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        let headers = frames::headers_with(":authority", authority.as_bytes());
        let call = frames::whole_call_with(1, &headers);
        stream.write_all(&frames::start(65_535)).await.unwrap();
        stream.write_all(&call).await.unwrap();
        frames::assert_served(&mut stream).await;
    }
}

#[tokio::test]
async fn ipv4_ipv6_and_both_are_served() {
    for (listen, served, refused) in [
        (
            "127.0.0.1:0",
            &[v4 as fn(u16) -> SocketAddr][..],
            &[v6 as fn(u16) -> SocketAddr][..],
        ),
        ("[::1]:0", &[v6], &[v4]),
        ("0.0.0.0:0", &[v4], &[v6]),
        ("[::]:0", &[v4, v6], &[]),
        ("127.0.0.1:0,[::1]:0", &[], &[]),
    ] {
        let (_program, line) = serve(&["--listen", listen]).await;
        let addresses: Vec<SocketAddr> = line["grpc.address"]
            .as_str()
            .unwrap()
            .split(',')
            .map(|address| address.parse().unwrap())
            .collect();
        let port = addresses[0].port();
        for address in served.iter().map(|address| address(port)) {
            client(address).get_group_info(group("aaa")).await.unwrap();
        }
        for address in refused.iter().map(|address| address(port)) {
            // The port is free there: the service listens on the other protocol only.
            TcpListener::bind(address).await.unwrap();
        }
        if addresses.len() > 1 {
            for address in addresses {
                client(address).get_group_info(group("aaa")).await.unwrap();
            }
        }
    }
}

fn v4(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn v6(port: u16) -> SocketAddr {
    (Ipv6Addr::LOCALHOST, port).into()
}

/// Starts the service in front of an emulator and returns it with its line `listening`.
async fn serve(flags: &[&str]) -> (Program, Value) {
    let start = ["serve", "--emulate", "--admin-listen", "127.0.0.1:0"];
    let mut program = Program::start(&[&start[..], flags].concat(), &[]);
    let line = program.line("listening").await;
    (program, line)
}

/// Returns a client of the service on a Unix socket.
fn on_socket(path: &Path) -> FaceRecognitionServiceClient<Channel> {
    let path = path.to_owned();
    let connector = service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://localhost");
    FaceRecognitionServiceClient::new(endpoint.connect_with_connector_lazy(connector))
}

/// Returns the user id of this process, which owns the folder.
fn own_uid(folder: &TempDir) -> u32 {
    fs::metadata(folder.path()).unwrap().uid()
}
