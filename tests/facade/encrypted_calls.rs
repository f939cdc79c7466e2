//! Calls over TLS, and the certificates that callers show.

use std::{fs, iter, net::SocketAddr, sync::Arc};

use iai_facade::proto::face_recognition_service_client::FaceRecognitionServiceClient;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        HandshakeKind,
        pki_types::ServerName,
        version::{TLS12, TLS13},
    },
};
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    authority::{Authority, Issued},
    callers::{tokens, with_token},
    harness::{Facade, LOUD, Program, errors, group, own_reason, run},
    loud_log::LoudLog,
    tls_client::{channel, hello, open},
};

const ORDERS: &str = "spiffe://example.org/orders";

/// What a record holds, by its first byte.
const ALERT: u8 = 21;
const SERVER_HANDSHAKE: u8 = 22;

/// What an alert says.
const FATAL: u8 = 2;
const PROTOCOL_VERSION: u8 = 70;

/// How a connection of HTTP/2 begins: the preface, and settings of which none is set.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The extension by which a client says that it speaks TLS 1.2 and nothing else.
const SUPPORTED_VERSIONS: [u8; 7] = [0, 43, 0, 3, 2, 3, 3];

#[tokio::test]
async fn a_certificate_by_the_authority_is_the_callers_name() {
    let authority = Authority::new();
    let server = authority.server();
    let cases: [(&[&str], &[&str], &str); 5] = [
        (&[ORDERS], &[], "certificate:spiffe://example.org/orders"),
        (&["Orders.Example"], &[], "certificate:orders.example"),
        (
            &["a.example", ORDERS],
            &[],
            "certificate:spiffe://example.org/orders",
        ),
        // The one that may call, and not the first.
        (
            &["a.example", ORDERS],
            &["--allow-san", "x,A.example"],
            "certificate:a.example",
        ),
        // By the authority, and nameless.
        (&[], &[], "address:127.0.0.1"),
    ];

    for (names, flags, caller) in cases {
        let flags = [&["--emulate", "--log-slow", "0s"], flags].concat();
        let flags = with_authority(&authority, &server, &flags);
        let (mut program, addresses) = serve(&flags).await;
        let channel = channel(addresses, &authority, Some(&authority.client(names)));

        call(channel).await.unwrap();

        assert_eq!(program.line("call").await["caller"], caller, "{names:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_expired_or_by_nobody_or_by_another_authority_ends_the_handshake() {
    let authority = Authority::new();
    let server = authority.server();
    let flags = with_authority(&authority, &server, &["--emulate"]);
    let (mut program, address) = serve(&flags).await;
    let imposter = Authority::new();
    let certificates = [
        (authority.expired_client(&[ORDERS]), "expired"),
        (authority.self_signed_client(&[ORDERS]), "UnknownIssuer"),
        // By one that has taken the name of the authority.
        (imposter.client(&[ORDERS]), "BadSignature"),
        // Its own, which is one for servers.
        (authority.server(), "extended key usage"),
    ];

    for (certificate, reason) in certificates {
        let status = call(channel(address, &authority, Some(&certificate))).await;

        assert!(status.unwrap_err().details().is_empty(), "{reason}");
        let line = program.line("a certificate is not accepted").await;
        assert!(line["error"].as_str().unwrap().contains(reason), "{line}");
    }
    let known = authority.client(&[ORDERS]);
    call(channel(address, &authority, Some(&known)))
        .await
        .unwrap();
    program.ended_without(&server.key_forms()).await;
}

#[tokio::test]
async fn a_certificate_that_is_not_on_the_list_and_none_at_all_are_refused_in_words() {
    let authority = Authority::new();
    let server = authority.server();
    let log = LoudLog::listen(server.key_forms());
    let flags = with_authority(&authority, &server, &["--allow-san", ORDERS]);
    let facade = Facade::start_with(&flags.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let address = facade.addresses.grpc;
    let unlisted = [
        authority.client(&["spiffe://example.org/Orders"]),
        authority.client(&["spiffe://example.org/orders/x", "example.org"]),
        authority.client(&[]),
    ];

    for certificate in &unlisted {
        let status = call(channel(address, &authority, Some(certificate))).await;
        let status = status.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied);
        assert_eq!(own_reason(&status), "CALLER_NOT_ALLOWED");
    }
    let status = call(channel(address, &authority, None)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(own_reason(&status), "CALLER_UNAUTHENTICATED");
    assert!(facade.emulator.calls().is_empty());

    // Health is for everybody.
    for shown in [None, Some(&unlisted[0])] {
        let mut health = HealthClient::new(channel(address, &authority, shown));
        health.check(HealthCheckRequest::default()).await.unwrap();
    }
    let listed = authority.client(&[ORDERS]);
    call(channel(address, &authority, Some(&listed)))
        .await
        .unwrap();
    log.assert_is_harmless();
}

#[tokio::test]
async fn where_a_certificate_and_a_token_are_wanted_both_must_be_shown() {
    let authority = Authority::new();
    let server = authority.server();
    let secrets = [server.key_forms(), vec!["correct-horse".to_owned()]];
    let log = LoudLog::listen(secrets.concat());
    let tokens = tokens(&[("orders", "correct-horse")]);
    let path = tokens.path().to_str().unwrap();
    let flags = with_authority(&authority, &server, &["--tokens-file", path]);
    let facade = Facade::start_with(&flags.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let certificate = authority.client(&[ORDERS]);

    for shown in [None, Some(&certificate)] {
        for token in ["horse", "correct-horse"] {
            let channel = channel(facade.addresses.grpc, &authority, shown);
            let mut client = FaceRecognitionServiceClient::new(channel);
            let answer = client.get_group_info(with_token(token)).await;

            let is_whole = shown.is_some() && token == "correct-horse";
            assert_eq!(answer.is_ok(), is_whole, "{answer:?}");
            if let Err(status) = answer {
                assert_eq!(status.code(), Code::Unauthenticated);
            }
        }
    }
    log.assert_is_harmless();
}

#[tokio::test]
async fn call_and_probe_show_a_certificate_and_a_token() {
    let authority = Authority::new();
    let server = authority.server();
    let tokens = tokens(&[("orders", "correct-horse")]);
    let path = tokens.path().to_str().unwrap();
    let flags = with_authority(&authority, &server, &["--tokens-file", path]);
    let facade = Facade::start_with(&flags.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let token = tempfile::NamedTempFile::new().unwrap();
    fs::write(&token, "correct-horse\n").unwrap();

    let address = format!("https://localhost:{}", facade.addresses.grpc.port());
    let (ca, client) = (authority.path(), authority.client(&[ORDERS]));
    let connection = ["--address", &address, "--ca", &ca];
    let shown = ["--cert", &client.cert, "--key", &client.key];
    let token = ["--token-file", token.path().to_str().unwrap()];
    let group = ["call", "get-group-info", "--group-id", "aaa"];

    let whole = [&group[..], &connection, &shown, &token].concat();
    let output = run(&whole, &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let half = [&group[..], &connection, &shown].concat();
    let output = run(&half, &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors(&output).starts_with("UNAUTHENTICATED: "),
        "{}",
        errors(&output)
    );
    let output = run(&[&["probe"], &connection[..]].concat(), &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_and_1_1_is_not() {
    let authority = Authority::new();
    let server = authority.server();
    let facade = Facade::start_with(&["--tls-cert", &server.cert, "--tls-key", &server.key]).await;
    for version in [&TLS12, &TLS13] {
        let stream = open(facade.addresses.grpc, authority.connector(&[version])).await;
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
    }

    // What begins a connection with 1.2, and the same with 1.1 in all places of the version.
    let hello = hello(&authority, &TLS12);
    assert_eq!(
        answer(facade.addresses.grpc, &hello).await[0],
        SERVER_HANDSHAKE
    );
    let mut older = hello;
    let list = older.windows(SUPPORTED_VERSIONS.len());
    let list = list
        .into_iter()
        .position(|bytes| bytes == SUPPORTED_VERSIONS);
    for version in iter::once(9).chain(list.map(|list| list + 5)) {
        assert_eq!(older[version..version + 2], [3, 3]);
        older[version + 1] = 2;
    }
    let alert = answer(facade.addresses.grpc, &older).await;
    assert_eq!(
        (alert[0], &alert[5..]),
        (ALERT, &[FATAL, PROTOCOL_VERSION][..])
    );
}

#[tokio::test]
async fn no_session_is_taken_up_again_so_that_every_connection_shows_its_certificate() {
    let authority = Authority::new();
    let server = authority.server();
    let facade = Facade::start_with(&["--tls-cert", &server.cert, "--tls-key", &server.key]).await;

    for version in [&TLS12, &TLS13] {
        let remembering = authority.connector(&[version]);
        for _ in 0..2 {
            let mut stream = open(facade.addresses.grpc, Arc::clone(&remembering)).await;
            let kind = stream.get_ref().1.handshake_kind();
            assert!(matches!(
                kind,
                Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest)
            ));
            // Tickets would arrive before the answer to this.
            stream.write_all(PREFACE).await.unwrap();
            stream.read_u8().await.unwrap();
        }
    }
}

#[tokio::test]
async fn http_2_is_agreed_on_and_another_protocol_is_not() {
    let authority = Authority::new();
    let server = authority.server();
    let facade = Facade::start_with(&["--tls-cert", &server.cert, "--tls-key", &server.key]).await;
    let address = facade.addresses.grpc;

    let stream = open(address, authority.connector(&[&TLS13])).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));

    let mut http1 = (*authority.connector(&[&TLS13])).clone();
    http1.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let refused = TlsConnector::from(Arc::new(http1))
        .connect(name, stream)
        .await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("NoApplicationProtocol")
    );
}

/// Returns flags that want certificates of an authority, and others.
fn with_authority(authority: &Authority, server: &Issued, flags: &[&str]) -> Vec<String> {
    let ca = authority.path();
    let tls = [
        "--tls-cert",
        &server.cert,
        "--tls-key",
        &server.key,
        "--tls-client-ca",
        &ca,
    ];
    [&tls, flags]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

async fn serve(flags: &[String]) -> (Program, SocketAddr) {
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let (program, addresses) = Program::serve(&flags, &LOUD).await;
    (program, addresses.grpc)
}

async fn call(channel: Channel) -> Result<(), Status> {
    let mut client = FaceRecognitionServiceClient::new(channel);
    client.get_group_info(group("aaa")).await.map(drop)
}

/// Sends bytes, and returns the first record that comes back.
async fn answer(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut record = vec![0; 5];
    stream.read_exact(&mut record).await.unwrap();
    record.resize(5 + usize::from(record[3]) * 256 + usize::from(record[4]), 0);
    stream.read_exact(&mut record[5..]).await.unwrap();
    record
}
