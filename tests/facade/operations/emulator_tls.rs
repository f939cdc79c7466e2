//! TLS of the emulator, beside plain text on one port.

use std::{fs, io::ErrorKind, net::SocketAddr, sync::Arc};

use iai_emulator::{Action, Cut, Emulator, Fault, FaultKind, Fixtures};
use iai_facade::tls::server::emulator_config;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, SupportedProtocolVersion,
        pki_types::ServerName,
        version::{TLS12, TLS13},
    },
};

use crate::harness::{
    LOOPBACK, Program, authority::Authority, client, errors, group, run, tls_client,
};

/// An unsigned request, to which the emulator responds with status 404.
const REQUEST: &[u8] =
    b"GET /latest/meta-data/cam/security-credentials/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn one_port_of_the_emulator_accepts_tls_and_plain_text() {
    let authority = Authority::new();
    let server = authority.server();
    let flags = ["--tls-cert", &server.cert, "--tls-key", &server.key];
    let (_emulator, address) = emulate(&flags).await;
    let account = [
        ("TENCENTCLOUD_SECRET_ID", "AKIDEMULATOR"),
        ("TENCENTCLOUD_SECRET_KEY", "emulator-secret"),
    ];

    for endpoint in [
        format!("http://{address}"),
        format!("https://localhost:{}", address.port()),
    ] {
        let upstream = ["--endpoint", &endpoint, "--upstream-ca", &authority.path()];
        let (_program, addresses) = Program::serve(&upstream, &account).await;
        let mut client = client(addresses.grpc);
        client.get_group_info(group("aaa")).await.expect(&endpoint);
    }
}

#[tokio::test]
async fn the_emulator_accepts_tls_1_2_and_1_3_with_http_1_1() {
    let authority = Authority::new();
    let emulator = start(&authority).await;

    for version in [&TLS12, &TLS13] {
        let (response, end) = exchange(&emulator, connector(&authority, version)).await;
        assert!(response.starts_with("HTTP/1.1 404 "), "{response}");
        assert_eq!(end, None);
    }
}

#[tokio::test]
async fn a_fault_cuts_a_tls_connection_without_an_announcement() {
    let authority = Authority::new();
    let emulator = start(&authority).await;

    for (cut, expected) in [
        (Cut::BeforeHeaders, ""),
        (Cut::InsideHeaders, "HTTP/1.1 200 OK\r\nContent-Type: appl"),
    ] {
        emulator.script(Fault::from(FaultKind::Cut(cut)).on(Action::SecurityCredentials));
        let (response, end) = exchange(&emulator, connector(&authority, &TLS13)).await;
        assert_eq!(response, expected);
        assert_eq!(end, Some(ErrorKind::UnexpectedEof));
    }
}

#[tokio::test]
async fn a_failed_handshake_closes_only_its_own_connection() {
    let authority = Authority::new();
    let emulator = start(&authority).await;

    let mut stream = TcpStream::connect(emulator.address()).await.unwrap();
    stream.write_all(b"\x16 no handshake").await.unwrap();
    let mut alert = Vec::new();
    let _ = stream.read_to_end(&mut alert).await;

    assert!(!alert.starts_with(b"HTTP"), "{alert:?}");
    let (response, _) = exchange(&emulator, connector(&authority, &TLS13)).await;
    assert!(response.starts_with("HTTP/1.1 404 "), "{response}");
}

#[tokio::test]
async fn the_log_explains_why_a_client_cannot_use_https() {
    let authority = Authority::new();
    let server = authority.server();
    let files = ["--tls-cert", &server.cert, "--tls-key", &server.key];
    let stranger = Authority::new().connector(&[&TLS13]);
    for (flags, expected) in [
        (
            &[][..],
            "client began a TLS handshake, but the emulator has no certificate: use http://, or start \
             the emulator with a certificate",
        ),
        (&files, "TLS handshake with a client failed"),
    ] {
        let (mut emulator, address) = emulate(flags).await;
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::clone(&stranger));
        assert!(connector.connect(name, stream).await.is_err());
        emulator.line(expected).await;
    }
}

#[tokio::test]
async fn unusable_tls_files_of_the_emulator_are_configuration_errors() {
    let authority = Authority::new();
    let [server, other] = [authority.server(), authority.server()];
    let mismatch = "--tls-cert: the private key does not belong to the certificate";
    for (flags, expected) in [
        (&["--tls-cert", &server.cert][..], "--tls-key: is missing"),
        (&["--tls-key", &server.key], "--tls-cert: is missing"),
        (
            &["--tls-cert", "/nowhere", "--tls-key", &server.key],
            "--tls-cert: /nowhere: ",
        ),
        (
            &["--tls-cert", &server.cert, "--tls-key", &server.cert],
            "contains no private key",
        ),
        (
            &["--tls-cert", &server.cert, "--tls-key", &other.key],
            mismatch,
        ),
    ] {
        let output = run(&[&["emulate"], flags].concat(), &[]).await;
        let errors = errors(&output);
        assert_eq!(output.status.code(), Some(64), "{errors}");
        assert!(errors.contains(expected), "{errors}");
    }
}

/// Runs the `emulate` command with these flags and returns the address of its listener.
async fn emulate(flags: &[&str]) -> (Program, SocketAddr) {
    let listen = ["emulate", "--listen", "127.0.0.1:0"];
    let mut program = Program::start(&[&listen[..], flags].concat(), &[]);
    let line = program.line("emulating").await;
    assert_eq!(line["tls"], !flags.is_empty());
    (program, line["address"].as_str().unwrap().parse().unwrap())
}

/// Starts an emulator with a certificate for `localhost`.
async fn start(authority: &Authority) -> Emulator {
    let server = authority.server();
    let [cert, key] = [&server.cert, &server.key].map(|path| fs::read(path).unwrap());
    let tls = emulator_config(&cert, &key).unwrap();
    let emulator = Emulator::start_with_tls(LOOPBACK, Fixtures::default(), tls).await;
    emulator.unwrap()
}

/// Returns the TLS configuration of a client that offers HTTP/2 and HTTP/1.1.
fn connector(
    authority: &Authority,
    version: &'static SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    let mut config = (*authority.connector(&[version])).clone();
    config.alpn_protocols.push(b"http/1.1".to_vec());
    Arc::new(config)
}

/// Sends [`REQUEST`] over TLS and returns the response, and the error that ended it, if any.
async fn exchange(emulator: &Emulator, config: Arc<ClientConfig>) -> (String, Option<ErrorKind>) {
    let mut stream = tls_client::open(emulator.address(), config).await;
    stream.write_all(REQUEST).await.unwrap();
    let mut response = Vec::new();
    let end = stream.read_to_end(&mut response).await;
    let response = String::from_utf8(response).unwrap();
    (response, end.err().map(|error| error.kind()))
}
